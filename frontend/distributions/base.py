"""What all distributions share: shapes, checked parameters, sampling without gradient."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, TypeAlias

import numpy as np

from pappus.frontend import ops as _loaded
from pappus.frontend import random as rng
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.tensor import Size, Tensor

ops: Any = _loaded  # its functions are made by their schemas
__all__ = ["Distribution", "Independent", "Rule", "Values", "numpy_draws", "ops", "together"]

Values: TypeAlias = Any  # a Tensor; the methods that operators give it are untyped
Rule: TypeAlias = tuple[str, Callable[[Any], Any]]
POSITIVE: Rule = ("positive", lambda v: v > 0)
NONNEGATIVE: Rule = ("at least 0", lambda v: v >= 0)
UNIT: Rule = ("between 0 and 1", lambda v: (v >= 0) & (v <= 1))
REAL: Rule = ("a number", lambda v: v == v)
BOOLEAN: Rule = ("0 or 1", lambda v: (v == 0) | (v == 1))
COUNT: Rule = ("a whole number of at least 0", lambda v: (v >= 0) & (v == np.floor(v)))


def together(*values: Any) -> list[Tensor]:
    """Parameters as tensors of one shape; numbers take the type of the tensors beside them."""
    dtype = next((v.dtype for v in values if isinstance(v, Tensor)), None)
    tensors = [v if isinstance(v, Tensor) else ops.tensor(float(v), dtype=dtype) for v in values]
    return list(ops.broadcast_tensors(*tensors))


def numpy_draws() -> np.random.Generator:
    """numpy's generator at a seed drawn from ours: for the distributions that are sampled by rejection."""
    return np.random.default_rng(int(rng.words64(*rng.default_generator.take(2), 1)[0]))


class Distribution:
    """Base class: `batch_shape` is the shape of the parameters, `event_shape` that of one draw.

    `sample(shape)` draws without gradient, `rsample(shape)` with a gradient to the parameters where there is one.
    Parameters and values are checked unless `validate_args=False`.
    """

    has_rsample: bool = False
    arg_constraints: ClassVar[dict[str, Rule]] = {}
    support_rule: Rule | None = None
    _validate = True

    def __init__(
        self, batch_shape: Sequence[int] = (), event_shape: Sequence[int] = (), validate_args: bool | None = None
    ) -> None:
        self._batch_shape, self._event_shape = Size(batch_shape), Size(event_shape)
        if validate_args is not None:
            self._validate = bool(validate_args)
        if not self._validate:
            return
        for name, (words, holds) in self.arg_constraints.items():
            value = self.__dict__.get(name)
            if isinstance(value, Tensor) and not value.is_symbolic:
                array = value.detach().numpy()
                if not np.all(holds(array)):
                    bad = array[~holds(array)].reshape(-1)[0]
                    raise ValueError(f"{type(self).__name__}: parameter {name} must be {words}, it has {bad}")

    @property
    def batch_shape(self) -> Size:
        """The shape of the parameters."""
        return self._batch_shape

    @property
    def event_shape(self) -> Size:
        """The shape of one draw."""
        return self._event_shape

    def _extended(self, sample_shape: Any) -> tuple[int, ...]:
        shape = (sample_shape,) if isinstance(sample_shape, int) else tuple(sample_shape)
        return (*shape, *self._batch_shape, *self._event_shape)

    def _checked(self, value: Any) -> Values:
        value = value if isinstance(value, Tensor) else ops.tensor(value)
        if self._validate and self.support_rule is not None and not value.is_symbolic:
            words, holds = self.support_rule
            array = value.detach().numpy()
            if not np.all(holds(array)):
                bad = array[~holds(array)].reshape(-1)[0]
                raise ValueError(f"{type(self).__name__}: the value must be {words}, it has {bad}")
        return value

    def sample(self, sample_shape: Any = ()) -> Values:
        """Draws of shape sample_shape + batch_shape + event_shape, without gradient."""
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Values:
        """Draws that have a gradient to the parameters. Raises UnsupportedError where the distribution has none."""
        raise UnsupportedError(
            f"{type(self).__name__}.rsample: draws have no gradient to the parameters; use sample() and log_prob()"
        )

    def sample_n(self, n: int) -> Values:
        """`n` draws."""
        return self.sample((n,))

    def log_prob(self, value: Any) -> Values:
        """The logarithm of the density, or of the probability, at `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no log_prob")

    def entropy(self) -> Values:
        """The entropy in nats."""
        raise NotImplementedError(f"{type(self).__name__} has no entropy")

    def cdf(self, value: Any) -> Values:
        """The probability of a draw below `value`."""
        raise NotImplementedError(f"{type(self).__name__} has no cdf")

    def icdf(self, value: Any) -> Values:
        """The value below which a draw falls with this probability."""
        raise NotImplementedError(f"{type(self).__name__} has no icdf")

    @property
    def mean(self) -> Values:
        """The expectation."""
        raise NotImplementedError(f"{type(self).__name__} has no mean")

    @property
    def variance(self) -> Values:
        """The variance."""
        raise NotImplementedError(f"{type(self).__name__} has no variance")

    @property
    def mode(self) -> Values:
        """The likeliest value."""
        raise NotImplementedError(f"{type(self).__name__} has no mode")

    @property
    def stddev(self) -> Values:
        """The standard deviation."""
        return self.variance.sqrt()

    def perplexity(self) -> Values:
        """exp(entropy)."""
        return self.entropy().exp()

    def expand(self, batch_shape: Any) -> Distribution:
        """The same distribution with its parameters expanded to a larger batch shape."""
        made = object.__new__(type(self))
        made.__dict__.update(self.__dict__)
        made._batch_shape = Size(batch_shape)
        extra = len(self._batch_shape)
        for name, value in self.__dict__.items():
            if isinstance(value, Tensor):
                own = tuple(value.shape)[extra:]
                made.__dict__[name] = value.expand((*batch_shape, *own))
            elif isinstance(value, Distribution):
                inner = tuple(value.batch_shape)[extra:]
                made.__dict__[name] = value.expand((*batch_shape, *inner))
        return made

    def __repr__(self) -> str:
        names = [n for n in self.arg_constraints if n in self.__dict__]
        parts = [f"{n}: {self.__dict__[n] if not self.__dict__[n].shape else self.__dict__[n].shape}" for n in names]
        return f"{type(self).__name__}({', '.join(parts)})"


class Independent(Distribution):
    """The last batch dimensions of a distribution as dimensions of one draw: their log-probabilities add up.

    >>> import pappus as pp
    >>> from pappus.frontend.distributions import Normal
    >>> Independent(Normal(pp.zeros(2, 3), 1.0), 1).log_prob(pp.zeros(2, 3)).shape
    pappus.Size([2])
    """

    def __init__(
        self, base_distribution: Distribution, reinterpreted_batch_ndims: int, validate_args: bool | None = None
    ) -> None:
        count = len(base_distribution.batch_shape)
        if not 0 <= reinterpreted_batch_ndims <= count:
            raise ValueError(f"Independent: {reinterpreted_batch_ndims} dimensions of a batch shape that has {count}")
        self.base_dist, self.reinterpreted_batch_ndims = base_distribution, reinterpreted_batch_ndims
        shape = (*base_distribution.batch_shape, *base_distribution.event_shape)
        split = count - reinterpreted_batch_ndims
        self.has_rsample = base_distribution.has_rsample
        super().__init__(shape[:split], shape[split:], validate_args)

    def _sum(self, values: Tensor) -> Values:
        dims = tuple(range(-self.reinterpreted_batch_ndims, 0))
        return values.sum(dims) if dims else values

    def sample(self, sample_shape: Any = ()) -> Values:
        return self.base_dist.sample(sample_shape)

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self.base_dist.rsample(sample_shape)

    def log_prob(self, value: Any) -> Values:
        return self._sum(self.base_dist.log_prob(value))

    def entropy(self) -> Values:
        return self._sum(self.base_dist.entropy())

    @property
    def mean(self) -> Values:
        return self.base_dist.mean

    @property
    def mode(self) -> Values:
        return self.base_dist.mode

    @property
    def variance(self) -> Values:
        return self.base_dist.variance

    def expand(self, batch_shape: Any) -> Distribution:
        inner = (*batch_shape, *tuple(self._event_shape)[: self.reinterpreted_batch_ndims])
        return Independent(self.base_dist.expand(inner), self.reinterpreted_batch_ndims)

    def __repr__(self) -> str:
        return f"Independent({self.base_dist!r}, {self.reinterpreted_batch_ndims})"


LOG_2PI = math.log(2 * math.pi)
