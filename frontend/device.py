"""Devices: numpy's arrays are on the CPU, CuPy's on a GPU."""

from __future__ import annotations

import functools
import importlib
import importlib.util

__all__ = ["cuda_is_available"]


@functools.cache
def cuda_is_available() -> bool:
    """Whether CuPy is installed and sees a GPU."""
    if importlib.util.find_spec("cupy") is None:
        return False
    try:
        return int(importlib.import_module("cupy").cuda.runtime.getDeviceCount()) > 0
    except Exception:  # a driver that is missing or too old: CuPy raises several types
        return False
