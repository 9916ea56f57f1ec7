"""Elementwise operators as pointwise programs: every operator and type in the C runtime against eager, special values
included.
"""

from __future__ import annotations

import itertools
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from road import Array, array, ops_of, run, same, tensor

import pappus as pp
from pappus.export import UnsupportedOperators
from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.pointwise import (
    MAX_REGISTERS,
    OPERATORS,
    NotPointwise,
    TooManyRegisters,
    compile_program,
    register_class,
    scalar_of,
)
from pappus.frontend import dtypes
from pappus.frontend.opdef import OPS
from pappus.frontend.tensor import Tensor

BF16 = np.dtype(ml_dtypes.bfloat16)
TYPES: dict[str, Any] = {n: np.dtype(n) for n in (
    "float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "uint16", "uint32", "bool",
)} | {"bfloat16": BF16}  # fmt: skip
FLOATS = [
    0.0,
    -0.0,
    1.0,
    -1.0,
    0.5,
    1.5,
    2.5,
    -0.5,
    -2.5,
    3.75,
    -7.25,
    20.0,
    -20.0,
    88.0,
    1e-5,
    -1e-7,
    1e4,
    np.inf,
    -np.inf,
    np.nan,
]
COMPLEX = {"conj_physical", "sgn"}  # of complex numbers only, which the runtime has not
POINTWISE = sorted(
    n for n, op in OPS.items() if "pointwise" in op.tags and n not in ("to_dtype", "prelu") and n not in COMPLEX
)
BOUNDED = {"sin", "cos", "tan"}  # large arguments are tested with the kernels
ATTRS: dict[str, dict[str, Any]] = {"clamp": {"min": -1, "max": 3}}


def values(name: str) -> Array:
    kind = TYPES[name]
    if kind == BF16 or kind.kind == "f":
        return np.array(FLOATS, np.float64).astype(kind)
    if kind.kind == "b":
        return np.array([False, True])
    info = np.iinfo(kind)
    picked = {
        0,
        1,
        2,
        3,
        5,
        100,
        info.max,
        info.min,
        info.max - 1,
        info.min + 1,
        -1 if info.min else 4,
        -7 if info.min else 7,
    }
    return np.array(sorted(picked), kind)


def to_file(a: Array) -> Array:
    return a.view(np.uint16) if a.dtype == BF16 else a


def check(found: Array, wanted: Array, rtol: float, atol: float = 1e-6) -> None:
    """Element by element, NaN and infinities exactly."""
    if wanted.dtype == BF16:
        found = found.view(BF16)
    assert found.shape == wanted.shape and found.dtype == wanted.dtype
    if wanted.dtype.kind != "f" and wanted.dtype != BF16:
        assert np.array_equal(found, wanted), (found, wanted)
        return
    f, w = found.astype(np.float64), wanted.astype(np.float64)
    with np.errstate(invalid="ignore"):
        good = (f == w) | (np.isnan(f) & np.isnan(w)) | (np.abs(f - w) <= rtol * np.abs(w) + min(rtol, atol))
    assert good.all(), [(i, f[i], w[i]) for i in map(tuple, np.argwhere(~good))][:5]


TOLERANCE = {"float32": 1e-5, "float64": 1e-6, "float16": 2e-3, "bfloat16": 2e-2}


def is_whole(name: str) -> bool:
    """Whether an operator has instructions of its own, or is an activation: special values are then specified."""
    op = OPS[name]
    return op.decompose is None or name in OPERATORS or "activation" in op.tags


def operands(name: str, dtype: str) -> list[Array]:
    """Special values of a type (ordinary ones for mere compositions), all pairs of them for two operands."""
    count = len(OPS[name].schema.tensors)
    one = values(dtype)
    if not is_whole(name):
        with np.errstate(invalid="ignore"):
            one = one[np.abs(one.astype(np.float64)) <= 20]
            one = one[(one != 0) | ~np.signbit(one)] if one.dtype.kind == "f" else one
    if name in BOUNDED and one.dtype.kind == "f":
        one = one[~(np.abs(one) > 1000)]
    if name == "erfinv":
        one = one[np.abs(one) < 1]  # at the ends its composition gives NaN
    if name == "gelu":
        one = one[~np.isneginf(one)] if one.dtype.kind == "f" or one.dtype == BF16 else one
    if count == 1:
        return [one]
    left, right = (np.array(v) for v in zip(*itertools.product(range(len(one)), repeat=2), strict=True))
    arrays = [one[left], one[right]]
    keep = np.ones(len(left), bool)
    if one.dtype.kind in "iu" and name in ("remainder", "fmod", "floor_divide"):
        keep = arrays[1] != 0  # division by zero is an error of its own, below
    if one.dtype.kind in "iu" and name == "pow":
        keep = (arrays[1] >= 0) & (arrays[1] < 8)
    arrays = [a[keep] for a in arrays]
    return [np.arange(len(arrays[0])) % 3 == 0, *arrays] if name == "where" else arrays


@pytest.mark.parametrize("name", POINTWISE)
def test_operator_in_every_type(name: str) -> None:
    """One program per operator with the operands of every type that eager takes."""
    op = lambda *given: OPS[name](*given, **ATTRS.get(name, {}))  # noqa: E731
    groups, wanted, used = [], [], []
    for dtype in TYPES if is_whole(name) else ("float32", "float64", "int32", "int64"):
        arrays = operands(name, dtype)
        if dtype == "bool" and name in NOT_ON_BOOLS:
            continue
        try:
            with np.errstate(all="ignore"):
                wanted.append(np.asarray(op(*map(Tensor._from_data, arrays))._data))
        except (pp.PappusError, TypeError):
            continue
        groups.append(arrays)
        used.append(dtype)
    assert "float32" in used or name.startswith("bitwise")
    counts = [len(g) for g in groups]

    def call(*given: Tensor) -> Any:
        rest = list(given)
        return tuple(op(*(rest.pop(0) for _ in range(count))) for count in counts)

    flat = [a for g in groups for a in g]
    with np.errstate(all="ignore"):
        program = pp.export.lower(pp.export.export(call, [Tensor._from_data(a) for a in flat]))
        found = run(program, [to_file(a) for a in flat])
    assert not is_whole(name) or ops_of(program.graph) == ["pointwise"] * len(groups), program.graph
    for dtype, f, w in zip(used, found, wanted, strict=True):
        try:
            check(f, w, TOLERANCE.get(w.dtype.name, TOLERANCE.get(dtype, 1e-5)), 1e-6)
        except AssertionError as error:
            raise AssertionError(f"{name} on {dtype}: {error}") from None


# Operators that torch refuses on booleans.
NOT_ON_BOOLS = (
    "abs",
    "neg",
    "sub",
    "pow",
    "fmod",
    "floor_divide",
    "remainder",
    "relu",
    "sign",
    "clamp",
    "relu6",
    "hardtanh",
)


def representable(x: Array, kind: np.dtype[Any]) -> Array:
    """The values that fit a type: what does not is saturated, below; numpy leaves it undefined."""
    if kind.kind not in "iu" or (x.dtype.kind != "f" and x.dtype != BF16):
        return x
    info = np.iinfo(kind)
    wide = x.astype(np.float64)
    inside = np.isfinite(wide)
    inside[inside] = (wide[inside] >= info.min) & (wide[inside] <= min(info.max, 2**53))
    return x[inside]


@pytest.mark.parametrize("source", TYPES)
def test_casts_to_all_types(source: str) -> None:
    arrays = [representable(values(source), kind) for kind in TYPES.values()]
    targets = [dtypes.as_dtype(t) for t in TYPES]

    def call(*given: Tensor) -> Any:
        return tuple(
            t.to(d) if t.dtype is not d else pp.where(t == t, t, t) for t, d in zip(given, targets, strict=True)
        )

    tensors = [Tensor._from_data(a) for a in arrays]
    with np.errstate(all="ignore"):
        wanted = [np.asarray(t._data) for t in call(*tensors)]
        found = run(pp.export.lower(pp.export.export(call, tensors)), [to_file(a) for a in arrays])
    for target, f, w in zip(TYPES, found, wanted, strict=True):
        try:
            check(f, w, 0.0)
        except AssertionError as error:
            raise AssertionError(f"{source} to {target}: {error}") from None


def test_casts_to_integers_saturate_and_nan_is_zero() -> None:
    x = np.array([np.nan, np.inf, -np.inf, 1e30, -1e30, 2.9, -2.9], "f4")
    (found,) = run(
        pp.export.lower(pp.export.export(lambda t: t.to(pp.int32), (Tensor._from_data(x),), check="off")), [x]
    )
    assert found.tolist() == [0, 2**31 - 1, -(2**31), 2**31 - 1, -(2**31), 2, -2]


def test_integer_division_by_zero_is_an_error() -> None:
    program = pp.export.lower(pp.export.export(lambda a, b: a % b, (pp.tensor([4, 5]), pp.tensor([2, 3]))))
    with pp.runtime.load(program.to_bytes()) as session:
        assert session(np.array([7, -7]), np.array([4, 4])).tolist() == [3, 1]
        with pytest.raises(pp.runtime.DivisorError, match=r"test_pointwise\.py:\d+"):
            session(np.array([7, 7]), np.array([4, 0]))


def test_mixed_types_promote_as_in_eager() -> None:
    names = ("float32", "int64", "uint8", "bool", "float16")
    for a, b in itertools.product(names, repeat=2):
        x, y = np.array([0, 1, 3, 5]).astype(TYPES[a]), np.array([1, 2, 3, 4]).astype(TYPES[b])
        same(lambda p, q: (p + q, p * q, p / q, p < q, pp.where(p == q, p, q)), [x, y])


def test_python_numbers_take_no_part_in_promotion() -> None:
    for name in ("float16", "float32", "int32", "uint8"):
        same(
            lambda t: (t + 1, t * 2, 3 - t, t > 1, t + 1.5 if t.dtype.is_floating_point else t),
            [np.array([0, 1, 2]).astype(TYPES[name])],
        )


def test_broadcasting_modes() -> None:
    """Scalars, rows, columns and inner axes: operands are read with stride 0, not copied."""
    shapes = [(4, 5), (1, 5), (4, 1), (5,), (1, 1), ()]
    program = same(lambda *t: sum(t[1:], t[0] * 2), [array(*s, seed=i) for i, s in enumerate(shapes)])
    assert ops_of(program.graph) == ["pointwise"]


def test_one_element_constants_become_immediates() -> None:
    scale = pp.tensor([2.5])
    program = same(lambda x: x * scale + 1, [array(3)])
    assert not program.pool.arrays and ops_of(program.graph) == ["pointwise"]
    assert scalar_of(Value("c", dtypes.float32, (1,), constant=np.array([2.5], "f4"))) == 2.5


def test_rank_eight_and_empty() -> None:
    same(lambda x: pp.tanh(x) + x.permute(7, 6, 5, 4, 3, 2, 1, 0), [array(2, 1, 2, 1, 1, 2, 1, 2)], rtol=1e-5)
    same(lambda x: pp.exp(x) * 2, [array(0, 3)])
    same(lambda x: pp.exp(x), [array()])


# -- the compiler itself ----------------------------------------------------------------------------


def test_identical_steps_are_computed_once_and_registers_reused() -> None:
    graph = Graph("g")
    x = Value("x", dtypes.float32, (4,))
    node, nodes = x, []
    for _ in range(40):
        made = graph.add("tanh", (node,), {}, [(dtypes.float32, (4,))])
        nodes.append(made)
        node = made.output
    compiled = compile_program(nodes, [node])
    assert compiled.program.registers <= 2 and len(compiled.operands) == 1
    a = graph.add("exp", (x,), {}, [(dtypes.float32, (4,))])
    b = graph.add("exp", (x,), {}, [(dtypes.float32, (4,))])
    c = graph.add("add", (a.output, b.output), {}, [(dtypes.float32, (4,))])
    assert [i.op for i in compile_program([a, b, c], [c.output]).program.code] == ["LOAD", "EXP", "ADD", "STORE"]


def wide(count: int) -> Any:
    """A function whose intermediate results are all alive at once."""

    def f(x: Tensor) -> Tensor:
        parts = [pp.sin(x * (i + 1)) for i in range(count)]
        total = parts[-1]
        for part in reversed(parts[:-1]):
            total = total * 0.5 + part
        return total

    return f


def test_a_group_that_needs_too_many_registers_is_split() -> None:
    program = same(wide(MAX_REGISTERS + 20), [array(7)], rtol=1e-4)
    kinds = ops_of(program.graph)
    assert 1 < len(kinds) < 60 and set(kinds) == {"pointwise"}
    assert all(n.attrs["program"].registers <= MAX_REGISTERS for n in program.graph.nodes)
    assert ops_of(same(wide(8), [array(7)], rtol=1e-4).graph) == ["pointwise"]


def test_too_many_registers_is_raised_by_the_compiler() -> None:
    ep = pp.export.export(wide(MAX_REGISTERS + 4), (tensor(3),))
    with pytest.raises(TooManyRegisters):
        compile_program(ep.graph.nodes, [ep.graph.outputs[0]])


def test_more_operands_than_an_instruction_has() -> None:
    same(lambda *t: sum(t[1:], t[0]), [array(3, seed=i) for i in range(40)], rtol=1e-5)


def test_types_without_registers_are_refused() -> None:
    with pytest.raises(NotPointwise, match="uint64"):
        register_class(dtypes.as_dtype("uint64"))
    x = Tensor._from_data(np.array([1, 2], np.uint64))
    with pytest.raises(UnsupportedOperators, match="no pointwise registers for uint64"):
        pp.export.lower(pp.export.export(lambda t: t + t, (x,)))


def test_every_primitive_elementwise_operator_has_a_rule() -> None:
    missing = [n for n in POINTWISE if OPS[n].decompose is None and n not in OPERATORS]
    assert not missing
    assert not [n for n in OPERATORS if n not in OPS], "rules for operators that do not exist"


def test_node_that_reads_a_value_twice() -> None:
    x = Value("x", dtypes.float32, (2,))
    node = Node("mul", (x, x), {}, [Value("y", dtypes.float32, (2,))])
    assert len(compile_program([node], node.outputs).operands) == 1
