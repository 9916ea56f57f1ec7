"""Gradients: `backward`, `grad`, the modes that switch recording on and off, `Function`, and checks by differences."""

from pappus.autograd import function as function
from pappus.autograd import graph as graph
from pappus.frontend.anomaly import detect_anomaly, set_detect_anomaly
from pappus.frontend.autograd import *  # noqa: F403
from pappus.frontend.autograd import __all__ as _names
from pappus.frontend.function import Function
from pappus.frontend.gradcheck import gradcheck, gradgradcheck

__all__ = [*_names, "Function", "detect_anomaly", "gradcheck", "gradgradcheck", "set_detect_anomaly"]
