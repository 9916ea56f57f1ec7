"""pappus.signal.windows beside scipy's windows of the same names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pappus as pp

NAMED: dict[str, dict[str, Any]] = {
    "bartlett": {}, "blackman": {}, "cosine": {}, "exponential": {"tau": 2.5}, "gaussian": {"std": 1.7},
    "general_cosine": {"a": [0.4, 0.3, 0.2, 0.1]}, "general_hamming": {"alpha": 0.6}, "hamming": {}, "hann": {},
    "kaiser": {"beta": 7.0}, "nuttall": {},
}  # fmt: skip


@pytest.mark.parametrize("name", NAMED)
@pytest.mark.parametrize("sym", [True, False])
def test_windows(name: str, sym: bool) -> None:
    windows = pytest.importorskip("scipy.signal.windows")
    for length in (0, 1, 2, 7, 10):
        got = getattr(pp.signal.windows, name)(length, sym=sym, dtype=pp.float64, **NAMED[name])
        want = getattr(windows, name)(length, sym=sym, **NAMED[name])
        np.testing.assert_allclose(got.numpy(), want, atol=1e-12)


def test_arguments() -> None:
    found = pp.signal.windows.exponential(5, center=0, sym=False, requires_grad=True)
    assert found.requires_grad and found.dtype is pp.float32
    np.testing.assert_allclose(found.detach().numpy(), np.exp(-np.arange(5)), rtol=1e-6)
    for wrong, message in [
        (lambda: pp.signal.windows.hann(-1), "not be negative"),
        (lambda: pp.signal.windows.gaussian(-1), "not be negative"),
        (lambda: pp.signal.windows.gaussian(3, std=0), "std must be above 0"),
        (lambda: pp.signal.windows.exponential(3, tau=-1), "tau must be above 0"),
        (lambda: pp.signal.windows.exponential(3, center=1), "pass sym=False"),
        (lambda: pp.signal.windows.kaiser(3, beta=-1), "beta must not be negative"),
        (lambda: pp.signal.windows.general_cosine(3, a=[]), "at least one"),
    ]:
        with pytest.raises(pp.ArgumentError, match=message):
            wrong()
    with pytest.raises(pp.DTypeError, match="floating-point type"):
        pp.signal.windows.hann(3, dtype=pp.int64)
