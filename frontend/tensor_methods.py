"""The methods of Tensor that come from operators: one per operator whose first parameter is `self`, and the in-place
ones.

`install` runs once, when pappus.frontend.ops has loaded every operator.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from . import dispatch, dtypes, indexing, tensor_memory
from .device import named
from .dtypes import BY_NAME, DType, as_dtype, can_cast
from .errors import DTypeError
from .fronts import bind_inplace, bind_method, bind_operator
from .inplace import assign
from .opdef import OPS
from .tape import history_of, state
from .tensor import Device, Tensor

__all__ = ["install", "write"]


def write(target: Tensor, value: Tensor, by: str) -> Tensor:
    """Store an out-of-place result in `target`. Raises DTypeError where the type would lose its kind (float to int)."""
    if value.dtype is not target.dtype:
        if not can_cast(value.dtype, target.dtype):
            raise DTypeError(
                f"{by}: the result has type {value.dtype.name} and cannot be stored in place in a "
                f"{target.dtype.name} tensor; "
                f"use the out-of-place operator, or convert first with .to(pappus.{value.dtype.name})"
            ).at(by, dispatch.user_location())
        from . import ops

        value = ops.to_dtype(value, target.dtype)
    assign(target, value, by, update=True)
    return target


def _varargs(front: Callable[..., Any], name: str) -> Callable[..., Any]:
    """`x.view(2, 3)` besides `x.view((2, 3))`."""

    def method(self: Tensor, *items: Any, **kwargs: Any) -> Any:
        if items and not isinstance(items[0], (list, tuple)):
            items = (items,)
        elif not items and not kwargs:
            items = ((),)
        return front(self, *items, **kwargs)

    method.__name__, method.__doc__ = name, front.__doc__
    return method


_ITEMS = """\
if unknown or not {0}: return otherwise(self, *{0}, **unknown)
if type({0}[0]) is not int:
    if type({0}[0]) is not tuple or len({0}) != 1: return otherwise(self, *{0})
    {0} = {0}[0]
"""
_INDEX = """\
if type(index) is not int: return otherwise(self, index)
dim = 0
"""


def _of_items(op: Any, name: str, other: Callable[..., Any]) -> Callable[..., Any]:
    """`other`, which takes its numbers one by one or as one sequence, as one function for ints and for a tuple."""
    items = op.schema.attrs[0].name
    return bind_method(op, name, f"self, *{items}, **unknown", _ITEMS.format(items), other)  # type: ignore[no-any-return]


def _before(x: Tensor, op: Any) -> Tensor:
    """`x` as an in-place operator sees it: where its numbers are needed for the gradient, a copy from before the
    change."""
    if not state.grad or (op is not None and not any(op.keeps)) or x.is_symbolic:
        return x
    old = Tensor._from_data(x._data.copy(), x._requires_grad)
    old._node, old._index = history_of(x), x._index
    if x._requires_grad and x._node is None:
        return x  # a leaf: the write is refused
    return old


def _wants_gradient(*values: Any) -> bool:
    return state.grad and any(isinstance(v, Tensor) and v._requires_grad for v in values)


def _inplace(front: Callable[..., Any], name: str, op: Any = None) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if _wants_gradient(self, *args, *kwargs.values()):
            before = _before(self, op)
            value = front(before, *[before if a is self else a for a in args], **kwargs)
        else:
            value = front(self, *args, **kwargs)
        return write(self, value, name)

    method.__name__ = name
    method.__doc__ = f"{name[:-1]} in place: the result replaces the elements of this tensor."
    return method


def _reflected(front: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, np.ndarray):
            other = Tensor._from_data(other)
        return front(other, self) if _operand(other) else NotImplemented

    return method


def _operand(other: Any) -> bool:
    return isinstance(other, (Tensor, bool, int, float, complex, np.number, np.bool_)) or hasattr(other, "bounds")


def _binary(front: Callable[..., Any]) -> Callable[..., Any]:
    def method(self: Tensor, other: Any) -> Any:
        if isinstance(other, Tensor) or _operand(other):
            return front(self, other)
        if isinstance(other, np.ndarray):
            return front(self, Tensor._from_data(other))
        return NotImplemented

    return method


def _operator(op: Any, dunder: str, otherwise: Callable[..., Any], reflected: bool = False) -> Callable[..., Any]:
    """`otherwise`, preceded by the short way for operators that numpy has as one ufunc."""
    if op.ufunc is None:
        return otherwise
    return bind_operator(op, dunder, otherwise, reflected)  # type: ignore[no-any-return]


_BINARY = {
    "add": "add",
    "sub": "sub",
    "mul": "mul",
    "truediv": "div",
    "floordiv": "floor_divide",
    "mod": "remainder",
    "pow": "pow",
    "matmul": "matmul",
    "and": "bitwise_and",
    "or": "bitwise_or",
    "xor": "bitwise_xor",
}
_COMPARE = {"eq": "eq", "ne": "ne", "lt": "lt", "le": "le", "gt": "gt", "ge": "ge"}
_ALIASES = {
    "subtract": "sub",
    "multiply": "mul",
    "divide": "div",
    "true_divide": "div",
    "negative": "neg",
    "absolute": "abs",
    "greater": "gt",
    "greater_equal": "ge",
    "less": "lt",
    "less_equal": "le",
    "not_equal": "ne",
    "arctan2": "atan2",
    "arcsin": "asin",
    "arccos": "acos",
    "arctan": "atan",
    "swapdims": "swapaxes",
    "moveaxis": "movedim",
    "concat": "cat",
    "concatenate": "cat",
    "clip": "clamp",
    "special_erf": "erf",
}


# Operators whose result may have the shape of the tensor, though not always: the write checks it.
_INPLACE_TOO = (
    "cumsum", "cumprod", "addbmm", "addmm", "baddbmm", "eq", "ne", "lt", "le", "gt", "ge", "logical_and", "logical_or",
    "logical_xor", "logical_not", "renorm",
)  # fmt: skip
_VIEWS_TOO = ("squeeze", "unsqueeze", "t", "transpose", "swapaxes", "as_strided")


def install() -> None:
    """Attach every operator to Tensor. Called by pappus.frontend.ops when it has loaded."""
    from . import ops
    from .ops._names import FUNCTIONS, INPLACE, METHODS

    for name, target in _ALIASES.items():
        front = getattr(ops, target, None)
        if front is not None:
            FUNCTIONS[name] = front
            setattr(ops, name, front)
            if (target in OPS and OPS[target].schema.params[0].name == "self") or target in METHODS:
                METHODS[name] = front
    for name, op in OPS.items():
        first = op.schema.params[0] if op.schema.params else None
        if first is None or first.name != "self" or first.type not in ("Tensor", "Tensor|Scalar"):
            continue
        front = METHODS.get(name) or getattr(ops, name)
        if name not in Tensor.__dict__:
            if "varargs" in op.tags:
                method = _varargs(front, name)
                front = _of_items(op, name, method) if front is op.front and len(op.schema.attrs) == 1 else method
            setattr(Tensor, name, front)
        if "inplace" in op.tags:
            setattr(Tensor, name + "_", _inplace(front, name + "_", op))
    for name, function in METHODS.items():
        if name not in Tensor.__dict__:
            setattr(Tensor, name, function)
    for name in INPLACE:
        setattr(Tensor, name + "_", _inplace(METHODS[name], name + "_"))
    for dunder, name in _BINARY.items():
        front = OPS[name].front if name in OPS else None
        if front is not None:
            setattr(Tensor, f"__{dunder}__", _operator(OPS[name], f"__{dunder}__", _binary(front)))
            setattr(Tensor, f"__r{dunder}__", _operator(OPS[name], f"__r{dunder}__", _reflected(front), True))
            inplace = _inplace_operator(OPS[name], f"__i{dunder}__")
            if OPS[name].ufunc is not None:
                inplace = bind_inplace(OPS[name], f"__i{dunder}__", inplace)
            setattr(Tensor, f"__i{dunder}__", inplace)
    for dunder, name in _COMPARE.items():
        setattr(Tensor, f"__{dunder}__", _operator(OPS[name], f"__{dunder}__", _binary(OPS[name].front)))  # type: ignore[arg-type]
    for dunder in ("neg", "abs"):
        setattr(Tensor, f"__{dunder}__", _operator(OPS[dunder], f"__{dunder}__", OPS[dunder].front))  # type: ignore[arg-type]
    from .ops.interchange import PROTOCOLS

    for name, value in {**tensor_memory.METHODS, **_EXTRA, **PROTOCOLS}.items():
        setattr(Tensor, name, value)
    Tensor.view = _of_items(OPS["view"], "view", _view)  # type: ignore[attr-defined]
    Tensor.__getitem__ = bind_method(  # type: ignore[method-assign]
        OPS["select"], "__getitem__", "self, index", _INDEX, indexing.get_item
    )
    for name in _INPLACE_TOO:
        if name + "_" not in Tensor.__dict__:
            setattr(Tensor, name + "_", _inplace(getattr(ops, name), name + "_", OPS.get(name)))
    for name in _VIEWS_TOO:
        setattr(Tensor, name + "_", tensor_memory.reshaped_in_place(getattr(ops, name), name + "_"))
    for name, target in _ALIASES.items():
        if target + "_" in Tensor.__dict__:
            setattr(Tensor, name + "_", Tensor.__dict__[target + "_"])
    if "where" in OPS:
        setattr(Tensor, "where", lambda self, condition, other: ops.where(condition, self, other))  # noqa: B010 - not a declared method


def _inplace_operator(op: Any, name: str) -> Callable[..., Any]:
    front = op.front

    def method(self: Tensor, other: Any) -> Any:
        if not _operand(other):
            return NotImplemented
        before = _before(self, op) if _wants_gradient(self, other) else self
        return write(self, front(before, before if other is self else other), name)

    return method


# -- methods that are not an operator -------------------------------------------------------------


@cache
def _ops() -> Any:
    from . import ops

    return ops


def _to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor with another type or on another device: `x.to(pp.float16)`, `x.to("cuda")`, `x.to(other)`. Itself if
    nothing changes."""
    dtype: DType | None = None
    device: str | None = None
    copy = bool(kwargs.pop("copy", False))
    given = [*args, kwargs.pop("dtype", None), kwargs.pop("device", None)]
    for item in given:
        if isinstance(item, Tensor):
            dtype, device = item.dtype, item.device
        elif isinstance(item, (bool, type(None))):
            continue
        elif isinstance(item, str) and (isinstance(item, Device) or item.split(":")[0] not in BY_NAME):
            device = item
        elif isinstance(item, int):
            device = f"cuda:{item}"
        else:
            dtype = as_dtype(item)
    memory_format = kwargs.pop("memory_format", None)
    before = self
    if device is not None:
        self = _moved(self, device)
    if dtype is not None and dtype is not self.dtype:
        self, copy = _ops().to_dtype(self, dtype), False
    elif copy and self is before:
        return _ops().clone(self, memory_format=memory_format)  # type: ignore[no-any-return]
    return _contiguous(self, memory_format) if memory_format in ("channels_last", "channels_last_3d") else self


def _moved(self: Tensor, device: Any) -> Tensor:
    """The tensor on a device, itself if it is there."""
    name, here = named(device), named(self.device)
    return self if name == here else _ops().to_device(self, name, here)


def _caster(dtype: DType) -> Callable[..., Tensor]:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return self if self.dtype is dtype else _ops().to_dtype(self, dtype)

    method.__doc__ = f"The elements as {dtype.name}; the tensor itself if it has that type."
    return method


def _copy_(self: Tensor, source: Any, non_blocking: bool = False) -> Tensor:
    """The elements of `source`, broadcast and converted, copied into this tensor."""
    ops = _ops()
    if not isinstance(source, Tensor):
        source = ops.tensor(source)
    if source.dtype is not self.dtype:
        source = ops.to_dtype(source, self.dtype)
    if tuple(source._data.shape) != tuple(self._data.shape):
        source = ops.expand(source, tuple(self.shape))
    assign(self, source, "copy_")
    return self


def _fill_(self: Tensor, value: Any) -> Tensor:
    """Every element set to `value`."""
    ops = _ops()
    if isinstance(value, Tensor):
        return _copy_(self, value)
    assign(self, ops.full(tuple(self.shape), value, dtype=self.dtype), "fill_")
    return self


def _zero_(self: Tensor) -> Tensor:
    """Every element set to zero."""
    assign(self, _ops().full(tuple(self.shape), 0, dtype=self.dtype), "zero_")
    return self


def _new(value: Any) -> Callable[..., Tensor]:
    def method(
        self: Tensor, *size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False,
        layout: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (list, tuple)) else size
        where = self.device if device is None else device
        return _ops().full(shape, value, dtype=dtype or self.dtype, requires_grad=requires_grad, device=where)  # type: ignore[no-any-return]

    return method


def _new_full(self: Tensor, size: Any, fill_value: Any, *, dtype: Any = None, **options: Any) -> Tensor:
    """A tensor of shape `size` filled with `fill_value`, of this one's type unless given."""
    options.pop("pin_memory", None)
    options.setdefault("device", self.device)
    return _ops().full(size, fill_value, dtype=dtype or self.dtype, **options)  # type: ignore[no-any-return]


def _new_tensor(self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, **options: Any) -> Tensor:
    """A tensor holding a copy of `data`, of this one's type unless given."""
    options.pop("layout", None), options.pop("pin_memory", None)
    where = self.device if device is None else device
    return _ops().tensor(data, dtype=dtype or self.dtype, device=where, **options)  # type: ignore[no-any-return]


def _contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in the order of `memory_format` (row-major), else a copy that does."""
    return self if self.is_contiguous(memory_format) else _ops().clone(self, memory_format=memory_format)


def _transposed(self: Tensor) -> Tensor:
    """The dimensions in reverse order."""
    return _ops().permute(self, tuple(reversed(range(self.ndim))))  # type: ignore[no-any-return]


def _matrix_transposed(self: Tensor) -> Tensor:
    """The last two dimensions exchanged."""
    return _ops().transpose(self, -2, -1)  # type: ignore[no-any-return]


def _type(self: Tensor, dtype: Any = None) -> Any:
    """The tensor converted to `dtype`."""
    return str(self.dtype) if dtype is None else _to(self, dtype)


def _same(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor itself."""
    return self


def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """The tensor on a GPU, itself if it is there. Raises DeviceError without CuPy, with the way to install it."""
    return _moved(self, "cuda" if device is None else device)


def _cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU, itself if it is there."""
    return _moved(self, "cpu")


def _adjoint(self: Tensor) -> Tensor:
    """The last two dimensions exchanged, the elements conjugated."""
    return _ops().adjoint(self)  # type: ignore[no-any-return]


def _part(name: str) -> property:
    def read(self: Tensor) -> Tensor:
        return getattr(_ops(), name)(self)  # type: ignore[no-any-return]

    def write(self: Tensor, value: Any) -> None:
        _copy_(read(self), value)

    return property(read, write, doc=f"The {'real' if name == 'real' else 'imaginary'} parts, in the same memory.")


def _view(self: Tensor, *shape: Any) -> Tensor:
    """The same elements under another shape (one size may be -1), or, given a type, the same bytes as that type. The
    memory is shared."""
    if len(shape) == 1 and not isinstance(shape[0], int):
        if isinstance(shape[0], (DType, type, str)):
            return _ops().view_as_type(self, as_dtype(shape[0]))  # type: ignore[no-any-return]
        if isinstance(shape[0], (list, tuple)):
            shape = tuple(shape[0])
    return _ops().view(self, shape)  # type: ignore[no-any-return]


_EXTRA: dict[str, Any] = {
    "__setitem__": lambda self, index, value: indexing.set_item(self, index, value),
    "__pos__": _same,
    "__invert__": lambda self: OPS["bitwise_not"](self),
    "to": _to,
    "type": _type,
    "cpu": _cpu,
    "cuda": _cuda,
    "float": _caster(dtypes.float32),
    "double": _caster(dtypes.float64),
    "half": _caster(dtypes.float16),
    "bfloat16": _caster(dtypes.bfloat16),
    "long": _caster(dtypes.int64),
    "int": _caster(dtypes.int32),
    "short": _caster(dtypes.int16),
    "char": _caster(dtypes.int8),
    "byte": _caster(dtypes.uint8),
    "bool": _caster(dtypes.bool_),
    "cfloat": _caster(dtypes.complex64),
    "cdouble": _caster(dtypes.complex128),
    "type_as": lambda self, other: _to(self, other.dtype),
    "copy_": _copy_,
    "fill_": _fill_,
    "zero_": _zero_,
    "contiguous": _contiguous,
    "new_zeros": _new(0),
    "new_ones": _new(1),
    "new_empty": _new(0),
    "new_full": _new_full,
    "new_tensor": _new_tensor,
    "T": property(_transposed),
    "mT": property(_matrix_transposed),
    "mH": property(_adjoint),
    "H": property(_adjoint),
    "real": _part("real"),
    "imag": _part("imag"),
}
