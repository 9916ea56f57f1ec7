"""Functions of the module torch itself that Pappus does not have: settings, checks, and the form of saved files."""

from __future__ import annotations

import os
from types import ModuleType
from typing import Any

from pappus.cuda import OutOfMemoryError
from pappus.frontend import dtypes, native, serialize
from pappus.frontend.errors import ArgumentError, UnsupportedError
from pappus.frontend.symbolic import SymInt
from pappus.frontend.tensor import Device, Tensor
from pappus.torch.answers import decorator, does_nothing

__all__ = [
    "OutOfMemoryError", "SymInt", "_assert", "_check", "_shape_as_tensor", "are_deterministic_algorithms_enabled",
    "compile", "get_default_device", "get_device_module", "get_float32_matmul_precision", "get_num_interop_threads",
    "get_num_threads", "is_deterministic_algorithms_warn_only_enabled", "layout", "memory_format", "save",
    "set_default_device", "set_default_tensor_type", "set_deterministic_debug_mode", "set_flush_denormal",
    "set_float32_matmul_precision", "set_num_interop_threads", "set_num_threads", "set_warn_always",
    "use_deterministic_algorithms",
]  # fmt: skip

layout = memory_format = str  # pappus names them by strings
set_flush_denormal = set_num_interop_threads = set_warn_always = set_deterministic_debug_mode = does_nothing

_state: dict[str, Any] = {"deterministic": False, "warn_only": False, "precision": "highest", "threads": None}


def save(
    obj: Any, f: Any, pickle_module: Any = None, pickle_protocol: int = 2, _use_new_zipfile_serialization: bool = True
) -> None:
    """Write `obj` in PyTorch's format, whatever the file is called (but for .safetensors); see `pappus.save`."""
    named = not hasattr(f, "write") and os.fspath(f).endswith(".safetensors")
    serialize.save(obj, f, format="safetensors" if named else "pt")


def compile(model: Any = None, **options: Any) -> Any:
    """The model itself: eager code runs as it is. As a decorator, too.

    >>> compile(abs) is abs, compile(mode="max-autotune")(abs) is abs
    (True, True)
    """
    return decorator(model)


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Kept and answered; everything here is deterministic anyway."""
    _state["deterministic"], _state["warn_only"] = bool(mode), bool(warn_only)


def are_deterministic_algorithms_enabled() -> bool:
    """What `use_deterministic_algorithms` said last."""
    return bool(_state["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What `use_deterministic_algorithms` said last."""
    return bool(_state["warn_only"])


def set_float32_matmul_precision(precision: str) -> None:
    """Kept and answered; products of float32 are always float32."""
    if precision not in ("highest", "high", "medium"):
        raise ArgumentError(f"set_float32_matmul_precision: {precision!r} is not 'highest', 'high' or 'medium'")
    _state["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What `set_float32_matmul_precision` said last."""
    return str(_state["precision"])


def set_num_threads(count: int) -> None:
    """Threads of the runtime's kernels; numpy's matrix product has those of OMP_NUM_THREADS when Python started."""
    if not isinstance(count, int) or count < 1:
        raise ArgumentError(f"set_num_threads: expected a positive number, got {count!r}")
    _state["threads"] = count
    if native.available():
        native.direct().set_threads(count)


def get_num_threads() -> int:
    """What `set_num_threads` said, else OMP_NUM_THREADS, else the number of cores."""
    return int(_state["threads"] or os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)


def get_num_interop_threads() -> int:
    """1: operators run one after the other."""
    return 1


def get_default_device() -> Device:
    """The CPU."""
    return Device("cpu")


def set_default_device(device: Any) -> None:
    """Accepts the one device there is. Raises UnsupportedError for others."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise UnsupportedError(f"set_default_device: no device {str(device)!r}; the only device is 'cpu'")


def get_device_module(device: Any = None) -> ModuleType:
    """The module that answers for a device: torch.cpu."""
    from pappus.torch.names import find

    set_default_device(device)
    found: ModuleType = find("cpu")
    return found


def set_default_tensor_type(kind: Any) -> None:
    """The default type of floating-point numbers, by the old names: "torch.DoubleTensor" or the class."""
    name = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    found = dtypes.ALIASES.get(name.rpartition(".")[2].removesuffix("Tensor").lower())
    if found is None:
        raise ArgumentError(f"set_default_tensor_type: {name!r} is no type of floating-point tensors")
    dtypes.set_default_dtype(found)


def _check(condition: Any, message: Any = None) -> None:
    if not condition:
        text = message() if callable(message) else message
        raise RuntimeError("Expected condition to be True" if text is None else str(text))


def _assert(condition: Any, message: Any = "") -> None:
    assert condition, message


def _shape_as_tensor(tensor: Tensor) -> Tensor:
    import numpy as np

    return Tensor._from_data(np.array(tuple(tensor.shape), np.int64))
