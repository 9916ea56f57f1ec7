"""Norms of vectors and matrices, and distances. At zero, where a norm has a corner, the gradient is 0."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor
from ._names import function
from ._shapes import broadcast, through_float32, wrap_dim, wrap_dims
from .complex_numbers import squared
from .create import zeros
from .linalg import linalg_inv, linalg_svdvals, need_matrix
from .linalg_functions import linalg
from .pointwise import abs as absolute
from .pointwise import eq, ne, pow, sqrt, to_dtype, where
from .reduce import amax, amin, any, sum
from .shape import movedim, reshape, unsqueeze

# -- vectors --------------------------------------------------------------------------------------


def _safe_power(total: Any, exponent: float) -> Any:
    """total ** exponent, whose gradient at 0 is 0 instead of infinite."""
    zero = eq(total, 0)
    inside = where(zero, 1.0, total)
    return where(zero, 0.0, sqrt(inside) if exponent == 0.5 else pow(inside, exponent))


@linalg
def vector_norm(x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """(sum |x|^ord)^(1/ord) of all elements or along dimensions; inf, -inf and 0 (nonzero elements) are known.

    >>> import pappus as pp
    >>> pp.linalg.vector_norm(pp.tensor([3.0, 4.0])).item()
    5.0
    """
    x = x if dtype is None else to_dtype(x, dtype)
    if x.dtype.category < 2:
        raise DTypeError(f"linalg.vector_norm of {x.dtype}: only floating-point and complex tensors; use x.float()")
    if not isinstance(ord, (int, float)):
        raise ArgumentError(f"linalg.vector_norm: ord must be a number, got {ord!r}")
    return _vector_norm(x, ord, (dim,) if isinstance(dim, int) else dim, keepdim)


@through_float32
def _vector_norm(x: Any, ord: float, dim: Any, keepdim: bool) -> Any:
    if ord == 2:
        return _safe_power(sum(squared(x), dim, keepdim), 0.5)
    size = absolute(x)
    if ord == 0:
        return sum(to_dtype(ne(size, 0), size.dtype), dim, keepdim) + sum(size * 0, dim, keepdim)
    if ord == 1:
        return sum(size, dim, keepdim)
    if math.isinf(ord):
        if ord > 0 and 0 in [x.shape[d] for d in wrap_dims(dim, len(x.shape))]:
            raise ShapeError(f"linalg.vector_norm: the largest of no elements is not defined, shape {list(x.shape)}")
        return amax(size, dim, keepdim) if ord > 0 else amin(size, dim, keepdim)
    zero = eq(size, 0)
    if ord < 0:  # one zero makes the norm zero
        total = sum(pow(where(zero, 1.0, size), ord), dim, keepdim)
        return where(any(zero, dim, keepdim), 0.0, pow(total, 1 / ord))
    powers = where(zero, 0.0, pow(where(zero, 1.0, size), ord))
    return _safe_power(sum(powers, dim, keepdim), 1 / ord)


# -- matrices -------------------------------------------------------------------------------------


def _two(name: str, dim: Any, rank: int) -> tuple[int, int]:
    if not isinstance(dim, (tuple, list)) or len(dim) != 2:
        raise ArgumentError(f"{name}: dim must be a pair of dimensions, got {dim!r}")
    a, b = wrap_dim(dim[0], rank), wrap_dim(dim[1], rank)
    if a == b:
        raise ArgumentError(f"{name}: the two dimensions must be different, got {list(dim)}")
    return a, b


@linalg
def matrix_norm(A: Any, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None) -> Any:
    """A norm of matrices: "fro", "nuc" (sum of singular values), 2 and -2 (extreme ones), 1, -1, inf, -inf (sums)."""
    A = A if dtype is None else to_dtype(A, dtype)
    if A.dtype.category < 2:
        raise DTypeError(f"linalg.matrix_norm of {A.dtype}: only floating-point and complex tensors; use x.float()")
    rank = len(A.shape)
    if rank < 2:
        raise ShapeError(f"linalg.matrix_norm: expected at least 2 dimensions, got shape {list(A.shape)}")
    row, column = _two("linalg.matrix_norm", dim, rank)
    if ord == "fro":
        return vector_norm(A, 2, (row, column), keepdim)
    if ord == "nuc" or ord in (2, -2):
        values = linalg_svdvals(movedim(A, (row, column), (rank - 2, rank - 1)))
        found = sum(values, (-1,)) if ord == "nuc" else amax(values, (-1,)) if ord == 2 else amin(values, (-1,))
        for d in sorted((row, column)) if keepdim else ():
            found = unsqueeze(found, d)
        return found
    if ord not in (1, -1, math.inf, -math.inf):
        raise ArgumentError(f"linalg.matrix_norm: ord must be 'fro', 'nuc', 1, 2, inf or a negative one, got {ord!r}")
    inner, outer = (row, column) if ord in (1, -1) else (column, row)
    sums = sum(absolute(A), (inner,), True)
    found = amax(sums, (outer,), True) if ord > 0 else amin(sums, (outer,), True)
    return found if keepdim else reshape(found, tuple(n for d, n in enumerate(A.shape) if d not in (row, column)))


@linalg
def norm_(A: Any, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The norm of a vector or a matrix, by the number of dimensions; without `ord` and `dim` that of all elements.

    >>> import pappus as pp
    >>> pp.linalg.norm(pp.tensor([[3.0, 0.0], [0.0, 4.0]]), "nuc").item()
    7.0
    """
    dims = (dim,) if isinstance(dim, int) else dim
    count = len(A.shape) if dims is None else len(dims)
    if ord is None:
        return vector_norm(A, 2, dims, keepdim, dtype=dtype)
    if count not in (1, 2):
        raise ArgumentError(f"linalg.norm: ord={ord!r} needs a vector or a matrix, got {list(A.shape)} and dim={dim}")
    if count == 1:
        return vector_norm(A, ord, dims, keepdim, dtype=dtype)
    return matrix_norm(A, ord, (-2, -1) if dims is None else dims, keepdim, dtype=dtype)


@linalg
def cond(A: Any, p: Any = None) -> Any:
    """The condition number: the norm of A times that of its inverse; by singular values for p = None, 2 and -2."""
    need_matrix("linalg.cond", A, real=False)
    if p in (None, 2, -2):
        values = linalg_svdvals(A)
        top, low = values[..., 0], values[..., -1]
        return low / top if p == -2 else top / low
    return matrix_norm(A, p) * matrix_norm(linalg_inv(A), p)


@function(method=True)
def nuclear_norm(self: Any, dim: Any = (-2, -1), keepdim: bool = False) -> Any:
    """The sum of the singular values."""
    return matrix_norm(self, "nuc", dim, keepdim)


@function(method=True)
def renorm(self: Any, p: float, dim: int, maxnorm: float) -> Any:
    """Each slice along `dim` scaled down, where its p-norm is above `maxnorm`, to that norm."""
    rank = len(self.shape)
    if rank < 2:
        raise ShapeError(f"renorm: expected at least 2 dimensions, got shape {list(self.shape)}")
    if p <= 0 or maxnorm < 0:
        raise ArgumentError(f"renorm: p must be positive and maxnorm not negative, got p={p}, maxnorm={maxnorm}")
    at = wrap_dim(dim, rank)
    size = vector_norm(self, p, tuple(d for d in range(rank) if d != at), True)
    return self * where(size > maxnorm, maxnorm / (size + 1e-7), 1.0)


# -- distances ------------------------------------------------------------------------------------


@through_float32
def _dist(a: Any, b: Any, p: float) -> Any:
    return vector_norm(a - b, p)


@function(method=True)
def dist(self: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of self - other."""
    return _dist(self, other, p)


@function()
def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of x1 - x2 + eps along the last dimension."""
    return vector_norm(x1 - x2 + eps, p, (-1,), keepdim)


@function()
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: Any = None) -> Any:
    """The p-norm distance of every row of x1 (*, P, M) to every row of x2 (*, R, M): (*, P, R).

    >>> import pappus as pp
    >>> pp.cdist(pp.tensor([[0.0, 0.0]]), pp.tensor([[3.0, 4.0], [0.0, 1.0]])).tolist()
    [[5.0, 1.0]]
    """
    if len(x1.shape) < 2 or len(x2.shape) < 2:
        raise ShapeError(f"cdist: expected at least 2 dimensions, got shapes {list(x1.shape)} and {list(x2.shape)}")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(f"cdist: rows of {x1.shape[-1]} and {x2.shape[-1]} elements; they must have the same number")
    if p < 0:
        raise ArgumentError(f"cdist: p must not be negative, got {p}")
    batch = broadcast(x1.shape[:-2], x2.shape[:-2])
    if 0 in (*x1.shape, *x2.shape):
        return zeros((*batch, x1.shape[-2], x2.shape[-2]), dtype=x1.dtype) + sum(x1) * 0 + sum(x2) * 0
    return vector_norm(unsqueeze(x1, -2) - unsqueeze(x2, -3), p, (-1,))


@function()
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances of all pairs of rows (N, M), as N * (N - 1) / 2 numbers."""
    if len(input.shape) != 2:
        raise ShapeError(f"pdist: expected a matrix, got shape {list(input.shape)}")
    n = int(input.shape[0])
    first, second = np.triu_indices(n, 1)
    rows = [Tensor._from_data(np.asarray(i, np.int64)) for i in (first, second)]
    return vector_norm(input[rows[0]] - input[rows[1]], p, (-1,))

