"""What a module says of a name that it does not have: the nearest one that it has."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable
from typing import Any

__all__ = ["unknown"]


def unknown(module: str) -> Callable[[str], Any]:
    """The `__getattr__` of a module: raises AttributeError, naming the nearest name of the module.

    >>> import pappus as pp
    >>> pp.nn.Linera
    Traceback (most recent call last):
    AttributeError: module 'pappus.nn' has no attribute 'Linera'; did you mean 'Linear'?
    """

    def missing(name: str) -> Any:
        hint = ""
        if not name.startswith("_"):
            known = [key for key in vars(sys.modules[module]) if not key.startswith("_")]
            near = difflib.get_close_matches(name, known, 1, 0.75)
            hint = f"; did you mean {near[0]!r}?" if near else ""
        raise AttributeError(f"module {module!r} has no attribute {name!r}{hint}", name=name)

    return missing
