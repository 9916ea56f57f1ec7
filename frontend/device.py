"""Devices: numpy's arrays are on the CPU, CuPy's on a GPU.

CuPy is looked for when somebody first asks for the device "cuda". From then on (`using.library`) the door asks here in
which library an operator's operands are, and gives its kernel that library and arrays of it; until then nothing
anywhere knows that there are devices. Kernels are the same: they use the library that they are given, or numpy's
functions, which give way to CuPy's for its arrays.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import DeviceError
from .tape import entered

__all__ = [
    "as_array", "cuda_count", "cuda_is_available", "device_name", "library_of", "move", "named", "on_host", "operands",
    "to_host", "using",
]  # fmt: skip

INSTALL = "pip install cupy-cuda12x (or cupy-cuda11x, cupy-cuda13x: by the driver's CUDA, which `nvidia-smi` shows)"


class _Using:
    """The GPU's array library once somebody has asked for it, and the type of its arrays."""

    library: Any = None
    kind: Any = None


using = _Using()


def cuda_count() -> int:
    """The number of GPUs that CuPy sees, 0 where it is not installed."""
    if using.library is None and importlib.util.find_spec("cupy") is None:
        return 0
    try:
        return int((using.library or importlib.import_module("cupy")).cuda.runtime.getDeviceCount())
    except Exception:  # a driver that is missing or too old: CuPy raises several types
        return 0


def cuda_is_available() -> bool:
    """Whether CuPy is installed and sees a GPU."""
    return cuda_count() > 0


def _cuda(what: str) -> Any:
    """CuPy. Raises DeviceError, with the way to install it, where it is not there or sees no GPU."""
    if using.library is None:
        if importlib.util.find_spec("cupy") is None:
            raise DeviceError(f"device {what!r} needs CuPy, which is not installed: {INSTALL}")
        if not cuda_is_available():
            raise DeviceError(f"device {what!r}: CuPy is installed but sees no GPU; check the driver with `nvidia-smi`")
        library = importlib.import_module("cupy")
        using.library, using.kind = library, library.ndarray
        entered.append(using)  # as a mode does: fronts go through the door, which now asks for the library
    return using.library


def named(device: Any) -> str:
    """The name of a device, without the number of the first: "cpu", "cuda", "cuda:1". Raises DeviceError for others."""
    name = f"cuda:{device}" if isinstance(device, int) else str(device)
    kind, _, number = name.partition(":")
    if kind not in ("cpu", "cuda") or not (number.isdecimal() or not number):
        raise DeviceError(f"no device {name!r}; devices are 'cpu' and 'cuda' ('cuda:1' for the second)")
    return kind if number in ("", "0") else name


def device_name(array: Any) -> str:
    """The device that an array is on."""
    if using.kind is None or not isinstance(array, using.kind):
        return "cpu"
    number = int(array.device.id)
    return f"cuda:{number}"


def library_of(array: Any) -> Any:
    """The library of an array: numpy or CuPy."""
    return using.library if using.kind is not None and isinstance(array, using.kind) else np


def to_host(array: Any) -> Any:
    """An array as numpy's: itself, or a copy from the GPU."""
    return using.library.asnumpy(array) if using.kind is not None and isinstance(array, using.kind) else array


def move(array: Any, device: str) -> Any:
    """An array on a device: itself where it is there already, else a copy."""
    if device == "cpu":
        return to_host(array)
    library = _cuda(device)
    number = int(device.partition(":")[2] or 0)
    if library_of(array) is library and int(array.device.id) == number:
        return array
    try:
        with library.cuda.Device(number):
            return library.asarray(array)
    except (TypeError, ValueError) as error:
        raise DeviceError(f"a tensor of type {array.dtype} cannot be on {device!r}: {error}") from None


def on_host(function: Any) -> Any:
    """`function` of arrays, which only numpy can run: a GPU's arrays are brought to it, and its results back."""

    @functools.wraps(function)
    def run(*args: Any, **options: Any) -> Any:
        library = next((lib for a in args if (lib := library_of(a)) is not np), None)
        if library is None:
            return function(*args, **options)
        found = function(*[np if a is library else to_host(a) for a in args], **options)
        return tuple(map(library.asarray, found)) if isinstance(found, tuple) else library.asarray(found)

    return run


def as_array(found: Any) -> Any:
    """What a kernel returned as an array: numbers become 0-d arrays."""
    return found if type(found) is np.ndarray or type(found) is using.kind else np.asarray(found)


def operands(name: str, arrays: Sequence[Any]) -> tuple[Any, list[Any]]:
    """The library in which an operator runs, and its operands there.

    0-d arrays on the CPU (numbers) go where the others are. Raises DeviceError for any other mix.
    """
    flat = [a for group in arrays for a in (group if type(group) is list else [group]) if a is not None]
    places = dict.fromkeys(device_name(a) for a in flat if device_name(a) != "cpu")
    if not places:
        return np, list(arrays)
    there = next(iter(places))
    on_cpu = any(a.ndim for a in flat if device_name(a) == "cpu")
    if on_cpu or len(places) > 1:
        found = ", ".join([*places, *["cpu"] * on_cpu])
        raise DeviceError(
            f"{name}: expected all tensors to be on the same device, but found at least two devices, {found}; move "
            f"them with .to({there!r})"
        )

    def place(array: Any) -> Any:
        if type(array) is list:
            return [place(a) for a in array]
        return array if array is None or isinstance(array, using.kind) else using.library.asarray(array)

    return using.library, [place(a) for a in arrays]
