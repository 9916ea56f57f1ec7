"""Elements converted to another type: numbers that do not fit are rounded, cut or saturated as PyTorch does it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import DType
from ..errors import ShapeError
from ..opdef import Sample, Spec, operator
from ._samples import floats, ints


def _recast(x: Any, dtype: DType) -> Any:
    """To or from a storage type. Numbers too large for float8_e4m3fn become its largest, as in PyTorch; the other types
    have an infinity or a nan for them. Integers keep their lowest bits."""
    source = dtypes.from_numpy_dtype(x.dtype)
    if source.is_storage:
        x = x.view(source.values).astype(np.float32 if source.is_floating_point else np.int8)
    if not dtype.is_storage:
        return x if x.dtype == dtype.numpy else _cast_kernel(np, x, dtype)
    if not dtype.is_floating_point:
        bits = _cast_kernel(np, x, dtypes.int64) & 15
        return np.where(bits > 7, bits - 16, bits).astype(dtype.values).view(dtype.numpy) if dtype.is_signed else (
            bits.astype(dtype.values).view(dtype.numpy))  # fmt: skip
    x = _cast_kernel(np, x, dtypes.float32)
    if dtype is dtypes.float8_e4m3fn:
        x = np.clip(x, -448.0, 448.0)
    return np.asarray(x.astype(dtype.values)).view(dtype.numpy)


def _cast_kernel(xp: Any, x: Any, dtype: DType) -> Any:
    target = dtype.numpy
    if target.names or x.dtype.names:
        return _recast(x, dtype)
    if x.dtype.kind == "c" and target.kind not in "cb":
        x = x.real  # the imaginary part is dropped, as in PyTorch
    if (target.kind == "V" and x.dtype.kind in "iub") or (x.dtype.kind == "V" and target.kind in "iu"):
        return x.astype(np.float32).astype(target)
    if x.dtype.kind == "f" and target.kind == "u":
        return x.astype(np.int64).astype(target)
    return x.astype(target)


to_dtype = operator(
    "to_dtype(Tensor self, dtype dtype) -> Tensor", "The elements converted to another type.",
    shape=lambda x, dtype: Spec(tuple(x.shape), dtype), eager=_cast_kernel, check=False,
    vjp=lambda g, _out, _x, dtype: (g,), tags=("pointwise",), complex="own", storage=True,
    samples=lambda: [Sample((floats(2, 3), dtypes.float64)), Sample((ints(4), dtypes.float64))],
)  # fmt: skip


def _view_spec(x: Any, dtype: DType) -> Spec:
    a, b = x.dtype.itemsize, dtype.itemsize
    if a == b:
        return Spec(tuple(x.shape), dtype)
    if not x.shape:
        raise ShapeError(f"view of a 0-d {x.dtype} tensor as {dtype}: types of {a} and {b} bytes; use unsqueeze(0)")
    if b > a and x.shape[-1] % (b // a):
        raise ShapeError(
            f"view of {list(x.shape)} as {dtype}: the last dimension must be a multiple of {b // a}, elements having "
            f"{b} bytes instead of {a}"
        )
    last = x.shape[-1] * (a // b) if a > b else x.shape[-1] // (b // a)
    return Spec((*x.shape[:-1], last), dtype)


def _view_kernel(xp: Any, x: Any, dtype: DType) -> Any:
    if x.dtype.itemsize != dtype.itemsize and x.strides[-1] != x.dtype.itemsize:
        raise ShapeError(f"view as {dtype}: the last dimension must be contiguous; call .contiguous() first")
    return x.view(dtype.numpy)


view_as_type: Callable[..., Any] = operator(
    "view_as_type(Tensor self, dtype dtype) -> Tensor",
    "The same bytes as elements of another type; where its size differs, the last dimension does.",
    shape=_view_spec, eager=_view_kernel, view=True, complex="own", storage=True, differentiable=False,
    write=lambda base, new, dtype: view_as_type(new, base.dtype),
    samples=lambda: [
        Sample((floats(2, 4), dtypes.int64)), Sample((floats(2, 3), dtypes.uint8)), Sample((ints(2, 4), dtypes.int32)),
    ],
)  # fmt: skip
