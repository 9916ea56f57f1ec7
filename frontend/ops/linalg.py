"""Linear algebra: inverses, solutions, factorizations, determinants. The primitives, each with its gradient.

Everything acts on the last two dimensions, the leading ones being a batch. The gradients of factorizations are
undefined where they are not unique (equal singular values or eigenvalues) and large near there.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..device import on_host
from ..errors import DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ..tensor import Tensor
from ._samples import floats
from ._shapes import broadcast
from .complex_numbers import conj
from .matmul import matmul
from .pointwise import where
from .reduce import _others
from .shape import cat, slice_, transpose, tril, triu, unsqueeze

__all__ = [
    "linalg_cholesky", "linalg_det", "linalg_eigh", "linalg_inv", "linalg_lu_factor", "linalg_pinv", "linalg_qr",
    "linalg_slogdet", "linalg_solve", "linalg_solve_triangular", "linalg_svd",
    "linalg_svdvals",
]  # fmt: skip


# -- what the rules share -------------------------------------------------------------------------


def mT(x: Any) -> Any:
    """The last two dimensions exchanged."""
    return transpose(x, -2, -1)


def mH(x: Any) -> Any:
    """The last two dimensions exchanged, the elements conjugated."""
    return conj(mT(x))


def need_matrix(name: str, x: Any, square: bool = False, real: bool = True) -> None:
    """Refuse what is not a floating-point matrix (or a batch of them), with `square` what is not square, and complex
    ones unless `real` is false."""
    if x.dtype.to_real() not in (dtypes.float32, dtypes.float64) or (real and x.dtype.is_complex):
        raise DTypeError(f"{name} of {x.dtype}: only float32 and float64 matrices; use x.float()")
    if len(x.shape) < 2:
        raise ShapeError(f"{name}: expected a matrix or a batch of matrices, got shape {list(x.shape)}")
    if square and not sym_eq(x.shape[-2], x.shape[-1]):
        raise ShapeError(f"{name}: the matrix must be square, got {x.shape[-2]} x {x.shape[-1]}")


def constant(array: Any, like: Any) -> Any:
    """A tensor of numbers that do not depend on the operands, in their type."""
    return Tensor._from_data(np.asarray(array, like.dtype.numpy))


def eye_of(n: int, like: Any) -> Any:
    """The n x n identity in the type of `like`."""
    return constant(np.eye(n), like)


def matrix(*shape: int, seed: int = 0, shift: float = 0.0) -> Tensor:
    """Sample matrices: well conditioned for `shift` of a few units, which are added to the diagonal."""
    data = floats(*shape, seed=seed).numpy()
    return Tensor._from_data(data + shift * np.eye(shape[-2], shape[-1]))


def spd(*shape: int, seed: int = 0) -> Tensor:
    """Sample matrices that are symmetric and positive definite, with distinct eigenvalues."""
    data = floats(*shape, seed=seed).numpy()
    return Tensor._from_data(data @ np.swapaxes(data, -1, -2) + np.diag(np.arange(1.0, shape[-1] + 1)))


def _square_shape(name: str) -> Any:
    def shape(x: Any, **_: Any) -> Spec:
        need_matrix(name, x, square=True, real=False)
        return Spec(tuple(x.shape), x.dtype)

    return shape


# -- inverse and solutions ------------------------------------------------------------------------


def _inv_vjp(g: Any, out: Any, _x: Any) -> Any:
    back = mT(out)
    return -(back @ g @ back)


linalg_inv = operator(
    "linalg_inv(Tensor self) -> Tensor", "The inverse of a square matrix. Raises ArgumentError where there is none.",
    shape=_square_shape("linalg.inv"), eager=lambda xp, x: np.linalg.inv(x), vjp=_inv_vjp, tags=("linalg",),
    complex="holomorphic",
    samples=lambda: [Sample((matrix(3, 3, shift=4),)), Sample((matrix(2, 2, 2, shift=4),))],
)  # fmt: skip


def _solve_shape(name: str) -> Any:
    def shape(a: Any, b: Any, **_: Any) -> Spec:
        need_matrix(name, a, square=True, real=False)
        need_matrix(name, b, real=False)
        if a.dtype is not b.dtype:
            raise DTypeError(f"{name}: the matrix has type {a.dtype}, the right side {b.dtype}; they must be equal")
        if not sym_eq(a.shape[-1], b.shape[-2]):
            raise ShapeError(f"{name}: the matrix of shape {list(a.shape)} does not fit the right side {list(b.shape)}")
        return Spec((*broadcast(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)

    return shape


def _solve_vjp(g: Any, out: Any, a: Any, _b: Any) -> Any:
    gb = linalg_solve(mT(a), g)
    return (-(gb @ mT(out)) if a.requires_grad else None), gb


linalg_solve = operator(
    "linalg_solve(Tensor self, Tensor other) -> Tensor", "X with A @ X = B, for matrices B.",
    shape=_solve_shape("linalg.solve"), eager=lambda xp, a, b: np.linalg.solve(a, b), vjp=_solve_vjp, tags=("linalg",),
    complex="holomorphic",
    samples=lambda: [
        Sample((matrix(3, 3, shift=4), floats(3, 2, seed=2))),
        Sample((matrix(2, 1, 2, 2, shift=4), floats(3, 2, 1, seed=2))),
    ],
)  # fmt: skip


def _triangle(xp: Any, a: Any, upper: bool, unitriangular: bool) -> Any:
    part = np.triu(a) if upper else np.tril(a)
    if unitriangular:
        at = np.arange(a.shape[-1])
        part[..., at, at] = 1
    return part


def _solve_triangular_kernel(xp: Any, a: Any, b: Any, upper: bool, unitriangular: bool) -> Any:
    a = _triangle(xp, a, upper, unitriangular)
    return np.linalg.solve(a, b)


def _solve_triangular_vjp(g: Any, out: Any, a: Any, _b: Any, upper: bool, unitriangular: bool) -> Any:
    gb = linalg_solve_triangular(mT(a), g, upper=not upper, unitriangular=unitriangular)
    ga = None
    if a.requires_grad:
        step = 1 if unitriangular else 0
        ga = -(gb @ mT(out))
        ga = triu(ga, step) if upper else tril(ga, -step)
    return ga, gb


linalg_solve_triangular = operator(
    "linalg_solve_triangular(Tensor self, Tensor other, *, bool upper, bool unitriangular=False) -> Tensor",
    "X with A @ X = B, of A only the upper or the lower triangle being read.",
    shape=_solve_shape("linalg.solve_triangular"), eager=_solve_triangular_kernel, vjp=_solve_triangular_vjp,
    tags=("linalg",), complex="holomorphic",
    samples=lambda: [
        Sample((matrix(3, 3, shift=4), floats(3, 2, seed=2)), {"upper": True}),
        Sample((matrix(2, 2, 2, shift=4), floats(2, 1, seed=2)), {"upper": False, "unitriangular": True}),
    ],
)  # fmt: skip

# -- determinants ---------------------------------------------------------------------------------


def _det_shape(name: str, count: int) -> Any:
    def shape(x: Any) -> Any:
        need_matrix(name, x, square=True, real=False)
        spec = Spec(tuple(x.shape[:-2]), x.dtype)
        return spec if count == 1 else (spec, Spec(spec.shape, x.dtype.to_real()))

    return shape


def cofactors(x: Any) -> Any:
    """The matrix of cofactors, det(x) * inv(x).T, which exists for singular matrices too."""
    u, s, vh = linalg_svd(x, full_matrices=False)
    sign = np.linalg.det(u.detach().numpy()) * np.linalg.det(vh.detach().numpy())
    sign = sign if x.dtype.is_complex else np.sign(sign)
    scale = _others(s, -1) * constant(sign[..., None], x)
    return matmul(conj(u) * unsqueeze(scale, -2), conj(vh))


linalg_det = operator(
    "linalg_det(Tensor self) -> Tensor", "The determinant of a square matrix.", shape=_det_shape("linalg.det", 1),
    eager=lambda xp, x: np.linalg.det(x), tags=("linalg",), complex="holomorphic",
    vjp=lambda g, _out, x: (unsqueeze(unsqueeze(g, -1), -1) * cofactors(x) if x.shape[-1] else x * 0,),
    samples=lambda: [Sample((matrix(3, 3, shift=2),)), Sample((matrix(2, 2, 2, shift=1),))],
)  # fmt: skip


def _slogdet_vjp(g: Any, _out: Any, x: Any) -> Any:
    return (unsqueeze(unsqueeze(g[1], -1), -1) * mT(linalg_inv(x)),)


linalg_slogdet = operator(
    "linalg_slogdet(Tensor self) -> (Tensor sign, Tensor logabsdet)",
    "The sign of the determinant of a square matrix and the logarithm of its absolute value.",
    shape=_det_shape("linalg.slogdet", 2), eager=lambda xp, x: tuple(np.linalg.slogdet(x)), vjp=_slogdet_vjp,
    tags=("linalg",), complex="forward",
    samples=lambda: [Sample((matrix(3, 3, shift=4),)), Sample((matrix(2, 2, 2, shift=4),))],
)  # fmt: skip

# -- Cholesky, eigenvalues, singular values -------------------------------------------------------


def _cholesky_kernel(xp: Any, x: Any, upper: bool) -> Any:
    if upper:
        return np.swapaxes(np.linalg.cholesky(np.swapaxes(x, -1, -2).conj()), -1, -2).conj()
    return np.linalg.cholesky(x)


def _cholesky_vjp(g: Any, out: Any, _x: Any, upper: bool) -> Any:
    low, g = (mH(out), mH(g)) if upper else (out, g)
    inner = matmul(mH(low), g)
    inner = (tril(inner) + mH(tril(inner, -1))) * 0.5
    left = linalg_solve_triangular(mH(low), inner, upper=True)
    return (mH(linalg_solve_triangular(mH(low), mH(left), upper=True)),)


linalg_cholesky = operator(
    "linalg_cholesky(Tensor self, *, bool upper=False) -> Tensor",
    "The lower triangular L with L @ L.T = A, for symmetric positive definite A; or L.T with `upper`.",
    shape=_square_shape("linalg.cholesky"), eager=_cholesky_kernel, vjp=_cholesky_vjp, tags=("linalg", "symmetric"),
    complex="own",
    samples=lambda: [Sample((spd(3, 3),)), Sample((spd(2, 2, 2),), {"upper": True})],
)  # fmt: skip


def _eigh_shape(x: Any, **_: Any) -> Any:
    need_matrix("linalg.eigh", x, square=True, real=False)
    return Spec(tuple(x.shape[:-1]), x.dtype.to_real()), Spec(tuple(x.shape), x.dtype)


def _eigh_vjp(g: Any, out: Any, _x: Any, UPLO: str) -> Any:
    values, vectors = out
    same = constant(np.eye(int(values.shape[-1])), values) != 0
    gap = where(same, 1.0, unsqueeze(values, -2) - unsqueeze(values, -1))
    inner = where(same, unsqueeze(g[0], -1), matmul(mH(vectors), g[1]) / gap)
    grad = matmul(matmul(vectors, inner), mH(vectors))
    return ((grad + mH(grad)) * 0.5,)


linalg_eigh = operator(
    "linalg_eigh(Tensor self, str UPLO='L') -> (Tensor eigenvalues, Tensor eigenvectors)",
    "Eigenvalues in ascending order, and eigenvectors as columns, of a symmetric matrix; one triangle of it is read.",
    shape=_eigh_shape, eager=lambda xp, x, UPLO: tuple(np.linalg.eigh(x, "U" if UPLO in "uU" else "L")), vjp=_eigh_vjp,
    tags=("linalg", "symmetric"), complex="own",
    samples=lambda: [Sample((spd(3, 3),)), Sample((spd(2, 2, 2),), {"UPLO": "U"})],
)  # fmt: skip


def _svd_shape(x: Any, full_matrices: Any = True) -> Any:
    need_matrix("linalg.svd", x, real=False)
    m, n = x.shape[-2:]
    k = min(m, n)
    batch = tuple(x.shape[:-2])
    sizes = ((m, m), (k,), (n, n)) if full_matrices else ((m, k), (k,), (k, n))
    return tuple(Spec((*batch, *size), x.dtype.to_real() if len(size) == 1 else x.dtype) for size in sizes)


def _svd_vjp(g: Any, out: Any, _x: Any, full_matrices: bool) -> Any:
    """The extra columns of full matrices are not unique: they give no gradient."""
    k = int(out[1].shape[-1])
    if not k:
        return (matmul(out[0][..., :0], out[2][..., :0, :]),)
    u, s, v = slice_(out[0], -1, 0, k), out[1], mT(slice_(out[2], -2, 0, k))
    gu, gs, gv = slice_(g[0], -1, 0, k), g[1], mT(slice_(g[2], -2, 0, k))
    same = constant(np.eye(k), s) != 0
    row, column = unsqueeze(s, -2), unsqueeze(s, -1)
    gap = where(same, 1.0, (row - column) * (row + column))

    def turn(a: Any, ga: Any) -> Any:
        product = matmul(mT(a), ga)
        return (product - mT(product)) / gap

    inner = turn(u, gu) * row + column * turn(v, gv)
    inner = inner + where(same, unsqueeze(gs, -1), 0.0)
    grad = matmul(matmul(u, inner), mT(v))
    if u.shape[-2] > k:
        rest = gu / row
        grad = grad + matmul(rest - matmul(u, matmul(mT(u), rest)), mT(v))
    if v.shape[-2] > k:
        rest = gv / row
        grad = grad + matmul(u, mT(rest - matmul(v, matmul(mT(v), rest))))
    return (grad,)


linalg_svd = operator(
    "linalg_svd(Tensor self, bool full_matrices=True) -> (Tensor U, Tensor S, Tensor Vh)",
    "U, S, Vh with A = U @ diag(S) @ Vh and S in descending order; thin U and Vh without `full_matrices`.",
    shape=_svd_shape, eager=lambda xp, x, full_matrices: tuple(np.linalg.svd(x, full_matrices)), vjp=_svd_vjp,
    tags=("linalg",), complex="forward", samples=lambda: [
        Sample((x,), {"full_matrices": False}) for x in (matrix(3, 3, shift=1), floats(2, 3, 2), floats(2, 4))
    ],
)  # fmt: skip


def _svdvals_shape(x: Any) -> Spec:
    need_matrix("linalg.svdvals", x, real=False)
    return Spec((*x.shape[:-2], min(*x.shape[-2:])), x.dtype.to_real())


def _svdvals_vjp(g: Any, _out: Any, x: Any) -> Any:
    u, _, vh = linalg_svd(x, full_matrices=False)
    return (matmul(u * unsqueeze(g, -2), vh),)  # for complex matrices too


linalg_svdvals = operator(
    "linalg_svdvals(Tensor self) -> Tensor", "The singular values in descending order.", shape=_svdvals_shape,
    eager=lambda xp, x: np.linalg.svd(x, compute_uv=False), vjp=_svdvals_vjp, tags=("linalg",),
    complex="own",
    samples=lambda: [Sample((x,)) for x in (matrix(3, 3, shift=1), floats(2, 3, 2), floats(2, 4))],
)  # fmt: skip


def _pinv_shape(x: Any, **_: Any) -> Spec:
    need_matrix("linalg.pinv", x, real=False)
    return Spec((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)


def _pinv_kernel(xp: Any, x: Any, atol: float, rtol: float, hermitian: bool) -> Any:
    if x.size == 0:
        return np.zeros((*x.shape[:-2], x.shape[-1], x.shape[-2]), x.dtype)
    if hermitian:  # the lower triangle is read; the gradient, as torch's, takes the matrix to be symmetric
        low = np.tril(x, -1)
        x = low + np.swapaxes(low, -1, -2).conj() + x.real * np.eye(x.shape[-1], dtype=x.real.dtype)
    u, s, vh = np.linalg.svd(x, full_matrices=False)
    keep = s > np.maximum(atol, rtol * s.max(-1, keepdims=True))
    inverse = np.where(keep, 1 / np.where(keep, s, 1), 0).astype(s.dtype)
    return np.swapaxes((u * inverse[..., None, :]) @ vh, -1, -2).conj()


def _pinv_vjp(g: Any, out: Any, x: Any, **_: Any) -> Any:
    """For matrices of constant rank (Golub and Pereyra, 1973)."""
    back, turned = mH(out), mH(g)
    left = matmul(turned, matmul(out, back))
    right = matmul(matmul(back, out), turned)
    grad = -matmul(matmul(back, g), back)
    return (grad + left - matmul(x, matmul(out, left)) + right - matmul(matmul(right, out), x),)


linalg_pinv = operator(
    "linalg_pinv(Tensor self, *, float atol=0.0, float rtol=1e-15, bool hermitian=False) -> Tensor",
    "The pseudoinverse; singular values up to max(atol, rtol * the largest) count as zero.",
    shape=_pinv_shape, eager=_pinv_kernel, vjp=_pinv_vjp, tags=("linalg",), complex="own",
    samples=lambda: [Sample((floats(3, 2),)), Sample((floats(2, 2, 3),)), Sample((matrix(2, 2, shift=3),))],
)  # fmt: skip

# -- QR and LU ------------------------------------------------------------------------------------


def _qr_shape(x: Any, mode: Any = "reduced") -> Any:
    need_matrix("linalg.qr", x, real=False)
    if mode not in ("reduced", "complete", "r"):
        raise ShapeError(f"linalg.qr: mode must be 'reduced', 'complete' or 'r', got {mode!r}")
    m, n = x.shape[-2:]
    k = m if mode == "complete" else min(m, n)
    batch = tuple(x.shape[:-2])
    q = (0,) if mode == "r" else (*batch, m, k)
    return Spec(q, x.dtype), Spec((*batch, k, n), x.dtype)


def _qr_kernel(xp: Any, x: Any, mode: str) -> Any:
    if mode == "r":
        return np.zeros(0, x.dtype), np.linalg.qr(x, "r")
    if 0 in x.shape[-2:]:
        m, n = x.shape[-2:]
        k = m if mode == "complete" else min(m, n)
        q = np.broadcast_to(np.eye(m, k, dtype=x.dtype), (*x.shape[:-2], m, k)).copy()
        return q, np.zeros((*x.shape[:-2], k, n), x.dtype)
    return tuple(np.linalg.qr(x, "complete" if mode == "complete" else "reduced"))


def _qr_tall(q: Any, r: Any, gq: Any, gr: Any) -> Any:
    """The gradient for matrices with at least as many rows as columns."""
    inner = matmul(r, mT(gr)) - matmul(mT(gq), q)
    inner = tril(inner) + mT(tril(inner, -1))
    return mT(linalg_solve_triangular(r, mT(gq + matmul(q, inner)), upper=True))


def _qr_vjp(g: Any, out: Any, x: Any, mode: str) -> Any:
    (q, r), (gq, gr) = out, g
    m, n = x.shape[-2:]
    if mode == "r" or (mode == "complete" and m > n):
        raise ShapeError(f"linalg.qr with mode={mode!r} of {m} x {n} matrices has no gradient; use mode='reduced'")
    if m >= n:
        return (_qr_tall(q, r, gq, gr),)
    rest = slice_(gr, -1, m, n)
    gq = gq + matmul(slice_(x, -1, m, n), mT(rest))
    return (cat([_qr_tall(q, slice_(r, -1, 0, m), gq, slice_(gr, -1, 0, m)), matmul(q, rest)], -1),)


linalg_qr = operator(
    "linalg_qr(Tensor self, str mode='reduced') -> (Tensor Q, Tensor R)",
    "Q with orthonormal columns and upper triangular R, Q @ R = A; modes 'reduced', 'complete', and 'r' for R alone.",
    shape=_qr_shape, eager=_qr_kernel, vjp=_qr_vjp, tags=("linalg",), complex="forward",
    samples=lambda: [Sample((matrix(3, 3, shift=3),)), Sample((floats(2, 3, 2),)), Sample((floats(2, 3),))],
)  # fmt: skip


def _lu_factor_shape(x: Any) -> Any:
    need_matrix("linalg.lu_factor", x, real=False)
    return Spec(tuple(x.shape), x.dtype), Spec((*x.shape[:-2], min(*x.shape[-2:])), dtypes.int32)


def _lu_factor_kernel(xp: Any, x: Any) -> Any:
    """Gaussian elimination with the largest pivot of each column, the whole batch at once."""
    m, n = x.shape[-2:]
    k = min(m, n)
    lu = np.ascontiguousarray(x.reshape(math.prod(x.shape[:-2]), m, n)) + 0
    rows = np.arange(len(lu))
    pivots = np.zeros((len(lu), k), np.int32)
    for i in range(k):
        column = lu[:, i:, i]
        size = np.abs(column.real) + np.abs(column.imag) if x.dtype.kind == "c" else np.abs(column)  # as LAPACK
        best = i + size.argmax(-1) if len(lu) else np.zeros(0, np.int64)
        pivots[:, i] = best + 1
        lu[rows, i], lu[rows, best] = lu[rows, best].copy(), lu[rows, i].copy()
        pivot = lu[:, i, i]
        lu[:, i + 1 :, i] /= np.where(pivot == 0, 1, pivot)[:, None]
        lu[:, i + 1 :, i + 1 :] -= lu[:, i + 1 :, i, None] * lu[:, i, None, i + 1 :]
    return lu.reshape(x.shape), pivots.reshape(*x.shape[:-2], k)


def permutation(pivots: Any, m: int) -> Any:
    """The permutation matrices that a factorization's pivots (counted from 1) stand for: A = P @ L @ U."""
    flat = pivots.reshape(math.prod(pivots.shape[:-1]), pivots.shape[-1])
    order = np.tile(np.arange(m), (len(flat), 1))
    rows = np.arange(len(flat))
    for i in range(flat.shape[1]):
        other = flat[:, i] - 1
        order[rows, i], order[rows, other] = order[rows, other].copy(), order[rows, i].copy()
    out = np.zeros((len(flat), m, m))
    out[rows[:, None], order, np.arange(m)] = 1
    return out.reshape(*pivots.shape[:-1], m, m)


def lower_upper(lu: Any) -> tuple[Any, Any]:
    """L with ones on its diagonal and U, from the matrix that holds both."""
    m, n = (int(s) for s in lu.shape[-2:])
    k = min(m, n)
    return tril(slice_(lu, -1, 0, k), -1) + constant(np.eye(m, k), lu), triu(slice_(lu, -2, 0, k))


def _lu_factor_vjp(g: Any, out: Any, x: Any) -> Any:
    m, n = (int(s) for s in x.shape[-2:])
    k = min(m, n)
    low, high = lower_upper(out[0])
    turn = constant(permutation(out[1].numpy(), m), x)
    gl, gu = tril(slice_(g[0], -1, 0, k), -1), triu(slice_(g[0], -2, 0, k))
    top, square = slice_(low, -2, 0, k), slice_(high, -1, 0, k)
    below = beside = None
    gtop, gsquare = slice_(gl, -2, 0, k), slice_(gu, -1, 0, k)
    if n > k:
        beside = linalg_solve_triangular(mT(top), slice_(gu, -1, k, n), upper=True, unitriangular=True)
        gtop = gtop - matmul(beside, mT(slice_(high, -1, k, n)))
    if m > k:
        under = slice_(gl, -2, k, m)
        below = mT(linalg_solve_triangular(square, mT(under), upper=True))
        gsquare = gsquare - matmul(mT(slice_(low, -2, k, m)), below)
    inner = tril(matmul(mT(top), gtop), -1) + triu(matmul(gsquare, mT(square)))
    inner = linalg_solve_triangular(mT(top), inner, upper=True, unitriangular=True)
    grad = mT(linalg_solve_triangular(square, mT(inner), upper=True))
    if beside is not None:
        grad = cat([grad, beside], -1)
    if below is not None:
        grad = cat([grad, below], -2)
    return (matmul(turn, grad),)


linalg_lu_factor = operator(
    "linalg_lu_factor(Tensor self) -> (Tensor LU, Tensor pivots)",
    "L and U of A = P @ L @ U in one matrix, L without its ones, and the row exchanged at each step (from 1).",
    shape=_lu_factor_shape, eager=on_host(_lu_factor_kernel), vjp=_lu_factor_vjp, tags=("linalg",),
    complex="holomorphic",
    samples=lambda: [Sample((matrix(*shape, shift=3),)) for shape in ((3, 3), (2, 3, 2), (2, 3))],
)  # fmt: skip
