"""Write a lowered program as a .pap file (docs/format.md)."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np

from pappus.export.expressions import ExprTable
from pappus.export.ir.graph import Graph, Node, StateInfo, Value
from pappus.export.lower.constants import ConstantPool
from pappus.export.lower.memory import Buffer
from pappus.export.plan import Plan
from pappus.export.pointwise import PwInstruction
from pappus.export.schema import debug_generated as D
from pappus.export.schema import program_generated as P
from pappus.frontend.dtypes import DType
from pappus.runtime.enums import DType as FileDType
from pappus.runtime.enums import Family, PackKind, PwOp, PwType, Relation, Storage

MAGIC = b"\x89PAP\r\n\x1a\n"
VERSION = (0, 1)
PAGE, ITEM = 4096, 64
NONE = 0xFFFFFFFF
_DTYPES = {
    "bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "uint32": "U32", "int32": "I32",
    "uint64": "U64", "int64": "I64", "float16": "F16", "bfloat16": "BF16", "float32": "F32", "float64": "F64",
}  # fmt: skip
_RELATIONS = {"==": Relation.EQ, "!=": Relation.NE, "<": Relation.LT, "<=": Relation.LE}


@dataclass
class LoweredMethod:
    """One method ready to be written."""

    name: str
    kernel: Graph
    inputs: list[tuple[str, Value]]
    outputs: list[tuple[str, Value]]
    buffers: list[Buffer]
    epochs: list[int]
    plan: Plan
    regions: list[Any] = field(default_factory=list)


def file_dtype(dtype: DType) -> int:
    """The schema's number of a dtype."""
    return int(FileDType[_DTYPES[dtype.name]])


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    """A flatbuffers builder with vectors of structs and of offsets."""

    def structs(self, items: Sequence[bytes], size: int, alignment: int) -> int:
        """A vector of structs given as their bytes."""
        self.StartVector(size, len(items), alignment)
        data = b"".join(items)
        self.head: int = self.head - len(data)
        self.Bytes[self.head : self.head + len(data)] = data
        return int(self.EndVector())

    def offsets(self, items: Sequence[int]) -> int:
        """A vector of tables or strings."""
        self.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.PrependUOffsetTRelative(item)
        return int(self.EndVector())

    def scalars(self, items: Sequence[Any], dtype: str) -> int:
        """A vector of numbers."""
        return int(self.CreateNumpyVector(np.asarray(items, dtype=dtype)))


def write_program(
    methods: Sequence[LoweredMethod],
    pool: ConstantPool,
    states: Sequence[StateInfo],
    state_init: Sequence[int],
    report: str = "",
    debug: bool = True,
) -> bytes:
    """The bytes of a .pap file; `state_init` numbers each state's initial constant."""
    offsets: list[int] = []
    position = 0
    for array in pool.arrays:
        offsets.append(position)
        position += -(-max(array.nbytes, 1) // ITEM) * ITEM
    data = bytearray(position)
    for offset, array in zip(offsets, pool.arrays, strict=True):
        data[offset : offset + array.nbytes] = array.tobytes()
    metadata = _metadata(methods, pool, offsets, states, state_init)
    sections = [(1, metadata, 16), (2, bytes(data), PAGE)]
    if debug:
        sections.append((3, _debug(methods, report), 16))
    return _container(sections)


def _container(sections: Sequence[tuple[int, bytes, int]]) -> bytes:
    header_size = 48 + 32 * len(sections)
    position = header_size
    table = b""
    placed: list[tuple[int, bytes]] = []
    for kind, payload, alignment in sections:
        position = -(-position // alignment) * alignment
        table += struct.pack("<IIQQQ", kind, zlib.crc32(payload), position, len(payload), 0)
        placed.append((position, payload))
        position += len(payload)
    head = struct.pack("<8sHHIQQIIQ", MAGIC, *VERSION, header_size, 0, position, len(sections), 0, 0) + table
    head = head[:36] + struct.pack("<I", zlib.crc32(head)) + head[40:]
    file = bytearray(position)
    file[: len(head)] = head
    for offset, payload in placed:
        file[offset : offset + len(payload)] = payload
    return bytes(file)


def _metadata(
    methods: Sequence[LoweredMethod],
    pool: ConstantPool,
    offsets: Sequence[int],
    states: Sequence[StateInfo],
    state_init: Sequence[int],
) -> bytes:
    b = _Builder(1 << 16)
    method_offsets = [_method(b, m) for m in methods]
    state_offsets = []
    for info, init in zip(states, state_init, strict=True):
        name = b.CreateString(info.name)
        shape = b.scalars(info.shape, "<u8")
        P.StateStart(b)
        P.StateAddName(b, name)
        P.StateAddSize(b, info.init.nbytes)
        P.StateAddInit(b, init)
        P.StateAddDtype(b, file_dtype(info.dtype))
        P.StateAddShape(b, shape)
        state_offsets.append(P.StateEnd(b))
    constants = b.structs(
        [struct.pack("<QQI4x", o, a.nbytes, 0) for o, a in zip(offsets, pool.arrays, strict=True)], 24, 8
    )
    methods_vector, states_vector = b.offsets(method_offsets), b.offsets(state_offsets)
    producer = b.CreateString("pappus")
    P.ProgramStart(b)
    P.ProgramAddProducer(b, producer)
    P.ProgramAddConstants(b, constants)
    P.ProgramAddStates(b, states_vector)
    P.ProgramAddMethods(b, methods_vector)
    b.Finish(P.ProgramEnd(b))
    return bytes(b.Output())


class _MethodTables:
    """The vectors of one method while they grow."""

    def __init__(self, method: LoweredMethod) -> None:
        self.exprs = ExprTable(method.kernel.symbols)
        self.pool: list[int] = []
        self.values: list[bytes] = []
        self.floats: list[float] = []
        self.programs: list[bytes] = []
        self.pointwise: list[bytes] = []
        self._value_numbers: dict[Value, int] = {}
        self._program_numbers: dict[Any, int] = {}
        self._buffers = {buffer: i for i, buffer in enumerate(method.buffers)}
        self.names: list[str] = []

    def value(self, value: Value | None) -> int:
        """The number of a kernel value."""
        if value is None:
            return NONE
        if value in self._value_numbers:
            return self._value_numbers[value]
        memory = value.memory
        assert memory is not None
        dims = [self.exprs.add(s) for s in value.shape]
        if memory.pack == "DENSE":
            dims += [self.exprs.add(s) for s in memory.strides]
        start = self._run(dims)
        self.values.append(
            struct.pack(
                "<IIIBBBx", self._buffers[memory.buffer], self.exprs.add(memory.offset), start, len(value.shape),
                file_dtype(value.dtype), PackKind[memory.pack],
            )
        )  # fmt: skip
        self.names.append(value.name)
        self._value_numbers[value] = len(self.values) - 1
        return self._value_numbers[value]

    def _run(self, numbers: Sequence[int]) -> int:
        start = len(self.pool)
        self.pool.extend(numbers)
        return start

    def instruction(self, node: Node) -> bytes:
        """One Instruction record."""
        args, operands = node.args
        assert isinstance(args, tuple) and isinstance(operands, tuple)
        numbers = [self.value(v) for v in (*args, *node.outputs, *operands)]
        attrs = [self.exprs.add(a) for a in node.attrs["attrs"]]
        floats = list(node.attrs["floats"])
        float_start = len(self.floats)
        self.floats.extend(floats)
        operand_start = self._run(numbers)
        return struct.pack(
            "<IIIIBBBBBBBB", operand_start, self._run(attrs), float_start, self._program(node.attrs["program"]),
            len(args), len(node.outputs), len(operands), len(attrs), len(floats),
            Family[node.op.removeprefix("k.").upper()], 0, int(node.attrs["barrier"]),
        )  # fmt: skip

    def _program(self, program: Any) -> int:
        if program is None:
            return NONE
        if program not in self._program_numbers:
            self._program_numbers[program] = len(self.programs)
            self.programs.append(
                struct.pack("<IHBB", len(self.pointwise), len(program.code), program.registers, program.loads)
            )
            self.pointwise.extend(map(_pw_record, program.code))
        return self._program_numbers[program]


def _pw_record(i: PwInstruction) -> bytes:
    return struct.pack("<QBBBBBB2x", i.imm, PwOp[i.op], PwType[i.type], i.dst, i.a, i.b, i.c)


def _method(b: _Builder, method: LoweredMethod) -> int:
    tables = _MethodTables(method)
    ports = [[(name, tables.value(v)) for name, v in side] for side in (method.inputs, method.outputs)]
    instructions = [tables.instruction(node) for node in method.kernel.nodes]
    buffers = [
        struct.pack("<IIB3x", x.index, tables.exprs.add(x.size), Storage[x.storage]) for x in method.buffers
    ]
    guards = [_guard(b, tables, g) for g in method.kernel.guards]
    port_vectors = [b.offsets([_port(b, name, value) for name, value in side]) for side in ports]
    symbols = b.offsets([_symbol(b, s) for s in method.kernel.symbols])
    guard_vector = b.offsets(guards)
    name = b.CreateString(method.name)
    exprs = b.structs([struct.pack("<qIIB7x", e.value, e.a, e.b, e.op) for e in tables.exprs.nodes], 24, 8)
    vectors: list[tuple[Callable[..., Any], int]] = [
        (P.MethodAddExprs, exprs),
        (P.MethodAddBuffers, b.structs(buffers, 12, 4)),
        (P.MethodAddValues, b.structs(tables.values, 16, 4)),
        (P.MethodAddPool, b.scalars(tables.pool, "<u4")),
        (P.MethodAddFloats, b.scalars(tables.floats, "<f8")),
        (P.MethodAddPrograms, b.structs(tables.programs, 8, 4)),
        (P.MethodAddPointwise, b.structs(tables.pointwise, 16, 8)),
        (P.MethodAddInstructions, b.structs(instructions, 24, 4)),
        (P.MethodAddPlanOrder, b.scalars(method.plan.order, "<u4")),
        (P.MethodAddSymbols, symbols),
        (P.MethodAddGuards, guard_vector),
        (P.MethodAddInputs, port_vectors[0]),
        (P.MethodAddOutputs, port_vectors[1]),
    ]
    P.MethodStart(b)
    P.MethodAddName(b, name)
    for add, vector in vectors:
        add(b, vector)
    return int(P.MethodEnd(b))


def _guard(b: _Builder, tables: _MethodTables, guard: Any) -> int:
    text = b.CreateString(str(guard))
    left, right = tables.exprs.add(guard.left), tables.exprs.add(guard.right)
    P.GuardStart(b)
    P.GuardAddA(b, left)
    P.GuardAddB(b, right)
    P.GuardAddRelation(b, _RELATIONS[guard.relation])
    P.GuardAddText(b, text)
    return int(P.GuardEnd(b))


def _port(b: _Builder, name: str, value: int) -> int:
    text = b.CreateString(name)
    P.PortStart(b)
    P.PortAddName(b, text)
    P.PortAddValue(b, value)
    return int(P.PortEnd(b))


def _symbol(b: _Builder, symbol: Any) -> int:
    text = b.CreateString(symbol.name)
    P.SymbolStart(b)
    P.SymbolAddName(b, text)
    P.SymbolAddMin(b, symbol.min)
    P.SymbolAddMax(b, symbol.max)
    P.SymbolAddMultipleOf(b, symbol.multiple_of)
    return int(P.SymbolEnd(b))


def _debug(methods: Sequence[LoweredMethod], report: str) -> bytes:
    b = _Builder(1 << 12)
    found = []
    for method in methods:
        instructions = []
        for node in method.kernel.nodes:
            final = node.attrs["core"] if node.attrs["final"] else ""
            where = node.location + (f" ({node.module})" if node.module else "")
            strings = [b.CreateString(s) for s in ("+".join(node.attrs["fused"]) or node.op, final, where)]
            D.InstructionDebugStart(b)
            D.InstructionDebugAddOp(b, strings[0])
            D.InstructionDebugAddName(b, strings[1])
            D.InstructionDebugAddSource(b, strings[2])
            instructions.append(D.InstructionDebugEnd(b))
        vector, name = b.offsets(instructions), b.CreateString(method.name)
        D.MethodDebugStart(b)
        D.MethodDebugAddName(b, name)
        D.MethodDebugAddInstructions(b, vector)
        found.append(D.MethodDebugEnd(b))
    methods_vector, text = b.offsets(found), b.CreateString(report)
    D.DebugStart(b)
    D.DebugAddMethods(b, methods_vector)
    D.DebugAddReport(b, text)
    b.Finish(D.DebugEnd(b))
    return bytes(b.Output())
