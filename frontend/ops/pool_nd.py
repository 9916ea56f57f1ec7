"""Pooling over volumes, maxima with their places over adaptive windows, and the way back from places (unpooling).

A window over a volume is a window over each image of it and then one along the depth: maximum and sum are both made of
the two-dimensional forms, whose gradients they inherit.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from ._names import function
from .create import zeros
from .index import gather, scatter, scatter_add
from .pointwise import div
from .pool import (
    _bins,
    _sizes,
    adaptive_avg_pool2d,
    avg_pool2d,
    max_pool2d,
    max_pool2d_with_indices,
    pooled_size,
)  # fmt: skip
from .pool import adaptive_max_pool2d as _grid_max
from .shape import flatten, reshape, stack

# -- plain windows over volumes -------------------------------------------------------------------


def _triple(name: str, label: str, value: Any) -> tuple[int, ...]:
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    items = items * 3 if len(items) == 1 else items
    if len(items) != 3:
        raise ArgumentError(f"{name}: {label} must be one int or three, got {list(items)}")
    return items


def _check_volume(name: str, x: Any) -> None:
    if len(x.shape) not in (4, 5):
        raise ShapeError(f"{name}: expected 4D (C, D, H, W) or 5D (N, C, D, H, W) input, got size {_sizes(x.shape)}")
    if any(type(n) is int and n == 0 for n in x.shape[-4:]):
        raise ShapeError(f"{name}: every dimension but the batch must have a positive size, got {_sizes(x.shape)}")


def _stride(name: str, stride: Any, kernel: tuple[int, ...]) -> tuple[int, ...]:
    return kernel if stride is None or stride in ((), []) else _triple(name, "stride", stride)


def _planes(x: Any) -> Any:
    """A volume (*, C, D, H, W) as images (*, C * D, H, W)."""
    return reshape(x, (*x.shape[:-4], x.shape[-4] * x.shape[-3], *x.shape[-2:]))


def _columns(x: Any, depth: Any) -> Any:
    """Pooled images (*, C * D, H, W) as images (*, C, D, H * W), in which the depth is the height."""
    channels = x.shape[-3] // depth if depth else 0
    return reshape(x, (*x.shape[:-3], channels, depth, x.shape[-2] * x.shape[-1]))


@function()
def max_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:  # fmt: skip
    """Maximum over windows of (N, C, D, H, W) or (C, D, H, W); with `return_indices` also where the maxima stand.

    >>> import pappus as pp
    >>> pp.max_pool3d(pp.arange(8.0).reshape(1, 1, 2, 2, 2), 2).item()
    7.0
    """
    name = "max_pool3d"
    _check_volume(name, input)
    kernel = _triple(name, "kernel_size", kernel_size)
    step, pad = _stride(name, stride, kernel), _triple(name, "padding", padding)
    gap = _triple(name, "dilation", dilation)
    depth, height, width = input.shape[-3:]
    inner = (kernel[1:], step[1:], pad[1:], gap[1:], ceil_mode)
    outer = ((kernel[0], 1), (step[0], 1), (pad[0], 0), (gap[0], 1), ceil_mode)
    if not return_indices:
        images = max_pool2d(_planes(input), *inner)
        out = max_pool2d(_columns(images, depth), *outer)
        return reshape(out, (*out.shape[:-1], *images.shape[-2:]))
    images, places = max_pool2d_with_indices(_planes(input), *inner)
    out, along = max_pool2d_with_indices(_columns(images, depth), *outer)
    found = gather(flatten(_columns(places, depth), -2), -1, flatten(along, -2))
    area = images.shape[-2] * images.shape[-1]
    index = (flatten(along, -2) // area) * (height * width) + found
    shape = (*out.shape[:-1], *images.shape[-2:])
    return reshape(out, shape), reshape(index, shape)


def _counts(size: int, k: int, s: int, p: int, ceil_mode: bool, include: bool) -> Any:
    """How many elements each window along one dimension is divided by."""
    start = np.arange(pooled_size(size, k, s, p, 1, ceil_mode)) * s - p
    end = np.minimum(start + k, size + p)
    return end - start if include else np.minimum(end, size) - np.maximum(start, 0)


@function()
def avg_pool3d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True, divisor_override: int | None = None,
) -> Any:  # fmt: skip
    """Mean over windows of (N, C, D, H, W) or (C, D, H, W)."""
    name = "avg_pool3d"
    _check_volume(name, input)
    if divisor_override == 0:
        raise ArgumentError("avg_pool3d: divisor must be not zero")
    kernel = _triple(name, "kernel_size", kernel_size)
    step, pad = _stride(name, stride, kernel), _triple(name, "padding", padding)
    depth = input.shape[-3]
    images = avg_pool2d(_planes(input), kernel[1:], step[1:], pad[1:], ceil_mode, divisor_override=1)
    outer = ((kernel[0], 1), (step[0], 1), (pad[0], 0), ceil_mode)
    out = avg_pool2d(_columns(images, depth), *outer, divisor_override=1)
    out = reshape(out, (*out.shape[:-1], *images.shape[-2:]))
    integer = not input.dtype.is_floating_point
    if divisor_override is not None:
        return div(out, divisor_override, rounding_mode="trunc" if integer else None)
    counts = [
        _counts(int(n), k, s, p, ceil_mode, count_include_pad)
        for n, k, s, p in zip(input.shape[-3:], kernel, step, pad, strict=True)
    ]
    divisor = counts[0][:, None, None] * counts[1][:, None] * counts[2]
    return div(out, Tensor._from_data(divisor.astype(input.dtype.numpy)), rounding_mode="trunc" if integer else None)


# -- windows that adapt ---------------------------------------------------------------------------


def _wanted(name: str, x: Any, output_size: Any, spatial: int) -> tuple[int, ...]:
    """The output's sizes: one int for all, None for the input's own."""
    if len(x.shape) not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}: expected {spatial + 1}D or {spatial + 2}D input, got size {_sizes(x.shape)}")
    if any(type(n) is int and n == 0 for n in x.shape[1:]):
        raise ShapeError(f"{name}: only the batch may be empty, got size {_sizes(x.shape)}")
    items = tuple(output_size) if isinstance(output_size, (tuple, list)) else (output_size,) * spatial
    if len(items) != spatial or any(n is not None and n < 0 for n in items):
        raise ArgumentError(f"{name}: output_size must be {spatial} non-negative ints or None, got {list(items)}")
    return tuple(int(n) if o is None else o for n, o in zip(x.shape[-spatial:], items, strict=True))


@function()
def adaptive_avg_pool3d(input: Any, output_size: Any) -> Any:
    """Mean over a grid of `output_size` windows that covers the volume; None keeps a size."""
    size = _wanted("adaptive_avg_pool3d", input, output_size, 3)
    depth = int(input.shape[-3])
    images = adaptive_avg_pool2d(_planes(input), size[1:])
    weights = np.zeros((size[0], depth))
    for row, (start, end) in zip(weights, _bins(depth, size[0]), strict=True):
        row[start:end] = 1 / (end - start)
    out = Tensor._from_data(weights.astype(input.dtype.numpy)) @ _columns(images, depth)
    return reshape(out, (*out.shape[:-1], *size[1:]))


def _adaptive_max(x: Any, size: tuple[int, ...]) -> tuple[Any, Any]:
    """The maximum of every window of a grid, and its place among the elements of the image or volume."""
    spatial = len(size)
    sizes = tuple(int(n) for n in x.shape[-spatial:])
    values, places = [], []
    bins = [_bins(n, o) for n, o in zip(sizes, size, strict=True)]
    steps = [math.prod(sizes[d + 1 :]) for d in range(spatial)]
    for window in itertools.product(*bins):
        block = x[(..., *(slice(a, b) for a, b in window))]
        best = flatten(block, -spatial).max(-1)
        left, index = best.indices, 0
        for (a, _), n, step in zip(reversed(window), reversed(block.shape[-spatial:]), reversed(steps), strict=True):
            left, index = left // n, index + (left % n + a) * step
        values.append(best.values)
        places.append(index)
    shape = (*x.shape[:-spatial], *size)
    if not values:
        return zeros(shape, dtype=x.dtype), zeros(shape, dtype=dtypes.int64)
    return reshape(stack(values, -1), shape), reshape(stack(places, -1), shape)


def _adaptive_max_of(name: str, spatial: int, x: Any, output_size: Any, return_indices: bool) -> Any:
    size = _wanted(name, x, output_size, spatial)
    if spatial == 2 and not return_indices:
        return _grid_max(x, size)
    found = _adaptive_max(x, size)
    return found if return_indices else found[0]


@function()
def adaptive_max_pool1d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over `output_size` windows that cover the last dimension of (N, C, L) or (C, L), with their places."""
    return _adaptive_max_of("adaptive_max_pool1d", 1, input, output_size, return_indices)


@function()
def adaptive_max_pool2d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that covers the image, with their places on request; None keeps a size."""
    return _adaptive_max_of("adaptive_max_pool2d", 2, input, output_size, return_indices)


@function()
def adaptive_max_pool3d(input: Any, output_size: Any, return_indices: bool = False) -> Any:
    """Maximum over a grid of windows that covers the volume, with their places on request; None keeps a size."""
    return _adaptive_max_of("adaptive_max_pool3d", 3, input, output_size, return_indices)


# -- unpooling ------------------------------------------------------------------------------------


def _unpool(
    name: str, spatial: int, x: Any, indices: Any, kernel: Any, stride: Any, padding: Any, output_size: Any
) -> Any:
    def full(value: Any) -> tuple[int, ...]:
        items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
        return items * spatial if len(items) == 1 else items

    if len(x.shape) not in (spatial + 1, spatial + 2):
        raise ShapeError(f"{name}: expected {spatial + 1}D or {spatial + 2}D input, got size {_sizes(x.shape)}")
    if tuple(indices.shape) != tuple(x.shape):
        raise ShapeError(f"{name}: indices of size {_sizes(indices.shape)} for an input of size {_sizes(x.shape)}")
    kernel = full(kernel)
    step = kernel if stride is None or stride in ((), []) else full(stride)
    size = tuple(
        (n - 1) * s - 2 * p + k for n, s, p, k in zip(x.shape[-spatial:], step, full(padding), kernel, strict=True)
    )
    if output_size is not None:
        wanted = tuple(output_size)[-spatial:]
        for n, least, s in zip(wanted, size, step, strict=True):
            if not least - s < n < least + s:
                raise ArgumentError(f"{name}: output_size {list(wanted)} is too far from the expected {list(size)}")
        size = wanted
    blank = zeros((*x.shape[:-spatial], math.prod(size)), dtype=x.dtype)
    filled = scatter(blank, -1, flatten(indices, -spatial), flatten(x, -spatial))
    return reshape(filled, (*x.shape[:-spatial], *size))


@function()
def max_unpool1d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The way back from `max_pool1d`: maxima where they stood, zeros elsewhere."""
    return _unpool("max_unpool1d", 1, input, indices, kernel_size, stride, padding, output_size)


@function()
def max_unpool2d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The way back from `max_pool2d`: maxima where they stood, zeros elsewhere.

    >>> import pappus as pp
    >>> pp.max_unpool2d(pp.tensor([[[7.0]]]), pp.tensor([[[2]]]), 2).tolist()
    [[[0.0, 0.0], [7.0, 0.0]]]
    """
    return _unpool("max_unpool2d", 2, input, indices, kernel_size, stride, padding, output_size)


@function()
def max_unpool3d(
    input: Any, indices: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, output_size: Any = None
) -> Any:
    """The way back from `max_pool3d`: maxima where they stood, zeros elsewhere."""
    return _unpool("max_unpool3d", 3, input, indices, kernel_size, stride, padding, output_size)


# -- the gradient of maxima with places -----------------------------------------------------------


@function()
def max_pool2d_with_indices_backward(
    grad_output: Any, self: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool,
    indices: Any,
) -> Any:  # fmt: skip
    """The gradient of `max_pool2d_with_indices` (arguments as in Core ATen): added where each window's maximum
    stood."""
    blank = zeros((*self.shape[:-2], self.shape[-2] * self.shape[-1]), dtype=grad_output.dtype)
    return reshape(scatter_add(blank, -1, flatten(indices, -2), flatten(grad_output, -2)), tuple(self.shape))
