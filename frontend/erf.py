"""The error function, its complement and its inverse on arrays: numpy has none of them."""

from __future__ import annotations

from typing import Any

import numpy as np

# Rational minimax approximations in three ranges (W. J. Cody, "Rational Chebyshev approximations for the error
# function", Mathematics of Computation 23, 1969), with relative error below 1e-15. Highest power first.
_P1 = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_Q1 = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
_P2 = (
    2.15311535474403846e-8, 5.64188496988670089e-1, 8.88314979438837594e0, 6.61191906371416295e1, 2.98635138197400131e2,
    8.81952221241769090e2, 1.71204761263407058e3, 2.05107837782607147e3, 1.23033935479799725e3,
)  # fmt: skip
_Q2 = (
    1.0, 1.57449261107098347e1, 1.17693950891312499e2, 5.37181101862009858e2, 1.62138957456669019e3,
    3.29079923573345963e3, 4.36261909014324716e3, 3.43936767414372164e3, 1.23033935480374942e3,
)  # fmt: skip
_P3 = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_Q3 = (
    1.0, 2.56852019228982242e0, 1.87295284992346047e0, 5.27905102951428412e-1, 6.05183413124413191e-2,
    2.33520497626869185e-3,
)  # fmt: skip
_RSQRT_PI = 5.6418958354775628695e-1
CENTRAL = (
    2.81022636e-08, 3.43273939e-07, -3.5233877e-06, -4.39150654e-06, 0.00021858087, -0.00125372503, -0.00417768164,
    0.246640727, 1.50140941,
)  # fmt: skip
OUTER = (
    -0.000200214257, 0.000100950558, 0.00134934322, -0.00367342844, 0.00573950773, -0.0076224613, 0.00943887047,
    1.00167406, 2.83297682,
)  # fmt: skip


def _poly(coefficients: tuple[float, ...], x: Any) -> Any:
    """The polynomial by Horner's rule, in the precision of `x`."""
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


def erfc_array(x: Any) -> Any:
    """1 - erf of every element, with its relative precision kept where erf is near 1.

    >>> import numpy as np
    >>> f"{erfc_array(np.array([3.0]))[0]:.12e}"
    '2.209049699859e-05'
    """
    size = np.clip(np.abs(x), 0, 27.0)  # erfc(27) is below the smallest float64
    far = np.exp(-size * size) * _far(size)
    return np.where(size > 0.5, np.where(x < 0, 2 - far, far), 1 - erf_array(x)).astype(x.dtype)


def _far(size: Any) -> Any:
    """erfc(x) * exp(x * x) for x > 0.5."""
    near = np.minimum(size, 4.0)
    out = _poly(_P2, near) / _poly(_Q2, near)
    large = np.maximum(size, 4.0)
    inverse = 1 / (large * large)
    tail = (_RSQRT_PI - inverse * _poly(_P3, inverse) / _poly(_Q3, inverse)) / large
    return np.where(size > 4, tail, out)


def erfinv_array(x: Any) -> Any:
    """The numbers whose erf is x: infinite at -1 and 1, nan beyond.

    >>> import numpy as np
    >>> f"{erfinv_array(np.array([0.5]))[0]:.12f}"
    '0.476936276204'
    """
    wide = x.astype(np.float64)
    w = -np.log((1 - wide) * (1 + wide))
    # A start good to 1e-6 (M. Giles, "Approximating the erfinv function", 2012), then four steps of Halley's method.
    central, outer = _poly(CENTRAL, w - 2.5), _poly(OUTER, np.sqrt(np.maximum(w, 5.0)) - 3)
    y = np.where(w < 5, central, outer) * wide
    for _ in range(4):
        error = np.where(
            np.abs(wide) < 0.5, erf_array(y) - wide, np.sign(y) * ((1 - np.abs(wide)) - erfc_array(np.abs(y)))
        )
        step = error / (2 * _RSQRT_PI * np.exp(-y * y))
        y = y - step / (1 + y * step)
    return np.where(np.abs(wide) == 1, np.copysign(np.inf, wide), y).astype(x.dtype)
