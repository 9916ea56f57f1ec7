"""Ready-made parametrizations."""

from pappus.frontend.nn.parametrize import weight_norm
from pappus.frontend.nn.spectral_norm import parametrized_spectral_norm as spectral_norm

__all__ = ["spectral_norm", "weight_norm"]
