"""The error function on arrays: numpy has none."""

from __future__ import annotations

from typing import Any

import numpy as np

# Rational minimax approximations in three ranges (W. J. Cody, "Rational Chebyshev approximations for the error function",
# Mathematics of Computation 23, 1969), with relative error below 1e-15. Highest power first.
_P1 = (1.85777706184603153e-1, 3.16112374387056560e0, 1.13864154151050156e2, 3.77485237685302021e2, 3.20937758913846947e3)
_Q1 = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_P2 = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_Q2 = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip


def _poly(coefficients: tuple[float, ...], x: Any) -> Any:
    out = np.full_like(x, coefficients[0])
    for c in coefficients[1:]:
        out *= x
        out += x.dtype.type(c)
    return out


def erf_array(x: Any) -> Any:
    """erf of every element, to the precision of the array's type.

    >>> import numpy as np
    >>> float(erf_array(np.array([0.5]))[0])
    0.5204998778130465
    """
    shape, x = x.shape, x.reshape(-1)
    size = np.abs(x)
    small = np.minimum(size, 0.5)
    square = small * small
    out = small * _poly(_P1, square)
    out /= _poly(_Q1, square)
    at = np.flatnonzero(size > 0.5)
    if at.size:
        large = np.minimum(size[at], 6.0)  # 1 - erf(6) is below the last bit of float64
        tail = np.exp(-large * large) * _poly(_P2, large)
        tail /= _poly(_Q2, large)
        out[at] = 1 - tail
        out[np.isnan(x)] = np.nan
    return np.copysign(out, x).reshape(shape)
