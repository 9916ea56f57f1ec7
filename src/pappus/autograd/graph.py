"""The graph of a gradient as objects, and hooks on it, under the module name that torch has for them."""

from pappus.frontend.saved_tensors import save_on_cpu, saved_tensors_hooks
from pappus.frontend.tape import Node

__all__ = ["Node", "save_on_cpu", "saved_tensors_hooks"]
