"""Pooling of planes, its gradient and addition of rows, every kernel against float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from bench import CONTRACT, INDEX, OK, C, Step, View, kernels, outcomes


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def windows(size: int, kernel: int, stride: int, before: int, dilation: int, out: int) -> list[list[int]]:
    """The positions inside the input that each output sees."""
    spots = [[o * stride - before + k * dilation for k in range(kernel)] for o in range(out)]
    return [[i for i in window if 0 <= i < size] for window in spots]


@pytest.mark.parametrize("seed", range(50))
def test_pool_and_its_gradient(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, dilation = ([int(v) for v in rng.choice(c, size=2)] for c in ([1, 2, 3, 4], [1, 2, 3], [1, 1, 2]))
    before = [int(rng.integers(0, (k - 1) * d + 1)) for k, d in zip(kernel, dilation, strict=True)]
    size = [int(rng.integers(1, 24)) for _ in range(2)]
    out = [int(rng.integers(1, (n + b - 1) // s + 2)) for n, b, s in zip(size, before, stride, strict=True)]
    kind, include, fixed = ("MAX", "AVG")[seed % 2], int(rng.integers(2)), int(rng.choice([0, 0, 5]))
    n, c = int(rng.choice([1, 2])), int(rng.choice([1, 3]))
    after = [int(rng.integers(0, 3)) for _ in range(2)]
    attrs = [C[f"POOL_{kind}"], *kernel, *stride, *before, *after, *dilation, include, fixed]
    x, g = draw(rng, n, c, *size), draw(rng, n, c, *out)
    if seed % 3 == 0:
        x = np.round(x)  # equal maxima
    rows, columns = (windows(size[d], kernel[d], stride[d], before[d], dilation[d], out[d]) for d in range(2))
    if kind == "AVG" and not (include or fixed) and not all(map(len, [*rows, *columns])):
        return  # a mean of nothing
    y, gx = np.zeros((n, c, *out)), np.zeros((n, c, *size))
    for i, j in itertools.product(range(out[0]), range(out[1])):
        spots = list(itertools.product(rows[i], columns[j]))
        part = np.stack([x[:, :, a, b] for a, b in spots], -1) if spots else np.zeros((n, c, 0), np.float32)
        if kind == "MAX":
            y[:, :, i, j] = part.max(-1, initial=-np.inf)
            for a, b in np.ndindex(n, c):
                if spots:
                    gx[(a, b, *spots[int(part[a, b].argmax())])] += g[a, b, i, j]
            continue
        padded = [sum(o * stride[d] - before[d] + k * dilation[d] < size[d] + after[d] for k in range(kernel[d]))
                  for d, o in enumerate((i, j))]  # fmt: skip
        divisor = fixed or (padded[0] * padded[1] if include else len(spots))
        y[:, :, i, j] = part.sum(-1, dtype=np.float64) / divisor
        for a, b in spots:
            gx[:, :, a, b] += g[:, :, i, j].astype(np.float64) / divisor
    view = View(x, pad=int(rng.choice([0, 3])))
    step = Step("POOL2D", [view], [View(np.zeros(y.shape, np.float32), pad=int(rng.choice([0, 5])))], attrs)
    for name, (found,) in outcomes(step).items():
        np.testing.assert_allclose(found, y, rtol=1e-5, atol=1e-5, err_msg=name)
    assert len(outcomes(step)) >= sum("dense" in name for name in kernels("POOL2D"))
    step = Step("POOL_GRAD", [View(g), View(x) if kind == "MAX" else None], [View(np.ones_like(x))], attrs)
    found = outcomes(step)
    assert set(found) == set(kernels("POOL_GRAD"))
    for name, (got,) in found.items():
        np.testing.assert_allclose(got, gx, rtol=1e-5, atol=1e-5, err_msg=name)


def test_nan_is_the_maximum_and_gets_the_gradient() -> None:
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    x[0, 0, 1, 1] = np.nan
    attrs = [C["POOL_MAX"], 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0]
    y, g = np.zeros((1, 1, 2, 2), np.float32), np.array([[[[1, 2], [3, 4]]]], np.float32)
    for (pooled,) in outcomes(Step("POOL2D", [View(x)], [View(y)], attrs)).values():
        assert np.isnan(pooled[0, 0, 0, 0]) and pooled[0, 0, 1, 1] == 15
    for (gx,) in outcomes(Step("POOL_GRAD", [View(g), View(x)], [View(x * 0)], attrs)).values():
        assert gx[0, 0, 1, 1] == 1 and gx[0, 0, 3, 3] == 4 and gx.sum() == 10


@pytest.mark.parametrize("seed", range(15))
def test_scatter_add(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, d, n = int(rng.choice([1, 4, 50])), int(rng.choice([1, 3, 16, 33, 700])), int(rng.choice([1, 7, 200]))
    table, v, index = draw(rng, rows, d), draw(rng, n, d), rng.integers(0, rows, size=n)
    exact = table.astype(np.float64)
    np.add.at(exact, index, v.astype(np.float64))
    step = Step("SCATTER_ADD", [View(v), View(index)], [View(table)])
    found = outcomes(step)
    assert set(found) == set(kernels("SCATTER_ADD"))
    for name, (got,) in found.items():
        np.testing.assert_allclose(got, exact, rtol=1e-5, atol=1e-5 * np.sqrt(n), err_msg=name)
    for bad in (-1, rows):
        wrong = Step("SCATTER_ADD", [View(v), View(np.where(np.arange(n) == n - 1, bad, index))], [View(table)])
        assert wrong.contract() == OK
        for kernel in kernels("SCATTER_ADD").values():
            assert wrong.run(kernel) == INDEX and list(wrong.report[:3]) == [1, bad, rows]


def test_contracts() -> None:
    x, g = np.ones((2, 3, 6, 6), np.float32), np.ones((2, 3, 3, 3), np.float32)
    attrs = [C["POOL_MAX"], 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0]
    v, index, table = np.ones((4, 5), np.float32), np.zeros(4, np.int64), np.ones((9, 5), np.float32)
    wrong = [
        Step("POOL_GRAD", [View(g), None], [View(x)], attrs),
        Step("POOL_GRAD", [View(g), View(x[:, :2])], [View(x)], attrs),
        Step("POOL_GRAD", [View(np.ones((2, 3, 4, 4), np.float32)), View(x)], [View(x)], attrs),
        Step("POOL_GRAD", [View(g), View(x)], [View(x)], [9, *attrs[1:]]),
        Step("SCATTER_ADD", [View(v), View(index[:3])], [View(table)]),
        Step("SCATTER_ADD", [View(v), View(index)], [View(table[:, :4])]),
    ]
    for step in wrong:
        assert step.contract() == CONTRACT
