"""Reading by index -> GATHER."""

from __future__ import annotations

import numpy as np

from pappus.export.ir.graph import Node, Value
from pappus.export.lower.fuse import Unit
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.export.pointwise import compile_program
from pappus.frontend import dtypes

_SELECT, _ELEMENTS = 0, 1


def _index(m: MethodLowering, value: Value) -> Value:
    if value.dtype.name not in ("int32", "int64"):
        if value.dtype is dtypes.bool_ or value.dtype.is_floating_point:
            raise Unsupported(f"indexing with {value.dtype.name} is not supported; use int64 indices")
        return m.cast(m.view(value), dtypes.int64)
    return m.view(value)


@rule("embedding")
def embedding(m: MethodLowering, unit: Unit) -> None:
    """Rows of a table."""
    assert unit.node is not None
    table, index = unit.node.inputs
    m.emit("GATHER", [m.view(table), _index(m, index)], [m.result(unit.result)], (_SELECT, 0))


@rule("index_select")
def index_select(m: MethodLowering, unit: Unit) -> None:
    """Slices along one axis."""
    assert unit.node is not None
    x, index = unit.node.inputs
    axis = int(unit.node.attrs["dim"]) % len(x.shape)
    m.emit("GATHER", [m.view(x), _index(m, index)], [m.result(unit.result)], (_SELECT, axis))


@rule("gather")
def gather(m: MethodLowering, unit: Unit) -> None:
    """One element per index."""
    assert unit.node is not None
    x, index = unit.node.inputs
    axis = int(unit.node.attrs["dim"]) % max(len(x.shape), 1)
    source = m.view(x)
    picked = _index(m, index)
    # The kernel reads x only below index's size on the other axes, as the operator does.
    m.emit("GATHER", [source, picked], [m.result(unit.result)], (_ELEMENTS, axis))


@rule("index")
def index(m: MethodLowering, unit: Unit) -> None:
    """`x[i]` with one index tensor on one axis."""
    node = unit.node
    assert node is not None
    x, indices = node.args[0], node.args[1]
    assert isinstance(x, Value) and isinstance(indices, tuple)
    present = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(present) != 1:
        raise Unsupported("indexing with several index tensors at once is not supported yet; index one axis at a time")
    axis, picked = present[0]
    m.emit("GATHER", [m.view(x), _index(m, picked)], [m.result(unit.result)], (_SELECT, axis))


@rule("flip")
def flip(m: MethodLowering, unit: Unit) -> None:
    """Each axis by a gather with descending indices."""
    node = unit.node
    assert node is not None
    current = m.view(node.inputs[0])
    dims = sorted({d % len(current.shape) for d in node.attrs["dims"]})
    if not dims:
        m.move(current, m.result(unit.result), "flip of no axis")
        return
    for i, axis in enumerate(dims):
        size = current.shape[axis]
        numbers = m.temporary("flip_index", dtypes.int64, (size,))
        arange = Node("arange", (), {"start": 0, "step": -1}, [Value("i", dtypes.int64, (size,))])
        m.emit("POINTWISE", [], [numbers], program=compile_program([arange], arange.outputs).program)
        # Index -k counts from the end; -0 is the first element, so shift by one: -(k+1).
        target = m.result(unit.result) if i == len(dims) - 1 else m.temporary("flip", current.dtype, current.shape)
        shifted = m.temporary("flip_index", dtypes.int64, (size,))
        value = Value("i", dtypes.int64, (size,))
        one = Value("one", dtypes.int64, (), constant=np.array(1))
        minus = Node("sub", (value, one), {}, [Value("j", dtypes.int64, (size,))])
        m.emit("POINTWISE", [], [shifted], program=compile_program([minus], minus.outputs).program, operands=[numbers])
        m.emit("GATHER", [current, shifted], [target], (_SELECT, axis))
        current = target
