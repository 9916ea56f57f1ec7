"""Gradients: `backward`, `grad` and the modes that switch recording on and off."""

from pappus.frontend.autograd import *  # noqa: F403
from pappus.frontend.autograd import __all__ as __all__
