"""What each name in a checkpoint stands for: the whole of what a file can make `load` do.

A name that is missing here is refused with the way out. `add_safe_globals` lets a user add classes of his own.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import re
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pappus.frontend import dtypes
from pappus.frontend.errors import FormatError
from pappus.frontend.nn.parameter import Buffer, Parameter
from pappus.frontend.tensor import Device, Size, Tensor
from pappus.frontend.torch_file.machine import Damaged, Known, safe_key
from pappus.frontend.torch_file.storages import TYPES, dtype_of, rebuild_tensor

__all__ = ["add_safe_globals", "clear_safe_globals", "fill", "find", "get_safe_globals", "safe_globals"]

_TABLE: dict[str, Any] = {}
_GRANTED: dict[str, Any] = {}
_PLACE = re.compile(r"[|<=]?([biufc?][0-9]{0,2}|[SU][0-9]{1,6})")  # plain numpy types in this machine's byte order


def _known(*names: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def declare(call: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            _TABLE[name] = Known(name, call)
        return call

    return declare


def find(module: str, name: str, file: Any) -> Any:
    """What `module.name` stands for. Raises FormatError with the ways out where that is nothing."""
    full = f"{'builtins' if module == '__builtin__' else module}.{name}"
    if full in _TABLE:
        return _TABLE[full]
    if module.split(".")[0] == "torch" and name in TYPES:
        return TYPES[name]
    if module == "torch" and (name in dtypes.BY_NAME or re.fullmatch(r"float8_\w+|complex\d+|b?float\d+", name)):
        return dtype_of(name)
    if full in _GRANTED:
        return _granted(full, _GRANTED[full])
    kind = "the model itself, as code" if module.startswith("torch.nn.modules") else "more than data"
    raise FormatError(
        f"load: {file} names {full}, which load does not call: the file holds {kind}, and reading it would run what it "
        "says. Save only tensors where PyTorch is installed, torch.save(model.state_dict(), path)"
        + ("" if module.split(".")[0] in ("torch", "os", "posix", "builtins", "subprocess", "sys") else
           f"; a class of your own that you trust can be allowed, pappus.serialization.add_safe_globals([{name}])")
    )  # fmt: skip


# -- tensors --------------------------------------------------------------------------------------

_known("torch._utils._rebuild_tensor", "torch._utils._rebuild_tensor_v2")(rebuild_tensor)


@_known("torch._utils._rebuild_tensor_v3")
def _tensor_v3(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any, hooks: Any, dtype: Any, metadata: Any = None
) -> Tensor:
    if not isinstance(dtype, dtypes.DType):
        raise Damaged("a tensor has no type")
    return rebuild_tensor(storage, offset, size, stride, requires_grad, hooks, metadata, dtype=dtype)


def _checked(value: Any) -> Tensor:
    if not isinstance(value, Tensor):
        raise Damaged(f"a parameter is made of a {type(value).__name__}")
    return value


@_known("torch._utils._rebuild_parameter")
def _parameter(data: Any, requires_grad: Any, hooks: Any = None) -> Parameter:
    tensor = _checked(data)
    made = Parameter(tensor, bool(requires_grad))
    made._storage = tensor._storage
    return made


@_known("torch._utils._rebuild_parameter_with_state")
def _parameter_with_state(data: Any, requires_grad: Any, hooks: Any, state: Any) -> Parameter:
    made: Parameter = _parameter(data, requires_grad)
    _attributes(made, state)
    return made


@_known("torch._tensor._rebuild_from_type_v2")
def _from_type(rebuild: Any, kind: Any, args: Any, state: Any) -> Tensor:
    names = {"torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_tensor_v3", "torch._utils._rebuild_parameter"}
    if type(rebuild) is not Known or rebuild.name not in names or type(kind) is not Known or type(args) is not tuple:
        raise Damaged("a tensor with attributes is made of something that is no tensor")
    made = rebuild.call(*args)  # type: ignore[misc]  # the three have one
    state = state[0] if isinstance(state, tuple) and state else state
    if isinstance(state, dict) and state.pop("_is_buffer", False):
        persistent = bool(state.pop("persistent", True))
        made, plain = Buffer(made, persistent=persistent), made
        made._storage = plain._storage
    _attributes(made, state)
    return made  # type: ignore[no-any-return]


for _name in ("torch.Tensor", "torch.nn.parameter.Parameter", "torch.nn.parameter.Buffer"):
    _TABLE[_name] = Known(_name, None)


def _attributes(target: Any, state: Any) -> None:
    """Attributes that somebody set on an object; none may stand in for what its class has."""
    if state is None:
        return
    if not isinstance(state, dict):
        raise Damaged(f"the attributes of a {type(target).__name__} are a {type(state).__name__}")
    for key, value in state.items():
        if type(key) is not str or hasattr(type(target), key) or key.startswith("__"):
            raise Damaged(f"a {type(target).__name__} has the attribute {key!r}")
        target.__dict__[key] = value


@_known("torch.Size")
def _size(items: Any = ()) -> Size:
    if not isinstance(items, (tuple, list)) or not all(type(n) is int for n in items):
        raise Damaged("a Size is made of something else than integers")
    return Size(items)


@_known("torch.device")
def _device(kind: Any, index: Any = None) -> Device:
    return Device(str(kind) if index is None else f"{kind}:{int(index)}")


@_known("torch.serialization._get_layout")
def _layout(name: Any) -> str:
    return str(name).rpartition(".")[2]


for _name in ("strided", "contiguous_format", "preserve_format", "channels_last"):
    _TABLE[f"torch.{_name}"] = _name

# -- Python ---------------------------------------------------------------------------------------

_known("argparse.Namespace")(argparse.Namespace)
_known("types.SimpleNamespace")(types.SimpleNamespace)
for _name in ("PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"):
    _path = pathlib.PureWindowsPath if "Windows" in _name else pathlib.PurePosixPath
    _known(f"pathlib.{_name}", f"pathlib._local.{_name}")(_path)
_FACTORIES = {f"builtins.{kind.__name__}": kind for kind in (list, dict, int, float, str, bool, tuple)}
for _name in _FACTORIES:
    _TABLE[_name] = Known(_name, None)


@_known("collections.OrderedDict")
def _ordered_dict(items: Any = ()) -> Any:
    pairs = items.items() if isinstance(items, dict) else items
    return collections.OrderedDict((safe_key(key), value) for key, value in pairs)


@_known("collections.Counter")
def _counter(counts: Any = None) -> Any:
    if counts is not None and not isinstance(counts, dict):
        raise Damaged("a Counter is made of something else than counts")
    return collections.Counter(counts)


@_known("collections.defaultdict")
def _defaultdict(factory: Any = None) -> Any:
    if factory is None:
        return collections.defaultdict()
    kind = set if type(factory) is Known and factory.name == "builtins.set" else _FACTORIES.get(factory.name)
    if kind is None:
        raise Damaged(f"a defaultdict makes {factory.name}")
    return collections.defaultdict(kind)


@_known("builtins.set")
def _set(items: Any = ()) -> set[Any]:
    return set(map(safe_key, items))


@_known("builtins.frozenset")
def _frozenset(items: Any = ()) -> frozenset[Any]:
    return frozenset(map(safe_key, items))


@_known("builtins.complex")
def _complex(real: Any, imag: Any = 0.0) -> complex:
    return complex(float(real), float(imag))


@_known("builtins.bytearray")
def _bytearray(data: Any = b"", encoding: Any = None) -> bytearray:
    return bytearray(data.encode("latin1") if isinstance(data, str) else bytes(memoryview(data)))


@_known("_codecs.encode")
def _encode(text: Any, encoding: Any = "latin1") -> bytes:
    if type(text) is not str or encoding not in ("latin1", "latin-1", "utf-8", "ascii"):
        raise Damaged("bytes are not spelt as Python spells them")
    return text.encode(encoding)


# -- numpy ----------------------------------------------------------------------------------------


@_known("numpy.dtype")
def _numpy_dtype(place: Any, align: Any = False, copy: Any = True) -> Any:
    if type(place) is not str or not _PLACE.fullmatch(place):
        raise Damaged(f"a numpy array has the type {place!r}; plain numbers are read")
    return np.dtype(place)


def _plain(dtype: Any) -> Any:
    if not isinstance(dtype, np.dtype) or dtype.hasobject or dtype.names:
        raise Damaged("a numpy array is not of plain numbers")
    return dtype


@_known("numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar")
def _scalar(dtype: Any, data: Any) -> Any:
    if type(data) is not bytes or len(data) != _plain(dtype).itemsize:
        raise Damaged("a numpy number does not have as many bytes as its type")
    return np.frombuffer(data, dtype, 1)[0]


_TABLE["numpy.ndarray"] = Known("numpy.ndarray", None)


@_known("numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct")
def _array(kind: Any, shape: Any, place: Any) -> Any:
    return np.empty(0, np.uint8)  # its shape, type and numbers come with the state


@_known("numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer")
def _frombuffer(data: Any, dtype: Any, shape: Any, order: Any) -> Any:
    if not isinstance(data, (bytes, bytearray)):
        raise Damaged("a numpy array has no bytes")
    return np.frombuffer(bytearray(data), _plain(dtype)).reshape(shape, order="F" if order == "F" else "C")


# -- states ---------------------------------------------------------------------------------------


def fill(target: Any, state: Any) -> None:
    """Take over the state that a file gives an object. Raises Damaged for objects that have none here."""
    if isinstance(target, np.dtype):
        if not isinstance(state, tuple) or len(state) < 2 or state[1] not in ("<", "|", "="):
            raise Damaged("a numpy array is not in this machine's byte order")
    elif type(target) is np.ndarray:
        _, shape, dtype, fortran, data = state
        data = data.encode("latin1") if isinstance(data, str) else data  # the bytes of Python 2
        if type(data) is not bytes or not isinstance(shape, tuple) or target.size:
            raise Damaged("a numpy array has no bytes")
        filled = np.frombuffer(data, _plain(dtype)).reshape(shape, order="F" if fortran else "C")
        target.__setstate__((1, filled.shape, dtype, bool(fortran), data))  # type: ignore[arg-type]  # numpy's own form
    elif f"{type(target).__module__}.{type(target).__qualname__}" in _GRANTED:
        _restore(target, state)
    elif isinstance(target, (collections.OrderedDict, argparse.Namespace, types.SimpleNamespace)):
        _attributes(target, state)
    else:
        raise Damaged(f"its pickle gives a state to a {type(target).__name__}")


# -- classes that the user allows -----------------------------------------------------------------


def _granted(name: str, value: Any) -> Known:
    return Known(name, value, (lambda *args: value.__new__(value, *args)) if isinstance(value, type) else None)


def _restore(target: Any, state: Any) -> None:
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    plain, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
    target.__dict__.update(plain or {})
    for key, value in (slots or {}).items():
        setattr(target, key, value)


def add_safe_globals(safe_globals: list[Any]) -> None:
    """Allow files to name these classes and functions: each is called as a file says, so allow what you trust.

    An entry is a class or function, or a pair of it and the name that files have for it.
    """
    for item in safe_globals:
        value, name = item if isinstance(item, tuple) else (item, f"{item.__module__}.{item.__qualname__}")
        _GRANTED[name] = value


def get_safe_globals() -> list[Any]:
    """What `add_safe_globals` has allowed."""
    return list(_GRANTED.values())


def clear_safe_globals() -> None:
    """Allow nothing more than the data of checkpoints."""
    _GRANTED.clear()


@contextmanager
def _within(allowed: list[Any]) -> Iterator[None]:
    before = dict(_GRANTED)
    add_safe_globals(allowed)
    try:
        yield
    finally:
        _GRANTED.clear()
        _GRANTED.update(before)


def safe_globals(safe_globals: list[Any]) -> Any:
    """`add_safe_globals` inside a `with` block only."""
    return _within(safe_globals)
