"""Every check of the runtime has a file, or a call, that only it refuses."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
from builder import (
    MAGIC,
    NONE,
    Buffer,
    Expr,
    Method,
    Port,
    Program,
    Pw,
    Region,
    fix_checksums,
    fix_header,
    load_store,
    metadata_range,
)

from pappus import runtime
from pappus.runtime.enums import DType, ExprOp, Family, GatherKind, PackKind, PwOp, PwType, ReduceKind, Storage
from pappus.runtime.native import address, aligned, ffi, lib

RULES = Path(__file__).resolve().parents[2] / "runtime_c" / "src" / "rules.def"
F32, I64, F = DType.F32, DType.I64, np.float32
Case = tuple[bytes, list[np.ndarray]] | bytes | int
CASES: dict[str, Callable[[], Case]] = {}


def rules() -> dict[str, int]:
    """Name and number of every rule."""
    return {name: int(number) for number, name in re.findall(r"^PP_RULE\((\d+), (\w+),", RULES.read_text(), re.M)}


def sentences() -> dict[int, str]:
    """Number and sentence of every rule, with its places in braces."""
    pattern = r'^PP_RULE\((\d+), \w+, \w+, "(.*)"\)$'
    return {int(number): text for number, text in re.findall(pattern, RULES.read_text(), re.M)}


def bad(name: str) -> Callable[[Callable[[], Case]], Callable[[], Case]]:
    """The decorated function breaks exactly this rule. It gives a file, a file with inputs, or the rule it met."""

    def keep(function: Callable[[], Case]) -> Callable[[], Case]:
        assert name not in CASES
        CASES[name] = function
        return function

    return keep


def broken(name: str, base: str, change: Callable[[Program, Method], Any], inputs: Any = None) -> None:
    """A case made by changing one of the programs; with inputs it is met by a call."""

    def make() -> Case:
        p = programs.ALL[base]()
        change(p, p.methods[0])
        file = p.build()
        return file if inputs is None else (file, [np.asarray(x) for x in inputs])

    bad(name)(make)


def patched(name: str, change: Callable[[bytearray], Any], fix: Callable[[Any], bytes] = fix_header) -> None:
    """A case made by changing bytes of a file."""

    def make() -> Case:
        file = bytearray(programs.pointwise().build())
        result = change(file)
        return fix(file if result is None else result)

    bad(name)(make)


def put(file: bytearray, form: str, at: int, value: int) -> None:
    struct.pack_into("<" + form, file, at, value)


def same(file: bytearray) -> bytes:
    return bytes(file)


# -- 1xx: the container (section table at 48: kind, crc, offset, size, reserved) ------------------------------

patched("FILE_SHORT", lambda f: f[:47], same)
patched("MAGIC", lambda f: put(f, "B", 0, 0x88), same)
patched("VERSION", lambda f: put(f, "H", 10, 2))
patched("FEATURES", lambda f: put(f, "Q", 16, 1 << 40))
patched("FILE_SIZE", lambda f: f + b"\0", same)
patched("SECTION_COUNT", lambda f: put(f, "I", 32, 17))
patched("HEADER_SIZE", lambda f: put(f, "I", 12, 48 + 32 * 2))
patched("HEADER_CRC", lambda f: put(f, "I", 36, 1), same)
patched("RESERVED", lambda f: put(f, "Q", 40, 1))
patched("SECTION_KIND", lambda f: put(f, "I", 48 + 32, 9))
patched("SECTION_RANGE", lambda f: put(f, "Q", 48 + 32 + 16, 1 << 40))
patched("SECTION_ALIGNMENT", lambda f: put(f, "Q", 48 + 32 + 8, 2048))
patched("NO_METADATA", lambda f: put(f, "I", 48, 4))
patched("SECTION_CRC", lambda f: put(f, "I", 52, 1))


def open_bytes(block: Any, size: int) -> int:
    """The rule that pp_program_open met."""
    memory, error = aligned(lib.pp_program_memory()), ffi.new("pp_error *")
    found = ffi.new("const pp_program **")
    lib.pp_program_open(address(block), size, 0, address(memory), memory.nbytes, found, error)
    return int(error.rule)


@bad("METADATA_SIZE")
def _() -> Case:
    # Refused before anything behind the header is read, so 3 GiB need not exist.
    size = 3 << 30
    head = struct.pack("<8sHHIQQIIQ", MAGIC, 0, 1, 80, 0, size, 1, 0, 0) + struct.pack("<IIQQQ", 1, 0, 80, size - 80, 0)
    block = aligned(80)
    block[...] = np.frombuffer(fix_header(head), np.uint8)
    return open_bytes(block, size)


@bad("FILE_ALIGNMENT")
def _() -> Case:
    file = np.frombuffer(programs.pointwise().build(), np.uint8)
    block = aligned(file.size + 1)
    block[1:] = file
    return open_bytes(block[1:], file.size)


# -- 2xx: FlatBuffer structure --------------------------------------------------------------------------------


def root_field(f: bytearray, slot: int) -> tuple[int, int]:
    """Where the root's vtable entry of a slot lies, and where the field itself lies."""
    base, _ = metadata_range(f)
    root = base + struct.unpack_from("<I", f, base)[0]
    entry = root - struct.unpack_from("<i", f, root)[0] + 4 + 2 * slot
    return entry, root + struct.unpack_from("<H", f, entry)[0]


def break_vector(f: bytearray) -> None:
    _, field = root_field(f, 3)
    put(f, "I", field + struct.unpack_from("<I", f, field)[0], 0x7FFFFFFF)


def break_string(f: bytearray) -> None:
    at = f.index(b"\7\0\0\0forward\0")
    put(f, "B", at + 11, ord("x"))


patched("FB_TABLE", lambda f: put(f, "I", metadata_range(f)[0], 0x7FFFFFF0), fix_checksums)
patched("FB_FIELD", lambda f: put(f, "H", root_field(f, 3)[0], 0xFFF0), fix_checksums)
patched("FB_VECTOR", break_vector, fix_checksums)
patched("FB_STRING", break_string, fix_checksums)
broken("FB_REQUIRED", "pointwise", lambda p, m: setattr(m, "name", None))


@bad("FB_WORK")
def _() -> Case:
    p = programs.pointwise()
    p.debug = False
    p.methods[0].pool += [0] * 5000
    p.methods *= 5000  # one method table, 5000 times
    return p.build()


# -- 3xx: the program and its methods -------------------------------------------------------------------------

broken("CONSTANT_SECTION", "dynamic", lambda p, m: setattr(p.constants[0], "section", 1))
broken("CONSTANT_RANGE", "dynamic", lambda p, m: setattr(p.constants[0], "offset", 32))
broken("STATE_SHAPE", "state", lambda p, m: setattr(p.states[0], "dtype", 0))
broken("STATE_SIZE", "state", lambda p, m: setattr(p.states[0], "size", 12))
broken("STATE_INIT", "state", lambda p, m: setattr(p.states[0], "init", 0))
broken("EXPR_OPERATOR", "dynamic", lambda p, m: m.exprs.append(Expr(9)))
broken("EXPR_ORDER", "dynamic", lambda p, m: m.exprs.append(Expr(ExprOp.ADD, 0, 0, len(m.exprs))))
broken("EXPR_SYMBOL", "dynamic", lambda p, m: m.exprs.append(Expr(ExprOp.SYMBOL, 0, 1)))
broken("SYMBOL_LIMITS", "dynamic", lambda p, m: setattr(m.symbols[0], "min", 65))
broken("GUARD", "guarded", lambda p, m: setattr(m.guards[0], "relation", 4))
broken("BUFFER_STORAGE", "dynamic", lambda p, m: setattr(m.buffers[0], "storage", 5))
broken("BUFFER_INDEX", "dynamic", lambda p, m: setattr(m.buffers[0], "index", 1))
broken("BUFFER_SIZE", "dynamic", lambda p, m: setattr(m.buffers[0], "size", 1000))
broken("BUFFER_PORT", "dynamic", lambda p, m: m.buffer(Storage.INPUT, 0, 4))
broken("VALUE_BUFFER", "dynamic", lambda p, m: setattr(m.values[3], "buffer", 1000))
broken("VALUE_DTYPE", "dynamic", lambda p, m: setattr(m.values[0], "dtype", 14))
broken("VALUE_RANK", "dynamic", lambda p, m: setattr(m.values[0], "rank", 9))
broken("VALUE_DIMS", "dynamic", lambda p, m: setattr(m.values[0], "dims", len(m.pool) - 3))
broken("VALUE_PACK", "dynamic", lambda p, m: setattr(m.values[0], "pack_kind", 4))
broken("VALUE_PACKED", "dynamic", lambda p, m: setattr(m.values[2], "pack_kind", PackKind.CONV_PANEL16))
broken("PORT_VALUE", "dynamic", lambda p, m: m.inputs.append(Port("z", 1000)))
broken("PORT_BUFFER", "dynamic", lambda p, m: m.inputs.append(Port("z", m.inputs[0].value)))
broken("PLAN_LENGTH", "dynamic", lambda p, m: setattr(m, "plan_order", [3]))
broken("REGION", "dynamic", lambda p, m: m.regions.append(Region("gpu", 2, 2)))
broken("SYMBOL_UNDEFINED", "dynamic", lambda p, m: m.symbol("lost", 1, 2))
broken("BUFFER_STATE", "state", lambda p, m: m.value(F32, [4], Storage.STATE, 1))
broken("VALUE_ITEM", "dynamic", lambda p, m: m.value(DType.F64, [1], buffer=0))


@bad("PLAN_ORDER")
def _() -> Case:
    p = programs.dynamic()
    arena = [i for i, b in enumerate(p.methods[0].buffers) if b.storage == Storage.ARENA]
    p.methods[0].plan_order = [arena[0], arena[0]]
    return p.build()


@bad("PLAN_SIZE")
def _() -> Case:
    p = programs.pointwise()
    p.methods[0].buffers += [Buffer(Storage.ARENA, 0, 0)] * 32769
    return p.build()


# -- 4xx: instructions (of "gemm": 0 packed product, 1 dense product with a program) --------------------------


def operand(m: Method, instruction: int, number: int, value: int) -> None:
    m.pool[m.instructions[instruction].operands + number] = value


broken("FAMILY", "gemm", lambda p, m: setattr(m.instructions[0], "family", len(Family)))
broken("OPERAND_LIST", "gemm", lambda p, m: setattr(m.instructions[0], "operands", len(m.pool) - 2))
broken("OPERAND_COUNT", "gemm", lambda p, m: setattr(m.instructions[0], "n_args", 3))
broken("OPERAND", "gemm", lambda p, m: operand(m, 0, 0, len(m.values)))
broken("OPERAND_ABSENT", "gemm", lambda p, m: operand(m, 0, 1, NONE))
broken("OPERAND_PACKED", "gemm", lambda p, m: operand(m, 0, 2, m.pool[m.instructions[0].operands + 1]))
broken("RESULT_STORAGE", "gemm", lambda p, m: operand(m, 0, 4, m.inputs[0].value))
broken("ATTRIBUTES", "norms", lambda p, m: setattr(m.instructions[0], "n_attrs", 1))
broken("FLOATS", "norms", lambda p, m: setattr(m.instructions[0], "floats", len(m.floats)))
broken("PROGRAM", "pointwise", lambda p, m: setattr(m.instructions[0], "program", NONE))
broken("BARRIER", "gemm", lambda p, m: setattr(m.instructions[0], "barrier", 0))
broken("PROGRAM_LOADS", "pointwise", lambda p, m: setattr(m.programs[0], "loads", 2))
broken("LOAD_DTYPE", "pointwise", lambda p, m: setattr(m.values[0], "dtype", DType.I32))
broken("STORE_DTYPE", "pointwise", lambda p, m: setattr(m.values[1], "dtype", DType.I32))
broken("STORE_COUNT", "pointwise", lambda p, m: setattr(m.pointwise[-1], "dst", 1))
broken("INDEX_AXIS", "coordinates", lambda p, m: setattr(m.pointwise[1], "a", 2))
broken("EPOCH", "gemm", lambda p, m: setattr(m.instructions[1], "barrier", 0))


@bad("CHECKED_OPERAND")
def _() -> Case:
    p = Program()
    m = p.method()
    x, y = m.input("x", I64, [8]), m.output("y", I64, [4])
    index = m.value(I64, [4], buffer=m.values[y].buffer)
    m.emit(Family.GATHER, [x, index], [y], attrs=[GatherKind.SELECT, 0])
    return p.build()


# -- 5xx: pointwise programs (of "pointwise": load, exp, store; of "integers": line 4 is a comparison) --------

broken("PW_RANGE", "pointwise", lambda p, m: setattr(m.programs[0], "count", 4))
broken("PW_REGISTERS", "pointwise", lambda p, m: setattr(m.programs[0], "registers", 33))
broken("PW_OPERATOR", "pointwise", lambda p, m: setattr(m.pointwise[1], "op", len(PwOp)))
broken("PW_TYPE", "pointwise", lambda p, m: setattr(m.pointwise[1], "op", PwOp.AND))
broken("PW_REGISTER", "pointwise", lambda p, m: setattr(m.pointwise[1], "dst", 2))
broken("PW_UNWRITTEN", "pointwise", lambda p, m: setattr(m.pointwise[1], "a", 1))
broken("PW_REGISTER_TYPE", "integers", lambda p, m: setattr(m.pointwise[5], "a", 0))
broken("PW_LOAD", "pointwise", lambda p, m: setattr(m.pointwise[0], "a", 1))
broken("PW_STORE_TWICE", "integers", lambda p, m: setattr(m.pointwise[8], "dst", 0))

# -- 6xx: instance and bind -----------------------------------------------------------------------------------

X = np.ones((3, 6), F)  # for "dynamic"


def create(memory: Any, size: int) -> int:
    """The rule that pp_instance_create met."""
    core = runtime.load(programs.state().build())._core
    error, found = ffi.new("pp_error *"), ffi.new("pp_instance **")
    lib.pp_instance_create(core.program, ffi.NULL, memory, size, found, error)
    return int(error.rule)


def bind(count: int, **fields: Any) -> int:
    """The rule that pp_bind_sizes met for the inputs of "pointwise"."""
    core = runtime.load(programs.pointwise().build())._core
    error, found = ffi.new("pp_error *"), ffi.new("uint64_t *")
    tensor = ffi.new("pp_tensor *", {"dtype": F32, "rank": 2, "shape": [4, 5], **fields})
    lib.pp_bind_sizes(core.instance, 0, tensor, count, found, error)
    return int(error.rule)


bad("ARGUMENT")(lambda: create(ffi.NULL, 0))
bad("MEMORY_SMALL")(lambda: create(address(aligned(64)), 64))
bad("MEMORY_ALIGNMENT")(lambda: create(address(aligned(1 << 16)) + 16, (1 << 16) - 16))
bad("INPUT_COUNT")(lambda: bind(0))
bad("INPUT_DTYPE")(lambda: bind(1, dtype=DType.F64))
bad("INPUT_RANK")(lambda: bind(1, rank=1))


@bad("MEMORY_LIMIT")
def _() -> Case:
    p = programs.pointwise()
    for i in range(4):
        p.state(f"s{i}", F32, [2**30, 2**29])
    return p.build()


def add_value(*args: Any, **named: Any) -> Callable[[Program, Method], None]:
    """Make the first instruction of "dynamic" write one more value, which is wrong."""

    def change(p: Program, m: Method) -> None:
        operand(m, 0, 0, m.value(F32, *args, **named))

    return change


def expression(op: int, b: int) -> Callable[[Program, Method], None]:
    """One more node `op(batch, b)` for "dynamic"."""
    def change(p: Program, m: Method) -> None:
        m._node(Expr(op, 0, 0, m.number(b)))

    return change


broken("INPUT_SIZE", "pointwise", lambda p, m: None, [np.ones((4, 6), F)])
broken("SYMBOL_RANGE", "dynamic", lambda p, m: None, [np.ones((65, 6), F)])
broken("SYMBOL_MULTIPLE", "dynamic", lambda p, m: setattr(m.symbols[0], "multiple_of", 2), [X])
broken("INPUT_DISAGREES", "guarded", lambda p, m: None, [np.ones((2, 4), F), np.ones(1, F)])
broken("GUARD_FAILED", "guarded", lambda p, m: None, [np.ones((6, 4), F), np.ones(2, F)])
broken("EXPR_OVERFLOW", "dynamic", expression(ExprOp.MUL, 2**62), [X])
broken("EXPR_DIVISOR", "dynamic", expression(ExprOp.MOD, 0), [X])
broken("SHAPE_RANGE", "dynamic", add_value([2**31, 6], strides=[0, 0], size=64), [X])
broken("STRIDE_RANGE", "dynamic", add_value([3, 6], strides=[-1, 1], size=96), [X])
broken("VALUE_OUTSIDE", "dynamic", add_value([3, 6], offset=1, size=72), [X])
broken("BUFFER_BYTES", "dynamic", lambda p, m: m.buffer(Storage.ARENA, 0, -1), [X])
broken("BUFFER_SMALL", "dynamic", lambda p, m: m.buffer(Storage.CONSTANT, 0, 25), [X])
broken("PACKED_BYTES", "gemm", lambda p, m: setattr(m.buffers[2], "size", m.number(1000)), [np.ones((1, 8), F)])


@bad("PORT_DENSE")
def _() -> Case:
    p = Program()
    m = p.method()
    x, y = m.input("x", F32, [2, 3]), m.value(F32, [2, 3], Storage.OUTPUT, 0, strides=[1, 2])
    m.outputs.append(Port("y", y))
    m.emit(Family.MOVE, [x], [y])
    return p.build(), [np.ones((2, 3), F)]


@bad("CONTRACT")
def _() -> Case:
    p = Program()
    m = p.method()
    x, y = m.input("x", F32, [2, 3]), m.output("y", F32, [3, 2])
    m.emit(Family.MOVE, [x], [y])
    return p.build(), [np.ones((2, 3), F)]


@bad("KERNEL")
def _() -> Case:
    p = Program()
    m = p.method()
    x, y = m.input("x", DType.F16, [2, 3]), m.output("y", DType.F16, [2, 1])
    m.emit(Family.REDUCE, [x], [y], attrs=[ReduceKind.SUM, 2])
    return p.build(), [np.ones((2, 3), np.float16)]


@bad("ARENA_LIMIT")
def _() -> Case:
    p = programs.dynamic()
    m = p.methods[0]
    values = [m.value(F32, [0], size=2**62), m.value(F32, [0], size=2**62)]
    m.map(load_store(PwOp.ABS), [values[0]], [values[1]])
    return p.build(), [X]


# -- 7xx: running ---------------------------------------------------------------------------------------------


@bad("NOT_BOUND")
def _() -> Case:
    core = runtime.load(programs.pointwise().build())._core
    error = ffi.new("pp_error *")
    lib.pp_run(core.instance, 0, 0, error)
    return int(error.rule)


@bad("STATE_DIRTY")
def _() -> Case:
    session = runtime.load(programs.state().build())
    for _ in range(2):
        try:
            session(np.ones((2, 4), F), np.int64(9))
        except runtime.PappusRuntimeError as error:
            rule = error.rule
    return rule


@bad("CANCELLED")
def _() -> Case:
    session = runtime.load(programs.dynamic().build())
    with session.observe(lambda seen: session.cancel()):
        try:
            session(X)
        except runtime.CancelledError as error:
            return error.rule
    return 0


broken("INDEX", "gather", lambda p, m: None, [np.array([10]), np.zeros((1, 2), np.int32)])
broken("DIVISOR", "integers", lambda p, m: None, [np.array([1]), np.array([0])])
broken("POSITION", "state", lambda p, m: None, [np.ones((2, 4), F), np.int64(7)])

# -- the tests ------------------------------------------------------------------------------------------------


def test_every_rule_has_a_case() -> None:
    assert set(CASES) == set(rules())
    numbers = list(rules().values())
    assert len(numbers) == len(set(numbers)), "a number is used twice"
    assert set(sentences()) == set(numbers), "a rule's line is not of the usual form"


@pytest.mark.parametrize("name", list(CASES))
def test_rule(name: str) -> None:
    number = rules()[name]
    case = CASES[name]()
    if isinstance(case, int):
        assert case == number
        return
    file, inputs = (case, None) if isinstance(case, bytes) else case
    with pytest.raises(runtime.PappusRuntimeError) as caught:
        session = runtime.load(file)
        assert inputs is not None, "the file was accepted"
        session(*inputs)
    assert caught.value.rule == number, caught.value
    # A sentence without unfilled places that says where it is.
    message = caught.value.message
    assert re.fullmatch(r"[^{}\0]{10,}", message)
    template = sentences()[number]
    assert ("{at}" in template) == bool(re.search(r"^method \S+, instruction \d+", message))
    assert "{method}" not in template or re.search(r"^method \S+: ", message)
    assert "{input}" not in template or re.search(r"^input '\w+'", message)
    assert "{dim}" not in template or re.search(r"dim \d", message)
    assert "{symbol}" not in template or re.search(r"dim \d \(\w+\)", message)


@pytest.mark.parametrize("name", list(programs.ALL))
def test_the_programs_themselves_are_accepted(name: str) -> None:
    runtime.load(programs.ALL[name]().build(), verify=True)


def test_program_that_stores_too_little() -> None:
    p = programs.integers()
    p.methods[0].pointwise[-1] = Pw(PwOp.LOAD, PwType.I64, 6, 0)
    with pytest.raises(runtime.FormatError) as caught:
        runtime.load(p.build())
    assert caught.value.rule == rules()["STORE_COUNT"]
