"""The runtime's kernels behind the eager engine: whether one computes an operator, and the call that does it.

An operator's eager kernel asks a function of this package first, which returns None where numpy should do it: where
the runtime is not compiled, for another type than float32, for empty operands, where the call costs more than it saves,
and with `PAPPUS_EAGER=numpy` in the environment. The numpy kernels are the oracle of these.

    found = native.softmax(x, dim, log=False)
    return numpy_softmax(x, dim) if found is None else found

Nothing is dispatched here: `runtime.direct.run` takes one instruction of the kernel table (kernels.def), which chooses.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = ["available", "direct", "engine", "plain", "suits"]

_FLOAT32 = np.dtype(np.float32)
_choice = os.environ.get("PAPPUS_EAGER", "native")
_module: Any = None  # pappus.runtime.direct; False where the runtime is not compiled


def direct() -> Any:
    """`pappus.runtime.direct`, loaded when the first kernel is wanted; False where the runtime is not compiled."""
    global _module
    if _module is None:
        try:
            from pappus.runtime import direct as module

            _module = module
        except ImportError:
            _module = False
    return _module


def available() -> bool:
    """Whether kernels of the runtime are used at all."""
    return _choice != "numpy" and bool(direct())


@contextmanager
def engine(choice: str) -> Iterator[None]:
    """Use the kernels of "numpy" or "native" inside, in all threads: for tests and comparisons."""
    global _choice
    before, _choice = _choice, choice
    try:
        yield
    finally:
        _choice = before


def suits(*arrays: Any) -> bool:
    """Whether kernels of the runtime are wanted for these operands: float32 arrays of numpy that are not empty."""
    if _choice == "numpy":
        return False
    for a in arrays:
        if a is not None and (type(a) is not np.ndarray or a.dtype != _FLOAT32 or not a.size):
            return False
    return bool(_module if _module is not None else direct())


def plain(array: Any, *shape: int) -> Any:
    """The array in row-major order, copied only if it is not, with another shape if one is given."""
    array = np.ascontiguousarray(array)
    return array.reshape(shape) if shape else array
