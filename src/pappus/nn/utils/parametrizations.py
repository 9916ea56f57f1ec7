"""Ready-made parametrizations."""

from pappus.frontend.nn.parametrize import weight_norm

__all__ = ["weight_norm"]
