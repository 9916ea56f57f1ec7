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
