"""Shape arithmetic in Python: what ONNX writes as Shape, Gather, Concat ... and what must not become operators.

`Sizes` holds integers that are known while the graph is built: plain ones, and symbolic ones under capture. A node all
of whose operands are Sizes or constants, at least one of them Sizes, is computed here on numpy arrays of objects.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

import pappus as pp
from pappus.export.onnx.reader import dtype_of
from pappus.export.onnx.table import Node
from pappus.frontend import dtypes
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.symbolic import SymbolicArray, SymInt, sym_max, sym_min
from pappus.frontend.tensor import Tensor

Array = np.ndarray[Any, Any]
_LONGEST = 64  # longer arrays of integers are data, not shapes


class Sizes:
    """An array of integers and SymInts of at most one dimension, of type int64, int32 or bool."""

    def __init__(self, values: Any, dtype: Any = dtypes.int64) -> None:
        array = np.empty(np.shape(values), object)
        array[...] = values
        self.array, self.dtype = array, dtype

    def tensor(self) -> Tensor:
        """The same as a tensor; symbolic sizes become numbers that the program computes."""
        flat = self.array.reshape(-1).tolist()
        if not any(isinstance(v, SymInt) for v in flat):
            made: Tensor = pp.tensor(np.array(flat, self.dtype.numpy).reshape(self.array.shape))
            return made
        one = pp.ones((), dtype=self.dtype)
        made = pp.stack([one * v for v in flat]).reshape(self.array.shape)
        return made


def host_array(value: Any) -> Array | None:
    """A value as a numpy array, read while the graph is built; raises CaptureError where it is not known then."""
    if value is None:
        return None
    if isinstance(value, Sizes):
        return value.array
    if isinstance(value._data, SymbolicArray):
        return np.asarray(value.numpy())
    return np.asarray(value._data)


def fold(node: Node, operands: list[Any]) -> Sizes | None:
    """The result of shape arithmetic, or None where the node has to run as an operator."""
    rule = _FOLDS.get(node.op_type)
    if rule is None or node.domain:
        return None
    if node.op_type != "ConstantOfShape" and not any(isinstance(v, Sizes) for v in operands):
        return None
    arrays: list[Array | None] = []
    for value in operands:
        if isinstance(value, Sizes):
            arrays.append(value.array)
        elif value is None:
            arrays.append(None)
        elif not _is_short_constant(value):
            return None
        else:
            arrays.append(np.asarray(value._data).astype(object))
    made = rule(node, *arrays)
    if made is None:
        return None
    if isinstance(made, Sizes):
        return made
    made = np.asarray(made, object)
    dtype = operands[1 if node.op_type == "Where" else 0].dtype
    return Sizes(made, dtype) if made.ndim <= 1 and made.size <= _LONGEST else None


def _is_short_constant(value: Tensor) -> bool:
    if isinstance(value._data, SymbolicArray) or value.ndim > 1 or value.numel() > _LONGEST:
        return False
    return value.dtype in (dtypes.int64, dtypes.int32, dtypes.bool_)


def _elementwise(function: Callable[..., Any]) -> Callable[..., Array]:
    ufunc = np.frompyfunc(function, 2, 1)
    return lambda node, a, b: np.asarray(ufunc(a, b), object)


def _truncated(a: Any, b: Any) -> Any:
    if isinstance(a, int) and isinstance(b, int):
        return abs(a) // abs(b) * (1 if (a >= 0) == (b >= 0) else -1)
    low = min(v.bounds()[0] if isinstance(v, SymInt) else v for v in (a, b))
    if low < 0:
        raise UnsupportedError(f"{a} / {b}: the division of sizes that may be negative cannot be captured")
    return a // b


def _gather(node: Node, data: Array, index: Array) -> Array | None:
    if node.attr("axis", 0) % max(data.ndim, 1):
        return None
    return np.asarray(data[index.astype(np.int64)], object)


def _slice(node: Node, data: Array, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
    starts = node.attr("starts") if starts is None else starts.tolist()
    ends = node.attr("ends") if ends is None else ends.tolist()
    if data.ndim != 1 or len(starts) != 1 or any(isinstance(v, SymInt) for v in (*starts, *ends)):
        return None
    return data[slice(int(starts[0]), int(ends[0]), 1 if steps is None else int(steps[0]))] if (
        steps is None or steps[0] > 0
    ) else None


def _axes(node: Node, axes: Array | None) -> list[int] | None:
    found = node.attr("axes") if axes is None else [int(a) for a in axes.reshape(-1)]
    return None if found is None else [int(a) for a in found]


def _unsqueeze(node: Node, data: Array, axes: Array | None = None) -> Array | None:
    found = _axes(node, axes)
    return data.reshape(1) if data.ndim == 0 and found in ([0], [-1]) else None


def _squeeze(node: Node, data: Array, axes: Array | None = None) -> Array | None:
    return data.reshape(()) if data.shape == (1,) else None


def _reshape(node: Node, data: Array, shape: Array) -> Array | None:
    target = [int(s) for s in shape]
    return data.reshape(target) if len(target) <= 1 and 0 not in target else None


def _cast(node: Node, data: Array) -> Sizes | None:
    dtype = dtype_of(node.attr("to"))
    return Sizes(data, dtype) if dtype in (dtypes.int64, dtypes.int32) else None


def _equal(node: Node, a: Array, b: Array) -> Sizes:
    return Sizes(np.frompyfunc(lambda x, y: bool(x == y), 2, 1)(a, b), dtypes.bool_)


def _where(node: Node, condition: Array, a: Array, b: Array) -> Array:
    return np.asarray(np.where(condition.astype(bool), a, b), object)


def _constant_of_shape(node: Node, shape: Array) -> Sizes | None:
    value = node.attr("value", np.zeros(1, np.float32))
    if value.dtype not in (np.int64, np.int32) or shape.ndim != 1 or len(shape) > 1:
        return None
    if any(isinstance(v, SymInt) for v in shape) or np.prod(shape.astype(np.int64)) > _LONGEST:
        return None
    return Sizes(np.full(shape.astype(np.int64), int(value.reshape(-1)[0]), object),
                 dtypes.int64 if value.dtype == np.int64 else dtypes.int32)  # fmt: skip


def _product(node: Node, data: Array, axes: Array | None = None) -> Array | None:
    if data.ndim != 1:
        return None
    total: Any = 1
    for value in data:
        total = total * value
    kept = np.empty((1,) if node.attr("keepdims", 1) else (), object)
    kept[...] = total
    return kept


def _concat(node: Node, *parts: Any) -> Array | None:
    return np.concatenate(parts) if all(p is not None and p.ndim == 1 for p in parts) else None


_FOLDS: dict[str, Callable[..., Any]] = {
    "Add": _elementwise(lambda a, b: a + b),
    "Sub": _elementwise(lambda a, b: a - b),
    "Mul": _elementwise(lambda a, b: a * b),
    "Div": _elementwise(_truncated),
    "Max": _elementwise(sym_max),
    "Min": _elementwise(sym_min),
    "Identity": lambda node, a: a,
    "Neg": lambda node, a: -a,
    "Gather": _gather,
    "Slice": _slice,
    "Concat": _concat,
    "Unsqueeze": _unsqueeze,
    "Squeeze": _squeeze,
    "Reshape": _reshape,
    "Cast": _cast,
    "Equal": _equal,
    "Where": _where,
    "ConstantOfShape": _constant_of_shape,
    "ReduceProd": _product,
}


def shape_of(node: Node, x: Any) -> Sizes | None:
    """What Shape and Size return."""
    shape = x.array.shape if isinstance(x, Sizes) else tuple(x.shape)
    if node.op_type == "Size":
        total: Any = 1
        for size in shape:
            total = total * size
        return Sizes(total)
    return Sizes(list(shape[slice(node.attr("start", 0), node.attr("end"))]))
