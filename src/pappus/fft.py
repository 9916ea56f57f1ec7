"""Discrete Fourier transforms: `pappus.fft.fft`, `rfft`, `ifft2` ... with PyTorch's names."""

from pappus.frontend.fft import *  # noqa: F403
from pappus.frontend.fft import __all__ as __all__
