"""Run .pap programs on NumPy arrays: needs only NumPy and cffi, never the rest of Pappus.

    import pappus.runtime

    session = pappus.runtime.load("model.pap")
    y = session(x)

The compiled part is loaded on first use, so that the exporter can share the enumerations without it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from pappus.runtime.errors import (
    ArgumentError,
    CancelledError,
    ContractError,
    DivisorError,
    FormatError,
    GuardError,
    IndexValueError,
    InputError,
    MemoryLimitError,
    PappusRuntimeError,
    PositionError,
    StateError,
    UnsupportedError,
    VersionError,
)

if TYPE_CHECKING:
    from pappus.runtime.info import InstructionInfo, MethodInfo, PortInfo, ProgramInfo, SymbolInfo
    from pappus.runtime.method import Method
    from pappus.runtime.observe import Observation
    from pappus.runtime.profile import InstructionProfile, Profile
    from pappus.runtime.session import Session, load
    from pappus.runtime.state import State

__all__ = [
    "ArgumentError", "CancelledError", "ContractError", "DivisorError", "FormatError", "GuardError", "IndexValueError",
    "InputError", "InstructionInfo", "InstructionProfile", "MemoryLimitError", "Method", "MethodInfo", "Observation",
    "PappusRuntimeError", "PortInfo", "PositionError", "Profile", "ProgramInfo", "Session", "State", "StateError",
    "SymbolInfo", "UnsupportedError", "VersionError", "load",
]  # fmt: skip

_LAZY = {
    "load": "session", "Session": "session", "Method": "method", "State": "state", "Observation": "observe",
    "Profile": "profile", "InstructionProfile": "profile", "PortInfo": "info", "SymbolInfo": "info",
    "InstructionInfo": "info", "MethodInfo": "info", "ProgramInfo": "info",
}  # fmt: skip


def __getattr__(name: str) -> Any:
    module = _LAZY.get(name)
    if module is None:
        raise AttributeError(f"module 'pappus.runtime' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"pappus.runtime.{module}"), name)
    globals()[name] = value
    return value
