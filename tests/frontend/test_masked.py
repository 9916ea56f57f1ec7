"""pappus.masked beside numpy's masked arrays: rows of which nothing is shown, types, gradients, refusals."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pappus as pp

rng = np.random.default_rng(5)
X = rng.standard_normal((3, 4, 5)).astype(np.float32)
SHOWN = rng.random((4, 5)) < 0.6
SHOWN[2] = False
masked = np.ma.masked_array(X, np.broadcast_to(~SHOWN, X.shape))
x, mask = pp.from_numpy(X), pp.from_numpy(SHOWN)


@pytest.mark.parametrize("dim", [None, 0, -1, (0, 2)])
@pytest.mark.parametrize("keepdim", [False, True])
@pytest.mark.parametrize("name", ["sum", "prod", "amax", "amin", "mean", "var", "std"])
def test_reductions(name: str, keepdim: bool, dim: int | tuple[int, ...] | None) -> None:
    got = getattr(pp.masked, name)(x, dim, keepdim=keepdim, mask=mask).numpy()
    options = {"ddof": 1} if name in ("var", "std") else {}
    wide = masked.astype(np.float64)
    one = {"amax": "max", "amin": "min"}.get(name, name)
    axes = dim if dim is not None else tuple(range(3))
    want = getattr(wide, one)(axis=axes, keepdims=keepdim, **options) if name != "prod" else (
        np.ma.masked_array(wide.filled(1).prod(axes, keepdims=keepdim), ~SHOWN.any() if dim is None else (
            ~np.broadcast_to(SHOWN, X.shape).any(axes, keepdims=keepdim))))  # fmt: skip
    assert got.shape == want.shape
    few = np.broadcast_to(SHOWN, X.shape).sum(axes, keepdims=keepdim)
    enough = few > (1 if options else 0)
    np.testing.assert_allclose(got[enough], np.ma.getdata(want)[enough], rtol=1e-5)
    nothing = {"sum": 0, "prod": 1, "amax": -math.inf, "amin": math.inf}.get(name, math.nan)
    np.testing.assert_array_equal(got[few == 0], np.full((few == 0).sum(), nothing, np.float32))


def test_scans_and_places() -> None:
    n = pp.tensor([[5, 1, 7, 3]])
    shown = pp.tensor([True, True, False, True])
    assert pp.masked.cumsum(n, 1, mask=shown).tolist() == [[5, 6, 6, 9]]
    assert pp.masked.cumprod(n, 1, mask=shown).tolist() == [[5, 5, 5, 15]]
    assert pp.masked.argmax(n, 1, mask=shown).tolist() == [0] and pp.masked.argmin(n, mask=~shown).item() == 2
    assert pp.masked.median(n, mask=shown).tolist() == [3] and pp.masked.median(n).tolist() == [3]
    assert pp.masked.amax(n, mask=n > 9).item() == pp.iinfo(pp.int64).min
    assert pp.masked.sum(n, mask=shown, dtype=pp.float32).dtype is pp.float32


def test_shares_and_norms() -> None:
    v = pp.tensor([3.0, 100.0, 4.0], requires_grad=True)
    shown = pp.tensor([True, False, True])
    assert pp.masked.norm(v, mask=shown).item() == 5 and pp.masked.norm(v, -math.inf, mask=shown).item() == 3
    assert pp.masked.normalize(v, 2.0, 0, mask=shown).tolist() == pytest.approx([0.6, 0, 0.8])
    shares = pp.masked.softmax(v, 0, mask=shown)
    assert shares[1].item() == 0 and shares.sum().item() == pytest.approx(1)
    assert pp.masked.softmin(v, 0, mask=shown).tolist() == pytest.approx(shares.flip(0).tolist())
    assert pp.masked.log_softmax(v, 0, mask=shown)[1].item() == -math.inf
    assert pp.masked.logsumexp(v, mask=shown).item() == pytest.approx(4 + math.log1p(math.exp(-1)))
    two = pp.masked.logaddexp(v, v, input_mask=shown, other_mask=~shown)
    assert two.tolist() == v.tolist()
    (shares * pp.tensor([1.0, 5.0, 2.0])).sum().backward()
    assert v.grad is not None and v.grad[1].item() == 0 and v.grad[0].item() == pytest.approx(-v.grad[2].item()) != 0


def test_refusals() -> None:
    with pytest.raises(pp.DTypeError, match=r"mask is a bool tensor, got pappus\.int64"):
        pp.masked.sum(x, mask=pp.ones(5, dtype=pp.int64))
    for shape in ((4,), (2, 3, 4, 5), (3, 4, 1, 5)):
        with pytest.raises(pp.ShapeError):
            pp.masked.sum(x, mask=pp.ones(shape).bool())
    with pytest.raises(pp.DTypeError, match="only floating-point and complex"):
        pp.masked.mean(pp.ones(2).long())
    with pytest.raises(pp.ArgumentError, match="hides a whole row"):
        pp.masked.median(pp.ones(2).long(), mask=pp.zeros(2).bool())
    with pytest.raises(pp.ArgumentError, match="not both"):
        pp.masked.var(x, 0, True, correction=0)
