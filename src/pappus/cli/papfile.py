"""The metadata of a .pap file in full: sections, instructions, operands, expressions, constants.

`pappus.runtime` says what a caller needs; this reads the rest, for `inspect` and `bench`. The C runtime has verified
the file before anything here looks at it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pappus.runtime.enums import DType, ExprOp, Family, PackKind, PwOp, Relation, Storage
from pappus.runtime.native import DTYPE_NAMES

NONE = 0xFFFFFFFF
_SECTIONS = {1: "metadata", 2: "data", 3: "debug", 4: "delegate blobs"}
_INFIX = {ExprOp.ADD: "+", ExprOp.SUB: "-", ExprOp.MUL: "*", ExprOp.FLOORDIV: "//", ExprOp.MOD: "%"}
_RELATIONS = {Relation.EQ: "==", Relation.NE: "!=", Relation.LT: "<", Relation.LE: "<="}


@dataclass(frozen=True)
class Section:
    """One row of the section table; `offset` and `size` in bytes."""

    kind: int
    offset: int
    size: int

    @property
    def name(self) -> str:
        """What the section holds."""
        return _SECTIONS.get(self.kind, f"kind {self.kind}")


@dataclass(frozen=True)
class Expression:
    """A size: its text, and the nodes to evaluate it."""

    nodes: tuple[tuple[int, int, int, int], ...] = field(repr=False)
    number: int
    symbols: tuple[str, ...] = field(repr=False)

    def evaluate(self, sizes: Mapping[str, int]) -> int:
        """Its value where every symbol has a size."""
        return self._evaluate(self.number, sizes)

    def _evaluate(self, number: int, sizes: Mapping[str, int]) -> int:
        op, value, a, b = self.nodes[number]
        if op == ExprOp.CONST:
            return value
        if op == ExprOp.SYMBOL:
            return sizes[self.symbols[a]]
        x, y = self._evaluate(a, sizes), self._evaluate(b, sizes)
        return {
            ExprOp.ADD: lambda: x + y, ExprOp.SUB: lambda: x - y, ExprOp.MUL: lambda: x * y,
            ExprOp.FLOORDIV: lambda: x // y, ExprOp.MOD: lambda: x % y, ExprOp.MIN: lambda: min(x, y),
            ExprOp.MAX: lambda: max(x, y),
        }[ExprOp(op)]()  # fmt: skip

    def __str__(self) -> str:
        return self._text(self.number, outer=True)

    def _text(self, number: int, outer: bool = False) -> str:
        op, value, a, b = self.nodes[number]
        if op == ExprOp.CONST:
            return str(value)
        if op == ExprOp.SYMBOL:
            return self.symbols[a]
        if op in (ExprOp.MIN, ExprOp.MAX):
            return f"{ExprOp(op).name.lower()}({self._text(a, True)}, {self._text(b, True)})"
        text = f"{self._text(a)} {_INFIX[ExprOp(op)]} {self._text(b)}"
        return text if outer else f"({text})"


@dataclass(frozen=True)
class Operand:
    """A value as an instruction sees it. `storage` and `index` say where its bytes are."""

    dtype: str
    shape: tuple[Expression, ...]
    storage: Storage
    index: int
    pack: PackKind

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"

    def at(self, sizes: Mapping[str, int]) -> tuple[int, ...]:
        """Its shape at these sizes."""
        return tuple(size.evaluate(sizes) for size in self.shape)

    def elements(self, sizes: Mapping[str, int]) -> int:
        """Number of elements at these sizes."""
        return math.prod(self.at(sizes))


@dataclass(frozen=True)
class Instruction:
    """One instruction: `args` may hold None for absent optional operands, `program` is its pointwise code as text."""

    index: int
    epoch: int
    family: str
    args: tuple[Operand | None, ...]
    results: tuple[Operand, ...]
    operands: tuple[Operand | None, ...]
    program: str

    def flops(self, sizes: Mapping[str, int]) -> int:
        """Multiply-adds of products and convolutions, counted as two; 0 for other families."""
        if self.family == "gemm" and self.args[0] is not None:
            return 2 * self.results[0].elements(sizes) * self.args[0].shape[-1].evaluate(sizes)
        if self.family == "conv2d" and self.args[1] is not None:
            return 2 * self.results[0].elements(sizes) * math.prod(self.args[1].at(sizes)[1:])
        return 0


@dataclass(frozen=True)
class Method:
    """A method's instructions, assumptions and port shapes."""

    name: str
    instructions: tuple[Instruction, ...]
    guards: tuple[str, ...]
    inputs: tuple[Operand, ...]
    outputs: tuple[Operand, ...]


@dataclass(frozen=True)
class PapFile:
    """A whole file; `report` is what the exporter wrote about it (empty if the file was stripped)."""

    version: tuple[int, int]
    features: int
    producer: str
    sections: tuple[Section, ...]
    constants: tuple[int, ...]
    methods: tuple[Method, ...]
    report: str


def read_method(path: str, name: str) -> Method:
    """One method of a file that `pappus.runtime.load` has accepted."""
    with open(path, "rb") as file:
        return next(m for m in read(file.read()).methods if m.name == name)


def read(data: bytes) -> PapFile:
    """Parse a file that `pappus.runtime.load` has accepted."""
    from pappus.export.schema import debug_generated as D
    from pappus.export.schema import program_generated as P

    major, minor, _, features, _, count = struct.unpack_from("<HHIQQI", data, 8)
    sections = []
    for i in range(count):
        kind, _, offset, size, _ = struct.unpack_from("<IIQQQ", data, 48 + 32 * i)
        sections.append(Section(kind, offset, size))
    places = {s.kind: s for s in sections}
    metadata = places[1]
    program = P.Program.GetRootAs(
        bytes(data[metadata.offset : metadata.offset + metadata.size]), 0
    )
    report = ""
    if 3 in places:
        debug = places[3]
        root = D.Debug.GetRootAs(
            bytes(data[debug.offset : debug.offset + debug.size]), 0
        )
        report = _text(root.Report())
    return PapFile(
        (major, minor), features, _text(program.Producer()), tuple(sections),
        tuple(program.Constants(i).Size() for i in range(program.ConstantsLength())),
        tuple(_Method(program.Methods(i)).read() for i in range(program.MethodsLength())), report,
    )  # fmt: skip


def _text(value: bytes | None) -> str:
    return "" if value is None else value.decode("utf-8", "replace")


class _Method:
    """Reads one method's tables."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.symbols = tuple(_text(table.Symbols(i).Name()) for i in range(table.SymbolsLength()))
        nodes = (table.Exprs(i) for i in range(table.ExprsLength()))
        self.nodes = tuple((e.Op(), e.Value(), e.A(), e.B()) for e in nodes)
        self.pool = [int(n) for n in table.PoolAsNumpy()] if table.PoolLength() else []
        self.known: dict[int, Operand] = {}

    def read(self) -> Method:
        """The method as plain objects."""
        t = self.table
        instructions, epoch = [], -1
        for i in range(t.InstructionsLength()):
            raw = t.Instructions(i)
            epoch += 1 if raw.Barrier() or i == 0 else 0
            instructions.append(self._instruction(i, epoch, raw))
        guards = (t.Guards(i) for i in range(t.GuardsLength()))
        found = tuple(
            _text(g.Text()) or f"{self.expression(g.A())} {_RELATIONS[Relation(g.Relation())]} {self.expression(g.B())}"
            for g in guards
        )
        inputs = tuple(self.operand(t.Inputs(i).Value()) for i in range(t.InputsLength()))
        outputs = tuple(self.operand(t.Outputs(i).Value()) for i in range(t.OutputsLength()))
        return Method(_text(t.Name()), tuple(instructions), found, inputs, outputs)

    def expression(self, number: int) -> Expression:
        """An expression by its number."""
        return Expression(self.nodes, number, self.symbols)

    def operand(self, number: int) -> Operand:
        """A value by its number."""
        if number not in self.known:
            raw = self.table.Values(number)
            buffer = self.table.Buffers(raw.Buffer())
            dims = self.pool[raw.Dims() : raw.Dims() + raw.Rank()]
            self.known[number] = Operand(
                DTYPE_NAMES.get(raw.Dtype(), DType(raw.Dtype()).name), tuple(map(self.expression, dims)),
                Storage(buffer.Storage()), buffer.Index(), PackKind(raw.Pack()),
            )  # fmt: skip
        return self.known[number]

    def _instruction(self, index: int, epoch: int, raw: Any) -> Instruction:
        start, groups = raw.Operands(), []
        for count in (raw.NArgs(), raw.NResults(), raw.NProgramArgs()):
            numbers = self.pool[start : start + count]
            groups.append(tuple(None if n == NONE else self.operand(n) for n in numbers))
            start += count
        results = tuple(r for r in groups[1] if r is not None)
        family = Family(raw.Family()).name.lower()
        return Instruction(index, epoch, family, groups[0], results, groups[2], self._program(raw.Program()))

    def _program(self, number: int) -> str:
        if number == NONE:
            return ""
        span = self.table.Programs(number)
        code = (self.table.Pointwise(span.First() + i) for i in range(span.Count()))
        names = (PwOp(i.Op()).name.lower() for i in code)
        return " ".join(n for n in names if n not in ("load", "store", "const"))
