"""Special functions: `pappus.special.gammaln`, `ndtr`, `zeta`, `i0e` ... with PyTorch's names."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.special import *  # noqa: F403
from pappus.frontend.special import __all__ as __all__

__getattr__ = _unknown(__name__)
