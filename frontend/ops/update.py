"""Writing a part of a tensor: at a slice whose place is known (slice_scatter), or given by a tensor (slice_update).

Caches are made of these: a captured program writes the part in place and never touches the rest.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import DimError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import wrap_dim
from .create import arange, zeros
from .index import index_put, index_select
from .shape import slice_

__all__ = ["index_copy", "slice_scatter", "slice_update"]


def _check(name: str, x: Any, src: Any, dim: Any, wanted: Any) -> Spec:
    """The result's Spec: self's, where src has its type and, but for `dim`, its shape, and `wanted` (if any) along
    `dim`."""
    at = wrap_dim(dim, len(x.shape))
    if src.dtype is not x.dtype:
        raise DTypeError(f"{name}: self has type {x.dtype}, src has {src.dtype}; convert src with .to(self.dtype)")
    if len(src.shape) != len(x.shape):
        raise ShapeError(f"{name}: self has {len(x.shape)} dimensions, src has {len(src.shape)}; they must be equal")
    for d, (n, m) in enumerate(zip(x.shape, src.shape, strict=True)):
        expected = wanted if d == at else n
        if expected is not None and not sym_eq(m, expected):
            raise ShapeError(
                f"{name}: src of shape {list(src.shape)} has size {m} in dimension {d}, expected {expected}"
            )
    return Spec(tuple(x.shape), x.dtype)


def _scatter_shape(x: Any, src: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Spec:
    part = slice_.op.shape(x, dim=dim, start=start, end=end, step=step)  # type: ignore[attr-defined]
    return _check("slice_scatter", x, src, dim, part.shape[wrap_dim(dim, len(x.shape))])


def _scatter_kernel(xp: Any, x: Any, src: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    out = x.copy()
    out[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)] = src
    return out


def _scatter_vjp(g: Any, _out: Any, _x: Any, _src: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    empty = zeros(tuple(_src.shape), dtype=g.dtype)
    return slice_scatter(g, empty, dim, start, end, step), slice_(g, dim, start, end, step)


slice_scatter = operator(
    "slice_scatter(Tensor self, Tensor src, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    """A copy of self in which the elements start, start + step ... before end along one dimension are those of src.

    >>> import pappus as pp
    >>> pp.slice_scatter(pp.zeros(4), pp.ones(2), 0, 1, 3)
    tensor([0., 1., 1., 0.])
    """,
    shape=_scatter_shape,
    eager=_scatter_kernel,
    vjp=_scatter_vjp,
    tags=("index",),
    samples=lambda: [
        Sample((floats(4, 3), floats(2, 3, seed=3), 0, 1, 3)),
        Sample((floats(2, 5), floats(2, 2, seed=3), -1, -4, None, 2)),
        Sample((floats(3, 2), floats(3, 2, seed=3))),
    ],
)


def _update_shape(x: Any, src: Any, start: Any, dim: Any = 0) -> Spec:
    if start.dtype.category != 1 or len(start.shape) != 0:
        raise DTypeError(
            f"slice_update: start must be an integer tensor of rank 0, got {start.dtype} of shape {list(start.shape)}"
        )
    spec = _check("slice_update", x, src, dim, None)
    at = wrap_dim(dim, len(x.shape))
    if type(src.shape[at]) is int and type(x.shape[at]) is int and src.shape[at] > x.shape[at]:
        raise ShapeError(
            f"slice_update: src has size {src.shape[at]} in dimension {at}, more than self's {x.shape[at]}"
        )
    return spec


def _update_kernel(xp: Any, x: Any, src: Any, start: Any, dim: Any) -> Any:
    first, count, size = int(start), src.shape[dim], x.shape[dim]
    if not 0 <= first <= size - count:
        raise DimError(
            f"slice_update: {count} elements from position {first} do not fit in dimension {dim} of size {size}"
        )
    return _scatter_kernel(xp, x, src, dim, first, first + count, 1)


def _update_vjp(g: Any, _out: Any, _x: Any, _src: Any, start: Any, dim: Any) -> Any:
    places = start + arange(_src.shape[dim])
    return slice_update(g, zeros(tuple(_src.shape), dtype=g.dtype), start, dim), index_select(g, dim, places), None


slice_update = operator(
    "slice_update(Tensor self, Tensor src, Tensor start, int dim=0) -> Tensor",
    """A copy of self in which src takes the place of the elements from `start` (a 0-d integer tensor) on along one
    dimension.

    >>> import pappus as pp
    >>> pp.slice_update(pp.zeros(4), pp.ones(2), pp.tensor(2))
    tensor([0., 0., 1., 1.])
    """,
    shape=_update_shape, eager=_update_kernel, vjp=_update_vjp, tags=("index", "inplace"),
    samples=lambda: [
        Sample((floats(4, 3), floats(2, 3, seed=3), Tensor._from_data(np.array(1)))),
        Sample((floats(2, 5), floats(2, 1, seed=3), Tensor._from_data(np.array(4)), 1)),
    ],
)  # fmt: skip


@function(method=True)
def index_copy(self: Any, dim: int, index: Any, source: Any) -> Any:
    """A copy of self in which the slices named by `index` along `dim` are those of `source`."""
    if not self.shape:
        return index_copy(self.view(1), dim, index, source.view(1)).view(())
    return index_put(self, [None] * wrap_dim(dim, len(self.shape)) + [index], source)


@function(method=True)
def index_copy_(self: Any, dim: int, index: Any, source: Any) -> Any:
    """`index_copy` in place."""
    return self.copy_(index_copy(self, dim, index, source))
