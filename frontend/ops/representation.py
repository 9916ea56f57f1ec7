"""Floating-point numbers taken apart and counted: frexp and nextafter."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from .. import dtypes
from ..errors import DTypeError
from ..opdef import Sample, Spec, operator
from ._names import function
from ._samples import floats
from ._shapes import pointwise, promote_arrays
from .pointwise import TENSORS, eq, exp2, mul, to_dtype, where


class Frexp(NamedTuple):
    """What `frexp` returns."""

    mantissa: Any
    exponent: Any


def _floating(x: Any) -> None:
    if not x.dtype.is_floating_point:
        raise DTypeError(f"frexp of {x.dtype}: only floating-point tensors; use x.float()")


def _exponent_shape(x: Any) -> Spec:
    _floating(x)
    return Spec(tuple(x.shape), dtypes.int32)


def _wide(x: Any) -> Any:
    return x.astype(np.float32) if x.dtype.kind == "V" else x  # bfloat16 has no ufunc of these


_exponent = operator(
    "frexp_exponent(Tensor self) -> Tensor", "The exponent of `frexp`.", shape=_exponent_shape, differentiable=False,
    eager=lambda xp, x: np.frexp(_wide(x))[1].astype(np.int32), samples=lambda: [Sample((floats(2, 3),))],
)  # fmt: skip


@function(method=True)
def frexp(self: Any) -> Frexp:
    """Mantissa and exponent: x is mantissa * 2^exponent with 0.5 <= |mantissa| < 1; both 0 for 0.

    >>> import pappus as pp
    >>> pp.frexp(pp.tensor([12.0, -0.25]))
    Frexp(mantissa=tensor([ 0.7500, -0.5000]), exponent=tensor([ 4, -1], dtype=pappus.int32))
    """
    exponent = _exponent(self)
    half = exponent // 2  # in two steps, none of which overflows
    wide = self if self.dtype is dtypes.float64 else to_dtype(self, dtypes.float32)
    scaled = mul(mul(wide, exp2(to_dtype(-half, wide.dtype))), exp2(to_dtype(half - exponent, wide.dtype)))
    return Frexp(to_dtype(scaled, self.dtype), exponent)


def _nextafter_shape(a: Any, b: Any) -> Spec:
    spec = pointwise(a, b)
    if not spec.dtype.is_floating_point:
        raise DTypeError(f"nextafter of {a.dtype} and {b.dtype}: only floating-point tensors; use x.float()")
    return spec


def _nextafter_kernel(xp: Any, a: Any, b: Any) -> Any:
    a, b = promote_arrays(a, b)
    if a.dtype.kind != "V":
        return np.nextafter(a, b)
    # A bfloat16 is the upper half of a float32: its neighbours are the bit patterns beside it.
    a, b = np.broadcast_arrays(a, b)
    bits, x, y = np.ascontiguousarray(a).view(np.int16).reshape(a.shape), _wide(a), _wide(b)
    away = np.where((y > x) == (x > 0), 1, -1).astype(np.int16)
    moved = np.where(x == 0, np.where(y > 0, 1, -0x7FFF), bits + away).astype(np.int16).view(a.dtype)
    return np.where(np.isnan(x) | np.isnan(y), np.array(np.nan, a.dtype), np.where(x == y, b, moved))


nextafter = operator(
    f"nextafter({TENSORS}) -> Tensor", "The next number of the type after the first operand towards the second.",
    shape=_nextafter_shape, eager=_nextafter_kernel, tags=("inplace",),
    vjp=lambda g, _out, a, b: (where(eq(a, b), 0.0, g), g * 0),
    samples=lambda: [Sample((floats(2, 3), floats(3, seed=2)))],
)  # fmt: skip
