"""Copies, gathers and updates of every dtype and layout against numpy, and the checks they make while running."""

from __future__ import annotations

import numpy as np
import pytest
from bench import DTYPES, INDEX, POSITION, C, Step, View, gap_untouched, kernels, outcomes, random_view


def values(rng: np.random.Generator, shape: tuple[int, ...], dtype: str) -> np.ndarray:
    t = np.dtype(DTYPES[dtype])
    if dtype == "BOOL":
        return rng.random(shape) < 0.5
    raw = rng.integers(0, 256, (*shape, t.itemsize), np.uint8)
    return raw.view(t).reshape(shape) if raw.size else np.zeros(shape, t)


def same(a: np.ndarray, b: np.ndarray) -> bool:
    return a.shape == b.shape and np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", range(6))
def test_move(dtype: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.choice([1, 2, 3, 5, 16, 17, 33])) for _ in range(rng.integers(0, 6)))
    if seed == 5:
        shape = (3, 0, 4)
    flat = [d for d in range(len(shape)) if rng.random() < 0.2]
    x = values(rng, tuple(1 if d in flat else s for d, s in enumerate(shape)), dtype)
    x = np.broadcast_to(x, shape)
    y = random_view(rng, np.zeros(shape, x.dtype))
    step = Step("MOVE", [random_view(rng, x, broadcast=flat)], [y])
    for name, (found,) in outcomes(step).items():
        assert same(found, x), name
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name


@pytest.mark.parametrize("dtype", ["U8", "F16", "F32", "F64"])
@pytest.mark.parametrize("shape,order", [((130, 70), (1, 0)), ((64, 3, 50), (2, 0, 1)), ((2, 40, 9, 9), (0, 2, 3, 1)),
                                         ((1, 3, 300, 7), (3, 1, 0, 2)), ((70000,), (0,))])  # fmt: skip
def test_transpositions(dtype: str, shape: tuple[int, ...], order: tuple[int, ...]) -> None:
    x = values(np.random.default_rng(1), shape, dtype)
    padded = View(x, order, pad=3), View(x, pad=1)
    for source, result in ((View(x), View(x, order)), (View(x, order), View(x)), padded):
        for name, (found,) in outcomes(Step("MOVE", [source], [result])).items():
            assert same(found, x), name


@pytest.mark.parametrize("seed", range(40))
def test_select(seed: int) -> None:
    rng = np.random.default_rng(seed)
    dtype = list(DTYPES)[seed % len(DTYPES)]
    shape = tuple(int(rng.choice([1, 2, 3, 7, 17])) for _ in range(rng.integers(1, 5)))
    axis = int(rng.integers(len(shape)))
    at = tuple(int(rng.choice([1, 2, 5])) for _ in range(rng.integers(0, 3)))
    index = rng.integers(-shape[axis], shape[axis], at).astype((np.int32, np.int64)[seed % 2])
    x = values(rng, shape, dtype)
    want = np.take(x, index, axis, mode="wrap")
    y = random_view(rng, np.zeros(want.shape, x.dtype))
    step = Step("GATHER", [random_view(rng, x), random_view(rng, index)], [y], [C["GATHER_SELECT"], axis])
    for name, (found,) in outcomes(step).items():
        assert same(found, want), name
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name


@pytest.mark.parametrize("seed", range(30))
def test_elements(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.choice([1, 2, 3, 7, 17])) for _ in range(rng.integers(1, 5)))
    axis = int(rng.integers(len(shape)))
    smaller = tuple(int(rng.integers(1, 9)) if d == axis else int(rng.integers(1, s + 1)) for d, s in enumerate(shape))
    index = rng.integers(-shape[axis], shape[axis], smaller).astype((np.int32, np.int64)[seed % 2])
    x = values(rng, shape, list(DTYPES)[seed % len(DTYPES)])
    part = x[tuple(slice(None) if d == axis else slice(s) for d, s in enumerate(smaller))]
    want = np.take_along_axis(part, np.where(index < 0, index + shape[axis], index), axis)
    y = random_view(rng, np.zeros(want.shape, x.dtype))
    step = Step("GATHER", [random_view(rng, x), random_view(rng, index)], [y], [C["GATHER_ELEMENTS"], axis])
    for name, (found,) in outcomes(step).items():
        assert same(found, want), name


@pytest.mark.parametrize("kind", ["SELECT", "ELEMENTS"])
@pytest.mark.parametrize("bad", [5, -6, 2**31 - 1, -(2**31)])
def test_gather_refuses_an_index_outside(kind: str, bad: int) -> None:
    x, index = np.arange(20, dtype=np.float32).reshape(5, 4), np.zeros((3, 4), np.int64)
    index[1, 2] = bad
    shape = (3, 4, 4) if kind == "SELECT" else (3, 4)
    for number in kernels("GATHER").values():
        step = Step("GATHER", [View(x), View(index)], [View(np.zeros(shape, np.float32))], [C[f"GATHER_{kind}"], 0])
        assert step.run(number) == INDEX
        assert list(step.report[:3]) == [1, bad, 5]


@pytest.mark.parametrize("seed", range(20))
def test_update(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(rng.choice([1, 2, 3, 7, 17])) for _ in range(rng.integers(1, 5)))
    axis = int(rng.integers(len(shape)))
    part = int(rng.integers(0, shape[axis] + 1))
    start = int(rng.integers(0, shape[axis] - part + 1))
    dtype = list(DTYPES)[seed % len(DTYPES)]
    old, x = values(rng, shape, dtype), values(rng, (*shape[:axis], part, *shape[axis + 1 :]), dtype)
    want = old.copy()
    want[tuple(slice(start, start + part) if d == axis else slice(None) for d in range(len(shape)))] = x
    y = random_view(rng, old)
    step = Step("UPDATE", [random_view(rng, x), View(np.array(start, np.int64))], [y], [axis])
    for name, (found,) in outcomes(step).items():
        assert same(found, want), name
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name


@pytest.mark.parametrize("start", [-1, 3, 2**62, -(2**63)])
@pytest.mark.parametrize("part", [3, 0])
def test_update_refuses_a_position_outside(start: int, part: int) -> None:
    """Even where nothing would be written."""
    room = 5 - part
    for number in kernels("UPDATE").values():
        y = View(np.zeros((5, 4), np.float32))
        step = Step("UPDATE", [View(np.ones((part, 4), np.float32)), View(np.array(start, np.int64))], [y], [0])
        assert step.run(number) == (0 if 0 <= start <= room else POSITION)
        if not 0 <= start <= room:
            assert list(step.report[:3]) == [1, start, room] and not y.numpy().any()
