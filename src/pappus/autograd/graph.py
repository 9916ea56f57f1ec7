"""The graph of a gradient as objects, and hooks on it, under the module name that torch has for them."""

from pappus.frontend.inplace import increment_version
from pappus.frontend.saved_tensors import disable_saved_tensors_hooks, save_on_cpu, saved_tensors_hooks
from pappus.frontend.tape import Node

__all__ = ["Node", "disable_saved_tensors_hooks", "increment_version", "save_on_cpu", "saved_tensors_hooks"]
