"""Views (metadata only), concatenation and padding."""

from __future__ import annotations

from pappus.export.ir.graph import Value
from pappus.export.lower import layout
from pappus.export.lower.fuse import Unit
from pappus.export.lower.memory import Memory
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.frontend.ops.shape import slice_range
from pappus.frontend.symbolic import Size, is_symbolic, same_size

VIEW_OPS = {"view", "permute", "expand", "slice"}


def lower_view(m: MethodLowering, value: Value) -> Value:
    """The kernel value of a view operator's result: another shape, stride and offset on its operand's memory."""
    node = value.producer
    assert node is not None
    base = m.view(node.inputs[0])
    strides = m.strides(base)
    if node.op == "view":
        return m.reshape(base, value.shape)
    if node.op == "permute":
        dims = [d % len(base.shape) for d in node.attrs["dims"]]
        return m.alias(base, value.shape, [strides[d] for d in dims])
    if node.op == "expand":
        return m.expand(base, value.shape)
    if node.op == "slice":
        axis = int(node.attrs["dim"]) % len(base.shape)
        step = node.attrs.get("step") or 1
        start, _ = slice_range(base.shape[axis], node.attrs.get("start"), node.attrs.get("end"), step)
        new = list(strides)
        new[axis] = strides[axis] * step
        return m.alias(base, value.shape, new, start * strides[axis])
    raise Unsupported(f"the view operator {node.op} has no lowering")


@rule("cat")
def cat(m: MethodLowering, unit: Unit) -> None:
    """Every operand is computed into its part of the result where it can be, else moved there."""
    node = unit.node
    assert node is not None
    result = m.views.get(unit.result) or m.result(unit.result)
    axis = int(node.attrs["dim"]) % len(result.shape)
    start: Size = 0
    for value in node.inputs:
        target = part_of(m, result, value, axis, start)
        start = start + value.shape[axis]
        placed, memory = m.placed.get(value), target.memory
        assert memory is not None
        if placed is not None and placed.buffer is memory.buffer and same_size(placed.offset, memory.offset):
            continue  # computed where it belongs (one that occurs twice is copied the second time)
        m.move(m.cast(m.view(value), unit.result.dtype), target, "concatenation")


def part_of(m: MethodLowering, result: Value, part: Value, axis: int, start: Size) -> Value:
    """The slice of a concatenation's result that `part` occupies."""
    strides = m.strides(result)
    return m.alias(result, part.shape, strides, start * strides[axis])


def place_concatenations(m: MethodLowering) -> None:
    """Before lowering: let operands of `cat` be written where the result lies.

    An operand qualifies if an instruction computes it, it has the result's dtype and layout, and nothing else placed
    it.
    """
    produced = {v for u in m.units for v in u.results}
    for unit in reversed(m.units):
        node = unit.node
        if node is None or node.op != "cat":
            continue
        result = m.result(unit.result)
        axis = int(node.attrs["dim"]) % len(result.shape)
        start: Size = 0
        seen: set[Value] = set()
        for value in node.inputs:
            memory = part_of(m, result, value, axis, start).memory
            start = start + value.shape[axis]
            computed = value in produced and not layout.is_view(value) and value.producer is not None
            computed = computed and value.producer is not None and value.producer.op not in ("state_read", "cat")
            same = value.dtype is unit.result.dtype and (value in m.channels_last) == (unit.result in m.channels_last)
            if computed and same and value not in m.placed and value not in seen:
                assert isinstance(memory, Memory)
                m.placed[value] = memory
            seen.add(value)


@rule("constant_pad_nd")
def constant_pad_nd(m: MethodLowering, unit: Unit) -> None:
    """Fill, then copy the operand into the middle (a negative amount crops)."""
    node = unit.node
    assert node is not None
    x = node.inputs[0]
    source, result = m.view(x), m.result(unit.result)
    strides, source_strides = m.strides(result), m.strides(source)
    amounts = [int(a) if not is_symbolic(a) else a for a in node.attrs["pad"]]
    shape = list(x.shape)
    offset: Size = 0
    source_offset: Size = 0
    for i in range(len(amounts) // 2):
        axis = len(shape) - 1 - i
        for amount, before in ((amounts[2 * i], True), (amounts[2 * i + 1], False)):
            if not is_symbolic(amount) and amount < 0:
                shape[axis] = shape[axis] + amount
                source_offset = source_offset - (amount * source_strides[axis] if before else 0)
            elif before:
                offset = offset + amount * strides[axis]
    m.fill(result, node.attrs.get("value") or 0)
    inner = m.alias(source, shape, source_strides, source_offset)
    m.move(inner, m.alias(result, shape, strides, offset), "padding")
