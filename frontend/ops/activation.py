"""Activation functions. Each is kept whole in graphs and has a decomposition into arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import float_of
from ..erf import erf_array
from ..errors import ArgumentError, DTypeError, ShapeError
from ..native import pointwise as native_pointwise
from ..opdef import Sample, Spec, operator
from ._names import function
from ._samples import floats
from ._shapes import as_float, in_float32, same, sigmoid_array, wrap_dim
from .pointwise import _clamp, erf, exp, gt, le, log1p, logical_and, lt, mul, select, sigmoid, tanh, where
from .shape import slice_

SQRT_HALF, GAUSS = math.sqrt(0.5), 1 / math.sqrt(2 * math.pi)
TAGS = ("pointwise", "activation", "inplace")


def _number_only(name: str) -> Callable[..., Spec]:
    def shape(x: Any, **attrs: Any) -> Spec:
        if x.dtype is dtypes.bool_:
            raise DTypeError(f"{name} is not defined for bool tensors; use x.float()")
        return same(x)

    return shape


def _float_only(name: str) -> Callable[..., Spec]:
    def shape(x: Any, **attrs: Any) -> Spec:
        if not x.dtype.is_floating_point:
            raise DTypeError(f"{name} of {x.dtype}: only floating-point tensors; use x.float()")
        return same(x)

    return shape


def _activation(
    schema: str,
    doc: str,
    kernel: Callable[..., Any] | None,
    vjp: Callable[..., Any] | None,
    decompose: Callable[..., Any],
    *attrs: dict[str, Any],
    integers: bool = False,
) -> Callable[..., Any]:
    name = schema.split("(")[0]

    def samples() -> list[Sample]:
        more = [Sample((floats(3, 4, low=-4.0, high=4.0),), a) for a in attrs]
        return [Sample((floats(2, 3, low=-4.0, high=4.0),)), *more]

    eager = None if kernel is None else in_float32(lambda xp, x, **kw: kernel(x if integers else as_float(x), **kw))
    return operator(
        schema,
        doc,
        shape=_number_only(name) if integers else _float_only(name),
        eager=eager,
        vjp=vjp,
        decompose=decompose,
        check=True,
        tags=TAGS,
        samples=samples,
    )


_maximum = np.maximum
_ZEROS = {np.dtype(kind): np.zeros((), kind) for kind in (np.float32, np.float64)}


def _relu_floats(x: Any) -> Any:
    """numpy's maximum has vectors only for an array operand; a short one in small rows costs more than it saves."""
    if x.size < 4096 or x.shape[-1] < 64:
        return _maximum(x, _ZEROS[x.dtype])
    return _maximum(x, np.zeros(x.shape[-1:], x.dtype))


def _relu_kernel(xp: Any, x: Any) -> Any:
    if xp is not np:
        return xp.maximum(x, 0)
    return _relu_floats(x) if x.dtype in _ZEROS else np.maximum(x, np.zeros(x.shape[-1:], x.dtype))


def _relu_backward_kernel(xp: Any, g: Any, out: Any) -> Any:
    if xp is not np:
        return g * (out > 0)
    zero = _ZEROS[g.dtype] if g.dtype in _ZEROS else np.zeros((), g.dtype)
    mask = np.greater(out, zero)
    return select(mask, g, zero) if g.size >= 1024 else np.where(mask, g, zero)


relu_backward: Callable[..., Any] = operator(
    "relu_backward(Tensor grad_output, Tensor out) -> Tensor",
    "The gradient of relu from that of its result `out`: `grad_output` where `out` is positive, 0 elsewhere.",
    decompose=lambda g, out: where(gt(out, 0), g, 0.0),
    shape=same,
    eager=_relu_backward_kernel,
    vjp=lambda g, _out, _g, out: (relu_backward(g, out), None),
    check=False,
    inline=True,
    samples=lambda: [Sample((floats(2, 3), floats(2, 3, low=-1.0, seed=5)))],
)
relu = operator(
    "relu(Tensor self) -> Tensor", "max(x, 0).", shape=same, eager=_relu_kernel, ufunc=_relu_floats, quiet=True,
    check=False, tags=TAGS,
    vjp=lambda g, out, _x: (relu_backward(g, out),), decompose=lambda x: _clamp(x, 0),
    samples=lambda: [Sample((floats(2, 3),)), Sample((floats(),))],
)  # fmt: skip


def _bounds(x: Any, *bounds: float) -> tuple[Any, ...]:
    """Bounds in the kind of the tensor: integers clamp to integers."""
    return bounds if x.dtype.is_floating_point else tuple(int(b) for b in bounds)


relu6 = _activation(
    "relu6(Tensor self) -> Tensor", "min(max(x, 0), 6).", lambda x: np.clip(x, x.dtype.type(0), x.dtype.type(6)),
    lambda g, out, _x: (where(logical_and(gt(out, 0), lt(out, 6)), g, 0.0),), lambda x: _clamp(x, 0, 6),
    integers=True,
)  # fmt: skip
hardtanh = _activation(
    "hardtanh(Tensor self, float min_val=-1.0, float max_val=1.0) -> Tensor", "x limited to [min_val, max_val].",
    lambda x, min_val, max_val: np.clip(x, x.dtype.type(min_val), x.dtype.type(max_val)),
    lambda g, _out, x, min_val, max_val: (where(logical_and(gt(x, min_val), lt(x, max_val)), g, 0.0),),
    lambda x, min_val=-1.0, max_val=1.0: _clamp(x, *_bounds(x, min_val, max_val)), {"min_val": -2.0, "max_val": 0.5},
    integers=True,
)  # fmt: skip
leaky_relu = _activation(
    "leaky_relu(Tensor self, float negative_slope=0.01) -> Tensor", "x where positive, negative_slope * x elsewhere.",
    lambda x, negative_slope: np.where(x > 0, x, x * x.dtype.type(negative_slope)),
    lambda g, _out, x, negative_slope: (where(gt(x, 0), g, mul(g, negative_slope)),),
    lambda x, negative_slope=0.01: where(gt(x, 0), x, mul(x, negative_slope)), {"negative_slope": 0.2},
)  # fmt: skip


def _elu(x: Any, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Any:
    low = (exp(x if input_scale == 1.0 else x * input_scale) - 1) * (alpha * scale)
    return where(gt(x, 0), x if scale == 1.0 else x * scale, low)


def _elu_kernel(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    one = x.dtype.type
    low = np.expm1(np.minimum(x, one(0)) * one(input_scale)) * one(alpha * scale)
    return np.where(x > 0, x * one(scale), low)


def _elu_vjp(g: Any, _out: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    low = exp(_clamp(x, None, 0) * input_scale) * (alpha * scale * input_scale)
    return (g * where(gt(x, 0), scale, low),)


elu = _activation(
    "elu(Tensor self, float alpha=1.0, float scale=1.0, float input_scale=1.0) -> Tensor",
    "x where positive, alpha * (exp(x) - 1) elsewhere; scale and input_scale give selu and celu.",
    _elu_kernel,
    _elu_vjp,
    _elu,
    {"alpha": 0.5},
)


def _gelu_kernel(x: Any, approximate: str) -> Any:
    half = x.dtype.type(0.5)
    if approximate == "tanh":
        inner = x * (x * x * x.dtype.type(0.044715) + 1) * x.dtype.type(math.sqrt(2 / math.pi))
        return (np.tanh(inner) + 1) * x * half
    found = native_pointwise.gelu(x)
    return (erf_array(x * x.dtype.type(SQRT_HALF)) + 1) * x * half if found is None else found


def _gelu(x: Any, approximate: str = "none") -> Any:
    if approximate == "tanh":
        return x * 0.5 * (tanh(x * (x * x * 0.044715 + 1) * math.sqrt(2 / math.pi)) + 1)
    return x * 0.5 * (erf(x * SQRT_HALF) + 1)


def _gelu_vjp(g: Any, _out: Any, x: Any, approximate: str) -> Any:
    if approximate == "tanh":
        c = math.sqrt(2 / math.pi)
        t = tanh(x * (x * x * 0.044715 + 1) * c)
        return (g * ((t + 1) * 0.5 + x * 0.5 * (1 - t * t) * (x * x * (3 * 0.044715) + 1) * c),)
    return (gelu_backward(g, x),)


def _gelu_backward_kernel(xp: Any, g: Any, x: Any) -> Any:
    found = native_pointwise.gelu_grad(g, x)
    if found is not None:
        return found
    one = x.dtype.type
    slope = (erf_array(x * one(SQRT_HALF)) + 1) * one(0.5)
    return g * (slope + x * np.exp(x * x * one(-0.5)) * one(GAUSS))


gelu_backward = operator(
    "gelu_backward(Tensor grad_output, Tensor self) -> Tensor",
    "The gradient of `gelu` (exact form) at self, times that of its result.",
    shape=lambda g, x: _float_only("gelu_backward")(x),
    eager=in_float32(_gelu_backward_kernel),
    decompose=lambda g, x: g * ((erf(x * SQRT_HALF) + 1) * 0.5 + x * exp(x * x * -0.5) * GAUSS),
    samples=lambda: [Sample((floats(2, 3), floats(2, 3, seed=1)))],
)


def _gelu_shape(x: Any, approximate: str = "none") -> Spec:
    if approximate not in ("none", "tanh"):
        raise ArgumentError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    return _float_only("gelu")(x)


gelu = operator(
    "gelu(Tensor self, *, str approximate='none') -> Tensor",
    "x times the normal distribution function of x.",
    shape=_gelu_shape,
    eager=in_float32(lambda xp, x, approximate: _gelu_kernel(x, approximate)),
    vjp=_gelu_vjp,
    decompose=_gelu,
    tags=TAGS,
    samples=lambda: [Sample((floats(2, 3),)), Sample((floats(2, 3),), {"approximate": "tanh"})],
)


def _silu_vjp(g: Any, _out: Any, x: Any) -> Any:
    s = sigmoid(x)
    return (g * (s * (x * (1 - s) + 1)),)


silu = _activation(
    "silu(Tensor self) -> Tensor", "x * sigmoid(x).", lambda x: x * sigmoid_array(x), _silu_vjp,
    lambda x: x * sigmoid(x),
)  # fmt: skip
hardsigmoid = _activation(
    "hardsigmoid(Tensor self) -> Tensor", "min(max(x + 3, 0), 6) / 6.",
    lambda x: np.clip(x + x.dtype.type(3), x.dtype.type(0), x.dtype.type(6)) / x.dtype.type(6),
    lambda g, _out, x: (where(logical_and(gt(x, -3), lt(x, 3)), g * (1 / 6), 0.0),), lambda x: _clamp(x + 3, 0, 6) / 6,
)  # fmt: skip
hardswish = _activation(
    "hardswish(Tensor self) -> Tensor", "x * min(max(x + 3, 0), 6) / 6.",
    lambda x: x * np.clip(x + x.dtype.type(3), x.dtype.type(0), x.dtype.type(6)) / x.dtype.type(6),
    lambda g, _out, x: (g * where(le(x, -3), 0.0, where(lt(x, 3), x * (1 / 3) + 0.5, 1.0)),),
    lambda x: x * _clamp(x + 3, 0, 6) / 6,
)  # fmt: skip


def _softplus_kernel(x: Any, beta: float, threshold: float) -> Any:
    scaled = x * x.dtype.type(beta)
    return np.where(scaled > threshold, x, np.log1p(np.exp(np.minimum(scaled, threshold))) / x.dtype.type(beta))


softplus = _activation(
    "softplus(Tensor self, float beta=1.0, float threshold=20.0) -> Tensor",
    "log(1 + exp(beta * x)) / beta, and x itself where beta * x exceeds the threshold.", _softplus_kernel,
    lambda g, _out, x, beta, threshold: (where(gt(x * beta, threshold), g, g * sigmoid(x * beta)),),
    lambda x, beta=1.0, threshold=20.0: where(
        gt(x * beta, threshold), x, log1p(exp(_clamp(x * beta, None, threshold))) / beta
    ),
    {"beta": 2.0},
)  # fmt: skip


def _mish_vjp(g: Any, _out: Any, x: Any) -> Any:
    t = tanh(softplus(x))
    return (g * (t + x * (1 - t * t) * sigmoid(x)),)


mish = _activation(
    "mish(Tensor self) -> Tensor",
    "x * tanh(softplus(x)).",
    lambda x: x * np.tanh(_softplus_kernel(x, 1.0, 20.0)),
    _mish_vjp,
    lambda x: x * tanh(softplus(x)),
)
logsigmoid = _activation(
    "logsigmoid(Tensor self) -> Tensor", "log(sigmoid(x)).", lambda x: np.minimum(x, 0) - np.log1p(np.exp(-np.abs(x))),
    lambda g, _out, x: (g * sigmoid(-x),), lambda x: -softplus(-x),
)  # fmt: skip
softsign = _activation(
    "softsign(Tensor self) -> Tensor", "x / (1 + |x|).", None, None, lambda x: x / (x.abs() + 1),
)  # fmt: skip
tanhshrink = _activation("tanhshrink(Tensor self) -> Tensor", "x - tanh(x).", None, None, lambda x: x - tanh(x))
hardshrink = _activation(
    "hardshrink(Tensor self, float lambd=0.5) -> Tensor", "x where |x| > lambd, 0 elsewhere.", None, None,
    lambda x, lambd=0.5: where(le(x.abs(), lambd), 0.0, x),
)  # fmt: skip
softshrink = _activation(
    "softshrink(Tensor self, float lambd=0.5) -> Tensor",
    "x moved towards 0 by lambd, 0 where |x| <= lambd.",
    None,
    None,
    lambda x, lambd=0.5: x - _clamp(x, -lambd, lambd),
)
threshold = _activation(
    "threshold(Tensor self, float threshold=0.0, float value=0.0) -> Tensor",
    "x where above the threshold, value elsewhere.",
    None,
    None,
    lambda x, threshold=0.0, value=0.0: where(gt(x, threshold), x, value),
    {"threshold": 0.1, "value": 2.0},
)


def _prelu_shape(x: Any, weight: Any) -> Spec:
    count = weight.shape[0] if weight.shape else 1
    channels = x.shape[1] if len(x.shape) > 1 else 1
    if len(weight.shape) > 1 or (type(count) is int and count != 1 and count != channels):
        raise ShapeError(
            f"prelu: weight of shape {list(weight.shape)} for {channels} channels; give one slope, or one per channel"
        )
    return same(x)


def _prelu(x: Any, weight: Any) -> Any:
    if len(x.shape) != 1 and weight.shape:
        weight = weight.view((1, -1, *[1] * (len(x.shape) - 2)) if x.shape else ())
    return where(gt(x, 0), x, x * weight)


prelu = operator(
    "prelu(Tensor self, Tensor weight) -> Tensor",
    "x where positive, weight * x elsewhere; one weight, or one per channel.",
    shape=_prelu_shape,
    decompose=_prelu,
    tags=("pointwise",),
    samples=lambda: [Sample((floats(2, 3), floats(3, seed=2))), Sample((floats(2, 3, 2), floats(1, seed=2)))],
)


def _glu_shape(x: Any, dim: int = -1) -> Spec:
    at = wrap_dim(dim, len(x.shape))
    if type(x.shape[at]) is int and x.shape[at] % 2:
        raise ShapeError(f"glu halves dimension {at}, whose size {x.shape[at]} is odd")
    return Spec((*x.shape[:at], x.shape[at] // 2, *x.shape[at + 1 :]), float_of(x.dtype))


def _glu(x: Any, dim: int = -1) -> Any:
    half = x.shape[dim] // 2
    return slice_(x, dim, 0, half) * sigmoid(slice_(x, dim, half, half * 2))


glu = operator(
    "glu(Tensor self, int dim=-1) -> Tensor", "The first half times the sigmoid of the second, along a dimension.",
    shape=_glu_shape, decompose=_glu, samples=lambda: [Sample((floats(2, 4),)), Sample((floats(4, 3), 0))],
)  # fmt: skip


@function()
def selu(self: Any, inplace: bool = False) -> Any:
    """elu with the constants that keep activations at mean 0 and variance 1."""
    return elu(self, 1.6732632423543772, 1.0507009873554805)


@function()
def celu(self: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    return elu(self, alpha, 1.0, 1.0 / alpha)
