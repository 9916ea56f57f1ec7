"""Pooling: maximum and mean over windows, written as operations on strided slices.

A window of k x k elements is k * k slices of the whole image, each with the stride as its step: the maximum (or sum) of
those slices is the pooled image. Copying windows would cost an order of magnitude more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..native import pool as native_pool
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic
from ..tensor import Tensor
from ._names import function
from ._samples import floats

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool2d", "avg_pool1d", "avg_pool2d",
    "avg_pool2d_backward", "max_pool1d", "max_pool2d", "max_pool2d_backward", "max_pool2d_with_indices",
]  # fmt: skip


def _sizes(shape: Any) -> str:
    return "[" + ", ".join(str(s) for s in shape) + "]"


def pooled_size(size: Any, k: int, s: int, p: int, d: int, ceil_mode: bool) -> Any:
    """The number of windows along one dimension; with `ceil_mode` a last, incomplete window counts too."""
    reach = size + 2 * p - d * (k - 1) - 1
    out = (reach + (s - 1 if ceil_mode else 0)) // s + 1
    if ceil_mode and (out - 1) * s >= size + p:  # the last window would start in the padding
        out = out - 1
    return out


def _geometry(name: str, shape: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """Check a pooling window and return (stride, output size)."""
    if len(shape) not in (3, 4):
        raise ShapeError(f"{name}: expected 3D (C, H, W) or 4D (N, C, H, W) input, got size {_sizes(shape)}")
    stride = tuple(stride) or tuple(kernel)
    for label, values in (("kernel_size", kernel), ("stride", stride), ("padding", padding), ("dilation", dilation)):
        if len(values) != 2:
            raise ArgumentError(f"{name}: {label} must be one int or two, got {list(values)}")
        if any(v < (0 if label == "padding" else 1) for v in values):
            raise ArgumentError(f"{name}: {label} must be {'non-negative' if label == 'padding' else 'positive'}, "
                                f"got {list(values)}")  # fmt: skip
    for k, p, d in zip(kernel, padding, dilation, strict=True):
        if p > ((k - 1) * d + 1) // 2:
            raise ArgumentError(
                f"{name}: pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}"
            )
    out = tuple(
        pooled_size(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(shape[-2:], kernel, stride, padding, dilation, strict=True)
    )
    if any(not is_symbolic(o) and o < 1 for o in out):
        raise ShapeError(
            f"{name}: Given input size: {_sizes(shape[-3:])}. Calculated output size: {_sizes((shape[-3], *out))}. "
            "Output size is too small; use a smaller kernel or a larger input"
        )
    return stride, out


def _padded(xp: Any, x: Any, kernel: Any, stride: Any, padding: Any, dilation: Any, out: Any, fill: Any) -> Any:
    """`x` with its border, as large as the windows reach (never smaller than the image itself)."""
    reach = [s * (o - 1) + d * (k - 1) + 1 for k, s, d, o in zip(kernel, stride, dilation, out, strict=True)]
    sizes = tuple(max(r, n + p) for r, n, p in zip(reach, x.shape[-2:], padding, strict=True))
    if sizes == x.shape[-2:] and not any(padding):
        return x
    buffer = xp.full(x.shape[:-2] + sizes, fill, dtype=x.dtype)
    buffer[(..., *_inner(x.shape, padding))] = x
    return buffer


def _inner(shape: Any, padding: Any) -> tuple[slice, slice]:
    return (slice(padding[0], padding[0] + shape[-2]), slice(padding[1], padding[1] + shape[-1]))


def _windows(kernel: Any, stride: Any, dilation: Any, out: Any) -> list[tuple[int, int, Any]]:
    """For each position in the window: its row, its column, and the index of its slice of the padded image."""
    taps = []
    for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
        rows = slice(i * dilation[0], i * dilation[0] + stride[0] * (out[0] - 1) + 1, stride[0])
        columns = slice(j * dilation[1], j * dilation[1] + stride[1] * (out[1] - 1) + 1, stride[1])
        taps.append((i, j, (..., rows, columns)))
    return taps


def _lowest(xp: Any, dtype: Any) -> Any:
    return xp.iinfo(dtype).min if dtype.kind in "iu" else -np.inf


# -- maximum ------------------------------------------------------------------------------------


def _max_pool_shape(
    self: Spec, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Spec:
    _, out = _geometry("max_pool2d", self.shape, kernel_size, stride, padding, dilation, ceil_mode)
    return Spec((*self.shape[:-2], *out), self.dtype)


def _max_pool_eager(
    xp: Any, self: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    stride, size = _geometry("max_pool2d", self.shape, kernel_size, stride, padding, dilation, ceil_mode)
    found = native_pool.pool(native_pool.MAX, self, size, kernel_size, stride, padding, dilation)
    if found is not None:
        return found
    x = _padded(xp, self, kernel_size, stride, padding, dilation, size, _lowest(xp, self.dtype))
    taps = _windows(kernel_size, stride, dilation, size)
    out = x[taps[0][2]].copy()
    for _, _, window in taps[1:]:
        xp.maximum(out, x[window], out=out)
    return out


def _max_pool_vjp(g: Any, out: Any, self: Any, **attrs: Any) -> tuple[Any]:
    return (max_pool2d_backward(g, self, out, **attrs),)


def _max_samples() -> Iterator[Sample]:
    yield Sample((floats(2, 3, 6, 6), 2))
    yield Sample((floats(2, 2, 7, 6), 3), {"stride": 2, "padding": 1})
    yield Sample((floats(3, 7, 5), (2, 3)), {"stride": (2, 1), "ceil_mode": True})
    yield Sample((floats(1, 2, 7, 7), 2), {"stride": 3, "dilation": 2})


max_pool2d = operator(
    "max_pool2d(Tensor input, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
    "bool ceil_mode=False) -> Tensor",
    """Maximum over windows of (N, C, H, W) or (C, H, W); `stride` defaults to `kernel_size`, the border counts as -inf.

    >>> import pappus as pp
    >>> pp.max_pool2d(pp.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[5.0, 7.0], [13.0, 15.0]]]]
    """,
    shape=_max_pool_shape,
    eager=_max_pool_eager,
    vjp=_max_pool_vjp,
    samples=_max_samples,
)


def _max_indices_shape(self: Spec, **attrs: Any) -> tuple[Spec, Spec]:
    from ..dtypes import int64

    out = _max_pool_shape(self, **attrs)
    return out, Spec(out.shape, int64)


def _max_indices_eager(
    xp: Any, self: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool
) -> Any:
    stride, size = _geometry("max_pool2d", self.shape, kernel_size, stride, padding, dilation, ceil_mode)
    x = _padded(xp, self, kernel_size, stride, padding, dilation, size, _lowest(xp, self.dtype))
    rows = (xp.arange(size[0]) * stride[0] - padding[0])[:, None]
    columns = xp.arange(size[1]) * stride[1] - padding[1]
    best = xp.full(self.shape[:-2] + tuple(size), _lowest(xp, self.dtype), dtype=self.dtype)
    index = xp.full(best.shape, -1, dtype=xp.int64)
    width = self.shape[-1]
    for i, j, window in _windows(kernel_size, stride, dilation, size):
        y, z = rows + i * dilation[0], columns + j * dilation[1]
        inside = (y >= 0) & (y < self.shape[-2]) & (z >= 0) & (z < width)
        value = x[window]
        nan = xp.isnan(value) if value.dtype.kind not in "iub" else False
        better = inside & ((value > best) | (index < 0) | nan)
        xp.copyto(best, value, where=better)
        xp.copyto(index, y * width + z, where=better)
    return best, index


def _max_indices_vjp(g: Any, out: Any, self: Any, **_: Any) -> tuple[Any]:
    grad = g[0] if isinstance(g, (tuple, list)) else g
    index = out[1].flatten(-2)
    flat = self.new_zeros((*self.shape[:-2], self.shape[-2] * self.shape[-1]))
    return (flat.scatter_add(-1, index, grad.flatten(-2)).reshape(self.shape),)


max_pool2d_with_indices = operator(
    "max_pool2d_with_indices(Tensor input, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, "
    "bool ceil_mode=False) -> (Tensor, Tensor)",
    """`max_pool2d` and, as int64, where each maximum stands: row * W + column of the first one in its window.""",
    shape=_max_indices_shape,
    eager=_max_indices_eager,
    vjp=_max_indices_vjp,
    samples=_max_samples,
)


def _max_backward_shape(grad_output: Spec, self: Spec, out: Spec, **_: Any) -> Spec:
    return Spec(self.shape, grad_output.dtype)


def _max_backward_eager(
    xp: Any, grad_output: Any, self: Any, out: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    ceil_mode: bool,
) -> Any:  # fmt: skip
    stride, size = _geometry("max_pool2d", self.shape, kernel_size, stride, padding, dilation, ceil_mode)
    found = native_pool.pool_grad(
        native_pool.MAX, grad_output, self, self.shape[-2:], kernel_size, stride, padding, dilation
    )  # fmt: skip
    if found is not None:
        return found
    x = _padded(xp, self, kernel_size, stride, padding, dilation, size, _lowest(xp, self.dtype))
    # Windows that do not overlap write every element at most once, so the gradient can be stored and not added.
    apart = all(s >= d * (k - 1) + 1 for s, d, k in zip(stride, dilation, kernel_size, strict=True))
    covered = apart and tuple(s * o for s, o in zip(stride, size, strict=True)) == x.shape[-2:] == self.shape[-2:]
    full = covered and tuple(stride) == tuple(kernel_size)
    grad = xp.empty(x.shape, grad_output.dtype) if full else xp.zeros(x.shape, grad_output.dtype)
    free = xp.ones(out.shape, dtype=bool)
    hit = xp.empty(out.shape, dtype=bool)
    for _, _, window in _windows(kernel_size, stride, dilation, size):
        xp.equal(x[window], out, out=hit)
        xp.logical_and(hit, free, out=hit)
        if apart:
            xp.multiply(grad_output, hit, out=grad[window])
        else:
            grad[window] += grad_output * hit
        xp.logical_xor(free, hit, out=free)
    if grad.shape == self.shape:
        return grad
    return xp.ascontiguousarray(grad[(..., *_inner(self.shape, padding))])


def _max_backward_vjp(g: Any, _out: Any, _grad: Any, self: Any, _pooled: Any, **attrs: Any) -> tuple[Any, None, None]:
    index = max_pool2d_with_indices(self.detach(), **attrs)[1]
    return g.flatten(-2).gather(-1, index.flatten(-2)).reshape(index.shape), None, None


def _max_backward_samples() -> Iterator[Sample]:
    for sample in _max_samples():
        x = sample.args[0]
        options = {"stride": (), "padding": (0, 0), "dilation": (1, 1), "ceil_mode": False, **sample.kwargs}
        out = max_pool2d(x, sample.args[1], **options)
        yield Sample((floats(*out.shape, seed=3), x.detach(), out.detach(), sample.args[1]), options)


max_pool2d_backward = operator(
    "max_pool2d_backward(Tensor grad_output, Tensor input, Tensor out, int[2] kernel_size, int[2] stride=[], "
    "int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor",
    """Gradient of `max_pool2d`: each window's gradient goes to the first of its maxima; linear in `grad_output`.""",
    shape=_max_backward_shape,
    eager=_max_backward_eager,
    vjp=_max_backward_vjp,
    samples=_max_backward_samples,
)

# -- mean ---------------------------------------------------------------------------------------


def _divisor(xp: Any, shape: Any, kernel: Any, stride: Any, padding: Any, size: Any, include: bool, fixed: Any) -> Any:
    """What each window's sum is divided by: a number, or (OH, OW) where windows differ."""
    if fixed is not None:
        return fixed
    counts = []
    for n, k, s, p, o in zip(shape[-2:], kernel, stride, padding, size, strict=True):
        start = xp.arange(o) * s - p
        end = xp.minimum(start + k, n + p)
        if not include:
            start, end = xp.maximum(start, 0), xp.minimum(end, n)
        counts.append(end - start)
    if all((c == k).all() for c, k in zip(counts, kernel, strict=True)):
        return kernel[0] * kernel[1]
    return counts[0][:, None] * counts[1]


def _wide(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Sums of float16 and bfloat16 elements in float32, rounded once."""

    def run(xp: Any, x: Any, **attrs: Any) -> Any:
        short = x.dtype.itemsize == 2 and x.dtype.kind in "fV"
        return kernel(xp, x.astype(np.float32), **attrs).astype(x.dtype) if short else kernel(xp, x, **attrs)

    return run


def _avg_pool_shape(
    self: Spec, *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor_override: Any,
) -> Spec:  # fmt: skip
    if divisor_override is not None and divisor_override == 0:
        raise ArgumentError("avg_pool2d: divisor must be not zero")
    _, out = _geometry("avg_pool2d", self.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    return Spec((*self.shape[:-2], *out), self.dtype)


@_wide
def _avg_pool_eager(
    xp: Any, self: Any, *, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor_override: Any,
) -> Any:  # fmt: skip
    stride, size = _geometry("avg_pool2d", self.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    found = native_pool.pool(
        native_pool.AVG, self, size, kernel_size, stride, padding, (1, 1), count_include_pad, divisor_override
    )
    if found is not None:
        return found
    x = _padded(xp, self, kernel_size, stride, padding, (1, 1), size, 0)
    taps = _windows(kernel_size, stride, (1, 1), size)
    out = x[taps[0][2]].copy()
    for _, _, window in taps[1:]:
        out += x[window]
    divisor = _divisor(xp, self.shape, kernel_size, stride, padding, size, count_include_pad, divisor_override)
    return (out / divisor).astype(self.dtype, copy=False)


def _avg_pool_vjp(g: Any, _out: Any, _self: Any, **attrs: Any) -> tuple[Any]:
    return (avg_pool2d_backward(g, tuple(_self.shape[-2:]), **attrs),)


def _avg_samples() -> Iterator[Sample]:
    yield Sample((floats(2, 3, 6, 6), 2))
    yield Sample((floats(2, 2, 7, 6), 3), {"stride": 2, "padding": 1})
    yield Sample((floats(2, 2, 7, 6), 3), {"stride": 2, "padding": 1, "count_include_pad": False})
    yield Sample((floats(3, 7, 5), (2, 3)), {"stride": (2, 1), "ceil_mode": True})
    yield Sample((floats(1, 1, 4, 4), 2), {"divisor_override": 3})


_AVG_ATTRS = (
    "int[2] kernel_size, int[2] stride=[], int[2] padding=0, bool ceil_mode=False, bool count_include_pad=True, "
    "int? divisor_override=None"
)

avg_pool2d = operator(
    f"avg_pool2d(Tensor input, {_AVG_ATTRS}) -> Tensor",
    """Mean over windows of (N, C, H, W) or (C, H, W); `stride` defaults to `kernel_size`.

    The border's zeros are counted unless `count_include_pad=False`; `divisor_override` replaces the count.

    >>> import pappus as pp
    >>> pp.avg_pool2d(pp.arange(16.0).reshape(1, 1, 4, 4), 2).tolist()
    [[[[2.5, 4.5], [10.5, 12.5]]]]
    """,
    shape=_avg_pool_shape,
    eager=_avg_pool_eager,
    vjp=_avg_pool_vjp,
    samples=_avg_samples,
)


def _avg_backward_shape(grad_output: Spec, *, input_size: Any, **_: Any) -> Spec:
    return Spec((*grad_output.shape[:-2], *input_size), grad_output.dtype)


@_wide
def _avg_backward_eager(
    xp: Any, grad_output: Any, *, input_size: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool,
    count_include_pad: bool, divisor_override: Any,
) -> Any:  # fmt: skip
    stride, size = tuple(stride) or tuple(kernel_size), grad_output.shape[-2:]
    found = native_pool.pool_grad(
        native_pool.AVG, grad_output, None, tuple(input_size), kernel_size, stride, padding, (1, 1), count_include_pad,
        divisor_override,
    )  # fmt: skip
    if found is not None:
        return found
    divisor = _divisor(xp, input_size, kernel_size, stride, padding, size, count_include_pad, divisor_override)
    share = (grad_output / divisor).astype(grad_output.dtype, copy=False)
    reach = [max(s * (o - 1) + k, n + p) for k, s, o, n, p in zip(kernel_size, stride, size, input_size, padding,
                                                                  strict=True)]  # fmt: skip
    grad = xp.zeros((*grad_output.shape[:-2], *reach), dtype=grad_output.dtype)
    for _, _, window in _windows(kernel_size, stride, (1, 1), size):
        grad[window] += share
    return xp.ascontiguousarray(grad[(..., *_inner(input_size, padding))])


def _avg_backward_vjp(g: Any, _out: Any, _grad: Any, *, input_size: Any, **attrs: Any) -> tuple[Any]:
    return (avg_pool2d(g, **attrs),)


avg_pool2d_backward = operator(
    f"avg_pool2d_backward(Tensor grad_output, int[2] input_size, {_AVG_ATTRS}) -> Tensor",
    """Gradient of `avg_pool2d`: each window's gradient, divided by its count, is added to its elements.""",
    shape=_avg_backward_shape,
    eager=_avg_backward_eager,
    vjp=_avg_backward_vjp,
    samples=lambda: iter([Sample((floats(2, 3, 3, 3), (6, 6), 2)), Sample((floats(2, 3, 3, 3), (5, 6), 3),
                                                                             {"stride": 2, "padding": 1})]),
)  # fmt: skip

# -- adaptive and one-dimensional forms ---------------------------------------------------------


def _bins(size: int, count: int) -> list[tuple[int, int]]:
    """Where each of `count` windows over `size` elements starts and ends."""
    return [(i * size // count, -(-(i + 1) * size // count)) for i in range(count)]


def _adaptive_size(name: str, self: Any, output_size: Any) -> tuple[Any, ...]:
    if self.ndim not in (3, 4):
        raise ShapeError(f"{name}: expected 3D or 4D input, got size {_sizes(self.shape)}")
    if len(output_size) != 2 or any(o < 0 for o in output_size):
        raise ArgumentError(f"{name}: output_size must be one or two non-negative ints, got {list(output_size)}")
    return tuple(output_size)


def _adaptive_avg_decompose(self: Any, *, output_size: Any) -> Any:
    size = _adaptive_size("adaptive_avg_pool2d", self, output_size)
    if size == (1, 1):
        return self.mean((-2, -1), keepdim=True)
    kernel = _even_kernel(self.shape[-2:], size)
    if kernel is not None:
        return avg_pool2d(self, kernel)
    matrices = []
    for n, o in zip(self.shape[-2:], size, strict=True):
        rows = np.zeros((o, int(n)))
        for row, (start, end) in zip(rows, _bins(int(n), o), strict=True):
            row[start:end] = 1 / (end - start)
        matrices.append(Tensor._from_data(rows.astype(self.dtype.numpy)))
    return matrices[0] @ self @ matrices[1].transpose(0, 1)


def _even_kernel(shape: Any, size: Any) -> tuple[Any, ...] | None:
    """The window of a plain pooling that does the same, where the output divides the input."""
    if any(is_symbolic(n) or o == 0 or n % o for n, o in zip(shape, size, strict=True)):
        return None
    return tuple(n // o for n, o in zip(shape, size, strict=True))


def _adaptive_samples() -> Iterator[Sample]:
    yield Sample((floats(2, 3, 6, 4), 1))
    yield Sample((floats(2, 3, 6, 4), (3, 2)))
    yield Sample((floats(2, 7, 5), (3, 2)))


adaptive_avg_pool2d = operator(
    "adaptive_avg_pool2d(Tensor input, int[2] output_size) -> Tensor",
    """Mean over a grid of `output_size` windows that covers the image, whatever its size.

    Window i of o over n elements runs from floor(i n / o) to ceil((i + 1) n / o).

    >>> import pappus as pp
    >>> pp.adaptive_avg_pool2d(pp.ones(1, 3, 7, 5), (2, 2)).shape
    pappus.Size([1, 3, 2, 2])
    """,
    decompose=_adaptive_avg_decompose,
    samples=_adaptive_samples,
)


def _adaptive_max_decompose(self: Any, *, output_size: Any) -> Any:
    size = _adaptive_size("adaptive_max_pool2d", self, output_size)
    if size == (1, 1) and any(is_symbolic(n) for n in self.shape[-2:]):
        return self.amax((-2, -1), keepdim=True)
    kernel = _even_kernel(self.shape[-2:], size)
    if kernel is not None:
        return max_pool2d(self, kernel)
    from . import stack

    high, wide = (_bins(int(n), o) for n, o in zip(self.shape[-2:], size, strict=True))
    # One pooling for each window: its gradient goes to the first of equal maxima, in the order of rows.
    found = [max_pool2d(self[..., a:b, c:d], (b - a, d - c)) for a, b in high for c, d in wide]
    return stack(found, -1).reshape(*self.shape[:-2], *size)


adaptive_max_pool2d = operator(
    "adaptive_max_pool2d(Tensor input, int[2] output_size) -> Tensor",
    """Maximum over a grid of `output_size` windows that covers the image; see `adaptive_avg_pool2d`.""",
    decompose=_adaptive_max_decompose,
    samples=_adaptive_samples,
)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, (tuple, list)) and value else value


@function()
def max_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, dilation: Any = 1, ceil_mode: bool = False
) -> Any:
    """Maximum over windows of (N, C, L) or (C, L): `max_pool2d` on images of height 1."""
    k, p, d = _first(kernel_size), _first(padding), _first(dilation)
    s = k if stride is None or stride in ((), []) else _first(stride)
    return max_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), (1, d), ceil_mode).squeeze(-2)


@function()
def avg_pool1d(
    input: Any, kernel_size: Any, stride: Any = None, padding: Any = 0, ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Any:  # fmt: skip
    """Mean over windows of (N, C, L) or (C, L): `avg_pool2d` on images of height 1."""
    k, p = _first(kernel_size), _first(padding)
    s = k if stride is None or stride in ((), []) else _first(stride)
    return avg_pool2d(input.unsqueeze(-2), (1, k), (1, s), (0, p), ceil_mode, count_include_pad).squeeze(-2)


@function()
def adaptive_avg_pool1d(input: Any, output_size: Any) -> Any:
    """Mean over `output_size` windows that cover the last dimension of (N, C, L) or (C, L)."""
    return adaptive_avg_pool2d(input.unsqueeze(-2), (1, _first(output_size))).squeeze(-2)
