"""The compiled binding, and what every module needs to talk to it: memory, dtypes, errors."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import numpy.typing as npt

from pappus.runtime.enums import DType
from pappus.runtime.errors import InputError, error_for

try:
    from pappus.runtime._capi import ffi as ffi
    from pappus.runtime._capi import lib as lib
except ImportError as error:  # a source tree that was not built
    raise ImportError(
        "pappus.runtime has no compiled part here: install the package, or run `sh runtime_c/python/build_inplace.sh` "
        f"in a source tree ({error})"
    ) from error

Array = npt.NDArray[Any]

NONE = 0xFFFFFFFF
ALIGNMENT = 64
# By number; NumPy knows all of them but bfloat16, which is carried as uint16.
DTYPE_NAMES = {
    int(DType.BOOL): "bool", int(DType.U8): "uint8", int(DType.I8): "int8", int(DType.U16): "uint16",
    int(DType.I16): "int16", int(DType.U32): "uint32", int(DType.I32): "int32", int(DType.U64): "uint64",
    int(DType.I64): "int64", int(DType.F16): "float16", int(DType.BF16): "bfloat16", int(DType.F32): "float32",
    int(DType.F64): "float64",
}  # fmt: skip
_DTYPES = {name: np.dtype(name) for name in DTYPE_NAMES.values() if name != "bfloat16"}
CODES = {name: number for number, name in DTYPE_NAMES.items()}


def numpy_dtype(name: str) -> np.dtype[Any]:
    """The NumPy dtype of a port's dtype name.

    bfloat16 is ml_dtypes.bfloat16 if that package is already imported, else uint16 holding the bits: the runtime
    itself never imports it.
    """
    if name == "bfloat16":
        module = sys.modules.get("ml_dtypes")
        return np.dtype(module.bfloat16) if module is not None else np.dtype("uint16")
    return np.dtype(name)


def aligned(size: int) -> Array:
    """Uninitialised bytes, aligned to 64."""
    block = np.empty(size + ALIGNMENT, dtype=np.uint8)
    start = -block.ctypes.data % ALIGNMENT
    return block[start : start + size]


def address(array: Array) -> Any:
    """The address of an array's first element, as a C pointer; hold on to the array while C uses it."""
    try:
        return ffi.from_buffer(array)
    except (TypeError, ValueError):  # not contiguous, or of a type that buffers do not know: ten times slower
        return ffi.cast("void *", array.__array_interface__["data"][0])


def text(pointer: Any) -> str:
    """A C string; NULL gives an empty one."""
    if pointer == ffi.NULL:
        return ""
    found: bytes = ffi.string(pointer)
    return found.decode("utf-8", "replace")


def raise_for(status: int, error: Any, program: Any = None) -> None:
    """Raise the exception of a failed call; `error` is the pp_error it filled."""
    if status == 0:
        return
    buffer = ffi.new("char[1024]")
    lib.pp_error_message(ffi.NULL if program is None else program, error, buffer, 1024)
    raise error_for(int(status), int(error.rule), text(buffer))


def raise_status(status: int, what: str) -> None:
    """Raise for a call that has no pp_error."""
    if status:
        raise error_for(int(status), 0, f"{what} failed with status {int(status)}")


def as_input(value: Any, name: str, dtype: str) -> Array:
    """`value` as the dense array a port takes. Values are never converted: another dtype is an InputError."""
    array = np.asarray(value)
    kind = array.dtype
    if kind == _DTYPES.get(dtype) and array.flags.c_contiguous and array.flags.aligned:
        return array
    if not kind.isnative:
        raise InputError(f"input {name!r}: expected {dtype}, got {array.dtype.name} of the other byte order")
    # uint16 carries the bits of bfloat16 for callers without ml_dtypes.
    if array.dtype.name != dtype and not (dtype == "bfloat16" and array.dtype == np.uint16):
        raise InputError(f"input {name!r}: expected {dtype}, got {array.dtype.name}")
    if not (array.flags.c_contiguous and array.flags.aligned):
        array = np.array(array, order="C", copy=True)
    return array
