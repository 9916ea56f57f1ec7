"""The pooling functions of `pappus.nn.functional`."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "max_pool1d", "max_pool2d",
    "max_pool2d_with_indices", "max_pool3d", "max_unpool1d", "max_unpool2d", "max_unpool3d",
]  # fmt: skip


def _row(value: Any, fill: int) -> tuple[int, int]:
    """A size along the width for an operator on images of height 1."""
    return fill, value[0] if isinstance(value, (tuple, list)) else value


def max_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, L) or (C, L); with `return_indices` also where the maxima stand."""
    found = max_pool2d(
        input.unsqueeze(-2), _row(kernel_size, 1), _row(kernel_size if stride is None else stride, 1), _row(padding, 0),
        _row(dilation, 1), ceil_mode, return_indices,
    )  # fmt: skip
    return tuple(t.squeeze(-2) for t in found) if return_indices else found.squeeze(-2)


def avg_pool1d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:  # fmt: skip
    """Mean over windows of (N, C, L) or (C, L)."""
    return ops.avg_pool1d(input, kernel_size, stride, padding, ceil_mode, count_include_pad)  # type: ignore[no-any-return]


def adaptive_avg_pool1d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over `output_size` windows that cover the last dimension."""
    return ops.adaptive_avg_pool1d(input, output_size)  # type: ignore[no-any-return]


def max_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, H, W) or (C, H, W); with `return_indices` also where the maxima stand."""
    op = ops.max_pool2d_with_indices if return_indices else ops.max_pool2d
    return op(input, kernel_size, () if stride is None else stride, padding, dilation, ceil_mode)


def avg_pool2d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Mean over windows of (N, C, H, W) or (C, H, W)."""
    stride = () if stride is None else stride
    return ops.avg_pool2d(  # type: ignore[no-any-return]
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def _adaptive(input: Tensor, output_size: Any) -> tuple[Any, ...]:
    sizes = output_size if isinstance(output_size, (tuple, list)) else (output_size, output_size)
    return tuple(n if o is None else o for n, o in zip(input.shape[-2:], sizes, strict=True))


def adaptive_avg_pool2d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over a grid of windows that covers the image; None keeps a size."""
    return ops.adaptive_avg_pool2d(input, _adaptive(input, output_size))  # type: ignore[no-any-return]


def adaptive_max_pool1d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over `output_size` windows that cover the last dimension; with `return_indices` also where they stand."""
    return ops.adaptive_max_pool1d(input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that covers the image; None keeps a size."""
    return ops.adaptive_max_pool2d(input, output_size, return_indices)


def max_pool2d_with_indices(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, H, W) or (C, H, W), and where the maxima stand."""
    return max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, True)


# -- volumes ------------------------------------------------------------------------------------


def max_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, D, H, W) or (C, D, H, W); with `return_indices` also where the maxima stand."""
    return ops.max_pool3d(input, kernel_size, stride, padding, dilation, ceil_mode, return_indices)


def avg_pool3d(
    input: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Tensor:  # fmt: skip
    """Mean over windows of (N, C, D, H, W) or (C, D, H, W)."""
    return ops.avg_pool3d(  # type: ignore[no-any-return]
        input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )


def adaptive_avg_pool3d(input: Tensor, output_size: Any) -> Tensor:
    """Mean over a grid of windows that covers the volume; None keeps a size."""
    return ops.adaptive_avg_pool3d(input, output_size)  # type: ignore[no-any-return]


def adaptive_max_pool3d(input: Tensor, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that covers the volume; None keeps a size."""
    return ops.adaptive_max_pool3d(input, output_size, return_indices)


# -- the way back -------------------------------------------------------------------------------


def max_unpool1d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The way back from `max_pool1d`: maxima where they stood, zeros elsewhere."""
    return ops.max_unpool1d(input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]


def max_unpool2d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The way back from `max_pool2d`: maxima where they stood, zeros elsewhere."""
    return ops.max_unpool2d(input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]


def max_unpool3d(
    input: Tensor, indices: Tensor, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Tensor:
    """The way back from `max_pool3d`: maxima where they stood, zeros elsewhere."""
    return ops.max_unpool3d(input, indices, kernel_size, stride, padding, output_size)  # type: ignore[no-any-return]
