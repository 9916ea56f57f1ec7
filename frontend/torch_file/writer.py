"""Writing a checkpoint: the zip that torch.load(weights_only=True) reads, with a pickle made here."""

from __future__ import annotations

import argparse
import collections
import struct
import sys
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from pappus.frontend import dtypes
from pappus.frontend.errors import ArgumentError
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.tensor import Device, Size, Tensor
from pappus.frontend.torch_file.storages import TYPES

__all__ = ["write"]

_OLD = {kind.dtype: name for name, kind in TYPES.items() if kind.dtype is not None}
_ALIGN = 64  # of every record in the file, so that a mapped file has aligned tensors


def write(obj: Any, file: Any) -> None:
    """Write `obj` into a binary file, as torch.save does: tensors that share memory share it in the file too.

    Tensors, parameters, numbers, strings, bytes, None, dtypes, sizes, devices, and dicts, lists, tuples and sets of
    them; numpy's arrays and numbers and argparse.Namespace, which torch.load takes with weights_only=False only
    (numpy's float64 is a Python float, and written as one). Raises ArgumentError, naming the place in the object, for
    anything else.
    """
    pickler = _Pickler(_Memory())
    data = pickler.pickle(obj)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        _record(archive, "archive/data.pkl", data)
        _record(archive, "archive/byteorder", sys.byteorder.encode())
        for key, array in enumerate(pickler.memory.arrays):
            _record(archive, f"archive/data/{key}", array.view(np.uint8).data)
        _record(archive, "archive/version", b"3\n")


def _record(archive: zipfile.ZipFile, name: str, data: Any) -> None:
    info = zipfile.ZipInfo(name)  # the same date always: equal objects make equal files
    size = len(data)
    assert archive.fp is not None
    begin = archive.fp.tell() + 30 + len(name.encode()) + (20 if size >= 2**31 else 0)
    pad = -(begin + 4) % _ALIGN
    info.extra = struct.pack("<2sH", b"FB", pad) + b"Z" * pad
    info.file_size = size
    with archive.open(info, "w", force_zip64=size >= 2**31) as record:
        record.write(data)


class _Memory:
    """The storages of a file: the pieces of memory that tensors show, each written once."""

    def __init__(self) -> None:
        self.arrays: list[Any] = []
        self.places: dict[Any, tuple[int, int]] = {}
        self.spans: dict[Any, list[int]] = {}
        self.alive: list[Any] = []

    def visit(self, array: Any) -> None:
        """Note the extent of an array's memory; all arrays are noted before the first is placed."""
        key, low, high = _extent(array)
        if key is not None:
            span = self.spans.setdefault(key, [low, high])
            span[0], span[1] = min(span[0], low), max(span[1], high)

    def place(self, array: Any) -> tuple[int, int, int, tuple[int, ...]]:
        """Number of the storage, its elements, and offset and strides of the array in it."""
        key, low, _ = _extent(array)
        width = array.itemsize
        if key is None:  # nothing to share: empty, or walked backwards
            self.alive.append(array)
            self.arrays.append(np.ascontiguousarray(array).reshape(-1))
            steps = np.empty(array.shape, np.bool_).strides if array.size else (1,) * array.ndim
            return len(self.arrays) - 1, array.size, 0, steps
        first, last = self.spans[key]
        if key not in self.places:
            count = (last - first) // width
            owner = _owner(array)
            begin = first - _address(owner)
            whole = owner.reshape(-1).view(np.uint8)[begin : begin + count * width].view(array.dtype)
            self.places[key] = len(self.arrays), count
            self.arrays.append(whole)
        number, count = self.places[key]
        return number, count, (low - first) // width, tuple(s // width for s in array.strides)


def _address(array: Any) -> int:
    return int(array.__array_interface__["data"][0])


def _owner(array: Any) -> Any:
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def _extent(array: Any) -> tuple[Any, int, int]:
    """(memory and type, first byte, byte behind the last one); (None, 0, 0) for what is copied."""
    owner = _owner(array)
    usable = array.size and owner.flags.c_contiguous and array.dtype.isnative
    if not usable or any(s < 0 or s % array.itemsize for s in array.strides):
        return None, 0, 0
    low = _address(array)
    high = low + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)) + array.itemsize
    # Arrays that differ by part of an element cannot share a typed storage.
    return (id(owner), array.dtype, low % array.itemsize), low, high


class _Pickler:
    """Makes a protocol 2 pickle of the instructions that torch.load(weights_only=True) knows."""

    def __init__(self, memory: _Memory) -> None:
        self.memory = memory

    def pickle(self, obj: Any) -> bytes:
        """The bytes of the pickle."""
        self._walk(obj, (), set())
        self.out = bytearray(b"\x80\x02")
        self.memo: dict[int, int] = {}
        self.alive: list[Any] = []
        self.names: dict[str, int] = {}
        self.numbers = 0
        self._write(obj, ())
        return bytes(self.out + b".")

    # -- the first walk: what is there, and where memory is shared ------------------------------

    def _walk(self, value: Any, path: tuple[str, ...], seen: set[int]) -> None:
        if isinstance(value, Tensor):
            if value.is_symbolic:
                raise ArgumentError(f"save: {_at(path)} is a tensor of a running export and has no numbers")
            if value.dtype.name.endswith("int4"):
                raise ArgumentError(
                    f"save: {_at(path)} has type {value.dtype.name}, which PyTorch's files do not have; save it as "
                    f"{value.dtype.name.replace('4', '8')}"
                )
            self.memory.visit(value._data)
        elif isinstance(value, (Mapping, list, tuple, set)) and id(value) not in seen:
            seen.add(id(value))
            if len(path) > 400:
                raise ArgumentError(f"save: {_at(path[:4])}... is nested more than 400 deep")
            pairs = value.items() if isinstance(value, Mapping) else enumerate(value)
            for key, item in pairs:
                self._walk(item, (*path, str(key)), seen)

    # -- the second walk ------------------------------------------------------------------------

    def _write(self, value: Any, path: tuple[str, ...]) -> None:
        out = self.out
        if value is None or value is True or value is False:
            out += b"N" if value is None else b"\x88" if value else b"\x89"
        elif id(value) in self.memo:
            self._get(self.memo[id(value)])
        elif isinstance(value, Tensor):
            self._tensor(value)
            self._put(value)
        elif isinstance(value, dtypes.DType):
            self._global(f"torch {value.name}")
        elif isinstance(value, Device):
            self._call("torch device", (value.type,) if value.index is None else (value.type, value.index))
        elif isinstance(value, str):
            text = str(value).encode("utf-8", "surrogatepass")
            out += b"X" + struct.pack("<I", len(text)) + text
        elif isinstance(value, int):
            self._int(int(value))
        elif isinstance(value, float):
            out += b"G" + struct.pack(">d", float(value))
        elif isinstance(value, complex):
            self._call("__builtin__ complex", (value.real, value.imag))
        elif isinstance(value, (bytes, bytearray)):
            self._call("_codecs encode", (bytes(value).decode("latin1"), "latin1"))
        elif isinstance(value, Mapping):
            self._mapping(value, path)
        elif isinstance(value, Size):
            self._call("torch Size", (tuple(value),))
        elif isinstance(value, (tuple, list, set)):
            self._sequence(value, path)
        elif isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufcSU" and value.dtype.isnative:
            self._numpy(value)
        elif type(value) is argparse.Namespace:
            self._call("argparse Namespace", ())
            self._put(value)
            self._write(vars(value), path)
            self.out += b"b"
        else:
            hint = "; save its state_dict()" if hasattr(value, "state_dict") else ""
            raise ArgumentError(
                f"save: {_at(path)} is a {type(value).__name__}, which is not saved{hint}. Tensors, numbers, strings, "
                "bytes, None, and dicts, lists, tuples and sets of them are"
            )

    def _mapping(self, value: Mapping[Any, Any], path: tuple[str, ...]) -> None:
        ordered = isinstance(value, collections.OrderedDict)
        if ordered:
            self._call("collections OrderedDict", ())
        else:
            self.out += b"}"
        self._put(value)
        self.out += b"("
        for key, item in value.items():
            if not isinstance(key, (str, int, float, bytes, type(None), tuple, dtypes.DType)):
                raise ArgumentError(f"save: {_at(path)} has the key {key!r}; keys must be strings or numbers")
            self._write(key, (*path, "key"))
            self._write(item, (*path, str(key)))
        self.out += b"u"
        if ordered and getattr(value, "_metadata", None) is not None:
            self._write({"_metadata": value._metadata}, path)  # type: ignore[attr-defined]
            self.out += b"b"

    def _numpy(self, value: Any) -> None:
        """As numpy itself pickles arrays and numbers. torch.load reads these with weights_only=False only."""
        kind = value.dtype.str[1:]
        if isinstance(value, np.ndarray):
            self._global("numpy.core.multiarray _reconstruct")
            self.out += b"("
            self._global("numpy ndarray")
            self._write((0,), ())
            self._write(b"b", ())
            self.out += b"tR("
            self._write(1, ())
            self._write(tuple(value.shape), ())
        else:
            self._global("numpy.core.multiarray scalar")
            self.out += b"("
        self._call("numpy dtype", (kind, False, True))
        self._write(value.dtype.__reduce__()[2], ())  # its state: byte order and, for text, sizes
        self.out += b"b"
        if isinstance(value, np.ndarray):
            self._write(False, ())
            self._write(np.ascontiguousarray(value).tobytes(), ())
            self.out += b"tb"
        else:
            self._write(value.tobytes(), ())
            self.out += b"tR"

    def _sequence(self, value: Any, path: tuple[str, ...]) -> None:
        if isinstance(value, list):
            self.out += b"]"
            self._put(value)
            self._items(value, path)
            self.out += b"e"
        elif isinstance(value, tuple):
            self._items(value, path)
            self.out += b"t"
        else:
            self._call("__builtin__ set", (sorted(value, key=repr),))

    def _items(self, value: Any, path: tuple[str, ...]) -> None:
        self.out += b"("
        for number, item in enumerate(value):
            self._write(item, (*path, str(number)))

    def _tensor(self, tensor: Tensor) -> None:
        parameter = isinstance(tensor, Parameter)
        dtype = tensor.dtype
        number, count, offset, stride = self.memory.place(tensor._data)
        old = dtype.name in _OLD
        if parameter:
            self._global("torch._utils _rebuild_parameter")
            self.out += b"("
        self._global("torch._utils _rebuild_tensor_v2" if old else "torch._utils _rebuild_tensor_v3")
        self.out += b"(("
        self._write("storage", ())
        self._global(f"torch {_OLD[dtype.name]}" if old else "torch.storage UntypedStorage")
        self._write(str(number), ())
        self._write("cpu", ())
        self._int(count if old else count * dtype.itemsize)
        self.out += b"tQ"
        self._int(offset)
        for numbers in (tuple(tensor._data.shape), stride):
            self.out += b"("
            for n in numbers:
                self._int(int(n))
            self.out += b"t"
        self._write(bool(tensor.requires_grad and tensor.is_leaf and not parameter), ())
        self._call("collections OrderedDict", ())  # backward hooks, of which none are saved
        if not old:
            self._global(f"torch {dtype.name}")
        self.out += b"tR"
        if parameter:
            self._write(bool(tensor.requires_grad), ())
            self._call("collections OrderedDict", ())
            self.out += b"tR"

    # -- pieces ---------------------------------------------------------------------------------

    def _call(self, name: str, args: tuple[Any, ...]) -> None:
        self._global(name)
        self._items(args, ())
        self.out += b"tR"

    def _global(self, name: str) -> None:
        if name in self.names:
            self._get(self.names[name])
            return
        self.out += b"c" + name.replace(" ", "\n").encode() + b"\n"
        self.names[name] = self._remember()

    def _int(self, value: int) -> None:
        if 0 <= value < 256:
            self.out += b"K" + bytes([value])
        elif -(2**31) <= value < 2**31:
            self.out += b"J" + struct.pack("<i", value)
        else:
            data = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
            if len(data) > 255:
                raise ArgumentError(f"save: an integer of {value.bit_length()} bits is too long")
            self.out += b"\x8a" + bytes([len(data)]) + data

    def _put(self, value: Any) -> None:
        self.alive.append(value)  # while it lives, no other object has its id
        self.memo[id(value)] = self._remember()

    def _remember(self) -> int:
        number = self.numbers
        self.numbers += 1
        self.out += b"q" + bytes([number]) if number < 256 else b"r" + struct.pack("<I", number)
        return number

    def _get(self, number: int) -> None:
        self.out += b"h" + bytes([number]) if number < 256 else b"j" + struct.pack("<I", number)


def _at(path: tuple[str, ...]) -> str:
    return "the object" + "".join(f"[{part!r}]" for part in path)
