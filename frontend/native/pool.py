"""Maximum and mean over windows of images, and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import direct, plain, suits

__all__ = ["pool", "pool_grad"]

POOL2D = 5  # docs/format.md
POOL_GRAD = 71  # kernels/eager.h
MAX, AVG = 0, 1  # PoolKind


def _attrs(
    kind: int, kernel: Any, stride: Any, padding: Any, dilation: Any, include: bool, divisor: Any
) -> tuple[int, ...]:  # fmt: skip
    """The attributes of POOL2D."""
    return (kind, *kernel, *stride, *padding, *padding, *dilation, int(include), divisor or 0)


def _images(x: Any) -> Any:
    return x[None] if x.ndim == 3 else x


def pool(
    kind: int, x: Any, out: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = (1, 1), include: bool = False,
    divisor: Any = None,
) -> Any:  # fmt: skip
    """The pooled image of size `out`; None where numpy should do it."""
    if not suits(x) or (divisor or 0) < 0:
        return None
    y = np.empty((*x.shape[:-2], *out), x.dtype)
    attrs = _attrs(kind, kernel, stride, padding, dilation, include, divisor)
    return y if direct().run(POOL2D, (_images(plain(x)),), (_images(y),), attrs) else None


def pool_grad(
    kind: int, g: Any, x: Any, size: Any, kernel: Any, stride: Any, padding: Any, dilation: Any = (1, 1),
    include: bool = False, divisor: Any = None,
) -> Any:  # fmt: skip
    """The gradient of `pool` to an image of `size`; the maximum needs the image. None where numpy should do it."""
    if not suits(g, x) or (divisor or 0) < 0:
        return None
    gx = np.empty((*g.shape[:-2], *size), g.dtype)
    if not gx.size:
        return None
    attrs = _attrs(kind, kernel, stride, padding, dilation, include, divisor)
    args = (_images(plain(g)), x if x is None else _images(plain(x)))
    return gx if direct().run(POOL_GRAD, args, (_images(gx),), attrs) else None
