"""Operators that the runtime's kernels compute, against the numpy kernels: values and gradients, whatever the shapes,
strides and number of threads."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend import native

pytestmark = pytest.mark.skipif(not native.available(), reason="the runtime is not compiled here")
F = pp.nn.functional
Case = tuple[Callable[..., Any], list[np.ndarray]]


def draw(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random numbers in memory laid out in some way: transposed, sliced, reversed, broadcast, or plain."""
    way = rng.integers(6)
    if way == 0:
        return rng.normal(size=shape[::-1]).astype(np.float32).T
    if way == 1:
        wide = rng.normal(size=tuple(2 * s for s in shape)).astype(np.float32)
        return wide[tuple(slice(None, None, 2) for _ in shape)]
    if way == 2:
        return rng.normal(size=shape).astype(np.float32)[tuple(slice(None, None, -1) for _ in shape)]
    if way == 3:
        return np.broadcast_to(rng.normal(size=shape[1:]).astype(np.float32), shape)
    return rng.normal(size=shape).astype(np.float32)


def values(function: Callable[..., Any], arrays: list[np.ndarray], engine: str, seed: int) -> list[np.ndarray]:
    """What a function gives, and its gradients to every float array, under one kind of kernels."""
    with native.engine(engine):
        tensors = [pp.from_numpy(a) if a.dtype == np.float32 else pp.tensor(a) for a in arrays]
        floats = [t for t in tensors if t.dtype is pp.float32]
        for t in floats:
            t.requires_grad_()
        outs = function(*tensors)
        outs = outs if isinstance(outs, tuple) else (outs,)
        rng = np.random.default_rng(seed)
        total = sum((o * pp.from_numpy(rng.normal(size=o.shape).astype(np.float32))).sum() for o in outs)
        grads = pp.autograd.grad(total, floats)
        return [t.detach().numpy().copy() for t in (*outs, *grads)]


def agree(function: Callable[..., Any], arrays: list[np.ndarray], seed: int = 0) -> None:
    with counting() as used:
        found = values(function, arrays, "native", seed)
    assert used, "no kernel of the runtime was called"
    for got, want in zip(found, values(function, arrays, "numpy", seed), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        size = max(float(np.abs(want).max(initial=0)), 1e-3)
        assert np.allclose(got, want, rtol=1e-5, atol=1e-5 * size), float(np.abs(got - want).max() / size)


class counting:
    """Notes the families that `direct.run` computes."""

    def __enter__(self) -> list[int]:
        self.module, self.used = native.direct(), []
        self.run = self.module.run

        def run(family: int, *args: Any, **kwargs: Any) -> bool:
            done = self.run(family, *args, **kwargs)
            if done:
                self.used.append(family)
            return bool(done)

        self.module.run = run
        return self.used

    def __exit__(self, *exc: object) -> None:
        self.module.run = self.run


@pytest.mark.parametrize("seed", range(12))
def test_softmax_and_activations(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = tuple(int(n) for n in rng.choice([1, 2, 3, 5, 8, 17, 40], size=rng.integers(1, 4)))
    dim = int(rng.integers(-len(shape), len(shape)))
    x = draw(rng, *shape)
    for function in (lambda x: x.softmax(dim), lambda x: x.log_softmax(dim), F.gelu, pp.erf):
        agree(function, [x], seed)


@pytest.mark.parametrize("seed", range(12))
def test_norms(seed: int) -> None:
    rng = np.random.default_rng(seed)
    n, c, *rest = (int(n) for n in rng.choice([2, 3, 6, 17], size=rng.integers(2, 5)))
    x, tail = draw(rng, n, c, *rest), (n, c, *rest)[-1:] if seed % 2 else (n, c, *rest)[1:]
    w, b, eps = draw(rng, *tail), draw(rng, *tail), 0.1  # large: rows of two elements are ill-conditioned
    agree(lambda x, w, b: F.layer_norm(x, tail, w, b, eps), [x, w, b], seed)
    agree(lambda x, w: F.rms_norm(x, tail, w, eps), [x, w], seed)
    agree(lambda x: F.layer_norm(x, tail, eps=eps), [x], seed)
    w, b = draw(rng, c), draw(rng, c)
    agree(lambda x, w, b: F.batch_norm(x, None, None, w, b, True, eps=eps), [x, w, b], seed)
    agree(lambda x, w, b: F.group_norm(x, c, w, b, eps), [rng.normal(size=x.shape).astype(np.float32), w, b], seed)


def test_special_values_are_those_of_numpy() -> None:
    x = np.array([[0.0, -np.inf, 1.0], [np.nan, 0.0, 1.0], [80.0, -80.0, 1e-30]], np.float32)
    for function in (lambda t: t.softmax(-1), lambda t: t.log_softmax(0), F.gelu, pp.erf):
        with native.engine("numpy"):
            want = function(pp.tensor(x)).numpy()
        np.testing.assert_allclose(function(pp.tensor(x)).numpy(), want, rtol=1e-5, atol=1e-6)


def test_numbers_of_other_types_and_empty_tensors_go_to_numpy() -> None:
    with counting() as used:
        for x in (pp.zeros(0, 3), pp.zeros(3, 0), pp.ones(2, 3, dtype=pp.float64)):
            assert x.softmax(-1).shape == x.shape and F.gelu(x).shape == x.shape
    assert not used
    with counting() as used:
        half = pp.ones(2, 3, dtype=pp.float16).softmax(-1)
    assert half.dtype is pp.float16 and used


def test_numbers_of_threads_change_no_bit() -> None:
    rng = np.random.default_rng(3)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((64, 3000), (3000,)))
    before, found = native.direct().get_threads(), []
    try:
        for threads in (1, 2, 5):
            native.direct().set_threads(threads)
            assert native.direct().get_threads() == threads
            cases: list[Case] = [(lambda x: x.softmax(-1), [x]), (lambda x, w: F.layer_norm(x, (3000,), w), [x, w]),
                                 (F.gelu, [x]), (lambda x: F.batch_norm(x, None, None, None, None, True), [x])]
            found.append([a for f, arrays in cases for a in values(f, arrays, "native", 1)])
    finally:
        native.direct().set_threads(before)
    for other in found[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(found[0], other, strict=True))


def test_a_comparison_with_the_runtime_is_made_by_numpy() -> None:
    """What is judged must not be its own oracle."""
    from pappus.export.compare import compare_program

    nn = pp.nn
    model = nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), nn.Flatten(), nn.LayerNorm(16), nn.Softmax(-1))
    x = pp.from_numpy(np.ones((1, 1, 4, 4), np.float32))
    exported = pp.export.export(model, (x,))
    program = pp.export.lower(exported).to_bytes()
    for reference in (model, exported):
        with counting() as used:
            report = compare_program(program, reference, (x,))
        assert not used and report.max_abs < 1e-6


def test_threads_are_set_by_pytorchs_name() -> None:
    from pappus.torch.settings import get_num_threads, set_num_threads

    before = native.direct().get_threads()
    try:
        set_num_threads(3)
        assert native.direct().get_threads() == get_num_threads() == 3
    finally:
        set_num_threads(before)


def test_the_environment_switches_them_off_and_a_missing_extension_is_no_error() -> None:
    code = (
        "import sys\n"
        "if 'missing' in sys.argv: sys.modules['pappus.runtime._capi'] = None\n"
        "import pappus as pp\nfrom pappus.frontend import native\n"
        "print(native.available(), pp.ones(2, 2).softmax(-1).tolist())"
    )
    half = "[[0.5, 0.5], [0.5, 0.5]]"
    for words, environment, want in (([], {}, True), ([], {"PAPPUS_EAGER": "numpy"}, False), (["missing"], {}, False)):
        done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True,
                              env={**os.environ, **environment})  # fmt: skip
        assert done.stdout.strip() == f"{want} {half}", done.stderr


@pytest.mark.parametrize("seed", range(40))
def test_convolutions(seed: int) -> None:
    rng = np.random.default_rng(seed)
    spatial = 1 + int(rng.integers(2))
    groups, per, outs = (int(rng.choice(v)) for v in ([1, 1, 2, 5], [1, 3, 9], [4, 5, 17]))
    if seed % 4 == 0:
        per, outs = 1, 1  # depthwise, or one channel
    choices = ([2, 3, 5], [1, 1, 2, 3], [1, 1, 2], [0, 1, 2])
    kernel, stride, dilation, padding = (tuple(int(v) for v in rng.choice(c, size=spatial)) for c in choices)
    size = [int(d * (k - 1) + 1 + rng.integers(0, 9)) for k, d in zip(kernel, dilation, strict=True)]
    x, w = draw(rng, 3, per * groups, *size), draw(rng, outs * groups, per, *kernel)
    b = draw(rng, outs * groups)
    options = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    conv = F.conv1d if spatial == 1 else F.conv2d
    agree(lambda x, w, b: conv(x, w, b, **options), [x, w, b], seed)
    agree(lambda x, w: conv(x, w, **options), [x, w], seed)
    turned = F.conv_transpose1d if spatial == 1 else F.conv_transpose2d
    extra = tuple(int(rng.integers(0, max(s, d))) for s, d in zip(stride, dilation, strict=True))
    options |= {"output_padding": extra, "padding": 0}
    y, w = draw(rng, 2, outs * groups, *size), draw(rng, outs * groups, per, *kernel)
    b = draw(rng, per * groups)
    agree(lambda x, w, b: turned(x, w, b, **options), [y, w, b], seed)


def test_second_gradients_of_a_convolution() -> None:
    rng = np.random.default_rng(0)
    x, w = (rng.normal(size=s).astype(np.float32) for s in ((2, 3, 7, 7), (5, 3, 3, 3)))

    def slope(x: Any, w: Any) -> Any:
        y = F.conv2d(x, w, stride=2, padding=1)
        return pp.autograd.grad((y * y).sum(), [x, w], create_graph=True)

    agree(lambda x, w: tuple(slope(x, w)), [x, w])


@pytest.mark.parametrize("seed", range(20))
def test_pools(seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride = (tuple(int(v) for v in rng.choice([1, 2, 3, 5], size=2)) for _ in range(2))
    padding = tuple(int(rng.integers(0, k // 2 + 1)) for k in kernel)
    size = [int(k + rng.integers(0, 12)) for k in kernel]
    x = draw(rng, *((3, *size) if seed % 3 == 0 else (2, 3, *size)))
    options = {"stride": stride, "padding": padding, "ceil_mode": bool(seed % 2)}
    agree(lambda x: F.max_pool2d(x, kernel, **options), [x], seed)
    agree(lambda x: F.avg_pool2d(x, kernel, **options), [x], seed)
    agree(lambda x: F.avg_pool2d(x, kernel, **options, count_include_pad=False), [x], seed)
    agree(lambda x: F.avg_pool2d(x, kernel, divisor_override=7), [x], seed)
    agree(lambda x: F.max_pool2d(x, 2, 1, dilation=(1, 2)), [draw(rng, 2, 3, 7, 8)], seed)


def test_the_gradient_of_equal_maxima_goes_to_the_first() -> None:
    x = pp.zeros(1, 1, 4, 4, requires_grad=True)
    F.max_pool2d(x, 3, 1).sum().backward()
    want = np.zeros((4, 4))
    want[:2, :2] = 1
    assert np.array_equal(x.grad.numpy()[0, 0], want)


@pytest.mark.parametrize("seed", range(12))
def test_additions_at_indices(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows, d, n = (int(v) for v in rng.choice([1, 2, 7, 33, 130], size=3))
    table, index = draw(rng, rows, d), rng.integers(0, rows, size=(n, 2))
    agree(lambda w, i: F.embedding(i, w), [table, index], seed)
    agree(lambda w, i: F.embedding(i, w, padding_idx=0), [table, index], seed)
    shape = tuple(int(v) for v in rng.choice([1, 3, 8], size=rng.integers(1, 4)))
    dim = int(rng.integers(len(shape)))
    x, source = draw(rng, *shape), draw(rng, *shape)
    at = rng.integers(0, shape[dim], size=shape)
    agree(lambda x, i, s: x.scatter_add(dim, i, s), [x, at, source], seed)
    agree(lambda x, i: x.index_select(dim, i), [x, rng.integers(0, shape[dim], size=5)], seed)


def test_an_index_out_of_range_is_an_error_of_the_operator() -> None:
    with pytest.raises(pp.PappusError, match="scatter"):
        pp.zeros(3, 2).scatter_add(0, pp.tensor([[3, 0]]), pp.ones(1, 2))


@pytest.mark.parametrize("count", [3, 1023, 1024, 5000])
@pytest.mark.parametrize("step", [1, 2])
def test_sigmoid(count: int, step: int) -> None:
    x = np.linspace(-80, 80, count * step, dtype=np.float32)[::step]
    x[:3] = np.nan, np.inf, -np.inf
    wide = x.astype(np.float64)
    with np.errstate(over="ignore"):
        wanted = 1 / (1 + np.exp(-wide))
    for kind in ("numpy", "native"):
        with native.engine(kind):
            np.testing.assert_allclose(pp.sigmoid(pp.from_numpy(x)).numpy(), wanted, rtol=1e-6, atol=1e-7)
    assert pp.sigmoid(pp.tensor(0.0)).item() == 0.5 and pp.sigmoid(pp.tensor(0)).dtype is pp.float32
