"""Statistics of samples: quantiles, histograms, covariances, differences and integrals, runs of equal elements."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor
from ._names import function
from ._shapes import ordered, wrap_dim
from .create import linspace, zeros
from .index import gather, sort
from .pointwise import floor, isnan, logical_not, round, sqrt, to_dtype, where
from .reduce import ValuesIndices, any, cumsum, sum
from .shape import cat, flatten, movedim, reshape, slice_, squeeze, transpose, unsqueeze, view

# -- quantiles ------------------------------------------------------------------------------------

_BETWEEN = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name: str, x: Any, q: Any, dim: Any, keepdim: bool, interpolation: str, skip_nan: bool) -> Any:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"{name} of {x.dtype}: only floating-point tensors; use x.float()")
    if interpolation not in _BETWEEN:
        raise ArgumentError(f"{name}: interpolation must be one of {', '.join(_BETWEEN)}, got {interpolation!r}")
    given = q if isinstance(q, Tensor) else Tensor._from_data(np.asarray(q, x.dtype.numpy))
    if len(given.shape) > 1:
        raise ShapeError(f"{name}: q must be a number or a 1-d tensor, got shape {list(given.shape)}")
    if given.dtype is not x.dtype:
        raise DTypeError(f"{name}: q has type {given.dtype}, the input {x.dtype}; they must be equal")
    if not all(0 <= v <= 1 for v in given.detach().reshape(-1).tolist()):
        raise ArgumentError(f"{name}: q must be between 0 and 1, got {given.tolist()}")
    rank = len(x.shape)
    flat, at = (flatten(x), 0) if dim is None else (x, wrap_dim(dim, rank))
    if not flat.shape:
        flat = view(flat, (1,))
    rows = movedim(flat, at, -1)
    ordered = sort(rows, -1).values  # nan comes last
    missing = isnan(ordered)
    count = sum(to_dtype(logical_not(missing), x.dtype), (-1,), True)
    if not skip_nan:  # one nan makes the result nan: it is the last element
        count = where(any(missing, (-1,), True), float(rows.shape[-1]), count)
    place = (reshape(given, (-1,)) * (count - 1)).clamp(min=0)
    below = floor(place.detach())
    if interpolation == "lower":
        found = _pick(ordered, below)
    elif interpolation == "higher":
        found = _pick(ordered, place.detach().ceil())
    elif interpolation == "nearest":
        found = _pick(ordered, round(place.detach()))
    else:
        low, high = _pick(ordered, below), _pick(ordered, place.detach().ceil())
        found = low + (high - low) * (0.5 if interpolation == "midpoint" else place - below)
    if not skip_nan:
        found = where(any(missing, (-1,), True), math.nan, found)
    found = movedim(found, -1, 0)
    if keepdim:
        found = reshape(found, (-1, *(1,) * rank)) if dim is None else unsqueeze(found, at + 1) if rank else found
    return found if len(given.shape) else squeeze(found, (0,))


def _pick(ordered: Any, place: Any) -> Any:
    return gather(ordered, -1, to_dtype(place, dtypes.int64))


@function(method=True)
def quantile(self: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """The element below which a fraction `q` (a number or a 1-d tensor) of the others lies; nan if one is nan.

    Between two elements the result is interpolated: linear, lower, higher, midpoint or nearest.

    >>> import pappus as pp
    >>> pp.quantile(pp.tensor([1.0, 2.0, 4.0]), 0.75).item()
    3.0
    """
    return _quantile("quantile", self, q, dim, keepdim, interpolation, False)


@function(method=True)
def nanquantile(self: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear") -> Any:
    """`quantile` of the elements that are not nan."""
    return _quantile("nanquantile", self, q, dim, keepdim, interpolation, True)


@function(method=True)
def nanmedian(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The median of the elements that are not nan, the lower one of two; with `dim`, (values, indices) along it."""
    if dim is None:
        return nanmedian(flatten(self), 0).values
    if not self.shape:
        return ValuesIndices(self.clone(), zeros((), dtype=dtypes.int64))
    values, order = sort(self, dim)
    known = sum(to_dtype(logical_not(isnan(values)), dtypes.int64), (dim,), True)
    middle = (known - 1).clamp(min=0) // 2
    found = ValuesIndices(gather(values, dim, middle), gather(order, dim, middle))
    return found if keepdim else ValuesIndices(*(squeeze(part, (dim,)) for part in found))


# -- differences and integrals --------------------------------------------------------------------


@function(method=True)
def diff(self: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """Differences of neighbours along `dim`, taken `n` times, with more elements put before or after on request.

    >>> import pappus as pp
    >>> pp.diff(pp.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if not self.shape:
        raise ShapeError("diff: expected at least 1 dimension, got a 0-d tensor")
    if n < 0:
        raise ArgumentError(f"diff: n must not be negative, got {n}")
    if n == 0:
        return self.clone()
    parts = [p for p in (prepend, self, append) if p is not None]
    out = cat(parts, dim) if len(parts) > 1 else self
    for _ in range(min(n, int(out.shape[dim]))):
        size = out.shape[dim]
        after, before = slice_(out, dim, 1, size), slice_(out, dim, 0, max(size - 1, 0))
        out = after != before if out.dtype is dtypes.bool_ else after - before
    return out


def _areas(y: Any, x: Any, dx: Any, dim: int) -> Any:
    size = y.shape[dim]
    pairs = slice_(y, dim, 1, size) + slice_(y, dim, 0, max(size - 1, 0))
    if x is None:
        return pairs * ((1 if dx is None else dx) / 2)
    if len(x.shape) == 1 and len(y.shape) > 1:
        at = wrap_dim(dim, len(y.shape))
        x = view(x, (*(1,) * at, -1, *(1,) * (len(y.shape) - at - 1)))
    step = slice_(x, dim, 1, x.shape[dim]) - slice_(x, dim, 0, max(x.shape[dim] - 1, 0))
    return pairs * step * 0.5


@function()
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The integral along `dim` by the trapezoidal rule, at points `x` or with a step `dx` (1)."""
    return sum(_areas(y, x, dx, dim), (dim,))


@function()
def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The same as `trapezoid`."""
    return trapezoid(y, x, dx=dx, dim=dim)


@function()
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The running integral along `dim` by the trapezoidal rule."""
    return cumsum(_areas(y, x, dx, dim), dim)


# -- covariance -----------------------------------------------------------------------------------


@function(method=True)
def cov(self: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariance matrix of variables in rows and observations in columns, weighted by counts and by importance."""
    if len(self.shape) > 2:
        raise ShapeError(f"cov: expected at most 2 dimensions, got shape {list(self.shape)}")
    if self.dtype.is_complex:
        raise DTypeError(f"cov of {self.dtype}: only real numbers; use it on x.real, x.imag or pappus.view_as_real(x)")
    x = view(self, (1, -1)) if len(self.shape) < 2 else self
    x = x if x.dtype.is_floating_point else to_dtype(x, dtypes.get_default_dtype())
    weights = None
    for w in (fweights, aweights):
        if w is not None:
            weights = to_dtype(w, x.dtype) if weights is None else weights * w
    if weights is None:
        mean = sum(x, (1,), True) / x.shape[1]
        norm: Any = x.shape[1] - correction
        centered = x - mean
        product = centered @ transpose(centered, 0, 1)
    else:
        total = sum(weights)
        mean = sum(x * weights, (1,), True) / total
        lost = correction * sum(weights * aweights) / total if aweights is not None else correction
        norm = total - lost
        centered = x - mean
        product = (centered * weights) @ transpose(centered, 0, 1)
    norm = norm.clamp(min=0) if isinstance(norm, Tensor) else max(norm, 0)
    found = product / norm
    return squeeze(found)


@function(method=True)
def corrcoef(self: Any) -> Any:
    """The matrix of correlation coefficients of variables in rows."""
    found = cov(self)
    if not found.shape:
        return found / found
    scale = sqrt(found.diagonal())
    return (found / unsqueeze(scale, 1) / unsqueeze(scale, 0)).clamp(-1, 1)


# -- histograms and places ------------------------------------------------------------------------


@function()
def searchsorted(
    sorted_sequence: Any, input: Any, *, out_int32: bool = False, right: bool = False, side: Any = None,
    sorter: Any = None,
) -> Any:  # fmt: skip
    """Where each input would be inserted into the rows of a sorted tensor to keep their order.

    Equal elements stay behind it, or with `right` (or side="right") before it; `sorter` sorts rows that are not sorted.

    >>> import pappus as pp
    >>> pp.searchsorted(pp.tensor([1, 3, 5]), pp.tensor([3, 6])).tolist()
    [1, 3]
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ArgumentError(f"searchsorted: side must be 'left' or 'right' and agree with right={right}, got {side!r}")
    after = right or side == "right"
    kind = dtypes.int32 if out_int32 else dtypes.int64
    edges = ordered("searchsorted", sorted_sequence)
    wanted = input.detach().numpy() if isinstance(input, Tensor) else np.asarray(input)
    if sorter is not None:
        if tuple(sorter.shape) != tuple(edges.shape):
            raise ShapeError(f"searchsorted: sorter of shape {list(sorter.shape)} for {list(edges.shape)}")
        edges = np.take_along_axis(edges, sorter.numpy(), -1)
    where_to: Any = "right" if after else "left"
    if edges.ndim == 1:
        found = np.searchsorted(edges, wanted, where_to)
    else:
        if edges.shape[:-1] != wanted.shape[:-1]:
            raise ShapeError(f"searchsorted: rows of shape {list(edges.shape)} do not match {list(wanted.shape)}")
        count = math.prod(wanted.shape[:-1])
        rows, values = edges.reshape(count, edges.shape[-1]), wanted.reshape(count, wanted.shape[-1])
        found = np.array([np.searchsorted(e, w, where_to) for e, w in zip(rows, values, strict=True)], np.int64)
        found = found.reshape(wanted.shape)
    return Tensor._from_data(np.asarray(found, kind.numpy))


@function()
def bucketize(input: Any, boundaries: Any, *, right: bool = False, out_int32: bool = False) -> Any:
    """The number of the bucket between sorted `boundaries` that each input falls into."""
    if len(boundaries.shape) != 1:
        raise ShapeError(f"bucketize: boundaries must have 1 dimension, got shape {list(boundaries.shape)}")
    return searchsorted(boundaries, input, right=right, out_int32=out_int32)


def _edges(name: str, data: Any, bins: int, low_high: Any, dtype: Any) -> Any:
    if low_high is None:
        low, high = (float(data.min()), float(data.max())) if data.size else (0.0, 1.0)
    else:
        low, high = (float(v) for v in low_high)
    if low > high or not (math.isfinite(low) and math.isfinite(high)):
        raise ArgumentError(f"{name}: the range [{low}, {high}] must be finite and in order")
    if low == high:
        low, high = low - 0.5, high + 0.5
    return linspace(low, high, bins + 1, dtype=dtype).numpy()


def _bin_of(data: Any, edges: Any) -> Any:
    """The interval of each element, the last one closed; -1 outside."""
    found = np.searchsorted(edges, data, "right") - 1
    found = np.where(data == edges[-1], len(edges) - 2, found)
    return np.where((data >= edges[0]) & (data <= edges[-1]), found, -1)


def _count(columns: Any, edges: Any, weight: Any, density: bool, dtype: Any) -> Any:
    """Weights summed over a grid of intervals, one list of edges per coordinate."""
    shape = tuple(len(e) - 1 for e in edges)
    places = [_bin_of(c, e) for c, e in zip(columns, edges, strict=True)]
    inside = np.all([p >= 0 for p in places], axis=0)
    flat = np.ravel_multi_index([p[inside] for p in places], shape)
    ones = np.ones(len(inside)) if weight is None else weight.detach().numpy().reshape(-1).astype(np.float64)
    found = np.bincount(flat, ones[inside], math.prod(shape)).reshape(shape)
    if density:
        volume = np.ones(())
        for e in edges:
            volume = volume[..., None] * np.diff(e)
        found = found / found.sum() / volume
    return Tensor._from_data(found.astype(dtype.numpy))


@function(method=True)
def histogram(self: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False) -> tuple[Any, Any]:
    """(counts, edges) of equal intervals, or of those between given edges; weighted, or as a density, on request."""
    data = self.detach().numpy().reshape(-1)
    edges = bins.numpy() if isinstance(bins, Tensor) else _edges("histogram", data, bins, range, self.dtype)
    return _count([data], [edges], weight, density, self.dtype), Tensor._from_data(edges)


@function()
def histogramdd(
    input: Any, bins: Any, *, range: Any = None, weight: Any = None, density: bool = False
) -> tuple[Any, Any]:
    """(counts, edges) over a grid of intervals of the columns of `input` (*, D)."""
    data = input.detach().numpy().reshape(-1, input.shape[-1])
    columns = [data[:, d] for d in np.arange(data.shape[1])]
    each = list(bins) if isinstance(bins, Sequence) else [bins] * len(columns)
    if len(each) != len(columns):
        raise ArgumentError(f"histogramdd: {len(each)} numbers of bins for {len(columns)} columns")
    ranges = [None] * len(columns) if range is None else [range[2 * d : 2 * d + 2] for d in np.arange(len(columns))]
    edges = [
        b.numpy() if isinstance(b, Tensor) else _edges("histogramdd", c, b, r, input.dtype)
        for c, b, r in zip(columns, each, ranges, strict=True)
    ]
    return _count(columns, edges, weight, density, input.dtype), tuple(Tensor._from_data(e) for e in edges)


# -- runs -----------------------------------------------------------------------------------------


@function(method=True)
def unique_consecutive(self: Any, return_inverse: bool = False, return_counts: bool = False, dim: Any = None) -> Any:
    """The elements (or slices along `dim`) that differ from the one before; on request each one's run, and lengths.

    >>> import pappus as pp
    >>> pp.unique_consecutive(pp.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    data = ordered("unique_consecutive", self)
    rows = data.reshape(-1, 1) if dim is None else np.moveaxis(data, dim, 0)
    flat = rows.reshape(len(rows), -1) if rows.size else rows.reshape(len(rows), 0)
    first = np.ones(len(rows), bool)
    first[1:] = (flat[1:] != flat[:-1]).any(1)
    kept = rows[first]
    parts = [Tensor._from_data(kept.reshape(-1) if dim is None else np.ascontiguousarray(np.moveaxis(kept, 0, dim)))]
    if return_inverse:
        inverse = np.cumsum(first) - 1
        parts.append(Tensor._from_data(inverse.reshape(data.shape if dim is None else -1)))
    if return_counts:
        starts = np.flatnonzero(first)
        parts.append(Tensor._from_data(np.diff(np.append(starts, len(rows)))))
    return parts[0] if len(parts) == 1 else tuple(parts)


@function(method=True)
def mode(self: Any, dim: int = -1, keepdim: bool = False) -> ValuesIndices:
    """(values, indices): the most frequent element along `dim`, the smallest of those, and the last place of it."""
    if not self.shape:
        return ValuesIndices(self.clone(), zeros((), dtype=dtypes.int64))
    rows = np.moveaxis(ordered("mode", self), dim, -1)
    if not rows.shape[-1]:
        raise ShapeError(f"mode: dimension {dim} has size 0")
    found = np.zeros(rows.shape[:-1], np.int64)
    for at in np.ndindex(*rows.shape[:-1]):
        values, counts = np.unique(rows[at], return_counts=True)
        found[at] = np.flatnonzero(rows[at] == values[counts.argmax()])[-1]
    place = Tensor._from_data(np.expand_dims(found, dim))
    values = gather(self, dim, place)
    return ValuesIndices(values, place) if keepdim else ValuesIndices(squeeze(values, (dim,)), squeeze(place, (dim,)))
