"""The module paths that PyTorch has for layers: torch.nn.modules.batchnorm and its neighbours."""

from __future__ import annotations

import importlib
from typing import Any

from pappus.frontend.nn import *  # noqa: F403
from pappus.frontend.nn import __all__ as __all__

__path__: list[str] = []
# Where a file of PyTorch has another name here.
_FILES = {"batchnorm": "norm", "instancenorm": "norm", "normalization": "norm"}


def __getattr__(name: str) -> Any:
    if not name.startswith("_"):
        try:
            return importlib.import_module(f"pappus.frontend.nn.{_FILES.get(name, name)}")
        except ModuleNotFoundError:
            pass
    raise AttributeError(f"module 'pappus.nn.modules' has no attribute {name!r}", name=name)
