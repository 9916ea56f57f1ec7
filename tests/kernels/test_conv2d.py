"""Convolutions of every kernel against float64: windows, layouts, groups, packings, epilogues."""

from __future__ import annotations

import numpy as np
import packs
import pytest
from bench import Packed, Step, View, gap_untouched, kernels, outcomes, random_view
from cases import Finish, check, random_finish

LAST = (0, 2, 3, 1)  # channels last


def convolve(x: np.ndarray, w: np.ndarray, attrs: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Products in float64, and the sum of their absolute values."""
    sh, sw, top, left, bottom, right, dh, dw, groups = attrs
    n, c, h, width = x.shape
    o, per, kh, kw = w.shape
    padded = np.zeros((n, c, h + top + bottom, width + left + right))
    padded[:, :, top : top + h, left : left + width] = x
    oh = (padded.shape[2] - dh * (kh - 1) - 1) // sh + 1
    ow = (padded.shape[3] - dw * (kw - 1) - 1) // sw + 1
    y, size = np.zeros((n, groups, o // groups, oh, ow)), np.zeros((n, groups, o // groups, oh, ow))
    weight = w.astype(np.float64).reshape(groups, o // groups, per, kh, kw)
    for i in range(kh):
        for j in range(kw):
            part = padded[:, :, i * dh : i * dh + (oh - 1) * sh + 1 : sh, j * dw : j * dw + (ow - 1) * sw + 1 : sw]
            part = part.reshape(n, groups, per, oh, ow)
            y += np.einsum("ngchw,goc->ngohw", part, weight[:, :, :, i, j], optimize=True)
            size += np.einsum("ngchw,goc->ngohw", np.abs(part), np.abs(weight[:, :, :, i, j]), optimize=True)
    return y.reshape(n, o, oh, ow), size.reshape(n, o, oh, ow)


def weights(w: np.ndarray, pack: str, groups: int) -> View:
    if pack == "DENSE":
        return View(w)
    data = packs.depthwise16(w) if pack == "DEPTHWISE16" else packs.conv_panel16(w, groups)
    return Packed(data, w.shape, pack)


def run(x: View, values: np.ndarray, w: np.ndarray, pack: str, attrs: tuple[int, ...], seed: int,
        finish: Finish | None = None, result: View | None = None) -> dict[str, np.ndarray]:  # fmt: skip
    rng = np.random.default_rng(seed)
    exact, size = convolve(values, w, attrs)
    f = finish or random_finish(rng, exact.shape, 1)
    y = result or View(np.zeros(exact.shape, np.float32), LAST, pad=int(rng.choice([0, 0, 5])))
    args = [x, weights(w, pack, attrs[-1]), f.bias, f.residual]
    step = Step("CONV2D", args, [y], attrs, f.floats, f.program, f.program_args)
    found = {name: r[0] for name, r in outcomes(step).items()}
    for name, value in found.items():
        check(value, f.expected(exact, 1), f.size(size), int(np.prod(w.shape[1:])), name)
        assert step.run(kernels("CONV2D")[name]) == 0 and gap_untouched(y), name
    return found


def random_attrs(rng: np.random.Generator, kh: int, kw: int, groups: int) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Attributes, and the smallest input they accept."""
    dh, dw = (int(rng.choice([1, 1, 2, 3])) for _ in range(2))
    sh, sw = (int(rng.choice([1, 1, 2, 3])) for _ in range(2))
    pads = [int(p) for p in rng.integers(0, 4, 4)] if rng.random() < 0.6 else [0] * 4
    least = max(1, dh * (kh - 1) + 1 - pads[0] - pads[2]), max(1, dw * (kw - 1) + 1 - pads[1] - pads[3])
    return (sh, sw, *pads, dh, dw, groups), least


@pytest.mark.parametrize("seed", range(70))
def test_panels(seed: int) -> None:
    """Channels last or planar input, groups, any window; also 1 x 1."""
    rng = np.random.default_rng(seed)
    kh, kw = ((1, 1), (3, 3), (1, 1), (1, 5), (2, 3), (7, 1))[seed % 6]
    groups = int(rng.choice([1, 1, 2, 3]))
    per, outs = int(rng.choice([1, 3, 5, 8, 13, 16, 20])), int(rng.choice([1, 4, 16, 17, 24, 33, 70]))
    attrs, least = random_attrs(rng, kh, kw, groups)
    n, h, w = int(rng.integers(1, 3)), *(int(least[d] + rng.integers(0, 9)) for d in range(2))
    x = rng.normal(size=(n, per * groups, h, w)).astype(np.float32)
    weight = rng.normal(size=(outs * groups, per, kh, kw)).astype(np.float32)
    order = LAST if rng.random() < 0.7 else (0, 1, 2, 3)
    view = View(x, order, pad=int(rng.choice([0, 3])), at_start=bool(rng.random() < 0.3))
    shape = convolve(x, weight, attrs)[0].shape
    result = random_view(rng, np.zeros(shape, np.float32)) if rng.random() < 0.4 else None
    found = run(view, x, weight, "CONV_PANEL16", attrs, seed, result=result)
    assert len(found) == sum("panel16" in name or "reference" in name for name in kernels("CONV2D"))


@pytest.mark.parametrize("seed", range(60))
def test_depthwise(seed: int) -> None:
    rng = np.random.default_rng(100 + seed)
    kh, kw = ((3, 3), (5, 5), (1, 3), (3, 3), (4, 2), (2, 7))[seed % 6]
    channels = int(rng.choice([1, 3, 4, 8, 12, 16, 17, 24, 40, 61]))
    attrs, least = random_attrs(rng, kh, kw, channels)
    if seed % 2:
        attrs = (*attrs[:6], 1, 1, channels)
        least = kh, kw
    n, h, w = int(rng.integers(1, 3)), *(int(least[d] + rng.integers(0, 22)) for d in range(2))
    x = rng.normal(size=(n, channels, h, w)).astype(np.float32)
    weight = rng.normal(size=(channels, 1, kh, kw)).astype(np.float32)
    view = View(x, LAST, pad=int(rng.choice([0, 3])), at_start=bool(rng.random() < 0.3))
    found = run(view, x, weight, "DEPTHWISE16", attrs, seed)
    assert {"conv2d_f32_reference"} <= set(found)


def test_depthwise_kernels_take_channels_last() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.normal(size=(1, 20, 9, 9)).astype(np.float32), rng.normal(size=(20, 1, 3, 3)).astype(np.float32)
    attrs = (1, 1, 1, 1, 1, 1, 1, 1, 20)
    fast = run(View(x, LAST), x, w, "DEPTHWISE16", attrs, 1, Finish())
    assert set(fast) == {name for name in kernels("CONV2D") if "depthwise16" in name or "reference" in name}
    slow = run(View(x), x, w, "DEPTHWISE16", attrs, 1, Finish())
    assert set(slow) == {"conv2d_f32_reference"}


@pytest.mark.parametrize("channels,outputs,kernel", [(200, 40, 3), (1100, 20, 2), (64, 600, 1), (3, 40, 20)])
@pytest.mark.parametrize("order", [LAST, (0, 1, 2, 3)])
def test_long(channels: int, outputs: int, kernel: int, order: tuple[int, ...]) -> None:
    """Several blocks of taps, of columns and of rows; both ways of reading the input."""
    rng = np.random.default_rng(channels)
    size = kernel + 6
    x = rng.normal(size=(1, channels, size, size)).astype(np.float32)
    w = rng.normal(size=(outputs, channels, kernel, kernel)).astype(np.float32)
    attrs = (1, 1, 1, 1, 1, 1, 1, 1, 1)
    f = random_finish(rng, convolve(x, w, attrs)[0].shape, 1)
    run(View(x, order), x, w, "CONV_PANEL16", attrs, 3, f)


@pytest.mark.parametrize("pack", ["CONV_PANEL16", "DENSE"])
def test_far_apart_padding_and_dilation(pack: str) -> None:
    """Windows that lie mostly, or wholly, in the padding."""
    rng = np.random.default_rng(3)
    x, w = rng.normal(size=(1, 9, 2, 3)).astype(np.float32), rng.normal(size=(18, 9, 3, 3)).astype(np.float32)
    run(View(x, LAST), x, w, pack, (2, 3, 9, 7, 8, 11, 4, 5, 1), 4)


@pytest.mark.parametrize("shape,outputs", [((0, 8, 5, 5), 8), ((2, 0, 5, 5), 8), ((2, 8, 5, 5), 0)])
def test_empty(shape: tuple[int, ...], outputs: int) -> None:
    x, w = np.zeros(shape, np.float32), np.zeros((outputs, shape[1], 3, 3), np.float32)
    f = Finish(floats=(-np.inf, 2.0))
    f.bias_value = np.arange(outputs, dtype=np.float32)
    f.bias = View(f.bias_value)
    run(View(x, LAST), x, w, "CONV_PANEL16", (1, 1, 1, 1, 1, 1, 1, 1, 1), 0, f)


def test_one_pixel_is_a_matrix_product() -> None:
    """A 1 x 1 convolution has the bits of the gemm of its pixels."""
    rng = np.random.default_rng(9)
    x, w = rng.normal(size=(1, 37, 5, 6)).astype(np.float32), rng.normal(size=(50, 37, 1, 1)).astype(np.float32)
    conv = run(View(x, LAST, pad=3), x, w, "CONV_PANEL16", (1, 1, 0, 0, 0, 0, 1, 1, 1), 0, Finish())
    a, b = np.ascontiguousarray(x[0].reshape(37, 30).T), np.ascontiguousarray(w[:, :, 0, 0].T)
    packed = Packed(packs.gemm_panel16(b), b.shape, "GEMM_PANEL16")
    step = Step("GEMM", [View(a), packed, None, None], [View(np.zeros((30, 50), np.float32))], floats=(-np.inf, np.inf))
    gemm = outcomes(step)
    for name, y in conv.items():
        if "panel16" in name:
            assert np.array_equal(y[0].reshape(50, 30).T, gemm[name.replace("conv2d", "gemm")][0]), name
