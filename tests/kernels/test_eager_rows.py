"""Gradients of softmax and norms, and the channel norm, of every kernel against float64.

Tolerances: 1e-5 of the largest result, which is what the eager engine promises of a kernel beside numpy.
"""

from __future__ import annotations

import numpy as np
import pytest
from bench import CONTRACT, C, Step, View, kernels, outcomes

SIZES = [1, 2, 3, 7, 8, 9, 16, 17, 33, 100, 257]


def close(found: np.ndarray, exact: np.ndarray, name: str) -> None:
    assert found.shape == exact.shape
    error = np.abs(found.astype(np.float64) - exact)
    assert np.max(error, initial=0) <= 1e-5 * max(1.0, float(np.max(np.abs(exact), initial=0))), (name, error.max())


def zeros(*shape: int) -> View:
    return View(np.zeros(shape, np.float32))


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def compare(step: Step, exact: list[np.ndarray]) -> None:
    found = outcomes(step)
    assert set(found) == set(kernels(step.family))
    for name, results in found.items():
        for got, want in zip(results, exact, strict=True):
            close(got, want, name)


@pytest.mark.parametrize("seed", range(30))
def test_softmax_grad(seed: int) -> None:
    rng = np.random.default_rng(seed)
    outer, n, inner = int(rng.choice([1, 2, 5, 40])), int(rng.choice(SIZES)), int(rng.choice([1, 1, 2, 5, 17, 40]))
    g, logits = draw(rng, outer, n, inner), draw(rng, outer, n, inner)
    wide = logits.astype(np.float64)
    y = np.exp(wide) / np.exp(wide).sum(1, keepdims=True)
    log = bool(seed % 2)
    shown = (np.log(y) if log else y).astype(np.float32)
    exact = g - np.exp(shown.astype(np.float64)) * g.sum(1, keepdims=True, dtype=np.float64)
    if not log:
        exact = (g - (g.astype(np.float64) * shown).sum(1, keepdims=True)) * shown
    compare(Step("SOFTMAX_GRAD", [View(g), View(shown)], [zeros(*g.shape)], [int(log)]), [exact])


@pytest.mark.parametrize("seed", range(30))
def test_norm_grad(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, n, layer, eps = int(rng.choice([1, 3, 8, 130, 300])), int(rng.choice(SIZES)), bool(seed % 2), 1e-3
    x, g = draw(rng, rows, n) * 3 + (5 if layer else 0), draw(rng, rows, n)
    w = draw(rng, n) if rng.random() < 0.6 else None
    wide = x.astype(np.float64)
    mean = wide.mean(1, keepdims=True) if layer else np.zeros((rows, 1))
    scale = 1 / np.sqrt(((wide - mean) ** 2).mean(1, keepdims=True) + eps)
    z, h = (wide - mean) * scale, g.astype(np.float64) * (1 if w is None else w)
    gx = (h - (h.mean(1, keepdims=True) if layer else 0) - z * (h * z).mean(1, keepdims=True)) * scale
    kind = C["NORM_LAYER" if layer else "NORM_RMS"]
    operands = [View(g), View(x), None if w is None else View(w)]
    stats = np.concatenate([mean, scale], 1)
    found = outcomes(Step("NORM_GRAD", operands, [zeros(rows, n), zeros(rows, 2)], [kind], [eps]))
    assert set(found) == set(kernels("NORM_GRAD"))
    for name, (got, got_stats) in found.items():
        close(got_stats, stats, name)
        # Relative to the terms of the difference: of one or two elements nothing is left but rounding.
        error = np.abs(got - gx) / (scale * np.abs(h).max(1, keepdims=True))
        assert error.max() < 1e-5, (name, error.max())
    step = Step("NORM_PARAM_GRAD", [View(g), View(x), View(stats.astype(np.float32))], [zeros(n), zeros(n)])
    compare(step, [(g * z).sum(0), g.sum(0, dtype=np.float64)])


@pytest.mark.parametrize("seed", range(40))
def test_channel_norm(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, c, p = int(rng.choice([2, 3, 16])), int(rng.choice([1, 3, 16, 37])), int(rng.choice([1, 1, 4, 9, 49, 130]))
    x, eps = draw(rng, n, c, p) * 2 + 7, 0.1
    w, b = (draw(rng, c) if rng.random() < 0.6 else None for _ in range(2))
    wide, over = x.astype(np.float64), (0, 2)
    mean, var = wide.mean(over), wide.var(over)
    scale = (1 if w is None else w.astype(np.float64)) / np.sqrt(var + eps)
    y = (wide - mean[:, None]) * np.broadcast_to(scale, (c,))[:, None] + (0 if b is None else b[:, None])
    operands = [View(x), None if w is None else View(w), None if b is None else View(b)]
    compare(Step("CHANNEL_NORM", operands, [zeros(n, c, p), zeros(c), zeros(c)], floats=[eps]), [y, mean, var])

    g, gmean, gvar = draw(rng, n, c, p), draw(rng, c), draw(rng, c)
    r, count, centered = 1 / np.sqrt(var + eps), n * p, wide - mean[:, None]
    total, against = g.sum(over, dtype=np.float64), (g * centered).sum(over)
    slope, shift = (2 * gvar - scale * r * r * against) / count, (gmean - scale * total) / count
    gx = g * np.broadcast_to(scale, (c,))[:, None] + centered * slope[:, None] + shift[:, None]
    vectors = [View(v.astype(np.float32)) for v in (mean, var, gmean, gvar)]
    step = Step("CHANNEL_NORM_GRAD", [View(g), View(x), operands[1], *vectors],
                [zeros(n, c, p), zeros(c), zeros(c)], floats=[eps])  # fmt: skip
    compare(step, [gx, against * r, total])


def test_a_large_mean_costs_no_digits() -> None:
    x = draw(np.random.default_rng(0), 8, 4, 33) + 3000
    wide = x.astype(np.float64)
    y = (wide - wide.mean((0, 2))[:, None]) / np.sqrt(wide.var((0, 2)) + 1e-5)[:, None]
    step = Step("CHANNEL_NORM", [View(x), None, None], [zeros(8, 4, 33), zeros(4), zeros(4)], floats=[1e-5])
    for name, (found, *_) in outcomes(step).items():
        close(found, y, name)


def test_contracts() -> None:
    a, v = np.ones((4, 6), np.float32), np.ones(6, np.float32)
    rows, c = np.ones((4, 6, 1), np.float32), np.ones((2, 6, 3), np.float32)
    wrong = [
        Step("SOFTMAX_GRAD", [View(rows), View(rows[:3])], [View(rows)], [0]),
        Step("SOFTMAX_GRAD", [View(a), View(a)], [View(a)], [0]),
        Step("NORM_GRAD", [View(a), View(a), View(v[:5])], [View(a), zeros(4, 2)], [0], [1e-5]),
        Step("NORM_GRAD", [View(a), View(a), None], [View(a), zeros(4, 1)], [0], [1e-5]),
        Step("NORM_GRAD", [View(a), View(a), None], [View(a), zeros(4, 2)], [7], [1e-5]),
        Step("NORM_PARAM_GRAD", [View(a), View(a), zeros(4, 2)], [View(v), View(v[:5])]),
        Step("CHANNEL_NORM", [View(c), View(v[:5]), None], [View(c), View(v), View(v)], floats=[1e-5]),
        Step("CHANNEL_NORM", [View(c), None, None], [View(c[:1]), View(v), View(v)], floats=[1e-5]),
        Step("CHANNEL_NORM_GRAD", [View(c), View(c), None, *[View(v)] * 3, View(v[:5])],
             [View(c), View(v), View(v)], floats=[1e-5]),
        Step("CHANNEL_NORM", [View(c), None], [View(c), View(v), View(v)], floats=[1e-5]),
    ]  # fmt: skip
    for step in wrong:
        assert step.contract() == CONTRACT, (step.family, step.attrs)
