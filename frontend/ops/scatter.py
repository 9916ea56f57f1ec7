"""Writing and combining at positions given by tensors: reductions by index, masks, flat positions, diagonals."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DimError, DTypeError, ShapeError
from ..opdef import Sample, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats, ints
from ._shapes import wrap_dim
from .create import arange, full, zeros
from .index import _in_range, _part, _scatter_spec, _where_to, gather, index_select, scatter, scatter_add
from .index import index_put as _index_put
from .pointwise import eq, to_dtype, where
from .positions import nonzero
from .reduce import cumsum
from .shape import expand, flatten, movedim, reshape, unsqueeze, view
from .update import slice_scatter

# -- products and extremes by index ---------------------------------------------------------------


def _at_kernel(ufunc: Any) -> Any:
    def eager(xp: Any, x: Any, index: Any, src: Any, dim: int, **_: Any) -> Any:
        out = x.copy()
        if index.size == 0:
            return out
        if x.ndim == 0:
            flat = out.reshape(1)
            ufunc.at(flat, _in_range("scatter", index.reshape(-1), 1, 0), src.reshape(-1))
            return flat.reshape(())
        wide = out.astype(np.float32) if out.dtype.kind == "V" else out
        add_at = (ufunc if xp is np else getattr(xp, ufunc.__name__)).at
        add_at(wide, _where_to(out, index, dim % x.ndim), _part(src, index).astype(wide.dtype))
        return wide.astype(out.dtype)

    return eager


def _prod_vjp(g: Any, _out: Any, x: Any, index: Any, src: Any, dim: int) -> Any:
    """Products of the other factors, exact where factors are zero."""
    gx = gs = None
    one = x * 0 + 1
    zero = eq(src, 0)
    rest = scatter_prod(one, index, where(zero, 1.0, src), dim)  # of the factors that are not zero
    many = scatter_add(x * 0, dim, index, to_dtype(zero, x.dtype))
    if x.requires_grad:
        gx = g * where(eq(many, 0), rest, 0.0)
    if src.requires_grad:
        mine, count = gather(rest * x, dim, index), gather(many, dim, index)
        others = where(zero, where(eq(count, 1), mine, 0.0), where(eq(count, 0), mine / where(zero, 1.0, src), 0.0))
        gs = gather(g, dim, index) * others
    return gx, None, gs


scatter_prod = operator(
    "scatter_prod(Tensor self, Tensor index, Tensor src, int dim) -> Tensor",
    "self multiplied by src at positions along a dimension.", shape=_scatter_spec, eager=_at_kernel(np.multiply),
    vjp=_prod_vjp, tags=("index",), complex=None, storage=False,
    samples=lambda: [Sample((floats(3, 4), ints(2, 4, high=3), floats(2, 4, seed=3), 0))],
)  # fmt: skip


def _extreme(name: str, ufunc: Any, doc: str) -> Any:
    return operator(
        f"{name}(Tensor self, Tensor index, Tensor src, int dim) -> Tensor", doc, shape=_scatter_spec,
        eager=_at_kernel(ufunc), differentiable=False, tags=("index",), complex=None, storage=False,
        samples=lambda: [Sample((floats(3, 4), ints(2, 4, high=3), floats(2, 4, seed=3), 0))],
    )  # fmt: skip


scatter_max = _extreme("scatter_max", np.maximum, "The larger of self and src at positions along a dimension.")
scatter_min = _extreme("scatter_min", np.minimum, "The smaller of self and src at positions along a dimension.")


def _shared_extreme(x: Any, index: Any, src: Any, dim: int, value: Any) -> Any:
    """`value`, with a gradient that goes in equal parts to the elements that have it."""
    mine = eq(x, value)
    theirs = eq(src, gather(value, dim, index))
    count = scatter_add(to_dtype(mine, x.dtype), dim, index, to_dtype(theirs, x.dtype))
    total = scatter_add(where(mine, x, 0.0), dim, index, where(theirs, src, 0.0))
    route = total / where(eq(count, 0), 1.0, count)
    return where(route.detach().isfinite(), route + (value - route).detach(), value)


def _fitting(index: Any, src: Any) -> Any:
    """The part of src that index names."""
    for d, n in enumerate(index.shape):
        src = src.narrow(d, 0, n)
    return src


@function(method=True, inplace=True)
def scatter_reduce(self: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True) -> Any:
    """src combined with self at positions along `dim`: "sum", "prod", "mean", "amax" or "amin".

    With `include_self=False` the elements that are written to do not take part themselves.

    >>> import pappus as pp
    >>> x, index = pp.zeros(2), pp.tensor([0, 0, 1])
    >>> pp.scatter_reduce(x, 0, index, pp.tensor([1.0, 3.0, 5.0]), "mean", include_self=False)
    tensor([2., 5.])
    """
    if reduce not in ("sum", "prod", "mean", "amax", "amin"):
        raise ArgumentError(f"scatter_reduce: reduce must be sum, prod, mean, amax or amin, got {reduce!r}")
    if 0 in index.shape:
        return self.clone()
    src = _fitting(index, src)
    x = self
    if not include_self:
        start = {"prod": 1, "amax": _limit(x, False), "amin": _limit(x, True)}.get(reduce, 0)
        x = scatter(x, dim, index, full(tuple(index.shape), start, dtype=x.dtype))
    if reduce == "prod":
        return scatter_prod(x, index, src, dim)
    if reduce in ("amax", "amin"):
        value = (scatter_max if reduce == "amax" else scatter_min)(x.detach(), index, src.detach(), dim)
        return _shared_extreme(x, index, src, dim, value) if x.requires_grad or src.requires_grad else value
    total = scatter_add(x, dim, index, src)
    if reduce == "sum":
        return total
    base = zeros(tuple(x.shape), dtype=x.dtype) + 1
    ones = zeros(tuple(index.shape), dtype=x.dtype) + 1
    count = scatter_add(base if include_self else scatter(base, dim, index, ones * 0), dim, index, ones)
    return total / count if x.dtype.is_floating_point else total.div(count, rounding_mode="floor")


def _limit(x: Any, largest: bool) -> Any:
    if x.dtype.is_floating_point:
        return math.inf if largest else -math.inf
    if x.dtype is dtypes.bool_:
        return largest
    info = np.iinfo(x.dtype.numpy)
    return int(info.max if largest else info.min)


def along(x: Any, dim: int, index: Any, shape: Any) -> Any:
    """A 1-d index of slices along `dim`, expanded to every element of `shape`."""
    at = wrap_dim(dim, len(x.shape))
    return expand(reshape(index, (*(1,) * at, -1, *(1,) * (len(x.shape) - at - 1))), tuple(shape))


@function(method=True, inplace=True)
def index_reduce(self: Any, dim: int, index: Any, source: Any, reduce: str, *, include_self: bool = True) -> Any:
    """The slices of `source` combined with those of self that `index` names: "prod", "mean", "amax" or "amin"."""
    if not self.shape:
        whole = index_reduce(view(self, (1,)), 0, reshape(index, (-1,)), reshape(source, (-1,)), reduce,
                             include_self=include_self)  # fmt: skip
        return view(whole, ())
    where_to = along(self, dim, index, source.shape)
    return scatter_reduce(self, dim, where_to, source, reduce, include_self=include_self)


# -- masks and flat positions ---------------------------------------------------------------------


@function(method=True, inplace=True)
def masked_scatter(self: Any, mask: Any, source: Any) -> Any:
    """The elements where the mask is true replaced by those of `source`, in order."""
    if mask.dtype is not dtypes.bool_:
        raise DTypeError(f"masked_scatter: the mask must be a bool tensor, got {mask.dtype}; use mask != 0")
    if source.dtype is not self.dtype:
        raise DTypeError(f"masked_scatter: self has type {self.dtype}, source has {source.dtype}")
    x, mask = self.broadcast_to(shape := (self + to_dtype(mask, self.dtype)).shape), expand(mask, tuple(shape))
    places = cumsum(to_dtype(flatten(mask), dtypes.int64), 0) - 1
    if not mask.is_symbolic and int(mask.sum()) > source.numel():
        raise ShapeError(f"masked_scatter: the mask has {int(mask.sum())} true elements, source only {source.numel()}")
    if source.numel() == 0:
        return x.clone()
    picked = index_select(flatten(source), 0, places.clamp(0, source.numel() - 1))
    return where(mask, reshape(picked, tuple(mask.shape)), x)


@function(method=True, inplace=True)
def put(self: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """The elements at positions of the flattened tensor replaced by (or added to) those of `source`."""
    if index.numel() != source.numel():
        raise ShapeError(f"put: {index.numel()} positions for {source.numel()} elements; their numbers must be equal")
    flat = _index_put(reshape(self, (-1,)), [flatten(index)], flatten(source), accumulate)
    return reshape(flat, tuple(self.shape))


@function(method=True, inplace=True)
def index_put(self: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """self with `values` written (or added) where integer or bool tensors point; None stands for a whole dimension.

    >>> import pappus as pp
    >>> pp.index_put(pp.zeros(3), (pp.tensor([True, False, True]),), pp.tensor(1.0))
    tensor([1., 0., 1.])
    """
    parts: list[Any] = []
    for index in indices:
        if index is not None and index.dtype is dtypes.bool_:
            parts.extend(nonzero(index, as_tuple=True))
        else:
            parts.append(index)
    return _index_put(self, parts, values, accumulate)


@function(method=True)
def select_scatter(self: Any, src: Any, dim: int, index: int) -> Any:
    """A copy of self in which `src` takes the place of one index along a dimension."""
    size = self.shape[dim]
    if not -size <= index < size:
        raise DimError(f"select_scatter: index {index} is out of range for dimension {dim} of size {size}")
    at = wrap_dim(dim, len(self.shape))
    index %= size
    return slice_scatter(self, unsqueeze(src, at), at, index, index + 1)


@function(method=True)
def diagonal_scatter(self: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """A copy of self in which `src` takes the place of a diagonal of two dimensions."""
    rank = len(self.shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    x = movedim(self, (a, b), (rank - 2, rank - 1))
    count = src.shape[-1]
    rows = arange(count) + max(-offset, 0)
    columns = arange(count) + max(offset, 0)
    flat = flatten(x, -2) if rank > 2 else reshape(x, (-1,))
    places = expand(rows * x.shape[-1] + columns, tuple(src.shape))
    out = scatter(flat, -1, places, src)
    return movedim(reshape(out, tuple(x.shape)), (rank - 2, rank - 1), (a, b))


# -- repeats given by a tensor --------------------------------------------------------------------


@function(method=True)
def repeat_interleave(self: Any, repeats: Any = None, dim: Any = None, *, output_size: Any = None) -> Any:
    """Every element (or slice along `dim`) repeated in place, `repeats` times, or as often as a tensor says for each.

    >>> import pappus as pp
    >>> pp.repeat_interleave(pp.tensor([7, 8]), pp.tensor([1, 2]))
    tensor([7, 8, 8])
    """
    from .shape import repeat_interleave as even

    if repeats is None:  # the indices that a tensor of counts stands for
        counts = self.numpy()
        return Tensor._from_data(np.repeat(np.arange(len(counts)), counts))
    if not isinstance(repeats, Tensor):
        return even(self, repeats, dim)
    x, dim = (flatten(self), 0) if dim is None else (self, dim)
    counts = repeats.numpy().reshape(-1)
    size = x.shape[dim]
    if len(counts) not in (1, size):
        raise ShapeError(f"repeat_interleave: {len(counts)} counts for dimension {dim} of size {size}")
    index = np.repeat(np.arange(size), counts if len(counts) == size else np.full(size, counts[0]))
    return index_select(x, dim, Tensor._from_data(index))


@function(method=True)
def isin(elements: Any, test_elements: Any, *, assume_unique: bool = False, invert: bool = False) -> Any:
    """Where elements are among `test_elements`: a boolean tensor."""
    a, b = (x.detach().numpy() if isinstance(x, Tensor) else np.asarray(x) for x in (elements, test_elements))
    return Tensor._from_data(np.isin(a, b, invert=invert))
