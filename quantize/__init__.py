"""Quantization: weight-only, dynamic, static and quantization-aware training. Not built yet; its names are refused.

The core graph's form for it is already fixed (quantize/dequantize pairs, ARCHITECTURE.md), and so is the file's.
"""

from __future__ import annotations

from typing import Any

_PLANNED = ("quantize_", "prepare", "convert")


def __getattr__(name: str) -> Any:
    if name in _PLANNED:
        from pappus.frontend.errors import UnsupportedError

        raise UnsupportedError(
            f"pappus.quantize.{name}: quantization is not built yet; export the float model, `compute` stays float32"
        )
    raise AttributeError(f"module 'pappus.quantize' has no attribute {name!r}")
