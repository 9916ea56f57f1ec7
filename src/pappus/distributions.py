"""Probability distributions: `from pappus.distributions import Categorical, Normal`."""

import sys

from pappus._unknown import unknown as _unknown
from pappus.frontend.distributions import *  # noqa: F403
from pappus.frontend.distributions import __all__ as __all__

__path__: list[str] = []
# The files of PyTorch: torch.distributions.categorical, .normal, .kl ...
bernoulli = beta = categorical = distribution = dirichlet = independent = kl = sys.modules[__name__]
multivariate_normal = normal = one_hot_categorical = transforms = uniform = sys.modules[__name__]
transformed_distribution = gamma = sys.modules[__name__]

__getattr__ = _unknown(__name__)
