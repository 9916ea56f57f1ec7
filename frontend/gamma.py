"""The gamma function's relatives on arrays, which numpy lacks: log gamma, digamma, Hurwitz zeta, incomplete gamma.

All compute in float64 and round once to the array's type. Near the poles and for large arguments they follow the
usual conventions (lgamma of a pole is inf, digamma of one is nan, of 0 an infinity of the opposite sign).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .device import on_host

# B_2k for k = 1 .. 12, for the asymptotic series below.
BERNOULLI = (
    1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510, 43867 / 798, -174611 / 330,
    854513 / 138, -236364091 / 2730,
)  # fmt: skip
_FAR = 10  # where 8 terms of the asymptotic series reach float64's precision


def _in_double(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute float64, round to the type of the first array."""

    def run(*arrays: Any) -> Any:
        wide = np.broadcast_arrays(*[np.asarray(a, np.float64) for a in arrays])
        with np.errstate(all="ignore"):
            return np.asarray(function(*wide)).astype(arrays[0].dtype)

    return on_host(run)  # type: ignore[no-any-return]


def _stirling(x: Any) -> Any:
    """log gamma for x >= 10."""
    inverse = 1 / x
    tail = np.zeros_like(x)
    for k in range(8, 0, -1):
        tail = tail * inverse * inverse + BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    return (x - 0.5) * np.log(x) - x + 0.5 * math.log(2 * math.pi) + tail * inverse


def _lgamma_positive(x: Any) -> Any:
    near = x < _FAR
    product = np.ones_like(x)
    for i in range(_FAR):
        product = np.where(near, product * (x + i), 1.0)
    found = _stirling(np.where(near, x + _FAR, x)) - np.log(product)
    found = np.where((x == 1) | (x == 2), 0.0, found)
    return np.where(np.isposinf(x), np.inf, found)


def _lgamma(x: Any) -> Any:
    positive = x > 0
    safe = np.where(positive, x, 1 - x)
    found = _lgamma_positive(safe)
    sine = np.abs(np.sin(math.pi * (x - np.round(x))))
    reflected = np.where(np.isneginf(x), np.inf, math.log(math.pi) - np.log(sine) - found)
    return np.where(positive | np.isnan(x), found, reflected)


def _digamma(x: Any) -> Any:
    positive = x > 0
    at = np.where(positive, x, 1 - x)
    near, shift = at < _FAR, np.zeros_like(at)
    for i in range(_FAR):
        shift = np.where(near, shift + 1 / (at + i), 0.0)
    at = np.where(near, at + _FAR, at)
    inverse = 1 / (at * at)
    tail = np.zeros_like(at)
    for k in range(8, 0, -1):
        tail = (tail + BERNOULLI[k - 1] / (2 * k)) * inverse
    found = np.log(at) - 0.5 / at - tail - shift
    fraction = x - np.round(x)
    reflected = np.where(fraction == 0, np.nan, found - math.pi / np.tan(math.pi * fraction))
    reflected = np.where(x == 0, np.copysign(np.inf, -x), reflected)
    return np.where(positive | np.isnan(x), found, reflected)


def _zeta(s: Any, q: Any) -> Any:
    """Sum of (q + k) ** -s over k >= 0, by Euler and Maclaurin's formula behind the first terms."""
    total, at = np.zeros_like(q), q.copy()
    lowest = float(np.nanmin(np.where(np.isfinite(q), q, 1.0), initial=1.0))
    for i in range(max(0, math.ceil(-lowest)) + _FAR):
        step = (at <= _FAR - 1) | (i < _FAR)
        total = np.where(step, total + np.power(at, -s), total)
        at = np.where(step, at + 1, at)
    power = np.power(at, -s)
    total = total + power * at / (s - 1) + 0.5 * power
    factor = s / at
    for k in range(1, 13):
        total = total + BERNOULLI[k - 1] / math.factorial(2 * k) * factor * power
        factor = factor * (s + 2 * k - 1) * (s + 2 * k) / (at * at)
    total = np.where(np.isposinf(q), 0.0, total)
    bad = (s < 1) | ((q <= 0) & (q != np.floor(q)) & (s != np.floor(s))) | np.isnan(s) | np.isnan(q)
    poles = (s == 1) | ((q <= 0) & (q == np.floor(q)))
    return np.where(bad, np.nan, np.where(poles, np.inf, total))


lgamma_array, digamma_array, zeta_array = _in_double(_lgamma), _in_double(_digamma), _in_double(_zeta)


def polygamma_array(n: int, x: Any) -> Any:
    """The n-th derivative of digamma: (-1)^(n + 1) n! zeta(n + 1, x)."""
    if n == 0:
        return digamma_array(x)
    sign = 1.0 if n % 2 else -1.0
    return _in_double(lambda x: sign * math.gamma(n + 1) * _zeta(np.full_like(x, n + 1.0), x))(x)


# -- incomplete gamma -----------------------------------------------------------------------------


def _series(a: Any, x: Any) -> Any:
    """P(a, x) by its power series, for x below about a + 1."""
    term = 1 / a
    total, n = term.copy(), a.copy()
    for _ in range(2000):
        n = n + 1
        term = term * x / n
        total = total + term
        if not (np.abs(term) > np.abs(total) * 1e-17).any():
            break
    return total * np.exp(a * np.log(x) - x - _lgamma(a))


def _fraction(a: Any, x: Any) -> Any:
    """Q(a, x) by Lentz's evaluation of its continued fraction, for x above about a + 1."""
    tiny = 1e-300
    b = x + 1 - a
    c, d = np.full_like(x, 1 / tiny), 1 / np.where(b == 0, tiny, b)
    h = d.copy()
    for i in range(1, 2000):
        factor = -i * (i - a)
        b = b + 2
        d = factor * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + factor / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        delta = d * c
        h = h * delta
        if not (np.abs(delta - 1) > 1e-16).any():
            break
    return h * np.exp(a * np.log(x) - x - _lgamma(a))


def _gamma_parts(a: Any, x: Any) -> tuple[Any, Any]:
    """The regularized lower and upper incomplete gamma functions, P and Q."""
    low = x < a + 1
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    p = _series(np.where(inside & low, a, 1.0), np.where(inside & low, x, 0.5))
    q = _fraction(np.where(inside & ~low, a, 1.0), np.where(inside & ~low, x, 3.0))
    p, q = np.where(low, p, 1 - q), np.where(low, 1 - p, q)
    for test, value in (
        (np.isposinf(x) & (a >= 0), 1.0), (x == 0, 0.0), ((a == 0) & (x > 0), 1.0),
        (np.isposinf(a) & np.isfinite(x) & (x >= 0), 0.0),
        (~((a >= 0) & (x >= 0)) | ((a == 0) & (x == 0)) | (np.isposinf(a) & np.isposinf(x)), np.nan),
    ):  # fmt: skip
        p, q = np.where(test, value, p), np.where(test, 1 - value, q)
    return p, q


gammainc_array = _in_double(lambda a, x: _gamma_parts(a, x)[0])
gammaincc_array = _in_double(lambda a, x: _gamma_parts(a, x)[1])
