"""Data types, and the promotion rules that decide the type of a result."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from .errors import DTypeError

__all__ = [
    "ALL", "DType", "bfloat16", "bool_", "can_cast", "double", "finfo", "float16", "float32", "float64",
    "float_of", "from_numpy_dtype", "get_default_dtype", "half", "iinfo", "int16", "int32", "int64", "int8", "long",
    "of_value", "promote_types", "result_type", "set_default_dtype", "uint16", "uint32", "uint64", "uint8",
]  # fmt: skip


class DType:
    """The type of a tensor's elements; one object per type, so `is` and `==` agree.

    Attributes: `name`, `itemsize` in bytes, `numpy` (the numpy dtype), `kind` ("bool", "int", "uint" or "float"),
    `is_floating_point`, `is_signed`, `category` (0 bool, 1 integer, 2 floating point).
    """

    __slots__ = ("category", "is_floating_point", "is_signed", "itemsize", "kind", "name", "numpy")

    def __init__(self, name: str, numpy: Any, kind: str) -> None:
        self.name = name
        self.numpy: np.dtype[Any] = np.dtype(numpy)
        self.itemsize: int = self.numpy.itemsize
        self.kind = kind
        self.is_floating_point = kind == "float"
        self.is_signed = kind in ("int", "float")
        self.category = {"bool": 0, "int": 1, "uint": 1, "float": 2}[kind]

    @property
    def is_complex(self) -> bool:
        """Always false: complex tensors are not part of Pappus."""
        return False

    def __repr__(self) -> str:
        return f"pappus.{self.name}"

    def __reduce__(self) -> tuple[Any, ...]:
        return _by_name, (self.name,)


def _by_name(name: str) -> DType:
    return BY_NAME[name]


bool_ = DType("bool", np.bool_, "bool")
uint8 = DType("uint8", np.uint8, "uint")
uint16 = DType("uint16", np.uint16, "uint")
uint32 = DType("uint32", np.uint32, "uint")
uint64 = DType("uint64", np.uint64, "uint")
int8 = DType("int8", np.int8, "int")
int16 = DType("int16", np.int16, "int")
int32 = DType("int32", np.int32, "int")
int64 = DType("int64", np.int64, "int")
float16 = DType("float16", np.float16, "float")
bfloat16 = DType("bfloat16", ml_dtypes.bfloat16, "float")
float32 = DType("float32", np.float32, "float")
float64 = DType("float64", np.float64, "float")

ALL: tuple[DType, ...] = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32, float64,
)  # fmt: skip
half, double, long = float16, float64, int64
BY_NAME: dict[str, DType] = {d.name: d for d in ALL}
ALIASES: dict[str, DType] = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64,
}  # fmt: skip
_FROM_NUMPY: dict[Any, DType] = {d.numpy: d for d in ALL}

_default = float32


def get_default_dtype() -> DType:
    """The floating-point type given to Python floats and to results of integer division; float32 at first."""
    return _default


def set_default_dtype(dtype: DType) -> None:
    """Set the default floating-point type. Raises DTypeError for a type that is not floating point."""
    global _default
    if not dtype.is_floating_point:
        raise DTypeError(f"set_default_dtype: got {dtype}; the default must be a floating-point type such as float32")
    _default = dtype


def from_numpy_dtype(dtype: Any) -> DType:
    """The DType of a numpy dtype. Raises DTypeError where Pappus has no such type."""
    found = _FROM_NUMPY.get(dtype)
    if found is None:
        found = _FROM_NUMPY.get(np.dtype(dtype).newbyteorder("="))
    if found is None:
        raise DTypeError(
            f"no Pappus dtype for numpy dtype {dtype}; convert the array first, e.g. with array.astype('float32')"
        )
    return found


def as_dtype(value: Any) -> DType:
    """A DType from a DType, a name, a Python type or a numpy dtype."""
    if isinstance(value, DType):
        return value
    if isinstance(value, str):
        found = BY_NAME.get(value) or ALIASES.get(value)
        if found is None:
            raise DTypeError(f"unknown dtype {value!r}; known are {', '.join(BY_NAME)}")
        return found
    if value is bool:
        return bool_
    if value is int:
        return int64
    if value is float:
        return _default
    return from_numpy_dtype(np.dtype(value))


def of_value(value: Any) -> DType:
    """The DType a Python number stands for: bool, int64, or the default floating-point type."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (float, np.floating)):
        return _default
    return int64


def float_of(dtype: DType) -> DType:
    """The type floating-point operators compute in: `dtype` itself, or the default for integers and bools."""
    return dtype if dtype.is_floating_point else _default


_INT_RANK = {"bool": 0, "int8": 1, "int16": 2, "int32": 3, "int64": 4}


def _promote(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if a.category != b.category and 2 in (a.category, b.category):
        return a if a.category == 2 else b
    if a.category == 2:
        if a.itemsize == b.itemsize:  # float16 with bfloat16
            return float32
        return a if a.itemsize > b.itemsize else b
    if a is bool_ or b is bool_:
        return b if a is bool_ else a
    wide = [d for d in (a, b) if d.kind == "uint" and d.itemsize > 1]
    if wide:
        raise DTypeError(
            f"no common type for {a.name} and {b.name}: {wide[0].name} does not mix with other integer types; "
            "convert one side first, e.g. with .to(pappus.int64)"
        )
    if uint8 in (a, b):
        other = b if a is uint8 else a
        return int16 if other is int8 else other
    return a if _INT_RANK[a.name] > _INT_RANK[b.name] else b


_PROMOTED: dict[tuple[DType, DType], DType] = {}


def promote_types(a: DType, b: DType) -> DType:
    """The smallest type both types convert to, as in PyTorch: int64 with float16 is float16.

    >>> import pappus as pp
    >>> pp.promote_types(pp.uint8, pp.int8)
    pappus.int16
    """
    key = (a, b)
    found = _PROMOTED.get(key)
    if found is None:
        found = _PROMOTED[key] = _promote(a, b)
    return found


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    """Tensors with dimensions outrank 0-d tensors, which outrank numbers, unless the lower one is of a higher kind."""
    if higher is None or lower is None:
        return higher or lower
    if higher.is_floating_point:
        return higher
    if higher is bool_ or lower.is_floating_point:
        return promote_types(higher, lower)
    return higher


def result_type(items: Iterable[tuple[DType, int, bool]]) -> DType:
    """The result type of operands given as (dtype, number of dimensions, is a Python number)."""
    ranks: list[DType | None] = [None, None, None]
    for dtype, ndim, wrapped in items:
        at = 2 if wrapped else (0 if ndim else 1)
        known = ranks[at]
        ranks[at] = dtype if known is None else promote_types(known, dtype)
    found = _combine(ranks[0], _combine(ranks[1], ranks[2]))
    if found is None:
        raise DTypeError("result_type needs at least one operand")
    return found


def can_cast(source: DType, target: DType) -> bool:
    """Whether an in-place result of type `source` may be stored as `target`: never float to int or int to bool.

    >>> import pappus as pp
    >>> pp.can_cast(pp.float32, pp.int64)
    False
    """
    return source.category <= target.category


class finfo:
    """Limits of a floating-point type: `min`, `max`, `eps`, `tiny`, `smallest_normal`, `bits`, `dtype`."""

    def __init__(self, dtype: DType | None = None) -> None:
        dtype = dtype or _default
        if not dtype.is_floating_point:
            raise DTypeError(f"finfo: {dtype} is not a floating-point type; use iinfo")
        info: Any = ml_dtypes.finfo(dtype.numpy)  # type: ignore[no-untyped-call]
        self.dtype, self.bits = dtype.name, dtype.itemsize * 8
        self.min, self.max, self.eps = float(info.min), float(info.max), float(info.eps)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(f"1e-{info.precision}")


class iinfo:
    """Limits of an integer type: `min`, `max`, `bits`, `dtype`."""

    def __init__(self, dtype: DType) -> None:
        if dtype.category != 1:
            raise DTypeError(f"iinfo: {dtype} is not an integer type; use finfo")
        info = np.iinfo(dtype.numpy)
        self.dtype, self.bits, self.min, self.max = dtype.name, info.bits, int(info.min), int(info.max)
