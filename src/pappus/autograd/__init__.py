"""Gradients: `backward`, `grad`, the modes that switch recording on and off, `Function`, and checks by differences."""

from pappus.autograd import function as function
from pappus.frontend.autograd import *  # noqa: F403
from pappus.frontend.autograd import __all__ as _names
from pappus.frontend.function import Function
from pappus.frontend.gradcheck import gradcheck, gradgradcheck

__all__ = [*_names, "Function", "gradcheck", "gradgradcheck"]
