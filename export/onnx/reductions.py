"""ONNX operators that reduce along axes, softmax and its kin, the largest elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op
from pappus.frontend.errors import UnsupportedError


def _mean(x: Any, axes: list[int], keep: bool) -> Any:
    return pp.mean(x, axes, keep) if x.dtype.is_floating_point else pp.mean(x.double(), axes, keep).to(x.dtype)


def _sum(x: Any, axes: list[int], keep: bool) -> Any:
    return pp.sum(x, axes, keep, dtype=x.dtype)


def _prod(x: Any, axes: list[int], keep: bool) -> Any:
    for axis in sorted(axes, reverse=True):
        x = pp.prod(x, axis, keep, dtype=x.dtype)
    return x


def _real(x: Any, function: Callable[[Any], Any]) -> Any:
    """Roots and logarithms of whole numbers, cut to whole numbers again."""
    return function(x) if x.dtype.is_floating_point else function(x.double()).to(x.dtype)


def _log_sum_exp(x: Any, axes: list[int], keep: bool) -> Any:
    if not x.dtype.is_floating_point:
        raise UnsupportedError("ReduceLogSumExp of integers is not supported by the ONNX importer")
    return pp.logsumexp(x, axes, keep)


def _extreme(reduce: Callable[..., Any], sign: int) -> Callable[..., Any]:
    def run(x: Any, axes: list[int], keep: bool) -> Any:
        if any(isinstance(x.shape[a], int) and x.shape[a] == 0 for a in axes) and x.dtype.is_floating_point:
            return pp.sum(x, axes, keep, dtype=x.dtype) + sign * float("inf")  # of nothing: the identity
        return reduce(x.to(pp.uint8), axes, keep).to(pp.bool) if x.dtype is pp.bool else reduce(x, axes, keep)

    return run


_REDUCE: dict[str, Callable[..., Any]] = {
    "ReduceSum": _sum,
    "ReduceMean": _mean,
    "ReduceProd": _prod,
    "ReduceMax": _extreme(pp.amax, -1),
    "ReduceMin": _extreme(pp.amin, 1),
    "ReduceL1": lambda x, axes, keep: _sum(pp.abs(x), axes, keep),
    "ReduceL2": lambda x, axes, keep: _real(_sum(x * x, axes, keep), pp.sqrt),
    "ReduceSumSquare": lambda x, axes, keep: _sum(x * x, axes, keep),
    "ReduceLogSum": lambda x, axes, keep: _real(_sum(x, axes, keep), pp.log),
    "ReduceLogSumExp": _log_sum_exp,
}


@onnx_op(*_REDUCE, host=(1,))
def _reduce(node: Node, x: Any, axes: Any = None) -> Any:
    found = node.attr("axes") if axes is None else [int(a) for a in axes.reshape(-1)]
    if not found and node.attr("noop_with_empty_axes", 0):
        return _elementwise(node, x)
    found = list(found) if found else list(range(x.ndim))
    return _REDUCE[node.op_type](x, found, bool(node.attr("keepdims", 1))) if found else _elementwise(node, x)


def _elementwise(node: Node, x: Any) -> Any:
    """A reduction over no axis: each element is its own group."""
    steps: dict[str, Callable[[Any], Any]] = {
        "ReduceL1": pp.abs, "ReduceL2": pp.abs, "ReduceSumSquare": lambda v: v * v,
        "ReduceLogSum": lambda v: _real(v, pp.log),
    }  # fmt: skip
    return steps.get(node.op_type, lambda v: v)(x)


@onnx_op("ArgMax", "ArgMin")
def _arg_extreme(node: Node, x: Any) -> Any:
    axis, keep = node.attr("axis", 0), bool(node.attr("keepdims", 1))
    function = pp.argmax if node.op_type == "ArgMax" else pp.argmin
    if not node.attr("select_last_index", 0):
        return function(x, axis, keep)
    return x.shape[axis] - 1 - function(pp.flip(x, [axis]), axis, keep)


def _softmax(node: Node, x: Any, axis: int) -> Any:
    if node.op_type == "Softmax":
        return pp.softmax(x, axis)
    if node.op_type == "LogSoftmax":
        return pp.log_softmax(x, axis)
    place = pp.argmax(x, axis, True)
    return pp.zeros_like(x).scatter(axis, place, 1)


@onnx_op("Softmax", "LogSoftmax", "Hardmax")
def _softmax_1(node: Node, x: Any) -> Any:
    """Before opset 13 everything from `axis` on is one row."""
    axis = node.attr("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    if axis == x.ndim - 1:
        return _softmax(node, x, axis)
    return _softmax(node, x.flatten(axis), axis).reshape(x.shape)


@onnx_op("Softmax", "LogSoftmax", "Hardmax", since=13)
def _softmax_op(node: Node, x: Any) -> Any:
    return _softmax(node, x, node.attr("axis", -1))


@onnx_op("TopK")
def _top_k_1(node: Node, x: Any) -> Any:
    return _largest(node, x, node.attr("k"))


@onnx_op("TopK", since=10, host=(1,))
def _top_k(node: Node, x: Any, k: Any) -> Any:
    return _largest(node, x, int(k.reshape(-1)[0]))


def _largest(node: Node, x: Any, count: int) -> Any:
    axis = node.attr("axis", -1)
    order = pp.argsort(x, axis, bool(node.attr("largest", 1)), stable=True)  # ties go to the lower index
    places = order.narrow(axis, 0, count)
    return pp.gather(x, axis, places), places


@onnx_op("LpNormalization")
def _lp_normalization(node: Node, x: Any) -> Any:
    axis = node.attr("axis", -1)
    length = pp.abs(x).sum(axis, True) if node.attr("p", 2) == 1 else pp.sqrt((x * x).sum(axis, True))
    return pp.where(length == 0, pp.zeros_like(x), x / length)
