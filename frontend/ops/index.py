"""Operators that read or write at positions given by tensors: gather, scatter, index, embedding, sort, topk,
nonzero."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..device import library_of
from ..errors import ArgumentError, DimError, DTypeError, ShapeError
from ..native import index as native_index
from ..opdef import Sample, Spec, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats, ints
from ._shapes import broadcast, ordered, wrap_dim
from .create import arange, full, zeros
from .pointwise import eq, to_dtype, where
from .reduce import ValuesIndices
from .shape import constant_pad_nd, expand, flatten, reshape, slice_, unsqueeze, view


def _need_index(name: str, index: Any) -> None:
    if index.dtype.category != 1:
        raise DTypeError(f"{name}: the index must be an integer tensor, got {index.dtype}; use index.long()")


def _in_range(name: str, index: Any, size: int, dim: int) -> Any:
    """The index with negative entries refused. Raises DimError naming the first bad one."""
    if index.size:
        low, high = int(index.min()), int(index.max())
        if low < 0 or high >= size:
            at = np.argwhere((index < 0) | (index >= size))[0].tolist()
            bad = low if low < 0 else high
            raise DimError(
                f"{name}: index {bad} (first bad one at position {at}) is out of range for dimension "
                f"{dim} of size {size}"
            )
    return index


# -- gather, scatter ------------------------------------------------------------------------------


def _gather_spec(x: Any, index: Any, dim: Any) -> Spec:
    _need_index("gather", index)
    at = wrap_dim(dim, len(x.shape))
    if len(index.shape) != len(x.shape) and len(x.shape) and len(index.shape) and 0 not in index.shape:
        raise ShapeError(
            f"gather: index has {len(index.shape)} dimensions, self has {len(x.shape)}; they must be equal"
        )
    for d, (n, m) in enumerate(zip(index.shape, x.shape, strict=False)):
        if d != at and type(n) is int and type(m) is int and n > m and 0 not in index.shape:
            raise ShapeError(
                f"gather: index of shape {list(index.shape)} exceeds self {list(x.shape)} in dimension {d}"
            )
    return Spec(tuple(index.shape), x.dtype)


def _cut(x: Any, index: Any, dim: int) -> Any:
    """`x` cut to the sizes of `index` in all dimensions but `dim`."""
    return x[tuple(slice(None) if d == dim else slice(0, n) for d, n in enumerate(index.shape))]


def _gather_kernel(xp: Any, x: Any, index: Any, dim: Any) -> Any:
    if index.size == 0:
        return np.empty(index.shape, x.dtype)
    if x.ndim == 0 or index.ndim == 0:
        return x.reshape(-1)[_in_range("gather", index.reshape(-1), x.size, 0)].reshape(index.shape)
    dim %= x.ndim
    return np.take_along_axis(_cut(x, index, dim), _in_range("gather", index, x.shape[dim], dim), dim)


_gather = operator(
    "gather(Tensor self, Tensor index, int dim) -> Tensor", "out[i][j] = self[index[i][j]][j] for dim 0, and so on.",
    shape=_gather_spec, eager=_gather_kernel, tags=("index",),
    vjp=lambda g, _out, _x, index, dim: (_scatter_add(_zeros(g, _x.shape), index, g, dim), None),
    samples=lambda: [Sample((floats(3, 4), ints(2, 4, high=3), 0)), Sample((floats(2, 3), ints(2, 5, high=3), -1))],
)  # fmt: skip


def _zeros(like: Any, shape: Any) -> Any:
    return zeros(tuple(shape), dtype=like.dtype)


@function(method=True)
def gather(self: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """Elements picked along `dim`: out[i][j] = self[index[i][j]][j] for dim 0, out[i][j] = self[i][index[i][j]] for dim
    1.

    >>> import pappus as pp
    >>> pp.gather(pp.tensor([[1, 2], [3, 4]]), 1, pp.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    return _gather(self, index, dim)


@function()
def take_along_dim(self: Any, indices: Any, dim: Any = None) -> Any:
    """gather with the index broadcast against self; without `dim`, on the flattened tensor."""
    if dim is None:
        return gather(flatten(self), 0, flatten(indices))
    at = wrap_dim(dim, len(self.shape))
    indices = where(indices < 0, indices + self.shape[at], indices)
    shape = list(broadcast([1 if d == at else n for d, n in enumerate(self.shape)],
                           [1 if d == at else n for d, n in enumerate(indices.shape)]))  # fmt: skip
    return gather(
        expand(self, [self.shape[at] if d == at else n for d, n in enumerate(shape)]), at,
        expand(indices, [indices.shape[at] if d == at else n for d, n in enumerate(shape)]),
    )  # fmt: skip


def _scatter_spec(x: Any, index: Any, src: Any, dim: Any) -> Spec:
    _need_index("scatter", index)
    if src.dtype is not x.dtype:
        raise DTypeError(f"scatter: self has type {x.dtype}, src has {src.dtype}; convert src with .to(self.dtype)")
    wrap_dim(dim, len(x.shape))
    rank = max(len(x.shape), 1)  # a 0-d tensor counts as one of a single element
    if 0 in index.shape:
        return Spec(tuple(x.shape), x.dtype)
    if max(len(index.shape), 1) != rank or (src.shape and len(src.shape) != rank):
        raise ShapeError(
            f"scatter: self {list(x.shape)}, index {list(index.shape)} and src {list(src.shape)} must have as "
            "many dimensions"
        )
    for d, (n, m) in enumerate(zip(index.shape, src.shape, strict=False)):
        if type(n) is int and type(m) is int and n > m:
            raise ShapeError(f"scatter: index {list(index.shape)} exceeds src {list(src.shape)} in dimension {d}")
    return Spec(tuple(x.shape), x.dtype)


def _where_to(x: Any, index: Any, dim: int) -> Any:
    """numpy index of the elements of `x` that `index` names along `dim`."""
    grid: list[Any] = [
        np.arange(n).reshape([-1 if d == axis else 1 for d in range(index.ndim)]) for axis, n in enumerate(index.shape)
    ]
    if type(index) is not np.ndarray:
        grid = [library_of(index).asarray(g) for g in grid]
    grid[dim] = _in_range("scatter", index, x.shape[dim], dim)
    return tuple(grid)


def _part(src: Any, index: Any) -> Any:
    return src[tuple(slice(n) for n in index.shape)] if src.ndim else src


def _scatter_kernel(add: bool) -> Any:
    def eager(xp: Any, x: Any, index: Any, src: Any, dim: Any) -> Any:
        out = x.copy()
        if index.size == 0:
            return out
        if x.ndim == 0:
            out[...] = out + src.sum() if add else src.reshape(-1)[0]
            return out
        at = _where_to(out, index, dim % x.ndim)
        if add:
            values = np.broadcast_to(_part(src, index), index.shape)
            if xp is not np:
                xp.add.at(out, at, values)
            elif not native_index.add_at(out, at, dim % x.ndim, values):
                np.add.at(out, at, values)
        else:
            out[at] = _part(src, index)
        return out

    return eager


def _source_grad(g: Any, index: Any, src: Any, dim: int) -> Any:
    """The gradient where src was used: zero beyond the index, which may be smaller."""
    if not src.requires_grad:
        return None
    out = _gather(g, index, dim)
    pads = [p for n, m in zip(reversed(index.shape), reversed(src.shape), strict=False) for p in (0, m - n)]
    return constant_pad_nd(out, pads) if any(type(p) is not int or p for p in pads) else out


_scatter_add: Callable[..., Any] = operator(
    "scatter_add(Tensor self, Tensor index, Tensor src, int dim) -> Tensor",
    "src added to self at positions along a dimension.",
    shape=_scatter_spec,
    eager=_scatter_kernel(True),
    tags=("index",),
    storage=False,
    vjp=lambda g, _out, _x, index, _src, dim: (g, None, _source_grad(g, index, _src, dim)),
    samples=lambda: [Sample((floats(3, 4), ints(2, 4, high=3), floats(2, 4, seed=3), 0))],
)


def _scatter_vjp(g: Any, _out: Any, _x: Any, index: Any, _src: Any, dim: Any) -> Any:
    hole = scatter(g, dim, index, 0.0)
    return hole, None, _source_grad(g, index, _src, dim)


_scatter = operator(
    "scatter(Tensor self, Tensor index, Tensor|Scalar src, int dim) -> Tensor",
    "src written to self at positions along a dimension.",
    shape=_scatter_spec,
    eager=_scatter_kernel(False),
    vjp=_scatter_vjp,
    tags=("index", "like_self"),
    samples=lambda: [
        Sample((floats(3, 4), Tensor._from_data(np.array([[0, 1, 2, 0], [1, 2, 0, 2]])), floats(2, 4, seed=3), 0)),
        Sample((floats(3, 4), ints(2, 4, high=3), 0.5, 0)),
    ],
)


@function(method=True, inplace=True)
def scatter_add(self: Any, dim: int, index: Any, src: Any) -> Any:
    """self with src added: out[index[i][j]][j] += src[i][j] for dim 0, and so on."""
    return _scatter_add(self, index, src, dim)


@function(method=True, inplace=True)
def scatter(self: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: str | None = None) -> Any:
    """self with src (a tensor or a number) written: out[index[i][j]][j] = src[i][j] for dim 0, and so on."""
    src = value if src is None else src
    if reduce == "add":
        number = not isinstance(src, Tensor)
        return _scatter_add(self, index, full(tuple(index.shape), src, dtype=self.dtype) if number else src, dim)
    if reduce is not None:
        raise ArgumentError(f"scatter: reduce must be None or 'add', got {reduce!r}")
    if not isinstance(src, Tensor):
        return where(_hit(self, index, dim), to_dtype(zeros(()) + src, self.dtype), self)
    return _scatter(self, index, src, dim)


def _hit(x: Any, index: Any, dim: int) -> Any:
    ones = zeros(tuple(index.shape), dtype=dtypes.float32) + 1
    return _scatter_add(zeros(tuple(x.shape), dtype=dtypes.float32), index, ones, dim) != 0


# -- index_select, embedding ----------------------------------------------------------------------


def _index_select_shape(x: Any, index: Any, dim: Any) -> Spec:
    _need_index("index_select", index)
    if len(index.shape) > 1:
        raise ShapeError(f"index_select: the index must have 1 dimension, got shape {list(index.shape)}")
    at = wrap_dim(dim, len(x.shape))
    count = index.shape[0] if index.shape else 1
    return Spec((*x.shape[:at], count, *x.shape[at + 1 :]) if x.shape else (), x.dtype)


def _index_select_kernel(xp: Any, x: Any, index: Any, dim: Any) -> Any:
    if x.ndim == 0:
        return x.copy()
    dim %= x.ndim
    return np.take(x, _in_range("index_select", index.reshape(-1), x.shape[dim], dim), axis=dim)


def _index_select_vjp(g: Any, _out: Any, _x: Any, index: Any, dim: Any) -> Any:
    if not _x.shape:
        return g, None
    at = dim % len(_x.shape)
    wide = expand(reshape(index, (1,) * at + (-1,) + (1,) * (len(_x.shape) - at - 1)), tuple(g.shape))
    return scatter_add(_zeros(g, _x.shape), at, wide, g), None


_index_select = operator(
    "index_select(Tensor self, Tensor index, int dim) -> Tensor",
    "The slices of self along a dimension that a 1-d index names.",
    shape=_index_select_shape,
    eager=_index_select_kernel,
    vjp=_index_select_vjp,
    tags=("index",),
    samples=lambda: [Sample((floats(4, 2), ints(3, high=4), 0)), Sample((floats(2, 3), ints(2, high=3), -1))],
)


@function(method=True)
def index_select(self: Any, dim: int, index: Any) -> Any:
    """The slices of `self` along `dim` named by a 1-d integer tensor."""
    return _index_select(self, index, dim)


def _embedding_shape(weight: Any, indices: Any, padding_idx: Any = -1) -> Spec:
    _need_index("embedding", indices)
    if len(weight.shape) != 2:
        raise ShapeError(f"embedding: weight must have shape [count, size], got {list(weight.shape)}")
    return Spec((*indices.shape, weight.shape[1]), weight.dtype)


def _embedding_grad(xp: Any, g: Any, indices: Any, rows: Any, padding_idx: Any) -> Any:
    """Rows of g summed by index: sorted, then one addition per run of equal indices."""
    flat, values = indices.reshape(-1), g.reshape(-1, g.shape[-1])
    out = xp.zeros((rows, g.shape[-1]), g.dtype)
    if not flat.size:
        return out
    if xp is not np:
        xp.add.at(out, flat, values)
        if padding_idx >= 0:
            out[padding_idx] = 0
        return out
    if native_index.add_rows(out, flat, values):
        if padding_idx >= 0:
            out[padding_idx] = 0
        return out
    order = np.argsort(flat, kind="stable")
    ordered = flat[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    wide = values[order].astype(np.float32) if g.dtype.itemsize == 2 else values[order]
    out[ordered[starts]] = np.add.reduceat(wide, starts, axis=0).astype(g.dtype)
    if padding_idx >= 0:
        out[padding_idx] = 0
    return out


def _embedding_backward(g: Any, indices: Any, rows: Any, padding_idx: Any = -1) -> Any:
    size = g.shape[-1]
    flat = reshape(indices, (-1, 1))
    values = reshape(g, (-1, size))
    if padding_idx >= 0:
        values = where(eq(flat, padding_idx), 0.0, values)
    return scatter_add(zeros((rows, size), dtype=g.dtype), 0, expand(flat, tuple(values.shape)), values)


embedding_backward = operator(
    "embedding_backward(Tensor grad, Tensor indices, int rows, int padding_idx=-1) -> Tensor",
    "The gradient of an embedding table: rows of grad summed by index.",
    shape=lambda g, indices, rows, padding_idx=-1: Spec((rows, g.shape[-1]), g.dtype), eager=_embedding_grad,
    decompose=_embedding_backward, tags=("index",),
    samples=lambda: [Sample((floats(3, 2), ints(3, high=4), 4)), Sample((floats(2, 3, 2), ints(2, 3, high=4), 4, 1))],
)  # fmt: skip

embedding = operator(
    "embedding(Tensor weight, Tensor indices, int padding_idx=-1) -> Tensor",
    "Rows of a table by index; the row `padding_idx` gets no gradient.",
    shape=_embedding_shape,
    eager=lambda xp, weight, indices, padding_idx: weight[_in_range("embedding", indices, weight.shape[0], 0)],
    decompose=lambda weight, indices, padding_idx=-1: reshape(
        _index_select(weight, reshape(indices, (-1,)), 0), (*indices.shape, weight.shape[1])
    ),
    vjp=lambda g, _out, _weight, indices, padding_idx: (
        embedding_backward(g, indices, _weight.shape[0], padding_idx),
        None,
    ),
    tags=("index",),
    samples=lambda: [Sample((floats(4, 2), ints(2, 3, high=4)))],
)

# -- index, index_put -----------------------------------------------------------------------------


def _check_indices(x: Any, indices: Any) -> list[int]:
    if len(indices) > len(x.shape):
        raise DimError(f"too many indices: {len(indices)} for a tensor of shape {list(x.shape)}")
    for index in indices:
        if index is not None:
            _need_index("index", index)
    return [d for d, i in enumerate(indices) if i is not None]


def _index_layout(x: Any, indices: Any) -> tuple[tuple[Any, ...], list[int], bool]:
    """The broadcast shape of the indices, the dimensions they index, and whether those are neighbours."""
    dims = _check_indices(x, indices)
    shape = broadcast(*[indices[d].shape for d in dims])
    return shape, dims, dims == list(range(dims[0], dims[0] + len(dims)))


def _index_shape(x: Any, indices: Any) -> Spec:
    shape, dims, together = _index_layout(x, indices)
    rest = [n for d, n in enumerate(x.shape) if d not in dims]
    lead = dims[0] if together else 0
    return Spec((*rest[:lead], *shape, *rest[lead:]), x.dtype)


def _numpy_indices(x: Any, indices: Any) -> Any:
    for d, index in enumerate(indices):
        if index is not None and index.size:
            low, high, size = int(index.min()), int(index.max()), x.shape[d]
            if low < -size or high >= size:
                bad = low if low < -size else high
                raise DimError(f"index {bad} is out of range for dimension {d} of size {size}")
    return tuple(slice(None) if i is None else i for i in indices)


index = operator(
    "index(Tensor self, Tensor[] indices) -> Tensor",
    "Advanced indexing: one integer tensor (or None) per leading dimension.",
    shape=_index_shape,
    eager=lambda xp, x, indices: x[_numpy_indices(x, indices)],
    tags=("index",),
    vjp=lambda g, _out, _x, indices: (index_put(_zeros(g, _x.shape), indices, g, accumulate=True), None),
    samples=lambda: [
        Sample((floats(3, 4), [ints(2, high=3)])),
        Sample((floats(3, 4, 2), [None, ints(2, 2, high=4)])),
        Sample((floats(3, 4, 2), [ints(2, high=3), None, ints(2, high=2)])),
    ],
)


def _index_put_shape(x: Any, indices: Any, values: Any, accumulate: Any = False) -> Spec:
    if values.dtype is not x.dtype:
        raise DTypeError(
            f"index_put: self has type {x.dtype}, values have {values.dtype}; convert them with .to(self.dtype)"
        )
    target = _index_shape(x, indices).shape
    if broadcast(target, values.shape) != target:
        raise ShapeError(f"index_put: values of shape {list(values.shape)} do not fit the indexed shape {list(target)}")
    return Spec(tuple(x.shape), x.dtype)


def _index_put_kernel(xp: Any, x: Any, indices: Any, values: Any, accumulate: Any) -> Any:
    out = x.copy()
    at = _numpy_indices(x, indices)
    if accumulate:
        np.add.at(out, at, values)
    else:
        out[at] = values
    return out


def _index_put_vjp(g: Any, _out: Any, _x: Any, indices: Any, _values: Any, accumulate: Any) -> Any:
    gx = None
    if _x.requires_grad:
        gx = g if accumulate else index_put(g, indices, _zeros(g, ()))
    return gx, None, index(g, indices) if _values.requires_grad else None


index_put: Callable[..., Any] = operator(
    "index_put(Tensor self, Tensor[] indices, Tensor values, bool accumulate=False) -> Tensor",
    "self with values written (or, accumulating, added) where advanced indices point.",
    shape=_index_put_shape, eager=_index_put_kernel, vjp=_index_put_vjp, tags=("index",),
    samples=lambda: [
        Sample((floats(4, 2), [Tensor._from_data(np.array([0, 2]))], floats(2, 2, seed=3))),
        Sample((floats(3, 4), [ints(2, high=3)], floats(2, 4, seed=3), True)),
    ],
)  # fmt: skip

# -- sizes that depend on the data ----------------------------------------------------------------


def _nonzero_shape(x: Any) -> Spec:
    raise ArgumentError("nonzero has as many rows as there are nonzero elements: its shape is not known before it runs")


nonzero = operator(
    "nonzero(Tensor self) -> Tensor",
    "The positions of the nonzero elements, one row each.",
    shape=_nonzero_shape,
    check=False,
    eager=lambda xp, x: np.argwhere(x),
    differentiable=False,
    tags=("index", "dynamic"),
    storage=False,
    samples=lambda: [Sample((ints(2, 3, high=2),))],
)


@function(method=True, exact_out=True)
def masked_select(self: Any, mask: Any) -> Any:
    """The elements where the mask is true, as a 1-d tensor."""
    if mask.dtype is not dtypes.bool_:
        raise DTypeError(f"masked_select: the mask must be a bool tensor, got {mask.dtype}; use mask != 0")
    shape = broadcast(self.shape, mask.shape)
    return expand(self, shape)[expand(mask, shape)] if shape else view(self, (1,))[view(mask, (1,))]


# -- sorting --------------------------------------------------------------------------------------


def _sort_shape(x: Any, dim: Any = -1, descending: Any = False, stable: Any = False) -> Any:
    wrap_dim(dim, len(x.shape))
    return Spec(tuple(x.shape), x.dtype), Spec(tuple(x.shape), dtypes.int64)


def _sort_kernel(xp: Any, x: Any, dim: Any, descending: Any, stable: Any) -> Any:
    if x.ndim == 0:
        return x.copy(), np.zeros((), np.int64)
    keys = x.astype(np.float32) if x.dtype.kind == "V" else x
    if descending:  # stable: equal elements keep their order, so sort the reverse and turn it round
        size = x.shape[dim]
        order = size - 1 - np.flip(np.argsort(np.flip(keys, dim), axis=dim, kind="stable"), dim)
    else:
        order = np.argsort(keys, axis=dim, kind="stable")
    return np.take_along_axis(x, order, dim), order


def _sorted_vjp(g: Any, out: Any, _x: Any, dim: Any, **attrs: Any) -> Any:
    return (scatter_add(_zeros(g[0], _x.shape), dim, out[1], g[0]) if _x.shape else g[0],)


_sort = operator(
    "sort(Tensor self, int dim=-1, bool descending=False, bool stable=False) -> (Tensor values, Tensor indices)",
    "The elements in order along a dimension, and where each was. Always stable.",
    shape=_sort_shape, eager=_sort_kernel, vjp=_sorted_vjp, tags=("index",), complex=None, storage=False,
    samples=lambda: [Sample((floats(2, 4),)), Sample((floats(3, 2), 0, True))],
)  # fmt: skip


@function(method=True)
def sort(self: Any, dim: Any = -1, descending: bool = False, stable: bool = False) -> ValuesIndices:
    """(values, indices): the elements in order along `dim`, and where each was."""
    return ValuesIndices(*_sort(self, dim, descending, stable))


@function(method=True)
def argsort(self: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """Where the elements in order along `dim` are."""
    return _sort(self, dim, descending, stable)[1]


def _topk_shape(x: Any, k: Any, dim: Any = -1, largest: Any = True, sorted: Any = True) -> Any:
    at = wrap_dim(dim, len(x.shape))
    size = x.shape[at] if x.shape else 1
    if type(size) is int and type(k) is int and not 0 <= k <= size:
        raise DimError(f"topk: k={k} is out of range for dimension {at} of size {size}")
    shape = (*x.shape[:at], k, *x.shape[at + 1 :]) if x.shape else ()
    return Spec(shape, x.dtype), Spec(shape, dtypes.int64)


def _topk(x: Any, k: Any, dim: Any = -1, largest: Any = True, sorted: Any = True) -> Any:
    values, order = _sort(x, dim, largest)
    return (slice_(values, dim, 0, k), slice_(order, dim, 0, k)) if x.shape else (values, order)


def _topk_kernel(xp: Any, x: Any, k: Any, dim: Any, largest: Any, sorted: Any) -> Any:
    values, order = _sort_kernel(xp, x, dim, largest, True)
    if x.ndim == 0:
        return values, order
    cut = (slice(None),) * (dim % x.ndim) + (slice(0, k),)
    return values[cut], order[cut]


_topk_op = operator(
    "topk(Tensor self, int k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)",
    "The k largest (or smallest) elements along a dimension in order, and where each was.",
    shape=_topk_shape, eager=_topk_kernel, decompose=_topk, vjp=_sorted_vjp, tags=("index",), complex=None,
    storage=False,
    samples=lambda: [Sample((floats(2, 5), 3)), Sample((floats(5, 2), 2, 0, False))],
)  # fmt: skip


@function(method=True)
def topk(self: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> ValuesIndices:
    """(values, indices): the `k` largest (or smallest) elements along `dim`, in order, and where each was."""
    return ValuesIndices(*_topk_op(self, k, dim, largest, sorted))


@function()
def one_hot(self: Any, num_classes: int = -1) -> Any:
    """int64 zeros with a one at each index, along a new last dimension of `num_classes` (found from the data if -1)."""
    if num_classes < 0:
        num_classes = int(self.max()) + 1 if self.numel() else 0
    return to_dtype(eq(unsqueeze(self, -1), arange(num_classes)), dtypes.int64)


@function(method=True)
def bincount(self: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often each non-negative integer occurs (or the sum of its weights)."""
    found = np.bincount(self.numpy(), None if weights is None else weights.detach().numpy(), minlength)
    kind = found.dtype if weights is None else np.float32 if weights.dtype is dtypes.float32 else np.float64
    return Tensor._from_data(found.astype(kind))


@function(method=True)
def unique(
    self: Any, sorted: bool = True, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The distinct elements in order, and on request where each element went and how often each occurs."""
    found = np.unique(ordered("unique", self), return_inverse=True, return_counts=True, axis=dim)
    parts = [Tensor._from_data(np.asarray(found[0]))]
    if return_inverse:
        parts.append(Tensor._from_data(found[1].reshape(self.shape if dim is None else -1)))
    if return_counts:
        parts.append(Tensor._from_data(found[2]))
    return parts[0] if len(parts) == 1 else tuple(parts)


@function(method=True, inplace=True)
def index_add(self: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """self with the slices of `source` added at the indices along `dim`."""
    if not self.shape:
        return view(index_add(view(self, (1,)), 0, index, view(source, (1,)), alpha=alpha), ())
    at = wrap_dim(dim, len(self.shape))
    wide = expand(view(index, (1,) * at + (-1,) + (1,) * (len(self.shape) - at - 1)), tuple(source.shape))
    return scatter_add(self, at, wide, source if alpha == 1 else source * alpha)
