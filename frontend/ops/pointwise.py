"""Operators that act element by element: arithmetic, comparison, logic, elementary functions, `where`, `clamp`,
casts."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .. import dtypes
from ..erf import erf_array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..native import pointwise as native_pointwise
from ..opdef import Sample, Spec, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats, ints, masks
from ._shapes import (
    _F32,
    _F64,
    as_float,
    broadcast,
    in_float32,
    pointwise,
    pointwise_float,
    promote_arrays,
    promoted,
    same,
    same_float,
    sigmoid_array,
)  # fmt: skip
from .cast import to_dtype as to_dtype

TAGS = ("pointwise", "inplace")


# -- unary ----------------------------------------------------------------------------------------


def _unary_samples(low: float, high: float) -> Callable[[], Iterable[Sample]]:
    return lambda: [Sample((floats(2, 3, low=low, high=high, seed=1),)), Sample((floats(low=low, high=high, seed=2),))]


def _float_unary(
    name: str,
    kernel: Callable[..., Any],
    vjp: Callable[..., Any] | None,
    doc: str,
    low: float = -2.0,
    high: float = 2.0,
    **more: Any,
) -> Callable[..., Any]:
    """An elementary function: integers become floating point. Most have a derivative on complex numbers too."""

    @in_float32
    def eager(xp: Any, x: Any) -> Any:
        return kernel(as_float(x))

    more.setdefault("tags", TAGS)
    if isinstance(kernel, np.ufunc):
        more["ufunc"] = kernel
    more.setdefault("complex", "holomorphic")
    return operator(
        f"{name}(Tensor self) -> Tensor", doc, shape=same_float, eager=eager, vjp=vjp, check=False,
        samples=_unary_samples(low, high), **more,
    )  # fmt: skip


def _unary(
    name: str,
    kernel: Callable[..., Any],
    vjp: Callable[..., Any] | None,
    doc: str,
    low: float = -2.0,
    high: float = 2.0,
    **more: Any,
) -> Callable[..., Any]:
    """A function that keeps the type."""
    more.setdefault("shape", same)
    return operator(
        f"{name}(Tensor self) -> Tensor", doc, eager=lambda xp, x: kernel(x), vjp=vjp, check=False,
        tags=TAGS, samples=_unary_samples(low, high), **more,
    )  # fmt: skip


def _no_bool(name: str, instead: str) -> Callable[..., Spec]:
    def shape(x: Any) -> Spec:
        if x.dtype is dtypes.bool_:
            raise DTypeError(f"{name} is not defined for bool tensors; use {instead}")
        return same(x)

    return shape


def _neg_kernel(x: Any) -> Any:
    if x.dtype.kind == "b":
        raise DTypeError("neg is not defined for bool tensors; use logical_not(x) or ~x")
    return np.negative(x)


neg = _unary(
    "neg", _neg_kernel, lambda g, _out, _x: -g, "The elements with the opposite sign.", shape=_no_bool("neg", "~x"),
    ufunc=np.negative, quiet=True, complex="own",
)  # fmt: skip


def _abs_vjp(g: Any, _out: Any, x: Any) -> Any:
    if not x.dtype.is_complex:
        return g * sign(x)
    from .complex_numbers import sgn

    return sgn(x) * g


abs = _unary(
    "abs", np.absolute, _abs_vjp, "Absolute values; of complex numbers, which give real ones, their distance from 0.",
    0.5, 2.0, shape=lambda x: Spec(tuple(x.shape), x.dtype.to_real()), complex="own", ufunc=np.absolute, quiet=True,
)  # fmt: skip


def _sign_kernel(x: Any) -> Any:
    return x.copy() if x.dtype.kind == "b" else np.sign(x)


sign: Callable[..., Any] = _unary(
    "sign", _sign_kernel, lambda g, _out, _x: g * 0, "-1, 0 or 1 by the sign of each element; nan for nan."
)


def _rounding(ufunc: Any) -> Callable[[Any], Any]:
    return lambda x: x.copy() if x.dtype.kind in "iub" else ufunc(x)


floor = _unary(
    "floor", _rounding(np.floor), lambda g, _out, _x: g * 0, "The largest integer not above each element.", 0.1, 0.9
)
ceil = _unary(
    "ceil", _rounding(np.ceil), lambda g, _out, _x: g * 0, "The smallest integer not below each element.", 0.1, 0.9
)
trunc = _unary("trunc", _rounding(np.trunc), lambda g, _out, _x: g * 0, "Each element without its fraction.", 0.1, 0.9)
round = operator(
    "round(Tensor self, *, int decimals=0) -> Tensor",
    "Nearest integers (or decimals), halves to the even neighbour.",
    shape=same,
    eager=lambda xp, x, decimals: x.copy() if x.dtype.kind in "iub" else np.round(x, decimals),
    vjp=lambda g, _out, _x, decimals: g * 0,
    tags=TAGS,
    check=False,
    samples=lambda: [
        Sample((floats(3, low=0.1, high=0.4),)),
        Sample((floats(3, low=0.11, high=0.14),), {"decimals": 1}),
    ],
)

reciprocal = _float_unary("reciprocal", lambda x: 1 / x, lambda g, out, _x: -g * out * out, "1 / x.", 0.5)
sqrt = _float_unary("sqrt", np.sqrt, lambda g, out, _x: g / (out * 2), "Square roots; nan for negative elements.", 0.3)
rsqrt = _float_unary(
    "rsqrt", lambda x: 1 / np.sqrt(x), lambda g, out, _x: g * (out * out * out) * -0.5, "1 / sqrt(x).", 0.3
)
exp = _float_unary("exp", np.exp, lambda g, out, _x: g * out, "e to the power of each element.")
exp2 = _float_unary("exp2", np.exp2, lambda g, out, _x: g * out * math.log(2), "2 to the power of each element.",
                    decompose=lambda x: exp(x * math.log(2)))  # fmt: skip
expm1 = _float_unary("expm1", np.expm1, lambda g, out, _x: g * (out + 1), "exp(x) - 1, accurate near 0.")
log = _float_unary("log", np.log, lambda g, _out, x: g / x, "Natural logarithms.", 0.3)
log1p = _float_unary("log1p", np.log1p, lambda g, _out, x: g / (x + 1), "log(1 + x), accurate near 0.", -0.5)
log2 = _float_unary("log2", np.log2, lambda g, _out, x: g / (x * math.log(2)), "Logarithms to base 2.", 0.3,
                    decompose=lambda x: log(x) * (1 / math.log(2)))  # fmt: skip
log10 = _float_unary("log10", np.log10, lambda g, _out, x: g / (x * math.log(10)), "Logarithms to base 10.", 0.3,
                     decompose=lambda x: log(x) * (1 / math.log(10)))  # fmt: skip
sin = _float_unary("sin", np.sin, lambda g, _out, x: g * cos(x), "Sines of angles in radians.")
cos: Callable[..., Any] = _float_unary("cos", np.cos, lambda g, _out, x: -g * sin(x), "Cosines of angles in radians.")
tan = _float_unary("tan", np.tan, lambda g, out, _x: g * (out * out + 1), "Tangents of angles in radians.", -1.0, 1.0,
                   decompose=lambda x: sin(x) / cos(x))  # fmt: skip
asin = _float_unary("asin", np.arcsin, lambda g, _out, x: g * rsqrt(1 - x * x), "Arc sines, in radians.", -0.9, 0.9)
acos = _float_unary("acos", np.arccos, lambda g, _out, x: -g * rsqrt(1 - x * x), "Arc cosines, in radians.", -0.9, 0.9)
atan = _float_unary("atan", np.arctan, lambda g, _out, x: g / (x * x + 1), "Arc tangents, in radians.",
                    decompose=lambda x: atan2(x, x * 0 + 1))  # fmt: skip
sinh = _float_unary("sinh", np.sinh, lambda g, _out, x: g * cosh(x), "Hyperbolic sines.",
                    decompose=lambda x: (exp(x) - exp(-x)) * 0.5)  # fmt: skip
cosh: Callable[..., Any] = _float_unary("cosh", np.cosh, lambda g, _out, x: g * sinh(x), "Hyperbolic cosines.",
                    decompose=lambda x: (exp(x) + exp(-x)) * 0.5)  # fmt: skip
tanh = _float_unary("tanh", np.tanh, lambda g, out, _x: g * (1 - out * out), "Hyperbolic tangents.")
sigmoid = _float_unary(
    "sigmoid", sigmoid_array, lambda g, out, _x: g * (out * (1 - out)), "1 / (1 + exp(-x)).", ufunc=sigmoid_array
)


def _erf_kernel(x: Any) -> Any:
    found = native_pointwise.erf(x)
    return erf_array(x) if found is None else found


erf = _float_unary(
    "erf", _erf_kernel, lambda g, _out, x: g * (exp(-(x * x)) * (2 / math.sqrt(math.pi))), "The error function.",
    complex=None)  # fmt: skip


def _bool_spec(*specs: Any, **attrs: Any) -> Spec:
    return Spec(broadcast(*[s.shape for s in specs]), dtypes.bool_)


def _predicate(name: str, kernel: Callable[..., Any], doc: str, **more: Any) -> Callable[..., Any]:
    return operator(
        f"{name}(Tensor self) -> Tensor",
        doc,
        shape=_bool_spec,
        eager=kernel,
        check=False,
        differentiable=False,
        tags=("pointwise",),
        samples=lambda: [Sample((floats(2, 3),)), Sample((ints(4),))],
        **more,
    )


def _float_test(ufunc: Any, otherwise: bool = False) -> Callable[[Any, Any], Any]:
    """The test of a ufunc, and what it is for integers."""
    return lambda xp, x: xp.full(x.shape, otherwise) if x.dtype.kind in "iub" else ufunc(x)


isnan = _predicate("isnan", _float_test(np.isnan), "True where an element is not a number.", complex="own")
isinf = _predicate("isinf", _float_test(np.isinf), "True where an element is plus or minus infinity.", complex="own",
                   decompose=lambda x: abs(x) == math.inf)  # fmt: skip
isfinite = _predicate(
    "isfinite",
    _float_test(np.isfinite, True),
    "True where an element is neither infinite nor nan.",
    decompose=lambda x: abs(x) < math.inf, complex="own",
)  # fmt: skip
logical_not = _predicate(
    "logical_not", lambda xp, x: np.logical_not(x), "True where an element is zero.", complex="own"
)


def _integral(name: str) -> Callable[..., Spec]:
    def shape(*specs: Any) -> Spec:
        dtype = promoted(*specs)
        if dtype.is_floating_point:
            raise DTypeError(
                f"{name} is defined for integer and bool tensors, got {dtype}; compare first (x > 0), or convert "
                "with .long()"
            )
        return Spec(broadcast(*[s.shape for s in specs]), dtype)

    return shape


bitwise_not = operator(
    "bitwise_not(Tensor self) -> Tensor",
    "Every bit flipped; logical not for bools.",
    shape=_integral("bitwise_not"),
    eager=lambda xp, x: np.invert(x),
    differentiable=False,
    tags=TAGS,
    samples=lambda: [Sample((ints(4),)), Sample((masks(3),))],
)


# -- binary ---------------------------------------------------------------------------------------


def _binary_kernel(ufunc: Any) -> Callable[..., Any]:
    def eager(xp: Any, a: Any, b: Any) -> Any:
        if a.dtype != b.dtype:
            a, b = promote_arrays(a, b)
        return ufunc(a, b)

    return eager


TENSORS = "Tensor self, Tensor other"  # the operands of what torch has for tensors only, with no number among them


def _binary_samples(low: float, high: float, tensors: bool) -> Callable[[], Iterable[Sample]]:
    def samples() -> Iterable[Sample]:
        a, b = floats(2, 3, low=low, high=high, seed=1), floats(2, 3, low=low, high=high, seed=2)
        return [
            Sample((a, b)), Sample((a, floats(3, low=low, high=high, seed=3))),
            Sample((a, floats(low=low, high=high, seed=6) if tensors else 1.5)),
            Sample((floats(2, 1, low=low, high=high, seed=4), floats(1, 3, low=low, high=high, seed=5))),
        ]  # fmt: skip

    return samples


def _binary(
    name: str, ufunc: Any, vjp: Callable[..., Any] | None, doc: str, low: float = -2.0, high: float = 2.0, **more: Any
) -> Callable[..., Any]:
    more.setdefault("shape", pointwise)
    more.setdefault("eager", _binary_kernel(ufunc))
    more.setdefault("ufunc", ufunc)
    more.setdefault("check", False)
    more.setdefault("tags", TAGS)
    operands = more.pop("operands", "Tensor|Scalar self, Tensor|Scalar other")
    tensors = "Scalar" not in operands
    return operator(
        f"{name}({operands}) -> Tensor", doc, vjp=vjp, samples=_binary_samples(low, high, tensors), **more,
    )  # fmt: skip


_add = _binary("add", np.add, lambda g, _out, _a, _b: (g, g), "a + b.", complex="own")


def _sub_kernel(xp: Any, a: Any, b: Any) -> Any:
    if a.dtype.kind == "b" and b.dtype.kind == "b":
        raise DTypeError("sub is not defined for two bool tensors; use a ^ b (bitwise_xor) or logical_not")
    return _sub_plain(xp, a, b)


def _sub_shape(a: Any, b: Any) -> Spec:
    if a.dtype is dtypes.bool_ and b.dtype is dtypes.bool_:
        raise DTypeError("sub is not defined for two bool tensors; use a ^ b (bitwise_xor) or logical_not")
    return pointwise(a, b)


_sub_plain = _binary_kernel(np.subtract)
_sub = _binary(
    "sub", np.subtract, lambda g, _out, _a, _b: (g, -g if _b.requires_grad else None), "a - b.", shape=_sub_shape,
    eager=_sub_kernel, complex="own",
)  # fmt: skip


def _mul_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    return (mul(g, b) if a.requires_grad else None), (mul(g, a) if b.requires_grad else None)


mul = _binary("mul", np.multiply, _mul_vjp, "a * b.", complex="holomorphic")


def _div_kernel(xp: Any, a: Any, b: Any) -> Any:
    if a.dtype != b.dtype:
        a, b = promote_arrays(a, b)
    return np.true_divide(as_float(a), as_float(b))


def _div_vjp(g: Any, out: Any, a: Any, b: Any) -> Any:
    return (div(g, b) if a.requires_grad else None), (-div(mul(g, out), b) if b.requires_grad else None)


_div = _binary(
    "div", np.true_divide, _div_vjp, "a / b; integers give floating point.", 0.5, 2.0, shape=pointwise_float,
    eager=_div_kernel, complex="holomorphic",
)  # fmt: skip


def _pow_kernel(xp: Any, a: Any, b: Any) -> Any:
    return _power(*(promote_arrays(a, b) if a.dtype != b.dtype else (a, b)))


def _power(a: Any, b: Any) -> Any:
    if b.ndim == 0 and a.dtype.kind in "fVc":
        exponent = b.item() if a.dtype.kind == "c" else float(b)
        if exponent == 2.0:
            return a * a
        if exponent == 3.0:
            return a * a * a
        if exponent == 0.5:
            return np.sqrt(a)
        if exponent == -1.0:
            return 1 / a
    return np.power(a, b)


def _pow_vjp(g: Any, out: Any, a: Any, b: Any) -> Any:
    ga = gb = None
    if a.requires_grad:
        if b.wrapped:
            n = b.item()
            ga = g * 0 if n == 0 else (g if n == 1 else g * (pow(a, n - 1) * n))
        else:
            ga = g * where(b == 0, 0.0, b * pow(a, b - 1))
    if b.requires_grad:
        growing = (b.real if b.dtype.is_complex else b) >= 0
        gb = g * where(logical_and(a == 0, growing), 0.0, out * log(a))
    return ga, gb


pow = _binary(
    "pow", _power, _pow_vjp, "a to the power of b.", 0.5, 2.0, eager=_pow_kernel, complex="holomorphic",
)  # fmt: skip


def _extremum_vjp(before: Callable[..., Any]) -> Callable[..., Any]:
    """The gradient goes to the operand that is `before` the other; where they are equal, half to each."""

    def vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
        share = where(eq(a, b), g * 0.5, g)
        ga = where(before(b, a), 0.0, share) if a.requires_grad else None
        gb = where(before(a, b), 0.0, share) if b.requires_grad else None
        return ga, gb

    return vjp


maximum = _binary(
    "maximum", np.maximum, _extremum_vjp(lambda a, b: lt(b, a)), "The larger of a and b; nan if either is.",
    operands=TENSORS, quiet=True,
)  # fmt: skip
minimum = _binary(
    "minimum", np.minimum, _extremum_vjp(lambda a, b: lt(a, b)), "The smaller of a and b; nan if either is.",
    operands=TENSORS, quiet=True,
)  # fmt: skip


def _remainder_vjp(g: Any, _out: Any, a: Any, b: Any) -> Any:
    return g, (-g * floor_divide(a, b) if b.requires_grad else None)


remainder = _binary("remainder", np.remainder, _remainder_vjp, "a modulo b, with the sign of b.", 1.1, 2.0)
atan2: Callable[..., Any] = _binary(
    "atan2", np.arctan2, lambda g, _out, a, b: (g * (b / (a * a + b * b)), -g * (a / (a * a + b * b))),
    "The angle of the point (b, a), in radians.", 0.5, 2.0, shape=pointwise_float,
    eager=lambda xp, a, b: np.arctan2(*[as_float(x) for x in promote_arrays(a, b)]), operands=TENSORS,
)  # fmt: skip


def _compare(
    name: str, ufunc: Any, doc: str, operands: str = "Tensor self, Tensor|Scalar other", **more: Any
) -> Callable[..., Any]:
    second = 0.5 if "Scalar" in operands else floats(3, seed=7)
    hooks = {"inline": True} if "decompose" in more else {"shape": _bool_spec, "eager": _binary_kernel(ufunc)}
    return operator(
        f"{name}({operands}) -> Tensor",
        doc,
        check=False,
        differentiable=False,
        ufunc=ufunc, quiet=not name.startswith("logical"),
        tags=("pointwise",),
        samples=lambda: [Sample((ints(2, 3, high=3), ints(3, high=3, seed=5))), Sample((floats(3), second))],
        **hooks,
        **more,
    )


eq = _compare("eq", np.equal, "a == b, element by element.", complex="own")
lt: Callable[..., Any] = _compare("lt", np.less, "a < b, element by element.")
le = _compare("le", np.less_equal, "a <= b, element by element.")
ne = _compare("ne", np.not_equal, "a != b, element by element.", complex="own",
              decompose=lambda a, b: logical_not(eq(a, b)))  # fmt: skip
gt = _compare("gt", np.greater, "a > b, element by element.", decompose=lambda a, b: lt(b, a))
ge = _compare("ge", np.greater_equal, "a >= b, element by element.", decompose=lambda a, b: le(b, a))
logical_and = _compare("logical_and", np.logical_and, "True where both are nonzero.", TENSORS, complex="own")
logical_or = _compare("logical_or", np.logical_or, "True where either is nonzero.", TENSORS, complex="own")
logical_xor = _compare("logical_xor", np.logical_xor, "True where exactly one is nonzero.", TENSORS, complex="own",
                       decompose=lambda a, b: ne(ne(a, 0), ne(b, 0)))  # fmt: skip


def _bitwise(name: str, ufunc: Any, doc: str) -> Callable[..., Any]:
    return operator(
        f"{name}(Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
        doc,
        shape=_integral(name),
        eager=_binary_kernel(ufunc),
        differentiable=False,
        tags=TAGS,
        samples=lambda: [Sample((ints(4), ints(4, seed=5))), Sample((masks(3), masks(3, seed=2)))],
    )


bitwise_and = _bitwise("bitwise_and", np.bitwise_and, "Bits set in both; logical and for bools.")
bitwise_or = _bitwise("bitwise_or", np.bitwise_or, "Bits set in either; logical or for bools.")
bitwise_xor = _bitwise("bitwise_xor", np.bitwise_xor, "Bits set in exactly one; logical xor for bools.")


# -- choice, bounds, casts ------------------------------------------------------------------------


def _where_shape(condition: Any, a: Any, b: Any) -> Spec:
    if condition.dtype is not dtypes.bool_:
        raise DTypeError(f"the condition must be a bool tensor, got {condition.dtype}; use condition != 0")
    return Spec(broadcast(condition.shape, a.shape, b.shape), promoted(a, b))


def _where_kernel(xp: Any, condition: Any, a: Any, b: Any) -> Any:
    if condition.dtype.kind != "b":
        raise DTypeError(f"the condition must be a bool tensor, got pappus.{condition.dtype}; use condition != 0")
    if a.dtype != b.dtype:
        a, b = promote_arrays(a, b)
    return select(condition, a, b) if condition.size >= 1024 else np.where(condition, a, b)


def select(mask: Any, a: Any, b: Any) -> Any:
    """np.where on the bits of the elements: numpy jumps at each of them, which random masks make 15 times slower."""
    bits = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}.get(a.dtype.itemsize)
    if bits is None:
        return np.where(mask, a, b)
    kind, ones, a, b = a.dtype, np.negative(mask.view(np.int8)).astype(bits), a.view(bits), b.view(bits)
    if b.ndim == 0 and b == 0:
        found = ones & a
    elif a.ndim == 0 and a == 0:
        found = np.invert(ones, out=ones) & b
    else:
        found = (a ^ b) & ones
        found ^= b
    return found.view(kind)


where: Callable[..., Any] = operator(
    "where(Tensor condition, Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
    "Elements of self where the condition is true, of other elsewhere.",
    shape=_where_shape,
    eager=_where_kernel,
    check=False, complex="own", storage=True,
    vjp=lambda g, _out, condition, _a, _b: (
        None,
        where(condition, g, 0.0) if _a.requires_grad else None,
        where(condition, 0.0, g) if _b.requires_grad else None,
    ),
    tags=("pointwise",),
    samples=lambda: [
        Sample((masks(2, 3), floats(2, 3), floats(3, seed=3))),
        Sample((masks(2, 1), floats(2, 3), 0.5)),
    ],
)


def _clamp_shape(x: Any, min: Any = None, max: Any = None) -> Spec:
    if min is None and max is None:
        raise ArgumentError("clamp needs min, max or both")
    bounds = [b for b in (min, max) if b is not None]
    dtype = dtypes.result_type([(x.dtype, len(x.shape), False), *[(dtypes.of_value(b), 0, True) for b in bounds]])
    return Spec(tuple(x.shape), dtype)


_BOUNDS = {float, int, type(None)}


def _clamp_kernel(xp: Any, x: Any, min: Any, max: Any) -> Any:
    if (x.dtype is _F32 or x.dtype is _F64) and {type(min), type(max)} <= _BOUNDS and min is not max:
        kind, out = x.dtype.type, x
        if min is not None:
            out = np.maximum(out, kind(min))
        return out if max is None else np.minimum(out, kind(max))
    dtype = _clamp_shape(_of_array(x), min, max).dtype.numpy
    x = x if x.dtype == dtype else x.astype(dtype)
    low, high = None if min is None else dtype.type(min), None if max is None else dtype.type(max)
    if dtype.kind != "V":
        return np.clip(x, low, high)
    x = x if low is None else np.maximum(x, low)  # clip would give float32 for bfloat16
    return x if high is None else np.minimum(x, high)


def _of_array(x: Any) -> Spec:
    return Spec(x.shape, dtypes.from_numpy_dtype(x.dtype))


def _clamp_vjp(g: Any, _out: Any, x: Any, min: Any, max: Any) -> Any:
    inside = None if min is None else x >= min
    if max is not None:
        inside = x <= max if inside is None else logical_and(inside, x <= max)
    return (where(inside, g, 0.0),)


_clamp = operator(
    "clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor",
    "Elements limited to [min, max], bounds being numbers.",
    shape=_clamp_shape,
    eager=_clamp_kernel,
    vjp=_clamp_vjp,
    check=False,
    tags=TAGS,
    samples=lambda: [
        Sample((floats(2, 3), -0.5, 0.7)),
        Sample((floats(2, 3), None, 0.3)),
        Sample((floats(4), 0.2)),
    ],
)


@function(method=True)
def clamp(self: Any, min: Any = None, max: Any = None) -> Any:
    """Elements limited to [min, max]; bounds may be numbers or tensors.

    >>> import pappus as pp
    >>> pp.clamp(pp.tensor([-2.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if not isinstance(self, Tensor):
        raise ArgumentError(f"clamp: argument 'self' must be a Tensor, got {type(self).__name__}")
    if not (isinstance(min, Tensor) or isinstance(max, Tensor)):
        return _clamp(self, min, max)
    out = self
    if min is not None:  # at a tie the gradient is self's, unlike maximum's
        out = where(logical_or(lt(out, min), ne(min, min)), min, out)
    if max is not None:
        out = where(logical_or(lt(max, out), ne(max, max)), max, out)
    return out


@function(method=True, inplace=True)
def clamp_min(self: Any, min: Any) -> Any:
    """Elements not below `min`."""
    return clamp(self, min=min)


@function(method=True, inplace=True)
def clamp_max(self: Any, max: Any) -> Any:
    """Elements not above `max`."""
    return clamp(self, max=max)


# -- composites -----------------------------------------------------------------------------------


def _floor_divide(a: Any, b: Any) -> Any:
    out = floor(div(to_dtype(a, dtypes.float64), b)) if not promoted(a, b).is_floating_point else floor(div(a, b))
    return out if out.dtype is promoted(a, b) else to_dtype(out, promoted(a, b))


floor_divide = operator(
    "floor_divide(Tensor|Scalar self, Tensor|Scalar other) -> Tensor", "a / b rounded down.", shape=pointwise,
    eager=_binary_kernel(np.floor_divide), decompose=_floor_divide, tags=TAGS, check=False, differentiable=False,
    samples=lambda: [Sample((ints(4, low=-9, high=9), 4)), Sample((floats(4), floats(4, low=0.5, seed=8)))],
)  # fmt: skip


def _fmod(a: Any, b: Any) -> Any:
    if a.dtype.is_floating_point or b.dtype.is_floating_point:
        return a - trunc(div(a, b)) * b
    r = remainder(a, b)  # has the sign of b
    return where(logical_and(ne(r, 0), ne(lt(a, 0), lt(b, 0))), r - b, r)


fmod = operator(
    "fmod(Tensor self, Tensor|Scalar other) -> Tensor",
    "The remainder of a / b, with the sign of a.",
    shape=pointwise,
    eager=_binary_kernel(np.fmod),
    decompose=_fmod,
    tags=TAGS,
    check=False,
    vjp=lambda g, _out, a, b: (g, -g * trunc(_div(a, b)) if b.requires_grad else None),
    samples=lambda: [Sample((floats(4), floats(4, low=0.3, high=0.4, seed=8))), Sample((floats(4), 0.3))],
)


def _masked_fill(x: Any, mask: Any, value: Any) -> Any:
    if len(value.shape):
        raise ShapeError(
            f"masked_fill: the value must be a number or a 0-d tensor, got shape {list(value.shape)}; "
            "where(mask, value, x) takes any"
        )
    if value.dtype.category > max(x.dtype.category, 2):
        raise DTypeError(f"masked_fill: a complex value cannot be stored in a {x.dtype.name} tensor; use value.real")
    return where(mask, value if value.dtype is x.dtype else to_dtype(value, x.dtype), x)


masked_fill = operator(
    "masked_fill(Tensor self, Tensor mask, Tensor|Scalar value) -> Tensor",
    "`value`, a number or a 0-d tensor, where the mask is true, self elsewhere.",
    decompose=_masked_fill,
    inline=True,
    tags=("like_self", "inplace"),
    samples=lambda: [Sample((floats(2, 3), masks(2, 3), 0.5)), Sample((floats(2, 3), masks(3), -9))],
)


def _scaled(other: Any, alpha: Any) -> Any:
    if alpha == 1:
        return other
    return mul(other, alpha) if isinstance(other, Tensor) or isinstance(alpha, Tensor) else other * alpha


@function(method=True, short="add")
def add(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """self + alpha * other."""
    return _add(self, other) if type(alpha) is int and alpha == 1 else _add(self, _scaled(other, alpha))


@function(method=True, short="sub")
def sub(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """self - alpha * other."""
    return _sub(self, other) if type(alpha) is int and alpha == 1 else _sub(self, _scaled(other, alpha))


@function(method=True, short="div")
def div(self: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """self / other; with `rounding_mode` "floor" or "trunc" the quotient is rounded and keeps the operands' type."""
    if rounding_mode is None:
        return _div(self, other)
    if rounding_mode == "floor":
        return floor_divide(self, other)
    if rounding_mode == "trunc":
        out = trunc(_div(self, other))
        like = add(self, other)
        return out if like.dtype is out.dtype else to_dtype(out, like.dtype)
    raise ArgumentError(f"div: rounding_mode must be None, 'trunc' or 'floor', got {rounding_mode!r}")


@function(method=True)
def rsub(self: Any, other: Any, *, alpha: Any = 1) -> Any:
    """other - alpha * self."""
    return _sub(other, _scaled(self, alpha))
