"""Parameters and buffers, under the module name that torch has for them."""

from pappus.frontend.nn.parameter import Buffer, Parameter

__all__ = ["Buffer", "Parameter"]
