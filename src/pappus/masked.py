"""Reductions of the elements that a mask shows: `pappus.masked.sum`, `mean`, `softmax` ... with PyTorch's names."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.masked import *  # noqa: F403
from pappus.frontend.masked import __all__ as __all__

__getattr__ = _unknown(__name__)
