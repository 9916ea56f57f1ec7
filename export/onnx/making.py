"""ONNX operators that make tensors from sizes."""

from __future__ import annotations

from typing import Any

import numpy as np

import pappus as pp
from pappus.export.onnx.reader import dtype_of
from pappus.export.onnx.table import Node, onnx_op
from pappus.frontend import dtypes


@onnx_op("ConstantOfShape", since=9, host=(0,))
def _constant_of_shape(node: Node, shape: Any) -> Any:
    value = np.asarray(node.attr("value", np.zeros(1, np.float32))).reshape(-1)
    return pp.full(tuple(shape.tolist()), value[0].item(), dtype=dtypes.from_numpy_dtype(value.dtype))


@onnx_op("Range", since=11, host=(0, 1, 2))
def _value_range(node: Node, start: Any, limit: Any, step: Any) -> Any:
    kinds = {v.dtype for v in (start, limit, step)} - {np.dtype(object)}
    dtype = dtypes.from_numpy_dtype(kinds.pop()) if kinds else dtypes.int64
    first, last, each = (v.reshape(-1)[0] for v in (start, limit, step))
    first, last, each = (v.item() if isinstance(v, np.generic) else v for v in (first, last, each))
    return pp.arange(first, last, each, dtype=dtype)


@onnx_op("EyeLike", since=9)
def _eye_like(node: Node, x: Any) -> Any:
    dtype = dtype_of(node.attr("dtype")) if node.attr("dtype") else x.dtype
    rows = pp.arange(x.shape[0], dtype=pp.int64).reshape((-1, 1))
    columns = pp.arange(x.shape[1], dtype=pp.int64).reshape((1, -1))
    return pp.eq(columns - rows, node.attr("k", 0)).to(dtype)


@onnx_op("RandomNormal", "RandomUniform", "RandomNormalLike", "RandomUniformLike")
def _random(node: Node, x: Any = None) -> Any:
    """Numbers of Pappus' generator: what a `seed` gives is defined nowhere."""
    shape = node.attr("shape") if x is None else list(x.shape)
    dtype = dtype_of(node.attr("dtype")) if node.attr("dtype") else dtypes.float32 if x is None else x.dtype
    if "Normal" in node.op_type:
        return pp.randn(shape, dtype=dtype) * node.attr("scale", 1.0) + node.attr("mean", 0.0)
    low, high = node.attr("low", 0.0), node.attr("high", 1.0)
    return pp.rand(shape, dtype=dtype) * (high - low) + low
