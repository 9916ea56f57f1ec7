"""A library of arrays that behaves as CuPy does: numpy's ufuncs and functions give way to it (`__array_ufunc__`,
`__array_function__`), but an array never becomes numpy's by itself, and the two do not mix."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np


class FakeDevice:
    """Which GPU an array is on."""

    def __init__(self, number: int) -> None:
        self.id = number


class OtherArray:
    """An array of `OtherNumpy`."""

    __hash__ = None  # type: ignore[assignment]
    __array_priority__ = 100

    def __init__(self, inside: Any) -> None:
        self.inside = np.asarray(inside)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **kwargs: Any) -> Any:
        refuse_numpy(ufunc.__name__, (*inputs, *kwargs.get("out", ())))
        found = getattr(ufunc, method)(*unwrap(inputs), **unwrap(kwargs))
        out = kwargs.get("out")
        return out[0] if out and len(out) == 1 else wrap(found)

    def __array_function__(self, function: Any, types: Any, args: Any, kwargs: Any) -> Any:
        refuse_numpy(function.__name__, (*args, *kwargs.values()))
        if function in (np.may_share_memory, np.shares_memory, np.copyto, np.put_along_axis):
            return function(*unwrap(args), **unwrap(kwargs))
        return wrap(function(*unwrap(args), **unwrap(kwargs)))

    device = FakeDevice(0)

    @property
    def base(self) -> Any:
        """The array whose memory this one shows."""
        return None if self.inside.base is None else OtherArray(self.inside.base)

    @property
    def flags(self) -> Any:
        """Without `writeable`, as CuPy's."""
        found = self.inside.flags
        return SimpleNamespace(c_contiguous=found.c_contiguous, f_contiguous=found.f_contiguous, owndata=found.owndata)

    def __len__(self) -> int:
        return len(self.inside)

    def __bool__(self) -> bool:
        return bool(self.inside)

    def __int__(self) -> int:
        return int(self.inside)

    def __float__(self) -> float:
        return float(self.inside)

    def __index__(self) -> int:
        return self.inside.__index__()

    def __iter__(self) -> Any:
        return (OtherArray(part) for part in self.inside)

    def __getitem__(self, at: Any) -> Any:
        return OtherArray(self.inside[unwrap(at)])

    def __setitem__(self, at: Any, value: Any) -> None:
        refuse_numpy("__setitem__", (value,))
        self.inside[unwrap(at)] = unwrap(value)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return wrap(getattr(self.inside, name))

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "inside":
            object.__setattr__(self, name, value)
        else:
            setattr(self.inside, name, unwrap(value))


def refuse_numpy(name: str, values: Any) -> None:
    """CuPy takes Python's and numpy's scalars next to its arrays, but none of numpy's arrays."""
    for value in values:
        if isinstance(value, np.ndarray):
            raise TypeError(f"{name}: unsupported type numpy.ndarray next to an array of another library")
        if isinstance(value, (tuple, list)):
            refuse_numpy(name, value)


def _operator(name: str) -> Callable[..., Any]:
    def run(self: OtherArray, *others: Any) -> Any:
        refuse_numpy(name, others)
        found = getattr(self.inside, name)(*map(unwrap, others))
        if found is NotImplemented:
            return found
        return self if name.startswith("__i") and name != "__invert__" else OtherArray(found)

    return run


OPERATORS = ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor", "lshift", "rshift")
for _base in OPERATORS:
    for _kind in ("", "r", "i"):
        setattr(OtherArray, f"__{_kind}{_base}__", _operator(f"__{_kind}{_base}__"))
for _base in ("lt", "le", "gt", "ge", "eq", "ne", "neg", "pos", "abs", "invert"):
    setattr(OtherArray, f"__{_base}__", _operator(f"__{_base}__"))


def wrap(value: Any) -> Any:
    """numpy's arrays and functions as this library's."""
    if isinstance(value, (np.ndarray, np.generic)):
        return OtherArray(value)
    if isinstance(value, (tuple, list)):
        return type(value)(*map(wrap, value)) if hasattr(value, "_fields") else type(value)(map(wrap, value))
    if isinstance(value, (type, np.dtype)) or not callable(value):
        return OtherNumpy(value) if isinstance(value, ModuleType) else value
    return lambda *args, **kwargs: wrap(value(*unwrap(args), **unwrap(kwargs)))


def unwrap(value: Any) -> Any:
    """The other way."""
    if isinstance(value, OtherArray):
        return value.inside
    if isinstance(value, (tuple, list)):
        return type(value)(map(unwrap, value))
    return {k: unwrap(v) for k, v in value.items()} if isinstance(value, dict) else value


class OtherNumpy:
    """numpy's namespace with functions that take and give `OtherArray`."""

    ndarray = OtherArray

    def __init__(self, module: Any = np) -> None:
        self._module = module

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._module, name)
        if isinstance(found, np.ufunc):
            return _Ufunc(found)
        return found if isinstance(found, type) else wrap(found)


class _Ufunc:
    """A ufunc with its methods (`reduce`, `at`)."""

    def __init__(self, inside: Any) -> None:
        self._inside = inside

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return wrap(self._inside(*unwrap(args), **unwrap(kwargs)))

    def __getattr__(self, name: str) -> Any:
        return wrap(getattr(self._inside, name))


class FakeCuPy(OtherNumpy):
    """What Pappus uses of the module `cupy`, with one GPU."""

    class cuda:
        """Devices."""

        class runtime:
            """The driver."""

            @staticmethod
            def getDeviceCount() -> int:
                """One."""
                return 1

        class Device:
            """A context in which arrays are made on the GPU of a number."""

            def __init__(self, number: int) -> None:
                self.id = number

            def __enter__(self) -> Any:
                return self

            def __exit__(self, *exc: Any) -> None:
                return None

    @staticmethod
    def asarray(value: Any, dtype: Any = None) -> OtherArray:
        """A copy on the GPU."""
        return OtherArray(np.array(unwrap(value), dtype=dtype))

    @staticmethod
    def asnumpy(array: OtherArray) -> Any:
        """A copy on the host."""
        return array.inside.copy()
