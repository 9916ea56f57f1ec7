"""ONNX operators that compute each element by itself: arithmetic, comparisons, activations, casts."""

from __future__ import annotations

from typing import Any

import numpy as np

import pappus as pp
from pappus.export.onnx.reader import dtype_of
from pappus.export.onnx.table import Node, onnx_op

F = pp.nn.functional

_UNARY = {
    "Abs": pp.abs, "Acos": pp.acos, "Acosh": pp.acosh, "Asin": pp.asin, "Asinh": pp.asinh, "Atan": pp.atan,
    "Atanh": pp.atanh, "BitwiseNot": pp.bitwise_not, "Ceil": pp.ceil, "Cos": pp.cos, "Cosh": pp.cosh,
    "Erf": pp.erf, "Exp": pp.exp, "Floor": pp.floor, "IsNaN": pp.isnan, "Log": pp.log, "Neg": pp.neg,
    "Not": pp.logical_not, "Reciprocal": pp.reciprocal, "Relu": pp.relu, "Round": pp.round, "Sigmoid": pp.sigmoid,
    "Sign": pp.sign, "Sin": pp.sin, "Sinh": pp.sinh, "Softplus": F.softplus, "Softsign": F.softsign, "Sqrt": pp.sqrt,
    "Tan": pp.tan, "Tanh": pp.tanh, "Mish": F.mish, "HardSwish": F.hardswish,
}  # fmt: skip
_BINARY = {
    "Add": pp.add, "Sub": pp.sub, "Mul": pp.mul, "And": pp.logical_and, "Or": pp.logical_or, "Xor": pp.logical_xor,
    "BitwiseAnd": pp.bitwise_and, "BitwiseOr": pp.bitwise_or, "BitwiseXor": pp.bitwise_xor, "Equal": pp.eq,
    "Greater": pp.gt, "GreaterOrEqual": pp.ge, "Less": pp.lt, "LessOrEqual": pp.le,
}  # fmt: skip


def _unary(function: Any) -> Any:
    return lambda node, x: function(x)


def _binary(function: Any) -> Any:
    def run(node: Node, a: Any, b: Any) -> Any:
        if node.opset < 7:
            if node.attr("broadcast", 0) and node.attr("axis") is not None:
                b = b.reshape(tuple(b.shape) + (1,) * (a.ndim - node.attr("axis") % a.ndim - b.ndim))
            elif not node.attr("broadcast", 0) and tuple(a.shape) != tuple(b.shape):
                node.refuse("operands of different shapes without broadcast=1 (opset 6)")
        return function(a, b)

    return run


for _name, _function in _UNARY.items():
    onnx_op(_name)(_unary(_function))
for _name, _function in _BINARY.items():
    onnx_op(_name)(_binary(_function))


def _divide(a: Any, b: Any) -> Any:
    return pp.div(a, b) if a.dtype.is_floating_point else pp.div(a, b, rounding_mode="trunc")


onnx_op("Div")(_binary(_divide))
onnx_op("Pow")(_binary(lambda a, b: pp.pow(a, b).to(a.dtype)))


@onnx_op("Mod", since=10)
def _mod(node: Node, a: Any, b: Any) -> Any:
    return pp.fmod(a, b) if node.attr("fmod", 0) else pp.remainder(a, b)


@onnx_op("IsInf", since=10)
def _is_inf(node: Node, x: Any) -> Any:
    positive, negative = node.attr("detect_positive", 1), node.attr("detect_negative", 1)
    if positive and negative:
        return pp.isinf(x)
    if positive or negative:
        return pp.eq(x, float("inf") if positive else float("-inf"))
    return pp.zeros_like(x, dtype=pp.bool)


@onnx_op("Max", "Min")
def _extremum(node: Node, *parts: Any) -> Any:
    function = pp.maximum if node.op_type == "Max" else pp.minimum
    result = parts[0]
    for part in parts[1:]:
        result = function(result, part)
    return result


@onnx_op("Sum", "Mean")
def _total(node: Node, *parts: Any) -> Any:
    result = parts[0]
    for part in parts[1:]:
        result = pp.add(result, part)
    return pp.div(result, float(len(parts))) if node.op_type == "Mean" else result


@onnx_op("BitShift", since=11)
def _bit_shift(node: Node, a: Any, b: Any) -> Any:
    bits = 8 * a.dtype.itemsize
    power = pp.pow(pp.full_like(a, 2), b)  # wraps to 0 past the last bit
    if node.attr("direction") == "LEFT":
        return a * power
    inside = b < bits
    return pp.where(inside, pp.div(a, pp.where(inside, power, pp.ones_like(power)), rounding_mode="trunc"),
                    pp.zeros_like(a))  # fmt: skip


@onnx_op("Identity")
def _identity(node: Node, x: Any) -> Any:
    return x


@onnx_op("Dropout")
def _dropout(node: Node, x: Any, *rest: Any) -> Any:
    if len(rest) > 1 and rest[1] is not None and bool(rest[1].item()):
        node.refuse("training_mode=1")
    return (x, pp.ones_like(x, dtype=pp.bool)) if node.wants(1) else x


@onnx_op("Cast", "CastLike")
def _cast(node: Node, x: Any, like: Any = None) -> Any:
    to = dtype_of(node.attr("to")) if like is None else like.dtype
    return x.to(to)


@onnx_op("Clip", since=1)
def _clip_6(node: Node, x: Any) -> Any:
    return pp.clamp(x, node.attr("min", -3.4028234663852886e38), node.attr("max", 3.4028234663852886e38))


@onnx_op("Clip", since=11, host=(1, 2))
def _clip(node: Node, x: Any, low: Any = None, high: Any = None) -> Any:
    low, high = (None if v is None else v.item() for v in (low, high))
    if low is None and high is None:
        return x
    if low is not None and high is not None and low > high:  # ONNX: everything becomes max
        low = high
    return pp.clamp(x, low, high)


@onnx_op("LeakyRelu")
def _leaky_relu(node: Node, x: Any) -> Any:
    return F.leaky_relu(x, node.attr("alpha", 0.01))


@onnx_op("Elu")
def _elu(node: Node, x: Any) -> Any:
    return F.elu(x, node.attr("alpha", 1.0))


@onnx_op("Celu", since=12)
def _celu(node: Node, x: Any) -> Any:
    return F.celu(x, node.attr("alpha", 1.0))


@onnx_op("Selu")
def _selu(node: Node, x: Any) -> Any:
    alpha, gamma = node.attr("alpha", 1.67326319217681884765625), node.attr("gamma", 1.05070102214813232421875)
    return gamma * pp.where(x > 0, x, alpha * pp.expm1(pp.clamp(x, max=0)))


@onnx_op("Gelu", since=20)
def _gelu(node: Node, x: Any) -> Any:
    return F.gelu(x, approximate=node.attr("approximate", "none"))


@onnx_op("Swish", since=24)
def _swish(node: Node, x: Any) -> Any:
    alpha = node.attr("alpha", 1.0)
    return F.silu(x) if alpha == 1.0 else x * pp.sigmoid(alpha * x)


@onnx_op("HardSigmoid")
def _hard_sigmoid(node: Node, x: Any) -> Any:
    return pp.clamp(node.attr("alpha", 0.2) * x + node.attr("beta", 0.5), 0, 1)


@onnx_op("ThresholdedRelu", since=10)
def _thresholded_relu(node: Node, x: Any) -> Any:
    return pp.where(x > node.attr("alpha", 1.0), x, pp.zeros_like(x))


@onnx_op("Shrink", since=9)
def _shrink(node: Node, x: Any) -> Any:
    bias, limit = node.attr("bias", 0.0), node.attr("lambd", 0.5)
    zero = pp.zeros_like(x)
    return pp.where(x < -limit, x + bias, pp.where(x > limit, x - bias, zero)).to(x.dtype)


@onnx_op("PRelu")
def _prelu(node: Node, x: Any, slope: Any) -> Any:
    if slope.ndim == 1 and node.opset < 7:
        slope = slope.reshape((-1,) + (1,) * (x.ndim - 2))
    return pp.where(x < 0, x * slope, x)


@onnx_op("Where", since=9)
def _where(node: Node, condition: Any, a: Any, b: Any) -> Any:
    return pp.where(condition, a, b)


@onnx_op("CumSum", since=11, host=(1,))
def _cum_sum(node: Node, x: Any, axis: Any) -> Any:
    at = int(np.asarray(axis).reshape(-1)[0])
    turned = pp.flip(x, [at]) if node.attr("reverse", 0) else x
    result = pp.cumsum(turned, at, dtype=x.dtype)
    if node.attr("exclusive", 0):
        result = result - turned
    return pp.flip(result, [at]) if node.attr("reverse", 0) else result
