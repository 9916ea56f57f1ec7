"""Pointwise programs: any DAG of elementwise operators as a short list of register instructions.

The instruction set is that of docs/format.md. `OPERATORS` says how a core operator becomes
instructions; a new elementwise operator is one line there.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from pappus.export.ir.graph import Node, Value
from pappus.frontend import dtypes
from pappus.frontend.dtypes import DType

MAX_REGISTERS = 32
_CLASS = {
    "float32": "F32", "float16": "F32", "bfloat16": "F32", "float64": "F64", "int32": "I32", "int16": "I32",
    "uint16": "I32", "int8": "I32", "uint8": "I32", "int64": "I64", "uint32": "I64", "bool": "MASK",
}  # fmt: skip
_SHIFT = {"int8": 24, "int16": 16}
_AND = {"uint8": 0xFF, "uint16": 0xFFFF, "uint32": 0xFFFFFFFF}


class NotPointwise(Exception):
    """A node cannot become pointwise instructions; the text says why, for the export report."""


class TooManyRegisters(Exception):
    """A program needs more registers than there are: the group must be split."""


@dataclass(frozen=True)
class PwInstruction:
    """One instruction; fields as in the schema's struct of the same name."""

    op: str
    type: str
    dst: int = 0
    a: int = 0
    b: int = 0
    c: int = 0
    imm: int = 0


@dataclass(frozen=True)
class PwProgram:
    """A finished program: instructions with physical registers, register count, number of operands."""

    code: tuple[PwInstruction, ...]
    registers: int
    loads: int

    def __str__(self) -> str:
        return "; ".join(f"{i.op.lower()}.{i.type.lower()}" for i in self.code if i.op not in ("LOAD", "STORE"))


def register_class(dtype: DType) -> str:
    """The register type that holds `dtype`; NotPointwise if there is none (complex, uint64)."""
    try:
        return _CLASS[dtype.name]
    except KeyError:
        raise NotPointwise(f"no pointwise registers for {dtype.name}") from None


@dataclass(frozen=True)
class Reg:
    """A virtual register (written once) and the dtype of the tensor element it holds."""

    number: int
    dtype: DType

    @property
    def type(self) -> str:
        """Its register class."""
        return register_class(self.dtype)


class Builder:
    """Emits instructions on virtual registers; identical instructions are emitted once."""

    def __init__(self) -> None:
        self.code: list[PwInstruction] = []
        self._known: dict[PwInstruction, int] = {}

    def emit(self, op: str, dtype: DType, a: int = 0, b: int = 0, c: int = 0, imm: int = 0, type: str = "") -> Reg:
        """Append an instruction whose result has `dtype`; `type` where the operation's class differs (compares)."""
        key = PwInstruction(op, type or register_class(dtype), 0, a, b, c, imm)
        if key not in self._known:
            self._known[key] = len(self.code)
            self.code.append(key)
        return Reg(self._known[key], dtype)

    def constant(self, value: float | int | bool, dtype: DType) -> Reg:
        """A constant of `dtype`."""
        kind = register_class(dtype)
        if kind == "F32":
            with np.errstate(over="ignore"):
                imm = struct.unpack("<I", struct.pack("<f", np.float32(value)))[0]
        elif kind == "F64":
            imm = struct.unpack("<Q", struct.pack("<d", float(value)))[0]
        elif kind == "I32":
            imm = int(value) & 0xFFFFFFFF
        elif kind == "I64":
            imm = int(value) & 0xFFFFFFFFFFFFFFFF
        else:
            imm = int(bool(value))
        return self.emit("CONST", dtype, imm=imm)

    def cast(self, reg: Reg, dtype: DType) -> Reg:
        """`reg` converted to `dtype` (wrapping narrow integers)."""
        source, target = reg.type, register_class(dtype)
        if source != target:
            number = self.emit("CAST", dtype, reg.number, 0, _TYPES.index(source)).number
            reg = Reg(number, dtype)
        return self.wrap(Reg(reg.number, dtype)) if reg.dtype is not dtype or source != target else reg

    def wrap(self, reg: Reg) -> Reg:
        """Keep narrow integers in their range, as a store and a load would."""
        name = reg.dtype.name
        if name in _SHIFT:
            count = self.constant(_SHIFT[name], dtypes.int32).number
            up = self.emit("SHL", dtypes.int32, reg.number, count).number
            return Reg(self.emit("SHR", dtypes.int32, up, count).number, reg.dtype)
        if name in _AND:
            wide = dtypes.int64 if name == "uint32" else dtypes.int32
            return Reg(self.emit("AND", wide, reg.number, self.constant(_AND[name], wide).number).number, reg.dtype)
        return reg

    def op(self, name: str, dtype: DType, *regs: Reg) -> Reg:
        """An operation whose operands are first cast to `dtype`, which is also the result's."""
        a, b, c = ([self.cast(r, dtype).number for r in regs] + [0, 0])[:3]
        return self.wrap(self.emit(name, dtype, a, b, c))

    def compare(self, name: str, a: Reg, b: Reg) -> Reg:
        """EQ, NE, LT or LE in the promoted type of both."""
        wide = dtypes.promote_types(a.dtype, b.dtype)
        if wide is dtypes.bool_ and name in ("LT", "LE"):
            wide = dtypes.int32
        x, y = self.cast(a, wide), self.cast(b, wide)
        return self.emit(name, dtypes.bool_, x.number, y.number, type=register_class(wide))

    def select(self, mask: Reg, a: Reg, b: Reg, dtype: DType) -> Reg:
        """`mask ? a : b` in `dtype`."""
        test = self.cast(mask, dtypes.bool_)
        return self.emit("SELECT", dtype, test.number, self.cast(a, dtype).number, self.cast(b, dtype).number)


_TYPES = ("F32", "I32", "MASK", "F64", "I64")
Rule = Callable[[Builder, Node, list[Reg], DType], Reg]


def _same(name: str) -> Rule:
    return lambda b, node, regs, dtype: b.op(name, dtype, *regs)


def _compare(name: str, swap: bool = False) -> Rule:
    return lambda b, node, regs, dtype: b.compare(name, *(regs[::-1] if swap else regs))


def _logical(name: str) -> Rule:
    return lambda b, node, regs, dtype: b.op(name, dtypes.bool_, *regs)


def _bitwise(name: str) -> Rule:
    return lambda b, node, regs, dtype: b.op(name, dtype, *regs)


def _or_bool(name: str, on_bool: str) -> Rule:
    """An operation that has another name on booleans."""
    return lambda b, node, regs, dtype: b.op(on_bool if dtype is dtypes.bool_ else name, dtype, *regs)


def _clamp(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    (x,) = regs
    x = b.cast(x, dtype)
    if node.attrs.get("min") is not None:
        x = b.op("MAX", dtype, x, b.constant(node.attrs["min"], dtype))
    if node.attrs.get("max") is not None:
        x = b.op("MIN", dtype, x, b.constant(node.attrs["max"], dtype))
    return x


def _where(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    return b.select(regs[0], regs[1], regs[2], dtype)


def _relu(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    return b.op("MAX", dtype, regs[0], b.constant(0, dtype))


def _to_dtype(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    return b.cast(regs[0], dtype)


def _full(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    value = node.attrs.get("fill_value", node.attrs.get("value"))
    if not isinstance(value, (int, float, bool)):
        raise NotPointwise("a tensor filled with a symbolic size is not supported")
    return b.constant(value, dtype)


def _arange(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    start, step = node.attrs.get("start", 0) or 0, node.attrs.get("step", 1)
    if not isinstance(start, (int, float)) or not isinstance(step, (int, float)):
        raise NotPointwise("arange with a symbolic start or step is not supported")
    wide = dtypes.int64 if not dtype.is_floating_point else dtypes.int32
    index = b.emit("INDEX", wide, 0)
    value = b.cast(index, dtype)
    if step != 1:
        value = b.op("MUL", dtype, value, b.constant(step, dtype))
    return b.op("ADD", dtype, value, b.constant(start, dtype)) if start != 0 else value


def _unary_float(name: str) -> Rule:
    return lambda b, node, regs, dtype: b.op(name, dtype, *regs)


def _isnan(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    (x,) = regs
    if not x.dtype.is_floating_point:
        return b.constant(False, dtypes.bool_)
    return b.emit("ISNAN", dtypes.bool_, x.number, type=x.type)


def _rounding(name: str) -> Rule:
    def rule(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
        if not dtype.is_floating_point:
            return b.cast(regs[0], dtype)
        decimals = int(node.attrs.get("decimals", 0) or 0)
        if not decimals:
            return b.op(name, dtype, *regs)
        before, after = ("MUL", "DIV") if decimals > 0 else ("DIV", "MUL")
        scale = b.constant(10 ** abs(decimals), dtype)
        return b.op(after, dtype, b.op(name, dtype, b.op(before, dtype, regs[0], scale)), scale)

    return rule


def _arc(swap: bool) -> Rule:
    """asin(x) = atan2(x, c) and acos(x) = atan2(c, x), with c = sqrt((1 - x) (1 + x))."""

    def rule(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
        x, one = b.cast(regs[0], dtype), b.constant(1, dtype)
        c = b.op("SQRT", dtype, b.op("MUL", dtype, b.op("SUB", dtype, one, x), b.op("ADD", dtype, one, x)))
        return b.op("ATAN2", dtype, c, x) if swap else b.op("ATAN2", dtype, x, c)

    return rule


def _is_infinite(b: Builder, x: Reg) -> Reg:
    size = b.op("ABS", x.dtype, x)
    return b.compare("EQ", size, b.constant(math.inf, x.dtype))


def _isinf(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    (x,) = regs
    return _is_infinite(b, x) if x.dtype.is_floating_point else b.constant(False, dtypes.bool_)


def _isfinite(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    (x,) = regs
    if not x.dtype.is_floating_point:
        return b.constant(True, dtypes.bool_)
    return b.compare("LT", b.op("ABS", x.dtype, x), b.constant(math.inf, x.dtype))


def _scaled(name: str, before: float = 1.0, after: float = 1.0) -> Rule:
    """`name(x * before) * after`, the factors in the register's precision whatever the type."""

    def rule(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
        x = b.cast(regs[0], dtype)
        if before != 1:
            x = b.op("MUL", dtype, x, b.constant(before, dtype))
        x = b.op(name, dtype, x)
        return b.op("MUL", dtype, x, b.constant(after, dtype)) if after != 1 else x

    return rule


def _hyperbolic(sine: bool) -> Rule:
    """With u = exp(|x| / 2): cosh = (u / 2) u + 1 / (2 u u), sinh = sign(x) (u - 1/u) (u + 1/u) / 2, where u - 1/u
    comes from expm1.

    Half the exponent keeps the range in which only the result overflows.
    """

    def rule(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
        def op(name: str, *operands: Reg) -> Reg:
            return b.op(name, dtype, *operands)

        x, half, one = b.cast(regs[0], dtype), b.constant(0.5, dtype), b.constant(1, dtype)
        # Beyond this both are infinite; within, no intermediate is.
        size = op("MIN", op("ABS", x), b.constant(1400.0 if register_class(dtype) == "F64" else 170.0, dtype))
        h = op("MUL", size, half)
        if not sine:
            u = op("EXP", h)
            return op("ADD", op("MUL", op("MUL", u, half), u), op("DIV", op("DIV", half, u), u))
        t = op("EXPM1", h)
        u = op("ADD", t, one)
        low, high = op("ADD", t, op("DIV", t, u)), op("ADD", u, op("DIV", one, u))
        return op("MUL", op("SIGN", x), op("MUL", op("MUL", low, half), high))

    return rule


def _floor_divide(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    """Integers: DIV, which rounds down. Floats as Python: the quotient that the remainder leaves, exact in its last
    digit.
    """
    if not dtype.is_floating_point:
        return b.op("DIV", dtype, *regs)

    def op(name: str, *operands: Reg) -> Reg:
        return b.op(name, dtype, *operands)

    x, y = (b.cast(r, dtype) for r in regs)
    zero, infinity = b.constant(0, dtype), b.constant(math.inf, dtype)
    quotient = op("ROUND", op("DIV", op("SUB", x, op("REM", x, y)), y))
    quotient = b.select(b.compare("EQ", y, zero), op("DIV", x, y), quotient, dtype)
    opposite = b.compare("LT", op("MUL", x, y), zero)
    by_infinity = b.select(opposite, b.constant(-1, dtype), zero, dtype)
    finite = b.compare("LT", op("ABS", x), infinity)
    special = b.emit("AND", dtypes.bool_, _is_infinite(b, y).number, finite.number)
    return b.select(special, by_infinity, quotient, dtype)


def _fmod(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    """The remainder with the sign of the dividend, from REM, which has the divisor's."""
    x, y = (b.cast(r, dtype) for r in regs)
    zero = b.constant(0, dtype)
    if dtype.is_floating_point:
        rest = b.op("REM", dtype, b.op("ABS", dtype, x), b.op("ABS", dtype, y))
        return b.select(b.compare("LT", x, zero), b.op("NEG", dtype, rest), rest, dtype)
    rest = b.op("REM", dtype, x, y)
    signs = b.emit("XOR", dtypes.bool_, b.compare("LT", x, zero).number, b.compare("LT", y, zero).number)
    wrong = b.emit("AND", dtypes.bool_, signs.number, b.compare("NE", rest, zero).number)
    return b.select(wrong, b.op("SUB", dtype, rest, y), rest, dtype)


def _atan(b: Builder, node: Node, regs: list[Reg], dtype: DType) -> Reg:
    return b.op("ATAN2", dtype, regs[0], b.constant(1, dtype))


OPERATORS: dict[str, Rule] = {
    "add": _or_bool("ADD", "OR"), "sub": _same("SUB"), "mul": _or_bool("MUL", "AND"), "div": _same("DIV"),
    "remainder": _same("REM"), "pow": _same("POW"), "maximum": _or_bool("MAX", "OR"), "minimum": _or_bool("MIN", "AND"),
    "atan2": _same("ATAN2"),
    "neg": _same("NEG"), "abs": _same("ABS"), "sign": _same("SIGN"), "relu": _relu, "clamp": _clamp,
    "reciprocal": _unary_float("RECIPROCAL"), "sqrt": _unary_float("SQRT"), "rsqrt": _unary_float("RSQRT"),
    "exp": _unary_float("EXP"), "expm1": _unary_float("EXPM1"), "log": _unary_float("LOG"),
    "log1p": _unary_float("LOG1P"), "sin": _unary_float("SIN"), "cos": _unary_float("COS"),
    "tanh": _unary_float("TANH"), "sigmoid": _unary_float("SIGMOID"), "erf": _unary_float("ERF"),
    "floor": _rounding("FLOOR"), "ceil": _rounding("CEIL"), "round": _rounding("ROUND"), "trunc": _rounding("TRUNC"),
    "asin": _arc(False), "acos": _arc(True), "atan": _atan,
    "cosh": _hyperbolic(False), "sinh": _hyperbolic(True), "exp2": _scaled("EXP", before=math.log(2)),
    "log2": _scaled("LOG", after=1 / math.log(2)), "log10": _scaled("LOG", after=1 / math.log(10)),
    "floor_divide": _floor_divide, "fmod": _fmod, "isinf": _isinf, "isfinite": _isfinite, "isnan": _isnan,
    "where": _where, "to_dtype": _to_dtype, "full": _full, "arange": _arange,
    "eq": _compare("EQ"), "ne": _compare("NE"), "lt": _compare("LT"), "le": _compare("LE"),
    "gt": _compare("LT", swap=True), "ge": _compare("LE", swap=True),
    "logical_and": _logical("AND"), "logical_or": _logical("OR"), "logical_xor": _logical("XOR"),
    "logical_not": _logical("NOT"),
    "bitwise_and": _bitwise("AND"), "bitwise_or": _bitwise("OR"), "bitwise_xor": _bitwise("XOR"),
    "bitwise_not": _bitwise("NOT"),
}  # fmt: skip


def scalar_of(value: Value) -> float | int | bool | None:
    """The number, if a value is a constant with one element."""
    if value.constant is None or value.constant.size != 1:
        return None
    item = value.constant.reshape(-1)[0]
    return item.item() if hasattr(item, "item") else float(item)


@dataclass(frozen=True)
class Compiled:
    """A program, the values its operands load (in order) and the values its results store."""

    program: PwProgram
    operands: tuple[Value, ...]
    results: tuple[Value, ...]


def compile_program(nodes: Sequence[Node], results: Sequence[Value], accumulator: Value | None = None) -> Compiled:
    """Compile `nodes` (in execution order) into one program storing `results`.

    With `accumulator` the program is an epilogue: operand 0 is that value. Raises NotPointwise or TooManyRegisters.
    """
    builder = Builder()
    regs: dict[Value, Reg] = {}
    operands: list[Value] = []
    first = 0 if accumulator is None else 1
    if accumulator is not None:
        regs[accumulator] = builder.emit("LOAD", accumulator.dtype, 0)

    def reg_of(value: Value) -> Reg:
        if value in regs:
            return regs[value]
        number = scalar_of(value)
        if number is not None:
            regs[value] = builder.constant(number, value.dtype)
        else:
            if value not in operands:
                operands.append(value)
            regs[value] = builder.emit("LOAD", value.dtype, operands.index(value) + first)
        return regs[value]

    for node in nodes:
        dtype = node.output.dtype
        result = OPERATORS[node.op](builder, node, [reg_of(v) for v in node.inputs], dtype)
        regs[node.output] = Reg(result.number, dtype)
    stores = [(regs[v], i) for i, v in enumerate(results)]
    return Compiled(_allocate(builder, stores, len(operands) + first), tuple(operands), tuple(results))


_OPERANDS = {"LOAD": 0, "CONST": 0, "INDEX": 0, "CAST": 1, "SELECT": 3}
_BINARY = {
    "ADD", "SUB", "MUL", "DIV", "REM", "POW", "MIN", "MAX", "ATAN2", "AND", "OR", "XOR", "SHL", "SHR",
    "EQ", "NE", "LT", "LE",
}  # fmt: skip


# Their result may be wider than an operand, so it must not overwrite the operand's register.
_CHANGES_WIDTH = {"CAST", "SELECT", "EQ", "NE", "LT", "LE", "ISNAN"}


def _reads(i: PwInstruction) -> tuple[int, ...]:
    count = _OPERANDS.get(i.op, 2 if i.op in _BINARY else 1)
    return (i.a, i.b, i.c)[:count]


def _allocate(builder: Builder, stores: list[tuple[Reg, int]], loads: int) -> PwProgram:
    """Linear scan: a physical register is free again after the last read of what it holds."""
    last: dict[int, int] = {}
    for index, instruction in enumerate(builder.code):
        for number in _reads(instruction):
            last[number] = index
    for reg, _ in stores:
        last[reg.number] = len(builder.code)
    physical: dict[int, int] = {}
    free: list[int] = []
    used = 0
    code: list[PwInstruction] = []
    for index, i in enumerate(builder.code):
        if index not in last:
            continue
        reads = [physical[n] for n in _reads(i)]
        done = [physical[n] for n in set(_reads(i)) if last[n] == index]
        if i.op not in _CHANGES_WIDTH:
            free.extend(done)
        free.sort(reverse=True)
        if free:
            target = free.pop()
        else:
            target, used = used, used + 1
        if used > MAX_REGISTERS:
            raise TooManyRegisters
        physical[index] = target
        if i.op in _CHANGES_WIDTH:
            free.extend(done)
        a, b, c = reads + [i.a, i.b, i.c][len(reads) :]
        code.append(PwInstruction(i.op, i.type, target, a, b, c, i.imm))
    for reg, result in stores:
        code.append(PwInstruction("STORE", reg.type, result, physical[reg.number]))
    return PwProgram(tuple(code), used, loads)


def example(program: PwProgram) -> Any:
    """The instructions as tuples, for printing and tests."""
    return [(i.op, i.type, i.dst, i.a, i.b, i.c, i.imm) for i in program.code]
