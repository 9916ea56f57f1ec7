"""A .pap writer for tests in which every field can be set to anything, legal or not.

`Program` and `Method` hold the records of the schema as mutable objects. The helpers (`input`, `value`, `emit`, ...)
append legal records; a test then changes what it likes before `build`. Only the layout of records is checked.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import flatbuffers
import numpy as np

from pappus.export.schema import debug_generated, program_generated
from pappus.runtime.enums import DType, ExprOp, Family, PackKind, PwOp, PwType, Storage

D: Any = debug_generated  # what flatc writes has no types
P: Any = program_generated
NONE = 0xFFFFFFFF
MAGIC = b"\x89PAP\r\n\x1a\n"
NUMPY = {
    DType.BOOL: "?", DType.U8: "u1", DType.I8: "i1", DType.U16: "<u2", DType.I16: "<i2", DType.U32: "<u4",
    DType.I32: "<i4", DType.U64: "<u8", DType.I64: "<i8", DType.F16: "<f2", DType.BF16: "<u2", DType.F32: "<f4",
    DType.F64: "<f8",
}  # fmt: skip


@dataclass(frozen=True)
class Ref:
    """The number of an expression, where a plain int means a constant."""

    number: int


Size = int | Ref


@dataclass
class Expr:
    op: int
    value: int = 0
    a: int = 0
    b: int = 0

    def pack(self) -> bytes:
        return struct.pack("<qIIB7x", self.value, self.a, self.b, self.op)


@dataclass
class Buffer:
    storage: int
    index: int
    size: int

    def pack(self) -> bytes:
        return struct.pack("<IIB3x", self.index, self.size, self.storage)


@dataclass
class Value:
    buffer: int
    offset: int
    dims: int
    rank: int
    dtype: int
    pack_kind: int = 0

    def pack(self) -> bytes:
        return struct.pack("<IIIBBBx", self.buffer, self.offset, self.dims, self.rank, self.dtype, self.pack_kind)


@dataclass
class PwRange:
    first: int
    count: int
    registers: int
    loads: int

    def pack(self) -> bytes:
        return struct.pack("<IHBB", self.first, self.count, self.registers, self.loads)


@dataclass
class Pw:
    """One pointwise instruction; `imm` is the bits of a constant."""

    op: int
    type: int = 0
    dst: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    imm: int = 0

    def pack(self) -> bytes:
        return struct.pack("<QBBBBBB2x", self.imm, self.op, self.type, self.dst, self.a, self.b, self.c)


@dataclass
class Instruction:
    operands: int
    attrs: int
    floats: int
    program: int
    n_args: int
    n_results: int
    n_program_args: int
    n_attrs: int
    n_floats: int
    family: int
    algorithm: int = 0
    barrier: int = 1

    def pack(self) -> bytes:
        return struct.pack(
            "<IIIIBBBBBBBB", self.operands, self.attrs, self.floats, self.program, self.n_args, self.n_results,
            self.n_program_args, self.n_attrs, self.n_floats, self.family, self.algorithm, self.barrier,
        )  # fmt: skip


@dataclass
class Symbol:
    name: str
    min: int
    max: int
    multiple_of: int = 1


@dataclass
class Guard:
    a: int
    b: int
    relation: int
    text: str


@dataclass
class Port:
    name: str
    value: int


@dataclass
class State:
    name: str
    dtype: int
    shape: list[int]
    size: int
    init: int = NONE


@dataclass
class Region:
    delegate: str
    first: int
    count: int
    blob: int = NONE
    inputs: list[int] = field(default_factory=list)
    outputs: list[int] = field(default_factory=list)


@dataclass
class Constant:
    offset: int
    size: int
    section: int = 0

    def pack(self) -> bytes:
        return struct.pack("<QQI4x", self.offset, self.size, self.section)


@dataclass
class Method:
    """One method's lists. `plan_order` None means every ARENA buffer in order."""

    name: str | None = "forward"  # None: left out, though the schema requires it
    symbols: list[Symbol] = field(default_factory=list)
    exprs: list[Expr] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    buffers: list[Buffer] = field(default_factory=list)
    values: list[Value] = field(default_factory=list)
    pool: list[int] = field(default_factory=list)
    floats: list[float] = field(default_factory=list)
    programs: list[PwRange] = field(default_factory=list)
    pointwise: list[Pw] = field(default_factory=list)
    instructions: list[Instruction] = field(default_factory=list)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    plan_order: list[int] | None = None
    regions: list[Region] = field(default_factory=list)

    def expr(self, op: int, a: Size = 0, b: Size = 0) -> Ref:
        """A node that combines two sizes."""
        return self._node(Expr(op, 0, self.number(a), self.number(b)))

    def symbol(self, name: str, low: int, high: int, multiple_of: int = 1) -> Ref:
        """A new symbol, as the size it stands for."""
        self.symbols.append(Symbol(name, low, high, multiple_of))
        return self._node(Expr(ExprOp.SYMBOL, 0, len(self.symbols) - 1, 0))

    def _node(self, node: Expr) -> Ref:
        if node not in self.exprs:
            self.exprs.append(node)
        return Ref(self.exprs.index(node))

    def number(self, size: Size) -> int:
        """The expression number of a size."""
        return size.number if isinstance(size, Ref) else self._node(Expr(ExprOp.CONST, size)).number

    def product(self, sizes: Sequence[Size]) -> Size:
        """The product of sizes."""
        known, result = 1, None
        for size in sizes:
            if isinstance(size, Ref):
                result = size if result is None else self.expr(ExprOp.MUL, result, size)
            else:
                known *= size
        if result is None:
            return known
        return result if known == 1 else self.expr(ExprOp.MUL, result, known)

    def buffer(self, storage: int, index: int, size: Size) -> int:
        self.buffers.append(Buffer(storage, index, self.number(size)))
        return len(self.buffers) - 1

    def value(
        self,
        dtype: int,
        shape: Sequence[Size],
        storage: int = Storage.ARENA,
        index: int = 0,
        buffer: int | None = None,
        strides: Sequence[Size] | None = None,
        offset: Size = 0,
        pack: int = PackKind.DENSE,
        size: Size | None = None,
    ) -> int:
        """A value, dense unless `strides` says otherwise, on a new buffer of its size unless `buffer` names one."""
        if buffer is None:
            item = np.dtype(NUMPY[DType(dtype)]).itemsize
            buffer = self.buffer(storage, index, size if size is not None else self.product([*shape, item]))
        if strides is None:
            strides = [self.product(shape[i + 1 :]) for i in range(len(shape))]
        numbers = [self.number(s) for s in shape]
        if pack == PackKind.DENSE:
            numbers += [self.number(s) for s in strides]
        start = len(self.pool)
        self.pool += numbers
        self.values.append(Value(buffer, self.number(offset), start, len(shape), dtype, pack))
        return len(self.values) - 1

    def input(self, name: str, dtype: int, shape: Sequence[Size]) -> int:
        number = self.value(dtype, shape, Storage.INPUT, len(self.inputs))
        self.inputs.append(Port(name, number))
        return number

    def output(self, name: str, dtype: int, shape: Sequence[Size]) -> int:
        number = self.value(dtype, shape, Storage.OUTPUT, len(self.outputs))
        self.outputs.append(Port(name, number))
        return number

    def program(self, code: Sequence[Pw], loads: int, registers: int | None = None) -> int:
        """A pointwise program."""
        used = max((p.dst for p in code if p.op != PwOp.STORE), default=0) + 1
        self.programs.append(PwRange(len(self.pointwise), len(code), registers or used, loads))
        self.pointwise += code
        return len(self.programs) - 1

    def emit(
        self,
        family: int,
        args: Sequence[int] = (),
        results: Sequence[int] = (),
        program_args: Sequence[int] = (),
        attrs: Sequence[Size] = (),
        floats: Sequence[float] = (),
        program: int = NONE,
        barrier: int = 1,
    ) -> Instruction:
        """Append an instruction."""
        operands = len(self.pool)
        self.pool += [*args, *results, *program_args]
        numbers = [self.number(a) for a in attrs]
        start = len(self.pool)
        self.pool += numbers
        first = len(self.floats)
        self.floats += floats
        self.instructions.append(
            Instruction(operands, start, first, program, len(args), len(results), len(program_args), len(attrs),
                        len(floats), family, 0, barrier)
        )  # fmt: skip
        return self.instructions[-1]

    def map(self, code: Sequence[Pw], args: Sequence[int], results: Sequence[int], barrier: int = 1) -> Instruction:
        """A POINTWISE instruction."""
        return self.emit(
            Family.POINTWISE, results=results, program_args=args, program=self.program(code, len(args)), barrier=barrier
        )


@dataclass
class Program:
    """A file. `data` is the data section; `constants` points into it."""

    methods: list[Method] = field(default_factory=list)
    constants: list[Constant] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    data: bytearray = field(default_factory=bytearray)
    debug: bool = True

    def method(self, name: str = "forward") -> Method:
        self.methods.append(Method(name))
        return self.methods[-1]

    def constant(self, array: Any) -> int:
        """Add a constant's bytes; its number."""
        raw = np.ascontiguousarray(array).tobytes()
        self.data += bytes(-len(self.data) % 64)
        self.constants.append(Constant(len(self.data), len(raw)))
        self.data += raw
        return len(self.constants) - 1

    def state(self, name: str, dtype: int, shape: Sequence[int], init: int = NONE) -> int:
        """Add a state; its number."""
        size = int(np.prod(shape, dtype=np.int64)) * np.dtype(NUMPY[DType(dtype)]).itemsize
        self.states.append(State(name, dtype, list(shape), size, init))
        return len(self.states) - 1

    def build(self) -> bytes:
        """The file's bytes."""
        sections = [(1, metadata(self), 16), (2, bytes(self.data), 4096)]
        if self.debug:
            sections.append((3, debug_section(self), 16))
        return container(sections)


def gemm_panels(b: Any) -> Any:
    """[K, N] as GEMM_PANEL16."""
    k, n = b.shape
    padded = np.zeros((k, -(-n // 16) * 16), b.dtype)
    padded[:, :n] = b
    return np.ascontiguousarray(padded.reshape(k, -1, 16).transpose(1, 0, 2))


def load_store(op: int, dtype: int = PwType.F32, operands: int = 1) -> list[Pw]:
    """The program that applies one operation to its operands."""
    code = [Pw(PwOp.LOAD, dtype, i, i) for i in range(operands)]
    return [*code, Pw(op, dtype, operands, 0, 1), Pw(PwOp.STORE, dtype, 0, operands)]


# -- writing -------------------------------------------------------------------------------------------------------


class _Builder(flatbuffers.Builder):  # type: ignore[misc]
    def raw(self, items: Sequence[bytes], size: int, alignment: int) -> int:
        """A vector of scalars or structs given as their bytes."""
        self.StartVector(size, len(items), alignment)
        data = b"".join(items)
        builder: Any = self
        builder.head = builder.head - len(data)
        builder.Bytes[builder.head : builder.head + len(data)] = data
        return int(builder.EndVector())

    def offsets(self, items: Sequence[int]) -> int:
        self.StartVector(4, len(items), 4)
        for item in reversed(items):
            self.PrependUOffsetTRelative(item)
        return int(self.EndVector())

    def words(self, items: Sequence[int]) -> int:
        return self.raw([struct.pack("<I", i) for i in items], 4, 4)

    def table(self, kind: str, **fields: Any) -> int:
        """A table of the schema; strings must be created before."""
        getattr(P, f"{kind}Start")(self)
        for name, value in fields.items():
            getattr(P, f"{kind}Add{name}")(self, value)
        return int(getattr(P, f"{kind}End")(self))


def _method(b: _Builder, m: Method) -> int:
    order = m.plan_order
    if order is None:
        order = [i for i, x in enumerate(m.buffers) if x.storage == Storage.ARENA]
    tables = {
        "Symbols": [
            b.table("Symbol", Name=b.CreateString(s.name), Min=s.min, Max=s.max, MultipleOf=s.multiple_of)
            for s in m.symbols
        ],
        "Guards": [
            b.table("Guard", Text=b.CreateString(g.text), A=g.a, B=g.b, Relation=g.relation) for g in m.guards
        ],
        "Inputs": [b.table("Port", Name=b.CreateString(p.name), Value=p.value) for p in m.inputs],
        "Outputs": [b.table("Port", Name=b.CreateString(p.name), Value=p.value) for p in m.outputs],
        "Regions": [
            b.table("Region", Delegate=b.CreateString(r.delegate), Inputs=b.words(r.inputs),
                    Outputs=b.words(r.outputs), First=r.first, Count=r.count, Blob=r.blob)
            for r in m.regions
        ],
    }  # fmt: skip
    fields = {name: b.offsets(items) for name, items in tables.items()}
    fields["Exprs"] = b.raw([e.pack() for e in m.exprs], 24, 8)
    fields["Buffers"] = b.raw([x.pack() for x in m.buffers], 12, 4)
    fields["Values"] = b.raw([v.pack() for v in m.values], 16, 4)
    fields["Pool"] = b.words(m.pool)
    fields["Floats"] = b.raw([struct.pack("<d", f) for f in m.floats], 8, 8)
    fields["Programs"] = b.raw([p.pack() for p in m.programs], 8, 4)
    fields["Pointwise"] = b.raw([p.pack() for p in m.pointwise], 16, 8)
    fields["Instructions"] = b.raw([i.pack() for i in m.instructions], 24, 4)
    fields["PlanOrder"] = b.words(order)
    if m.name is not None:
        fields["Name"] = b.CreateString(m.name)
    return b.table("Method", **fields)


def metadata(program: Program) -> bytes:
    """The metadata section."""
    b = _Builder(1024)
    written: dict[int, int] = {}  # a method listed twice is written once
    for m in program.methods:
        if id(m) not in written:
            written[id(m)] = _method(b, m)
    methods = b.offsets([written[id(m)] for m in program.methods])
    states = b.offsets(
        [
            b.table("State", Name=b.CreateString(s.name), Shape=b.raw([struct.pack("<Q", n) for n in s.shape], 8, 8),
                    Size=s.size, Init=s.init, Dtype=s.dtype)
            for s in program.states
        ]
    )  # fmt: skip
    constants = b.raw([c.pack() for c in program.constants], 24, 8)
    producer = b.CreateString("tests")
    b.Finish(b.table("Program", Producer=producer, Constants=constants, States=states, Methods=methods))
    return bytes(b.Output())


def debug_section(program: Program) -> bytes:
    """Names for every instruction: op "family", name "i<n>", source "test.py:<n>"."""
    b = _Builder(256)
    found = []
    for m in program.methods:
        instructions = []
        for i, instruction in enumerate(m.instructions):
            families = {int(f): f.name.lower() for f in Family}
            op, name = b.CreateString(families.get(instruction.family, "?")), b.CreateString(f"i{i}")
            source = b.CreateString(f"test.py:{i + 1}")
            D.InstructionDebugStart(b)
            D.InstructionDebugAddOp(b, op)
            D.InstructionDebugAddName(b, name)
            D.InstructionDebugAddSource(b, source)
            instructions.append(D.InstructionDebugEnd(b))
        vector, name = b.offsets(instructions), b.CreateString(m.name or "")
        D.MethodDebugStart(b)
        D.MethodDebugAddName(b, name)
        D.MethodDebugAddInstructions(b, vector)
        found.append(D.MethodDebugEnd(b))
    vector = b.offsets(found)
    D.DebugStart(b)
    D.DebugAddMethods(b, vector)
    b.Finish(D.DebugEnd(b))
    return bytes(b.Output())


def container(sections: Sequence[tuple[int, bytes, int]]) -> bytes:
    """(kind, bytes, alignment) of each section as a file."""
    header = 48 + 32 * len(sections)
    position, table, places = header, b"", []
    for kind, payload, alignment in sections:
        position += -position % alignment
        table += struct.pack("<IIQQQ", kind, zlib.crc32(payload), position, len(payload), 0)
        places.append((position, payload))
        position += len(payload)
    head = struct.pack("<8sHHIQQIIQ", MAGIC, 0, 1, header, 0, position, len(sections), 0, 0) + table
    file = bytearray(position)
    file[: len(head)] = head
    for at, payload in places:
        file[at : at + len(payload)] = payload
    return fix_header(file)


def metadata_range(file: bytes | bytearray) -> tuple[int, int]:
    """Offset and size of the first section, which is the metadata."""
    offset, size = struct.unpack_from("<QQ", file, 56)
    return offset, size


def fix_checksums(file: bytes | bytearray) -> bytes:
    """The file with right checksums of the metadata and the header."""
    found = bytearray(file)
    offset, size = metadata_range(found)
    struct.pack_into("<I", found, 52, zlib.crc32(found[offset : offset + size]))
    return fix_header(found)


def fix_header(file: bytes | bytearray) -> bytes:
    """The file with the right header checksum."""
    found = bytearray(file)
    size = struct.unpack_from("<I", found, 12)[0]
    size = size if size <= len(found) else 48
    struct.pack_into("<I", found, 36, 0)
    struct.pack_into("<I", found, 36, zlib.crc32(found[:size]))
    return bytes(found)
