"""Special functions far from their samples: poles, infinities, large and tiny arguments, types, refusals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")

rng = np.random.default_rng(3)
WILD = np.concatenate([
    rng.uniform(-30, 60, 500), 10.0 ** rng.uniform(-12, 12, 50),
    [0.0, -0.0, 1.0, 2.0, -1.0, -7.0, 0.5, -0.5, np.inf, -np.inf, np.nan],
])  # fmt: skip


def agree(got: Any, want: Any, tolerance: float) -> None:
    np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("name", ["lgamma", "digamma"])
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 2e-5), ("float16", 2e-2)])
def test_gamma_family(name: str, dtype: str, tolerance: float) -> None:
    x = (WILD[:500] if dtype == "float16" else WILD).astype(dtype)
    agree(getattr(pp, name)(pp.from_numpy(x)), getattr(torch, name)(torch.from_numpy(x)), tolerance)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_polygamma(n: int) -> None:
    x = np.abs(WILD[:500]) + 0.01
    agree(pp.polygamma(n, pp.from_numpy(x)), torch.polygamma(n, torch.from_numpy(x)), 1e-8)
    agree(pp.from_numpy(x).polygamma(n), torch.from_numpy(x).polygamma(n), 1e-8)


def test_integers_become_floats() -> None:
    assert pp.lgamma(pp.tensor([1, 5])).tolist() == pytest.approx([0, 3.1780538], rel=1e-6)
    assert pp.mvlgamma(pp.tensor([3]), 2).dtype is pp.float32
    assert pp.digamma(pp.tensor([True])).dtype is pp.float32


def test_incomplete_gamma() -> None:
    a, x = rng.uniform(0, 40, 400), rng.uniform(0, 80, 400)
    edge = np.array([0.0, 1.0, np.inf, -1.0])
    a, x = np.concatenate([a, np.repeat(edge, 4), edge[:2]]), np.concatenate([x, np.tile(edge, 4), [np.nan] * 2])
    for ours, theirs in ((pp.igamma, torch.igamma), (pp.igammac, torch.igammac)):
        agree(ours(pp.from_numpy(a), pp.from_numpy(x)), theirs(torch.from_numpy(a), torch.from_numpy(x)), 1e-8)


def test_refusals() -> None:
    with pytest.raises(pp.ArgumentError, match="order must not be negative"):
        pp.polygamma(-1, pp.ones(1))
    with pytest.raises(pp.ArgumentError, match="p must be at least 1"):
        pp.mvlgamma(pp.ones(1), 0)
    with pytest.raises(pp.DTypeError, match="only floating-point"):
        pp.igamma(pp.tensor([1]), pp.tensor([2]))


# -- types that are not float32 -------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [pp.float16, pp.bfloat16])
def test_short_types_do_not_overflow_inside_a_composite(dtype: pp.DType) -> None:
    x = pp.full((4, 8), 300.0, dtype=dtype)  # the squares are above float16's largest number
    assert pp.linalg.vector_norm(x, dim=-1).tolist() == pytest.approx([848.0] * 4, rel=5e-3)
    assert pp.nn.functional.rms_norm(x, (8,)).tolist() == [[1.0] * 8] * 4
    assert pp.nn.functional.normalize(x).dtype is dtype
    assert pp.nn.functional.cosine_similarity(x, x).tolist() == pytest.approx([1.0] * 4)
    assert pp.dist(input=x, other=-x).dtype is dtype
    ones = pp.ones(1, 600, 1, 1, dtype=dtype)
    assert pp.conv_transpose2d(ones, pp.full((600, 1, 1, 1), 1.01, dtype=dtype)).item() == pytest.approx(606, rel=4e-3)


def test_integers_stay_integers() -> None:
    n = pp.tensor([[-7, 3], [9, 4]])
    assert pp.nn.functional.relu6(n).tolist() == [[0, 3], [6, 4]]
    assert pp.nn.functional.hardtanh(n, -2, 5).tolist() == [[-2, 3], [5, 4]]
    assert pp.square(pp.tensor([True, False])).tolist() == [1, 0]
    assert pp.diag(pp.tensor([True, True])).dtype is pp.bool
    assert pp.baddbmm(n[None], n[None], n[None], alpha=2.7, beta=0.5).tolist() == [[[152, -18], [-54, 86]]]
    assert pp.linspace(-3, 4.9, 4, dtype=pp.int64).tolist() == [-3, 0, 1, 4]
    assert pp.arange(-0.9, 2.1, 2, dtype=pp.int64).tolist() == [0]
    assert pp.bincount(pp.tensor([1, 1]), weights=pp.tensor([2, 3])).dtype is pp.float64
    with pytest.raises(pp.ArgumentError, match="without its fraction"):
        pp.arange(0.0, 5.0, 0.5, dtype=pp.int64)
    with pytest.raises(pp.DTypeError, match="relu6 is not defined for bool"):
        pp.nn.functional.relu6(pp.tensor([True]))


def test_the_first_of_equal_maxima_gets_the_gradient() -> None:
    x = pp.ones(1, 1, 3, 3, requires_grad=True)
    pp.nn.functional.adaptive_max_pool2d(x, (2, 1)).sum().backward()
    assert x.grad is not None and x.grad.flatten().tolist() == [1, 0, 0, 1, 0, 0, 0, 0, 0]
