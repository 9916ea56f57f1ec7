"""Tensors from nothing and from Python data: full, arange, eye, linspace, `tensor`, `from_numpy` and their
relatives."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import dtypes
from ..device import move
from ..dtypes import DType, as_dtype, get_default_dtype
from ..errors import ArgumentError, DTypeError
from ..opdef import Sample, Spec, operator
from ..symbolic import SymInt
from ..tensor import Tensor
from ._names import function
from .pointwise import to_dtype


def _full_dtype(value: Any, dtype: DType | None) -> DType:
    return dtype or dtypes.of_value(value)


def _full_kernel(xp: Any, size: Any, fill_value: Any, dtype: Any) -> Any:
    found = _full_dtype(fill_value, dtype)
    if isinstance(fill_value, complex) and not found.is_complex:
        raise DTypeError(f"the complex number {fill_value} is not a value of {found}")
    if found.is_storage:
        return np.full(size, to_dtype(Tensor._from_data(np.asarray(fill_value)), found)._data)
    return np.full(size, fill_value, found.numpy)


_full = operator(
    "full(int[] size, Scalar fill_value, *, dtype? dtype=None) -> Tensor", "A tensor filled with one number.",
    shape=lambda size, fill_value, dtype=None: Spec(tuple(size), _full_dtype(fill_value, dtype)),
    eager=_full_kernel, check=False, differentiable=False, complex="own", storage=True,
    samples=lambda: [Sample(((2, 3), 1.5)), Sample(((2,), 7))],
)  # fmt: skip


def _arange_dtype(start: Any, end: Any, step: Any, dtype: DType | None) -> DType:
    if dtype is not None:
        return dtype
    return get_default_dtype() if any(isinstance(v, float) for v in (start, end, step)) else dtypes.int64


def _whole(dtype: Any, *numbers: Any) -> tuple[Any, ...]:
    """Bounds as int64 results use them: without their fractions."""
    return tuple(int(n) if isinstance(n, float) else n for n in numbers) if dtype is dtypes.int64 else numbers


def _arange_shape(start: Any, end: Any, step: Any = 1, *, dtype: Any = None) -> Spec:
    for what, number in (("start", start), ("end", end), ("step", step)):
        if isinstance(number, float) and not math.isfinite(number):
            raise ArgumentError(f"arange: {what} must be finite, got {number}")
    start, end, step = _whole(dtype, start, end, step)
    if not isinstance(step, SymInt) and step == 0:
        raise ArgumentError("arange: step must not be 0" + (", and is without its fraction" if dtype else ""))
    if all(isinstance(n, (int, float)) for n in (start, end, step)) and (end - start) * step < 0:
        raise ArgumentError(f"arange: step {step} leads away from end {end} when starting at {start}")
    if any(isinstance(v, float) for v in (start, end, step)):
        count: Any = math.ceil((end - start) / step)
    elif isinstance(step, int) and step < 0:
        count = (start - end - step - 1) // -step
    else:
        count = (end - start + step - 1) // step
    return Spec((count,), _arange_dtype(start, end, step, dtype))


def _arange_kernel(xp: Any, start: Any, end: Any, step: Any, dtype: Any) -> Any:
    spec = _arange_shape(start, end, step, dtype=dtype)
    start, end, step = _whole(dtype, start, end, step)
    if spec.dtype.is_floating_point:
        return (start + np.arange(spec.shape[0], dtype=np.float64) * step).astype(spec.dtype.numpy)
    return (start + np.arange(spec.shape[0]) * step).astype(spec.dtype.numpy)


_arange = operator(
    "arange(Scalar start, Scalar end, Scalar step=1, *, dtype? dtype=None) -> Tensor",
    "start, start + step ... before end.",
    shape=_arange_shape,
    eager=_arange_kernel,
    check=False,
    differentiable=False,
    samples=lambda: [Sample((0, 5)), Sample((1, 9, 3)), Sample((0.0, 1.0, 0.25)), Sample((5, 0, -2))],
)


def _finish(out: Any, requires_grad: bool) -> Any:
    if requires_grad:
        out.requires_grad = True
    return out


def sizes(args: tuple[Any, ...]) -> tuple[Any, ...]:
    """A shape given as several ints or as one sequence."""
    if len(args) == 1 and isinstance(args[0], (list, tuple)):
        return tuple(args[0])
    return args


@function()
def full(
    size: Any,
    fill_value: Any,
    *,
    dtype: Any = None,
    requires_grad: bool = False,
    device: Any = None,
    layout: Any = None,
) -> Any:
    """A tensor of shape `size` filled with `fill_value`; its type is that of the number unless given."""
    return _finish(_full(size, fill_value, dtype=dtype), requires_grad)


@function()
def zeros(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, layout: Any = None) -> Any:
    """Zeros of the given shape, float32 unless `dtype` says otherwise.

    >>> import pappus as pp
    >>> pp.zeros(2, 2)
    tensor([[0., 0.],
            [0., 0.]])
    """
    return _finish(_full(sizes(size), 0, dtype=dtype or get_default_dtype()), requires_grad)


@function()
def ones(*size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, layout: Any = None) -> Any:
    """Ones of the given shape, float32 unless `dtype` says otherwise."""
    return _finish(_full(sizes(size), 1, dtype=dtype or get_default_dtype()), requires_grad)


@function()
def empty(
    *size: Any, dtype: Any = None, requires_grad: bool = False, device: Any = None, layout: Any = None,
    memory_format: Any = None,
) -> Any:  # fmt: skip
    """A tensor to be filled: zeros, because undefined numbers would make runs differ."""
    return _finish(_full(sizes(size), 0, dtype=dtype or get_default_dtype()), requires_grad)


def _like(name: str, value: Any) -> Any:
    def like(
        self: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None, layout: Any = None,
        memory_format: Any = None,
    ) -> Any:  # fmt: skip
        return _finish(_full(tuple(self.shape), value, dtype=dtype or self.dtype), requires_grad)

    like.__name__ = name
    like.__doc__ = f"A tensor of {name.split('_')[0]} with the shape and, unless given, the type of `self`."
    return function()(like)


zeros_like, ones_like, empty_like = _like("zeros_like", 0), _like("ones_like", 1), _like("empty_like", 0)


@function()
def full_like(self: Any, fill_value: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """`fill_value` everywhere, with the shape and, unless given, the type of `self`."""
    return _finish(_full(tuple(self.shape), fill_value, dtype=dtype or self.dtype), requires_grad)


@function()
def arange(
    start: Any, end: Any = None, step: Any = 1, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Any:
    """`start, start + step, ...` before `end`; with one argument, from 0. Integers give int64.

    >>> import pappus as pp
    >>> pp.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        start, end = 0, start
    return _finish(_arange(start, end, step, dtype=dtype), requires_grad)


def _number(value: Any) -> Any:
    """A float, or a complex number where it is one, from a number or a 0-d tensor."""
    value = value.item() if hasattr(value, "item") else value
    return value if isinstance(value, complex) else float(value)


def _converted_to(dtype: Any, array: Any) -> Any:
    """A tensor of `array`, in the default floating-point or complex type unless given."""
    usual = dtypes.default_complex() if array.dtype.kind == "c" else get_default_dtype()
    return to_dtype(Tensor._from_data(array), as_dtype(dtype or usual))


@function()
def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, requires_grad: bool = False, device: Any = None
) -> Any:
    """`steps` evenly spaced numbers from `start` to `end`, both included; for integers, without their fractions."""
    if isinstance(steps, float):
        raise ArgumentError(f"linspace: steps must be an int, got {steps}")
    if steps < 0:
        raise ArgumentError(f"linspace: the number of steps must not be negative, got {steps}")
    low, high = _number(start), _number(end)
    if dtype is not None and as_dtype(dtype).category < 2:
        low, high = math.trunc(low), math.trunc(high)
    # From both ends to the middle, so that the ends are exact and the fractions of integers mirror.
    step = (high - low) / (steps - 1) if steps > 1 else 0.0
    place = np.arange(int(steps))
    data = np.where(place < max(steps // 2, steps == 1), low + step * place, high - step * (steps - 1 - place))
    return _finish(_converted_to(dtype, data), requires_grad)


@function()
def logspace(start: Any, end: Any, steps: int, base: float = 10.0, *, dtype: Any = None, device: Any = None) -> Any:
    """`base` to the power of `steps` evenly spaced numbers from `start` to `end`."""
    return _converted_to(dtype, np.logspace(_number(start), _number(end), int(steps), base=base))


@function()
def eye(n: Any, m: Any = None, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """Ones on the diagonal of an n x m matrix (m defaults to n), zeros elsewhere."""
    m = n if m is None else m
    out = (arange(n).view(n, 1) == arange(m)).to(as_dtype(dtype or get_default_dtype()))
    return _finish(out, requires_grad)


# -- from Python and numpy ------------------------------------------------------------------------


def _array(data: Any, dtype: DType | None) -> Any:
    """A fresh array of `data`, with PyTorch's choice of type: floats take the default one, integers int64."""
    if isinstance(data, Tensor):
        return np.array(_converted(data.detach().cpu()._data, dtype))
    if isinstance(data, (np.ndarray, np.generic)):
        return _converted(np.array(data), dtype)
    if isinstance(data, (list, tuple)) and _has_tensor(data):
        data = _plain(data)
    try:
        array = np.asarray(data)
    except ValueError as error:
        raise ArgumentError(f"tensor(): the nested lists are ragged ({error}); rows must have equal lengths") from None
    if array.dtype == object or array.dtype.kind not in "biufcV":
        raise ArgumentError(
            f"tensor(): cannot make a tensor from {type(data).__name__} with elements of type {array.dtype}"
        )
    if dtype is None and array.dtype.kind == "f" and not isinstance(data, np.ndarray):
        dtype = get_default_dtype()
    if dtype is None and array.dtype.kind == "c":
        dtype = dtypes.default_complex()
    if array.size == 0 and array.dtype.kind == "f":
        dtype = dtype or get_default_dtype()
    if dtype is not None and array.dtype.kind == "c" and not dtype.is_complex:
        raise DTypeError(f"tensor(): complex numbers are not values of {dtype}; take their .real, or .imag, first")
    if dtype is not None and dtype.is_storage:
        return _converted(array, dtype)
    return np.array(array, dtype=None if dtype is None else dtype.numpy)


def _converted(array: Any, dtype: DType | None) -> Any:
    """`array` as one that can be held, with its elements converted. Raises DTypeError for types Pappus lacks."""
    found = dtypes.from_numpy_dtype(array.dtype)
    array = array.view(found.numpy) if found.is_storage else array
    return array if dtype is None else to_dtype(Tensor._from_data(array), dtype)._data


def _has_tensor(data: Sequence[Any]) -> bool:
    return any(isinstance(d, Tensor) or (isinstance(d, (list, tuple)) and _has_tensor(d)) for d in data)


def _plain(data: Any) -> Any:
    if isinstance(data, Tensor):
        return data.tolist()
    return [_plain(d) for d in data] if isinstance(data, (list, tuple)) else data


@function()
def tensor(data: Any, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """A tensor holding a copy of `data`: a number, nested lists, or an array.

    Python floats give the default type (float32), ints int64, bools bool; numpy arrays keep their type.

    >>> import pappus as pp
    >>> pp.tensor([[1.0, 2.0], [3.0, 4.0]]).shape
    pappus.Size([2, 2])
    """
    out = Tensor._from_data(_array(data, None if dtype is None else as_dtype(dtype)))
    return _finish(out, requires_grad)


@function()
def as_tensor(data: Any, *, dtype: Any = None, device: Any = None) -> Any:
    """A tensor of `data`, sharing memory with it where it is a tensor or an array of the right type."""
    if isinstance(data, Tensor):
        return data if dtype is None or data.dtype is as_dtype(dtype) else data.to(as_dtype(dtype))
    if isinstance(data, np.ndarray):
        out = from_numpy(data)
        return out if dtype is None or out.dtype is as_dtype(dtype) else out.to(as_dtype(dtype))
    return tensor(data, dtype=dtype)


@function()
def from_numpy(array: Any) -> Any:
    """A tensor that shares memory with a numpy array. Raises DTypeError for types Pappus lacks.

    >>> import numpy as np, pappus as pp
    >>> a = np.zeros(2, np.float32)
    >>> t = pp.from_numpy(a); a[0] = 5
    >>> t
    tensor([5., 0.])
    """
    if not isinstance(array, np.ndarray):
        raise ArgumentError(f"from_numpy expects a numpy array, got {type(array).__name__}; use pappus.tensor(...)")
    if array.dtype.byteorder == ">":
        array = array.astype(array.dtype.newbyteorder("="))
    found = dtypes.from_numpy_dtype(array.dtype)
    return Tensor._from_data(np.asarray(array).view(found.numpy) if found.is_storage else np.asarray(array))


@function()
def scalar_tensor(
    s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A 0-d tensor of a number, of the default floating-point type unless given."""
    return tensor(s, dtype=dtype or get_default_dtype(), requires_grad=requires_grad)


@function()
def zero_(input: Any) -> Any:
    """Every element of a tensor set to zero, in place."""
    return input.zero_()


@function()
def fill_(input: Any, value: Any) -> Any:
    """Every element of a tensor set to one number, in place."""
    return input.fill_(value)


def _typed(name: str, dtype: DType) -> Any:
    def make(*data: Any) -> Any:
        if len(data) == 1 and not isinstance(data[0], int):
            return tensor(data[0], dtype=dtype)
        return zeros(*data, dtype=dtype)

    make.__name__ = name
    make.__doc__ = (
        f"PyTorch's old constructor: a {dtype.name} tensor of data, or (zeros here) of a shape given as ints."
    )
    return function()(make)


FloatTensor, DoubleTensor = _typed("FloatTensor", dtypes.float32), _typed("DoubleTensor", dtypes.float64)
HalfTensor, BFloat16Tensor = _typed("HalfTensor", dtypes.float16), _typed("BFloat16Tensor", dtypes.bfloat16)
LongTensor, IntTensor = _typed("LongTensor", dtypes.int64), _typed("IntTensor", dtypes.int32)
ShortTensor, CharTensor = _typed("ShortTensor", dtypes.int16), _typed("CharTensor", dtypes.int8)
ByteTensor, BoolTensor = _typed("ByteTensor", dtypes.uint8), _typed("BoolTensor", dtypes.bool_)


to_device: Any = operator(
    "to_device(Tensor self, str device, str source) -> Tensor",
    "A copy on another device: `x.to(device)`. `source` is where the tensor is, for the gradient.",
    shape=lambda x, device, source: Spec(tuple(x.shape), x.dtype),
    eager=lambda xp, x, device, source: move(x, device) if device != source else x.copy(),
    vjp=lambda g, _out, _x, device, source: to_device(g, source, device),
    decompose=lambda x, device, source: x.clone(),
    check=False,
    samples=lambda: [Sample((Tensor._from_data(np.arange(6.0).reshape(2, 3)), "cpu", "cpu"))],
)
