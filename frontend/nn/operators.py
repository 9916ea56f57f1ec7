"""Functions of `pappus.nn.functional` that are operators with torch's signature already: only the name is added."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops

_NAMES = (
    "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d", "avg_pool3d",
    "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
)  # fmt: skip
globals().update({name: getattr(ops, name) for name in _NAMES})


def max_pool2d_with_indices(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, H, W) or (C, H, W), and where the maxima stand."""
    return ops.max_pool2d_with_indices(input, kernel_size, stride or (), padding, dilation, ceil_mode)


__all__ = [*_NAMES, "max_pool2d_with_indices"]
