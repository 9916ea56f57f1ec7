"""Reductions of every kernel against numpy: kinds, dtypes, axes, layouts, NaN, empty."""

from __future__ import annotations

import numpy as np
import pytest
from bench import CONTRACT, C, Step, View, gap_untouched, kernels, outcomes, random_view

FLOATS, INTS = (np.float32, np.float64), (np.int32, np.int64)
SIZES = [1, 2, 3, 5, 8, 9, 16, 17, 33, 70]


def exact(x: np.ndarray, kind: str, axes: tuple[int, ...]) -> np.ndarray:
    if kind in ("ARGMAX", "ARGMIN"):
        return (np.argmax if kind == "ARGMAX" else np.argmin)(x, axes[0], keepdims=True)
    if kind in ("ANY", "ALL"):
        return getattr(np, kind.lower())(x, axis=axes, keepdims=True)
    if kind in ("SUM", "PROD", "MEAN"):
        wide = np.longdouble if x.dtype in FLOATS else x.dtype
        with np.errstate(over="ignore"):
            return getattr(np, kind.lower())(x, axis=axes, dtype=wide, keepdims=True)
    return getattr(np, kind.lower())(x, axis=axes, keepdims=True)


def step_of(view: View, kind: str, axes: tuple[int, ...], result: View) -> Step:
    return Step("REDUCE", [view], [result], [C[f"REDUCE_{kind}"], sum(1 << a for a in axes)])


def run(rng: np.random.Generator, x: np.ndarray, kind: str, axes: tuple[int, ...], view: View) -> dict[str, np.ndarray]:
    want = exact(x, kind, axes)
    dtype = np.int64 if kind in ("ARGMAX", "ARGMIN") else x.dtype
    y = random_view(rng, np.zeros(want.shape, dtype))
    step = step_of(view, kind, axes, y)
    n = int(np.prod([x.shape[a] for a in axes]))
    found = {name: r[0] for name, r in outcomes(step).items()}
    for name, value in found.items():
        if x.dtype in FLOATS and kind in ("SUM", "PROD", "MEAN"):
            size = np.abs(want) * n if kind == "PROD" else np.abs(x).astype(np.longdouble).sum(axis=axes, keepdims=True)
            size = size / n if kind == "MEAN" and n else size
            terms = 2 + min(n, 256 + n / 256) / 4
            assert np.all(np.abs(value - want) <= np.finfo(x.dtype).eps * terms * size), name
        else:
            assert np.array_equal(value, want.astype(dtype), equal_nan=x.dtype in FLOATS), name
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name
    return found


@pytest.mark.parametrize("kind", ["SUM", "MEAN", "PROD", "MAX", "MIN", "ARGMAX", "ARGMIN", "ANY", "ALL"])
@pytest.mark.parametrize("dtype", [*FLOATS, *INTS, np.bool_])
@pytest.mark.parametrize("seed", range(6))
def test_kinds(kind: str, dtype: type, seed: int) -> None:
    if (kind in ("ANY", "ALL")) != (dtype is np.bool_) or (kind == "MEAN" and dtype in INTS):
        return
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.choice(SIZES)) for _ in range(rng.integers(1, 4)))
    x = rng.normal(size=shape) * 3
    x = rng.random(shape) < rng.choice([0.1, 0.9]) if dtype is np.bool_ else x.astype(dtype)
    axes = tuple(d for d in range(len(shape)) if rng.random() < 0.5)
    if kind in ("ARGMAX", "ARGMIN"):
        axes = (int(rng.integers(len(shape))),)
    run(rng, x, kind, axes, random_view(rng, x))


@pytest.mark.parametrize("kind", ["SUM", "MEAN", "MAX", "MIN"])
@pytest.mark.parametrize("shape,order,axes", [
    ((3, 5000), (0, 1), (1,)), ((2, 70, 9, 11), (0, 2, 3, 1), (2, 3)), ((2, 70, 9, 11), (0, 1, 2, 3), (2, 3)),
    ((400, 40), (0, 1), (0,)), ((1, 9, 7), (0, 1, 2), (1,)), ((4, 6, 50), (0, 1, 2), (0, 2)), ((70000,), (0,), (0,)),
])  # fmt: skip
def test_vector_kernels(kind: str, shape: tuple[int, ...], order: tuple[int, ...], axes: tuple[int, ...]) -> None:
    """Contiguous reduced, and contiguous kept dimensions are taken by the vector kernels."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=shape) + 0.5).astype(np.float32)
    view = View(x, order)
    assert set(run(rng, x, kind, axes, view)) | {"reduce_any_reference"} <= set(kernels("REDUCE"))
    want = exact(x, kind, axes).astype(np.float32)
    assert set(outcomes(step_of(view, kind, axes, View(want * 0, order)))) == set(kernels("REDUCE"))


@pytest.mark.parametrize("kind", ["MAX", "MIN", "ARGMAX", "ARGMIN"])
@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_nan_is_the_extreme(kind: str, order: tuple[int, int]) -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(6, 37)).astype(np.float32)
    x[1, 36] = x[2, 0] = x[3, 17] = x[3, 30] = np.nan
    x[4] = -np.inf
    x[5] = np.inf
    run(rng, x, kind, (1,), View(x, order))


def test_first_of_equals() -> None:
    x = np.array([[1, 3, 3, 0, 0], [-0.0, 0.0, -0.0, 0.0, 0.0]], np.float32)
    for kind in ("ARGMAX", "ARGMIN"):
        run(np.random.default_rng(0), x, kind, (1,), View(x))


@pytest.mark.parametrize("kind", ["SUM", "PROD", "MEAN", "ANY", "ALL"])
def test_empty_has_a_neutral_result(kind: str) -> None:
    x = np.zeros((4, 0), bool if kind in ("ANY", "ALL") else np.float32)
    y = View(np.ones((4, 1), x.dtype))
    want = {"SUM": 0, "PROD": 1, "MEAN": np.nan, "ANY": 0, "ALL": 1}[kind]
    for name, (found,) in outcomes(step_of(View(x), kind, (1,), y)).items():
        assert np.array_equal(found.astype(np.float32), np.full((4, 1), want, np.float32), equal_nan=True), name


@pytest.mark.parametrize("kind", ["MAX", "MIN", "ARGMAX", "ARGMIN"])
def test_empty_extremes_are_refused(kind: str) -> None:
    x = np.zeros((4, 0), np.float32)
    y = View(np.zeros((4, 1), np.int64 if kind.startswith("ARG") else np.float32))
    assert step_of(View(x), kind, (1,), y).contract() == CONTRACT
    none = View(np.zeros((0, 1), y.dtype))
    outcomes(step_of(View(np.zeros((0, 3), np.float32)), kind, (1,), none))


def test_integer_sums_wrap() -> None:
    x = np.full((3, 40), 2**30, np.int32)
    run(np.random.default_rng(0), x, "SUM", (1,), View(x))
