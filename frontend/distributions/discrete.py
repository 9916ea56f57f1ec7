"""Distributions over whole numbers and classes, given by probabilities or by logits."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pappus.frontend.distributions.base import (
    BOOLEAN,
    COUNT,
    NONNEGATIVE,
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

__all__ = [
    "Bernoulli", "Binomial", "Categorical", "Geometric", "OneHotCategorical", "OneHotCategoricalStraightThrough",
    "Poisson",
]  # fmt: skip


def _one_of(owner: Any, probs: Any, logits: Any) -> bool:
    if (probs is None) == (logits is None):
        raise ValueError(f"{type(owner).__name__}: give either probs or logits, not both")
    return probs is not None


class Categorical(Distribution):
    """Classes 0 .. k-1 with the probabilities of the last dimension, normalized; or with softmax(logits).

    >>> import pappus as pp
    >>> m = Categorical(pp.tensor([0.25, 0.75]))
    >>> m.log_prob(pp.tensor(1)).exp().item(), m.sample((3,)).shape
    (0.75, pappus.Size([3]))
    """

    arg_constraints: ClassVar[dict[str, Rule]] = {"probs": NONNEGATIVE, "logits": REAL}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        given = probs if _one_of(self, probs, logits) else logits
        if given.ndim < 1:
            raise ValueError("Categorical: probs or logits need at least one dimension, that of the classes")
        self._num_events = given.shape[-1]
        if probs is not None:
            self.probs = probs / probs.sum(-1, keepdim=True)
        else:
            self.logits = logits - logits.logsumexp(-1, keepdim=True)
        super().__init__(given.shape[:-1], (), validate_args)

    def __getattr__(self, name: str) -> Any:
        # The one that was not given, when it is asked for.
        if name == "logits" and "probs" in self.__dict__:
            eps = 2.0**-52 if self.probs.dtype.itemsize == 8 else 2.0**-23
            self.logits = self.probs.clamp(eps, 1 - eps).log()
            return self.logits
        if name == "probs" and "logits" in self.__dict__:
            self.probs = self.logits.softmax(-1)
            return self.probs
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    def sample(self, sample_shape: Any = ()) -> Values:
        shape = self._extended(sample_shape)
        batch = int(np.prod(tuple(self._batch_shape), dtype=np.int64))
        count = int(np.prod(shape, dtype=np.int64)) // max(batch, 1)
        flat = self.probs.detach().reshape(-1, self._num_events)
        drawn = ops.multinomial(flat, count, True)
        return drawn.t().reshape(shape)

    def log_prob(self, value: Any) -> Values:
        value = value if isinstance(value, Tensor) else ops.tensor(value)
        if self._validate and not bool(((value >= 0) & (value < self._num_events)).all()):
            raise ValueError(f"Categorical: the value must be a class from 0 to {self._num_events - 1}")
        index = value.long().unsqueeze(-1)
        shape = np.broadcast_shapes(tuple(index.shape)[:-1], tuple(self.logits.shape)[:-1])
        logits = self.logits.expand((*shape, self._num_events))
        return logits.gather(-1, index.expand((*shape, 1))).squeeze(-1)

    def entropy(self) -> Values:
        least = float(np.finfo(np.float32).min)
        return -(self.logits.clamp(min=least) * self.probs).sum(-1)

    def enumerate_support(self, expand: bool = True) -> Values:
        """All classes, along a new first dimension."""
        values = ops.arange(self._num_events).reshape((-1, *[1] * len(self._batch_shape)))
        return values.expand((-1, *self._batch_shape)) if expand else values

    @property
    def param_shape(self) -> Any:
        """The shape of the probabilities."""
        return (self.probs if "probs" in self.__dict__ else self.logits).shape

    @property
    def mode(self) -> Values:
        """The likeliest class."""
        return self.probs.argmax(-1)

    @property
    def mean(self) -> Values:
        return ops.full(tuple(self._batch_shape), float("nan"), dtype=self.probs.dtype)

    variance = mean


class OneHotCategorical(Distribution):
    """A class as a vector that is 1 at it and 0 elsewhere."""

    arg_constraints: ClassVar[dict[str, Rule]] = {}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        self._categorical = Categorical(probs, logits, validate_args)
        super().__init__(self._categorical.batch_shape, self._categorical.param_shape[-1:], validate_args)

    @property
    def probs(self) -> Values:
        """The probabilities of the classes."""
        return self._categorical.probs

    @property
    def logits(self) -> Values:
        """Their logarithms."""
        return self._categorical.logits

    def _one_hot(self, classes: Tensor) -> Values:
        places = ops.arange(self._categorical._num_events)
        return (classes.unsqueeze(-1) == places).to(self.probs.dtype)

    def sample(self, sample_shape: Any = ()) -> Values:
        return self._one_hot(self._categorical.sample(sample_shape))

    def log_prob(self, value: Any) -> Values:
        if self._validate and not bool((((value == 0) | (value == 1)).all(-1) & (value.sum(-1) == 1)).all()):
            raise ValueError("OneHotCategorical: the value must have one 1 in its last dimension, and zeros")
        return self._categorical.log_prob(value.argmax(-1))

    def entropy(self) -> Values:
        return self._categorical.entropy()

    @property
    def mean(self) -> Values:
        return self.probs

    @property
    def mode(self) -> Values:
        """The likeliest class."""
        return self._one_hot(self._categorical.mode)

    @property
    def variance(self) -> Values:
        return self.probs * (1 - self.probs)


class OneHotCategoricalStraightThrough(OneHotCategorical):
    """A one-hot class whose gradient is that of the probabilities."""

    has_rsample = True

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.sample(sample_shape) + (self.probs - self.probs.detach())


class _Binary(Distribution):
    arg_constraints: ClassVar[dict[str, Rule]] = {"probs": UNIT, "logits": REAL}

    def __init__(self, probs: Any = None, logits: Any = None, validate_args: bool | None = None) -> None:
        if _one_of(self, probs, logits):
            (self.probs,) = together(probs)
        else:
            (self.logits,) = together(logits)
        given: Tensor = self.__dict__["probs" if probs is not None else "logits"]
        super().__init__(given.shape, (), validate_args)

    def __getattr__(self, name: str) -> Any:
        if name == "logits" and "probs" in self.__dict__:
            eps = 2.0**-52 if self.probs.dtype.itemsize == 8 else 2.0**-23
            p = self.probs.clamp(eps, 1 - eps)
            self.logits = p.log() - (-p).log1p()
            return self.logits
        if name == "probs" and "logits" in self.__dict__:
            self.probs = self.logits.sigmoid()
            return self.probs
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}", name=name)

    def _cross_entropy(self, value: Tensor) -> Values:
        # -log p(value), from logits: stable at both ends.
        return ops.softplus(self.logits) - value * self.logits


class Bernoulli(_Binary):
    """1 with probability `probs` (or sigmoid(logits)), else 0."""

    support_rule = BOOLEAN

    def sample(self, sample_shape: Any = ()) -> Values:
        return ops.bernoulli(self.probs.detach().expand(self._extended(sample_shape)))

    def log_prob(self, value: Any) -> Values:
        return -self._cross_entropy(self._checked(value))

    def entropy(self) -> Values:
        return self._cross_entropy(self.probs)

    @property
    def mean(self) -> Values:
        return self.probs

    @property
    def mode(self) -> Values:
        """The likelier value."""
        return (self.probs >= 0.5).to(self.probs.dtype)

    @property
    def variance(self) -> Values:
        return self.probs * (1 - self.probs)


class Geometric(_Binary):
    """The number of failures before the first success of probability `probs`."""

    support_rule = COUNT

    def sample(self, sample_shape: Any = ()) -> Values:
        p = self.probs.detach()
        u = ops.rand(self._extended(sample_shape), dtype=p.dtype).clamp(min=2.0**-25)
        return (u.log() / (-p).log1p()).floor()

    def log_prob(self, value: Any) -> Values:
        return self._checked(value) * (-self.probs).log1p() + self.probs.log()

    def entropy(self) -> Values:
        return self._cross_entropy(self.probs) / self.probs

    @property
    def mean(self) -> Values:
        return 1.0 / self.probs - 1.0

    @property
    def variance(self) -> Values:
        return (1.0 / self.probs - 1.0) / self.probs


class Binomial(_Binary):
    """The number of successes in `total_count` trials."""

    support_rule = COUNT

    def __init__(
        self, total_count: Any = 1, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        given = probs if _one_of(self, probs, logits) else logits
        count, given = together(total_count, given)
        self.total_count = count.to(given.dtype)
        super().__init__(given if probs is not None else None, None if probs is not None else given, validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        counts, p = (v.detach().numpy() for v in (self.total_count, self.probs))
        drawn = numpy_draws().binomial(counts.astype(np.int64), p.astype(np.float64), self._extended(sample_shape))
        return Tensor._from_data(np.asarray(drawn, p.dtype))

    def log_prob(self, value: Any) -> Values:
        value, n = self._checked(value), self.total_count
        choose = ops.lgamma(n + 1) - ops.lgamma(value + 1) - ops.lgamma(n - value + 1)
        return choose + value * self.logits - n * ops.softplus(self.logits)

    @property
    def mean(self) -> Values:
        return self.total_count * self.probs

    @property
    def variance(self) -> Values:
        return self.total_count * self.probs * (1 - self.probs)


class Poisson(Distribution):
    """rate^k exp(-rate) / k!."""

    arg_constraints: ClassVar[dict[str, Rule]] = {"rate": NONNEGATIVE}
    support_rule = COUNT

    def __init__(self, rate: Any, validate_args: bool | None = None) -> None:
        (self.rate,) = together(rate)
        super().__init__(self.rate.shape, (), validate_args)

    def sample(self, sample_shape: Any = ()) -> Values:
        rate = self.rate.detach().numpy()
        drawn = numpy_draws().poisson(rate.astype(np.float64), self._extended(sample_shape))
        return Tensor._from_data(np.asarray(drawn, rate.dtype))

    def log_prob(self, value: Any) -> Values:
        value = self._checked(value)
        return ops.xlogy(value, self.rate) - self.rate - ops.lgamma(value + 1)

    @property
    def mean(self) -> Values:
        return self.rate

    variance = mean

    @property
    def mode(self) -> Values:
        """The likeliest count."""
        return self.rate.floor()
