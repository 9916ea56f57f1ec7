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


# -- Bessel functions, polynomials, the normal distribution ---------------------------------------

FAR = np.concatenate([np.linspace(1e-3, 60, 500), 10.0 ** rng.uniform(-10, 3, 100), [0.0, np.inf, np.nan]])


@pytest.mark.parametrize("name", ["j0", "j1", "y0", "y1"])
def test_bessel(name: str) -> None:
    scipy = pytest.importorskip("scipy.special")
    x = FAR if name[0] == "y" else np.concatenate([FAR, -FAR])
    got, want = getattr(pp.special, f"bessel_{name}")(pp.from_numpy(x)).numpy(), getattr(scipy, name)(x)
    scale = np.maximum(1, np.abs(np.where(np.isfinite(want), want, 0)))
    np.testing.assert_allclose((got / scale)[np.isfinite(x)], (want / scale)[np.isfinite(x)], atol=1e-14, rtol=0)
    assert got[np.isposinf(x)] == 0 and np.isnan(got[np.isnan(x)]).all()
    if name[0] == "y":
        below = getattr(pp.special, f"bessel_{name}")(pp.tensor([-1.0, 0.0])).tolist()
        assert np.isnan(below[0]) and below[1] == -np.inf


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [("i0", "i0"), ("i0e", "i0e"), ("i1", "i1"), ("i1e", "i1e"), ("modified_bessel_k0", "k0"),
     ("modified_bessel_k1", "k1"), ("scaled_modified_bessel_k0", "k0e"), ("scaled_modified_bessel_k1", "k1e"),
     ("airy_ai", "airy"), ("erfcx", "erfcx"), ("ndtr", "ndtr"), ("log_ndtr", "log_ndtr")],
)  # fmt: skip
def test_relative_precision(ours: str, theirs: str) -> None:
    scipy = pytest.importorskip("scipy.special")
    x = FAR[np.isfinite(FAR)] if "_k" in ours else np.concatenate([FAR[:500], -FAR[:500], [0.0]])
    if ours == "erfcx":
        x = x[x > -20]
    want = getattr(scipy, theirs)(x)
    want = want[0] if ours == "airy_ai" else want
    got = getattr(pp.special, ours)(pp.from_numpy(x)).numpy()
    size = np.abs(want)
    if ours == "airy_ai":  # it oscillates below 0, where its zeros have no relative precision
        size = np.where(x < 0, 1.0, size)
    with np.errstate(all="ignore"):
        close = np.abs(got - want) <= 5e-13 * size
    assert (close | (got == want))[(size > 1e-290)].all()


def test_far_ends() -> None:
    assert pp.special.i0(pp.tensor([800.0, -np.inf], dtype=pp.float64)).tolist() == [np.inf, np.inf]
    assert pp.special.i0e(pp.tensor([1e30])).item() == pytest.approx(1 / np.sqrt(2e30 * np.pi), rel=1e-6)
    assert pp.special.airy_ai(pp.tensor([np.inf, 200.0])).tolist() == [0, 0]
    spherical = pp.special.spherical_bessel_j0(pp.tensor([0.0, np.inf, np.pi]))
    assert spherical.tolist() == pytest.approx([1, 0, 0], abs=1e-7)
    assert pp.special.log_ndtr(pp.tensor([-100.0])).item() == pytest.approx(-5005.5242)
    assert pp.special.ndtri(pp.tensor([0.0, 1.0, 0.5])).tolist() == [-np.inf, np.inf, 0]
    assert np.isnan(pp.special.ndtri(pp.tensor([-0.1, 1.1, np.nan])).numpy()).all()


def test_ndtri_inverts() -> None:
    scipy = pytest.importorskip("scipy.special")
    p = np.concatenate([10.0 ** rng.uniform(-300, 0, 200), rng.random(200), 1 - 10.0 ** rng.uniform(-15, 0, 50)])
    np.testing.assert_allclose(pp.special.ndtri(pp.from_numpy(p)).numpy(), scipy.ndtri(p), rtol=1e-12, atol=1e-14)


@pytest.mark.parametrize("name", ["chebyshev_polynomial_t", "hermite_polynomial_he", "legendre_polynomial_p"])
def test_polynomials(name: str) -> None:
    x, n = rng.uniform(-1, 1, (6, 1)), np.array([-1, 0, 1, 2, 7, 30])
    agree(getattr(pp.special, name)(pp.from_numpy(x), pp.from_numpy(n)),
          getattr(torch.special, name)(torch.from_numpy(x), torch.from_numpy(n)), 1e-11)  # fmt: skip
    assert getattr(pp.special, name)(pp.tensor([2]), 1).dtype is pp.float32
    assert getattr(pp.special, name)(pp.ones(0), 3).shape == (0,)
    with pytest.raises(pp.ArgumentError, match="clamp n first"):
        getattr(pp.special, name)(pp.ones(1), 1e9)


# -- frexp and nextafter --------------------------------------------------------------------------

EDGES = [0.0, -0.0, 1.0, -1.0, 1e-45, 1e-40, 3e38, np.inf, -np.inf, np.nan, 2.0, 1e-38]


@pytest.mark.parametrize("name", ["float32", "bfloat16"])
def test_neighbours_and_parts(name: str) -> None:
    theirs = torch.tensor(EDGES).to(getattr(torch, name))
    ours = pp.tensor(EDGES).to(getattr(pp, name))
    agree(pp.nextafter(ours[:, None], ours).float(), torch.nextafter(theirs[:, None], theirs).float(), 0)
    for got, want in zip(pp.frexp(ours), torch.frexp(theirs), strict=True):
        agree(got.float(), want.float(), 0)
    with pytest.raises(pp.DTypeError, match="only floating-point"):
        pp.frexp(pp.tensor([1]))
    with pytest.raises(pp.DTypeError, match="only floating-point"):
        pp.nextafter(pp.tensor([1]), pp.tensor([2]))


def test_gradient_of_frexp() -> None:
    x = pp.tensor([12.0, 0.75], requires_grad=True)
    pp.frexp(x).mantissa.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [0.0625, 1.0]
