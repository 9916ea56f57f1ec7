"""More functions of one or two numbers, beside the everyday ones of `pointwise`; each has a decomposition into
those."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import finfo
from ..erf import CENTRAL, OUTER, erfc_array, erfinv_array
from ..errors import DTypeError
from ..opdef import Sample, operator
from ._names import function
from ._samples import floats
from ._shapes import as_float, in_float32, pointwise, pointwise_float, promote_arrays, same_float, through_float32
from .pointwise import (
    TAGS,
    TENSORS,
    _binary,
    _bool_spec,
    _float_unary,
    abs,
    div,
    eq,
    erf,
    exp,
    isnan,
    le,
    log,
    log1p,
    logical_and,
    logical_not,
    logical_or,
    lt,
    maximum,
    minimum,
    mul,
    sigmoid,
    sign,
    sin,
    sqrt,
    sub,
    to_dtype,
    trunc,
    where,
)  # fmt: skip

# -- one operand ----------------------------------------------------------------------------------


def _acosh(x: Any) -> Any:
    """log(x + sqrt(x * x - 1)), without the square of a large x."""
    small = 1 / x
    return log(x) + log1p(sqrt(1 - small * small))


def _asinh(x: Any) -> Any:
    """log(x + sqrt(x * x + 1)), exact near 0 and without the square of a large x."""
    size = abs(x)
    square = where(lt(size, 1e4), size, 1.0)
    square = square * square
    near = log1p(size + square / (1 + sqrt(square + 1)))
    out = where(lt(size, 1e4), near, log(size) + math.log(2))
    return where(lt(x, 0), -out, out)


acosh = _float_unary(
    "acosh", np.arccosh, lambda g, _out, x: g / sqrt(x * x - 1), "Inverse hyperbolic cosines.", 1.2, 3.0,
    decompose=lambda x: _acosh(x * 1.0),
)  # fmt: skip
asinh = _float_unary(
    "asinh", np.arcsinh, lambda g, _out, x: g / sqrt(x * x + 1), "Inverse hyperbolic sines.",
    decompose=lambda x: _asinh(x * 1.0),
)  # fmt: skip
atanh = _float_unary(
    "atanh", np.arctanh, lambda g, _out, x: g / (1 - x * x), "Inverse hyperbolic tangents.", -0.9, 0.9,
    decompose=lambda x: (log1p(x * 1.0) - log1p(x * -1.0)) * 0.5,
)  # fmt: skip
erfc = _float_unary(
    "erfc", erfc_array, lambda g, _out, x: g * (exp(-(x * x)) * (-2 / math.sqrt(math.pi))),
    "1 - erf(x), accurate where erf(x) is near 1.", decompose=lambda x: 1 - erf(x), complex=None,
)  # fmt: skip


def _polynomial(coefficients: Any, x: Any) -> Any:
    out = x * 0 + coefficients[0]
    for c in coefficients[1:]:
        out = out * x + c
    return out


def _erfinv(x: Any) -> Any:
    """A polynomial start and three steps of Newton's method, as `erfinv_array` but for the last digits near -1 and
    1."""
    w = -log((1 - x) * (1 + x))
    y = x * where(
        lt(w, 5.0), _polynomial(CENTRAL, w - 2.5), _polynomial(OUTER, sqrt(where(lt(w, 5.0), 5.0, w)) - 3.0)
    )
    for _ in range(3):
        y = y - (erf(y) - x) * exp(y * y) * (math.sqrt(math.pi) / 2)
    return y


erfinv = _float_unary(
    "erfinv", erfinv_array, lambda g, out, _x: g * (exp(out * out) * (math.sqrt(math.pi) / 2)),
    "The number whose error function is x.", -0.9, 0.9, decompose=_erfinv,
    tags=("inplace",), complex=None,
)  # fmt: skip


def _sinc(x: Any) -> Any:
    angle = where(eq(x, 0), 1.0, x) * math.pi
    return where(eq(x, 0), 1.0, div(sin(angle), angle))


sinc = operator(
    "sinc(Tensor self) -> Tensor",
    "sin(pi x) / (pi x), and 1 at 0.",
    shape=same_float,
    decompose=_sinc,
    tags=("inplace",),
    eager=in_float32(lambda xp, x: np.sinc(as_float(x)).astype(as_float(x).dtype)),
    check=False,
    complex="own",
    samples=lambda: [Sample((floats(2, 3),))],
)
frac = operator(
    "frac(Tensor self) -> Tensor", "Each element's fraction, with its sign.", decompose=lambda x: sub(x, trunc(x)),
    inline=True, tags=TAGS, samples=lambda: [Sample((floats(2, 3),))],
)  # fmt: skip
deg2rad = operator(
    "deg2rad(Tensor self) -> Tensor", "Degrees as radians.", decompose=lambda x: mul(x, math.pi / 180), inline=True,
    tags=TAGS, samples=lambda: [Sample((floats(3),))],
)  # fmt: skip
rad2deg = operator(
    "rad2deg(Tensor self) -> Tensor", "Radians as degrees.", decompose=lambda x: mul(x, 180 / math.pi), inline=True,
    tags=TAGS, samples=lambda: [Sample((floats(3),))],
)  # fmt: skip


def _negative(x: Any) -> Any:
    """By comparison: right for -0.0, but not for the sign of nan."""
    return logical_or(lt(x, 0), logical_and(eq(x, 0), lt(1 / x, 0))) if x.dtype.is_floating_point else lt(x, 0)


signbit = operator(
    "signbit(Tensor self) -> Tensor", "Whether the sign bit is set: also for -0.0.", shape=_bool_spec,
    eager=lambda xp, x: np.signbit(x) if x.dtype.kind in "fV" else x < 0, decompose=_negative, check=False,
    differentiable=False, samples=lambda: [Sample((floats(2, 3),))],
)  # fmt: skip


def _nan_to_num(x: Any, nan: Any = None, posinf: Any = None, neginf: Any = None) -> Any:
    if not x.dtype.is_floating_point:
        return x.clone()
    limits = finfo(x.dtype)
    x = where(isnan(x), 0.0 if nan is None else nan, x)
    x = where(eq(x, math.inf), limits.max if posinf is None else posinf, x)
    return where(eq(x, -math.inf), limits.min if neginf is None else neginf, x)


nan_to_num = operator(
    "nan_to_num(Tensor self, float? nan=None, float? posinf=None, float? neginf=None) -> Tensor",
    "nan replaced by 0, infinities by the largest numbers of the type, or by what is given.", decompose=_nan_to_num,
    inline=True, tags=("inplace",), samples=lambda: [Sample((floats(2, 3),))],
)  # fmt: skip


@function(method=True)
def positive(self: Any) -> Any:
    """+x: the tensor itself. Raises DTypeError for bools."""
    if self.dtype is dtypes.bool_:
        raise DTypeError("positive is not defined for bool tensors")
    return self


# -- powers, products and mixtures -----------------------------------------------------------------

square = operator(
    "square(Tensor self) -> Tensor", "x * x; int64 from bools.",
    decompose=lambda x: mul(x, x) if x.dtype is not dtypes.bool_ else to_dtype(x, dtypes.int64), inline=True, tags=TAGS,
    samples=lambda: [Sample((floats(2, 3),))],
)  # fmt: skip
lerp = operator(
    "lerp(Tensor self, Tensor end, Tensor|Scalar weight) -> Tensor",
    "self + weight * (end - self).",
    decompose=through_float32(lambda a, b, weight: a + weight * (b - a)),
    inline=True,
    tags=("like_self", "inplace"),
    samples=lambda: [
        Sample((floats(3), floats(3, seed=3), 0.3)),
        Sample((floats(3), floats(3, seed=3), floats(3, seed=9))),
    ],
)
addcmul = operator(
    "addcmul(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    "self + value * tensor1 * tensor2.",
    decompose=through_float32(lambda x, a, b, value: x + (a * b if value == 1 else a * value * b)),
    inline=True,
    tags=("inplace",),
    samples=lambda: [Sample((floats(3), floats(3, seed=3), floats(3, seed=4)), {"value": 0.5})],
)
addcdiv = operator(
    "addcdiv(Tensor self, Tensor tensor1, Tensor tensor2, *, Scalar value=1) -> Tensor",
    "self + value * tensor1 / tensor2.",
    decompose=through_float32(lambda x, a, b, value: x + (a / b if value == 1 else a * value / b)),
    inline=True,
    tags=("inplace",),
    samples=lambda: [Sample((floats(3), floats(3, seed=3), floats(3, low=0.5, seed=4)), {"value": 0.5})],
)


# -- two operands ---------------------------------------------------------------------------------


def _float_binary(ufunc: Any) -> Any:
    """A kernel of two operands that are made floating point first."""

    @in_float32
    def kernel(xp: Any, a: Any, b: Any) -> Any:
        return ufunc(a, b)

    return lambda xp, a, b: kernel(xp, *[as_float(x) for x in promote_arrays(a, b)])


def _need_floats(name: str) -> Any:
    def shape(a: Any, b: Any) -> Any:
        spec = pointwise(a, b)
        if not spec.dtype.is_floating_point:
            raise DTypeError(f"{name} of {a.dtype} and {b.dtype}: only floating-point tensors; use x.float()")
        return spec

    return shape


def _hypot(a: Any, b: Any) -> Any:
    a, b = abs(a), abs(b)
    large, small = fmax(a, b), fmin(a, b)
    ratio = small / where(eq(large, 0), 1.0, large)
    out = where(isnan(a), a, where(isnan(b), b, large * sqrt(ratio * ratio + 1)))
    return where(eq(large, math.inf), math.inf, out)


hypot = _binary(
    "hypot",
    None,
    lambda g, out, a, b: (g * (a / out), g * (b / out)),
    "sqrt(a * a + b * b), without overflow.",
    0.5,
    2.0,
    shape=_need_floats("hypot"),
    operands=TENSORS,
    eager=_float_binary(np.hypot),
    decompose=_hypot,
    check=True,
)


def _logaddexp(a: Any, b: Any) -> Any:
    apart = where(eq(a, b), 0.0, abs(sub(a, b)))  # equal infinities are 0 apart
    return maximum(a, b) + log1p(exp(-apart))


logaddexp = _binary(
    "logaddexp", None, lambda g, _out, a, b: (g * sigmoid(sub(a, b)), g * sigmoid(sub(b, a))),
    "log(exp(a) + exp(b)).",
    operands=TENSORS, shape=_need_floats("logaddexp"),
    eager=_float_binary(np.logaddexp), decompose=_logaddexp, check=True,
)  # fmt: skip


def _copysign_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    return g * sign(a) * copysign(where(eq(a, a), 1.0, a), b), g * 0


copysign = _binary(
    "copysign",
    None,
    _copysign_vjp,
    "|a| with the sign of b.",
    0.5,
    2.0,
    shape=pointwise_float,
    eager=_float_binary(np.copysign),
    decompose=lambda a, b: where(_negative(b), -abs(a * 1.0), abs(a * 1.0)),
    tags=("inplace",),
)


def _xlogy(a: Any, b: Any) -> Any:
    return where(logical_and(eq(a, 0), logical_not(isnan(b))), 0.0, a * log(b))


def _xlogy_kernel(a: Any, b: Any) -> Any:
    return np.where((a == 0) & ~np.isnan(b), a.dtype.type(0), a * np.log(b))


def _xlogy_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    ga = where(logical_and(eq(a, 0), le(b, 0)), 0.0, g * log(b)) if a.requires_grad else None
    return ga, (g * a / b if b.requires_grad else None)


xlogy = _binary(
    "xlogy", None, _xlogy_vjp, "a * log(b), and 0 where a is 0.", 0.5, 2.0, shape=pointwise_float,
    eager=_float_binary(_xlogy_kernel), decompose=_xlogy,
)  # fmt: skip


def _known_extremum(of: Any) -> Any:
    return lambda a, b: where(isnan(a), b, where(isnan(b), a, of(a, b)))


def _known_vjp(before: Any) -> Any:
    """The gradient goes to the number that was taken: the first where they are equal, the other where one is nan."""

    def vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
        first = logical_or(before(a, b), isnan(b))
        return where(first, g, 0.0), where(first, 0.0, g)

    return vjp


fmax = _binary(
    "fmax", np.fmax, _known_vjp(lambda a, b: le(b, a)), "The larger of a and b; the other one where one is nan.",
    decompose=_known_extremum(maximum), operands=TENSORS,
)  # fmt: skip
fmin = _binary(
    "fmin", np.fmin, _known_vjp(lambda a, b: le(a, b)), "The smaller of a and b; the other one where one is nan.",
    decompose=_known_extremum(minimum), operands=TENSORS,
)  # fmt: skip
