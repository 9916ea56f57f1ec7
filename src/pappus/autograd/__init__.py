"""Gradients: `backward`, `grad`, the modes that switch recording on and off, `Function`, and checks by differences."""

from typing import Any

from pappus.autograd import function as function
from pappus.autograd import functional as functional
from pappus.autograd import graph as graph
from pappus.frontend.anomaly import detect_anomaly, set_detect_anomaly
from pappus.frontend.autograd import *  # noqa: F403
from pappus.frontend.autograd import __all__ as _names
from pappus.frontend.function import Function
from pappus.frontend.gradcheck import gradcheck, gradgradcheck
from pappus.frontend.graph_picture import graph_svg


def Variable(data: Any, requires_grad: bool = False) -> Any:
    """The tensor itself, in the words of PyTorch before 0.4; with `requires_grad`, one that shares its memory.

    >>> import pappus as pp
    >>> Variable(pp.ones(1), requires_grad=True)
    tensor([1.], requires_grad=True)
    """
    return data.detach().requires_grad_() if requires_grad else data


def __getattr__(name: str) -> Any:
    if name == "profiler":
        import importlib

        return importlib.import_module("pappus.torch.profiler")
    raise AttributeError(f"module 'pappus.autograd' has no attribute {name!r}", name=name)


__all__ = [
    *_names, "Function", "Variable", "detect_anomaly", "gradcheck", "gradgradcheck", "graph_svg", "set_detect_anomaly",
]  # fmt: skip
