"""Changing the resolution of images and volumes: interpolation and pixel shuffling.

Interpolation is separable and linear, out = R_h @ x @ R_w^T with one small matrix per dimension. The forward kernels
read the two or four elements they need; the gradients are the products with the transposed matrices. Cubic kernels,
antialiasing and volumes have no kernels of their own: `resample` multiplies by the matrices.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic
from ..tensor import Tensor
from ._samples import floats

__all__ = ["pixel_shuffle", "pixel_unshuffle", "resample", "upsample_bilinear2d", "upsample_nearest2d"]


def _check_size(name: str, self: Any, output_size: Any) -> Spec:
    if self.ndim != 4:
        raise ShapeError(f"{name}: expected 4D (N, C, H, W) input, got size [{', '.join(map(str, self.shape))}]")
    for size in (*self.shape[2:], *output_size):
        if not is_symbolic(size) and size <= 0:
            raise ShapeError(
                f"{name}: Input and output sizes should be greater than 0, but got input {tuple(self.shape[2:])} and "
                f"output {tuple(output_size)}"
            )
    return Spec((*self.shape[:2], *output_size), self.dtype)


# -- nearest ------------------------------------------------------------------------------------


def _nearest(size: int, out: int, scale: float | None) -> Any:
    """Which input element each output element copies; in float32, where torch computes it."""
    step = np.float32(1 / scale if scale else size / out)
    return np.minimum((np.arange(out, dtype=np.float32) * step).astype(np.int64), size - 1)


def _nearest_shape(self: Spec, *, output_size: Any, scales_h: Any, scales_w: Any) -> Spec:
    return _check_size("upsample_nearest2d", self, output_size)


def _nearest_eager(xp: Any, self: Any, *, output_size: Any, scales_h: Any, scales_w: Any) -> Any:
    height, width = self.shape[2:]
    if output_size[0] % height == 0 and output_size[1] % width == 0 and scales_h is None and scales_w is None:
        return self.repeat(output_size[0] // height, axis=2).repeat(output_size[1] // width, axis=3)
    rows = xp.asarray(_nearest(height, output_size[0], scales_h))
    columns = xp.asarray(_nearest(width, output_size[1], scales_w))
    return self[:, :, rows[:, None], columns]


def _matrix(index: Any, weight: Any, size: int, like: Any, fixed_point: bool = False) -> Any:
    """The (out, size) matrix that adds `weight` times element `index`, for each (index, weight) pair of columns.

    With `fixed_point`, its entries have the binary places that 16-bit integers have for the largest of them.
    """
    rows = np.zeros((len(index[0]), size))
    for at, w in zip(index, weight, strict=True):
        np.add.at(rows, (np.arange(len(at)), at), w)
    if fixed_point:
        unit = 2.0 ** (14 - math.floor(math.log2(rows.max())))
        rows = np.trunc(rows * unit + np.copysign(0.5, rows)) / unit
    return Tensor._from_data(rows.astype(like.dtype.numpy))


def _transposed_product(g: Any, high: Any, wide: Any) -> Any:
    """R_h^T @ g @ R_w."""
    return high.transpose(0, 1) @ g @ wide


def _nearest_vjp(g: Any, _out: Any, _self: Any, *, output_size: Any, scales_h: Any, scales_w: Any) -> tuple[Any]:
    matrices = []
    for size, out, scale in zip(_self.shape[2:], output_size, (scales_h, scales_w), strict=True):
        matrices.append(_matrix([_nearest(int(size), int(out), scale)], [1.0], int(size), g))
    return (_transposed_product(g, *matrices),)


def _nearest_samples() -> Iterator[Sample]:
    yield Sample((floats(2, 2, 3, 4), (6, 8)))
    yield Sample((floats(1, 2, 4, 5), (7, 3)))


upsample_nearest2d = operator(
    "upsample_nearest2d(Tensor input, int[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor",
    """Resize (N, C, H, W) to `output_size`, copying the element at floor(i * H / OH) (i / scale where a scale is
    given).

    >>> import pappus as pp
    >>> pp.upsample_nearest2d(pp.tensor([[[[1.0, 2.0]]]]), (2, 4)).tolist()
    [[[[1.0, 1.0, 2.0, 2.0], [1.0, 1.0, 2.0, 2.0]]]]
    """,
    shape=_nearest_shape,
    eager=_nearest_eager,
    vjp=_nearest_vjp,
    samples=_nearest_samples,
)

# -- bilinear -----------------------------------------------------------------------------------


def _linear(size: int, out: int, align_corners: bool, scale: float | None) -> tuple[Any, Any, Any]:
    """For each output element: the two input elements it lies between, and how near it is to the second."""
    if align_corners:
        at = np.arange(out) * ((size - 1) / (out - 1) if out > 1 else 0.0)
    else:
        step = 1 / scale if scale else size / out
        at = np.maximum((np.arange(out) + 0.5) * step - 0.5, 0.0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    return low, high, np.clip(at - low, 0.0, 1.0)


def _bilinear_shape(self: Spec, *, output_size: Any, align_corners: bool, scales_h: Any, scales_w: Any) -> Spec:
    return _check_size("upsample_bilinear2d", self, output_size)


def _bilinear_eager(
    xp: Any, self: Any, *, output_size: Any, align_corners: bool, scales_h: Any, scales_w: Any
) -> Any:
    kind = self.dtype if self.dtype.itemsize >= 4 else xp.dtype("float32")
    x = self.astype(kind, copy=False)
    low, high, near = _linear(self.shape[2], output_size[0], align_corners, scales_h)
    weight = xp.asarray(near, dtype=kind)[:, None]
    x = x[:, :, low] * (1 - weight) + x[:, :, high] * weight
    low, high, near = _linear(self.shape[3], output_size[1], align_corners, scales_w)
    weight = xp.asarray(near, dtype=kind)
    return (x[..., low] * (1 - weight) + x[..., high] * weight).astype(self.dtype, copy=False)


def _bilinear_vjp(
    g: Any, _out: Any, _self: Any, *, output_size: Any, align_corners: bool, scales_h: Any, scales_w: Any
) -> tuple[Any]:
    matrices = []
    for size, out, scale in zip(_self.shape[2:], output_size, (scales_h, scales_w), strict=True):
        low, high, near = _linear(int(size), int(out), align_corners, scale)
        matrices.append(_matrix([low, high], [1 - near, near], int(size), g))
    return (_transposed_product(g, *matrices),)


def _bilinear_samples() -> Iterator[Sample]:
    for corners in (False, True):
        yield Sample((floats(2, 2, 3, 4), (6, 8), corners))
        yield Sample((floats(1, 2, 5, 4), (3, 7), corners))


upsample_bilinear2d = operator(
    "upsample_bilinear2d(Tensor input, int[2] output_size, bool align_corners=False, float? scales_h=None, "
    "float? scales_w=None) -> Tensor",
    """Resize (N, C, H, W) to `output_size` by linear interpolation along both dimensions.

    With `align_corners` the corner elements keep their places; otherwise pixels are areas, as in torch and OpenCV.

    >>> import pappus as pp
    >>> pp.upsample_bilinear2d(pp.tensor([[[[0.0, 3.0]]]]), (1, 4), True).tolist()
    [[[[0.0, 1.0, 2.0, 3.0]]]]
    """,
    shape=_bilinear_shape,
    eager=_bilinear_eager,
    vjp=_bilinear_vjp,
    samples=_bilinear_samples,
)

# -- any mode, any number of dimensions ---------------------------------------------------------


def _cubic(x: Any, a: float) -> Any:
    """Keys' kernel: 1 at 0, 0 at all other whole numbers and beyond 2."""
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


def _spread(size: int, out: int, scale: float | None, corners: bool, cubic: bool) -> tuple[list[Any], list[Any]]:
    """Antialiased interpolation: for each output element the input elements under its kernel, which is as wide as the
    step between output elements, and their weights."""
    step = ((size - 1) / (out - 1) if out > 1 else 0.0) if corners else (1 / scale if scale else size / out)
    width = max(step, 1.0)
    support = (2.0 if cubic else 1.0) * width
    center = step * (np.arange(out) + 0.5)
    low = np.maximum((center - support + 0.5).astype(np.int64), 0)
    high = np.minimum((center + support + 0.5).astype(np.int64), size)
    index, weight = [], []
    total = np.zeros(out)
    for k in range(int((high - low).max())):
        at = low + k
        distance = (at - center + 0.5) / width
        w = _cubic(distance, -0.5) if cubic else np.maximum(1 - np.abs(distance), 0.0)
        w = np.where(at < high, w, 0.0)
        total += w
        index.append(np.minimum(at, size - 1))
        weight.append(w)
    return index, [w / total for w in weight]


def _taps(size: int, out: int, scale: float | None, mode: str, corners: bool, antialias: bool) -> Any:
    """For each output element, the input elements it is made of and their weights: two lists of arrays."""
    if antialias:
        return _spread(size, out, scale, corners, mode == "bicubic")
    if mode == "bicubic":
        step = (size - 1) / (out - 1) if corners and out > 1 else 0.0 if corners else 1 / scale if scale else size / out
        at = np.arange(out) * step if corners else (np.arange(out) + 0.5) * step - 0.5
        low = np.floor(at).astype(np.int64)
        places = [low + k for k in range(-1, 3)]
        return [np.clip(p, 0, size - 1) for p in places], [_cubic(at - p, -0.75) for p in places]
    low, high, near = _linear(size, out, corners, scale)
    return [low, high], [1 - near, near]


def resample(x: Any, output_size: Any, scales: Any, mode: str, align_corners: bool, antialias: bool) -> Any:
    """(N, C, *) resized along every dimension behind the second: one product with a small matrix for each.

    `scales` has a number or None (the ratio of the sizes) per dimension. uint8 is computed with weights of 16 bits and
    rounded after each dimension, the last one first, as image libraries do.
    """
    from . import index_select

    kind = x.dtype
    dims = list(zip(range(2, x.ndim), output_size, scales, strict=True))
    for d, out, scale in reversed(dims):
        size, out = int(x.shape[d]), int(out)
        if mode.startswith("nearest"):
            # nearest takes the element below the start of the output element, nearest-exact the one below its centre.
            shift = np.float32(0.5 if mode == "nearest-exact" else 0.0)
            step = np.float32(1 / scale if scale else size / out)
            at = np.minimum(((np.arange(out, dtype=np.float32) + shift) * step).astype(np.int64), size - 1)
            x = index_select(x, d, Tensor._from_data(at))
        elif size != out or scale is not None:
            index, weight = _taps(size, out, scale, mode, align_corners, antialias)
            whole = not kind.is_floating_point
            x = x.double() if whole else x  # exact products and sums
            matrix = _matrix(index, weight, size, x, whole)
            x = (x.transpose(d, -1) @ matrix.transpose(0, 1)).transpose(d, -1)
            if whole:
                x = (x + 0.5).floor().clamp(0, 255)
    return x if x.dtype is kind else x.to(kind)


# -- pixel shuffle ------------------------------------------------------------------------------


def _shuffle_decompose(self: Any, *, upscale_factor: int) -> Any:
    r = upscale_factor
    if self.ndim < 3:
        raise ShapeError(f"pixel_shuffle: expects input to have at least 3 dimensions, but got {self.ndim}")
    if r <= 0:
        raise ArgumentError(f"pixel_shuffle: expects a positive upscale_factor, but got {r}")
    *batch, channels, height, width = self.shape
    if not is_symbolic(channels) and channels % (r * r):
        raise ShapeError(
            f"pixel_shuffle: expects its input's 'channel' dimension to be divisible by the square of upscale_factor, "
            f"but input.size(-3)={channels} is not divisible by {r * r}"
        )
    n = math.prod(batch) if not any(is_symbolic(b) for b in batch) else _product(batch)
    x = self.reshape(n, channels // (r * r), r, r, height, width).permute(0, 1, 4, 2, 5, 3)
    return x.reshape(*batch, channels // (r * r), height * r, width * r)


def _product(sizes: Any) -> Any:
    out: Any = 1
    for size in sizes:
        out = out * size
    return out


pixel_shuffle = operator(
    "pixel_shuffle(Tensor input, int upscale_factor) -> Tensor",
    """Rearrange (*, C r^2, H, W) to (*, C, H r, W r): r^2 channels become the r x r pixels of one.

    >>> import pappus as pp
    >>> pp.pixel_shuffle(pp.ones(1, 8, 2, 3), 2).shape
    pappus.Size([1, 2, 4, 6])
    """,
    decompose=_shuffle_decompose,
    samples=lambda: iter([Sample((floats(2, 8, 2, 3), 2)), Sample((floats(9, 2, 2), 3))]),
)


def _unshuffle_decompose(self: Any, *, downscale_factor: int) -> Any:
    r = downscale_factor
    if self.ndim < 3:
        raise ShapeError(f"pixel_unshuffle: expects input to have at least 3 dimensions, but got {self.ndim}")
    if r <= 0:
        raise ArgumentError(f"pixel_unshuffle: expects a positive downscale_factor, but got {r}")
    *batch, channels, height, width = self.shape
    for name, size in (("height", height), ("width", width)):
        if not is_symbolic(size) and size % r:
            raise ShapeError(f"pixel_unshuffle: expects {name} to be divisible by downscale_factor, but {size} is not "
                             f"divisible by {r}")  # fmt: skip
    x = self.reshape(_product(batch), channels, height // r, r, width // r, r).permute(0, 1, 3, 5, 2, 4)
    return x.reshape(*batch, channels * r * r, height // r, width // r)


pixel_unshuffle = operator(
    "pixel_unshuffle(Tensor input, int downscale_factor) -> Tensor",
    """Rearrange (*, C, H r, W r) to (*, C r^2, H, W): the inverse of `pixel_shuffle`.""",
    decompose=_unshuffle_decompose,
    samples=lambda: iter([Sample((floats(2, 2, 4, 6), 2)), Sample((floats(1, 3, 6), 3))]),
)
