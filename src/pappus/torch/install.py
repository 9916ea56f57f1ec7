"""Putting Pappus in the place of torch and torchvision, for imports that come after."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from pappus.frontend.errors import UnsupportedError

__all__ = ["install_as_torch"]

_ROOTS = {"torch": ("pappus.torch", "pappus"), "torchvision": ("pappus.torchvision",)}


def _own(full: str) -> ModuleType | None:
    """Our module for `torch.a.b`: of the folder of the shim, of the tables of answers, or of Pappus itself."""
    root, _, rest = full.partition(".")
    for base in _ROOTS[root]:
        name = f"{base}.{rest}" if rest else base
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
                raise  # a module of ours needs one that is not there
    if root == "torch":
        value: Any = importlib.import_module("pappus.torch")
        for part in rest.split("."):
            value = getattr(value, part, None)
        if isinstance(value, ModuleType):
            return value
    return None


class _Finder(MetaPathFinder, Loader):
    """Finds torch and torchvision, and what is below them, in Pappus."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] not in _ROOTS:
            return None
        module = _own(fullname)
        if module is None:
            return None
        spec = ModuleSpec(fullname, self, is_package=hasattr(module, "__path__"))
        spec.loader_state = module
        return spec

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        module: ModuleType = spec.loader_state[0] if isinstance(spec.loader_state, tuple) else spec.loader_state
        spec.loader_state = (module, module.__spec__)
        return module

    def exec_module(self, module: ModuleType) -> None:
        # The import system has put its own spec on our module: the module keeps the name it was made under.
        spec = module.__spec__
        if spec is not None and isinstance(spec.loader_state, tuple):
            module.__spec__ = spec.loader_state[1]


def install_as_torch() -> None:
    """Make `import torch` and `import torchvision` give Pappus, in this process and from here on.

    Raises UnsupportedError where the real torch has been imported already: programs cannot mix the two.
    """
    if any(isinstance(finder, _Finder) for finder in sys.meta_path):
        return
    found = [name for name in _ROOTS if name in sys.modules]
    if found:
        raise UnsupportedError(
            f"install_as_torch: {found[0]} has been imported already; call it before the first import of torch, or run "
            "the script with python -m pappus.torch script.py"
        )
    sys.meta_path.insert(0, _Finder())
