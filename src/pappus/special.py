"""Special functions: `pappus.special.gammaln`, `ndtr`, `zeta`, `i0e` ... with PyTorch's names."""

from pappus.frontend.special import *  # noqa: F403
from pappus.frontend.special import __all__ as __all__
