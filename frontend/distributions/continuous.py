"""Distributions over numbers, given by a place and a scale."""

from __future__ import annotations

import math
from typing import Any, ClassVar

from pappus.frontend.distributions.base import (
    LOG_2PI,
    NONNEGATIVE,
    POSITIVE,
    REAL,
    Distribution,
    Rule,
    Values,
    ops,
    together,
)
from pappus.frontend.tensor import Tensor

__all__ = ["Cauchy", "Exponential", "Gumbel", "HalfNormal", "Laplace", "LogNormal", "Normal", "Uniform"]


def _uniform(shape: Any, like: Tensor) -> Values:
    """Numbers in (0, 1), both ends left out."""
    tiny = 2.0**-25
    return ops.rand(shape, dtype=like.dtype).clamp(tiny, 1 - tiny)


class _PlaceAndScale(Distribution):
    has_rsample = True
    arg_constraints: ClassVar[dict[str, Rule]] = {"loc": REAL, "scale": POSITIVE}
    support_rule = REAL

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = together(loc, scale)
        super().__init__(self.loc.shape, (), validate_args)

    @property
    def mean(self) -> Values:
        return self.loc

    @property
    def mode(self) -> Values:
        """The value of the highest density."""
        return self.loc


class Normal(_PlaceAndScale):
    """exp(-(x - loc)² / (2 scale²)) / (scale √(2π)).

    >>> round(Normal(0.0, 1.0).log_prob(0.0).item(), 6)
    -0.918939
    """

    @property
    def variance(self) -> Values:
        return self.scale**2

    @property
    def stddev(self) -> Values:
        return self.scale

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.loc + self.scale * ops.randn(self._extended(sample_shape), dtype=self.loc.dtype)

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        return -((value - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - 0.5 * LOG_2PI

    def entropy(self) -> Values:
        return 0.5 + 0.5 * LOG_2PI + self.scale.log()

    def cdf(self, value: Any) -> Values:
        return 0.5 * (1 + ops.erf((self._checked(value) - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Values:
        return self.loc + self.scale * ops.erfinv(2 * value - 1) * math.sqrt(2)


class LogNormal(Normal):
    """exp of a normal variable with `loc` and `scale`."""

    support_rule = POSITIVE

    def rsample(self, sample_shape: Any = ()) -> Values:
        return super().rsample(sample_shape).exp()

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        log = value.log()
        return -((log - self.loc) ** 2) / (2 * self.scale**2) - self.scale.log() - 0.5 * LOG_2PI - log

    def entropy(self) -> Values:
        return super().entropy() + self.loc

    def cdf(self, value: Any) -> Values:
        return 0.5 * (1 + ops.erf((self._checked(value).log() - self.loc) / (self.scale * math.sqrt(2))))

    def icdf(self, value: Any) -> Values:
        return super().icdf(value).exp()

    @property
    def mean(self) -> Values:
        return (self.loc + self.scale**2 / 2).exp()

    @property
    def mode(self) -> Values:
        return (self.loc - self.scale**2).exp()

    @property
    def variance(self) -> Values:
        square = self.scale**2
        return square.expm1() * (2 * self.loc + square).exp()

    @property
    def stddev(self) -> Values:
        return self.variance.sqrt()


class Laplace(_PlaceAndScale):
    """exp(-|x - loc| / scale) / (2 scale)."""

    def rsample(self, sample_shape: Any = ()) -> Values:
        u = _uniform(self._extended(sample_shape), self.loc) - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    def log_prob(self, value: Any) -> Values:
        return -(2 * self.scale).log() - (self._checked(value) - self.loc).abs() / self.scale

    def entropy(self) -> Values:
        return 1 + (2 * self.scale).log()

    def cdf(self, value: Any) -> Values:
        d = (self._checked(value) - self.loc) / self.scale
        return 0.5 - 0.5 * d.sign() * (-d.abs()).expm1()

    def icdf(self, value: Any) -> Values:
        u = value - 0.5
        return self.loc - self.scale * u.sign() * (-2 * u.abs()).log1p()

    @property
    def variance(self) -> Values:
        return 2 * self.scale**2


class Cauchy(_PlaceAndScale):
    """1 / (π scale (1 + ((x - loc) / scale)²)); it has neither mean nor variance."""

    def rsample(self, sample_shape: Any = ()) -> Values:
        u = _uniform(self._extended(sample_shape), self.loc)
        return self.loc + self.scale * (math.pi * (u - 0.5)).tan()

    def log_prob(self, value: Any) -> Values:
        d = (self._checked(value) - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (d**2).log1p()

    def entropy(self) -> Values:
        return math.log(4 * math.pi) + self.scale.log()

    def cdf(self, value: Any) -> Values:
        return ((self._checked(value) - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Values:
        return self.loc + self.scale * (math.pi * (value - 0.5)).tan()

    @property
    def mean(self) -> Values:
        return ops.full_like(self.loc, math.nan)

    @property
    def variance(self) -> Values:
        return ops.full_like(self.loc, math.inf)


class Gumbel(_PlaceAndScale):
    """The largest of many exponential variables: exp(-(z + exp(-z))) / scale, z = (x - loc) / scale."""

    def rsample(self, sample_shape: Any = ()) -> Values:
        u = _uniform(self._extended(sample_shape), self.loc)
        return self.loc - self.scale * (-u.log()).log()

    def log_prob(self, value: Any) -> Values:
        z = (self._checked(value) - self.loc) / self.scale
        return -(z + (-z).exp()) - self.scale.log()

    def entropy(self) -> Values:
        return self.scale.log() + (1 + _EULER)

    def cdf(self, value: Any) -> Values:
        return (-(-(self._checked(value) - self.loc) / self.scale).exp()).exp()

    @property
    def mean(self) -> Values:
        return self.loc + self.scale * _EULER

    @property
    def variance(self) -> Values:
        return (math.pi**2 / 6) * self.scale**2


_EULER = 0.57721566490153286060


class HalfNormal(Distribution):
    """The absolute value of a normal variable of mean 0."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Rule]] = {"scale": POSITIVE}
    support_rule = NONNEGATIVE

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        (self.scale,) = together(scale)
        super().__init__(self.scale.shape, (), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Values:
        return (self.scale * ops.randn(self._extended(sample_shape), dtype=self.scale.dtype)).abs()

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        return math.log(2) - 0.5 * LOG_2PI - self.scale.log() - value**2 / (2 * self.scale**2)

    def entropy(self) -> Values:
        return 0.5 + 0.5 * LOG_2PI - math.log(2) + self.scale.log()

    @property
    def mean(self) -> Values:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Values:
        return self.scale**2 * (1 - 2 / math.pi)


class Exponential(Distribution):
    """rate · exp(-rate x) for x >= 0."""

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Rule]] = {"rate": POSITIVE}
    support_rule = NONNEGATIVE

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    def rsample(self, sample_shape: Any = ()) -> Values:
        return -_uniform(self._extended(sample_shape), self.rate).log() / self.rate

    def log_prob(self, value: Any) -> Values:
        return self.rate.log() - self.rate * self._checked(value)

    def entropy(self) -> Values:
        return 1 - self.rate.log()

    def cdf(self, value: Any) -> Values:
        return -(-self.rate * self._checked(value)).expm1()

    def icdf(self, value: Any) -> Values:
        return -(-value).log1p() / self.rate

    @property
    def mean(self) -> Values:
        return self.rate.reciprocal()

    @property
    def variance(self) -> Values:
        return self.rate**-2


class Uniform(Distribution):
    """1 / (high - low) for low <= x < high.

    >>> Uniform(0.0, 4.0).log_prob(1.0).exp().item()
    0.25
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Rule]] = {"low": REAL, "high": REAL}

    def __init__(self, low: Any, high: Any, validate_args: bool | None = None) -> None:
        self.low, self.high = together(low, high)
        super().__init__(self.low.shape, (), validate_args)
        if self._validate and not bool((self.low < self.high).all()):
            raise ValueError("Uniform: low must be below high everywhere")

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.low + (self.high - self.low) * ops.rand(self._extended(sample_shape), dtype=self.low.dtype)

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        inside = (value >= self.low) & (value < self.high)
        if self._validate and not bool(((value >= self.low) & (value <= self.high)).all()):
            raise ValueError("Uniform: the value must lie between low and high")
        return inside.to(self.low.dtype).log() - (self.high - self.low).log()

    def entropy(self) -> Values:
        return (self.high - self.low).log()

    def cdf(self, value: Any) -> Values:
        return ((self._checked(value) - self.low) / (self.high - self.low)).clamp(0, 1)

    def icdf(self, value: Any) -> Values:
        return value * (self.high - self.low) + self.low

    @property
    def mean(self) -> Values:
        return (self.high + self.low) / 2

    @property
    def variance(self) -> Values:
        return (self.high - self.low) ** 2 / 12
