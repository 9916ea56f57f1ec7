"""Softmax and the normalizations over rows and channels, with their gradients."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import direct, plain, suits

__all__ = ["channel_norm", "channel_norm_grad", "norm", "norm_grad", "softmax", "softmax_grad"]

NORM, SOFTMAX = 6, 7  # docs/format.md
LAYER, RMS = 0, 1
SOFTMAX_GRAD, NORM_GRAD, NORM_PARAM_GRAD, CHANNEL_NORM, CHANNEL_NORM_GRAD = 65, 66, 67, 68, 69  # kernels/eager.h


def softmax(x: Any, dim: int, log: bool) -> Any:
    """softmax or log_softmax of `x` along `dim`; None where numpy should do it."""
    if not suits(x) or not 0 < x.ndim <= 8:
        return None
    x = plain(x)
    y = np.empty(x.shape, x.dtype)
    return y if direct().run(SOFTMAX, (x,), (y,), (dim % x.ndim, int(log))) else None


def softmax_grad(g: Any, y: Any, dim: int, log: bool) -> Any:
    """The gradient of softmax from that of its result `y`; None where numpy should do it."""
    if not suits(g, y) or not y.ndim:
        return None
    dim %= y.ndim
    shape = (math.prod(y.shape[:dim]), y.shape[dim], math.prod(y.shape[dim + 1 :]))
    out = np.empty(y.shape, y.dtype)
    args = (plain(g, *shape), plain(y, *shape))
    return out if direct().run(SOFTMAX_GRAD, args, (out.reshape(shape),), (int(log),)) else None


def norm(x: Any, weight: Any, bias: Any, axes: int, eps: float, kind: int) -> Any:
    """Layer (kind 0) or RMS (kind 1) normalization over the last `axes` dimensions; None where numpy should do it."""
    if not suits(x, weight, bias):
        return None
    n = math.prod(x.shape[x.ndim - axes :])
    y = np.empty(x.shape, x.dtype)
    vectors = [v if v is None else plain(v, n) for v in (weight, bias)]
    args = (plain(x, -1, n), *vectors)
    return y if direct().run(NORM, args, (y.reshape(-1, n),), (kind, 1), (eps,)) else None


def norm_grad(g: Any, x: Any, weight: Any, axes: int, eps: float, kind: int) -> Any:
    """Gradients of `norm` to x, weight and bias; None where numpy should do it."""
    if not suits(g, x, weight):
        return None
    n = math.prod(x.shape[x.ndim - axes :])
    tail = x.shape[x.ndim - axes :]
    g, rows = plain(g, -1, n), plain(x, -1, n)
    gx, stats = np.empty(x.shape, x.dtype), np.empty((len(rows), 2), x.dtype)
    gw, gb = np.empty(tail, x.dtype), np.empty(tail, x.dtype)
    args = (g, rows, weight if weight is None else plain(weight, n))
    if not direct().run(NORM_GRAD, args, (gx.reshape(-1, n), stats), (kind,), (eps,)):
        return None
    return (gx, gw, gb) if direct().run(NORM_PARAM_GRAD, (g, rows, stats), (gw.reshape(n), gb.reshape(n))) else None


def _channels(x: Any) -> Any:
    return plain(x, x.shape[0], x.shape[1], -1)


def channel_norm(x: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Channels of (N, C, *) normalized by their own mean and variance, which follow; None where numpy should do it."""
    if not suits(x, weight, bias):
        return None
    y, mean, var = np.empty(x.shape, x.dtype), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    args = (_channels(x), weight if weight is None else plain(weight), bias if bias is None else plain(bias))
    return (y, mean, var) if direct().run(CHANNEL_NORM, args, (_channels(y), mean, var), (), (eps,)) else None


def channel_norm_grad(
    g: Any, gmean: Any, gvar: Any, x: Any, weight: Any, mean: Any, var: Any, eps: float
) -> Any:  # fmt: skip
    """Gradients of `channel_norm` to x, weight and bias; None where numpy should do it."""
    if not suits(g, gmean, gvar, x, weight, mean, var):
        return None
    gx, gw, gb = np.empty(x.shape, x.dtype), np.empty(x.shape[1], x.dtype), np.empty(x.shape[1], x.dtype)
    vectors = [v if v is None else plain(v) for v in (weight, mean, var, gmean, gvar)]
    args = (_channels(g), _channels(x), *vectors)
    return (gx, gw, gb) if direct().run(CHANNEL_NORM_GRAD, args, (_channels(gx), gw, gb), (), (eps,)) else None
