"""Pooling of every kernel against a plain numpy loop: windows, padding, divisors, layouts, NaN."""

from __future__ import annotations

import numpy as np
import pytest
from bench import C, Step, View, gap_untouched, kernels, outcomes, random_view

LAST = (0, 2, 3, 1)


def pool(x: np.ndarray, attrs: list[int], out: tuple[int, int]) -> np.ndarray:
    kind, kh, kw, sh, sw, top, left, bottom, right, dh, dw, include, divisor = attrs
    h, w = x.shape[2:]
    y = np.zeros((*x.shape[:2], *out))
    for oh in range(out[0]):
        for ow in range(out[1]):
            rows = [oh * sh - top + i * dh for i in range(kh)]
            cols = [ow * sw - left + i * dw for i in range(kw)]
            inside = x[:, :, [r for r in rows if 0 <= r < h]][..., [c for c in cols if 0 <= c < w]].astype(np.float64)
            if kind == C["POOL_MAX"]:
                y[:, :, oh, ow] = inside.max((2, 3), initial=-np.inf)  # dilated taps may straddle the input
                continue
            padded = sum(r < h + bottom for r in rows) * sum(c < w + right for c in cols)
            count = divisor or (padded if include else inside.shape[2] * inside.shape[3])
            with np.errstate(invalid="ignore", divide="ignore"):
                y[:, :, oh, ow] = inside.sum((2, 3)) / count
    return y


@pytest.mark.parametrize("seed", range(80))
def test_pool(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kh, kw, sh, sw = (int(rng.integers(1, 4)) for _ in range(4))
    dh, dw = (int(rng.choice([1, 1, 2])) for _ in range(2))
    pads = [int(rng.integers(0, (k - 1) * d + 1)) for k, d in ((kh, dh), (kw, dw))]
    pads += [int(rng.integers(0, 3)) for _ in range(2)]
    kind = ("MAX", "AVG")[seed % 2]
    attrs = [C[f"POOL_{kind}"], kh, kw, sh, sw, *pads, dh, dw, int(rng.integers(2)), int(rng.choice([0, 0, 3]))]
    channels = int(rng.choice([1, 3, 8, 16, 21, 40, 70]))
    shape = (int(rng.integers(1, 3)), channels, *(int(rng.integers(1, 12)) for _ in "hw"))
    x = rng.normal(size=shape).astype(np.float32)
    if seed % 5 == 0:
        x[0, -1, 0, 0] = np.nan
    # Every window starts before the end of the input; the last one may be clipped (ceil mode).
    out = tuple((shape[2 + d] + pads[d] - 1) // (sh, sw)[d] + 1 - int(rng.integers(0, 2)) for d in range(2))
    if 0 in out:
        return
    view = View(x, LAST, pad=int(rng.choice([0, 3]))) if rng.random() < 0.7 else random_view(rng, x)
    y = random_view(rng, np.zeros((*shape[:2], *out), np.float32)) if rng.random() < 0.3 else View(
        np.zeros((*shape[:2], *out), np.float32), LAST)  # fmt: skip
    step = Step("POOL2D", [view], [y], attrs)
    want = pool(x, attrs, out)
    for name, (found,) in outcomes(step).items():
        assert np.allclose(found, want, rtol=1e-5, atol=1e-6, equal_nan=True), name
        if kind == "MAX":
            assert np.array_equal(found, want.astype(np.float32), equal_nan=True), name
        assert step.run(kernels()[name]) == 0 and gap_untouched(y), name


def test_pool_kernels_take_channels_last() -> None:
    x = np.random.default_rng(0).normal(size=(2, 37, 6, 6)).astype(np.float32)
    attrs = [C["POOL_AVG"], 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0]
    result = np.zeros((2, 37, 3, 3), np.float32)
    assert set(outcomes(Step("POOL2D", [View(x, LAST)], [View(result, LAST)], attrs))) == {
        name for name in kernels("POOL2D") if "dense" not in name
    }
    assert set(outcomes(Step("POOL2D", [View(x)], [View(result)], attrs))) == {
        name for name in kernels("POOL2D") if "dense" in name or "reference" in name
    }


def test_empty() -> None:
    attrs = [C["POOL_MAX"], 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0]
    for shape in ((0, 3, 4, 4), (2, 0, 4, 4)):
        x, y = np.zeros(shape, np.float32), np.zeros((*shape[:2], 2, 2), np.float32)
        outcomes(Step("POOL2D", [View(x, LAST)], [View(y, LAST)], attrs))
