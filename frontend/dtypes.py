"""Data types, and the promotion rules that decide the type of a result."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import ml_dtypes
import numpy as np

from .errors import DTypeError

__all__ = [
    "ALL", "STORAGE", "DType", "bfloat16", "bool_", "can_cast", "cdouble", "cfloat", "complex128", "complex64",
    "double", "finfo", "float16", "float32", "float64", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2",
    "float8_e5m2fnuz",
    "float_of", "from_numpy_dtype", "get_default_dtype", "half", "iinfo", "int16", "int32", "int4", "int64", "int8",
    "long", "of_value", "promote_types", "result_type", "set_default_dtype", "uint16", "uint32", "uint4", "uint64",
    "uint8",
]  # fmt: skip


class DType:
    """The type of a tensor's elements; one object per type, so `is` and `==` agree.

    Attributes: `name`, `itemsize` in bytes, `numpy` (the dtype of the arrays that hold elements), `kind` ("bool",
    "int", "uint", "float" or "complex"), `is_floating_point`, `is_complex`, `is_signed`, `category` (0 bool, 1 integer,
    2 floating point, 3 complex), `differentiable` (whether tensors of it can have a gradient), `is_storage`, `values`.

    A storage type (float8, int4) only stores numbers: no operator computes on it. Its arrays are records of one byte,
    on which numpy has no arithmetic either; `values` is the numpy dtype (of ml_dtypes) that reads the bytes as numbers.
    """

    __slots__ = (
        "category", "differentiable", "is_complex", "is_floating_point", "is_signed", "is_storage", "itemsize", "kind",
        "name", "numpy", "values",
    )  # fmt: skip

    def __init__(self, name: str, numpy: Any, kind: str, storage: bool = False) -> None:
        self.name = name
        self.values: np.dtype[Any] = np.dtype(numpy)
        self.numpy: np.dtype[Any] = np.dtype([(name, np.uint8)]) if storage else self.values
        self.itemsize: int = self.numpy.itemsize
        self.kind = kind
        self.is_floating_point = kind == "float"
        self.is_complex = kind == "complex"
        self.is_signed = kind in ("int", "float", "complex")
        self.is_storage = storage
        self.category = {"bool": 0, "int": 1, "uint": 1, "float": 2, "complex": 3}[kind]
        self.differentiable = self.category > 1 and not storage

    def to_real(self) -> DType:
        """The type of the real part of a complex type; any other type is itself."""
        return _REAL.get(self, self)

    def to_complex(self) -> DType:
        """The complex type whose parts have this type. Raises DTypeError where there is none."""
        found = self if self.is_complex else _COMPLEX.get(self)
        if found is None:
            raise DTypeError(f"no complex type has parts of type {self}; convert first, e.g. with .to(pappus.float32)")
        return found

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
complex64 = DType("complex64", np.complex64, "complex")
complex128 = DType("complex128", np.complex128, "complex")
float8_e4m3fn = DType("float8_e4m3fn", ml_dtypes.float8_e4m3fn, "float", storage=True)
float8_e5m2 = DType("float8_e5m2", ml_dtypes.float8_e5m2, "float", storage=True)
float8_e4m3fnuz = DType("float8_e4m3fnuz", ml_dtypes.float8_e4m3fnuz, "float", storage=True)
float8_e5m2fnuz = DType("float8_e5m2fnuz", ml_dtypes.float8_e5m2fnuz, "float", storage=True)
int4 = DType("int4", ml_dtypes.int4, "int", storage=True)
uint4 = DType("uint4", ml_dtypes.uint4, "uint", storage=True)

ALL: tuple[DType, ...] = (
    bool_, uint8, uint16, uint32, uint64, int8, int16, int32, int64, float16, bfloat16, float32, float64, complex64,
    complex128,
)  # fmt: skip
STORAGE: tuple[DType, ...] = (float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, int4, uint4)
half, double, long, cfloat, cdouble = float16, float64, int64, complex64, complex128
BY_NAME: dict[str, DType] = {d.name: d for d in (*ALL, *STORAGE)}
ALIASES: dict[str, DType] = {
    "half": float16, "float": float32, "double": float64, "short": int16, "int": int32, "long": int64,
    "cfloat": complex64, "cdouble": complex128,
}  # fmt: skip
_FROM_NUMPY: dict[Any, DType] = {d.numpy: d for d in (*ALL, *STORAGE)} | {d.values: d for d in STORAGE}
_REAL: dict[DType, DType] = {complex64: float32, complex128: float64}
_COMPLEX: dict[DType, DType] = {float32: complex64, float64: complex128, bfloat16: complex64}

_default = float32


def get_default_dtype() -> DType:
    """The floating-point type given to Python floats and to results of integer division; float32 at first."""
    return _default


def set_default_dtype(dtype: DType) -> None:
    """Set the default floating-point type. Raises DTypeError for a type that is not floating point."""
    global _default
    if not dtype.is_floating_point or dtype.is_storage:
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
    if value is complex:
        return default_complex()
    return from_numpy_dtype(np.dtype(value))


def default_complex() -> DType:
    """The complex type given to Python's complex numbers: complex64 unless the default type is float64."""
    return complex128 if _default is float64 else complex64


def of_value(value: Any) -> DType:
    """The DType a Python number stands for: bool, int64, the default floating-point or the default complex type."""
    if isinstance(value, (bool, np.bool_)):
        return bool_
    if isinstance(value, (float, np.floating)):
        return _default
    return default_complex() if isinstance(value, (complex, np.complexfloating)) else int64


def float_of(dtype: DType) -> DType:
    """The type floating-point operators compute in: `dtype` itself, or the default for integers and bools."""
    return dtype if dtype.category > 1 else _default


def stores_only(dtype: DType) -> str:
    """What error messages say of a storage type that was to be computed with, and the way out."""
    wide = "float32" if dtype.is_floating_point else "int32"
    return f"{dtype.name} only stores numbers; convert first, with .to(pappus.{wide})"


_INT_RANK = {"bool": 0, "int8": 1, "int16": 2, "int32": 3, "int64": 4}


def _promote(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if a.is_storage or b.is_storage:
        raise DTypeError(f"no common type for {a.name} and {b.name}: {stores_only(a if a.is_storage else b)}")
    if 3 in (a.category, b.category):
        return complex128 if {a, b} & {float64, complex128} else complex64
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
    if higher.category > 1:
        return higher.to_complex() if lower.is_complex else higher
    if higher is bool_ or lower.category > 1:
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
    """Whether an in-place result of type `source` may be stored as `target`: never complex to float, float to int or
    int to bool.

    >>> import pappus as pp
    >>> pp.can_cast(pp.float32, pp.int64)
    False
    """
    return source.category <= target.category


class finfo:
    """Limits of a floating-point type, or of the parts of a complex one: `min`, `max`, `eps`, `tiny`, `bits`, `dtype`,
    `smallest_normal`, `resolution`."""

    def __init__(self, dtype: DType | None = None) -> None:
        dtype = (dtype or _default).to_real()
        if not dtype.is_floating_point:
            raise DTypeError(f"finfo: {dtype} is not a floating-point type; use iinfo")
        info: Any = ml_dtypes.finfo(dtype.values)  # type: ignore[no-untyped-call]
        self.dtype, self.bits = dtype.name, dtype.itemsize * 8
        self.min, self.max, self.eps = float(info.min), float(info.max), float(info.eps)
        self.tiny = self.smallest_normal = float(info.tiny)
        self.resolution = float(f"1e-{int(info.nmant * math.log10(2))}")  # the decimal digits that always survive


class iinfo:
    """Limits of an integer type: `min`, `max`, `bits`, `dtype`."""

    def __init__(self, dtype: DType) -> None:
        if dtype.category != 1:
            raise DTypeError(f"iinfo: {dtype} is not an integer type; use finfo")
        info: Any = (ml_dtypes.iinfo if dtype.is_storage else np.iinfo)(dtype.values)
        self.dtype, self.bits, self.min, self.max = dtype.name, info.bits, int(info.min), int(info.max)
