"""Matrix products of every kernel against float64: shapes, strides, packings, biases, residuals, clamps, epilogues."""

from __future__ import annotations

import numpy as np
import packs
import pytest
from bench import DIVISOR, Packed, Program, Step, View, gap_untouched, kernels, outcomes, random_view
from cases import Finish, check, random_finish

SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 9, 13, 15, 16, 17, 24, 31, 33, 48, 50, 65, 97]


def product(a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    wide, other = a.astype(np.float64), b.astype(np.float64)
    return wide @ other, np.abs(wide) @ np.abs(other)


def run(a: np.ndarray, b: np.ndarray, views: tuple[View, View], c: View, f: Finish) -> dict[str, np.ndarray]:
    exact, size = product(a, b)
    args = [*views, f.bias, f.residual]
    step = Step("GEMM", args, [c], floats=f.floats, program=f.program, program_args=f.program_args)
    found = {name: r[0] for name, r in outcomes(step).items()}
    for name, value in found.items():
        check(value, f.expected(exact, -1), f.size(size), a.shape[-1], name)
        assert step.run(kernels("GEMM")[name]) == 0 and gap_untouched(c), name
    return found


def pick(rng: np.random.Generator, rows: int) -> tuple[int, int, int]:
    m, k, n = (int(rng.choice(SIZES)) for _ in range(3))
    return (rows or m), k, n


@pytest.mark.parametrize("seed", range(60))
def test_panels(seed: int) -> None:
    rng = np.random.default_rng(seed)
    m, k, n = pick(rng, seed % 20)
    batch = tuple(int(rng.integers(1, 4)) for _ in range(rng.choice([0, 0, 1, 2])))
    a = rng.normal(size=(*batch, m, k)).astype(np.float32)
    b = rng.normal(size=(k, n)).astype(np.float32)
    shape = (*batch, m, n)
    views = random_view(rng, a), Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16")
    found = run(a, b, views, random_view(rng, np.zeros(shape, np.float32)), random_finish(rng, shape, -1))
    assert len(found) == sum("dense" not in name for name in kernels("GEMM"))


@pytest.mark.parametrize("seed", range(90))
def test_dense(seed: int) -> None:
    """b of rank 2, batched, broadcast over batches, row major, transposed or neither."""
    rng = np.random.default_rng(1000 + seed)
    m, k, n = pick(rng, seed % 16)
    batch = tuple(int(rng.integers(1, 4)) for _ in range(rng.choice([0, 1, 2])))
    a = rng.normal(size=(*batch, m, k)).astype(np.float32)
    own = seed % 3 if batch else 0
    lead = {0: (), 1: batch, 2: (1,) * len(batch)}[own]
    b = rng.normal(size=(*lead, k, n)).astype(np.float32)
    order = [*range(len(lead)), *((len(lead) + 1, len(lead)) if rng.random() < 0.5 else (len(lead), len(lead) + 1))]
    if own == 2:
        b = np.broadcast_to(b, (*batch, k, n))
    view = View(b, order, pad=int(rng.choice([0, 3])), inner=int(rng.choice([1, 1, 1, 2])),
                broadcast=range(len(lead)) if own == 2 else ())  # fmt: skip
    shape = (*batch, m, n)
    result = random_view(rng, np.zeros(shape, np.float32))
    found = run(a, b, (random_view(rng, a), view), result, random_finish(rng, shape, -1))
    assert len(found) == sum("panel16" not in name for name in kernels("GEMM"))


@pytest.mark.parametrize("packing", ["panels", "rows", "transposed"])
@pytest.mark.parametrize("m,k,n", [(1, 3000, 40), (30, 2100, 33), (200, 70, 700), (3, 1025, 17), (100, 1030, 100)])
def test_long(m: int, k: int, n: int, packing: str) -> None:
    """Several blocks of k, of rows and of columns."""
    rng = np.random.default_rng(m)
    a = rng.normal(size=(m, k)).astype(np.float32)
    b = rng.normal(size=(k, n)).astype(np.float32)
    f = Finish(floats=(-40.0, 40.0))
    f.bias_value = rng.normal(size=n).astype(np.float32)
    f.residual_value = rng.normal(size=(m, n)).astype(np.float32)
    f.bias, f.residual = View(f.bias_value), View(f.residual_value, pad=1)
    view = {"panels": lambda: Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16"), "rows": lambda: View(b),
            "transposed": lambda: View(b, (1, 0))}[packing]()  # fmt: skip
    run(a, b, (View(a), view), View(np.zeros((m, n), np.float32)), f)


def test_tile_does_not_matter() -> None:
    """A row's bits are the same alone and among others, packed or dense, for one instruction set."""
    rng = np.random.default_rng(5)
    a, b = rng.normal(size=(29, 77)).astype(np.float32), rng.normal(size=(77, 75)).astype(np.float32)
    f = Finish()

    def all_of(rows: np.ndarray, view: View) -> dict[str, np.ndarray]:
        return run(rows, b, (View(rows), view), View(np.zeros((len(rows), 75), np.float32)), f)

    packed, dense = Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16"), View(b)
    whole = all_of(a, packed)
    for first, last in ((0, 1), (3, 5), (11, 24)):
        for name, rows in {**all_of(a[first:last], packed), **all_of(a[first:last], dense)}.items():
            if "reference" not in name:
                assert np.array_equal(rows, whole[name.replace("dense", "panel16")][first:last]), name


@pytest.mark.parametrize("m,k,n", [(0, 3, 4), (3, 0, 40), (3, 4, 0), (0, 0, 0), (1, 0, 1)])
@pytest.mark.parametrize("packed", [True, False])
def test_empty(m: int, k: int, n: int, packed: bool) -> None:
    a, b = np.zeros((m, k), np.float32), np.zeros((k, n), np.float32)
    f = Finish(floats=(-np.inf, 2.0))
    f.bias_value = np.arange(n, dtype=np.float32)
    f.bias = View(f.bias_value)
    view = Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16") if packed else View(b)
    run(a, b, (View(a), view), View(np.full((m, n), 7, np.float32)), f)


def test_nan_and_infinity_pass_the_clamp_as_documented() -> None:
    a = np.array([[np.nan, 0, 1], [np.inf, 1, 0], [-np.inf, 0, 0]], np.float32)
    b = np.ones((3, 20), np.float32)
    view = Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16")
    for second in (view, View(b), View(b, (1, 0))):
        step = Step("GEMM", [View(a), second, None, None], [View(np.zeros((3, 20), np.float32))], floats=(0.0, 6.0))
        for name, (found,) in outcomes(step).items():
            assert np.isnan(found[0]).all() and (found[1] == 6).all() and (found[2] == 0).all(), name


def test_f64() -> None:
    rng = np.random.default_rng(7)
    a, b = rng.normal(size=(5, 40)), rng.normal(size=(40, 21))
    step = Step("GEMM", [View(a), View(b, (1, 0)), None, None], [View(np.zeros((5, 21)))], floats=(-np.inf, np.inf))
    found = outcomes(step)
    assert list(found) == ["gemm_any_reference"]
    assert np.allclose(found["gemm_any_reference"][0], a @ b, rtol=1e-13)


def test_epilogue_reports_a_division_by_zero() -> None:
    """The program's own checks work inside an epilogue."""
    p = Program()
    p.add("LOAD", "F32", 0, 0)
    p.add("LOAD", "I32", 1, 1)
    p.add("CONST", "I32", 2, imm=6)
    p.add("DIV", "I32", 2, 2, 1)
    p.add("CAST", "F32", 2, 2, c=1)
    p.add("ADD", "F32", 0, 0, 2)
    p.add("STORE", "F32", 0, 0)
    a = np.ones((4, 3), np.float32)
    for divisor, status in ((1, 0), (0, DIVISOR)):
        values = np.ones((4, 20), np.int32)
        values[3, 17] = divisor
        for name, kernel in kernels("GEMM").items():
            b = np.ones((3, 20), np.float32)
            second = View(b) if "dense" in name else Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16")
            result = View(np.zeros((4, 20), np.float32))
            step = Step("GEMM", [View(a), second, None, None], [result], floats=(-np.inf, np.inf), program=p,
                        program_args=[View(values)])  # fmt: skip
            assert step.run(kernel) == status, name
            if not status:
                assert np.all(result.numpy() == 9), name
