"""Linear algebra: `pappus.linalg.inv`, `svd`, `solve`, `norm` ... with PyTorch's names."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.linalg import *  # noqa: F403
from pappus.frontend.linalg import __all__ as __all__

__getattr__ = _unknown(__name__)
