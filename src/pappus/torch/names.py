"""Where a name of the module torch comes from: here, from the tables of answers, or from Pappus."""

from __future__ import annotations

import importlib
from typing import Any

from pappus import _names
from pappus.torch import absent, settings
from pappus.torch.answers import nearest, never, refuse
from pappus.torch.foreach import foreach

MODULES = ("distributed", "hub", "library", "multiprocessing", "profiler")
# Modules of Pappus that are no part of PyTorch.
OURS = ("cli", "frontend", "quantize", "runtime", "torch", "torchvision", "install_as_torch")

_DENSE = "tensors are dense: use them as they are"
REFUSED: dict[str, Any] = {
    **{name: refuse(f"torch.{name}", _DENSE) for name in (
        "sparse_coo_tensor", "sparse_csr_tensor", "sparse_csc_tensor", "sparse_compressed_tensor")},
    "_scaled_mm": refuse("torch._scaled_mm", "there is no 8 bit product: multiply with torch.mm"),
    "_grouped_mm": refuse("torch._grouped_mm", "multiply the groups with torch.mm"),
    **{name: never(name, "there is no device to wait for: ask torch.accelerator.is_available()")
       for name in ("Stream", "Event")},
    **{name: never(name, "symbolic numbers are those of pappus.export") for name in ("SymFloat", "SymBool")},
}  # fmt: skip


def find(name: str) -> Any:
    """The object `torch.name`. Raises AttributeError, naming the nearest known name, where there is none."""
    if name == "ops":
        return importlib.import_module("pappus.torch.library").operators
    if name in MODULES:
        return importlib.import_module(f"pappus.torch.{name}")
    if name in absent.TABLES:
        return absent.module(name)
    if name in REFUSED:
        return REFUSED[name]
    if name in settings.__all__:
        return getattr(settings, name)
    if name.startswith("_foreach_"):
        return foreach(name)
    if name not in OURS and not name.startswith("_"):
        try:
            return _names.find(name)
        except AttributeError:
            pass
    raise AttributeError(f"module 'torch' has no attribute {name!r}{nearest(name, public())}", name=name)


def public() -> list[str]:
    """Every public name, sorted."""
    ours = {name for name in _names.public() if name not in OURS}
    here = {*MODULES, *absent.TABLES, *REFUSED, *settings.__all__}
    return sorted({*ours, *(name for name in here if not name.startswith("_"))})
