"""Small whole programs for the tests and as seeds for the fuzzer: each family, dynamic sizes, state, two methods."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from builder import Guard, Method, Program, Pw, Ref, Region, Size, gemm_panels, load_store

from pappus.runtime.enums import (
    DType,
    ExprOp,
    Family,
    GatherKind,
    NormKind,
    PackKind,
    PoolKind,
    PwOp,
    PwType,
    ReduceKind,
    Relation,
    Storage,
)

NONE = 0xFFFFFFFF
F32, I64, I32, BOOL = DType.F32, DType.I64, DType.I32, DType.BOOL
CLAMP = (float("-inf"), float("inf"))
RNG_SEED = 7


def constant_value(p: Program, m: Method, array: np.ndarray, dtype: int = F32) -> int:
    """A dense constant operand."""
    return m.value(dtype, array.shape, Storage.CONSTANT, p.constant(array), size=max(array.nbytes, 0))


def random_f32(*shape: int) -> np.ndarray:
    """Repeatable weights."""
    return np.random.default_rng(RNG_SEED).standard_normal(shape, dtype=np.float32)


def pointwise() -> Program:
    """y = exp(x), x [4, 5]."""
    p = Program()
    m = p.method()
    x, y = m.input("x", F32, [4, 5]), m.output("y", F32, [4, 5])
    m.map(load_store(PwOp.EXP), [x], [y])
    return p


def dynamic() -> Program:
    """y = (x + w) * 2 over x [batch, 6], batch in 1..64, through two arena buffers."""
    p = Program()
    m = p.method()
    n = m.symbol("batch", 1, 64)
    x, y = m.input("x", F32, [n, 6]), m.output("y", F32, [n, 6])
    c = p.constant(np.arange(6, dtype=np.float32))
    w = m.value(F32, [n, 6], Storage.CONSTANT, c, strides=[0, 1], size=24)
    a, b = m.value(F32, [n, 6]), m.value(F32, [n, 6])
    m.map(load_store(PwOp.ADD, operands=2), [x, w], [a])
    m.map(load_store(PwOp.ADD, operands=2), [a, a], [b])
    m.emit(Family.MOVE, [b], [y])
    return p


def gemm() -> Program:
    """y = relu(x @ w + b), x [rows, 8], w packed [8, 20], then a dense product with an epilogue."""
    p = Program()
    m = p.method()
    n = m.symbol("rows", 1, 100)
    x, y = m.input("x", F32, [n, 8]), m.output("y", F32, [n, 3])
    w = random_f32(8, 20)
    packed = gemm_panels(w)
    wv = m.value(F32, [8, 20], Storage.CONSTANT, p.constant(packed), pack=PackKind.GEMM_PANEL16, size=packed.nbytes)
    bias = constant_value(p, m, random_f32(20))
    h = m.value(F32, [n, 20])
    m.emit(Family.GEMM, [x, wv, bias, NONE], [h], floats=(0.0, float("inf")))
    dense = constant_value(p, m, random_f32(20, 3))
    epilogue = m.program(load_store(PwOp.TANH), 1)
    m.emit(Family.GEMM, [h, dense, NONE, NONE], [y], floats=CLAMP, program=epilogue)
    return p


def convolution() -> Program:
    """conv 3x3 (stride 2, padding 1), max and average pooling, softmax over the rest."""
    p = Program()
    m = p.method()
    n, side = m.symbol("batch", 1, 8), m.symbol("side", 8, 32, 2)
    half = m.expr(ExprOp.FLOORDIV, m.expr(ExprOp.ADD, side, 1), 2)
    x = m.input("x", F32, [n, 3, side, side])
    w, b = constant_value(p, m, random_f32(4, 3, 3, 3)), constant_value(p, m, random_f32(4))
    h = m.value(F32, [n, 4, half, half])
    m.emit(Family.CONV2D, [x, w, b, NONE], [h], attrs=[2, 2, 1, 1, 1, 1, 1, 1, 1], floats=(0.0, 6.0))
    quarter = m.expr(ExprOp.FLOORDIV, half, 2)
    for kind, pool in enumerate((PoolKind.MAX, PoolKind.AVG)):
        out = m.value(F32, [n, 4, quarter, quarter])
        # Kernel 2, stride 2, no padding; barrier only before the first: the two read the same value.
        attrs: list[Size] = [pool, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 1, 0]
        m.emit(Family.POOL2D, [h], [out], attrs=attrs, barrier=1 - kind)
        y = m.output(f"y{kind}", F32, [n, 4, quarter, quarter])
        m.emit(Family.SOFTMAX, [out], [y], attrs=[1, kind])
    return p


def norms() -> Program:
    """Layer norm, RMS norm, then every kind of reduction that keeps f32."""
    p = Program()
    m = p.method()
    n = m.symbol("n", 1, 40)
    x = m.input("x", F32, [n, 12])
    weight, bias = constant_value(p, m, random_f32(12)), constant_value(p, m, random_f32(12))
    a, b = m.value(F32, [n, 12]), m.value(F32, [n, 12])
    m.emit(Family.NORM, [x, weight, bias], [a], attrs=[NormKind.LAYER, 1], floats=[1e-5])
    m.emit(Family.NORM, [a, weight, NONE], [b], attrs=[NormKind.RMS, 1], floats=[1e-6])
    for kind in (ReduceKind.SUM, ReduceKind.MEAN, ReduceKind.MAX, ReduceKind.MIN, ReduceKind.PROD):
        y = m.output(kind.name.lower(), F32, [n, 1])
        m.emit(Family.REDUCE, [b], [y], attrs=[kind, 2], barrier=int(kind == ReduceKind.SUM))
    y = m.output("best", I64, [1, 12])
    m.emit(Family.REDUCE, [b], [y], attrs=[ReduceKind.ARGMAX, 1], barrier=0)
    return p


def gather() -> Program:
    """Rows of a table by index, then elements of each row."""
    p = Program()
    m = p.method()
    n = m.symbol("n", 1, 16)
    index = m.input("index", I64, [n])
    pick = m.input("pick", I32, [n, 2])
    table = constant_value(p, m, random_f32(10, 6))
    rows, y = m.value(F32, [n, 6]), m.output("y", F32, [n, 2])
    m.emit(Family.GATHER, [table, index], [rows], attrs=[GatherKind.SELECT, 0])
    m.emit(Family.GATHER, [rows, pick], [y], attrs=[GatherKind.ELEMENTS, 1])
    return p


def integers() -> Program:
    """q = x // d, r = x % d and a selection by x < d, in int64."""
    p = Program()
    m = p.method()
    n = m.symbol("n", 0, 50)
    x, d = m.input("x", I64, [n]), m.input("d", I64, [n])
    q, r = m.output("q", I64, [n]), m.output("r", I64, [n])
    low, cast = m.output("low", BOOL, [n]), m.output("cast", F32, [n])
    t = PwType.I64
    code = [
        Pw(PwOp.LOAD, t, 0, 0), Pw(PwOp.LOAD, t, 1, 1), Pw(PwOp.DIV, t, 2, 0, 1), Pw(PwOp.REM, t, 3, 0, 1),
        Pw(PwOp.LT, t, 4, 0, 1), Pw(PwOp.SELECT, t, 5, 4, 2, 3), Pw(PwOp.CAST, PwType.F32, 6, 5, 0, t),
        Pw(PwOp.STORE, t, 0, 2), Pw(PwOp.STORE, t, 1, 3), Pw(PwOp.STORE, PwType.MASK, 2, 4),
        Pw(PwOp.STORE, PwType.F32, 3, 6),
    ]  # fmt: skip
    m.map(code, [x, d], [q, r, low, cast])
    return p


def state() -> Program:
    """Method "forward" writes x [n, 4] into the cache at `position` and returns the whole cache; a counter adds up."""
    p = Program()
    init = p.constant(np.arange(1, 5, dtype=np.float32))
    cache, total = p.state("cache", F32, [8, 4]), p.state("total", F32, [4], init)
    m = p.method()
    n = m.symbol("n", 1, 8)
    x, position = m.input("x", F32, [n, 4]), m.input("position", I64, [])
    y, z = m.output("y", F32, [8, 4]), m.output("z", F32, [4])
    store = m.value(F32, [8, 4], Storage.STATE, cache)
    sums = m.value(F32, [4], Storage.STATE, total)
    added = m.value(F32, [1, 4])
    flat = m.value(F32, [4], buffer=m.values[added].buffer)
    m.emit(Family.UPDATE, [x, position], [store], attrs=[0])
    m.emit(Family.REDUCE, [x], [added], attrs=[ReduceKind.SUM, 1], barrier=0)
    m.emit(Family.MOVE, [store], [y])
    m.map(load_store(PwOp.ADD, operands=2), [sums, flat], [sums], barrier=0)
    m.emit(Family.MOVE, [sums], [z])
    return p


def two_methods() -> Program:
    """"forward" doubles, "half" halves and returns both the half and its square; strided views in one buffer."""
    p = Program()
    m = p.method("forward")
    n = m.symbol("n", 1, 32)
    x, y = m.input("x", F32, [n, 2]), m.output("y", F32, [n, 2])
    m.map(load_store(PwOp.ADD, operands=2), [x, x], [y])
    m = p.method("half")
    n = m.symbol("n", 1, 32)
    x = m.input("x", F32, [n, 2])
    a, b = m.output("a", F32, [n, 2]), m.output("b", F32, [2, n])
    both = m.value(F32, [n, 4])
    left = m.value(F32, [n, 2], buffer=m.values[both].buffer, strides=[4, 1])
    right = m.value(F32, [n, 2], buffer=m.values[both].buffer, strides=[4, 1], offset=2)
    turned = m.value(F32, [2, n], buffer=m.values[both].buffer, strides=[1, 4], offset=2)
    half = int(np.float32(0.5).view(np.uint32))
    t = PwType.F32
    code = [
        Pw(PwOp.LOAD, t, 0, 0), Pw(PwOp.CONST, t, 1, imm=half), Pw(PwOp.MUL, t, 2, 0, 1), Pw(PwOp.MUL, t, 3, 2, 2),
        Pw(PwOp.STORE, t, 0, 2), Pw(PwOp.STORE, t, 1, 3),
    ]  # fmt: skip
    m.map(code, [x], [left, right])
    m.emit(Family.MOVE, [left], [a])
    m.emit(Family.MOVE, [turned], [b], barrier=0)
    return p


def guarded() -> Program:
    """y = x [a, b] where capture assumed a <= b, and b = 2 * c for the second input [c]."""
    p = Program()
    m = p.method()
    a, b = m.symbol("a", 1, 100), m.symbol("b", 1, 100, 2)
    x, z = m.input("x", F32, [a, b]), m.input("z", F32, [m.expr(ExprOp.FLOORDIV, b, 2)])
    y, w = m.output("y", F32, [a, b]), m.output("w", F32, [m.expr(ExprOp.FLOORDIV, b, 2)])
    m.guards.append(Guard(m.number(a), m.number(b), Relation.LE, "a <= b at model.py:3"))
    even = m.expr(ExprOp.MOD, b, 2)
    m.guards.append(Guard(m.number(even), m.number(0), Relation.EQ, "b % 2 == 0"))
    m.guards.append(Guard(m.number(even), m.number(1), Relation.NE, "b % 2 != 1"))
    m.guards.append(Guard(m.number(even), m.number(b), Relation.LT, "b % 2 < b"))
    m.emit(Family.MOVE, [x], [y])
    m.emit(Family.MOVE, [z], [w], barrier=0)
    return p


def halves() -> Program:
    """float16 in, bfloat16 out."""
    p = Program()
    m = p.method()
    x, y = m.input("x", DType.F16, [7]), m.output("y", DType.BF16, [7])
    m.map(load_store(PwOp.NEG), [x], [y])
    return p


def coordinates() -> Program:
    """y[i, j] = 10 i + j in int32, and cumulative register use; no inputs at all."""
    p = Program()
    m = p.method()
    y = m.output("y", I32, [3, 5])
    t = PwType.I32
    code = [
        Pw(PwOp.INDEX, t, 0, 0), Pw(PwOp.INDEX, t, 1, 1), Pw(PwOp.CONST, t, 2, imm=10), Pw(PwOp.MUL, t, 0, 0, 2),
        Pw(PwOp.ADD, t, 0, 0, 1), Pw(PwOp.STORE, t, 0, 0),
    ]  # fmt: skip
    m.map(code, [], [y])
    return p


def regions() -> Program:
    """y = |-x| and z = exp(y), each in a region of a delegate that this runtime does not have: the CPU runs both."""
    p = Program()
    blob = p.constant(np.arange(10, dtype=np.uint8))
    m = p.method()
    n = m.symbol("n", 1, 9)
    x, y, z = m.input("x", F32, [n]), m.output("y", F32, [n]), m.output("z", F32, [n])
    h = m.value(F32, [n])
    m.map(load_store(PwOp.NEG), [x], [h])
    m.map(load_store(PwOp.ABS), [h], [y])
    m.map(load_store(PwOp.EXP), [y], [z])
    m.regions = [Region("vulkan", 0, 2, blob, [x], [y]), Region("vulkan", 2, 1, NONE, [y], [z])]
    return p


ALL: dict[str, Callable[[], Program]] = {
    f.__name__: f
    for f in (
        pointwise, dynamic, gemm, convolution, norms, gather, integers, state, two_methods, guarded, halves,
        coordinates, regions,
    )
}  # fmt: skip
__all__ = ["ALL", "Ref", "constant_value", "random_f32"]
