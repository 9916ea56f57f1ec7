"""Pointwise programs against numpy: every operation, class and stored dtype, layouts, epilogue-free."""

from __future__ import annotations

import math

import numpy as np
import pytest
from bench import CODES, DIVISOR, DTYPES, Program, Step, View, gap_untouched, kernels, outcomes, random_view

CLASSES = {"F32": np.float32, "F64": np.float64, "I32": np.int32, "I64": np.int64}
FLOATS, INTS = ("F32", "F64"), ("I32", "I64")
BITWISE = ["AND", "OR", "XOR", "SHL", "SHR"]
erf = np.vectorize(math.erf, otypes=[np.float64])


def sigmoid(x: np.ndarray) -> np.ndarray:
    e = np.exp(-np.abs(x))
    return np.where(x < 0, e, 1) / (1 + e)



# name -> (reference in the type given, allowed error in units of the last place of f32)
UNARY = {
    "NEG": (np.negative, 0), "ABS": (np.abs, 0), "SIGN": (np.sign, 0),
    "RECIPROCAL": (lambda x: 1 / x, 1), "SQRT": (np.sqrt, 1), "RSQRT": (lambda x: 1 / np.sqrt(x), 2),
    "EXP": (np.exp, 3), "EXPM1": (np.expm1, 4), "LOG": (np.log, 3), "LOG1P": (np.log1p, 4), "SIN": (np.sin, 4),
    "COS": (np.cos, 4), "TANH": (np.tanh, 5), "SIGMOID": (sigmoid, 4),
    "ERF": (erf, 2), "FLOOR": (np.floor, 0), "CEIL": (np.ceil, 0), "ROUND": (np.rint, 0), "TRUNC": (np.trunc, 0),
}  # fmt: skip
BINARY = {
    "ADD": (np.add, 0), "SUB": (np.subtract, 0), "MUL": (np.multiply, 0), "DIV": (np.divide, 0),
    "MIN": (np.minimum, 0), "MAX": (np.maximum, 0), "REM": (np.remainder, 1), "POW": (np.power, 2),
    "ATAN2": (np.arctan2, 4),
}  # fmt: skip
SPECIAL = [0.0, -0.0, 1.0, -1.0, 0.5, 1.5, 2.5, -0.5, -2.5, np.inf, -np.inf, np.nan, 1e-40, -1e-40, 3e38, -3e38,
           88.5, 88.8, -87.5, -103.0, -104.5, 89.0, 8388607.5, -8388609.0, 1e-5, -1e-7, 20, -20, 1e5, 1e10]  # fmt: skip


def floats(kind: type, n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    parts = [np.array(SPECIAL), rng.normal(size=n), rng.normal(size=n) * 20, np.exp(rng.normal(size=n) * 20)]
    return np.concatenate(parts).astype(kind)


def ulps(found: np.ndarray, exact: np.ndarray) -> float:
    """Largest error in units of the last place; NaN and infinities must match."""
    kind = found.dtype
    with np.errstate(all="ignore"):
        want = exact.astype(kind)
        same = (found == want) | (np.isnan(found) & np.isnan(want))
        finite = np.isfinite(want) & np.isfinite(found)
        error = np.abs(found.astype(np.longdouble) - exact.astype(np.longdouble)) / np.spacing(np.abs(want))
        error = np.where(same, 0, np.where(finite, error, np.inf))
    return float(np.max(error, initial=0))


def apply(op: str, kind: str, arrays: list[np.ndarray], out: type) -> dict[str, np.ndarray]:
    p = Program()
    for i in range(len(arrays)):
        p.add("LOAD", kind, i, i)
    p.add(op, kind, len(arrays), 0, 1)
    p.add("STORE", "MASK" if out is np.bool_ else kind, 0, len(arrays))
    result = View(np.zeros(arrays[0].shape, out))
    step = Step("POINTWISE", [], [result], program=p, program_args=[View(a) for a in arrays])
    return {name: r[0] for name, r in outcomes(step).items()}


def test_erf_saturates_and_is_close_everywhere() -> None:
    """Within 2 units of the last place over its whole range, exactly 1 from 3.92 on, NaN where it is given NaN."""
    x = np.concatenate([np.linspace(-5, 5, 200_001), [np.inf, -np.inf, np.nan, 1e30, -1e-44, -0.0]]).astype(np.float32)
    exact = erf(x.astype(np.float64))
    for name, found in apply("ERF", "F32", [x], np.float32).items():
        assert ulps(found, exact) <= 2, name
        large = np.abs(x) >= 3.92
        assert np.array_equal(found[large], np.sign(x[large])) and np.signbit(found[-1]), name


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("op", UNARY)
def test_unary_float(op: str, kind: str) -> None:
    x = floats(CLASSES[kind], 700, 1)
    wide = x.astype(np.float64 if kind == "F32" else np.longdouble)
    if op in ("ERF", "ROUND") or kind == "F64":
        wide = x.astype(np.float64)
    with np.errstate(all="ignore"):
        exact = UNARY[op][0](wide)
    for name, found in apply(op, kind, [x], CLASSES[kind]).items():
        error = ulps(found, exact)
        assert error <= UNARY[op][1] + 0.51, (name, error)
        zero = (exact == 0) & (found == 0)
        signs = np.signbit(found[zero]), np.signbit(exact[zero].astype(found.dtype))
        assert np.array_equal(*signs) or op == "SIGN", name


@pytest.mark.parametrize("kind", FLOATS)
@pytest.mark.parametrize("op", BINARY)
def test_binary_float(op: str, kind: str) -> None:
    rng = np.random.default_rng(2)
    pairs = np.array([(a, b) for a in SPECIAL for b in SPECIAL])
    a = np.concatenate([pairs[:, 0], rng.normal(size=900) * 3]).astype(CLASSES[kind])
    b = np.concatenate([pairs[:, 1], rng.normal(size=900) * 5]).astype(CLASSES[kind])
    with np.errstate(all="ignore"):
        wide = np.float64 if kind == "F32" and op in ("POW", "ATAN2") else CLASSES[kind]
        exact = BINARY[op][0](a.astype(wide), b.astype(wide))
        if op == "REM":
            finite = np.isfinite(a) & np.isfinite(b) & (b != 0)
            a, b, exact = a[finite], b[finite], exact[finite]
    for name, found in apply(op, kind, [a, b], CLASSES[kind]).items():
        assert ulps(found, exact) <= BINARY[op][1] + 0.51, (name, op)


@pytest.mark.parametrize("kind", INTS)
@pytest.mark.parametrize("op", ["ADD", "SUB", "MUL", "DIV", "REM", "MIN", "MAX", "POW", *BITWISE])
def test_binary_int(op: str, kind: str) -> None:
    t = CLASSES[kind]
    info = np.iinfo(t)
    rng = np.random.default_rng(3)
    edge = np.array([0, 1, -1, 2, -2, 7, -7, info.max, info.min, 31, 33], t)
    a = np.concatenate([np.repeat(edge, len(edge)), rng.integers(info.min, info.max, 500, t)])
    b = np.concatenate([np.tile(edge, len(edge)), rng.integers(-9, 9, 500).astype(t)])
    bits = info.bits
    with np.errstate(all="ignore"):
        if op in ("DIV", "REM"):
            a, b = a[b != 0], b[b != 0]
            exact = (np.floor_divide if op == "DIV" else np.remainder)(a, b)
        elif op == "POW":
            unit = {1: (1, 1), -1: (1, -1)}  # powers with negative exponents, even and odd
            exact = np.array([pow(int(x), int(y), 1 << bits) if y >= 0 else unit.get(int(x), (0, 0))[y % 2]
                              for x, y in zip(a, b, strict=True)], dtype=object)  # fmt: skip
            exact = np.array([(int(v) + (1 << bits - 1)) % (1 << bits) - (1 << bits - 1) for v in exact], t)
        elif op in ("SHL", "SHR"):
            b = b & (bits - 1)
            exact = np.left_shift(a, b) if op == "SHL" else np.right_shift(a, b)
        else:
            name = {"ADD": "add", "SUB": "subtract", "MUL": "multiply", "MIN": "minimum", "MAX": "maximum",
                    "AND": "bitwise_and", "OR": "bitwise_or", "XOR": "bitwise_xor"}[op]  # fmt: skip
            exact = getattr(np, name)(a, b)
    for name, found in apply(op, kind, [a, b], t).items():
        assert np.array_equal(found, exact), name


@pytest.mark.parametrize("kind", INTS)
@pytest.mark.parametrize("op", ["NEG", "ABS", "SIGN", "NOT"])
def test_unary_int(op: str, kind: str) -> None:
    t = CLASSES[kind]
    x = np.concatenate([np.array([0, 1, -1, np.iinfo(t).min, np.iinfo(t).max], t), np.arange(-50, 50).astype(t)])
    with np.errstate(all="ignore"):
        exact = {"NEG": np.negative, "ABS": np.abs, "SIGN": np.sign, "NOT": np.invert}[op](x)
    for name, found in apply(op, kind, [x], t).items():
        assert np.array_equal(found, exact), name


@pytest.mark.parametrize("kind", [*FLOATS, *INTS])
@pytest.mark.parametrize("op", ["EQ", "NE", "LT", "LE", "ISNAN"])
def test_tests(op: str, kind: str) -> None:
    t = CLASSES[kind]
    values = np.array(SPECIAL[:15] if kind in FLOATS else [0, 1, -1, 5, 100], np.float64).astype(t)
    a, b = np.repeat(values, len(values)), np.tile(values, len(values))
    if op == "ISNAN":
        if kind in INTS:
            pytest.skip("floats only")
        expected, arrays = np.isnan(a), [a]
    else:
        f = {"EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal}[op]
        expected, arrays = f(a, b), [a, b]
    for name, found in apply(op, kind, arrays, np.bool_).items():
        assert np.array_equal(found, expected), name


@pytest.mark.parametrize("op", ["AND", "OR", "XOR", "NOT", "EQ", "NE"])
def test_masks(op: str) -> None:
    a, b = np.array([0, 0, 1, 1] * 9, bool), np.array([0, 1, 0, 1] * 9, bool)
    f = {"AND": np.logical_and, "OR": np.logical_or, "XOR": np.logical_xor, "EQ": np.equal, "NE": np.not_equal}
    expected = ~a if op == "NOT" else f[op](a, b)
    for name, found in apply(op, "MASK", [a] if op == "NOT" else [a, b], np.bool_).items():
        assert np.array_equal(found, expected), name


def saturate(x: np.ndarray, t: type) -> np.ndarray:
    info = np.iinfo(t)
    return np.array([0 if v != v else info.max if v >= info.max else info.min if v <= info.min else int(v) for v in
                     x.astype(np.float64)], t)  # fmt: skip


@pytest.mark.parametrize("to", ["F32", "F64", "I32", "I64", "MASK"])
@pytest.mark.parametrize("source", ["F32", "F64", "I32", "I64", "MASK"])
@pytest.mark.parametrize("same_register", [False, True])
def test_cast(source: str, to: str, same_register: bool) -> None:
    types = CLASSES | {"MASK": np.bool_}
    with np.errstate(all="ignore"):
        if source == "MASK":
            x = np.array([0, 1, 1] * 11, bool)
        elif source in FLOATS:
            x = np.array([*SPECIAL, 2147483647.0, 2147483648.0, -2147483649.0, 9.3e18, 1.9, -1.9], types[source])
        else:
            x = np.array([0, 1, -1, 2**31 - 1, -(2**31), 16777217, 3], types[source])
            if source == "I64":
                x = np.concatenate([x, np.array([2**40 + 5, -(2**62), 2**53 + 1])])
        if to == "MASK":
            expected = x != 0
        elif source in FLOATS and to in INTS:
            expected = saturate(x, types[to])
        else:
            expected = x.astype(types[to])
    p = Program()
    p.add("LOAD", source, 0, 0)
    p.add("CAST", to, 0 if same_register else 1, 0, c={"F32": 0, "I32": 1, "MASK": 2, "F64": 3, "I64": 4}[source])
    p.add("STORE", to, 0, 0 if same_register else 1)
    step = Step("POINTWISE", [], [View(np.zeros(x.shape, types[to]))], program=p, program_args=[View(x)])
    for name, (found,) in outcomes(step).items():
        assert np.array_equal(found, expected, equal_nan=to in FLOATS), name


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != "U64"])
def test_load_store(dtype: str) -> None:
    """LOAD then STORE of every dtype is the identity, and narrowing stores round or wrap."""
    t = np.dtype(DTYPES[dtype])
    kind = {"F16": "F32", "BF16": "F32", "I16": "I32", "U16": "I32", "I8": "I32", "U8": "I32", "U32": "I64",
            "BOOL": "MASK"}.get(dtype, dtype)  # fmt: skip
    rng = np.random.default_rng(4)
    if dtype == "BOOL":
        x = rng.random(600) < 0.5
    elif t.itemsize == 2:
        x = np.arange(65536, dtype=np.uint16).view(t)
    else:
        x = rng.integers(0, 256, 700 * t.itemsize, np.uint8).view(t)
    p = Program()
    p.add("LOAD", kind, 0, 0)
    p.add("STORE", kind, 0, 0)
    for view in (View(x), View(x, inner=3)):
        step = Step("POINTWISE", [], [View(np.zeros(x.shape, t), inner=2)], program=p, program_args=[view])
        for name, (found,) in outcomes(step).items():
            if dtype in ("F16", "BF16"):
                nan = np.isnan(x.astype(np.float32))
                assert np.array_equal(found.view(np.uint16)[~nan], x.view(np.uint16)[~nan]), name
                assert np.isnan(found[nan].astype(np.float32)).all()
            else:
                assert found.tobytes() == x.tobytes(), name
    if dtype in ("F16", "BF16"):
        edge = [65519.9, 65520, 1e39, 6e-8, 2.9e-8]
        wide = np.concatenate([rng.normal(size=3000) * 10.0 ** rng.integers(-9, 6, 3000), edge])
        with np.errstate(all="ignore"):
            wide = wide.astype(np.float32)
            expected = wide.astype(t)
        step = Step("POINTWISE", [], [View(np.zeros(wide.shape, t))], program=p, program_args=[View(wide)])
        for name, (found,) in outcomes(step).items():
            assert np.array_equal(found.view(np.uint16), expected.view(np.uint16)), name


def test_index_select_const() -> None:
    shape = (3, 5, 7)
    p = Program()
    for axis in range(3):
        p.add("INDEX", "I32", axis, axis)
    p.add("CONST", "I32", 3, imm=100)
    p.add("MUL", "I32", 4, 0, 3)
    p.add("ADD", "I32", 4, 4, 1)
    p.add("LT", "I32", 5, 1, 2)
    p.add("SELECT", "I32", 4, 5, 4, 3)
    p.add("CONST", "I32", 3, imm=2**32 - 1)
    p.add("STORE", "I32", 0, 4)
    p.add("INDEX", "I64", 0, 2)
    p.add("STORE", "I64", 1, 0)
    i, j, k = np.indices(shape)
    for order in ((0, 1, 2), (2, 0, 1)):
        results = [View(np.zeros(shape, np.int32), order), View(np.zeros(shape, np.int64))]
        for name, found in outcomes(Step("POINTWISE", [], results, program=p)).items():
            assert np.array_equal(found[0], np.where(j < k, i * 100 + j, 100)), name
            assert np.array_equal(found[1], k), name


@pytest.mark.parametrize("seed", range(40))
def test_layouts(seed: int) -> None:
    """a * b + c with random shapes, orders, strides, broadcasts and in place."""
    rng = np.random.default_rng(seed)
    rank = int(rng.integers(0, 6))
    shape = tuple(int(rng.choice([1, 2, 3, 5, 16, 17, 33])) for _ in range(rank))
    if rng.random() < 0.1 and rank:
        shape = (*shape[:-1], 0)
    if rng.random() < 0.3 and rank:
        shape = (*tuple(min(s, 3) for s in shape[:-1]), int(rng.choice([511, 512, 513, 1600])))
    values, views = [], []
    for _ in range(3):
        flat = [d for d in range(rank) if rng.random() < 0.25]
        small = tuple(1 if d in flat else s for d, s in enumerate(shape))
        values.append(np.broadcast_to(rng.normal(size=small).astype(np.float32), shape))
        views.append(random_view(rng, values[-1], broadcast=flat))
    p = Program()
    for i in range(3):
        p.add("LOAD", "F32", i, i)
    p.add("MUL", "F32", 3, 0, 1)
    p.add("ADD", "F32", 3, 3, 2)
    p.add("STORE", "F32", 0, 3)
    result = random_view(rng, np.zeros(shape, np.float32))
    step = Step("POINTWISE", [], [result], program=p, program_args=views)
    for name, (found,) in outcomes(step).items():
        assert np.array_equal(found, values[0] * values[1] + values[2]), name
    assert step.run(next(iter(kernels("POINTWISE").values()))) == 0
    assert gap_untouched(result)


@pytest.mark.parametrize("n", [5, 512, 2000])
def test_in_place(n: int) -> None:
    x = np.arange(n, dtype=np.float32)
    p = Program()
    p.add("LOAD", "F32", 0, 0)
    p.add("NEG", "F32", 1, 0)
    p.add("STORE", "F32", 0, 1)
    p.add("STORE", "F32", 1, 0)
    for number in kernels("POINTWISE").values():
        view, other = View(x), View(x * 0)
        step = Step("POINTWISE", [], [View(x, share=view), other], program=p, program_args=[view])
        assert step.run(number) == 0
        assert np.array_equal(view.numpy(), -x) and np.array_equal(other.numpy(), x)


@pytest.mark.parametrize("kind", INTS)
@pytest.mark.parametrize("op", ["DIV", "REM"])
def test_division_by_zero(op: str, kind: str) -> None:
    a, b = np.arange(40).astype(CLASSES[kind]), np.arange(-20, 20).astype(CLASSES[kind])
    p = Program()
    p.add("LOAD", kind, 0, 0)
    p.add("LOAD", kind, 1, 1)
    p.add(op, kind, 2, 0, 1)
    p.add("STORE", kind, 0, 2)
    for number in kernels("POINTWISE").values():
        step = Step("POINTWISE", [], [View(a)], program=p, program_args=[View(a), View(b)])
        assert step.run(number) == DIVISOR
    assert CODES[np.dtype(np.int32)]
