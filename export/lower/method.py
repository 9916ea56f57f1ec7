"""Lowering of one method: core units become instructions on strided memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.ir.interpret import run_node, to_tensor
from pappus.export.lower import layout
from pappus.export.lower.constants import ConstantPool
from pappus.export.lower.fuse import Unit, not_fused, same_shape
from pappus.export.lower.memory import (
    Buffer,
    Memory,
    channels_last_strides,
    dense_bytes,
    dense_strides,
    is_dense,
    is_one,
    product,
    same_strides,
    view_strides,
)
from pappus.export.pointwise import PwProgram, compile_program, scalar_of
from pappus.frontend.dtypes import DType
from pappus.frontend.symbolic import Size, is_symbolic, same_size


@dataclass
class Epilogue:
    """What runs on a kernel's result before it is stored: native parts, then a program."""

    residual: Value | None = None
    clamp: tuple[float, float] = (-math.inf, math.inf)
    program: PwProgram | None = None
    operands: tuple[Value, ...] = ()


@dataclass
class Notes:
    """What lowering did, for the report."""

    moves: list[str] = field(default_factory=list)
    in_place: list[str] = field(default_factory=list)
    copies: list[str] = field(default_factory=list)
    not_fused: list[str] = field(default_factory=list)


class MethodLowering:
    """Turns the units of one core graph into a kernel graph (`self.kernel`).

    `view(value)` gives a core value as a kernel value (its memory may belong to another value); rules
    call `result` for the memory of what they compute and `emit` for an instruction.
    """

    def __init__(self, graph: Graph, units: list[Unit], pool: ConstantPool, state_index: dict[str, int]) -> None:
        self.graph, self.units, self.pool, self.state_index = graph, units, pool, state_index
        self.kernel = Graph(graph.name, symbols=list(graph.symbols), guards=list(graph.guards))
        self.kernel.states = dict(graph.states)
        self.views: dict[Value, Value] = {}
        self.placed: dict[Value, Memory] = {}
        self.channels_last = layout.channels_last_values(graph, units)
        self.uses = graph.uses()
        self.notes = Notes(not_fused=not_fused(units, self.uses))
        self.buffers: list[Buffer] = []
        self.unit: Unit | None = None
        self.state_memory: dict[str, Memory] = {}
        self.in_place_states: set[str] = set()
        self.lowered: set[Node] = set()  # core nodes whose instructions are emitted

    # -- kernel values --------------------------------------------------------------------------

    def buffer(self, storage: str, size: Size, name: str, index: int = 0) -> Buffer:
        """A new buffer of this method."""
        made = Buffer(storage, size, name, index)
        self.buffers.append(made)
        return made

    def value(self, name: str, dtype: DType, shape: Sequence[Size], memory: Memory) -> Value:
        """A kernel value."""
        return Value(self.kernel.fresh_name(name), dtype, tuple(shape), memory=memory)

    def constant(
        self, name: str, array: np.ndarray[Any, Any], dtype: DType, pack: str = "DENSE", shape: Any = None
    ) -> Value:
        """A constant; `shape` is the logical one of a packed constant."""
        index, buffer = self.pool.add(array, name, pack)
        mine = next((b for b in self.buffers if b.storage == "CONSTANT" and b.index == index), None)
        if mine is None:
            mine = buffer
            self.buffers.append(mine)
        logical = tuple(shape if shape is not None else array.shape)
        strides = dense_strides(logical) if pack == "DENSE" else ()
        return self.value(name, dtype, logical, Memory(mine, 0, strides, pack))

    def constant_of(self, value: Value) -> np.ndarray[Any, Any] | None:
        """The numbers of a constant, or of a view of one; None for everything else."""
        if value.constant is not None:
            return value.constant
        node = value.producer
        if node is None or not layout.is_view(value) or any(is_symbolic(s) for s in value.shape):
            return None
        base = self.constant_of(node.inputs[0])
        if base is None:
            return None
        return run_node(node, [to_tensor(node.inputs[0], base)], lambda s: s.hint)[0]

    def view(self, value: Value) -> Value:
        """A core value as kernel value: constants and views are made on demand."""
        known = self.views.get(value)
        if known is not None:
            return known
        if value.constant is not None:
            made = self.constant(value.name, np.asarray(value.constant, order="C"), value.dtype)
        elif layout.is_view(value):
            from pappus.export.lower.rules_shape import lower_view

            made = lower_view(self, value)
        else:
            raise AssertionError(f"%{value.name} is used before it is lowered")
        self.views[value] = made
        return made

    def alias(self, base: Value, shape: Sequence[Size], strides: Sequence[Size], offset: Size = 0) -> Value:
        """Another view of a kernel value's memory; `offset` in elements from its first element."""
        memory = base.memory
        assert memory is not None
        return self.value(base.name, base.dtype, shape, Memory(memory.buffer, memory.offset + offset, tuple(strides)))

    def strides(self, value: Value) -> tuple[Size, ...]:
        """The strides of a kernel value."""
        assert value.memory is not None
        return value.memory.strides

    def unsqueeze(self, value: Value, axis: int) -> Value:
        """A view with a dimension of size 1 inserted."""
        shape, strides = list(value.shape), list(self.strides(value))
        shape.insert(axis, 1)
        strides.insert(axis, 0)
        return self.alias(value, shape, strides)

    def expand(self, value: Value, shape: Sequence[Size]) -> Value:
        """A view broadcast to `shape` with strides of 0."""
        extra = len(shape) - len(value.shape)
        strides: list[Size] = [0] * extra
        for old, new, stride in zip(value.shape, shape[extra:], self.strides(value), strict=True):
            strides.append(stride if same_size(old, new) and not is_one(new) else 0)
        return self.alias(value, shape, strides)

    def reshape(self, value: Value, shape: Sequence[Size]) -> Value:
        """The same elements in row-major order under another shape; copies if the strides do not allow a view."""
        strides = view_strides(value.shape, self.strides(value), shape)
        if strides is None:
            value = self.dense(value, f"reshape to [{', '.join(map(str, shape))}]")
            strides = dense_strides(shape)
        return self.alias(value, shape, strides)

    def dense(self, value: Value, why: str) -> Value:
        """A row-major copy, unless it already is."""
        if is_dense(value.shape, self.strides(value)):
            return value
        target = self.temporary(value.name, value.dtype, value.shape)
        self.move(value, target, why)
        return target

    def temporary(self, name: str, dtype: DType, shape: Sequence[Size]) -> Value:
        """New row-major arena memory."""
        buffer = self.buffer("ARENA", dense_bytes(shape, dtype), name)
        return self.value(name, dtype, shape, Memory(buffer, 0, dense_strides(shape)))

    def move(self, source: Value, target: Value, why: str) -> None:
        """A strided copy."""
        size = product(source.shape) * source.dtype.itemsize
        self.notes.moves.append(f"{size} bytes: {source.name} ({why})")
        self.emit("MOVE", [source], [target])

    def result(self, value: Value) -> Value:
        """Memory for a core value that is about to be computed: where it was placed, or new arena memory."""
        if value in self.placed:
            memory = self.placed[value]
        elif value in self.channels_last:
            pitch = layout.pixel_pitch(value, self._reader_names(value))
            four = value.shape if len(value.shape) == 4 else (value.shape[0], value.shape[1], 1, value.shape[2])
            strides = channels_last_strides(four, pitch)
            size = four[0] * four[2] * four[3] * pitch * value.dtype.itemsize
            buffer = self.buffer("ARENA", size, value.name)
            memory = Memory(buffer, 0, strides if len(value.shape) == 4 else (strides[0], strides[1], strides[3]))
        else:
            buffer = self.buffer("ARENA", dense_bytes(value.shape, value.dtype), value.name)
            memory = Memory(buffer, 0, layout.strides_for_reader(value, self.uses) or dense_strides(value.shape))
        made = self.value(value.name, value.dtype, value.shape, memory)
        self.views[value] = made
        return made

    def _reader_names(self, value: Value) -> list[str]:
        return [node.op for node in self.uses.get(value, []) if node is not None]

    # -- instructions ---------------------------------------------------------------------------

    def emit(
        self,
        family: str,
        args: Sequence[Value | None],
        results: Sequence[Value],
        attrs: Sequence[Size] = (),
        floats: Sequence[float] = (),
        program: PwProgram | None = None,
        operands: Sequence[Value] = (),
    ) -> Node:
        """Append one instruction to the kernel graph."""
        unit = self.unit
        last = unit.nodes[-1] if unit is not None and unit.nodes else None
        first = unit.nodes[0] if unit is not None and unit.nodes else None
        node = Node(
            f"k.{family.lower()}",
            (tuple(args), tuple(operands)),
            {
                "attrs": tuple(attrs),
                "floats": tuple(floats),
                "program": program,
                "fused": tuple(n.op for n in unit.nodes) if unit is not None else (),
                "core": unit.results[0].name if unit is not None and unit.results else "",
                "final": False,
            },
            list(results),
            first.location if first is not None else "",
            last.module if last is not None else "",
        )
        self.kernel.nodes.append(node)
        return node

    def finish(self, unit: Unit, first: int) -> None:
        """Mark the instruction that completes a unit's result, for the debug map.

        `first` is the number of the unit's first instruction. Helper instructions (copies, casts, indices), which write
        elsewhere, are not called by the operators' names. A result made in parts (concatenation) has no such
        instruction.
        """
        self.lowered.update(unit.nodes)
        if not unit.results:
            return
        made = self.views.get(unit.result)
        for node in self.kernel.nodes[first:]:
            mine = made is not None and any(_same_buffer(r, made) for r in node.outputs)
            if not mine:
                node.attrs["fused"] = ()
        last = next((n for n in reversed(self.kernel.nodes[first:]) if n.attrs["fused"]), None)
        if made is not None and last is not None and len(last.outputs) == 1:
            whole = last.outputs[0]
            assert whole.memory is not None and made.memory is not None
            last.attrs["final"] = same_size(product(whole.shape), product(made.shape)) and same_size(
                whole.memory.offset, made.memory.offset
            )

    def pointwise(self, nodes: Sequence[Node], result: Value) -> None:
        """One pointwise instruction for `nodes` (core), storing the core value `result`."""
        compiled = compile_program(nodes, [result])
        operands = [self.expand(self.view(v), result.shape) for v in compiled.operands]
        target = self._in_place(compiled.operands, operands, result) or self.result(result)
        self.emit("POINTWISE", [], [target], program=compiled.program, operands=operands)

    def _in_place(self, core: Sequence[Value], operands: Sequence[Value], result: Value) -> Value | None:
        """Reuse an operand's memory when nothing reads it afterwards and it looks exactly like the result."""
        if result in self.placed or self.unit is None:
            return None
        for value, operand in zip(core, operands, strict=True):
            memory = operand.memory
            if memory is None or memory.buffer.storage != "ARENA" or layout.is_view(value):
                continue
            wants = result in self.channels_last
            if wants != (value in self.channels_last) or value.dtype.itemsize != result.dtype.itemsize:
                continue
            if value in self.placed or not same_shape(value, result) or not self._is_last_use(memory, operands):
                continue
            made = self.value(result.name, result.dtype, result.shape, memory)
            self.views[result] = made
            self.notes.in_place.append(f"{result.name} over {value.name}")
            return made
        return None

    def _is_last_use(self, memory: Memory, operands: Sequence[Value]) -> bool:
        """Whether the current unit is the last to read anything in a buffer, and reads it nowhere but at `memory`."""
        for operand in operands:
            other = operand.memory
            if other is None or other.buffer is not memory.buffer:
                continue
            if not same_size(other.offset, memory.offset) or not same_strides(
                operand.shape, other.strides, memory.strides
            ):
                return False
        inside = [v for v, m in self.views.items() if m.memory is not None and m.memory.buffer is memory.buffer]
        inside += [v for v, m in self.placed.items() if m.buffer is memory.buffer]  # parts of a concatenation
        return all(self._is_read_out(v) for v in inside)

    def _is_read_out(self, value: Value) -> bool:
        assert self.unit is not None
        for reader in self.uses.get(value, []):
            if reader is None:
                return False
            if reader in self.unit.nodes or reader in self.lowered:
                continue
            if not all(layout.is_view(v) and self._is_read_out(v) for v in reader.outputs):
                return False
        return True

    def cast(self, value: Value, dtype: DType, name: str = "cast") -> Value:
        """A kernel value converted to `dtype` by an instruction of its own, or itself."""
        if value.dtype is dtype:
            return value
        target = self.temporary(name, dtype, value.shape)
        self.convert(value, target)
        return target

    def convert(self, source: Value, target: Value) -> None:
        """Store a kernel value in another one of the same shape, converted to its type."""
        x = Value("x", source.dtype, source.shape)
        node = Node("to_dtype", (x,), {"dtype": target.dtype}, [Value("y", target.dtype, target.shape)])
        self.emit("POINTWISE", [], [target], program=compile_program([node], node.outputs).program, operands=[source])

    def fill(self, target: Value, number: float) -> None:
        """Store one number everywhere in a kernel value."""
        node = Node("full", (), {"fill_value": number}, [Value("y", target.dtype, target.shape)])
        compiled = compile_program([node], node.outputs)
        self.emit("POINTWISE", [], [target], program=compiled.program)

    def epilogue(self, unit: Unit, accumulator: Value) -> Epilogue:
        """Split the fused elementwise nodes into what the kernels do natively and a program for the rest.

        Native, in this order: add a same-shaped residual, clamp. `accumulator` is the core value of the kernel's own
        result.
        """
        found = Epilogue()
        nodes = list(unit.pointwise)
        current = accumulator
        while nodes:
            node = nodes[0]
            later = [n for n in nodes[1:] if current in n.inputs]
            if current not in node.inputs or later or node.output.dtype is not accumulator.dtype:
                break
            if found.clamp != (-math.inf, math.inf):
                break
            if (
                node.op == "add"
                and found.residual is None
                and node.attrs.get("alpha", 1) == 1
                and len(set(node.inputs)) == 2
            ):
                other = next(v for v in node.inputs if v is not current)
                inside = {n.output for n in unit.pointwise}
                if other in inside or scalar_of(other) is not None or other.dtype is not accumulator.dtype:
                    break
                if not same_shape(other, accumulator):
                    break
                found.residual = self.view(other)
            elif node.op == "relu":
                found.clamp = (0.0, math.inf)
            elif node.op == "clamp":
                low, high = node.attrs.get("min"), node.attrs.get("max")
                found.clamp = (-math.inf if low is None else float(low), math.inf if high is None else float(high))
            else:
                break
            current = node.output
            nodes.pop(0)
        if nodes:
            compiled = compile_program(nodes, [unit.result], current)
            found.program = compiled.program
            found.operands = tuple(self.expand(self.view(v), accumulator.shape) for v in compiled.operands)
        return found


def _same_buffer(a: Value, b: Value) -> bool:
    return a.memory is not None and b.memory is not None and a.memory.buffer is b.memory.buffer
