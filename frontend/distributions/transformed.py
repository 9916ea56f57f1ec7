"""Distributions of a function of a draw, by the change of variables."""

from __future__ import annotations

import math
from typing import Any

from pappus.frontend.distributions.base import Distribution, Values, ops
from pappus.frontend.tensor import Tensor

__all__ = [
    "AffineTransform", "ComposeTransform", "ExpTransform", "SigmoidTransform", "TanhTransform", "Transform",
    "TransformedDistribution",
]  # fmt: skip


class Transform:
    """A function of each element that can be undone: `t(x)`, `t.inv(y)`, and the logarithm of its slope."""

    def __init__(self, cache_size: int = 0) -> None:
        self._last: tuple[Any, Any] | None = None

    def __call__(self, x: Tensor) -> Values:
        y = self._call(x)
        self._last = (x, y)  # undoing the last result gives exactly what it was made of
        return y

    def _undo(self, y: Tensor) -> Values:
        if self._last is not None and self._last[1] is y:
            return self._last[0]
        return self._inverse(y)

    @property
    def inv(self) -> Any:
        """The inverse, as a function."""
        return self._undo

    def _call(self, x: Tensor) -> Values:
        raise NotImplementedError

    def _inverse(self, y: Tensor) -> Values:
        raise NotImplementedError

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        """log |dy / dx|."""
        raise NotImplementedError


class ExpTransform(Transform):
    """y = exp(x)."""

    def _call(self, x: Tensor) -> Values:
        return x.exp()

    def _inverse(self, y: Tensor) -> Values:
        return y.log()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        return x


class TanhTransform(Transform):
    """y = tanh(x)."""

    def _call(self, x: Tensor) -> Values:
        return x.tanh()

    def _inverse(self, y: Tensor) -> Values:
        return 0.5 * (y.log1p() - (-y).log1p())

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        return 2.0 * (math.log(2.0) - x - ops.softplus(-2.0 * x))


class SigmoidTransform(Transform):
    """y = 1 / (1 + exp(-x))."""

    def _call(self, x: Tensor) -> Values:
        return x.sigmoid()

    def _inverse(self, y: Tensor) -> Values:
        return y.log() - (-y).log1p()

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        return -ops.softplus(-x) - ops.softplus(x)


class AffineTransform(Transform):
    """y = loc + scale x."""

    def __init__(self, loc: Any, scale: Any, event_dim: int = 0, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.loc, self.scale = loc, scale

    def _call(self, x: Tensor) -> Values:
        return self.loc + self.scale * x

    def _inverse(self, y: Tensor) -> Values:
        return (y - self.loc) / self.scale

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        if isinstance(self.scale, Tensor):
            return self.scale.abs().log().expand(tuple(x.shape))
        return ops.full_like(x, math.log(abs(self.scale)))


class ComposeTransform(Transform):
    """Several transforms, the first one first."""

    def __init__(self, parts: Any, cache_size: int = 0) -> None:
        super().__init__(cache_size)
        self.parts = list(parts)

    def _call(self, x: Tensor) -> Values:
        for part in self.parts:
            x = part(x)
        return x

    def _inverse(self, y: Tensor) -> Values:
        for part in reversed(self.parts):
            y = part.inv(y)
        return y

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Values:
        total: Any = 0.0
        for part in self.parts:
            after = part(x)
            total = total + part.log_abs_det_jacobian(x, after)
            x = after
        return total


class TransformedDistribution(Distribution):
    """The distribution of transforms of a draw: log p(y) = log p(x) - log |dy / dx|.

    >>> from pappus.frontend.distributions import Normal
    >>> round(TransformedDistribution(Normal(0.0, 1.0), TanhTransform()).log_prob(0.5).item(), 4)
    -0.7821
    """

    def __init__(self, base_distribution: Distribution, transforms: Any, validate_args: bool | None = None) -> None:
        self.base_dist = base_distribution
        self.transforms = [transforms] if isinstance(transforms, Transform) else list(transforms)
        self.has_rsample = base_distribution.has_rsample
        super().__init__(base_distribution.batch_shape, base_distribution.event_shape, validate_args)

    def _through(self, x: Tensor) -> Values:
        for transform in self.transforms:
            x = transform(x)
        return x

    def sample(self, sample_shape: Any = ()) -> Values:
        from pappus.frontend.autograd import no_grad

        with no_grad():
            return self._through(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Any = ()) -> Values:
        return self._through(self.base_dist.rsample(sample_shape))

    def log_prob(self, value: Any) -> Values:
        y = value if isinstance(value, Tensor) else ops.tensor(value)
        total: Any = 0.0
        for transform in reversed(self.transforms):
            x = transform.inv(y)
            slope = transform.log_abs_det_jacobian(x, y)
            if len(self._event_shape):
                slope = slope.sum(tuple(range(-len(self._event_shape), 0)))
            total = total - slope
            y = x
        base = self.base_dist
        return base.log_prob(y) + total


