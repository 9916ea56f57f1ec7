"""The memory that tensors of a checkpoint share: raw bytes under a key, seen as arrays of a type."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from pappus.frontend import dtypes
from pappus.frontend.tape import Storage
from pappus.frontend.tensor import Tensor
from pappus.frontend.torch_file.machine import Damaged

__all__ = ["TYPES", "StorageType", "Stored", "dtype_of", "rebuild_tensor"]


class StorageType:
    """A name such as torch.FloatStorage: `dtype` is the name of its elements' type, None for plain bytes."""

    __slots__ = ("dtype",)

    def __init__(self, dtype: str | None) -> None:
        self.dtype = dtype


TYPES = {
    f"{name}Storage": StorageType(dtype)
    for name, dtype in {
        "Double": "float64", "Float": "float32", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
        "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
        "ComplexFloat": "complex64", "ComplexDouble": "complex128", "Untyped": None,
    }.items()
}  # fmt: skip


def dtype_of(name: str) -> dtypes.DType:
    """The type of a name that PyTorch has. Raises Damaged for one that Pappus lacks."""
    found = dtypes.BY_NAME.get(name)
    if found is None:
        raise Damaged(f"a tensor has type {name}, which Pappus lacks; it has {', '.join(dtypes.BY_NAME)}")
    return found


class Stored:
    """One storage: `raw` (bytes as uint8), the type its file names, and the arrays that show it.

    `part`, where not None, is (offset, length) in elements: old files name pieces of a storage.
    """

    def __init__(self, raw: Any, type_name: str | None, swap: bool) -> None:
        self.raw, self.type_name, self.swap = raw, type_name, swap
        self.part: tuple[int, int] | None = None
        self.tape = Storage()
        self.shown: dict[tuple[str, bool, bool], Any] = {}

    def piece(self, offset: int, length: int) -> Stored:
        """The elements [offset, offset + length) as a storage of their own that shares this memory."""
        found = Stored(self.raw, self.type_name, self.swap)
        found.part, found.tape, found.shown = (offset, length), self.tape, self.shown
        return found

    def array(self, dtype: dtypes.DType, conj: bool, neg: bool) -> Any:
        """All elements in one dimension, as `dtype`; conjugated or negated copies are made once."""
        key = (dtype.name, conj, neg)
        if key not in self.shown:
            if conj or neg:
                plain = self.array(dtype, False, False)
                plain = np.conjugate(plain) if conj else plain
                self.shown[key] = np.negative(plain) if neg else plain
            else:
                self.shown[key] = self._typed(dtype)
        return self.shown[key]

    def _typed(self, dtype: dtypes.DType) -> Any:
        count = self.raw.size // dtype.itemsize
        raw = self.raw[: count * dtype.itemsize]
        width = dtype.itemsize // 2 if dtype.name.startswith("complex") else dtype.itemsize
        if self.swap and width > 1:
            raw = np.ascontiguousarray(raw.reshape(-1, width)[:, ::-1]).reshape(-1)
        if dtype is dtypes.bool_:  # other bytes than 0 and 1 would be booleans that are neither
            np.not_equal(raw, 0, out=raw.view(np.bool_))
        if raw.size and raw.__array_interface__["data"][0] % dtype.itemsize:
            raw = raw.copy()
        return raw.view(dtype.numpy)


def _counts(values: Any) -> tuple[int, ...]:
    found = tuple(values)
    if not all(type(n) is int and 0 <= n < 2**62 for n in found):
        raise Damaged(f"a tensor has sizes, strides or an offset of {list(found)}")
    return found


def rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False, hooks: Any = None,
    metadata: Any = None, *, dtype: dtypes.DType | None = None,
) -> Tensor:  # fmt: skip
    """The tensor of `size` and `stride` at `offset` of a storage, all in elements.

    Raises Damaged where it reaches outside the storage.
    """
    if type(storage) is not Stored:
        raise Damaged("a tensor stands on something that is no storage")
    if dtype is None:
        dtype = dtype_of(storage.type_name or "uint8")
    shape, strides, (start,) = _counts(size), _counts(stride), _counts((offset,))
    if len(shape) != len(strides):
        raise Damaged(f"a tensor has sizes {list(shape)} and strides {list(strides)}")
    marks = metadata if isinstance(metadata, dict) else {}
    array = storage.array(dtype, bool(marks.get("conj")), bool(marks.get("neg")))
    first, length = storage.part or (0, array.size)
    if math.prod(shape) == 0:
        shown = np.empty(shape, dtype.numpy)
    else:
        last = start + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
        if last >= length or first + last >= array.size:
            raise Damaged(
                f"a tensor of shape {list(shape)}, strides {list(strides)} and offset {start} reaches outside its "
                f"storage of {min(length, array.size)} elements"
            )
        width = dtype.itemsize
        steps = tuple(step * width for step in strides)
        shown = np.ndarray(shape, array.dtype, array.view(np.uint8), (first + start) * width, steps)
    made = Tensor._from_data(shown)
    made._storage = storage.tape
    if requires_grad:
        made.requires_grad = True
    return made
