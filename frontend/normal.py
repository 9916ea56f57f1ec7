"""The standard normal distribution on arrays: the logarithm of its distribution function, its quantiles, and the scaled
complement of the error function."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .erf import _far, erf_array, erfc_array
from .gamma import _in_double

_ROOT2 = math.sqrt(2)


def _erfcx(x: Any) -> Any:
    size = np.abs(x)
    square = size * size
    near = np.exp(np.minimum(square, 1.0)) * (1 - erf_array(size))
    positive = np.where(size > 0.5, _far(np.maximum(size, 0.5)), near)
    return np.where(x < 0, 2 * np.exp(square) - positive, positive)


def _log_ndtr(x: Any) -> Any:
    """Left of -1 through erfcx, which neither underflows nor rounds to 0."""
    left = np.log(_erfcx(np.maximum(-x, 1.0) / _ROOT2) / 2) - x * x / 2
    return np.where(x < -1, left, np.log1p(-erfc_array(x / _ROOT2) / 2))


def _ndtri(p: Any) -> Any:
    """Newton's method on log_ndtr, which is concave: from sqrt(-2 log p) left of 0, which is left of the root, it never
    passes it. The half above 0.5 mirrors the other."""
    inside = (p > 0) & (p < 1)
    small = np.where(inside, np.minimum(p, 1 - p), 0.5)
    target = np.log(small)
    y = -np.sqrt(-2 * target)
    for _ in range(8):
        log_p = _log_ndtr(y)
        y = y - (log_p - target) * np.exp(log_p + y * y / 2) * math.sqrt(2 * math.pi)
    found = np.where(p > 0.5, -y, np.where(p == 0.5, 0.0, y))
    return np.where(inside, found, np.where(p == 0, -np.inf, np.where(p == 1, np.inf, np.nan)))


erfcx_array, log_ndtr_array, ndtri_array = _in_double(_erfcx), _in_double(_log_ndtr), _in_double(_ndtri)
