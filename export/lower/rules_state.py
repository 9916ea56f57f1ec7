"""State: reads are views of the state's memory; writes happen in place when no later read needs the old value."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.lower import layout
from pappus.export.lower.fuse import Unit
from pappus.export.lower.memory import Memory, dense_bytes, dense_strides, is_one, same_strides
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.export.pointwise import OPERATORS, compile_program
from pappus.frontend import dtypes
from pappus.frontend.ops.shape import slice_range
from pappus.frontend.symbolic import Size, is_symbolic, same_size

# Operators that write a part of their first operand.
_UPDATES = {"slice_update", "slice_scatter", "index_put"}


def roots(graph: Graph) -> dict[Value, Value]:
    """For every view the value whose memory it shows."""
    found: dict[Value, Value] = {}
    for node in graph.nodes:
        for value in node.outputs:
            found[value] = found.get(node.inputs[0], node.inputs[0]) if layout.is_view(value) else value
    return found


def _state_memory(m: MethodLowering, name: str) -> Memory:
    if name not in m.state_memory:
        info = m.graph.states[name]
        size = dense_bytes(info.shape, info.dtype)
        buffer = m.buffer("STATE", size, name, m.state_index[name])
        m.state_memory[name] = Memory(buffer, 0, dense_strides(info.shape))
    return m.state_memory[name]


def place_states(m: MethodLowering) -> None:
    """Before lowering: decide which new state values may be computed where the state lies.

    The unit that computes the new value must be the last reader of the old one, and may itself read it only element by
    element (a pointwise group) or as the tensor it updates a part of.
    """
    root = roots(m.graph)
    order = {node: i for i, unit in enumerate(m.units) for node in unit.nodes}
    for unit in m.units:
        node = unit.node
        if node is None or node.op != "state_write":
            continue
        name, final = node.attrs["name"], node.inputs[0]
        producer = next((u for u in m.units if final in u.results), None)
        if producer is None or final in m.placed or layout.is_view(final) or final in m.channels_last:
            continue
        if producer.node is not None and producer.node.op == "state_read":
            continue
        old = next(
            (
                u.result
                for u in m.units
                if u.node is not None and u.node.op == "state_read" and u.node.attrs["name"] == name
            ),
            None,
        )
        write_at = order[producer.nodes[-1]]
        readers = [
            (order[n], n, v) for n in m.graph.nodes if n.op != "state_write" or n is not node
            for v in n.inputs if old is not None and root.get(v, v) is old and n in order
        ]  # fmt: skip
        if any(old is v for v in m.graph.outputs) or any(
            root.get(v, v) is old for v in m.graph.outputs if old is not None
        ):
            continue
        if any(at > write_at for at, _, _ in readers):
            continue
        same = [(n, v) for at, n, v in readers if at == write_at]
        if all(_elementwise(producer, n, v, old) for n, v in same):
            m.placed[final] = _state_memory(m, name)
            m.in_place_states.add(name)


def _elementwise(unit: Unit, node: object, value: Value, old: Value | None) -> bool:
    if unit.node is None:
        return value is old and all(n.op in OPERATORS for n in unit.nodes)
    return unit.node.op in _UPDATES and not unit.pointwise and value is old and unit.node.args[0] is value


def save_exchanged_states(m: MethodLowering, writes: Sequence[Unit]) -> None:
    """Before the first write: copy new values that are views of a state's memory which a write is about to change."""
    written = {w.node.attrs["name"] for w in writes if w.node is not None}
    changed = {m.state_memory[name].buffer for name in written if name in m.state_memory}
    for write in writes:
        m.unit = write
        assert write.node is not None
        name, final = write.node.attrs["name"], write.node.inputs[0]
        source, own = m.view(final), _state_memory(m, name)
        assert source.memory is not None
        if source.memory.buffer not in changed:
            continue
        mine = source.memory.buffer is own.buffer
        if (
            mine
            and same_size(source.memory.offset, 0)
            and same_strides(source.shape, source.memory.strides, own.strides)
        ):
            continue
        kept = m.temporary(final.name, final.dtype, final.shape)
        m.move(source, kept, f"new value of state {name}, which lies in a state that changes")
        m.views[final] = kept


@rule("state_read")
def state_read(m: MethodLowering, unit: Unit) -> None:
    """The state's memory is the value."""
    assert unit.node is not None
    value = unit.result
    m.views[value] = m.value(value.name, value.dtype, value.shape, _state_memory(m, unit.node.attrs["name"]))


@rule("state_write")
def state_write(m: MethodLowering, unit: Unit) -> None:
    """Nothing if the value was computed in place, else a copy at the end of the method."""
    assert unit.node is not None
    name, final = unit.node.attrs["name"], unit.node.inputs[0]
    memory = _state_memory(m, name)
    source = m.view(final)
    if source.memory is not None and source.memory.buffer is memory.buffer:
        m.notes.in_place.append(f"state {name}")
        return
    target = m.value(name, final.dtype, final.shape, memory)
    m.notes.copies.append(f"state {name}: its old value is still needed where the new one is computed")
    m.move(source, target, f"new value of state {name}")


def _updated(m: MethodLowering, unit: Unit, why: str) -> Value:
    """The unit's result holding its first operand: in place where `place_states` allowed it, else a copy."""
    node = unit.node
    assert node is not None
    source, result = m.view(node.inputs[0]), m.result(unit.result)
    if not _same_place(source, result):
        m.move(source, result, f"{why} of a tensor that is still needed")
    return result


def _same_place(a: Value, b: Value) -> bool:
    """Whether two views are the same elements: one buffer is not enough, it may hold parts of a concatenation."""
    left, right = a.memory, b.memory
    assert left is not None and right is not None
    return (
        left.buffer is right.buffer
        and same_size(left.offset, right.offset)
        and same_strides(a.shape, left.strides, right.strides)
    )


@rule("slice_update")
def slice_update(m: MethodLowering, unit: Unit) -> None:
    """A part of a tensor at a position given by a tensor -> UPDATE, in place in a state where allowed."""
    node = unit.node
    assert node is not None
    base, part, start = node.inputs
    axis = int(node.attrs["dim"]) % len(base.shape)
    source, position = m.view(part), m.cast(m.view(start), dtypes.int64)
    m.emit("UPDATE", [source, position], [_updated(m, unit, "slice_update")], (axis,))


@rule("index_put")
def index_put(m: MethodLowering, unit: Unit) -> None:
    """`x[..., i, ...] = values` with one index of one element -> UPDATE of a slice of size 1."""
    node = unit.node
    assert node is not None
    base, indices, values = node.args
    assert isinstance(base, Value) and isinstance(indices, tuple) and isinstance(values, Value)
    present = [(axis, i) for axis, i in enumerate(indices) if i is not None]
    if len(present) != 1 or not all(map(is_one, present[0][1].shape)):
        raise Unsupported(
            "writing by index has a kernel for one position on one axis only: x[:, i] = y with an i of one element"
        )
    if node.attrs.get("accumulate"):
        raise Unsupported("index_put that accumulates has no kernel yet")
    axis, index = present[0]
    # The indexed shape is base's with the axis replaced by the index's dimensions, all of size 1.
    slot = (*base.shape[:axis], *index.shape, *base.shape[axis + 1 :])
    part = m.reshape(
        m.expand(m.cast(m.view(values), base.dtype), slot), (*base.shape[:axis], 1, *base.shape[axis + 1 :])
    )
    m.emit("UPDATE", [part, _position(m, index, base.shape[axis])], [_updated(m, unit, "index_put")], (axis,))


def _position(m: MethodLowering, index: Value, size: Size) -> Value:
    """An index of one element as an int64 of rank 0, negative ones counted from the end."""
    source = m.cast(m.view(index), dtypes.int64)
    source = m.alias(source, (), ())
    if is_symbolic(size):
        return source  # a negative position is refused while running
    x, n = Value("x", dtypes.int64, ()), Value("n", dtypes.int64, (), constant=np.array(size))
    zero = Value("zero", dtypes.int64, (), constant=np.array(0))
    low, high = Value("low", dtypes.bool_, ()), Value("high", dtypes.int64, ())
    nodes = [
        Node("lt", (x, zero), {}, [low]), Node("add", (x, n), {}, [high]),
        Node("where", (low, high, x), {}, [Value("y", dtypes.int64, ())]),
    ]  # fmt: skip
    target = m.temporary("position", dtypes.int64, ())
    m.emit("POINTWISE", [], [target], program=compile_program(nodes, nodes[-1].outputs).program, operands=[source])
    return target


@rule("slice_scatter")
def slice_scatter(m: MethodLowering, unit: Unit) -> None:
    """A copy with one slice replaced."""
    node = unit.node
    assert node is not None
    base, part = node.inputs
    result = _updated(m, unit, "slice_scatter")
    axis = int(node.attrs["dim"]) % len(base.shape)
    step = node.attrs.get("step") or 1
    start, _ = slice_range(base.shape[axis], node.attrs.get("start"), node.attrs.get("end"), step)
    strides = list(m.strides(result))
    offset = start * strides[axis]
    strides[axis] = strides[axis] * step
    m.move(m.expand(m.view(part), part.shape), m.alias(result, part.shape, strides, offset), "slice_scatter")
