"""Linear algebra under torch's names and signatures, from the primitives of `linalg`: what `pappus.linalg` offers.

Names of torch.linalg are declared with `linalg`, which `pappus.linalg` reads; those of the top level (`inverse`, `det`,
`cholesky` ...) are functions and methods as everywhere else.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from ..tensor import Tensor
from ._names import function
from ._shapes import numel, wrap_dim
from .complex_numbers import conj
from .create import zeros
from .linalg import (
    constant,
    eye_of,
    linalg_cholesky,
    linalg_det,
    linalg_eigh,
    linalg_inv,
    linalg_lu_factor,
    linalg_pinv,
    linalg_qr,
    linalg_slogdet,
    linalg_solve,
    linalg_solve_triangular,
    linalg_svd,
    linalg_svdvals,
    lower_upper,
    mH,
    mT,
    need_matrix,
    permutation,
)  # fmt: skip
from .matmul import matmul
from .parts import diagonal
from .pointwise import log, to_dtype, where
from .reduce import sum
from .shape import movedim, reshape, squeeze, stack, tril, triu, unsqueeze

F = TypeVar("F", bound=Callable[..., Any])
LINALG: dict[str, Callable[..., Any]] = {}


def linalg(f: F) -> F:
    """Offer a function as `pappus.linalg.<name>`."""
    LINALG[f.__name__.removesuffix("_")] = f
    return f


class SlogDet(NamedTuple):
    """The sign of a determinant and the logarithm of its absolute value."""

    sign: Any
    logabsdet: Any


class Eigh(NamedTuple):
    """Eigenvalues in ascending order, eigenvectors as columns."""

    eigenvalues: Any
    eigenvectors: Any


class SVD(NamedTuple):
    """U, S, Vh with A = U @ diag(S) @ Vh."""

    U: Any
    S: Any
    Vh: Any


class TopSVD(NamedTuple):
    """U, S, V with A = U @ diag(S) @ V.T."""

    U: Any
    S: Any
    V: Any


class QR(NamedTuple):
    """Q with orthonormal columns and upper triangular R."""

    Q: Any
    R: Any


class LU(NamedTuple):
    """P, L, U with A = P @ L @ U."""

    P: Any
    L: Any
    U: Any


class Factors(NamedTuple):
    """L and U in one matrix, and the row exchanged at each step."""

    LU: Any
    pivots: Any


class LeastSquares(NamedTuple):
    """A least-squares solution, its residuals, the rank and the singular values (empty where a driver has none)."""

    solution: Any
    residuals: Any
    rank: Any
    singular_values: Any


# -- inverses and solutions -----------------------------------------------------------------------


@function(method=True)
@linalg
def inv(self: Any) -> Any:
    """The inverse of a square matrix. Raises ArgumentError where there is none."""
    return linalg_inv(self)


@function(method=True)
def inverse(self: Any) -> Any:
    """The inverse of a square matrix."""
    return linalg_inv(self)


def _info(x: Any) -> Any:
    return zeros(tuple(x.shape[:-2]), dtype=dtypes.int32)


@linalg
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """The inverse and an error code, which is 0: errors are raised."""
    return linalg_inv(A), _info(A)


@linalg
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """X with A @ X = B, or X @ A = B with left=False; B may hold vectors, one per matrix.

    >>> import pappus as pp
    >>> pp.linalg.solve(pp.tensor([[2.0, 0.0], [0.0, 4.0]]), pp.tensor([2.0, 2.0])).tolist()
    [1.0, 0.5]
    """
    need_matrix("linalg.solve", A, square=True, real=False)
    vector = len(B.shape) == 1 or (len(B.shape) == len(A.shape) - 1 and tuple(B.shape) == tuple(A.shape[:-1]))
    if vector:
        if not left:
            raise ArgumentError("linalg.solve: left=False needs a right side of matrices")
        return squeeze(linalg_solve(A, unsqueeze(B, -1)), (-1,))
    return linalg_solve(A, B) if left else mT(linalg_solve(mT(A), mT(B)))


@linalg
def solve_ex(A: Any, B: Any, *, left: bool = True, check_errors: bool = False) -> Any:
    """`solve` and an error code, which is 0: errors are raised."""
    return solve(A, B, left=left), _info(A)


@linalg
def solve_triangular(A: Any, B: Any, *, upper: bool, left: bool = True, unitriangular: bool = False) -> Any:
    """X with A @ X = B (or X @ A = B), reading one triangle of A; with `unitriangular` its diagonal counts as ones."""
    if left:
        return linalg_solve_triangular(A, B, upper=upper, unitriangular=unitriangular)
    return mT(linalg_solve_triangular(mT(A), mT(B), upper=not upper, unitriangular=unitriangular))


@function(method=True)
def triangular_solve(
    self: Any, A: Any, upper: bool = True, transpose: bool = False, unitriangular: bool = False
) -> tuple[Any, Any]:
    """(X, A) with A @ X = self, reading one triangle of A."""
    a, up = (mT(A), not upper) if transpose else (A, upper)
    found = linalg_solve_triangular(a, self, upper=up, unitriangular=unitriangular)
    return found, A + zeros((*found.shape[:-2], 1, 1), dtype=A.dtype)


@linalg
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of a tensor seen as a matrix, the first `ind` dimensions being its rows."""
    if ind <= 0:
        raise ArgumentError(f"linalg.tensorinv: ind must be positive, got {ind}")
    rows, columns = tuple(A.shape[:ind]), tuple(A.shape[ind:])
    return reshape(linalg_inv(reshape(A, (numel(rows), numel(columns)))), (*columns, *rows))


@linalg
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """X with tensordot(A, X, X.ndim) = B."""
    if dims is not None:
        rank = len(A.shape)
        A = movedim(A, tuple(dims), tuple(range(rank - len(dims), rank)))
    shape = tuple(A.shape[len(B.shape) :])
    count = numel(B.shape)
    return reshape(linalg_solve(reshape(A, (count, numel(shape))), reshape(B, (count, 1))), shape)


# -- pseudoinverse, rank, least squares -----------------------------------------------------------


def _tolerance(atol: Any, rtol: Any, A: Any) -> tuple[float, float]:
    if rtol is None:
        eps = float(np.finfo(A.dtype.numpy).eps)
        rtol = 0.0 if atol is not None else eps * max(int(A.shape[-2]), int(A.shape[-1]))
    return float(0.0 if atol is None else atol), float(rtol)


def _reading(value: Any, route: Any) -> Any:
    """The numbers of `value`, with the gradient of `route`."""
    return route + (value - route).detach()


@linalg
def pinv(A: Any, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """The pseudoinverse; singular values up to max(atol, rtol * the largest) count as zero."""
    need_matrix("linalg.pinv", A, square=hermitian, real=False)
    low, part = _tolerance(atol, rcond if rtol is None else rtol, A)
    return linalg_pinv(A, atol=low, rtol=part, hermitian=hermitian)


@function(method=True)
def pinverse(self: Any, rcond: float = 1e-15) -> Any:
    """The pseudoinverse; singular values up to rcond * the largest count as zero."""
    return pinv(self, rtol=rcond)


@linalg
def matrix_rank(A: Any, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None) -> Any:
    """How many singular values are above max(atol, rtol * the largest)."""
    need_matrix("linalg.matrix_rank", A, square=hermitian, real=False)
    x = A.detach()
    values = linalg_eigh(x)[0].abs() if hermitian else linalg_svdvals(x)
    if 0 in x.shape[-2:]:
        return zeros(tuple(x.shape[:-2]), dtype=dtypes.int64)
    eps = float(np.finfo(A.dtype.numpy).eps) * max(int(A.shape[-2]), int(A.shape[-1]))
    atol = tol if atol is None else atol
    low = 0.0 if atol is None else atol
    part = (0.0 if atol is not None and not isinstance(atol, Tensor) and atol > 0 else eps) if rtol is None else rtol
    if isinstance(atol, Tensor) and rtol is None:
        part = where(atol > 0, 0.0, eps)
    bound = values.amax(-1) * part
    bound = bound.maximum(low if isinstance(low, Tensor) else constant(low, values))
    return sum(values > unsqueeze(bound, -1), (-1,))


@linalg
def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: str | None = None) -> LeastSquares:
    """The X that makes ||A @ X - B|| least, and of these the shortest."""
    need_matrix("linalg.lstsq", A)
    vector = len(B.shape) == len(A.shape) - 1
    right = unsqueeze(B, -1) if vector else B
    low, part = _tolerance(None, rcond, A)
    found = matmul(linalg_pinv(A, atol=low, rtol=part), right)
    m, n = A.shape[-2:]
    empty = zeros((0,), dtype=A.dtype)
    driver = driver or "gelsy"
    rank = zeros((0,), dtype=dtypes.int64) if driver == "gels" else matrix_rank(A)
    residuals = empty
    if m > n and driver != "gelsy" and (driver == "gels" or bool((rank == n).all())):
        off = matmul(A, found) - right
        residuals = sum(off * off, (-2,))
    values = linalg_svdvals(A.detach()) if driver in ("gelsd", "gelss") else empty
    return LeastSquares(squeeze(found, (-1,)) if vector else found, residuals, rank, values)


# -- determinants ---------------------------------------------------------------------------------


@function(method=True)
@linalg
def det(self: Any) -> Any:
    """The determinant of a square matrix."""
    return linalg_det(self)


@function(method=True)
@linalg
def slogdet(self: Any) -> SlogDet:
    """The sign of the determinant and the logarithm of its absolute value."""
    return SlogDet(*linalg_slogdet(self))


@function(method=True)
def logdet(self: Any) -> Any:
    """The logarithm of the determinant: nan where it is negative."""
    sign, value = linalg_slogdet(self)
    return log(sign) + value if self.dtype.is_complex else where(sign == -1, math.nan, value)


# -- factorizations -------------------------------------------------------------------------------


@linalg
def cholesky(A: Any, *, upper: bool = False) -> Any:
    """The lower triangular L with L @ L.T = A, for symmetric positive definite A; or L.T with `upper`."""
    return linalg_cholesky(A, upper=upper)


@function(method=True, name="cholesky")
def top_cholesky(self: Any, upper: bool = False) -> Any:
    """The Cholesky factor of a symmetric positive definite matrix."""
    return linalg_cholesky(self, upper=upper)


@linalg
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor and an error code, which is 0: errors are raised."""
    return linalg_cholesky(A, upper=upper), _info(A)


@function(method=True)
def cholesky_solve(self: Any, L: Any, upper: bool = False) -> Any:
    """X with A @ X = self, from the Cholesky factor of A."""
    low = mH(_reading(triu(L), L)) if upper else _reading(tril(L), L)  # all of L gets a gradient, as in torch
    return linalg_solve(mH(low), linalg_solve(low, self))


@function(method=True)
def cholesky_inverse(self: Any, upper: bool = False) -> Any:
    """The inverse of A from its Cholesky factor."""
    need_matrix("cholesky_inverse", self, square=True, real=False)
    return cholesky_solve(eye_of(int(self.shape[-1]), self), self, upper)


@linalg
def eigh(A: Any, UPLO: str = "L") -> Eigh:
    """Eigenvalues in ascending order and eigenvectors of a symmetric matrix, of which one triangle is read."""
    return Eigh(*linalg_eigh(A, UPLO))


@linalg
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues of a symmetric matrix in ascending order."""
    return linalg_eigh(A, UPLO)[0]


@linalg
def svd(A: Any, full_matrices: bool = True, *, driver: Any = None) -> SVD:
    """U, S, Vh with A = U @ diag(S) @ Vh and S in descending order."""
    return SVD(*linalg_svd(A, full_matrices))


@function(method=True, name="svd")
def top_svd(self: Any, some: bool = True, compute_uv: bool = True) -> TopSVD:
    """U, S, V with A = U @ diag(S) @ V.T; thin with `some`."""
    u, s, vh = linalg_svd(self, not some)
    if not compute_uv:
        m, n = self.shape[-2:]
        batch = tuple(self.shape[:-2])
        return TopSVD(zeros((*batch, m, m), dtype=self.dtype), s, zeros((*batch, n, n), dtype=self.dtype))
    return TopSVD(u, s, mH(vh))


@linalg
def svdvals(A: Any, *, driver: Any = None) -> Any:
    """The singular values in descending order."""
    return linalg_svdvals(A)


@linalg
def qr(A: Any, mode: str = "reduced") -> QR:
    """Q with orthonormal columns and upper triangular R; modes 'reduced', 'complete', 'r'."""
    return QR(*linalg_qr(A, mode))


@function(method=True, name="qr")
def top_qr(self: Any, some: bool = True) -> QR:
    """Q with orthonormal columns and upper triangular R; thin with `some`."""
    return QR(*linalg_qr(self, "reduced" if some else "complete"))


@linalg
def lu_factor(A: Any, *, pivot: bool = True) -> Factors:
    """L and U of A = P @ L @ U in one matrix, and the row exchanged at each step."""
    if not pivot:
        raise ArgumentError("linalg.lu_factor: pivot=False is not supported; leave it out")
    return Factors(*linalg_lu_factor(A))


@function(method=True, name="lu")
def top_lu(self: Any, pivot: bool = True, get_infos: bool = False) -> Any:
    """L and U in one matrix and the row exchanged at each step; with `get_infos` an error code, which is 0."""
    found = lu_factor(self, pivot=pivot)
    return (*found, _info(self)) if get_infos else found


@linalg
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """`lu_factor` and an error code, which is 0."""
    return (*lu_factor(A, pivot=pivot), _info(A))


@function(method=True)
def lu_unpack(self: Any, LU_pivots: Any, unpack_data: bool = True, unpack_pivots: bool = True) -> LU:
    """P, L, U from what `linalg.lu_factor` gives; empty tensors for what is not unpacked."""
    empty = zeros((0,), dtype=self.dtype)
    low, high = lower_upper(self) if unpack_data else (empty, empty)
    turn = constant(permutation(LU_pivots.numpy(), int(self.shape[-2])), self) if unpack_pivots else empty
    return LU(turn, low, high)


@linalg
def lu(A: Any, *, pivot: bool = True) -> LU:
    """P, L, U with A = P @ L @ U."""
    return lu_unpack(*lu_factor(A, pivot=pivot))


@linalg
def lu_solve_(LU: Any, pivots: Any, B: Any, *, left: bool = True, adjoint: bool = False) -> Any:
    """X with A @ X = B (or X @ A = B; of A.T with `adjoint`), from the factors of A."""
    if not left:
        return mH(lu_solve_(LU, pivots, mH(B), adjoint=not adjoint))
    turn = constant(permutation(pivots.numpy(), int(LU.shape[-2])), LU)
    if adjoint:
        inner = linalg_solve_triangular(mH(LU), B, upper=False)
        return matmul(turn, linalg_solve_triangular(mH(LU), inner, upper=True, unitriangular=True))
    inner = linalg_solve_triangular(LU, matmul(mT(turn), B), upper=False, unitriangular=True)
    return linalg_solve_triangular(LU, inner, upper=True)


@function(method=True)
def lu_solve(self: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """X with A @ X = self, from the factors of A."""
    return lu_solve_(LU_data, LU_pivots, self)


@function(method=True)
def geqrf(self: Any) -> Any:
    """The Householder reflectors (below the diagonal), R (above it), and the scales of a QR factorization."""
    need_matrix("geqrf", self)
    if 0 in self.shape:
        return self.clone(), zeros((*self.shape[:-2], min(*self.shape[-2:])), dtype=self.dtype)
    found, tau = np.linalg.qr(self.detach().numpy(), "raw")
    return Tensor._from_data(np.ascontiguousarray(np.swapaxes(found, -1, -2))), Tensor._from_data(tau)


def _reflect(reflectors: Any, tau: Any, x: Any, order: Any, transposed: bool) -> Any:
    """Apply I - tau v v.T for each reflector in `order` to `x` from the left."""
    need_matrix("a product of Householder reflectors", reflectors)
    m = int(reflectors.shape[-2])
    for i in order:
        head = constant(np.eye(m)[:, i], x)
        v = tril(reflectors, -1)[..., i] + head
        v = unsqueeze(v, -1)
        x = x - unsqueeze(unsqueeze(tau[..., i], -1), -1) * matmul(v, matmul(mT(v), x))
    return x


@linalg
def householder_product(A: Any, tau: Any) -> Any:
    """The first columns of the product of Householder reflectors, which lie below the diagonal of A."""
    m, n = (int(s) for s in A.shape[-2:])
    if n > m or int(tau.shape[-1]) > n:
        raise ShapeError(f"linalg.householder_product: {m} x {n} reflectors with {tau.shape[-1]} scales do not fit")
    start = zeros((*A.shape[:-2], m, n), dtype=A.dtype) + constant(np.eye(m, n), A)
    return _reflect(A, tau, start, reversed(range(int(tau.shape[-1]))), False)


@function(method=True)
def orgqr(self: Any, input2: Any) -> Any:
    """The first columns of the product of Householder reflectors."""
    return householder_product(self, input2)


@function(method=True)
def ormqr(self: Any, tau: Any, other: Any, left: bool = True, transpose: bool = False) -> Any:
    """Q @ other (or Q.T @ other, or from the right), Q being the full product of Householder reflectors."""
    count = range(int(tau.shape[-1]))
    if left:
        return _reflect(self, tau, other, count if transpose else reversed(count), transpose)
    return mT(_reflect(self, tau, mT(other), reversed(count) if transpose else count, not transpose))


# -- products and powers --------------------------------------------------------------------------


@linalg
@function(method=True)
def matrix_power(self: Any, n: int) -> Any:
    """A @ A @ ... n times; the inverse to the power of -n for negative n."""
    need_matrix("linalg.matrix_power", self, square=True, real=False)
    if n < 0:
        return matrix_power(linalg_inv(self), -n)
    out, square = None, self
    while n:
        if n & 1:
            out = square if out is None else matmul(out, square)
        n >>= 1
        square = matmul(square, square) if n else square
    return eye_of(int(self.shape[-1]), self) + self * 0 if out is None else out


@linalg
@function(method=True)
def matrix_exp(self: Any) -> Any:
    """The sum of A^k / k!, by scaling, Taylor's series and repeated squaring."""
    need_matrix("matrix_exp", self, square=True)
    if 0 in self.shape:
        return self.clone()
    size = float(np.abs(self.detach().numpy()).sum(-1).max())
    halvings = max(0, math.ceil(math.log2(size)) + 2) if size > 0 and math.isfinite(size) else 0
    x = self * 2.0**-halvings
    unit = eye_of(int(self.shape[-1]), self)
    out = unit + x * 0
    for k in range(14, 0, -1):
        out = unit + matmul(x, out) * (1 / k)
    for _ in range(halvings):
        out = matmul(out, out)
    return out


@linalg
def multi_dot(tensors: Any) -> Any:
    """The product of matrices in the order that costs least; the first and last may be vectors."""
    items = list(tensors)
    if len(items) < 2:
        raise ArgumentError(f"linalg.multi_dot: expected at least 2 tensors, got {len(items)}")
    first, last = len(items[0].shape) == 1, len(items[-1].shape) == 1
    items[0] = unsqueeze(items[0], 0) if first else items[0]
    items[-1] = unsqueeze(items[-1], 1) if last else items[-1]
    for n, x in enumerate(items):
        if len(x.shape) != 2:
            raise ShapeError(f"linalg.multi_dot: tensor {n} must be a matrix, got shape {list(x.shape)}")
    out = _multiply(items, _cheapest([int(items[0].shape[0]), *(int(x.shape[1]) for x in items)]), 0, len(items) - 1)
    if first:
        out = out[0]
    return out[..., 0] if last else out


def _cheapest(sizes: list[int]) -> list[list[int]]:
    """Where to split each chain of matrices, by dynamic programming over the number of multiplications."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    split = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            choices = [
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k) for k in range(i, j)
            ]  # fmt: skip
            cost[i][j], split[i][j] = min(choices)
    return split


def _multiply(items: list[Any], split: list[list[int]], i: int, j: int) -> Any:
    if i == j:
        return items[i]
    at = split[i][j]
    return matmul(_multiply(items, split, i, at), _multiply(items, split, at + 1, j))


@function()
def chain_matmul(*matrices: Any) -> Any:
    """The product of matrices in the order that costs least."""
    return multi_dot(matrices)


@linalg
def vander(x: Any, *, N: int | None = None) -> Any:
    """The powers 0 .. N - 1 of each element, along a new last dimension."""
    x = x if x.shape else unsqueeze(x, 0)
    count = int(x.shape[-1]) if N is None else N
    if x.dtype.category < 2:
        return to_dtype(stack([x**i for i in range(count)], -1), dtypes.int64)
    powers = [x * 0 + 1]
    for _ in range(count - 1):
        powers.append(powers[-1] * x)
    return stack(powers, -1)


@linalg
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The inner products of vectors along a dimension."""
    return sum(conj(x) * y, (dim,))


@linalg
def diagonal_(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonal of two dimensions as a new last dimension."""
    return diagonal(A, offset, dim1, dim2)


@linalg
def cross_(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross product of vectors with three elements along a dimension."""
    if len(input.shape) != len(other.shape):
        raise ShapeError(f"linalg.cross: {list(input.shape)} and {list(other.shape)} must have as many dimensions")
    at = wrap_dim(dim, len(input.shape))
    for x in (input, other):
        if x.shape[at] != 3:
            raise ShapeError(f"linalg.cross: dimension {at} must have size 3, got shape {list(x.shape)}")
    a, b = ([x.select(at, i) for i in range(3)] for x in (input, other))
    return stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]], at)


__all__ = ["LINALG", "linalg"]
