"""The Kullback-Leibler divergence of pairs of distributions, in closed form."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.frontend.distributions.base import Distribution, Independent, Values, ops
from pappus.frontend.distributions.continuous import Exponential, Laplace, LogNormal, Normal, Uniform
from pappus.frontend.distributions.discrete import Bernoulli, Categorical, Geometric, OneHotCategorical, Poisson
from pappus.frontend.distributions.gamma_family import Beta, Dirichlet, Gamma, _log_beta
from pappus.frontend.distributions.multivariate import MultivariateNormal, linalg

__all__ = ["kl_divergence", "register_kl"]

_PAIRS: dict[tuple[type, type], Callable[[Any, Any], Any]] = {}


def register_kl(type_p: type, type_q: type) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator for the divergence of one class from another."""

    def declare(function: Callable[..., Any]) -> Callable[..., Any]:
        _PAIRS[type_p, type_q] = function
        return function

    return declare


def kl_divergence(p: Distribution, q: Distribution) -> Values:
    """The expectation of log p(x) - log q(x) over draws of `p`.

    Raises NotImplementedError for a pair without a formula.

    >>> from pappus.frontend.distributions import Normal
    >>> kl_divergence(Normal(1.0, 1.0), Normal(0.0, 1.0)).item()
    0.5
    """
    for kind_p in type(p).__mro__:
        for kind_q in type(q).__mro__:
            if (kind_p, kind_q) in _PAIRS:
                return _PAIRS[kind_p, kind_q](p, q)
    raise NotImplementedError(
        f"kl_divergence: no formula for {type(p).__name__} from {type(q).__name__}; estimate it from draws, or add one "
        "with register_kl"
    )


@register_kl(Normal, Normal)
def _normal(p: Normal, q: Normal) -> Any:
    ratio = (p.scale / q.scale) ** 2
    return 0.5 * (ratio + ((p.loc - q.loc) / q.scale) ** 2 - 1 - ratio.log())


register_kl(LogNormal, LogNormal)(_normal)


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate(p: MultivariateNormal, q: MultivariateNormal) -> Any:
    inside = linalg.solve_triangular(q.scale_tril, p.scale_tril, upper=False)
    d = linalg.solve_triangular(q.scale_tril, (q.loc - p.loc).unsqueeze(-1), upper=False)
    squares = (inside**2).sum((-2, -1)) + (d**2).sum((-2, -1))
    return q._half_log_det() - p._half_log_det() + 0.5 * (squares - p.loc.shape[-1])


@register_kl(Categorical, Categorical)
def _categorical(p: Categorical, q: Categorical) -> Any:
    return ops.where(p.probs == 0, 0.0, p.probs * (p.logits - q.logits)).sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot(p: OneHotCategorical, q: OneHotCategorical) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Bernoulli, q: Bernoulli) -> Any:
    return q._cross_entropy(p.probs) - p._cross_entropy(p.probs)


@register_kl(Geometric, Geometric)
def _geometric(p: Geometric, q: Geometric) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(Poisson, Poisson)
def _poisson(p: Poisson, q: Poisson) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Exponential, Exponential)
def _exponential(p: Exponential, q: Exponential) -> Any:
    ratio = q.rate / p.rate
    return ratio - 1 - ratio.log()


@register_kl(Laplace, Laplace)
def _laplace(p: Laplace, q: Laplace) -> Any:
    ratio, away = p.scale / q.scale, (p.loc - q.loc).abs()
    return -ratio.log() + away / q.scale + ratio * (-away / p.scale).exp() - 1


@register_kl(Uniform, Uniform)
def _uniform(p: Uniform, q: Uniform) -> Any:
    found = ((q.high - q.low) / (p.high - p.low)).log()
    return ops.where((q.low > p.low) | (q.high < p.high), float("inf"), found)


@register_kl(Gamma, Gamma)
def _gamma(p: Gamma, q: Gamma) -> Any:
    a, b = p.concentration, q.concentration
    middle = ops.lgamma(b) - ops.lgamma(a) + b * (p.rate / q.rate).log()
    return middle + (a - b) * ops.digamma(a) + (q.rate - p.rate) * (a / p.rate)


@register_kl(Beta, Beta)
def _beta(p: Beta, q: Beta) -> Any:
    total = p.concentration1 + p.concentration0
    first = (p.concentration1 - q.concentration1) * ops.digamma(p.concentration1)
    second = (p.concentration0 - q.concentration0) * ops.digamma(p.concentration0)
    third = (q.concentration1 + q.concentration0 - total) * ops.digamma(total)
    start = _log_beta(q.concentration1, q.concentration0) - _log_beta(p.concentration1, p.concentration0)
    return start + first + second + third


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Dirichlet, q: Dirichlet) -> Any:
    a, b = p.concentration, q.concentration
    total = a.sum(-1)
    start = ops.lgamma(total) - ops.lgamma(b.sum(-1)) - (ops.lgamma(a) - ops.lgamma(b)).sum(-1)
    return start + ((a - b) * (ops.digamma(a) - ops.digamma(total).unsqueeze(-1))).sum(-1)


@register_kl(Independent, Independent)
def _independent(p: Independent, q: Independent) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError("kl_divergence: the two Independent take different numbers of dimensions")
    return p._sum(kl_divergence(p.base_dist, q.base_dist))
