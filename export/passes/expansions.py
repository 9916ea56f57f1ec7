"""Primitives that no kernel implements but other operators can: the exporter's own decompositions.

An entry has `reason(values, attrs)`, which says why a call cannot be expanded (None if it can), and `expand(*tensors,
**attrs)`, written in operators like an `OpDef.decompose`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pappus.frontend import ops
from pappus.frontend.ops.resize import _linear as linear_weights
from pappus.frontend.symbolic import is_symbolic
from pappus.frontend.tensor import Tensor


@dataclass(frozen=True)
class Expansion:
    """How one primitive becomes others."""

    reason: Callable[[Sequence[Any], dict[str, Any]], str | None]
    expand: Callable[..., Any]


# -- scans ------------------------------------------------------------------------------------------


def _scan_reason(values: Sequence[Any], attrs: dict[str, Any]) -> str | None:
    x = values[0]
    if x.shape and is_symbolic(x.shape[int(attrs["dim"]) % len(x.shape)]):
        return "a running sum or product along a dynamic dimension has no kernel yet; make that dimension static"
    return None


def _scan(combine: Callable[[Any, Any], Any], neutral: int) -> Callable[..., Any]:
    """Doubling: after step k every element holds the result over the 2^k elements before it."""

    def expand(x: Any, dim: int, *, dtype: Any = None) -> Any:
        x = x if dtype is None or dtype is x.dtype else ops.to_dtype(x, dtype)
        if not x.dtype.is_floating_point and dtype is None:
            x = x.long()
        if not x.shape:
            return ops.clone(x)
        at = dim % len(x.shape)
        size, step = int(x.shape[at]), 1
        while step < size:
            before = ops.slice(x, at, 0, size - step, 1)
            pad = [0, 0] * (len(x.shape) - 1 - at) + [step, 0]
            x = combine(x, ops.constant_pad_nd(before, pad, neutral))
            step *= 2
        return x

    return expand


# -- transposed convolution -------------------------------------------------------------------------


def _spread(values: Any, spatial: int) -> list[int]:
    numbers = [int(values)] if isinstance(values, int) else [int(v) for v in values]
    return numbers * spatial if len(numbers) == 1 else numbers


def _convolution_reason(values: Sequence[Any], attrs: dict[str, Any]) -> str | None:
    if not attrs.get("transposed"):
        return "not transposed"
    if any(is_symbolic(s) for s in values[1].shape):
        return "a convolution's weight must have a fixed shape"
    return None if len(values[1].shape) in (3, 4) else "three-dimensional convolutions have no kernel yet"


def _transposed(
    x: Any, weight: Any, bias: Any = None, *, stride: Any, padding: Any, dilation: Any, groups: int, transposed: bool,
    output_padding: Any
) -> Any:  # fmt: skip
    """A convolution of the input with zeros between its elements, by the flipped weight with in and out channels
    exchanged.
    """
    spatial = len(weight.shape) - 2
    steps, pads, gaps = _spread(stride, spatial), _spread(padding, spatial), _spread(dilation, spatial)
    extra = _spread(output_padding, spatial)
    n, channels = x.shape[0], x.shape[1]
    if any(s > 1 for s in steps):
        # [N, C, H, W] -> [N, C, H, 1, W, 1], zeros behind each element, and back as [N, C, H * s, W * s].
        sizes, split = [n, channels], [n, channels]
        for size, step in zip(x.shape[2:], steps, strict=True):
            split += [size, 1]
            sizes.append(size * step)
        amounts: list[int] = []
        for step in reversed(steps):
            amounts += [0, step - 1, 0, 0]
        x = ops.view(ops.constant_pad_nd(ops.view(x, split), amounts, 0), sizes)
    around: list[int] = []
    for axis in reversed(range(spatial)):
        whole = gaps[axis] * (int(weight.shape[2 + axis]) - 1)
        # The zeros behind the last element are no part of the dilated input.
        around += [whole - pads[axis], whole - pads[axis] + extra[axis] - (steps[axis] - 1)]
    if any(around):
        x = ops.constant_pad_nd(x, around, 0)
    flipped = ops.flip(weight, tuple(range(2, 2 + spatial)))
    kernel = tuple(weight.shape[2:])
    inside, outside = int(weight.shape[0]) // groups, int(weight.shape[1])
    flipped = ops.view(flipped, (groups, inside, outside, *kernel))
    flipped = ops.permute(flipped, (0, 2, 1, *range(3, 3 + spatial)))
    flipped = ops.reshape(flipped, (groups * outside, inside, *kernel))
    return ops.convolution(x, flipped, bias, (1,) * spatial, (0,) * spatial, tuple(gaps), groups)


# -- resizing ---------------------------------------------------------------------------------------


def _bilinear_reason(values: Sequence[Any], attrs: dict[str, Any]) -> str | None:
    if any(is_symbolic(s) for s in (*values[0].shape[2:], *attrs["output_size"])):
        return "bilinear resizing needs image sizes that are known at export; make height and width static"
    return None


def _bilinear(
    x: Any, *, output_size: Any, align_corners: bool = False, scales_h: Any = None, scales_w: Any = None
) -> Any:
    """Along each axis: the two neighbours by index, weighted."""
    for axis, (out, scale) in enumerate(zip(output_size, (scales_h, scales_w), strict=True), start=2):
        low, high, near = linear_weights(int(x.shape[axis]), int(out), align_corners, scale)
        shape = (-1, 1) if axis == 2 else (-1,)
        weight = Tensor._from_data(near.astype(x.dtype.numpy).reshape(shape))
        rest = Tensor._from_data((1 - near.astype(x.dtype.numpy)).reshape(shape))
        lower, upper = (ops.index_select(x, axis, Tensor._from_data(np.asarray(i, np.int64))) for i in (low, high))
        x = lower * rest + upper * weight
    return x


EXPANSIONS: dict[str, Expansion] = {
    "cumsum": Expansion(_scan_reason, _scan(lambda a, b: a + b, 0)),
    "cumprod": Expansion(_scan_reason, _scan(lambda a, b: a * b, 1)),
    "convolution": Expansion(_convolution_reason, _transposed),
    "upsample_bilinear2d": Expansion(_bilinear_reason, _bilinear),
}
