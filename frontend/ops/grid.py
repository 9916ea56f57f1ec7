"""Sampling images at points of a grid, and the grids of affine maps (spatial transformers).

Points are given per sample in coordinates from -1 to 1, the last dimension of the image first; an output element is a
weighted sum of the elements around its point, read by `gather`, so that the gradient is the corresponding scatter.
"""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import numel, through_float32

__all__ = ["affine_grid_generator", "grid_sample", "grid_sampler_2d", "grid_sampler_3d"]

MODES = ("bilinear", "nearest", "bicubic")
PADDINGS = ("zeros", "border", "reflection")


def _shape(input: Spec, grid: Spec, *, mode: str, padding_mode: str, align_corners: bool) -> Spec:
    if mode not in MODES:
        raise ArgumentError(f"grid_sample: expected mode to be one of {', '.join(MODES)}, but got: {mode!r}")
    if padding_mode not in PADDINGS:
        raise ArgumentError(
            f"grid_sample: expected padding_mode to be one of {', '.join(PADDINGS)}, but got: {padding_mode!r}"
        )
    if input.ndim not in (4, 5) or grid.ndim != input.ndim:
        raise ShapeError(
            "grid_sample: expected 4D (N, C, H, W) or 5D (N, C, D, H, W) input and a grid with the same number of "
            f"dimensions, but got input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    if not sym_eq(input.shape[0], grid.shape[0]) or not sym_eq(grid.shape[-1], input.ndim - 2):
        raise ShapeError(
            f"grid_sample: the grid must be ({input.shape[0]}, ..., {input.ndim - 2}): the batch of the input and a "
            f"coordinate for each spatial dimension, got input {list(input.shape)} and grid {list(grid.shape)}"
        )
    if any(not is_symbolic(n) and n < 1 for n in input.shape[1:]):
        raise ShapeError(f"grid_sample: expected input to have non-empty spatial dimensions, got {list(input.shape)}")
    if input.ndim == 5 and mode == "bicubic":
        raise ArgumentError("grid_sample: bicubic interpolation only supports 4D input")
    if input.dtype is not grid.dtype:
        raise DTypeError(
            f"grid_sample: expected input and grid to have the same dtype, but input has {input.dtype} and grid has "
            f"{grid.dtype}"
        )
    if not input.dtype.is_floating_point:
        raise DTypeError(f"grid_sample: expected a floating-point input, but got {input.dtype}")
    return Spec((*input.shape[:2], *grid.shape[1:-1]), input.dtype)


def _clip(at: Any, size: Any) -> Any:
    """Coordinates kept inside the image; no gradient reaches those that were on its border or outside."""
    from . import where

    inside = (at > 0) & (at < size - 1)
    return where(inside, at, at.detach().clamp(0, size - 1))


def _reflect(at: Any, size: Any, align_corners: bool) -> Any:
    """Coordinates mirrored at the first and last element's centres (align_corners), else at their outer edges."""
    from . import where

    low, span = (0.0, size - 1) if align_corners else (-0.5, size)
    if not is_symbolic(span) and span == 0:
        return at * 0
    distance = (at - low).abs()
    turns = (distance.detach() / span).floor()
    rest = distance - turns * span
    return where(turns % 2 == 0, rest + low, span - rest + low)


def _place(at: Any, size: Any, padding_mode: str, align_corners: bool) -> Any:
    if padding_mode == "reflection":
        at = _reflect(at, size, align_corners)
    return at if padding_mode == "zeros" else _clip(at, size)


def _read(flat: Any, at: list[Any], sizes: Any) -> tuple[Any, Any]:
    """The elements (N, C, P) at whole coordinates, and where those are inside the image."""
    index: Any = 0
    inside: Any = True
    for whole, size in zip(at, sizes, strict=True):
        inside = inside & (whole >= 0) & (whole <= size - 1)
        index = index * size + whole.clamp(0, size - 1).long()
    index = index.unsqueeze(1).expand(-1, flat.shape[1], -1)
    return flat.gather(2, index), inside


def _cubic_weights(t: Any, a: float = -0.75) -> list[Any]:
    """Keys' kernel at the four elements around a point that lies t behind the second."""

    def near(x: Any) -> Any:
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


@through_float32
def _decompose(input: Any, grid: Any, *, mode: str, padding_mode: str, align_corners: bool) -> Any:
    sizes = input.shape[2:]
    batch, channels, points = input.shape[0], input.shape[1], grid.shape[1:-1]
    flat = input.reshape(batch, channels, numel(sizes))
    spots = grid.reshape(batch, numel(points), len(sizes))
    at = []
    for d, size in enumerate(sizes):
        x = spots.select(-1, len(sizes) - 1 - d)
        x = (x + 1) * ((size - 1) / 2) if align_corners else ((x + 1) * size - 1) / 2
        at.append(x if mode == "bicubic" else _place(x, size, padding_mode, align_corners))
    out: Any = None
    if mode == "nearest":
        values, inside = _read(flat, [x.detach().round() for x in at], sizes)
        out = values * inside.to(input.dtype).unsqueeze(1)
    else:
        low = [x.detach().floor() for x in at]
        rest = [x - whole for x, whole in zip(at, low, strict=True)]
        taps = range(4) if mode == "bicubic" else range(2)
        weights = [_cubic_weights(t) if mode == "bicubic" else [1 - t, t] for t in rest]
        for corner in itertools.product(taps, repeat=len(sizes)):
            spot = [whole + (c - 1 if mode == "bicubic" else c) for whole, c in zip(low, corner, strict=True)]
            if mode == "bicubic":
                spot = [_place(x, n, padding_mode, align_corners).round() for x, n in zip(spot, sizes, strict=True)]
            values, inside = _read(flat, spot, sizes)
            weight: Any = inside.to(input.dtype)
            for which, c in zip(weights, corner, strict=True):
                weight = weight * which[c]
            part = values * weight.unsqueeze(1)
            out = part if out is None else out + part
    return out.reshape(batch, channels, *points)


def _samples() -> Any:
    for at, (mode, padding) in enumerate(itertools.product(MODES, PADDINGS)):
        options = {"mode": mode, "padding_mode": padding, "align_corners": at % 2 == 0}
        yield Sample((floats(1, 1, 2, 3), floats(1, 1, 2, 2, low=-1.4, high=1.4, seed=1)), options)
    yield Sample((floats(1, 2, 2, 3, 2), floats(1, 1, 2, 1, 3, low=-1.4, high=1.4, seed=1)))


grid_sample = operator(
    "grid_sample(Tensor input, Tensor grid, str mode='bilinear', str padding_mode='zeros', bool align_corners=False) "
    "-> Tensor",
    """Images (N, C, H, W) read at the points of a grid (N, OH, OW, 2): (N, C, OH, OW); volumes likewise.

    A point is (x, y), for volumes (x, y, z), from -1 at the first to 1 at the last column, row, slice: at their centres
    with `align_corners`, else at their outer edges. `mode` is bilinear (trilinear for volumes), nearest or bicubic.
    What lies outside is zero, the nearest element of the `border`, or the image mirrored (`reflection`).

    >>> import pappus as pp
    >>> image = pp.tensor([[[[1.0, 2.0, 3.0]]]])
    >>> pp.grid_sample(image, pp.tensor([[[[-0.5, 0.0], [1.0, 0.0]]]]), align_corners=True).tolist()
    [[[[1.5, 3.0]]]]
    """,
    shape=_shape, decompose=_decompose, samples=_samples,
)  # fmt: skip


@function()
def affine_grid_generator(theta: Any, size: Any, align_corners: bool = False) -> Any:
    """The points of affine maps: theta (N, 2, 3) and the size (N, C, H, W) to a grid (N, H, W, 2) for `grid_sample`.

    Each point of the regular grid, as (x, y, 1), is multiplied by theta; (N, 3, 4) and (N, C, D, H, W) for volumes.

    >>> import pappus as pp
    >>> theta = pp.tensor([[[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]]])
    >>> pp.affine_grid_generator(theta, (1, 1, 1, 2), True).tolist()
    [[[[-0.5, 0.0], [1.5, 0.0]]]]
    """
    spatial = len(size) - 2
    if not theta.dtype.is_floating_point:
        raise DTypeError(f"affine_grid: expected theta to have floating point type, but got {theta.dtype}")
    if spatial not in (2, 3) or theta.ndim != 3 or tuple(theta.shape[1:]) != (spatial, spatial + 1):
        raise ShapeError(
            "affine_grid: expected theta of size (N, 2, 3) for an output of size (N, C, H, W), or (N, 3, 4) for "
            f"(N, C, D, H, W), got theta {list(theta.shape)} and size {list(size)}"
        )
    if any(n <= 0 for n in size):
        raise ShapeError(f"affine_grid: expected non-zero, positive output size, got {list(size)}")
    steps = []
    for n in size[2:]:
        line = np.linspace(-1.0, 1.0, n) if n > 1 else np.zeros(1)
        steps.append(line if align_corners else line * ((n - 1) / n))
    mesh = np.meshgrid(*steps, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones_like(mesh[0])], -1).reshape(-1, spatial + 1)
    base = Tensor._from_data(points.astype(theta.dtype.numpy))
    return (base @ theta.transpose(1, 2)).reshape(theta.shape[0], *size[2:], spatial)


def _by_number(name: str, ndim: int) -> Any:
    """`grid_sample` under the names that torch's own decompositions call it by, with modes as numbers."""

    def sample(
        input: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool
    ) -> Any:
        if input.ndim != ndim:
            raise ShapeError(f"{name}: expected {ndim}D input, got {list(input.shape)}")
        if interpolation_mode not in range(len(MODES)) or padding_mode not in range(len(PADDINGS)):
            raise ArgumentError(f"{name}: modes are numbers from 0 to 2, got {interpolation_mode} and {padding_mode}")
        return grid_sample(input, grid, MODES[interpolation_mode], PADDINGS[padding_mode], align_corners)

    sample.__doc__ = (
        f"`grid_sample` of {ndim}D input, with its modes as numbers: 0 bilinear, 1 nearest, 2 bicubic; 0 zeros, "
        "1 border, 2 reflection."
    )
    return function(name=name)(sample)


grid_sampler_2d = _by_number("grid_sampler_2d", 4)
grid_sampler_3d = _by_number("grid_sampler_3d", 5)
