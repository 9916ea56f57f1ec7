"""The normal distribution of vectors."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from pappus.frontend import linalg as _linalg
from pappus.frontend.distributions.base import LOG_2PI, REAL, Distribution, Rule, Values, ops
from pappus.frontend.tensor import Tensor

linalg: Any = _linalg
__all__ = ["MultivariateNormal"]


class MultivariateNormal(Distribution):
    """exp(-½ (x - loc)ᵀ Σ⁻¹ (x - loc)) / √(det 2πΣ), by Σ, its inverse, or its lower triangular root.

    >>> import pappus as pp
    >>> round(MultivariateNormal(pp.zeros(2), pp.eye(2)).log_prob(pp.zeros(2)).item(), 6)
    -1.837877
    """

    has_rsample = True
    arg_constraints: ClassVar[dict[str, Rule]] = {"loc": REAL}
    support_rule = REAL

    def __init__(
        self, loc: Tensor, covariance_matrix: Any = None, precision_matrix: Any = None, scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:  # fmt: skip
        if sum(m is not None for m in (covariance_matrix, precision_matrix, scale_tril)) != 1:
            raise ValueError("MultivariateNormal: give one of covariance_matrix, precision_matrix and scale_tril")
        if loc.ndim < 1:
            raise ValueError("MultivariateNormal: loc needs at least one dimension")
        if covariance_matrix is not None:
            scale_tril = linalg.cholesky(covariance_matrix)
        elif precision_matrix is not None:
            flipped = linalg.cholesky(precision_matrix.flip(-2, -1))
            inverse = flipped.flip(-2, -1).transpose(-2, -1)
            identity = ops.eye(precision_matrix.shape[-1], dtype=precision_matrix.dtype)
            scale_tril = linalg.solve_triangular(inverse, identity, upper=False)
        batch = np.broadcast_shapes(tuple(loc.shape)[:-1], tuple(scale_tril.shape)[:-2])
        size = loc.shape[-1]
        self.loc = loc.expand((*batch, size))
        self.scale_tril = scale_tril.expand((*batch, size, size))
        super().__init__(batch, (size,), validate_args)

    @property
    def covariance_matrix(self) -> Values:
        """Σ."""
        return self.scale_tril @ self.scale_tril.transpose(-2, -1)

    @property
    def precision_matrix(self) -> Values:
        """Σ⁻¹."""
        return linalg.inv(self.covariance_matrix)

    @property
    def mean(self) -> Values:
        return self.loc

    mode = mean

    @property
    def variance(self) -> Values:
        return (self.scale_tril**2).sum(-1)

    def rsample(self, sample_shape: Any = ()) -> Values:
        noise = ops.randn(self._extended(sample_shape), dtype=self.loc.dtype)
        return self.loc + (self.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)

    def _half_log_det(self) -> Values:
        return ops.diagonal(self.scale_tril, 0, -2, -1).log().sum(-1)

    def log_prob(self, value: Any) -> Values:
        d = (self._checked(value) - self.loc).unsqueeze(-1)
        scale = self.scale_tril.expand((*tuple(d.shape)[:-2], *tuple(self.scale_tril.shape)[-2:]))
        m = (linalg.solve_triangular(scale, d, upper=False) ** 2).sum((-2, -1))
        return -0.5 * (self.loc.shape[-1] * LOG_2PI + m) - self._half_log_det()

    def entropy(self) -> Values:
        return 0.5 * self.loc.shape[-1] * (1.0 + LOG_2PI) + self._half_log_det()
