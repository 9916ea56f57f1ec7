"""What the eager engine's convolutions are made of, every kernel against float64: packing, depthwise planes, and the
gradient of the weight."""

from __future__ import annotations

import itertools

import numpy as np
import packs
import pytest
from bench import CONTRACT, OK, Packed, Step, View, kernels, outcomes, random_view

FREE = (-np.inf, np.inf)


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


def windows(x: np.ndarray, kernel: tuple[int, int], out: tuple[int, int], a: list[int]) -> np.ndarray:
    """[N, C, KH, KW, OH, OW] of the padded input, in float64."""
    reach = [max((o - 1) * a[d] + (k - 1) * a[6 + d] + 1, 0) for d, (o, k) in enumerate(zip(out, kernel, strict=True))]
    wide = np.zeros((*x.shape[:2], *(max(r, n + p) for r, n, p in zip(reach, x.shape[2:], a[2:4], strict=True))))
    wide[:, :, a[2] : a[2] + x.shape[2], a[3] : a[3] + x.shape[3]] = x
    found = np.empty((*x.shape[:2], *kernel, *out))
    for i, j in itertools.product(range(kernel[0]), range(kernel[1])):
        top, left = i * a[6], j * a[7]
        found[:, :, i, j] = wide[:, :, top : top + (out[0] - 1) * a[0] + 1 : a[0],
                                 left : left + (out[1] - 1) * a[1] + 1 : a[1]]  # fmt: skip
    return found


def geometry(rng: np.random.Generator) -> tuple[tuple[int, int], tuple[int, int], tuple[int, int], list[int]]:
    """Sizes of kernel, input and output, and the attributes but for groups."""
    kernel = tuple(int(k) for k in rng.choice([1, 2, 3, 5], size=2))
    stride, dilation = rng.choice([1, 1, 2, 3], size=2), rng.choice([1, 1, 2], size=2)
    before, after = rng.choice([0, 1, 2], size=2), rng.choice([0, 1], size=2)
    size = [int(d * (k - 1) + 1 + rng.integers(0, 12)) for k, d in zip(kernel, dilation, strict=True)]
    a = [int(v) for v in (*stride, *before, *after, *dilation)]
    out = tuple((n + a[2 + d] + a[4 + d] - a[6 + d] * (kernel[d] - 1) - 1) // a[d] + 1 for d, n in enumerate(size))
    return kernel, tuple(size), out, a  # type: ignore[return-value]


def check(step: Step, exact: np.ndarray, terms: int) -> None:
    found = outcomes(step)
    for name, (got, *_) in found.items():
        error = np.abs(got - exact).max(initial=0)
        assert error <= 1e-6 * (4 + np.sqrt(terms)) * max(1, np.abs(exact).max(initial=0)), (name, error)


@pytest.mark.parametrize("seed", range(50))
def test_weight_grad(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, size, out, a = geometry(rng)
    groups, c, o, n = (int(rng.choice(v)) for v in ([1, 1, 2], [1, 3, 20], [1, 5, 16, 33, 70], [1, 2, 5]))
    if seed % 4 == 0:
        groups, c, o = int(rng.choice([1, 4, 9])), 1, 1
    if seed % 10 == 1:  # a line that is cut, and more lines than a block holds
        size, a, kernel = (3, 900), [1, 1, 0, 1, 0, 1, 1, 1], (2, 3)
        out = (2, 900)
    x, g = draw(rng, n, groups * c, *size), draw(rng, n, groups * o, *out)
    w = windows(x, kernel, out, a).reshape(n, groups, c, *kernel, -1)
    exact = np.einsum("ngop,ngcijp->gocij", g.reshape(n, groups, o, -1).astype(np.float64), w, optimize=True)
    exact = exact.reshape(groups * o, c, *kernel)
    step = Step("CONV_WEIGHT_GRAD", [random_view(rng, x), random_view(rng, g)], [View(exact.astype(np.float32) * 0)],
                [*a, groups])  # fmt: skip
    check(step, exact, n * out[0] * out[1])
    assert set(outcomes(step)) == set(kernels("CONV_WEIGHT_GRAD"))


@pytest.mark.parametrize("seed", range(40))
def test_depthwise_planes(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, size, out, a = geometry(rng)
    n, c = int(rng.choice([1, 3])), int(rng.choice([1, 2, 7]))
    if seed % 5 == 0:
        size, out = (size[0], size[1] + 70 * a[1]), (out[0], out[1] + 70)
    x, w, b = draw(rng, n, c, *size), draw(rng, c, 1, *kernel), draw(rng, c)
    exact = np.einsum("ncijyx,cij->ncyx", windows(x, kernel, out, a), w[:, 0].astype(np.float64))
    biased = rng.random() < 0.5
    limits = FREE if rng.random() < 0.5 else (-1.0, 0.5)
    exact = np.clip(exact + (b[:, None, None] if biased else 0), *limits)
    step = Step("CONV2D", [random_view(rng, x), random_view(rng, w), View(b) if biased else None, None],
                [random_view(rng, np.zeros_like(exact, dtype=np.float32))], [*a, c], limits)  # fmt: skip
    check(step, exact, kernel[0] * kernel[1])
    assert set(outcomes(step)) == {k for k in kernels("CONV2D") if "_dense_" in k or k.endswith("reference")}


@pytest.mark.parametrize("seed", range(40))
def test_planes(seed: int) -> None:
    """Dense weights of any strides, several channels and outputs."""
    rng = np.random.default_rng(seed)
    kernel, size, out, a = geometry(rng)
    groups, c, o, n = (int(rng.choice(v)) for v in ([1, 1, 2], [1, 3, 8], [1, 5, 6, 7, 13], [1, 3]))
    if seed % 5 == 0:
        size, out = (size[0], size[1] + 40 * a[1]), (out[0], out[1] + 40)
    x, w, b = draw(rng, n, groups * c, *size), draw(rng, groups * o, c, *kernel), draw(rng, groups * o)
    part = windows(x, kernel, out, a).reshape(n, groups, c, *kernel, *out)
    exact = np.einsum("ngcijyx,gocij->ngoyx", part, w.reshape(groups, o, c, *kernel).astype(np.float64), optimize=True)
    exact = exact.reshape(n, groups * o, *out)
    biased, limits = rng.random() < 0.5, FREE if rng.random() < 0.5 else (-1.0, 0.5)
    exact = np.clip(exact + (b[:, None, None] if biased else 0), *limits)
    step = Step("CONV2D", [random_view(rng, x), random_view(rng, w), View(b) if biased else None, None],
                [random_view(rng, np.zeros_like(exact, dtype=np.float32))], [*a, groups], limits)  # fmt: skip
    check(step, exact, c * kernel[0] * kernel[1])
    assert set(outcomes(step)) == {k for k in kernels("CONV2D") if "_dense_" in k or k.endswith("reference")}


@pytest.mark.parametrize("seed", range(12))
def test_pack(seed: int) -> None:
    rng = np.random.default_rng(seed)
    groups, o, c = (int(rng.choice(v)) for v in ([1, 2], [1, 15, 16, 40], [1, 3, 20]))
    w = draw(rng, groups * o, c, *(int(k) for k in rng.choice([1, 2, 3], size=2)))
    want = packs.conv_panel16(w, groups)
    result = Packed(np.full_like(want, 7), w.shape, "CONV_PANEL16")
    step = Step("PACK", [random_view(rng, w)], [result], [groups])
    assert step.contract() == OK
    for kernel in kernels("PACK").values():
        for ways in (1, 3):
            result.memory.array[:] = 0x55
            assert step.run(kernel, ways) == OK
            assert np.array_equal(result.memory.array.view(np.float32), want.reshape(-1))


def test_contracts() -> None:
    x, g, w = (np.ones(s, np.float32) for s in ((2, 4, 6, 6), (2, 8, 4, 4), (8, 4, 3, 3)))
    plain = [1, 1, 0, 0, 0, 0, 1, 1, 1]

    def grad(x: np.ndarray, g: np.ndarray, w: np.ndarray, attrs: list[int]) -> Step:
        return Step("CONV_WEIGHT_GRAD", [View(x), View(g)], [View(w)], attrs)

    assert grad(x, g, w, plain).contract() == OK
    wrong = [grad(x, g[:1], w, plain), grad(x, g, w[:7], plain), grad(x, g, w[:, :3], plain),
             grad(x, np.ones((2, 8, 5, 4), np.float32), w, plain), grad(x, g, w, [0, *plain[1:]]),
             grad(x, g, w, [*plain[:8], 3]), grad(x, g, w, [*plain[:2], -1, *plain[3:]]),
             Step("PACK", [View(w)], [Packed(np.ones(1), (8, 4, 3, 2), "CONV_PANEL16")], [1]),
             Step("PACK", [View(w)], [Packed(np.ones(1), w.shape, "CONV_PANEL16")], [3])]  # fmt: skip
    for step in wrong:
        assert step.contract() == CONTRACT, step.attrs
