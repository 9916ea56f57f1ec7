"""The pooling functions of `pappus.nn.functional`."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pappus.frontend import ops
from pappus.frontend.errors import ShapeError
from pappus.frontend.tensor import Tensor

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d",
    "adaptive_max_pool3d", "avg_pool1d", "avg_pool2d", "avg_pool3d", "fractional_max_pool2d", "fractional_max_pool3d",
    "lp_pool1d", "lp_pool2d", "lp_pool3d", "max_pool1d", "max_pool2d", "max_pool2d_with_indices", "max_pool3d",
    "max_unpool1d", "max_unpool2d", "max_unpool3d",
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


# -- norms of windows ---------------------------------------------------------------------------


def _lp(
    x: Tensor, average: Any, norm_type: float, kernel_size: Any, stride: Any, ceil_mode: bool, spatial: int
) -> Tensor:
    sizes = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size,) * spatial
    mean = average(x**norm_type, kernel_size, stride, 0, ceil_mode)
    # A negative mean (an odd power) has no root: its absolute value with the sign, as in torch.
    total = ops.sign(mean) * ops.relu(mean.abs()) * math.prod(sizes)
    return total ** (1.0 / norm_type)  # type: ignore[no-any-return]


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, L) or (C, L), with p = `norm_type`.

    >>> import pappus as pp
    >>> lp_pool1d(pp.tensor([[3.0, 4.0]]), 2.0, 2).tolist()
    [[5.0]]
    """
    return _lp(input, avg_pool1d, norm_type, kernel_size, stride, ceil_mode, 1)


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, H, W) or (C, H, W)."""
    return _lp(input, avg_pool2d, norm_type, kernel_size, stride, ceil_mode, 2)


def lp_pool3d(
    input: Tensor, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
) -> Tensor:
    """(sum of x^p)^(1/p) over windows of (N, C, D, H, W) or (C, D, H, W)."""
    return _lp(input, avg_pool3d, norm_type, kernel_size, stride, ceil_mode, 3)


# -- windows at random places -------------------------------------------------------------------


def _fractional(
    name: str, spatial: int, input: Tensor, kernel_size: Any, output_size: Any, output_ratio: Any,
    return_indices: bool, samples: Tensor | None,
) -> Any:  # fmt: skip
    if input.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}: expected {spatial + 1}D or {spatial + 2}D input, got {list(input.shape)}")
    if (output_size is None) == (output_ratio is None):
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    x = input if input.ndim == spatial + 2 else input.unsqueeze(0)
    sizes = [int(n) for n in x.shape[2:]]
    kernels = tuple(kernel_size) if isinstance(kernel_size, (tuple, list)) else (kernel_size,) * spatial
    given = output_size if output_ratio is None else output_ratio
    each = tuple(given) if isinstance(given, (tuple, list)) else (given,) * spatial
    outs = each if output_ratio is None else tuple(int(n * r) for n, r in zip(sizes, each, strict=True))
    if any(o < 1 or o + k - 1 > n for n, k, o in zip(sizes, kernels, outs, strict=True)):
        raise ShapeError(f"{name}: {outs} windows of {kernels} do not fit the input of size {sizes}")
    batch, channels = int(x.shape[0]), int(x.shape[1])
    drawn = ops.rand(batch, channels, spatial) if samples is None else samples
    points = np.asarray(drawn.detach().numpy()).reshape(-1, channels, spatial)[:batch]
    # torch gives the sample's last number to the first dimension of an image, but the first to that of a volume.
    order = range(spatial) if spatial == 3 else range(spatial - 1, -1, -1)
    index: Any = np.zeros((batch, channels, *(1,) * (2 * spatial)), np.int64)
    for d, at in enumerate(order):
        begins = _begins(points[..., at], sizes[d], kernels[d], outs[d])
        line = begins[..., None] + np.arange(kernels[d])
        shape = [batch, channels, *(1,) * (2 * spatial)]
        shape[2 + d], shape[2 + spatial + d] = outs[d], kernels[d]
        index = index * sizes[d] + line.reshape(shape)
    flat = index.reshape(batch, channels, math.prod(outs), math.prod(kernels))
    places = Tensor._from_data(flat)
    values = x.flatten(2).gather(2, places.flatten(2)).unflatten(2, flat.shape[2:])
    best, which = ops.max(values, -1)
    found = [t.unflatten(2, outs) for t in (best, places.gather(3, which.unsqueeze(-1)).squeeze(-1))]
    if input.ndim == spatial + 1:
        found = [t.squeeze(0) for t in found]
    return tuple(found) if return_indices else found[0]


def _begins(sample: Any, size: int, kernel: int, out: int) -> Any:
    """Where the windows along one dimension begin: nearly even steps, shifted by the sample; the last at the end."""
    if out == 1:
        return np.full((*sample.shape, 1), size - kernel)
    step = (size - kernel) / (out - 1)
    shift = sample[..., None]
    begins = ((np.arange(out) + shift) * step).astype(np.int64) - (shift * step).astype(np.int64)
    begins[..., -1] = size - kernel
    return begins


def fractional_max_pool2d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, H, W) or (C, H, W) at pseudo-random places, as many as `output_size` says.

    `output_ratio` gives the output as a part of the input. With `return_indices` also where the maxima stand.

    >>> import pappus as pp
    >>> fractional_max_pool2d(pp.arange(9.0).reshape(1, 3, 3), 2, output_size=2).tolist()
    [[[4.0, 5.0], [7.0, 8.0]]]
    """
    name = "fractional_max_pool2d"
    return _fractional(name, 2, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)


def fractional_max_pool3d(
    input: Tensor, kernel_size: Any, output_size: Any = None, output_ratio: Any = None, return_indices: bool = False,
    _random_samples: Tensor | None = None,
) -> Any:  # fmt: skip
    """`fractional_max_pool2d` over volumes (N, C, D, H, W) or (C, D, H, W)."""
    name = "fractional_max_pool3d"
    return _fractional(name, 3, input, kernel_size, output_size, output_ratio, return_indices, _random_samples)
