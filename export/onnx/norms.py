"""ONNX operators that normalize."""

from __future__ import annotations

from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op

F = pp.nn.functional


def _per_channel(v: Any, rank: int) -> Any:
    return v.reshape((1, -1) + (1,) * (rank - 2))


@onnx_op("BatchNormalization")
def _batch_normalization(node: Node, x: Any, scale: Any, bias: Any, mean: Any, var: Any) -> Any:
    if node.attr("training_mode", 0) or (node.opset < 14 and any(node.wants(i) for i in range(1, 5))):
        node.refuse("training")
    if node.opset < 9 and node.attr("spatial", 1) == 0:
        node.refuse("spatial=0")
    if node.opset < 7 and node.attr("is_test", 0) == 0:
        node.refuse("is_test=0 (opset 6)")
    eps = node.attr("epsilon", 1e-5)
    if x.ndim > 1 and all(v.dtype is x.dtype for v in (scale, bias, mean, var)):
        return F.batch_norm(x, mean, var, scale, bias, False, 0.0, eps)
    s, b, m, v = (_per_channel(t, x.ndim) for t in (scale, bias, mean, var))
    return ((x - m) / pp.sqrt(v + eps) * s + b).to(x.dtype)


@onnx_op("InstanceNormalization")
def _instance_normalization(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    return F.instance_norm(x, None, None, scale, bias, eps=node.attr("epsilon", 1e-5))


@onnx_op("LayerNormalization", since=17)
def _layer_normalization(node: Node, x: Any, scale: Any, bias: Any = None) -> Any:
    axis = node.attr("axis", -1) % x.ndim
    eps = node.attr("epsilon", 1e-5)
    tail = tuple(x.shape[axis:])
    fixed = all(isinstance(s, int) for s in tail)
    if not node.wants(1) and not node.wants(2) and fixed and tuple(scale.shape) == tail and (
        bias is None or tuple(bias.shape) == tail
    ):
        return F.layer_norm(x, tail, scale, bias, eps)
    axes = list(range(axis, x.ndim))
    wide = x.float() if x.dtype in (pp.float16, pp.bfloat16) else x
    mean = wide.mean(axes, True)
    centred = wide - mean
    inverse = 1.0 / pp.sqrt((centred * centred).mean(axes, True) + eps)
    y = (centred * inverse).to(x.dtype) * scale
    return (y if bias is None else y + bias), mean, inverse


@onnx_op("GroupNormalization", since=21)
def _group_normalization(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    return F.group_norm(x, node.attr("num_groups"), scale, bias, node.attr("epsilon", 1e-5))


@onnx_op("GroupNormalization", since=18)
def _group_normalization_18(node: Node, x: Any, scale: Any, bias: Any) -> Any:
    """Scale and bias are per group there."""
    groups = node.attr("num_groups")
    each = int(x.shape[1]) // groups
    scale, bias = (v.reshape((-1, 1)).expand((groups, each)).reshape((-1,)) for v in (scale, bias))
    return F.group_norm(x, groups, scale, bias, node.attr("epsilon", 1e-5))


@onnx_op("LRN")
def _local_response(node: Node, x: Any) -> Any:
    size = node.attr("size")
    alpha, beta, bias = node.attr("alpha", 1e-4), node.attr("beta", 0.75), node.attr("bias", 1.0)
    before = (size - 1) // 2
    square = pp.constant_pad_nd(x * x, [0, 0] * (x.ndim - 2) + [before, size - 1 - before], 0)
    total = square.narrow(1, 0, x.shape[1])
    for i in range(1, size):
        total = total + square.narrow(1, i, x.shape[1])
    return x / pp.pow(bias + alpha / size * total, beta)


@onnx_op("MeanVarianceNormalization", since=9)
def _mean_variance(node: Node, x: Any) -> Any:
    axes = node.attr("axes", [0, 2, 3])
    centred = x - x.mean(axes, True)
    return centred / (pp.sqrt((centred * centred).mean(axes, True)) + 1e-9)
