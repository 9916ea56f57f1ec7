"""Reductions and normalizations of the elements that a mask lets through, under the names of torch.masked.

A mask is a bool tensor that broadcasts to the input and has no more dimensions; without one nothing is hidden. What it
hides is replaced by the number that changes nothing in the operation (0 in a sum, 1 in a product, -inf in a maximum);
then the plain operator runs. So a row of which nothing is left gives that number, or nan where no number does that
(mean, median, var, std, softmax). `dtype` is the type of the result, by default that of the input.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import dtypes
from . import ops as _ops
from .errors import ArgumentError, DTypeError, ShapeError
from .linalg import vector_norm
from .ops._shapes import broadcast

__all__ = [
    "amax", "amin", "argmax", "argmin", "cumprod", "cumsum", "log_softmax", "logaddexp", "logsumexp", "mean", "median",
    "norm", "normalize", "prod", "softmax", "softmin", "std", "sum", "var",
]  # fmt: skip


def _end(dtype: Any, sign: int) -> Any:
    """The number of a type that is below (sign -1) or above all others."""
    if dtype.is_floating_point:
        return sign * math.inf
    if dtype is dtypes.bool_:
        return sign > 0
    limits = dtypes.iinfo(dtype)
    return limits.min if sign < 0 else limits.max


def _fits(name: str, input: Any, mask: Any) -> None:
    if mask.dtype is not dtypes.bool_:
        raise DTypeError(f"masked.{name}: a mask is a bool tensor, got {mask.dtype}; compare first, e.g. mask != 0")
    if len(mask.shape) > len(input.shape) or broadcast(input.shape, mask.shape) != tuple(input.shape):
        raise ShapeError(
            f"masked.{name}: a mask broadcasts to the input and has no more dimensions than it, got mask "
            f"{list(mask.shape)} and input {list(input.shape)}"
        )


def _only(name: str, input: Any, mask: Any, hidden: Any) -> Any:
    """The input with `hidden` where the mask is False."""
    if mask is None:
        return input
    _fits(name, input, mask)
    return _ops.where(mask, input, hidden)


def _dims(dim: Any, input: Any) -> Any:
    return tuple(range(len(input.shape))) if dim is None or dim == () else dim


def _as(out: Any, dtype: Any, input: Any) -> Any:
    return _ops.to_dtype(out, input.dtype if dtype is None else dtypes.as_dtype(dtype))


def _named(name: str, doc: str) -> Callable[[Any], Any]:
    def rename(f: Any) -> Any:
        f.__name__ = f.__qualname__ = name
        f.__doc__ = doc
        return f

    return rename


# -- the operator of the same name, with a number that changes nothing ----------------------------


def _total(name: str, neutral: int, doc: str) -> Any:
    @_named(name, doc)
    def total(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
        shown = _only(name, input, mask, neutral)
        return getattr(_ops, name)(shown, _dims(dim, input), keepdim, dtype=dtype)

    return total


def _running(name: str, neutral: int, doc: str) -> Any:
    @_named(name, doc)
    def running(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        return getattr(_ops, name)(_only(name, input, mask, neutral), dim, dtype=dtype)

    return running


def _extreme(name: str, sign: int, doc: str) -> Any:
    @_named(name, doc)
    def extreme(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
        at = dim if name.startswith("arg") else _dims(dim, input)
        return _as(getattr(_ops, name)(_only(name, input, mask, _end(input.dtype, -sign)), at, keepdim), dtype, input)

    return extreme


def _shares(name: str, operator: str, sign: int, doc: str) -> Any:
    @_named(name, doc)
    def shares(input: Any, dim: int, *, dtype: Any = None, mask: Any = None) -> Any:
        shown = _only(name, input, mask, _end(input.dtype, -sign))
        kind = input.dtype if dtype is None else dtype
        return getattr(_ops, operator)(shown if sign > 0 else -shown, dim, dtype=kind)

    return shares


sum = _total("sum", 0, """The sum of the elements that the mask shows; 0 where it shows none.

>>> import pappus as pp
>>> pp.masked.sum(pp.tensor([1.0, 2.0, 4.0]), 0, mask=pp.tensor([True, False, True]))
tensor(5.)
""")  # fmt: skip
prod = _total("prod", 1, "The product of the elements that the mask shows; 1 where it shows none.")
cumsum = _running("cumsum", 0, "Running sums along a dimension; a hidden element adds nothing.")
cumprod = _running("cumprod", 1, "Running products along a dimension; a hidden element counts as 1.")
amax = _extreme("amax", 1, "The largest element shown; the lowest number of the type where there is none.")
amin = _extreme("amin", -1, "The smallest element shown; the highest number of the type where there is none.")
argmax = _extreme("argmax", 1, "The position of the largest element shown; without `dim`, among all elements.")
argmin = _extreme("argmin", -1, "The position of the smallest element shown; without `dim`, among all elements.")
softmax = _shares("softmax", "softmax", 1, """softmax of the elements shown; the hidden ones have the share 0.

>>> import pappus as pp
>>> pp.masked.softmax(pp.tensor([1.0, 5.0, 1.0]), 0, mask=pp.tensor([True, False, True]))
tensor([0.5000, 0.0000, 0.5000])
""")  # fmt: skip
log_softmax = _shares("log_softmax", "log_softmax", 1, "log(softmax) of the elements shown; -inf at the hidden ones.")
softmin = _shares("softmin", "softmax", -1, "softmax of the negated elements shown; the hidden ones have the share 0.")


# -- those that count or have a form of their own -------------------------------------------------


def logsumexp(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """log(sum(exp(x))) of the elements shown; -inf where there is none."""
    shown = _only("logsumexp", input, mask, _end(input.dtype, -1))
    return _as(_ops.logsumexp(shown, _dims(dim, input), keepdim), dtype, input)


def logaddexp(
    input: Any, other: Any, *, dtype: Any = None, input_mask: Any = None, other_mask: Any = None
) -> Any:  # fmt: skip
    """log(exp(a) + exp(b)), where an element hidden by its mask adds nothing."""
    a = _only("logaddexp", input, input_mask, _end(input.dtype, -1))
    b = _only("logaddexp", other, other_mask, _end(other.dtype, -1))
    return _as(_ops.logaddexp(a, b), dtype, input)


def norm(
    input: Any, ord: float | None = 2.0, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None
) -> Any:
    """The p-norm of the elements shown; 0 where there is none, but inf for `ord=-inf`."""
    shown = _only("norm", input, mask, math.inf if ord == -math.inf else 0)
    return vector_norm(shown, 2.0 if ord is None else ord, _dims(dim, input), keepdim, dtype=dtype)


def normalize(
    input: Any, ord: float, dim: int, *, eps: float = 1e-12, dtype: Any = None, mask: Any = None
) -> Any:  # fmt: skip
    """The elements shown, divided by their p-norm along a dimension, or by `eps` if that is larger; 0 at the hidden."""
    length = norm(input, ord, dim, keepdim=True, dtype=dtype, mask=mask)
    return _only("normalize", input, mask, 0) / length.clamp(min=eps)


def median(input: Any, dim: int = -1, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The median (the lower of two) of the elements shown, without nan; nan where there is none.

    Raises ArgumentError for a row of integers of which nothing is shown.
    """
    x = input if input.dtype.is_floating_point else input.float()
    found = _ops.nanmedian(_only("median", x, mask, math.nan), dim, keepdim).values
    if input.dtype.is_floating_point:
        return found
    if _ops.isnan(found).any():
        raise ArgumentError("masked.median: the mask hides a whole row, and integers have no nan; use input.float()")
    return _as(found, dtype, input)


def _count(input: Any, mask: Any, dim: Any, keepdim: bool) -> Any:
    """How many elements are shown."""
    if mask is None:
        return _ops.ones_like(input, dtype=dtypes.int64).sum(_dims(dim, input), keepdim)
    return mask.expand(input.shape).sum(_dims(dim, input), keepdim)


def mean(input: Any, dim: Any = None, *, keepdim: bool = False, dtype: Any = None, mask: Any = None) -> Any:
    """The mean of the elements shown; nan where there is none.

    >>> import pappus as pp
    >>> pp.masked.mean(pp.tensor([[1.0, 3.0], [5.0, 7.0]]), 1, mask=pp.tensor([[True, True], [False, True]]))
    tensor([2., 7.])
    """
    kind = input.dtype if dtype is None else dtypes.as_dtype(dtype)
    if kind.category < 2:
        raise DTypeError(f"masked.mean of {kind}: only floating-point and complex tensors; use input.float() or dtype=")
    return sum(input, dim, keepdim=keepdim, dtype=kind, mask=mask) / _count(input, mask, dim, keepdim)


def var(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The variance of the elements shown: squared distances from their mean, divided by their number less `correction`
    (1; 0 with `unbiased=False`)."""
    if unbiased is not None and correction is not None:
        raise ArgumentError("masked.var: give unbiased or correction, not both")
    less = correction if correction is not None else 0 if unbiased is False else 1
    kind = dtypes.float_of(input.dtype) if dtype is None else dtypes.as_dtype(dtype)
    count = _count(input, mask, dim, True)
    distance = input - sum(input, dim, keepdim=True, dtype=kind, mask=mask) / count
    squares = distance * distance.conj() if distance.dtype.is_complex else distance * distance
    total = sum(squares, dim, keepdim=keepdim, dtype=dtypes.float_of(kind), mask=mask)
    left = _ops.to_dtype(count.reshape(total.shape), dtypes.float_of(kind).to_real()) - less
    return _as(total / left.clamp(min=0), kind, input)


def std(
    input: Any, dim: Any = None, unbiased: bool | None = None, *, correction: float | None = None,
    keepdim: bool = False, dtype: Any = None, mask: Any = None,
) -> Any:  # fmt: skip
    """The square root of `var`."""
    return _ops.sqrt(var(input, dim, unbiased, correction=correction, keepdim=keepdim, dtype=dtype, mask=mask))
