"""Random numbers: the Philox counter, repeatability, generators, and the distributions by their moments."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend import ops  # noqa: F401 - loads the operators
from pappus.frontend import random as rng
from pappus.frontend.dispatch import call
from pappus.frontend.opdef import OPS

COUNT = 200_000


@pytest.fixture(autouse=True)
def seeded() -> None:
    pp.manual_seed(0)


# -- the counter ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "counter", "want"),
    [  # the known answers of Random123 (philox4x32-10), for counters whose upper half is zero
        ((0, 0), 0, "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ],
)
def test_philox_known_answers(key: tuple[int, int], counter: int, want: str) -> None:
    assert " ".join(f"{w:08x}" for w in rng.philox(key[0] | key[1] << 32, counter, 4)) == want


def reference_philox(seed: int, block: int) -> list[int]:
    """Philox4x32-10 with Python integers, straight from the paper."""
    c, k = [block & 0xFFFFFFFF, block >> 32, 0, 0], [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        high0, low0 = divmod(c[0] * 0xD2511F53, 2**32)
        high1, low1 = divmod(c[2] * 0xCD9E8D57, 2**32)
        c = [high1 ^ c[1] ^ k[0], low1, high0 ^ c[3] ^ k[1], low0]
        k = [(k[0] + 0x9E3779B9) % 2**32, (k[1] + 0xBB67AE85) % 2**32]
    return c


@pytest.mark.parametrize("seed", [0, 1, 2**32 - 1, 2**32, 2**63 + 12345, 2**64 - 1])
@pytest.mark.parametrize("offset", [0, 1, 2**32 - 1, 2**40])
def test_philox_by_seed_and_offset(seed: int, offset: int) -> None:
    got = rng.philox(seed, offset, 10).tolist()
    assert got == [w for b in range(3) for w in reference_philox(seed, offset + b)][:10]


def test_a_stream_can_be_entered_anywhere() -> None:
    whole = rng.philox(7, 3, 40)
    assert (rng.philox(7, 5, 32) == whole[8:]).all() and (rng.philox(7, 3, 5) == whole[:5]).all()


def test_operators_depend_on_seed_and_offset_alone() -> None:
    first = call(OPS["rand"], (), {"size": (8,), "seed": 3, "offset": 0, "dtype": None})
    again = call(OPS["rand"], (), {"size": (4,), "seed": 3, "offset": 1, "dtype": None})
    other = call(OPS["rand"], (), {"size": (8,), "seed": 4, "offset": 0, "dtype": None})
    assert first[4:].tolist() == again.tolist() and first.tolist() != other.tolist()


def test_calls_of_whole_blocks_split_the_stream() -> None:
    """Draws of a multiple of four words follow each other as one long draw does; others skip to the next block."""
    whole = pp.rand(24)
    pp.manual_seed(0)
    parts = [pp.rand(8), pp.rand(4), pp.rand(2, 6).reshape(-1)]
    assert pp.equal(pp.cat(parts), whole)
    pp.manual_seed(0)
    assert pp.rand(3).tolist() == whole[:3].tolist() and pp.rand(4).tolist() == whole[4:8].tolist()
    pp.manual_seed(0)
    assert pp.equal(pp.rand(4, 6), whole.reshape(4, 6))


# -- seeds and generators -------------------------------------------------------------------------

DRAWS = [
    lambda g: pp.rand(5, generator=g),
    lambda g: pp.randn(5, generator=g),
    lambda g: pp.randint(0, 100, (5,), generator=g),
    lambda g: pp.randperm(9, generator=g),
    lambda g: pp.bernoulli(pp.full((20,), 0.5), generator=g),
    lambda g: pp.normal(0.0, 1.0, (5,), generator=g),
    lambda g: pp.multinomial(pp.ones(9), 5, generator=g),
    lambda g: pp.zeros(5).uniform_(generator=g),
    lambda g: pp.zeros(5).normal_(generator=g),
    lambda g: pp.zeros(5).exponential_(generator=g),
    lambda g: pp.zeros(9).random_(0, 50, generator=g),
    lambda g: pp.zeros(20).bernoulli_(0.5, generator=g),
    lambda g: pp.dropout(pp.ones(30), 0.5, generator=g),
    lambda g: pp.multinomial(pp.ones(9), 12, True, generator=g),
]


@pytest.mark.parametrize("draw", DRAWS)
def test_repeatable_by_seed_and_by_generator(draw: Any) -> None:
    pp.manual_seed(1)
    first, second = draw(None), draw(None)
    pp.manual_seed(1)
    assert pp.equal(draw(None), first) and pp.equal(draw(None), second) and not pp.equal(first, second)
    g = pp.Generator().manual_seed(1)
    before = pp.get_rng_state()
    assert pp.equal(draw(g), first) and pp.equal(draw(g), second), (
        "a generator gives what the default one gives by the same seed"
    )
    assert pp.equal(pp.get_rng_state(), before), "a generator of one's own leaves the default one alone"
    g.manual_seed(2)
    assert not pp.equal(draw(g), first)


def test_state() -> None:
    g = pp.Generator().manual_seed(2**64 - 3)
    pp.rand(7, generator=g)
    state = g.get_state()
    first = pp.rand(5, generator=g)
    other = pp.Generator().set_state(state)
    assert pp.equal(pp.rand(5, generator=other), first) and other.initial_seed() == 2**64 - 3
    saved = pp.get_rng_state()
    a = pp.randn(3)
    pp.set_rng_state(saved)
    assert pp.equal(pp.randn(3), a)


def test_seeds() -> None:
    assert pp.manual_seed(5) is rng.default_generator and pp.initial_seed() == 5
    assert pp.seed() == pp.initial_seed() and pp.Generator().seed() != pp.Generator().seed()
    pp.manual_seed(-1)
    assert pp.initial_seed() == 2**64 - 1
    assert pp.Generator().initial_seed() == 67280421310721


# -- distributions --------------------------------------------------------------------------------


def moments(x: Any) -> tuple[float, float, float, float]:
    """Mean, deviation, skewness and excess kurtosis."""
    v = x.double().numpy()
    centered = v - v.mean()
    deviation = v.std()
    return (
        float(v.mean()),
        float(deviation),
        float((centered**3).mean() / deviation**3),
        float((centered**4).mean() / deviation**4 - 3),
    )


def assert_moments(x: Any, mean: float, deviation: float, skewness: float, kurtosis: float, scale: float = 1.0) -> None:
    got = moments(x)
    assert abs(got[0] - mean) < 5 * deviation / math.sqrt(COUNT) * scale, got
    assert (
        abs(got[1] / deviation - 1) < 0.02
        and abs(got[2] - skewness) < 0.06 * scale
        and abs(got[3] - kurtosis) < 0.15 * scale
    ), got


def test_uniform() -> None:
    x = pp.rand(COUNT)
    assert_moments(x, 0.5, math.sqrt(1 / 12), 0, -1.2)
    assert x.min().item() >= 0 and x.max().item() < 1 and x.dtype is pp.float32
    counts = np.bincount((x.numpy() * 64).astype(int), minlength=64)
    assert ((counts - COUNT / 64) ** 2 / (COUNT / 64)).sum() < 130  # chi square, 63 degrees of freedom
    assert abs(np.corrcoef(x.numpy()[:-1], x.numpy()[1:])[0, 1]) < 0.01
    for dtype in (pp.float16, pp.bfloat16):
        y = pp.rand(COUNT, dtype=dtype)
        assert y.dtype is dtype and y.float().min().item() >= 0 and y.float().max().item() < 1


def test_normal() -> None:
    x = pp.randn(COUNT)
    assert_moments(x, 0, 1, 0, 0)
    assert 3.8 < x.abs().max().item() < 6.7 and x.dtype is pp.float32
    inside = (x.abs() < 1).float().mean().item()
    assert abs(inside - 0.6827) < 0.006
    assert pp.randn(3, dtype=pp.float64).dtype is pp.float64 and pp.randn(0).shape == (0,) and pp.randn(()).shape == ()
    y = pp.normal(pp.full((COUNT,), 2.0), pp.full((COUNT,), 3.0))
    assert_moments(y, 2, 3, 0, 0)
    assert_moments(pp.zeros(COUNT).normal_(1.0, 0.5), 1, 0.5, 0, 0)


def test_integers() -> None:
    x = pp.randint(-3, 7, (COUNT,))
    assert x.dtype is pp.int64 and x.min().item() == -3 and x.max().item() == 6
    counts = np.bincount(x.numpy() + 3)
    assert ((counts - COUNT / 10) ** 2 / (COUNT / 10)).sum() < 35
    assert pp.randint(5, (2, 3)).shape == (2, 3) and pp.randint(2**40, 2**40 + 1, (1,)).item() == 2**40
    assert (
        pp.randint(0, 200, (9,), dtype=pp.uint8).dtype is pp.uint8
        and pp.randint_like(pp.zeros(4), 3).dtype is pp.float32
    )


def test_permutations() -> None:
    p = pp.randperm(1000)
    assert p.dtype is pp.int64 and sorted(p.tolist()) == list(range(1000)) and p.tolist() != list(range(1000))
    firsts = [pp.randperm(4)[0].item() for _ in range(400)]
    assert all(60 < firsts.count(n) < 145 for n in range(4)) and pp.randperm(0).shape == (0,)


def test_bernoulli() -> None:
    x = pp.bernoulli(pp.full((COUNT,), 0.3))
    assert set(x.unique().tolist()) == {0.0, 1.0} and abs(x.mean().item() - 0.3) < 0.006
    assert pp.bernoulli(pp.tensor([0.0, 1.0])).tolist() == [0.0, 1.0]
    assert abs(pp.zeros(COUNT).bernoulli_(0.8).mean().item() - 0.8) < 0.006


def test_exponential_and_uniform_in_place() -> None:
    assert_moments(pp.zeros(COUNT).exponential_(2.0), 0.5, 0.5, 2, 6, 6)
    assert_moments(pp.zeros(COUNT).uniform_(-1, 3), 1, 4 / math.sqrt(12), 0, -1.2)
    x = pp.zeros(COUNT, dtype=pp.int64).random_(0, 4)
    assert x.dtype is pp.int64 and set(x.unique().tolist()) == {0, 1, 2, 3}


def test_dropout() -> None:
    x = pp.ones(COUNT, requires_grad=True)
    y = pp.dropout(x, 0.25)
    kept = (y != 0).float().mean().item()
    assert abs(kept - 0.75) < 0.006 and y.detach().unique().tolist() == [0.0, pytest.approx(4 / 3)]
    y.sum().backward()
    assert pp.equal(x.grad, y.detach()), "the gradient has the mask of the forward pass"
    assert pp.dropout(x, 0.5, training=False) is x and pp.dropout(x, 0.0) is x and not pp.dropout(x, 1.0).any()
    assert not pp.equal(pp.dropout(x, 0.5), pp.dropout(x, 0.5))


def test_multinomial() -> None:
    weights = pp.tensor([0.0, 1.0, 3.0, 4.0])
    x = pp.multinomial(weights, 20000, replacement=True)
    share = np.bincount(x.numpy(), minlength=4) / 20000
    np.testing.assert_allclose(share, [0, 0.125, 0.375, 0.5], atol=0.015)
    rows = pp.multinomial(pp.ones(500, 4), 4)
    assert (rows.sort(-1).values == pp.arange(4)).all() and rows.shape == (500, 4)
    first = pp.multinomial(weights.expand(4000, 4), 1).reshape(-1)
    np.testing.assert_allclose(np.bincount(first.numpy(), minlength=4) / 4000, [0, 0.125, 0.375, 0.5], atol=0.035)
    with pytest.raises(pp.ArgumentError, match="without replacement"):
        pp.multinomial(weights, 4)
    with pytest.raises(pp.ArgumentError, match="non-negative"):
        pp.multinomial(pp.tensor([-1.0, 2.0]), 1)


def test_like() -> None:
    x = pp.zeros(2, 3, dtype=pp.float64)
    assert pp.rand_like(x).dtype is pp.randn_like(x).dtype is pp.float64 and pp.rand_like(x).shape == (2, 3)
    assert pp.rand(2, requires_grad=True).requires_grad and pp.rand((2, 3)).shape == pp.rand(2, 3).shape
