"""Where every public name of `pappus` comes from; imported when the first one is asked for.

A name is a module of the package, an entry of the tables below, or an operator or function of `pappus.frontend.ops`.
"""

from __future__ import annotations

import difflib
import importlib
from typing import Any

MODULES = (
    "amp", "autograd", "cli", "cuda", "distributions", "export", "fft", "frontend", "func", "linalg", "masked",
    "nn", "optim", "quantize", "random", "runtime", "serialization", "signal", "special", "testing", "torch", "utils",
)  # fmt: skip

# name -> (module, attribute there)
FROM: dict[str, tuple[str, str]] = {}
for _module, _names in {
    "frontend.tensor": ("Tensor", "Size"),
    "frontend.dispatch": ("Mode",),
    "frontend.opdef": ("OPS", "operator"),
    "frontend.printing": ("get_printoptions", "printoptions", "set_printoptions"),
    "frontend.serialize": ("save", "load", "FormatError"),
    "frontend.nn": ("Parameter",),
    "torch.install": ("install_as_torch",),
    "frontend.random": (
        "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "manual_seed", "seed",
        "set_rng_state",
    ),
    "frontend.autograd": ("no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled", "inference_mode"),
    "frontend.grad_mode": ("is_inference", "is_inference_mode_enabled"),
    "frontend.func": ("vmap",),
    "frontend.anomaly": ("is_anomaly_check_nan_enabled", "is_anomaly_enabled"),
    "frontend.amp.autocast": (
        "autocast", "clear_autocast_cache", "get_autocast_dtype", "is_autocast_cache_enabled", "is_autocast_enabled",
        "set_autocast_cache_enabled", "set_autocast_dtype", "set_autocast_enabled",
    ),
    "frontend.dtypes": (
        "DType", "float16", "bfloat16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "uint16",
        "uint32", "uint64", "complex64", "complex128", "cfloat", "cdouble", "float8_e4m3fn", "float8_e5m2",
        "float8_e4m3fnuz", "float8_e5m2fnuz", "int4", "uint4", "half", "double", "long", "finfo", "iinfo",
        "promote_types", "can_cast", "get_default_dtype", "set_default_dtype",
    ),
    "frontend.errors": (
        "PappusError", "ShapeError", "DimError", "DTypeError", "ArgumentError", "AutogradError", "DeviceError",
        "InplaceError", "UnsupportedError", "CaptureError",
    ),
}.items():  # fmt: skip
    for _name in _names:
        FROM[_name] = (_module, _name)
FROM |= {
    "compile": ("export.compiling", "compile"), "device": ("frontend.tensor", "Device"),
    "dtype": ("frontend.dtypes", "DType"),
    "bool": ("frontend.dtypes", "bool_"), "float": ("frontend.dtypes", "float32"), "int": ("frontend.dtypes", "int32"),
    "short": ("frontend.dtypes", "int16"), "ops": ("frontend", "ops"),
}  # fmt: skip

CONSTANTS: dict[str, Any] = {
    "pi": 3.141592653589793, "e": 2.718281828459045, "inf": float("inf"), "nan": float("nan"), "newaxis": None,
    "strided": "strided", "contiguous_format": "contiguous_format", "preserve_format": "preserve_format",
    "channels_last": "channels_last", "channels_last_3d": "channels_last_3d",
}  # fmt: skip


def find(name: str) -> Any:
    """The public object `name`. Raises AttributeError, naming the nearest known name, where there is none."""
    if name in CONSTANTS:
        return CONSTANTS[name]
    if name in MODULES:
        return importlib.import_module(f"pappus.{name}")
    if name in FROM:
        module, attribute = FROM[name]
        if (module, attribute) == ("frontend", "ops"):
            return importlib.import_module("pappus.frontend.ops")
        return getattr(importlib.import_module(f"pappus.{module}"), attribute)
    found = importlib.import_module("pappus.frontend.ops").__dict__.get(name)
    if name in function_names() and callable(found):
        return found
    near = difflib.get_close_matches(name, public(), 1, 0.75)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise AttributeError(f"module 'pappus' has no attribute {name!r}{hint}", name=name)


def function_names() -> set[str]:
    """The names of all operators and of the functions beside them."""
    opdef, names = (importlib.import_module(f"pappus.frontend.{m}") for m in ("opdef", "ops._names"))
    return {*opdef.OPS, *names.FUNCTIONS}


def public() -> list[str]:
    """Every public name, sorted."""
    importlib.import_module("pappus.frontend.ops")
    return sorted({*MODULES, *FROM, *CONSTANTS, *function_names()})
