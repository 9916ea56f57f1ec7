"""Saving and loading, and which classes of one's own a checkpoint may hold."""

from pappus.frontend.serialize import FormatError, load, save
from pappus.frontend.torch_file import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals

__all__ = ["FormatError", "add_safe_globals", "clear_safe_globals", "get_safe_globals", "load", "safe_globals", "save"]
