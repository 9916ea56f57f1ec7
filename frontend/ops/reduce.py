"""Operators that combine elements along dimensions: sums, products, extremes, tests, statistics, running sums,
softmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..dtypes import DType, float_of, get_default_dtype
from ..errors import ArgumentError, DTypeError, ShapeError
from ..native import rows as native_rows
from ..opdef import Sample, Spec, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats, ints, masks
from ._shapes import _F32, _F64, add_up, as_float, in_float32, numel, through_float32, wrap_dim, wrap_dims
from .complex_numbers import imag, real, squared
from .pointwise import eq, exp, log, logical_not, maximum, ne, sqrt, to_dtype, where
from .shape import expand, flip, permute, slice_, squeeze, view


def reduced(shape: Any, dims: Any, keepdim: bool) -> tuple[Any, ...]:
    """`shape` without `dims`, or with 1 in their places."""
    at = set(wrap_dims(dims, len(shape)))
    return tuple(1 if d in at else n for d, n in enumerate(shape) if keepdim or d not in at)


def _axes(x: Any, dim: Any) -> tuple[int, ...]:
    axes = wrap_dims(dim, x.ndim)
    return axes if x.ndim else ()  # numpy has no dimension 0 in a 0-d array


def restore(g: Any, shape: Any, dims: Any, keepdim: bool) -> Any:
    """A reduced tensor with its reduced dimensions back as size 1."""
    return g if keepdim else view(g, reduced(shape, dims, True))


def _dim_samples(**kwargs: Any) -> Callable[[], list[Sample]]:
    return lambda: [
        Sample((floats(2, 3, **kwargs),)), Sample((floats(2, 3, **kwargs), (1,))),
        Sample((floats(2, 3, 4, **kwargs), (0, -1), True)), Sample((floats(**kwargs),)),
    ]  # fmt: skip


# -- sums and products ----------------------------------------------------------------------------


def _sum_dtype(dtype: DType, wanted: DType | None) -> DType:
    if dtype.is_storage:
        raise DTypeError(f"no sums of {dtype.name}: {dtypes.stores_only(dtype)}")
    return wanted or (dtype if dtype.category > 1 else dtypes.int64)


def _sum_kernel(xp: Any, x: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    if dtype is None and (x.dtype is _F32 or x.dtype is _F64):
        return add_up(x, None if dim is None else _axes(x, dim), keepdim)
    target = _sum_dtype(dtypes.from_numpy_dtype(x.dtype), dtype).numpy
    if x.dtype != target:
        x = x.astype(target)
    if target.itemsize == 2 and target.kind in "fV":
        return np.asarray(x.astype(np.float32).sum(_axes(x, dim), keepdims=keepdim)).astype(target)
    return x.sum(_axes(x, dim), dtype=target, keepdims=keepdim)


sum = operator(
    "sum(Tensor self, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
    "The sum of all elements, or along dimensions; integers and bools are added as int64.",
    shape=lambda x, dim=None, keepdim=False, dtype=None: Spec(
        reduced(x.shape, dim, keepdim), _sum_dtype(x.dtype, dtype)
    ),
    eager=_sum_kernel,
    check=False,
    tags=("reduce",),
    complex="own",
    samples=_dim_samples(),
    vjp=lambda g, _out, _x, dim, keepdim, dtype: (expand(restore(g, _x.shape, dim, keepdim), tuple(_x.shape)),),
)


def _count(shape: Any, dim: Any) -> Any:
    return numel([shape[d] for d in wrap_dims(dim, len(shape)) if shape])


def _mean_dtype(x: Any, dtype: Any) -> DType:
    found = dtype or x.dtype
    if found.category < 2:
        raise DTypeError(
            f"mean of {x.dtype}: integers have no mean of their own type; use x.float().mean() or mean(dtype=...)"
        )
    return found  # type: ignore[no-any-return]


def _mean_kernel(xp: Any, x: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    if dtype is None and (x.dtype is _F32 or x.dtype is _F64):
        axes = None if dim is None else _axes(x, dim)
        count = x.size if axes is None else math.prod([x.shape[a] for a in axes])
        return add_up(x, axes, keepdim) / x.dtype.type(count)
    target = _mean_dtype(Spec(x.shape, dtypes.from_numpy_dtype(x.dtype)), dtype).numpy
    axes = _axes(x, dim)
    count = math.prod(x.shape[a] for a in axes)
    wide = np.float32 if target.itemsize == 2 else target
    return np.asarray(x.sum(axes, dtype=wide, keepdims=keepdim) / wide.type(count) if wide is target else
                      (x.astype(np.float32).sum(axes, keepdims=keepdim) / count)).astype(target)  # fmt: skip


mean = operator(
    "mean(Tensor self, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
    "The mean of all elements, or along dimensions.",
    shape=lambda x, dim=None, keepdim=False, dtype=None: Spec(reduced(x.shape, dim, keepdim), _mean_dtype(x, dtype)),
    eager=_mean_kernel, check=False, tags=("reduce",), complex="own", samples=_dim_samples(),
    decompose=lambda x, dim=None, keepdim=False, dtype=None: sum(x, dim, keepdim, dtype=dtype) / _count(x.shape, dim),
    vjp=lambda g, _out, _x, dim, keepdim, dtype: (
        expand(restore(g / _count(_x.shape, dim), _x.shape, dim, keepdim), tuple(_x.shape)),
    ),
)  # fmt: skip


def _prod_vjp(g: Any, out: Any, x: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    """Products of the other elements: running products from both sides, exact where elements are zero."""
    if dim is None or len(wrap_dims(dim, len(x.shape))) != 1:
        g = restore(g, x.shape, dim, keepdim)
        dims = wrap_dims(dim, len(x.shape))
        rest = [d for d in range(len(x.shape)) if d not in dims]
        order = (*rest, *dims)
        flat = view(permute(x, order), (*[x.shape[d] for d in rest], _count(x.shape, dim)))
        others = _others(flat, -1)
        back = tuple(order.index(d) for d in range(len(x.shape)))
        return (g * permute(view(others, tuple(x.shape[d] for d in order)), back),)
    return (restore(g, x.shape, dim, keepdim) * _others(x, dim[0]),)


def _others(x: Any, dim: int) -> Any:
    before = _exclusive(x, dim)
    after = flip(_exclusive(flip(x, (dim,)), dim), (dim,))
    return before * after


def _exclusive(x: Any, dim: int) -> Any:
    from .shape import cat

    one = slice_(x, dim, 0, 1) * 0 + 1
    return cat([one, slice_(cumprod(x, dim), dim, 0, x.shape[dim] - 1)], dim) if _nonempty(x, dim) else x


def _nonempty(x: Any, dim: int) -> bool:
    n = x.shape[dim]
    return type(n) is not int or n > 0


def _prod_kernel(xp: Any, x: Any, dim: Any, keepdim: Any, dtype: Any) -> Any:
    target = _sum_dtype(dtypes.from_numpy_dtype(x.dtype), dtype).numpy
    wide = np.float32 if target.itemsize == 2 and target.kind in "fV" else target
    return xp.asarray(x.astype(wide).prod(_axes(x, dim), keepdims=keepdim, dtype=wide)).astype(target)


prod = operator(
    "prod(Tensor self, int[]? dim=None, bool keepdim=False, *, dtype? dtype=None) -> Tensor",
    "The product of all elements, or along dimensions.",
    shape=lambda x, dim=None, keepdim=False, dtype=None: Spec(
        reduced(x.shape, dim, keepdim), _sum_dtype(x.dtype, dtype)
    ),
    eager=_prod_kernel,
    vjp=_prod_vjp,
    check=False,
    tags=("reduce",),
    complex="holomorphic",
    samples=_dim_samples(low=0.5),
)


# -- extremes -------------------------------------------------------------------------------------


def _extreme_shape(name: str) -> Callable[..., Spec]:
    def shape(x: Any, dim: Any = None, keepdim: Any = False) -> Spec:
        for d in wrap_dims(dim, len(x.shape)):
            if type(x.shape[d]) is int and x.shape[d] == 0:
                raise ShapeError(f"{name} over dimension {d} of size 0 has no result; shape is {list(x.shape)}")
        return Spec(reduced(x.shape, dim, keepdim), x.dtype)

    return shape


def _extreme_vjp(g: Any, out: Any, x: Any, dim: Any, keepdim: Any) -> Any:
    """The gradient goes to the extreme elements, in equal parts."""
    hit = to_dtype(eq(x, restore(out, x.shape, dim, keepdim)), g.dtype)
    return (hit * (restore(g, x.shape, dim, keepdim) / sum(hit, dim, keepdim=True)),)


def _extreme(name: str, method: str, doc: str) -> Any:
    def eager(xp: Any, x: Any, dim: Any, keepdim: Any) -> Any:
        return getattr(x, method)(_axes(x, dim), keepdims=keepdim)

    return operator(
        f"{name}(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
        doc,
        shape=_extreme_shape(name),
        eager=eager,
        vjp=_extreme_vjp,
        check=False,
        tags=("reduce",),
        samples=_dim_samples(),
    )


amax = _extreme("amax", "max", "The largest element, or the largest along dimensions; ties share the gradient.")
amin = _extreme("amin", "min", "The smallest element, or the smallest along dimensions; ties share the gradient.")


def _arg_shape(x: Any, dim: Any = None, keepdim: Any = False) -> Spec:
    if dim is None:
        return Spec((1,) * len(x.shape) if keepdim else (), dtypes.int64)
    return Spec(reduced(x.shape, (dim,), keepdim), dtypes.int64)


def _arg(name: str, method: str, doc: str) -> Any:
    def eager(xp: Any, x: Any, dim: Any, keepdim: Any) -> Any:
        if x.dtype.kind == "V":
            x = x.astype(np.float32)
        return xp.asarray(getattr(xp, method)(x, axis=dim if x.ndim else None, keepdims=keepdim))

    return operator(
        f"{name}(Tensor self, int? dim=None, bool keepdim=False) -> Tensor", doc, shape=_arg_shape, eager=eager,
        differentiable=False, check=False, tags=("reduce",),
        samples=lambda: [Sample((floats(2, 3),)), Sample((floats(2, 3), 1)), Sample((floats(2, 3), 0, True))],
    )  # fmt: skip


argmax = _arg("argmax", "argmax", "The position of the largest element (the first of equals).")
argmin = _arg("argmin", "argmin", "The position of the smallest element (the first of equals).")


class ValuesIndices(NamedTuple):
    """What reductions along one dimension return: the values, and where they were."""

    values: Any
    indices: Any


def _pick(x: Any, at: Any, dim: int, keepdim: bool) -> ValuesIndices:
    from .index import gather

    values = gather(x, dim, at)
    if keepdim or not x.shape:
        return ValuesIndices(values, at)
    return ValuesIndices(squeeze(values, (dim,)), squeeze(at, (dim,)))


def _along(x: Any, arg: Any, dim: int, keepdim: bool) -> ValuesIndices:
    if not x.shape:
        return ValuesIndices(x.clone(), arg(x))
    return _pick(x, arg(x, dim, True), dim, keepdim)


@function(method=True)
def max(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The largest element; with an int `dim`, (values, indices) along it; with a tensor, the larger of the two.

    >>> import pappus as pp
    >>> pp.max(pp.tensor([[1, 5], [7, 2]]), dim=1).indices
    tensor([1, 0])
    """
    if dim is None:
        return amax(self)
    return maximum(self, dim) if isinstance(dim, Tensor) else _along(self, argmax, dim, keepdim)


@function(method=True)
def min(self: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest element; with an int `dim`, (values, indices) along it; with a tensor, the smaller of the two."""
    from .pointwise import minimum

    if dim is None:
        return amin(self)
    return minimum(self, dim) if isinstance(dim, Tensor) else _along(self, argmin, dim, keepdim)


class MinMax(NamedTuple):
    """What `aminmax` returns."""

    min: Any
    max: Any


@function(method=True, exact_out=True)
def aminmax(self: Any, *, dim: Any = None, keepdim: bool = False) -> MinMax:
    """(min, max): the smallest and the largest element, or those along a dimension."""
    return MinMax(amin(self, dim, keepdim), amax(self, dim, keepdim))


# -- tests ----------------------------------------------------------------------------------------

any = operator(
    "any(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    "Whether an element is nonzero (along dimensions).",
    shape=lambda x, dim=None, keepdim=False: Spec(reduced(x.shape, dim, keepdim), dtypes.bool_),
    check=False,
    eager=lambda xp, x, dim, keepdim: (x != 0).any(_axes(x, dim), keepdims=keepdim),
    differentiable=False,
    complex="own",
    tags=("reduce",),
    samples=lambda: [Sample((masks(2, 3),)), Sample((masks(2, 3), (1,), True)), Sample((ints(3, high=2),))],
)
all = operator(
    "all(Tensor self, int[]? dim=None, bool keepdim=False) -> Tensor",
    "Whether every element is nonzero (along dimensions).",
    shape=lambda x, dim=None, keepdim=False: Spec(reduced(x.shape, dim, keepdim), dtypes.bool_),
    check=False,
    eager=lambda xp, x, dim, keepdim: (x != 0).all(_axes(x, dim), keepdims=keepdim),
    differentiable=False,
    complex="own",
    tags=("reduce",),
    decompose=lambda x, dim=None, keepdim=False: logical_not(any(logical_not(x), dim, keepdim)),
    samples=lambda: [Sample((masks(2, 3),)), Sample((masks(2, 3), (1,), True)), Sample((ints(3, high=2),))],
)
count_nonzero = operator(
    "count_nonzero(Tensor self, int[]? dim=None) -> Tensor",
    "The number of nonzero elements.",
    inline=True,
    decompose=lambda x, dim=None: sum(ne(x, 0), dim),
    differentiable=False,
    samples=lambda: [Sample((ints(4, high=2),))],
)

# -- statistics -----------------------------------------------------------------------------------


def _var(x: Any, dim: Any = None, correction: Any = 1, keepdim: Any = False) -> Any:
    centered = x - mean(x, dim, keepdim=True)
    total = sum(centered * centered, dim, keepdim)
    left = _count(x.shape, dim) - correction
    if type(left) in (int, float):
        left = left if left > 0 else 0
        return total / left if left else total * math.nan
    return total / left


def _var_vjp(g: Any, _out: Any, x: Any, dim: Any, correction: Any, keepdim: Any) -> Any:
    left = _count(x.shape, dim) - correction
    if type(left) in (int, float) and left <= 0:
        return (expand(restore(g, x.shape, dim, keepdim), tuple(x.shape)) * math.nan,)
    return (restore(g, x.shape, dim, keepdim) * (x - mean(x, dim, keepdim=True)) * (2 / left),)


@in_float32
def _var_kernel(xp: Any, x: Any, dim: Any, correction: Any, keepdim: Any) -> Any:
    axes = _axes(x, dim)
    centered = x - x.mean(axes, keepdims=True)
    left = math.prod(x.shape[a] for a in axes) - correction
    return (np.square(centered).sum(axes, keepdims=keepdim) / x.dtype.type(left if left > 0 else math.nan))


def _stat_shape(name: str) -> Callable[..., Spec]:
    def shape(x: Any, dim: Any = None, correction: Any = 1, keepdim: Any = False) -> Spec:
        if not x.dtype.is_floating_point:
            raise DTypeError(f"{name} of {x.dtype}: only floating-point tensors; use x.float()")
        return Spec(reduced(x.shape, dim, keepdim), x.dtype)

    return shape


_var_op = operator(
    "var(Tensor self, int[]? dim=None, Scalar correction=1, bool keepdim=False) -> Tensor",
    "The variance: squared distances from the mean, summed and divided by (count - correction).",
    shape=_stat_shape("var"),
    eager=_var_kernel,
    vjp=_var_vjp,
    decompose=_var,
    tags=("reduce",),
    samples=lambda: [
        Sample((floats(2, 3),)),
        Sample((floats(2, 3), (1,), 0)),
        Sample((floats(2, 3, 2), (0, 2), 1, True)),
    ],
)


def _correction(unbiased: Any, correction: Any) -> Any:
    if correction is not None:
        return correction
    return 0 if unbiased is False else 1


def _moment(self: Any, dim: Any, unbiased: Any, correction: Any, keepdim: bool) -> Any:
    if isinstance(dim, bool):  # var(x, False)
        dim, unbiased = None, dim
    if self.dtype.is_complex:  # squared distances in the plane
        return _moment(real(self), dim, unbiased, correction, keepdim) + _moment(
            imag(self), dim, unbiased, correction, keepdim
        )
    return _var_op(self, dim, _correction(unbiased, correction), keepdim)


@function(method=True)
def var(self: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance, divided by count - correction (1 unless given; 0 with `unbiased=False`)."""
    return _moment(self, dim, unbiased, correction, keepdim)


@function(method=True)
def std(self: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The standard deviation: the square root of `var`."""
    return sqrt(_moment(self, dim, unbiased, correction, keepdim))


@function()
def var_mean(self: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The variance and the mean."""
    if isinstance(dim, bool):  # var_mean(x, False)
        dim, unbiased = None, dim
    return _moment(self, dim, unbiased, correction, keepdim), mean(self, dim, keepdim)


@function()
def std_mean(self: Any, dim: Any = None, unbiased: Any = None, keepdim: bool = False, *, correction: Any = None) -> Any:
    """The standard deviation and the mean."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    return sqrt(_moment(self, dim, unbiased, correction, keepdim)), mean(self, dim, keepdim)


def _logsumexp(x: Any, dim: Any, keepdim: Any = False) -> Any:
    x = x if x.dtype.category > 1 else to_dtype(x, get_default_dtype())
    if _count(x.shape, dim) == 0:
        return log(sum(x, dim, keepdim))  # -inf
    top = amax(real(x), dim, keepdim=True).detach()
    top = where(eq(top.abs(), math.inf), 0.0, top)
    out = log(sum(exp(x - top), dim, keepdim=True)) + top
    return out if keepdim else view(out, reduced(x.shape, dim, False))


def _logsumexp_kernel(xp: Any, x: Any, dim: Any, keepdim: Any) -> Any:
    return _lse32(xp, as_float(x), dim, keepdim)


@in_float32
def _lse32(xp: Any, x: Any, dim: Any, keepdim: Any) -> Any:
    axes = _axes(x, dim)
    top = x.real.max(axes, keepdims=True, initial=-np.inf)
    top = np.where(np.isinf(top), 0, top).astype(x.dtype)
    out = np.log(np.exp(x - top).sum(axes, keepdims=True)) + top
    return out if keepdim else out.reshape(reduced(x.shape, dim, False))


logsumexp = operator(
    "logsumexp(Tensor self, int[] dim, bool keepdim=False) -> Tensor",
    "log(sum(exp(x))) along dimensions, without overflow.",
    shape=lambda x, dim, keepdim=False: Spec(reduced(x.shape, dim, keepdim), float_of(x.dtype)),
    eager=_logsumexp_kernel,
    decompose=_logsumexp,
    complex="holomorphic",
    tags=("reduce",),
    vjp=lambda g, out, x, dim, keepdim: (
        restore(g, x.shape, dim, keepdim) * exp(x - restore(out, x.shape, dim, keepdim)),
    ),
    samples=lambda: [Sample((floats(2, 3), (1,))), Sample((floats(2, 3), (0, 1), True))],
)


@function(method=True)
def norm(self: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The p-norm (sum |x|^p)^(1/p) of all elements or along dimensions; "fro" is 2; inf, -inf and 0 are known."""
    x = self if dtype is None else to_dtype(self, dtype)
    if x.dtype.category < 2:
        raise DTypeError(f"norm of {x.dtype}: only floating-point and complex tensors; use x.float()")
    return _norm(x, p, dim, keepdim)


@through_float32
def _norm(x: Any, p: Any, dim: Any, keepdim: bool) -> Any:
    if p in ("fro", 2, 2.0):
        return sqrt(sum(squared(x), dim, keepdim))
    if p == math.inf:
        return amax(x.abs(), dim, keepdim)
    if p == -math.inf:
        return amin(x.abs(), dim, keepdim)
    if p == 0:
        return sum(to_dtype(ne(x, 0), x.dtype.to_real()), dim, keepdim)
    if p == 1:
        return sum(x.abs(), dim, keepdim)
    if p == "nuc":
        from .norms import matrix_norm

        return matrix_norm(x, p, (0, 1) if dim is None else dim, keepdim)
    if not isinstance(p, (int, float)):
        raise ArgumentError(f"norm: p must be a number, inf or 'fro', got {p!r}")
    return sum(x.abs() ** p, dim, keepdim) ** (1 / p)


# -- running sums and products --------------------------------------------------------------------


def _scan_shape(x: Any, dim: Any, dtype: Any = None) -> Spec:
    wrap_dim(dim, len(x.shape))
    return Spec(tuple(x.shape), _sum_dtype(x.dtype, dtype))


def _scan_kernel(ufunc: Any) -> Callable[..., Any]:
    def eager(xp: Any, x: Any, dim: Any, dtype: Any) -> Any:
        target = _sum_dtype(dtypes.from_numpy_dtype(x.dtype), dtype).numpy
        if x.ndim == 0:
            return x.astype(target)
        wide = np.float32 if target.itemsize == 2 and target.kind in "fV" else target
        return ufunc.accumulate(x.astype(wide, copy=False), axis=dim, dtype=wide).astype(target, copy=False)

    return eager


cumsum: Callable[..., Any] = operator(
    "cumsum(Tensor self, int dim, *, dtype? dtype=None) -> Tensor",
    "Running sums along a dimension.",
    shape=_scan_shape,
    eager=_scan_kernel(np.add),
    tags=("scan",),
    complex="own",
    vjp=lambda g, _out, _x, dim, dtype: (flip(cumsum(flip(g, (dim,)), dim), (dim,)) if len(_x.shape) else g,),
    samples=lambda: [Sample((floats(2, 3), 1)), Sample((floats(3), 0)), Sample((ints(3), 0))],
)


def _cumprod_vjp(g: Any, out: Any, x: Any, dim: Any, dtype: Any) -> Any:
    """sum over j >= i of g[j] * out[j] / x[i], with zeros treated exactly through a matrix of partial products."""
    if not len(x.shape):
        return (g,)
    from .shape import cat

    n = x.shape[dim]
    if type(n) is int and n == 0:
        return (g,)
    at = wrap_dim(dim, len(x.shape))
    columns = []
    for i in range(n):  # d out[j] / d x[i] = product of x[:j+1] without x[i]
        one = slice_(x, at, i, i + 1) * 0 + 1
        parts = [slice_(x, at, 0, i), one, slice_(x, at, i + 1, n)]
        partial = cumprod(cat([p for p in parts if p.shape[at]], at), at)
        tail = slice_(g * partial, at, i, n)
        columns.append(sum(tail, (at,), True))
    return (cat(columns, at),)


cumprod = operator(
    "cumprod(Tensor self, int dim, *, dtype? dtype=None) -> Tensor",
    "Running products along a dimension.",
    shape=_scan_shape,
    eager=_scan_kernel(np.multiply),
    vjp=_cumprod_vjp,
    complex="holomorphic",
    tags=("scan",),
    samples=lambda: [Sample((floats(2, 3), 1)), Sample((floats(3), 0))],
)

# -- softmax --------------------------------------------------------------------------------------


def _softmax_shape(x: Any, dim: Any, dtype: Any = None) -> Spec:
    wrap_dim(dim, len(x.shape))
    return Spec(tuple(x.shape), dtype or float_of(x.dtype))


@in_float32
def _softmax32(xp: Any, x: Any, dim: int) -> Any:
    if x.ndim == 0 or x.size == 0:
        return np.ones_like(x)
    found = native_rows.softmax(x, dim, False)
    if found is not None:
        return found
    out = x - _row_max(x, dim)
    np.exp(out, out=out)
    out /= _row_sum(out, dim)
    return out


def _row_max(x: Any, dim: int) -> Any:
    return x.max(axis=dim, keepdims=True)


def _row_sum(x: Any, dim: int) -> Any:
    if dim in (-1, x.ndim - 1):
        return np.einsum("...i->...", x)[..., None]  # 2-3x faster than .sum(-1)
    return x.sum(axis=dim, keepdims=True)


@in_float32
def _log_softmax32(xp: Any, x: Any, dim: int) -> Any:
    if x.ndim == 0 or x.size == 0:
        return np.zeros_like(x)
    found = native_rows.softmax(x, dim, True)
    if found is not None:
        return found
    out = x - _row_max(x, dim)
    out -= np.log(_row_sum(np.exp(out), dim))
    return out


def _cast_first(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return lambda xp, x, dim, dtype: kernel(xp, as_float(x) if dtype is None else x.astype(dtype.numpy), dim)


def _as(x: Any, dtype: Any) -> Any:
    target = dtype or float_of(x.dtype)
    return x if x.dtype is target else to_dtype(x, target)


def _shifted(x: Any, dim: int, dtype: Any) -> Any:
    x = _as(x, dtype)
    return x - amax(x, (dim,), keepdim=True).detach()


def _softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    e = exp(_shifted(x, dim, dtype))
    return e / sum(e, (dim,), keepdim=True)


def _log_softmax(x: Any, dim: int, dtype: Any = None) -> Any:
    shifted = _shifted(x, dim, dtype)
    return shifted - log(sum(exp(shifted), (dim,), keepdim=True))


@in_float32
def _softmax_backward32(xp: Any, g: Any, out: Any, dim: int, log: bool) -> Any:
    found = native_rows.softmax_grad(g, out, dim, log)
    if found is not None or out.ndim == 0 or out.size == 0:
        return np.zeros_like(out) if found is None else found
    if log:
        return g - np.exp(out) * _row_sum(g, dim)
    return (g - _row_sum(g * out, dim)) * out


def _softmax_backward_shape(g: Spec, out: Spec, dim: int, log: bool = False) -> Spec:
    wrap_dim(dim, len(out.shape))
    if not g.dtype.is_floating_point:
        raise DTypeError(f"softmax_backward of {g.dtype}: only floating-point tensors; use grad_output.float()")
    return Spec(tuple(out.shape), g.dtype)


def _softmax_backward(g: Any, out: Any, dim: int, log: bool = False) -> Any:
    if log:
        return g - exp(out) * sum(g, (dim,), keepdim=True)
    return (g - sum(g * out, (dim,), keepdim=True)) * out


softmax_backward = operator(
    "softmax_backward(Tensor grad_output, Tensor out, int dim, bool log=False) -> Tensor",
    "The gradient of softmax, or with log of log_softmax, from that of its result `out`.",
    shape=_softmax_backward_shape, eager=_softmax_backward32,
    decompose=_softmax_backward, tags=("normalize",),
    samples=lambda: [Sample((floats(2, 3), floats(2, 3, seed=1), -1)),
                     Sample((floats(2, 3, 2), floats(2, 3, 2, seed=1), 1), {"log": True})],
)  # fmt: skip
softmax = operator(
    "softmax(Tensor self, int dim=-1, *, dtype? dtype=None) -> Tensor", "exp(x) / sum(exp(x)) along a dimension.",
    shape=_softmax_shape, eager=_cast_first(_softmax32), decompose=_softmax, tags=("normalize",),
    vjp=lambda g, out, _x, dim, dtype: (softmax_backward(g, out, dim),),
    samples=lambda: [Sample((floats(2, 3), -1)), Sample((floats(2, 3, 2), 1))],
)  # fmt: skip
log_softmax = operator(
    "log_softmax(Tensor self, int dim=-1, *, dtype? dtype=None) -> Tensor", "log(softmax(x)) along a dimension.",
    shape=_softmax_shape, eager=_cast_first(_log_softmax32), decompose=_log_softmax, tags=("normalize",),
    vjp=lambda g, out, _x, dim, dtype: (softmax_backward(g, out, dim, True),),
    samples=lambda: [Sample((floats(2, 3), -1)), Sample((floats(2, 3, 2), 1))],
)  # fmt: skip
