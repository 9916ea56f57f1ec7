"""Discrete Fourier transforms: `pappus.fft.fft`, `rfft`, `ifft2` ... with PyTorch's names."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.fft import *  # noqa: F403
from pappus.frontend.fft import __all__ as __all__

__getattr__ = _unknown(__name__)
