"""Saving and loading: one safetensors file that holds tensors and the structure they stand in, or PyTorch's .pt.

PyTorch's files are the subject of `torch_file`. Ours is plain safetensors: an 8-byte length, a JSON header with the
type, shape and place of every tensor, and the numbers. The structure (dicts, lists, tuples, numbers, strings, None)
stands as JSON in the header's metadata, under "pappus"; readers that do not know it see a flat dict of tensors. Loading
a file never runs code.
"""

from __future__ import annotations

import io
import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any

import numpy as np

from pappus.frontend import dtypes
from pappus.frontend.errors import ArgumentError, DTypeError, FormatError
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Buffer, Parameter
from pappus.frontend.tensor import Tensor

__all__ = ["FormatError", "load", "save"]

_DTYPES = {
    "BOOL": dtypes.bool_, "U8": dtypes.uint8, "U16": dtypes.uint16, "U32": dtypes.uint32, "U64": dtypes.uint64,
    "I8": dtypes.int8, "I16": dtypes.int16, "I32": dtypes.int32, "I64": dtypes.int64, "F16": dtypes.float16,
    "BF16": dtypes.bfloat16, "F32": dtypes.float32, "F64": dtypes.float64, "C64": dtypes.complex64,
    "F8_E4M3": dtypes.float8_e4m3fn, "F8_E5M2": dtypes.float8_e5m2, "F8_E4M3FNUZ": dtypes.float8_e4m3fnuz,
    "F8_E5M2FNUZ": dtypes.float8_e5m2fnuz,
}  # fmt: skip
_CODES = {dtype: code for code, dtype in _DTYPES.items()}
_KEY = "pappus"
_VERSION = 1
_HEADER_LIMIT = 100_000_000  # what other readers of the format accept, too
_TORCH = (".pt", ".pth", ".ckpt", ".bin", ".tar")  # the names that PyTorch's checkpoints have
_KINDS: dict[str, Any] = {"parameter": Parameter, "buffer": Buffer}


# -- writing ------------------------------------------------------------------------------------


class _Packer:
    """Turns an object into a JSON tree with references, collecting the arrays they refer to."""

    def __init__(self) -> None:
        self.arrays: dict[str, Any] = {}
        self.known: dict[Any, str] = {}
        self.open: set[int] = set()  # containers being walked, to find one inside itself

    def pack(self, value: Any, path: tuple[str, ...]) -> Any:
        """The tree of `value`, which stands at `path` in the object."""
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else {"float": str(float(value))}
        if isinstance(value, Tensor):
            return self._tensor(value, path)
        if isinstance(value, dtypes.DType):
            return {"dtype": value.name}
        if isinstance(value, np.ndarray):
            return {"array": self._store(value, path)}
        if isinstance(value, np.generic):
            return {"scalar": self._store(np.asarray(value), path)}
        if isinstance(value, (Mapping, list, tuple)):
            if id(value) in self.open:
                raise ArgumentError(f"save: {_at(path)} contains itself")
            self.open.add(id(value))
            packed = self._container(value, path)
            self.open.discard(id(value))
            return packed
        if isinstance(value, (int, str)):  # subclasses, such as an IntEnum: the plain value
            return int(value) if isinstance(value, int) else str(value)
        hint = ""
        if isinstance(value, Module) or hasattr(value, "state_dict"):
            hint = "; save its state_dict()"
        raise ArgumentError(
            f"save: {_at(path)} is a {type(value).__name__}, which is not saved{hint}. Tensors, numpy arrays, numbers, "
            "strings, None, and dicts, lists and tuples of them are"
        )

    def _container(self, value: Any, path: tuple[str, ...]) -> Any:
        if isinstance(value, Mapping):
            items = []
            for key, item in value.items():
                if type(key) not in (str, int, bool, float, type(None)) or (key != key or key in (math.inf, -math.inf)):
                    raise ArgumentError(
                        f"save: {_at(path)} has the key {key!r}; keys must be strings or finite numbers"
                    )
                items.append([key, self.pack(item, (*path, str(key)))])
            return {"dict": items}
        packed = [self.pack(item, (*path, str(i))) for i, item in enumerate(value)]
        return packed if isinstance(value, list) else {"tuple": packed}

    def _tensor(self, tensor: Tensor, path: tuple[str, ...]) -> Any:
        if tensor.is_symbolic:
            raise ArgumentError(f"save: {_at(path)} is a tensor of a running export and has no numbers")
        tree: dict[str, Any] = {"tensor": self._store(tensor._data, path)}
        kind = next((name for name, cls in _KINDS.items() if isinstance(tensor, cls)), None)
        if kind is not None:
            tree["kind"] = kind
        if tensor.requires_grad and tensor.is_leaf:
            tree["requires_grad"] = True
        return tree

    def _store(self, array: Any, path: tuple[str, ...]) -> str:
        if dtypes.from_numpy_dtype(array.dtype) not in _CODES:
            found = dtypes.from_numpy_dtype(array.dtype)
            way = "pappus.view_as_real(x)" if found.is_complex else "x.to(pappus.int8)"
            raise DTypeError(f"save: {_at(path)} has type {found}, which safetensors does not have; save {way}")
        identity: Any = id(array)
        if array.size:
            identity = (array.__array_interface__["data"][0], array.shape, array.strides, array.dtype)
        known = self.known.get(identity)
        if known is not None:
            return known
        name = base = ".".join(path) or "tensor"
        number = 1
        while name in self.arrays or name == "__metadata__":
            number += 1
            name = f"{base}#{number}"
        self.known[identity] = name
        self.arrays[name] = array
        return name


def _at(path: tuple[str, ...]) -> str:
    return "the object" + "".join(f"[{part!r}]" for part in path)


def save(obj: Any, f: str | os.PathLike[str] | IO[bytes], *, format: str | None = None) -> None:
    """Write `obj` to a safetensors file: a state dict, or dicts, lists and tuples of tensors, numbers and strings.

    `f` is a path or a binary file. A path that ends in .pt, .pth, .ckpt, .bin or .tar gets PyTorch's format, which
    `torch.load(path, weights_only=True)` reads and in which views keep sharing memory; `format` ("safetensors" or
    "pt") decides otherwise. All types of tensors round-trip; so do parameters, `requires_grad` of leaves, numpy
    arrays, tensors that occur twice (as one), int keys and tuples. The file appears under its name only when complete.

    Raises ArgumentError, naming the place in the object, for what cannot be saved: modules (save their `state_dict()`),
    functions, objects of other classes.

    >>> import pappus as pp, tempfile, os
    >>> path = os.path.join(tempfile.mkdtemp(), "point.safetensors")
    >>> save({"model": {"weight": pp.ones(2)}, "epoch": 3}, path)
    >>> load(path)
    {'model': {'weight': tensor([1., 1.])}, 'epoch': 3}
    """
    if format not in (None, "safetensors", "pt"):
        raise ArgumentError(f"save: format {format!r}; it is 'safetensors' or 'pt'")
    if format == "pt" or (format is None and not hasattr(f, "write") and os.fspath(f).endswith(_TORCH)):
        from pappus.frontend import torch_file

        with _target(f) as file:
            torch_file.write(obj, file)
        return
    packer = _Packer()
    tree = packer.pack(obj, ())
    # Widest types first, so that every tensor starts at a multiple of its element's size.
    names = sorted(packer.arrays, key=lambda name: (-packer.arrays[name].dtype.itemsize, name))
    header: dict[str, Any] = {"__metadata__": {_KEY: json.dumps({"version": _VERSION, "tree": tree}, allow_nan=False)}}
    offset = 0
    for name in names:
        array = packer.arrays[name]
        code = _CODES[dtypes.from_numpy_dtype(array.dtype)]
        header[name] = {"dtype": code, "shape": list(array.shape), "data_offsets": [offset, offset + array.nbytes]}
        offset += array.nbytes
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    if len(text) > _HEADER_LIMIT:
        raise ArgumentError(f"save: the header would take {len(text)} bytes, the format allows {_HEADER_LIMIT}")
    with _target(f) as file:
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in names:
            array = packer.arrays[name]
            native = np.ascontiguousarray(array, array.dtype.newbyteorder("=")).reshape(-1)
            file.write(native.view(np.uint8).data)


@contextmanager
def _target(f: Any) -> Iterator[Any]:
    """A binary file to write to; a path gets its new content at once, when all of it is on the disk."""
    if hasattr(f, "write"):
        yield f
        return
    path = os.path.abspath(os.fspath(f))
    if not os.path.isdir(os.path.dirname(path)):
        raise FileNotFoundError(f"save: cannot write {os.fspath(f)}: there is no directory {os.path.dirname(path)}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"save: cannot write {os.fspath(f)}: it is a directory")
    partial = f"{path}.{os.getpid()}.part"
    try:
        with open(partial, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(partial, path)
    except BaseException:
        if os.path.exists(partial):
            os.unlink(partial)
        raise


# -- reading ------------------------------------------------------------------------------------


def load(
    f: str | os.PathLike[str] | IO[bytes], map_location: Any = None, pickle_module: Any = None, *,
    weights_only: bool | None = None, mmap: bool | None = None, encoding: str = "utf-8",
) -> Any:  # fmt: skip
    """Read what `save` or PyTorch's torch.save wrote; of a safetensors file of others, a flat dict of its tensors.

    `f` is a path or a binary file. Everything is put on the CPU: `map_location` may name it, or be a function or dict
    as in PyTorch. With `mmap` the tensors of a .pt file show the file's pages, else they own their memory.
    `weights_only`, `pickle_module` and `encoding` are accepted and mean nothing: no file can make `load` run code.

    Raises FileNotFoundError, and FormatError for files that are something else, cut off, damaged, or that hold more
    than data (a whole model: save its `state_dict()`).
    """
    if isinstance(map_location, str) and map_location.split(":")[0] != "cpu":
        raise ArgumentError(f"load: no device {map_location!r}; the only device is 'cpu'")
    if hasattr(f, "read"):
        return _read(_seekable(f), getattr(f, "name", "the given file"), bool(mmap))
    path = os.fspath(f)
    if not os.path.exists(path):
        raise FileNotFoundError(f"load: there is no file {path}")
    if os.path.isdir(path):
        raise IsADirectoryError(f"load: {path} is a directory; give the path of a file that pappus.save wrote")
    with open(path, "rb") as file:
        return _read(file, path, bool(mmap))


def _seekable(file: Any) -> Any:
    """The file itself where it can be read in any order (a pipe cannot), else its content."""
    if getattr(file, "seekable", lambda: hasattr(file, "seek"))():
        return file
    return io.BytesIO(file.read())


def _read(file: Any, name: Any, mmap: bool) -> Any:
    start = file.tell()
    first = file.read(4)
    file.seek(start)
    if first == b"PK\x03\x04" or (first[:1] == b"\x80" and first[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        # A safetensors file may begin so too, but then the header's brace stands after eight bytes.
        file.seek(start + 8)
        if file.read(1) != b"{" or first[:1] == b"P":
            from pappus.frontend import torch_file

            file.seek(start)
            return torch_file.read(file, name, mmap)
        file.seek(start)
    file.seek(0, os.SEEK_END)
    size = file.tell() - start
    file.seek(start)
    header, begin = _header(file, name, size)
    metadata = header.pop("__metadata__", {})
    places = _check(header, name, size - begin)
    arrays: dict[str, Any] = {}
    for key, (dtype, shape, at, nbytes) in places.items():
        file.seek(start + begin + at)
        try:
            array = np.empty(shape, dtype.numpy)
        except ValueError as error:  # more dimensions, or larger ones, than arrays have
            raise FormatError(f"load: {name}: tensor {key!r} has shape {list(shape)}: {error}") from None
        if nbytes and file.readinto(array.reshape(-1).view(np.uint8).data) != nbytes:
            raise FormatError(f"load: {name} ended while tensor {key!r} was being read")
        arrays[key] = array
    text = metadata.get(_KEY) if isinstance(metadata, dict) else None
    if text is None:
        return {key: Tensor._from_data(array) for key, array in arrays.items()}
    return _structure(text, arrays, name)


def _header(file: Any, name: Any, size: int) -> tuple[dict[str, Any], int]:
    """The JSON header and where the data begins."""
    first = file.read(8)
    kind = _foreign(first)
    if kind is not None:
        raise FormatError(
            f"load: {name} is {kind}. pappus.load reads safetensors files and PyTorch's checkpoints (.pt, .pth)"
        )
    length = int.from_bytes(first, "little")
    expected = "expected a safetensors file: 8 bytes of length, a JSON header, then the tensors"
    if size < 8 or (length <= _HEADER_LIMIT and 8 + length > size):
        raise FormatError(f"load: {name} is cut off: it ends after {size} bytes, inside its header; {expected}")
    text = file.read(length) if length <= _HEADER_LIMIT else b""
    try:
        header = json.loads(text)
    except (ValueError, RecursionError):
        header = None
    if not isinstance(header, dict):
        raise FormatError(f"load: {name} is not a safetensors file (it has no JSON header); {expected}")
    return header, 8 + length


def _foreign(first: bytes) -> str | None:
    """Well-known formats by their first bytes."""
    if first[:6] == b"\x93NUMPY":
        return "a numpy .npy file"
    if first[:4] == b"GGUF":
        return "a GGUF file"
    return None


def _check(header: dict[str, Any], name: Any, size: int) -> dict[str, tuple[Any, tuple[int, ...], int, int]]:
    """Type, shape, offset and bytes of every tensor; each lies in the file and none overlaps another."""
    places: dict[str, tuple[Any, tuple[int, ...], int, int]] = {}
    for key, entry in header.items():
        try:
            code, shape, (begin, end) = entry["dtype"], tuple(entry["shape"]), entry["data_offsets"]
            whole = all(type(n) is int and n >= 0 for n in (*shape, begin, end))
        except (TypeError, KeyError, ValueError):
            whole = False
        if not whole:
            raise FormatError(f"load: {name} is damaged: the header's entry for tensor {key!r} makes no sense")
        dtype = _DTYPES.get(code)
        if dtype is None:
            raise FormatError(
                f"load: {name}: tensor {key!r} has type {code}, which Pappus lacks; it has {', '.join(_DTYPES)}"
            )
        if end - begin != math.prod(shape) * dtype.itemsize:
            raise FormatError(
                f"load: {name} is damaged: tensor {key!r} of {code}{list(shape)} cannot take {end - begin} bytes"
            )
        if end > size:
            raise FormatError(
                f"load: {name} is cut off: tensor {key!r} ends at byte {end} of the data, of which it has {size} bytes"
            )
        places[key] = (dtype, shape, begin, end - begin)
    last, before = 0, ""
    for key, (_, _, begin, nbytes) in sorted(places.items(), key=lambda item: (item[1][2], item[1][3])):
        if begin < last:
            raise FormatError(f"load: {name} is damaged: tensors {before!r} and {key!r} overlap")
        last, before = begin + nbytes, key
    return places


def _structure(text: Any, arrays: dict[str, Any], name: Any) -> Any:
    try:
        document = json.loads(text)
        version = document["version"]
        if version != _VERSION:
            raise FormatError(
                f"load: {name} was written by a newer Pappus (structure version {version}, this one reads {_VERSION}); "
                "update Pappus, or read the flat tensors with safetensors"
            )
        return _unpack(document["tree"], arrays, {})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, FormatError):
            raise
        raise FormatError(f"load: {name} is damaged: its structure cannot be read ({error!r})") from None


def _unpack(tree: Any, arrays: dict[str, Any], made: dict[str, Tensor]) -> Any:
    """The object that `_Packer.pack` made `tree` of; `made` holds the tensors seen so far."""
    if not isinstance(tree, (dict, list)):
        return tree
    if isinstance(tree, list):
        return [_unpack(item, arrays, made) for item in tree]
    if "dict" in tree:
        return {key: _unpack(item, arrays, made) for key, item in tree["dict"]}
    if "tuple" in tree:
        return tuple(_unpack(item, arrays, made) for item in tree["tuple"])
    if "float" in tree:
        return float(tree["float"])
    if "dtype" in tree:
        return dtypes.BY_NAME[tree["dtype"]]
    if "array" in tree:
        return arrays[tree["array"]]
    if "scalar" in tree:
        return arrays[tree["scalar"]][()]
    kind, needs = tree.get("kind"), bool(tree.get("requires_grad"))
    identity = f"{tree['tensor']}\n{kind}\n{needs}"
    if identity not in made:
        plain = Tensor._from_data(arrays[tree["tensor"]])
        if kind == "parameter":
            plain = Parameter(plain, needs)
        elif kind is not None:
            plain = _KINDS[kind](plain)
        elif needs:
            plain.requires_grad = True
        made[identity] = plain
    return made[identity]
