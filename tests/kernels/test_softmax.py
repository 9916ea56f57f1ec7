"""Softmax, log-softmax and normalization of every kernel against float64.

Tolerances: softmax 8 units in the last place of the result plus what the subtraction of the maximum costs; log-softmax
the same relative to the largest of result, logits and 1; norms 6 units of the result's size times the scale, even
where the mean is thousands of standard deviations.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench import C, Step, View, gap_untouched, kernels, outcomes, random_view

ULP = 2.0**-23
SIZES = [1, 2, 3, 4, 7, 8, 9, 15, 16, 17, 31, 33, 64, 100]


def shapes(rng: np.random.Generator) -> tuple[int, ...]:
    return (*(int(rng.choice(SIZES[:9])) for _ in range(rng.integers(0, 4))), int(rng.choice(SIZES)))


def softmax(x: np.ndarray, axis: int, log: bool) -> np.ndarray:
    x = x.astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        d = x - x.max(axis, keepdims=True)
        total = np.exp(d).sum(axis, keepdims=True)
        return d - np.log(total) if log else np.exp(d) / total


@pytest.mark.parametrize("seed", range(60))
def test_softmax(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shapes(rng)
    axis, log = int(rng.integers(len(shape))), bool(seed % 2)
    x = (rng.normal(size=shape) * rng.choice([0.1, 3, 30])).astype(np.float32)
    y = random_view(rng, np.zeros(shape, np.float32))
    step = Step("SOFTMAX", [random_view(rng, x)], [y], [axis, int(log)])
    exact = softmax(x, axis, log)
    depth = np.abs(x.astype(np.float64) - x.max(axis, keepdims=True)) + 1
    for name, (found,) in outcomes(step).items():
        bound = ULP * ((4 * depth + 8) if log else (8 + depth) * exact + 1e-37)
        assert np.all(np.abs(found - exact) <= bound), (name, np.max(np.abs(found - exact) / bound))
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
@pytest.mark.parametrize("n", [3, 8, 40])
def test_softmax_of_infinities_and_nan(n: int, order: tuple[int, int]) -> None:
    x = np.zeros((5, n), np.float32)
    x[0, 1], x[1, 0], x[2], x[3, n - 1], x[4, n - 1] = -np.inf, np.nan, -np.inf, np.inf, 1e38
    for log in (False, True):
        step = Step("SOFTMAX", [View(x, order)], [View(np.zeros_like(x), order)], [1, int(log)])
        for name, (found,) in outcomes(step).items():
            assert found[0, 1] == (-np.inf if log else 0) and np.isfinite(np.delete(found[0], 1)).all(), name
            assert np.isnan(found[1:3]).all() and np.isnan(found[3, n - 1]), name
            assert found[4, n - 1] == (0 if log else 1), name


def test_softmax_kernels_take_contiguous_axes_and_lanes() -> None:
    x = np.zeros((4, 20, 6), np.float32)
    for axis, order in ((2, (0, 1, 2)), (1, (0, 1, 2)), (0, (1, 0, 2)), (1, (0, 2, 1))):
        step = Step("SOFTMAX", [View(x, order)], [View(x, order)], [axis, 0])
        assert set(outcomes(step)) == set(kernels("SOFTMAX")), (axis, order)
    step = Step("SOFTMAX", [View(x, inner=2)], [View(x)], [1, 0])
    assert set(outcomes(step)) == {"softmax_f32_reference"}


@pytest.mark.parametrize("shape,axis", [((0, 4), 1), ((4, 0), 1), ((3, 0, 2), 0)])
def test_empty(shape: tuple[int, ...], axis: int) -> None:
    x = np.zeros(shape, np.float32)
    outcomes(Step("SOFTMAX", [View(x)], [View(x)], [axis, 0]))
    outcomes(Step("NORM", [View(x), None, None], [View(x)], [C["NORM_LAYER"], 1], [1e-5]))


def norm(x: np.ndarray, axes: int, kind: str, eps: float) -> np.ndarray:
    x = x.astype(np.float64)
    over = tuple(range(x.ndim - axes, x.ndim))
    if kind == "LAYER":
        x = x - x.mean(over, keepdims=True)
    return x / np.sqrt((x * x).mean(over, keepdims=True) + eps)


@pytest.mark.parametrize("seed", range(60))
def test_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = shapes(rng)
    if seed % 10 == 0:
        shape = (3, int(rng.choice([768, 1000, 4096])))
    axes, kind = int(rng.integers(1, len(shape) + 1)), ("LAYER", "RMS")[seed % 2]
    offset = float(rng.choice([0, 1, 3000])) if kind == "LAYER" else 0.0
    x = (rng.normal(size=shape) * rng.choice([0.01, 1, 100]) + offset).astype(np.float32)
    eps = float(rng.choice([1e-5, 1e-3]))
    tail = shape[len(shape) - axes :]
    values = [rng.normal(size=tail).astype(np.float32) if rng.random() < 0.7 else None for _ in range(2)]
    plain = rng.random() < 0.6
    views = [v if v is None else View(v) if plain else random_view(rng, v) for v in values]
    inner, y = (View(x), View(x * 0)) if plain else (random_view(rng, x), random_view(rng, x * 0))
    step = Step("NORM", [inner, *views], [y], [C[f"NORM_{kind}"], axes], [eps])
    exact, n = norm(x, axes, kind, eps), int(np.prod(tail))
    weight, bias = (np.zeros(()) if v is None else v.astype(np.float64) for v in values)
    if values[0] is not None:
        exact = exact * weight
    found = outcomes(step)
    for name, (y_found,) in found.items():
        size = np.abs(exact) + (1 if values[0] is None else np.abs(weight))
        # The reference neither corrects its mean nor sums pairwise.
        loss = (n + 4) * (1 + offset / max(float(x.std()), 1e-3)) if "reference" in name else 6 + np.sqrt(n) / 8
        bound = ULP * loss * size + ULP * np.abs(bias)
        error = np.abs(y_found - (exact + bias))
        assert np.all(error <= bound), (name, float(np.max(error / bound)))
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name
    assert len(found) == len(kernels("NORM")) or not plain


def test_norm_keeps_digits_beside_a_large_mean() -> None:
    """Means of a thousand and more standard deviations cost the vector kernels nothing."""
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(4, 1000)) + 5000).astype(np.float32)
    exact = norm(x, 1, "LAYER", 1e-5)
    step = Step("NORM", [View(x), None, None], [View(x)], [C["NORM_LAYER"], 1], [1e-5])
    for name, (found,) in outcomes(step).items():
        if "reference" not in name:
            assert np.max(np.abs(found - exact)) < 2e-6, name


def test_norm_of_a_constant_row_is_its_bias() -> None:
    x = np.full((3, 50), 7.25, np.float32)
    bias = np.arange(50, dtype=np.float32)
    step = Step("NORM", [View(x), None, View(bias)], [View(x)], [C["NORM_LAYER"], 1], [1e-5])
    for name, (found,) in outcomes(step).items():
        assert np.array_equal(found, np.broadcast_to(bias, (3, 50))), name
