"""QuantizeLinear and its kin as plain arithmetic on the numbers they stand for."""

from __future__ import annotations

from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op


def _spread(node: Node, v: Any, x: Any) -> Any:
    """Scales or zero points so that they broadcast over x: one number, one for each channel, or one for each block."""
    if v is None or v.ndim == 0:
        return v
    block = node.attr("block_size", 0)
    axis = node.attr("axis", 1) % x.ndim
    if block:
        return pp.repeat_interleave(v, block, axis).narrow(axis, 0, x.shape[axis])
    if v.ndim == 1 and v.shape[0] == 1:
        return v.reshape(())
    if v.ndim != 1:
        node.refuse(f"scales of {v.ndim} dimensions without block_size")
    return v.reshape([-1 if i == axis else 1 for i in range(x.ndim)])


@onnx_op("QuantizeLinear", since=10)
def _quantize_linear(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    if node.attr("output_dtype", 0) and zero is None:
        from pappus.export.onnx.reader import dtype_of

        kind = dtype_of(node.attr("output_dtype"))
    else:
        kind = pp.uint8 if zero is None else zero.dtype
    if kind not in (pp.uint8, pp.int8, pp.uint16, pp.int16):
        node.refuse(f"quantizing to {kind}")
    limits = pp.iinfo(kind)
    wide = x.float() if not x.dtype.is_floating_point or x.dtype in (pp.float16, pp.bfloat16) else x
    moved = pp.round(wide / _spread(node, scale.to(wide.dtype), x))
    if zero is not None:
        moved = moved + _spread(node, zero.to(wide.dtype), x)
    return pp.clamp(moved, limits.min, limits.max).to(kind)


@onnx_op("DequantizeLinear", since=10)
def _dequantize_linear(node: Node, x: Any, scale: Any, zero: Any = None) -> Any:
    number = x.to(pp.float32)
    if zero is not None:
        number = number - _spread(node, zero.to(pp.float32), x)
    return (number * _spread(node, scale.float(), x)).to(scale.dtype)


@onnx_op("MatMulInteger", since=10)
def _matmul_integer(node: Node, a: Any, b: Any, a_zero: Any = None, b_zero: Any = None) -> Any:
    a, b = a.to(pp.int32), b.to(pp.int32)
    if a_zero is not None:
        z = a_zero.to(pp.int32)
        a = a - (z.unsqueeze(-1) if z.ndim == 1 and a.ndim > 1 and z.shape[0] != 1 else z)
    if b_zero is not None:
        b = b - b_zero.to(pp.int32)
    return pp.matmul(a, b)


@onnx_op("DynamicQuantizeLinear", since=11)
def _dynamic_quantize_linear(node: Node, x: Any) -> Any:
    low, high = pp.clamp(pp.amin(x), max=0), pp.clamp(pp.amax(x), min=0)
    scale = (high - low) / 255
    scale_or_one = pp.where(scale == 0, pp.ones_like(scale), scale)
    zero = pp.clamp(pp.round(-low / scale_or_one), 0, 255)
    return pp.clamp(pp.round(x / scale_or_one) + zero, 0, 255).to(pp.uint8), scale, zero.to(pp.uint8)


@onnx_op("QLinearMatMul", since=10)
def _qlinear_matmul(
    node: Node, a: Any, a_scale: Any, a_zero: Any, b: Any, b_scale: Any, b_zero: Any, y_scale: Any, y_zero: Any
) -> Any:
    if any(v.ndim and v.numel() != 1 for v in (a_scale, b_scale, y_scale, a_zero, b_zero, y_zero)):
        node.refuse("scales by row or column")
    if y_zero.dtype is not pp.uint8:
        node.refuse(f"a result of {y_zero.dtype}")
    product = pp.matmul((a.to(pp.int32) - a_zero.to(pp.int32)), (b.to(pp.int32) - b_zero.to(pp.int32)))
    scale = a_scale.float() * b_scale.float() / y_scale.float()
    limits = pp.iinfo(y_zero.dtype)
    moved = pp.round(product.float() * scale) + y_zero.float()
    return pp.clamp(moved, limits.min, limits.max).to(y_zero.dtype)
