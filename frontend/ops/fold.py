"""Sliding windows of images as columns, and their sum back into images: what torch calls unfold and fold."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from ..tensor import Tensor
from ._samples import floats
from ._shapes import numel

__all__ = ["col2im", "im2col"]

_ATTRS = "int[2] dilation=1, int[2] padding=0, int[2] stride=1"


def _check(name: str, sizes: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> tuple[Any, Any]:
    """How many windows there are along the height and the width."""
    for label, pair, least in (("kernel_size", kernel_size, 1), ("dilation", dilation, 1), ("padding", padding, 0),
                               ("stride", stride, 1)):  # fmt: skip
        if len(pair) != 2 or min(pair) < least:
            rule = "greater than zero" if least else "not negative"
            raise ArgumentError(f"{name}: {label} must be one int or two, {rule}, got {list(pair)}")
    counts = tuple(
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(sizes, kernel_size, dilation, padding, stride, strict=True)
    )
    if any(not is_symbolic(n) and n < 1 for n in counts):
        raise ShapeError(
            f"{name}: windows of kernel_size {list(kernel_size)}, dilation {list(dilation)} do not fit an image of "
            f"size {list(sizes)} with padding {list(padding)}: their number along height and width would be "
            f"{list(counts)}, which must be at least 1"
        )
    return counts[0], counts[1]


def _places(kernel_size: Any, dilation: Any, stride: Any, counts: Any) -> Any:
    """For each element of the window, row by row: the (start, end, step) along height and width of where it falls."""
    for i in range(kernel_size[0]):
        for j in range(kernel_size[1]):
            yield tuple(
                (at * d, at * d + s * (n - 1) + 1, s)
                for at, d, s, n in zip((i, j), dilation, stride, counts, strict=True)
            )


# -- im2col ---------------------------------------------------------------------------------------


def _im2col_shape(self: Spec, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Spec:
    if self.ndim not in (3, 4) or any(n == 0 for n in self.shape[-3:] if not is_symbolic(n)):
        raise ShapeError(
            "im2col: expected 3D (C, H, W) or 4D (N, C, H, W) input of sizes above zero (the batch may be empty), got "
            f"{list(self.shape)}"
        )
    rows, columns = _check("im2col", self.shape[-2:], kernel_size, dilation, padding, stride)
    return Spec((*self.shape[:-3], self.shape[-3] * numel(kernel_size), rows * columns), self.dtype)


def _im2col_eager(xp: Any, x: Any, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    counts = _check("im2col", x.shape[-2:], kernel_size, dilation, padding, stride)
    if any(padding):
        x = xp.pad(x, [(0, 0)] * (x.ndim - 2) + [(p, p) for p in padding])
    out = xp.empty((*x.shape[:-2], numel(kernel_size), *counts), x.dtype)
    for at, (high, wide) in enumerate(_places(kernel_size, dilation, stride, counts)):
        out[..., at, :, :] = x[..., slice(*high), slice(*wide)]
    return out.reshape(*x.shape[:-3], x.shape[-3] * numel(kernel_size), counts[0] * counts[1])


def _im2col_decompose(x: Any, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Any:
    from . import constant_pad_nd, slice, stack

    counts = _check("im2col", x.shape[-2:], kernel_size, dilation, padding, stride)
    batch, channels = x.shape[:-3], x.shape[-3]
    if any(padding):
        x = constant_pad_nd(x, (padding[1], padding[1], padding[0], padding[0]))
    places = _places(kernel_size, dilation, stride, counts)
    parts = [slice(slice(x, -2, *high), -1, *wide) for high, wide in places]
    return stack(parts, -3).reshape(*batch, channels * len(parts), counts[0] * counts[1])


def _im2col_vjp(
    g: Any, _out: Any, _self: Any, *, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Any]:
    return (col2im(g, tuple(_self.shape[-2:]), kernel_size, dilation, padding, stride),)


im2col = operator(
    f"im2col(Tensor self, int[2] kernel_size, {_ATTRS}) -> Tensor",
    """The windows of images (N, C, H, W) as columns: (N, C * kh * kw, L), with L windows counted row by row.

    A window has kh x kw elements, `dilation` apart; neighbouring windows are `stride` apart, and zeros lie around the
    image for `padding`. Images without a batch (C, H, W) are taken too. Raises ShapeError where no window fits.

    >>> import pappus as pp
    >>> pp.im2col(pp.arange(6.0).reshape(1, 1, 2, 3), (2, 2)).tolist()
    [[[0.0, 1.0], [1.0, 2.0], [3.0, 4.0], [4.0, 5.0]]]
    """,
    shape=_im2col_shape, eager=_im2col_eager, vjp=_im2col_vjp, decompose=_im2col_decompose, complex="own",
    samples=lambda: [
        Sample((floats(2, 2, 4, 5), (2, 3))),
        Sample((floats(2, 5, 4), (3, 2)), {"dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}),
    ],
)  # fmt: skip

# -- col2im ---------------------------------------------------------------------------------------


def _col2im_shape(
    self: Spec, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Spec:
    area = numel(kernel_size)
    if self.ndim not in (2, 3) or any(n == 0 for n in self.shape[-2:] if not is_symbolic(n)):
        raise ShapeError(
            f"col2im: expected 2D (C * {area}, L) or 3D (N, C * {area}, L) input of sizes above zero (the batch may be "
            f"empty), got {list(self.shape)}"
        )
    rows, columns = _check("col2im", output_size, kernel_size, dilation, padding, stride)
    if not is_symbolic(self.shape[-2]) and self.shape[-2] % area:
        raise ShapeError(
            f"col2im: dimension -2 of the input must be divisible by the window's size, {area}, got {self.shape[-2]}"
        )
    if not sym_eq(self.shape[-1], rows * columns):
        raise ShapeError(
            f"col2im: an image of size {list(output_size)} has {rows} * {columns} = {rows * columns} windows of "
            f"kernel_size {list(kernel_size)}, dilation {list(dilation)}, padding {list(padding)}, stride "
            f"{list(stride)}, but dimension -1 of the input is {self.shape[-1]}"
        )
    return Spec((*self.shape[:-2], self.shape[-2] // area, *output_size), self.dtype)


def _col2im_eager(
    xp: Any, x: Any, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Any:
    counts = _check("col2im", output_size, kernel_size, dilation, padding, stride)
    area, (high_pad, wide_pad) = numel(kernel_size), padding
    windows = x.reshape(*x.shape[:-2], x.shape[-2] // area, area, *counts)
    kind = xp.float32 if x.dtype.itemsize == 2 and x.dtype.kind in "fV" else x.dtype
    size = (output_size[0] + 2 * high_pad, output_size[1] + 2 * wide_pad)
    out = xp.zeros((*windows.shape[:-3], *size), kind)
    for at, (high, wide) in enumerate(_places(kernel_size, dilation, stride, counts)):
        out[..., slice(*high), slice(*wide)] += windows[..., at, :, :]
    out = out[..., high_pad : high_pad + output_size[0], wide_pad : wide_pad + output_size[1]]
    return xp.ascontiguousarray(out, dtype=x.dtype)


def _col2im_decompose(
    x: Any, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> Any:
    # A transposed convolution whose kernels each hold one 1 puts every row of the columns where it came from.
    from . import convolution

    area = numel(kernel_size)
    counts = _check("col2im", output_size, kernel_size, dilation, padding, stride)
    channels = int(x.shape[-2]) // area
    kernels = np.tile(np.eye(area).reshape(area, 1, *kernel_size), (channels, 1, 1, 1)).astype(x.dtype.numpy)
    rest = tuple(
        (n + 2 * p - d * (k - 1) - 1) % s
        for n, p, d, k, s in zip(output_size, padding, dilation, kernel_size, stride, strict=True)
    )
    batch = x.shape[:-2] or (1,)
    windows = x.reshape(*batch, x.shape[-2], *counts)
    weight = Tensor._from_data(kernels)
    out = convolution(
        windows, weight, None, stride, padding, dilation, transposed=True, output_padding=rest, groups=channels
    )
    return out.reshape(*x.shape[:-2], channels, *output_size)


def _col2im_vjp(
    g: Any, _out: Any, _self: Any, *, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any
) -> tuple[Any]:
    return (im2col(g, kernel_size, dilation, padding, stride),)


col2im = operator(
    f"col2im(Tensor self, int[2] output_size, int[2] kernel_size, {_ATTRS}) -> Tensor",
    """The sum of windows (N, C * kh * kw, L) at their places in images (N, C, *output_size): the adjoint of `im2col`.

    Where windows overlap their elements add up, so that col2im(im2col(x)) is x times the number of windows over each
    element. Raises ShapeError where the number of columns is not that of the windows of such an image.

    >>> import pappus as pp
    >>> pp.col2im(pp.ones(1, 4, 2), (2, 3), (2, 2)).tolist()
    [[[[1.0, 2.0, 1.0], [1.0, 2.0, 1.0]]]]
    """,
    shape=_col2im_shape, eager=_col2im_eager, vjp=_col2im_vjp, decompose=_col2im_decompose, complex="own",
    samples=lambda: [
        Sample((floats(2, 12, 9), (4, 5), (2, 3))),
        Sample((floats(12, 6), (5, 4), (3, 2)), {"dilation": (1, 2), "padding": (1, 0), "stride": (2, 1)}),
    ],
)  # fmt: skip
