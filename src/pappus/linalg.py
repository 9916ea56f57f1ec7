"""Linear algebra: `pappus.linalg.inv`, `svd`, `solve`, `norm` ... with PyTorch's names."""

from pappus.frontend.linalg import *  # noqa: F403
from pappus.frontend.linalg import __all__ as __all__
