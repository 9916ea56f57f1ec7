"""Bessel functions of order 0 and 1, and Airy's Ai, on arrays: numpy has them not, but for one.

Up to 25 the integer orders are Bessel's integrals (DLMF 10.9, 10.32) by the trapezoidal rule, which converges
exponentially on a period: with 160 points what is left is about J_80(25), below 1e-30. Beyond 25 the asymptotic series
(DLMF 10.17, 10.40) reach e^-50 of the result. All compute in float64; J and Y are within 1e-14 absolutely, I, K and Ai
within 1e-13 of the result (`tests/frontend/test_ops_special.py` holds them to it).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .gamma import _in_double

_FAR = 25.0
_EULER = 0.5772156649015329
# A quarter of the period, from the middle of the first of 40 steps: the integrands are symmetric.
_ANGLES = (np.arange(40) + 0.5) * (math.pi / 80)
_SIN, _COS = np.sin(_ANGLES), np.cos(_ANGLES)
# sum of (-1)^k cos(2 k t) / k: Neumann's series for Y0 (DLMF 10.23.16) put under the integral of each J_2k.
_NEUMANN = np.array([math.fsum((-1) ** k * math.cos(2 * k * t) / k for k in range(1, 41)) for t in _ANGLES])


def _quarter(terms: Callable[[float, float, float], Any]) -> Any:
    """The mean of terms(sin, cos, weight of Neumann's series) over the quarter of a period, added point by point."""
    total: Any = 0.0
    for sine, cosine, weight in zip(_SIN, _COS, _NEUMANN, strict=True):
        total = total + terms(float(sine), float(cosine), float(weight))
    return total / len(_ANGLES)


def _coefficients(order: float, count: int) -> list[float]:
    """a_k of the asymptotic series (DLMF 10.17.1)."""
    found = [1.0]
    for k in range(1, count):
        found.append(found[-1] * (4 * order * order - (2 * k - 1) ** 2) / (8 * k))
    return found


def _powers(coefficients: list[float], inverse: Any) -> Any:
    total = np.zeros_like(inverse)
    for c in reversed(coefficients):
        total = total * inverse + c
    return total


def _hankel(order: float, x: Any) -> tuple[Any, Any, Any]:
    """For large x: the factor sqrt(2 / (pi x)), and P and Q (DLMF 10.17.3) in cos and sin of the phase."""
    a = _coefficients(order, 24)
    square = -1 / (x * x)
    return np.sqrt(2 / (math.pi * x)), _powers(a[::2], square), _powers(a[1::2], square) / x


def _waves(order: int, x: Any) -> tuple[Any, Any]:
    """J and Y of an order for x >= 25."""
    factor, p, q = _hankel(order, x)
    # cos and sin of x - pi / 4 (- pi / 2), without the rounding of that difference
    s, c = np.sin(x), np.cos(x)
    cosine, sine = (c + s) * math.sqrt(0.5), (s - c) * math.sqrt(0.5)
    if order:
        cosine, sine = sine, -cosine
    return factor * (p * cosine - q * sine), factor * (p * sine + q * cosine)


def _near_and_far(near: Callable[[Any], Any], far: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """One formula below 25 and another above, for x >= 0."""

    def both(x: Any) -> Any:
        return np.where(x < _FAR, near(np.minimum(x, _FAR)), far(np.maximum(x, _FAR)))

    return both


def _j0_near(x: Any) -> Any:
    return _quarter(lambda s, c, w: np.cos(x * s))


def _j1_near(x: Any) -> Any:
    return _quarter(lambda s, c, w: s * np.sin(x * s))


def _y0_near(x: Any) -> Any:
    return 2 / math.pi * ((np.log(x / 2) + _EULER) * _j0_near(x) - 2 * _quarter(lambda s, c, w: w * np.cos(x * s)))


def _y1_near(x: Any) -> Any:
    """The derivative of -Y0."""
    series = 2 * _quarter(lambda s, c, w: w * s * np.sin(x * s))
    return 2 / math.pi * ((np.log(x / 2) + _EULER) * _j1_near(x) - _j0_near(x) / x - series)


def _ended(x: Any, found: Any) -> Any:
    """0 at infinity, where sines and cosines are nan."""
    return np.where(np.isinf(x), 0.0, found)


def _positive(function: Callable[[Any], Any], at_zero: float) -> Callable[[Any], Any]:
    """A function with a branch point at 0: nan below it."""
    return lambda x: np.where(x < 0, np.nan, np.where(x == 0, at_zero, _ended(x, function(np.abs(x)))))


_j0 = _near_and_far(_j0_near, lambda x: _waves(0, x)[0])
_j1 = _near_and_far(_j1_near, lambda x: _waves(1, x)[0])
j0_array = _in_double(lambda x: _ended(x, _j0(np.abs(x))))
j1_array = _in_double(lambda x: np.copysign(1.0, x) * _ended(x, _j1(np.abs(x))))
y0_array = _in_double(_positive(_near_and_far(_y0_near, lambda x: _waves(0, x)[1]), -math.inf))
y1_array = _in_double(_positive(_near_and_far(_y1_near, lambda x: _waves(1, x)[1]), -math.inf))


# -- modified: I grows, K decays ------------------------------------------------------------------


def _i_far(order: int, x: Any) -> Any:
    """exp(-x) I(x) (DLMF 10.40.1)."""
    return _powers(_coefficients(order, 24), -1 / x) / np.sqrt(2 * math.pi * x)


_i0e = _near_and_far(lambda x: np.exp(-x) * _quarter(lambda s, c, w: np.cosh(x * c)), lambda x: _i_far(0, x))
_i1e = _near_and_far(lambda x: np.exp(-x) * _quarter(lambda s, c, w: c * np.sinh(x * c)), lambda x: _i_far(1, x))


def _grown(scaled: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """I from exp(-|x|) I, with the exponential in halves: I may be finite where exp(x) is not."""

    def function(x: Any) -> Any:
        half = np.exp(np.abs(x) / 2)
        return np.where(np.isinf(x), np.inf, scaled(np.abs(x)) * half * half)

    return function


i0e_array = _in_double(lambda x: _i0e(np.abs(x)))
i1e_array = _in_double(lambda x: np.copysign(1.0, x) * _i1e(np.abs(x)))
i0_array = _in_double(_grown(_i0e))
i1_array = _in_double(lambda x: np.copysign(1.0, x) * _grown(_i1e)(x))


def _k_integral(order: float, x: Any) -> Any:
    """exp(x) K(x), the integral of exp(-x (cosh t - 1)) cosh(order t) over t > 0 (DLMF 10.32.9), for x from 0.6 to 25;
    at t = 5 the integrand is below 1e-17."""
    total = np.full_like(x, 0.5)
    for t in np.arange(1, 41) * 0.125:
        total = total + np.exp(-x * (math.cosh(t) - 1)) * math.cosh(order * t)
    return total * 0.125


def _k_far(order: float, x: Any) -> Any:
    return np.sqrt(math.pi / (2 * x)) * _powers(_coefficients(order, 24), 1 / x)


def _k0_small(x: Any) -> Any:
    """K0(x) by its power series (DLMF 10.31.2), for x below 1."""
    term, harmonic, square = np.ones_like(x), 0.0, x * x / 4
    first, second = np.ones_like(x), np.zeros_like(x)
    for k in range(1, 14):
        term, harmonic = term * square / (k * k), harmonic + 1 / k
        first, second = first + term, second + harmonic * term
    return second - (np.log(x / 2) + _EULER) * first


def _k1_small(x: Any) -> Any:
    """K1(x) by its power series (DLMF 10.31.1), for x below 1."""
    term, square = x / 2, x * x / 4
    low, high = -_EULER, 1 - _EULER  # digamma of k + 1 and k + 2
    first, second = np.zeros_like(x), np.zeros_like(x)
    for k in range(14):
        first, second = first + term, second + (low + high) * term
        term = term * square / ((k + 1) * (k + 2))
        low, high = low + 1 / (k + 1), high + 1 / (k + 2)
    return 1 / x + np.log(x / 2) * first - second / 2


def _k(order: int, scaled: bool) -> Callable[[Any], Any]:
    small = _k1_small if order else _k0_small

    def function(x: Any) -> Any:
        near = small(np.minimum(x, 1.0)) * (np.exp(np.minimum(x, 1.0)) if scaled else 1.0)
        large = np.where(x < _FAR, _k_integral(order, np.clip(x, 1.0, _FAR)), _k_far(order, np.maximum(x, _FAR)))
        return np.where(x < 1, near, large if scaled else large * np.exp(-x))

    return function


k0_array, k1_array, k0e_array, k1e_array = (
    _in_double(_positive(_k(order, scaled), math.inf)) for scaled in (False, True) for order in (0, 1)
)


# -- Airy -----------------------------------------------------------------------------------------

_AI0, _AI0_SLOPE = 0.3550280538878172, -0.2588194037928068  # Ai(0) and Ai'(0)


def _taylor(center: Any, value: Any, slope: Any, h: Any) -> tuple[Any, Any]:
    """Ai and its derivative at center + h by Taylor's series, whose terms follow from y'' = x y."""
    terms = [value, slope, center * value / 2]
    for n in range(1, 30):
        terms.append((center * terms[n] + terms[n - 1]) / ((n + 1) * (n + 2)))
    total = sum_slope = h * 0
    for n in range(len(terms) - 1, 0, -1):
        total = (total + terms[n]) * h
        sum_slope = sum_slope * h + n * terms[n]
    return total + value, sum_slope


def _stations() -> Any:
    """Ai and its derivative at 0, -1, ... -12, each from the one before: below 0 both solutions only oscillate."""
    found = [(_AI0, _AI0_SLOPE)]
    for n in range(12):
        found.append(_taylor(-float(n), *found[-1], -1.0))
    return np.array(found).T


_VALUES, _SLOPES = _stations()


def _airy(x: Any) -> Any:
    station = np.clip(np.nan_to_num(np.round(-x)), 0, 12).astype(np.int64)
    near = _taylor(-station.astype(np.float64), _VALUES[station], _SLOPES[station], np.clip(x, -12.5, 1.0) + station)[0]
    size = np.abs(x)
    zeta = 2 / 3 * size * np.sqrt(size)
    safe = np.where(zeta < _FAR, _k_integral(1 / 3, np.clip(zeta, 0.6, _FAR)), _k_far(1 / 3, np.maximum(zeta, _FAR)))
    above = np.exp(-zeta) * np.sqrt(size / 3) / math.pi * safe
    # Below -12: DLMF 9.7.9, whose coefficients are those of the Bessel functions of order 1/3.
    factor, p, q = _hankel(1 / 3, np.maximum(zeta, _FAR))
    wave = factor * (p * np.cos(zeta - math.pi / 4) - q * np.sin(zeta - math.pi / 4)) * np.sqrt(size / 3)
    found = np.where(x > 1, above, np.where(x < -12, wave, near))
    return np.where(np.isinf(x), 0.0, found)


airy_ai_array = _in_double(_airy)


def _spherical_j0(x: Any) -> Any:
    return np.where(np.isinf(x), 0.0, np.where(np.abs(x) < 1e-8, 1.0, np.sin(x) / np.where(x == 0, 1.0, x)))


spherical_j0_array = _in_double(_spherical_j0)
