"""The functions of `pappus.nn.functional` on images and volumes: resizing, sampling, windows, shuffling and padding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.ops.resize import resample
from pappus.frontend.symbolic import is_symbolic
from pappus.frontend.tensor import Tensor

__all__ = [
    "affine_grid", "channel_shuffle", "fold", "grid_sample", "interpolate", "pad", "pixel_shuffle", "pixel_unshuffle",
    "unfold", "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip


# -- channels and pixels, windows ---------------------------------------------------------------


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """(*, C r^2, H, W) to (*, C, H r, W r): channels become pixels."""
    return ops.pixel_shuffle(input, upscale_factor)  # type: ignore[no-any-return]


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """(*, C, H r, W r) to (*, C r^2, H, W): pixels become channels."""
    return ops.pixel_unshuffle(input, downscale_factor)  # type: ignore[no-any-return]


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """(N, C, *) with the channels of `groups` groups dealt in turn: the first of each group, then the second ...

    >>> import pappus as pp
    >>> channel_shuffle(pp.arange(4.0).reshape(1, 4, 1), 2).flatten().tolist()
    [0.0, 2.0, 1.0, 3.0]
    """
    if input.ndim < 3:
        raise ShapeError(f"channel_shuffle: expects input with > 2 dims, but got input with sizes {list(input.shape)}")
    if groups <= 0:
        raise ArgumentError(f"channel_shuffle: number of groups must be positive, got {groups}")
    channels = input.shape[1]
    if not is_symbolic(channels) and channels % groups:
        raise ShapeError(f"channel_shuffle: the {channels} channels must be divisible by groups, {groups}")
    return input.unflatten(1, (groups, channels // groups)).transpose(1, 2).flatten(1, 2)  # type: ignore[no-any-return]


def unfold(input: Tensor, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1) -> Tensor:
    """The windows of images (N, C, H, W) or (C, H, W) as columns: (N, C * kh * kw, L)."""
    return ops.im2col(input, kernel_size, dilation, padding, stride)  # type: ignore[no-any-return]


def fold(
    input: Tensor, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Tensor:
    """The sum of windows (N, C * kh * kw, L) at their places in images of `output_size`: (N, C, *output_size)."""
    return ops.col2im(input, output_size, kernel_size, dilation, padding, stride)  # type: ignore[no-any-return]


# -- sampling -----------------------------------------------------------------------------------


def grid_sample(
    input: Tensor, grid: Tensor, mode: str = "bilinear", padding_mode: str = "zeros", align_corners: bool | None = None
) -> Tensor:
    """Images (N, C, H, W) read at the points (x, y) from -1 to 1 of a grid (N, OH, OW, 2); volumes likewise."""
    return ops.grid_sample(input, grid, mode, padding_mode, bool(align_corners))  # type: ignore[no-any-return]


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """The grid (N, H, W, 2) of affine maps theta (N, 2, 3) for images of `size` (N, C, H, W); volumes likewise."""
    return ops.affine_grid_generator(theta, tuple(size), bool(align_corners))  # type: ignore[no-any-return]


# -- resizing -----------------------------------------------------------------------------------

# Which numbers of spatial dimensions each mode is for.
_MODES = {
    "nearest": (1, 2, 3), "nearest-exact": (1, 2, 3), "area": (1, 2, 3), "linear": (1,), "bilinear": (2,),
    "bicubic": (2,), "trilinear": (3,),
}  # fmt: skip
_SMOOTH = ("linear", "bilinear", "bicubic", "trilinear")


def interpolate(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None, antialias: bool = False,
) -> Tensor:  # fmt: skip
    """Resize (N, C, L), (N, C, H, W) or (N, C, D, H, W) to `size` or by `scale_factor`.

    Modes: nearest, nearest-exact and area for all, linear (3D), bilinear and bicubic (4D), trilinear (5D).
    With `align_corners` the corner elements keep their places; `antialias` (bilinear, bicubic) widens the kernel where
    it shrinks. A fractional scale is used as it is given unless `recompute_scale_factor`.

    >>> import pappus as pp
    >>> interpolate(pp.ones(1, 1, 2, 3), scale_factor=2).shape
    pappus.Size([1, 1, 4, 6])
    """
    spatial = input.ndim - 2
    if spatial not in (1, 2, 3):
        raise ShapeError(
            f"interpolate: expected 3D (N, C, L), 4D (N, C, H, W) or 5D (N, C, D, H, W) input, got {input.ndim}D"
        )
    if mode not in _MODES:
        raise ArgumentError(f"interpolate: unknown mode {mode!r}; use one of {', '.join(_MODES)}")
    if spatial not in _MODES[mode]:
        raise ArgumentError(f"interpolate: mode {mode!r} does not apply to {input.ndim}D input")
    if antialias and mode not in ("bilinear", "bicubic"):
        raise ValueError("interpolate: antialias is only for the modes bilinear and bicubic")
    if align_corners is not None and mode not in _SMOOTH:
        raise ValueError(f"interpolate: align_corners applies only to {', '.join(_SMOOTH)}")
    sizes, scales = _sizes(input, size, scale_factor, recompute_scale_factor)
    if any(not is_symbolic(n) and n < 1 for n in (*input.shape[1:], *sizes)):
        raise ShapeError(
            "interpolate: input and output sizes should be greater than 0 (the batch may be empty), got input "
            f"{list(input.shape)} and output {list(sizes)}"
        )
    if mode == "area":
        pools = (ops.adaptive_avg_pool1d, ops.adaptive_avg_pool2d, ops.adaptive_avg_pool3d)
        return pools[spatial - 1](input, sizes[0] if spatial == 1 else sizes)  # type: ignore[no-any-return]
    corners = bool(align_corners)
    whole = mode != "nearest" and not input.dtype.is_floating_point
    if mode in ("nearest", "linear", "bilinear") and spatial < 3 and not antialias and not whole:
        # The modes that have operators of their own, for images; a line is an image of height 1.
        x = input if spatial == 2 else input.unsqueeze(2)
        if spatial == 1:
            sizes, scales = (1, *sizes), (None, *scales)
        if mode == "nearest":
            out = ops.upsample_nearest2d(x, sizes, *scales)
        else:
            out = ops.upsample_bilinear2d(x, sizes, corners, *scales)
        return out if spatial == 2 else out.squeeze(2)  # type: ignore[no-any-return]
    found: Tensor = resample(input, sizes, scales, mode, corners, antialias)
    return found


def _sizes(input: Tensor, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[Any, Any]:
    """The output's sizes, and the scales to be used instead of the ratio of sizes (None: the ratio)."""
    spatial = input.ndim - 2
    if (size is None) == (scale_factor is None):
        raise ValueError("interpolate: only one of size or scale_factor should be defined")
    given = size if scale_factor is None else scale_factor
    values = tuple(given) if isinstance(given, (tuple, list)) else (given,) * spatial
    if len(values) != spatial:
        what = "sizes" if scale_factor is None else "scale factors"
        raise ValueError(
            f"interpolate: {spatial} spatial dimensions need {spatial} {what}, got {list(values)}; the input is "
            f"{list(input.shape)}"
        )
    if scale_factor is None:
        if recompute:
            raise ValueError("interpolate: recompute_scale_factor is not meaningful with an explicit size")
        return values, (None,) * spatial
    sizes = tuple(_scaled(n, f) for n, f in zip(input.shape[2:], values, strict=True))
    whole = all(float(f).is_integer() for f in values)
    return sizes, (None,) * spatial if recompute or whole else tuple(float(f) for f in values)


def _scaled(size: Any, factor: float) -> Any:
    return size * int(factor) if float(factor).is_integer() else math.floor(size * factor)


def upsample(
    input: Tensor, size: Any = None, scale_factor: Any = None, mode: str = "nearest", align_corners: bool | None = None
) -> Tensor:
    """`interpolate` under its old name."""
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode nearest, under its old name."""
    return interpolate(input, size, scale_factor, "nearest")


def upsample_bilinear(input: Tensor, size: Any = None, scale_factor: Any = None) -> Tensor:
    """`interpolate` in mode bilinear with aligned corners, under its old name."""
    return interpolate(input, size, scale_factor, "bilinear", True)


# -- padding ------------------------------------------------------------------------------------


def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Add elements around the last dimensions: pad = (left, right, top, bottom, ...), starting with the last dimension.

    Modes: constant (`value`, by default 0), reflect, replicate and circular; negative numbers crop.

    >>> import pappus as pp
    >>> pad(pp.tensor([[1.0, 2.0, 3.0]]), (2, -1), mode="reflect").tolist()
    [[3.0, 2.0, 1.0, 2.0]]
    """
    if mode == "constant":
        return ops.constant_pad_nd(input, tuple(pad), 0 if value is None else value)  # type: ignore[no-any-return]
    if mode not in ("reflect", "replicate", "circular"):
        raise ArgumentError(f"pad: unknown mode {mode!r}; use constant, reflect, replicate or circular")
    if len(pad) % 2 or len(pad) // 2 > input.ndim:
        raise ArgumentError(f"pad: expected pairs of numbers for at most {input.ndim} dimensions, got {list(pad)}")
    out = input
    for i in range(len(pad) // 2):
        out = _pad_one(out, out.ndim - 1 - i, pad[2 * i], pad[2 * i + 1], mode)
    return out


def _crop(x: Tensor, dim: int, before: int, after: int) -> Tensor:
    """Without as many elements as negative paddings say."""
    low, high = max(-before, 0), max(-after, 0)
    return x.narrow(dim, low, x.shape[dim] - low - high) if low or high else x


def _pad_one(x: Tensor, dim: int, before: int, after: int, mode: str) -> Tensor:
    if before < 0 or after < 0:
        # A line that is continued in a circle is cropped first; edges are those of the whole line.
        if mode == "circular":
            return _pad_one(_crop(x, dim, before, after), dim, max(before, 0), max(after, 0), mode)
        return _crop(_pad_one(x, dim, max(before, 0), max(after, 0), mode), dim, before, after)
    size = x.shape[dim]
    limit = {"reflect": size - 1, "circular": size}.get(mode)
    if limit is not None and max(before, after) > limit:
        raise ShapeError(
            f"pad: {mode} padding ({before}, {after}) must not exceed {limit} for dimension {dim} of size {size}"
        )
    parts: list[Tensor | None] = []
    for count, left in ((before, True), (after, False)):
        if not count:
            parts.append(None)
        elif mode == "replicate":
            edge = x.narrow(dim, 0 if left else size - 1, 1)
            parts.append(edge.expand(*(count if d == dim else -1 for d in range(x.ndim))))
        elif mode == "reflect":
            parts.append(x.narrow(dim, 1 if left else size - 1 - count, count).flip((dim,)))
        else:
            parts.append(x.narrow(dim, size - count if left else 0, count))
    if parts == [None, None]:
        return x
    return ops.cat([p for p in (parts[0], x, parts[1]) if p is not None], dim)  # type: ignore[no-any-return]
