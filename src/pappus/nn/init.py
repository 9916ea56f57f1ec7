"""Filling tensors with initial values: `pappus.nn.init.kaiming_normal_(weight)`."""

from pappus.frontend.nn.init import *  # noqa: F403
from pappus.frontend.nn.init import __all__ as __all__

# Their names before an underscore meant "in place".
from pappus.frontend.nn.init import xavier_uniform_ as xavier_uniform  # noqa: F401
