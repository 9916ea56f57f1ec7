"""Orthogonal polynomials of a degree n given per element, by their three-term recurrences (DLMF 18.9) in float64."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..device import on_host
from ..errors import ArgumentError
from ..opdef import Sample, operator
from ._samples import floats
from ._shapes import as_float, pointwise_float, promote_arrays
from .special import special

# name: (the polynomial of degree 1, the next one from k, x, p_k and p_(k-1)); that of degree 0 is 1.
RECURRENCES: dict[str, tuple[Any, Any]] = {
    **{f"chebyshev_polynomial_{kind}": (lambda x, slope=slope, at=at: slope * x + at,
                                        lambda k, x, p, before: 2 * x * p - before)
       for kind, slope, at in (("t", 1, 0), ("u", 2, 0), ("v", 2, -1), ("w", 2, 1))},
    "hermite_polynomial_h": (lambda x: 2 * x, lambda k, x, p, before: 2 * x * p - 2 * k * before),
    "hermite_polynomial_he": (lambda x: x, lambda k, x, p, before: x * p - k * before),
    "laguerre_polynomial_l": (lambda x: 1 - x, lambda k, x, p, before: ((2 * k + 1 - x) * p - k * before) / (k + 1)),
    "legendre_polynomial_p": (lambda x: x, lambda k, x, p, before: ((2 * k + 1) * x * p - k * before) / (k + 1)),
}  # fmt: skip
MOST = 100_000  # a recurrence takes a step per degree
WORDS = {
    "chebyshev_polynomial_t": "Chebyshev's polynomial of the first kind, cos(n acos(x))",
    "chebyshev_polynomial_u": "Chebyshev's polynomial of the second kind",
    "chebyshev_polynomial_v": "Chebyshev's polynomial of the third kind",
    "chebyshev_polynomial_w": "Chebyshev's polynomial of the fourth kind",
    "hermite_polynomial_h": "Hermite's polynomial of physics, of leading term (2 x)^n",
    "hermite_polynomial_he": "Hermite's polynomial of probability, of leading term x^n",
    "laguerre_polynomial_l": "Laguerre's polynomial",
    "legendre_polynomial_p": "Legendre's polynomial",
}


def _highest(n: Any) -> int:
    top = n.max(initial=0)
    if top > MOST:
        raise ArgumentError(f"polynomials of a degree above {MOST:,} are not computed, got {top:g}; clamp n first")
    return int(top)


def _kernel(first: Any, step: Any, shifted: bool) -> Any:
    @on_host
    def values(x: Any, n: Any) -> Any:
        kind = as_float(x[..., :0] if x.ndim else x).dtype
        x, n = np.broadcast_arrays(x.astype(np.float64), np.trunc(np.nan_to_num(n.astype(np.float64), nan=-1.0)))
        x = 2 * x - 1 if shifted else x
        with np.errstate(all="ignore"):
            before, p = np.ones_like(x), first(x)
            out = np.where(n < 0, 0.0, np.where(n == 0, before, p))
            for k in range(1, _highest(n)):
                before, p = p, step(k, x, p, before)
                out = np.where(n == k + 1, p, out)
            return out.astype(kind)

    return lambda xp, x, n: values(*promote_arrays(x, n))


def _declare(name: str, kernel: Any, doc: str) -> None:
    special(name, operator(
        f"special_{name}(Tensor|Scalar self, Tensor|Scalar n) -> Tensor",
        f"{doc}, of degree n without its fraction; 0 for a negative n.",
        shape=pointwise_float, eager=kernel, differentiable=False,
        samples=lambda: [Sample((floats(2, 3), n)) for n in (0, 1, 5)],
    ))  # fmt: skip


for _name, (_first, _step) in RECURRENCES.items():
    _declare(_name, _kernel(_first, _step, False), WORDS[_name])
    if _name.startswith("chebyshev"):
        _declare(f"shifted_{_name}", _kernel(_first, _step, True), f"{WORDS[_name]}, of 2 x - 1")
