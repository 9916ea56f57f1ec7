"""Functions built on logarithms and powers: logit, logaddexp2, logcumsumexp, ldexp, float_power, xlog1py, entr."""

from __future__ import annotations

import math
from typing import Any

from .. import dtypes
from ..errors import ArgumentError, DTypeError
from ..opdef import Sample, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import wrap_dim
from .elementary import _need_floats
from .order import cummax
from .pointwise import TENSORS, clamp, eq, exp, gt, isnan, log, log1p, lt, mul, pow, to_dtype, where
from .reduce import cumsum
from .special import as_floating, special

_LN2 = math.log(2)


@function(method=True, inplace=True)
def logit(self: Any, eps: float | None = None) -> Any:
    """log(x / (1 - x)), the inverse of sigmoid; with `eps` x is limited to [eps, 1 - eps] first."""
    x = as_floating(self)
    if eps is not None:
        x = clamp(x, eps, 1 - eps)
    return log(x / (1 - x))


def _logaddexp2(a: Any, b: Any) -> Any:
    apart = where(eq(a, b), 0.0, abs(a - b))  # equal infinities are 0 apart
    return where(gt(b, a), b, a) + log1p(exp(-apart * _LN2)) * (1 / _LN2)


logaddexp2 = operator(
    f"logaddexp2({TENSORS}) -> Tensor", "log2(2 ** a + 2 ** b).", shape=_need_floats("logaddexp2"),
    decompose=_logaddexp2, samples=lambda: [Sample((floats(2, 3), floats(3, seed=2)))],
)  # fmt: skip


@function(method=True)
def logcumsumexp(self: Any, dim: int) -> Any:
    """log of the running sum of exp along a dimension, without overflow.

    >>> import pappus as pp
    >>> [round(x, 3) for x in pp.logcumsumexp(pp.tensor([1000.0, 1000.0]), 0).tolist()]
    [1000.0, 1000.693]
    """
    if not self.dtype.is_floating_point:
        raise DTypeError(f"logcumsumexp of {self.dtype}: only floating-point tensors; use x.float()")
    if not self.shape:
        wrap_dim(dim, 0)
        return self.clone()
    if not self.numel():
        return self.clone()
    peak = self.detach().amax((dim,), keepdim=True)
    peak = where(lt(abs(peak), math.inf), peak, 0.0)
    near = log(cumsum(exp(self - peak), dim)) + peak
    # Where everything so far is tiny beside the largest element to come, measure from the largest so far.
    so_far = cummax(self.detach(), dim).values
    so_far = where(lt(abs(so_far), math.inf), so_far, 0.0)
    if bool((peak - so_far < 30).all()):
        return near
    return _by_pairs(self, dim)


def _by_pairs(x: Any, dim: int) -> Any:
    """The scan by logaddexp, one element after the other."""
    from . import logaddexp, stack, unbind

    parts = list(unbind(x, dim))
    for i in range(1, len(parts)):
        parts[i] = logaddexp(parts[i - 1], parts[i])
    return stack(parts, dim)


@function(method=True, inplace=True)
def ldexp(self: Any, other: Any) -> Any:
    """self * 2 ** other."""
    return mul(self, pow(2.0, as_floating(other)))


@function(method=True, inplace=True)
def float_power(self: Any, exponent: Any) -> Any:
    """self to the power of exponent, both as float64 (complex128 if either is complex)."""
    if not any(isinstance(v, Tensor) for v in (self, exponent)):
        raise ArgumentError("float_power: at least one operand must be a Tensor; wrap a number with pappus.tensor(...)")

    def is_complex(v: Any) -> bool:
        return v.dtype.is_complex if isinstance(v, Tensor) else isinstance(v, complex)

    wide = dtypes.complex128 if is_complex(self) or is_complex(exponent) else dtypes.float64
    return pow(*(to_dtype(v, wide) if isinstance(v, Tensor) else wide.numpy.type(v).item() for v in (self, exponent)))


def _xlog1py_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    return where(eq(a, 0), where(gt(b, -1), g * log1p(b), 0.0), g * log1p(b)), g * a / (b + 1)


xlog1py = operator(
    "special_xlog1py(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", "a * log(1 + b), and 0 where a is 0.",
    decompose=lambda a, b: where(eq(a, 0), where(isnan(b), b * 1.0, 0.0), as_floating(a) * log1p(b)), vjp=_xlog1py_vjp,
    samples=lambda: [
        Sample((floats(2, 3, low=0.5), floats(3, low=0.5, seed=2))), Sample((floats(3, low=0.5), 1.5)),
    ],
)  # fmt: skip
special("xlog1py", xlog1py)


def _entr(x: Any) -> Any:
    x = as_floating(x)
    inside = where(gt(x, 0), x, 1.0)
    return where(isnan(x), x, where(gt(x, 0), -x * log(inside), where(eq(x, 0), 0.0, -math.inf)))


entr = operator(
    "special_entr(Tensor self) -> Tensor", "-x log(x), 0 at 0 and -inf below.", decompose=_entr,
    vjp=lambda g, _out, x: (g * (-log(x) - 1),), samples=lambda: [Sample((floats(2, 3, low=0.2, high=3),))],
)  # fmt: skip
special("entr", entr)
