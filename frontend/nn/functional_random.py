"""The functions of `pappus.nn.functional` that draw random numbers: dropout in its variants, rrelu, gumbel_softmax."""

from __future__ import annotations

import math
from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.tensor import Tensor

__all__ = [
    "alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout", "gumbel_softmax",
    "rrelu",
]  # fmt: skip

# What selu tends to for small x: the value that alpha dropout puts where it drops.
_LOWEST = -1.7580993408473766


def _probability(name: str, p: float) -> None:
    if not 0 <= p <= 1:
        raise ArgumentError(f"{name}: the probability must be between 0 and 1, got {p}")


def dropout(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """In training, set elements to zero with probability `p` and scale the others by 1 / (1 - p)."""
    return ops.dropout(input, p, training)  # type: ignore[no-any-return]


def dropout1d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, L) or (C, L)."""
    if input.ndim == 2:
        return dropout2d(input.unsqueeze(0), p, training).squeeze(0)  # type: ignore[no-any-return]
    return dropout2d(input, p, training)


def _channels(input: Tensor) -> Tensor:
    """A one for each channel of each sample."""
    return ops.ones(*input.shape[:2], *(1,) * (input.ndim - 2), dtype=input.dtype)  # type: ignore[no-any-return]


def dropout2d(input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False) -> Tensor:
    """`dropout` of whole channels of (N, C, H, W)."""
    _probability("dropout", p)
    if not training or p == 0:
        return input
    return input * ops.dropout(_channels(input), p, True)  # type: ignore[no-any-return]


dropout3d = dropout2d


def _alpha(input: Tensor, ones: Tensor, p: float) -> Tensor:
    if p == 1:
        return input * 0
    keep = ops.dropout(ones, p, True) * (1 - p)
    scale = 1 / math.sqrt((_LOWEST * _LOWEST * p + 1) * (1 - p))
    return input * (keep * scale) + ((1 - keep) * (_LOWEST * scale) - _LOWEST * scale * p)  # type: ignore[no-any-return]


def alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """Dropout that keeps mean 0 and variance 1: dropped elements get selu's lowest value, and all are scaled.

    >>> import pappus as pp
    >>> alpha_dropout(pp.ones(3)).tolist()
    [1.0, 1.0, 1.0]
    """
    _probability("alpha_dropout", p)
    return _alpha(input, ops.ones_like(input), p) if training and p else input


def feature_alpha_dropout(input: Tensor, p: float = 0.5, training: bool = False, inplace: bool = False) -> Tensor:
    """`alpha_dropout` of whole channels of (N, C, *)."""
    _probability("feature_alpha_dropout", p)
    if training and input.ndim < 2:
        raise ShapeError(f"feature_alpha_dropout: expected (N, C, *) of at least 2 dimensions, got {list(input.shape)}")
    return _alpha(input, _channels(input), p) if training and p else input


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """x where positive, else x times a slope, in training one per element, uniform in [lower, upper), else their mean.

    >>> import pappus as pp
    >>> rrelu(pp.tensor([-2.0, 3.0]), 0.25, 0.75).tolist()
    [-1.0, 3.0]
    """
    if lower > upper:
        raise ArgumentError(f"rrelu: the lower bound {lower} must not be above the upper bound {upper}")
    if not training:
        return ops.leaky_relu(input, (lower + upper) / 2)  # type: ignore[no-any-return]
    slope = ops.rand(*input.shape, dtype=input.dtype) * (upper - lower) + lower
    return ops.where(input > 0, input, input * slope)  # type: ignore[no-any-return]


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample of a softened categorical distribution: softmax((logits + noise) / tau), the noise of Gumbel's law.

    With `hard` the result is one at the largest and zero elsewhere, with the gradient of the soft sample.

    >>> import pappus as pp
    >>> gumbel_softmax(pp.zeros(2, 5), hard=True).sum(-1).tolist()
    [1.0, 1.0]
    """
    noise = -(-(ops.rand(*logits.shape, dtype=logits.dtype).clamp(min=1e-30).log())).clamp(min=1e-30).log()
    soft: Tensor = ops.softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.detach().argmax(dim, keepdim=True)
    one: Any = ops.scatter(ops.zeros_like(soft.detach()), dim, index, 1.0)
    return one - soft.detach() + soft  # type: ignore[no-any-return]
