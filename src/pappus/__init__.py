"""Pappus: write and train a model in eager Python, export it to one small program that runs anywhere.

    import pappus as pp

    x = pp.randn(4, 8, requires_grad=True)
    loss = (x @ x.T).softmax(-1).sum()
    loss.backward()

Everything is loaded on first use: `import pappus` alone is cheap, and `pappus.runtime` never loads the training side.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_MODULES = (
    "autograd", "cli", "data", "distributions", "export", "fft", "frontend", "func", "jit", "linalg", "nn", "optim", "quantize",
    "random", "runtime", "special", "testing", "torch", "train", "utils",
)  # fmt: skip
_FROM = {
    "Tensor": "tensor", "Size": "tensor", "DType": "dtypes", "set_printoptions": "printing", "Generator": "random",
    "Mode": "dispatch", "OPS": "opdef", "operator": "opdef",
}  # fmt: skip
_AUTOGRAD = ("no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "inference_mode")
_DTYPES = (
    "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64",
    "half", "double", "long", "finfo", "iinfo", "promote_types", "can_cast", "get_default_dtype", "set_default_dtype",
)  # fmt: skip
_ERRORS = (
    "PappusError", "ShapeError", "DimError", "DTypeError", "ArgumentError", "AutogradError", "InplaceError",
    "UnsupportedError", "CaptureError",
)  # fmt: skip
_CONSTANTS: dict[str, Any] = {
    "pi": 3.141592653589793, "e": 2.718281828459045, "inf": float("inf"), "nan": float("nan"), "newaxis": None,
    "strided": "strided", "contiguous_format": "contiguous_format", "preserve_format": "preserve_format",
    "channels_last": "channels_last",
}  # fmt: skip


def _find(name: str) -> Any:
    if name in _CONSTANTS:
        return _CONSTANTS[name]
    if name in ("bool", "float", "int", "short"):
        dtypes = importlib.import_module("pappus.frontend.dtypes")
        return dtypes.as_dtype({"float": "float32", "int": "int32", "short": "int16"}.get(name, name))
    if name in _DTYPES:
        return getattr(importlib.import_module("pappus.frontend.dtypes"), name)
    if name in _ERRORS:
        return getattr(importlib.import_module("pappus.frontend.errors"), name)
    if name in _MODULES:
        for package in ("pappus", "pappus.frontend"):
            full = f"{package}.{name}"
            try:
                return importlib.import_module(full)
            except ModuleNotFoundError as error:
                if error.name != full:
                    raise
        raise AttributeError(f"module 'pappus' has no attribute {name!r}")
    ops = importlib.import_module("pappus.frontend.ops")
    if name == "ops":
        return ops
    if name in _AUTOGRAD:
        return getattr(importlib.import_module("pappus.frontend.autograd"), name)
    if name in _FROM:
        return getattr(importlib.import_module(f"pappus.frontend.{_FROM[name]}"), name)
    if name in ("save", "load"):
        return getattr(importlib.import_module("pappus.frontend.serialize"), name)
    if name == "Parameter":
        return importlib.import_module("pappus.frontend.nn").Parameter
    if name == "device":
        return importlib.import_module("pappus.frontend.tensor").Device
    if not name.startswith("_"):
        found = ops.__dict__.get(name)
        if callable(found):
            return found
    raise AttributeError(f"module 'pappus' has no attribute {name!r}")


def __getattr__(name: str) -> Any:
    value = _find(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    ops = importlib.import_module("pappus.frontend.ops")
    functions = [n for n, v in ops.__dict__.items() if callable(v) and not n.startswith("_")]
    return sorted({*globals(), *_MODULES, *_FROM, *_AUTOGRAD, *_DTYPES, *_ERRORS, *_CONSTANTS, *functions, "save", "load"})
