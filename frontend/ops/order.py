"""What depends on the order of elements: running extremes, medians, quantiles, places in sorted sequences."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DimError
from ..opdef import Sample, Spec, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import wrap_dim
from .create import zeros
from .index import scatter_add, sort
from .pointwise import eq, isnan, to_dtype, where
from .reduce import ValuesIndices, max, mean, sum
from .shape import flatten, slice_, squeeze

# -- running extremes -----------------------------------------------------------------------------


def _running_shape(x: Any, dim: Any) -> Any:
    wrap_dim(dim, len(x.shape))
    return Spec(tuple(x.shape), x.dtype), Spec(tuple(x.shape), dtypes.int64)


def _running_kernel(ufunc: Any) -> Any:
    def eager(xp: Any, x: Any, dim: Any) -> Any:
        if x.ndim == 0:
            return x.copy(), xp.zeros((), np.int64)
        values = ufunc.accumulate(x, axis=dim)
        taken = (x == values) | (x != x)  # where a new extreme, an equal one, or nan stands
        place = xp.arange(x.shape[dim]).reshape([-1 if d == dim % x.ndim else 1 for d in range(x.ndim)])
        return values, np.maximum.accumulate(np.where(taken, place, 0), axis=dim)

    return eager


def _running_vjp(g: Any, out: Any, _x: Any, dim: Any) -> Any:
    return (scatter_add(zeros(tuple(_x.shape), dtype=g[0].dtype), dim, out[1], g[0]) if _x.shape else g[0],)


def _running(name: str, ufunc: Any, doc: str) -> Any:
    op = operator(
        f"{name}(Tensor self, int dim) -> (Tensor values, Tensor indices)", doc, shape=_running_shape,
        eager=_running_kernel(ufunc), vjp=_running_vjp, tags=("scan",),
        samples=lambda: [Sample((floats(2, 4), 1)), Sample((floats(4), 0))],
    )  # fmt: skip

    def front(self: Any, dim: int) -> ValuesIndices:
        return ValuesIndices(*op(self, dim))

    front.__name__, front.__doc__ = name, f"(values, indices): {doc[0].lower()}{doc[1:]}"
    return function(method=True)(front)


cummax = _running(
    "cummax", np.maximum, "The largest element so far along a dimension, and where the last such one was."
)
cummin = _running(
    "cummin", np.minimum, "The smallest element so far along a dimension, and where the last such one was."
)

# -- one element of the sorted ones ---------------------------------------------------------------


@function(method=True, exact_out=True)
def kthvalue(self: Any, k: int, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """(values, indices): the k-th smallest element along `dim`, k counting from 1."""
    size = self.shape[dim] if self.shape else 1
    if not 1 <= k <= size:
        raise DimError(f"kthvalue: k={k} is out of range for dimension {dim} of size {size}")
    if not self.shape:
        return ValuesIndices(self.clone(), zeros((), dtype=dtypes.int64))
    values, order = sort(self, dim)
    values, order = slice_(values, dim, k - 1, k), slice_(order, dim, k - 1, k)
    return ValuesIndices(values, order) if keepdim else ValuesIndices(squeeze(values, (dim,)), squeeze(order, (dim,)))


def _median_along(x: Any, dim: int, keepdim: bool) -> ValuesIndices:
    found = kthvalue(x, ((x.shape[dim] if x.shape else 1) + 1) // 2, dim, keepdim)
    if not x.dtype.is_floating_point or not x.shape:
        return found
    missing = isnan(x)
    last = max(to_dtype(missing, dtypes.int64), dim, keepdim)  # nan where there is one, and its place
    return ValuesIndices(
        where(last.values > 0, math.nan, found.values), where(last.values > 0, last.indices, found.indices)
    )  # fmt: skip


@function(method=True)
def median(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The median, the lower one of two; with `dim`, (values, indices) along it. nan if an element is nan.

    >>> import pappus as pp
    >>> pp.median(pp.tensor([3, 1, 2, 9]))
    tensor(2)
    """
    if dim is not None:
        return _median_along(self, dim, keepdim)
    return _median_along(flatten(self), 0, False).values


@function(method=True)
def nansum(self: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of the elements that are not nan."""
    x = where(isnan(self), 0.0, self) if self.dtype.is_floating_point else self
    return sum(x, dim, keepdim, dtype=dtype)


@function(method=True)
def nanmean(self: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of the elements that are not nan."""
    if not self.dtype.is_floating_point:
        return mean(self, dim, keepdim, dtype=dtype)
    known = to_dtype(eq(self, self), self.dtype)
    return nansum(self, dim, keepdim, dtype=dtype) / sum(known, dim, keepdim)


@function(method=True)
def msort(self: Any) -> Any:
    """The elements in order along dimension 0."""
    return sort(self, 0).values


# -- places in sorted sequences, counts -----------------------------------------------------------


@function(method=True)
def histc(self: Any, bins: int = 100, min: float = 0, max: float = 0) -> Any:
    """How many elements fall into each of `bins` equal intervals from `min` to `max` (from the data if both are 0)."""
    data = self.detach().numpy().reshape(-1)
    data = data.astype(np.float32) if data.dtype.itemsize == 2 else data
    kind = data.dtype.type
    low, high = (data.min(), data.max()) if min == max == 0 and data.size else (kind(min), kind(max))
    if low == high:
        low, high = kind(low - kind(1)), kind(high + kind(1))
    if not (np.isfinite(low) and np.isfinite(high)) or high < low:
        raise ArgumentError(f"histc: the range must be finite and rising, got {low} to {high}")
    inside = data[(data >= low) & (data <= high)]
    place = ((inside - low) / (high - low) * kind(bins)).astype(np.int64)  # in the elements' own precision, as torch
    counts = np.bincount(np.minimum(place, bins - 1), minlength=bins)
    return Tensor._from_data(counts.astype(self.dtype.numpy))
