"""Transformations of functions: `grad`, `vjp`, `jvp`, `vmap`, jacobians, `functional_call`."""

from pappus.frontend.func import *  # noqa: F403
from pappus.frontend.func import __all__ as __all__
