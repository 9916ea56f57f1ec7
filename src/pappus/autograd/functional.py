"""Derivatives of a function at a point: `jacobian`, `hessian`, `vjp`, `jvp`, `vhp`, `hvp`."""

from pappus.frontend.func.functional import *  # noqa: F403
from pappus.frontend.func.functional import __all__ as __all__
