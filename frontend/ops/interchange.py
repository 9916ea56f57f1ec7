"""Tensors and other libraries' arrays over the same memory: DLPack and buffers.

Nothing here copies unless it says so.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..errors import ArgumentError, AutogradError, DTypeError
from ..tensor import Tensor
from ._names import function

_CPU = (1, 0)  # DLPack's device type and number

# -- DLPack ---------------------------------------------------------------------------------------


def _dlpack(
    self: Tensor, *, stream: Any = None, max_version: Any = None, dl_device: Any = None, copy: bool | None = None
) -> Any:
    """A DLPack capsule over this tensor's memory, for `torch.from_dlpack(t)`, `numpy.from_dlpack(t)` and others.

    Raises AutogradError where a gradient would be lost, and DTypeError for types that DLPack (bool and the types of
    ml_dtypes, in numpy's implementation) does not carry.
    """
    if self.requires_grad:
        raise AutogradError(
            "__dlpack__ of a tensor that requires grad: the gradient would not see what the other library does; "
            "use tensor.detach()"
        )
    _exchangeable("__dlpack__", self.dtype)
    return self.numpy().__dlpack__(stream=stream, max_version=max_version, dl_device=dl_device, copy=copy)


def _exchangeable(what: str, dtype: dtypes.DType) -> None:
    if dtype.is_storage or dtype is dtypes.bfloat16:
        whole = "int16" if dtype.itemsize == 2 else "uint8"
        raise DTypeError(
            f"{what}: {dtype} does not travel; send .view(pappus.{whole}) and view it as the other library's type there"
        )


class _Capsule:
    """A bare DLPack capsule as an object that numpy takes."""

    def __init__(self, capsule: Any) -> None:
        self._capsule = capsule

    def __dlpack__(self, **_: Any) -> Any:
        return self._capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return _CPU


@function()
def from_dlpack(ext_tensor: Any, *, device: Any = None, copy: bool | None = None) -> Any:
    """A tensor over the memory of another library's CPU tensor (anything with `__dlpack__`, or a DLPack capsule).

    A tensor of read-only memory, or from a capsule of before DLPack 1.0 (which does not say whether its memory may be
    written), can be read and not written. Raises DTypeError for types that numpy cannot take over,
    ArgumentError for tensors of other devices and for what is no tensor.

    >>> import numpy as np, pappus as pp
    >>> a = np.zeros(2); t = pp.from_dlpack(a); a[0] = 3
    >>> t.tolist()
    [3.0, 0.0]
    """
    if isinstance(ext_tensor, Tensor):
        return ext_tensor.detach().clone() if copy else ext_tensor.detach()
    if type(ext_tensor).__name__ == "PyCapsule":
        ext_tensor = _Capsule(ext_tensor)
    if not hasattr(ext_tensor, "__dlpack__") or not hasattr(ext_tensor, "__dlpack_device__"):
        raise ArgumentError(f"from_dlpack: a {type(ext_tensor).__name__} has no __dlpack__; use pappus.tensor(...)")
    kind, number = ext_tensor.__dlpack_device__()
    if int(kind) not in (1, 3, 11):  # the CPU's memory, also where CUDA or ROCm have pinned it
        raise ArgumentError(f"from_dlpack: the tensor is on device ({kind}, {number}); copy it to the CPU first")
    try:
        array = np.from_dlpack(ext_tensor, copy=copy) if copy else np.from_dlpack(ext_tensor)
    except (BufferError, RuntimeError, TypeError) as error:
        kind_name = getattr(ext_tensor, "dtype", "this type")
        if isinstance(error, BufferError) or "dtype" in str(error).lower():
            raise DTypeError(
                f"from_dlpack: numpy cannot take over {kind_name} ({error}); send it as integers of the same size, and "
                "view those, e.g. with .view(pappus.bfloat16)"
            ) from None
        raise
    return Tensor._from_data(array)


# -- buffers --------------------------------------------------------------------------------------


@function()
def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Any:  # fmt: skip
    """A 1-d tensor over the memory of an object with a buffer (bytearray, array, mmap): `count` elements (all: -1)
    behind `offset` bytes.

    Read-only buffers, such as bytes, give tensors that cannot be written.

    >>> import pappus as pp
    >>> pp.frombuffer(bytearray([1, 0, 2, 0]), dtype=pp.int16)
    tensor([1, 2], dtype=pappus.int16)
    """
    found = dtypes.as_dtype(dtype)
    size = memoryview(buffer).nbytes
    if not 0 <= offset < max(size, 1) or size == 0:
        raise ArgumentError(f"frombuffer: offset {offset} is not inside a buffer of {size} bytes")
    if count == 0:
        raise ArgumentError("frombuffer: count must be positive, or -1 for all, got 0")
    if count > 0 and offset + count * found.itemsize > size:
        raise ArgumentError(
            f"frombuffer: {count} elements of {found.itemsize} bytes behind {offset} do not fit {size} bytes"
        )
    if count < 0 and (size - offset) % found.itemsize:
        raise ArgumentError(
            f"frombuffer: {size - offset} bytes are no whole number of {found} elements; give count or another offset"
        )
    out = Tensor._from_data(np.frombuffer(buffer, found.numpy, count, offset))
    out.requires_grad = requires_grad
    return out


def _buffer(self: Tensor, flags: int) -> memoryview:
    """`memoryview(t)` on Python 3.12 and later: the elements, shaped and strided."""
    _exchangeable("memoryview", self.dtype)
    return memoryview(self.numpy())


# What is attached to Tensor beside the methods of operators.
PROTOCOLS: dict[str, Any] = {
    "__dlpack__": _dlpack, "__dlpack_device__": lambda self: _CPU, "__buffer__": _buffer,
}  # fmt: skip
