"""Distributions made of gamma variables. Draws have no gradient to the parameters here; use `log_prob`."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np

from pappus.frontend.distributions.base import (
    POSITIVE,
    REAL,
    UNIT,
    Distribution,
    Rule,
    Values,
    numpy_draws,
    ops,
    together,
)
from pappus.frontend.tensor import Tensor

__all__ = ["Beta", "Chi2", "Dirichlet", "Gamma", "StudentT"]


def _gammas(concentration: Tensor, shape: Any) -> Any:
    """Gamma variables of rate 1, as an array."""
    alpha = concentration.detach().numpy().astype(np.float64)
    return np.maximum(numpy_draws().standard_gamma(alpha, shape), np.finfo(np.float32).tiny)


def _log_beta(*alphas: Tensor) -> Any:
    total = alphas[0] + alphas[1]
    return ops.lgamma(alphas[0]) + ops.lgamma(alphas[1]) - ops.lgamma(total)


class Gamma(Distribution):
    """rate^a x^(a-1) exp(-rate x) / Γ(a), a the concentration."""

    arg_constraints: ClassVar[dict[str, Rule]] = {"concentration": POSITIVE, "rate": POSITIVE}
    support_rule = POSITIVE

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = together(concentration, rate)
        super().__init__(self.rate.shape, (), validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        drawn = _gammas(self.concentration, self._extended(sample_shape)) / self.rate.detach().numpy()
        return Tensor._from_data(np.asarray(drawn, self.rate.dtype.numpy))

    def log_prob(self, value: Any) -> Values:
        value, a = self._checked(value), self.concentration
        return ops.xlogy(a, self.rate) + ops.xlogy(a - 1, value) - self.rate * value - ops.lgamma(a)

    def entropy(self) -> Values:
        a = self.concentration
        return a - self.rate.log() + ops.lgamma(a) + (1 - a) * ops.digamma(a)

    @property
    def mean(self) -> Values:
        return self.concentration / self.rate

    @property
    def mode(self) -> Values:
        """The value of the highest density."""
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Values:
        return self.concentration / self.rate**2


class Chi2(Gamma):
    """The sum of the squares of `df` standard normal variables."""

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        (self.df,) = together(df)
        super().__init__(0.5 * self.df, 0.5, validate_args)


class Beta(Distribution):
    """x^(a-1) (1-x)^(b-1) / B(a, b), a = concentration1 and b = concentration0.

    >>> Beta(2.0, 2.0).mean.item()
    0.5
    """

    arg_constraints: ClassVar[dict[str, Rule]] = {"concentration1": POSITIVE, "concentration0": POSITIVE}
    support_rule = UNIT

    def __init__(self, concentration1: Any, concentration0: Any, validate_args: bool | None = None) -> None:
        self.concentration1, self.concentration0 = together(concentration1, concentration0)
        super().__init__(self.concentration1.shape, (), validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        shape = self._extended(sample_shape)
        a, b = _gammas(self.concentration1, shape), _gammas(self.concentration0, shape)
        return Tensor._from_data(np.asarray(a / (a + b), self.concentration1.dtype.numpy))

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        a, b = self.concentration1, self.concentration0
        return ops.xlogy(a - 1, value) + ops.xlogy(b - 1, 1 - value) - _log_beta(a, b)

    def entropy(self) -> Values:
        a, b = self.concentration1, self.concentration0
        rest = (a + b - 2) * ops.digamma(a + b)
        return _log_beta(a, b) - (a - 1) * ops.digamma(a) - (b - 1) * ops.digamma(b) + rest

    @property
    def mean(self) -> Values:
        return self.concentration1 / (self.concentration1 + self.concentration0)

    @property
    def variance(self) -> Values:
        total = self.concentration1 + self.concentration0
        return self.concentration1 * self.concentration0 / (total**2 * (total + 1))


class Dirichlet(Distribution):
    """Shares of a whole: ∏ x_i^(a_i - 1) / B(a), a the concentration, whose last dimension is the draw's."""

    arg_constraints: ClassVar[dict[str, Rule]] = {"concentration": POSITIVE}
    support_rule = UNIT

    def __init__(self, concentration: Any, validate_args: bool | None = None) -> None:
        self.concentration = concentration
        super().__init__(concentration.shape[:-1], concentration.shape[-1:], validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        drawn = _gammas(self.concentration, self._extended(sample_shape))
        return Tensor._from_data(np.asarray(drawn / drawn.sum(-1, keepdims=True), self.concentration.dtype.numpy))

    def log_prob(self, value: Any) -> Values:
        a = self.concentration
        parts = ops.xlogy(a - 1, self._checked(value)).sum(-1)
        return parts + ops.lgamma(a.sum(-1)) - ops.lgamma(a).sum(-1)

    def entropy(self) -> Values:
        a, k = self.concentration, self.concentration.shape[-1]
        total = a.sum(-1)
        own = ((a - 1) * ops.digamma(a)).sum(-1)
        return ops.lgamma(a).sum(-1) - ops.lgamma(total) - (k - total) * ops.digamma(total) - own

    @property
    def mean(self) -> Values:
        return self.concentration / self.concentration.sum(-1, keepdim=True)

    @property
    def variance(self) -> Values:
        total = self.concentration.sum(-1, keepdim=True)
        return self.concentration * (total - self.concentration) / (total**2 * (total + 1))


class StudentT(Distribution):
    """A normal variable over the root of a chi-square one divided by its `df`."""

    arg_constraints: ClassVar[dict[str, Rule]] = {"df": POSITIVE, "loc": REAL, "scale": POSITIVE}
    support_rule = REAL

    def __init__(self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None) -> None:
        self.df, self.loc, self.scale = together(df, loc, scale)
        super().__init__(self.df.shape, (), validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        shape = self._extended(sample_shape)
        df, loc, scale = (v.detach().numpy() for v in (self.df, self.loc, self.scale))
        drawn = loc + scale * numpy_draws().standard_t(df.astype(np.float64), shape)
        return Tensor._from_data(np.asarray(drawn, self.df.dtype.numpy))

    def log_prob(self, value: Any) -> Values:
        y, df = (self._checked(value) - self.loc) / self.scale, self.df
        scale = self.scale.log() + 0.5 * df.log() + 0.5 * math.log(math.pi)
        norm = scale + ops.lgamma(0.5 * df) - ops.lgamma(0.5 * (df + 1))
        return -0.5 * (df + 1) * (y**2 / df).log1p() - norm

    @property
    def mean(self) -> Values:
        return ops.where(self.df > 1, self.loc, float("nan"))
