"""Questions about tensors: what they are, and whether two are equal or close."""

from __future__ import annotations

import math
from typing import Any

from ..dtypes import DType
from ..dtypes import result_type as _result_type
from ..errors import ArgumentError, DTypeError
from ..tensor import Tensor
from ._names import function
from .pointwise import abs as _abs
from .pointwise import eq, gt, isfinite, isnan, le, logical_and, logical_or, to_dtype, where


@function()
def is_tensor(obj: Any) -> bool:
    """Whether `obj` is a tensor."""
    return isinstance(obj, Tensor)


@function()
def is_floating_point(input: Any) -> bool:
    """Whether the elements of a tensor are floating-point numbers."""
    return bool(input.dtype.is_floating_point)


@function()
def numel(input: Any) -> Any:
    """The number of elements of a tensor."""
    return input.numel()


@function()
def is_nonzero(input: Any) -> bool:
    """Whether the only element of a tensor is not zero. Raises ArgumentError unless there is exactly one."""
    if input.numel() != 1:
        raise ArgumentError(f"is_nonzero needs a tensor with exactly one element, got shape {list(input.shape)}")
    return bool(input.item() != 0)


@function()
def result_type(tensor1: Any, tensor2: Any) -> DType:
    """The type that arithmetic of two tensors or numbers has.

    >>> import pappus as pp
    >>> pp.result_type(pp.tensor([1]), 1.5)
    pappus.float32
    """
    from .. import dtypes

    return _result_type(
        [
            (v.dtype, v.ndim, v.wrapped) if isinstance(v, Tensor) else (dtypes.of_value(v), 0, True)
            for v in (tensor1, tensor2)
        ]
    )


@function(method=True)
def equal(self: Any, other: Any) -> bool:
    """Whether two tensors have the same shape and the same elements.

    >>> import pappus as pp
    >>> pp.equal(pp.tensor([1, 2]), pp.tensor([1, 2])), pp.equal(pp.tensor([1, 2]), pp.tensor([[1, 2]]))
    (True, False)
    """
    return tuple(self.shape) == tuple(other.shape) and bool(eq(self, other).all())


@function(method=True)
def isclose(self: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> Any:
    """Where two tensors are equal up to atol + rtol * |other|: a boolean tensor."""
    if rtol < 0 or atol < 0:
        raise ArgumentError(f"isclose: rtol and atol must not be negative, got {rtol} and {atol}")
    if self.dtype is not other.dtype:
        raise DTypeError(f"isclose: the tensors have types {self.dtype} and {other.dtype}; convert one with .to(...)")
    if not self.dtype.category:
        return eq(self, other)
    near = logical_and(le(_abs(self - other), atol + rtol * _abs(other)), isfinite(other))
    same = eq(self, other)  # infinities of one sign are close
    if equal_nan:
        same = logical_or(same, logical_and(isnan(self), isnan(other)))
    return logical_or(near, same)


@function(method=True)
def allclose(self: Any, other: Any, rtol: float = 1e-5, atol: float = 1e-8, equal_nan: bool = False) -> bool:
    """Whether all elements of two tensors are equal up to atol + rtol * |other|.

    >>> import pappus as pp
    >>> pp.allclose(pp.tensor([1.0]), pp.tensor([1.000001]))
    True
    """
    return bool(isclose(self, other, rtol, atol, equal_nan).all())


@function(method=True)
def isposinf(self: Any) -> Any:
    """Where an element is plus infinity."""
    if self.dtype.is_complex:
        raise DTypeError("isposinf: complex numbers have no sign")
    return eq(self, math.inf) if self.dtype.is_floating_point else eq(self, self).logical_not()


@function(method=True)
def isneginf(self: Any) -> Any:
    """Where an element is minus infinity."""
    if self.dtype.is_complex:
        raise DTypeError("isneginf: complex numbers have no sign")
    return eq(self, -math.inf) if self.dtype.is_floating_point else eq(self, self).logical_not()


@function(method=True, inplace=True)
def heaviside(self: Any, values: Any) -> Any:
    """0 below zero, `values` at zero, 1 above; both tensors have one type.

    >>> import pappus as pp
    >>> pp.heaviside(pp.tensor([-2.0, 0.0, 3.0]), pp.tensor(0.5)).tolist()
    [0.0, 0.5, 1.0]
    """
    if self.dtype is not values.dtype:
        raise DTypeError(f"heaviside: the tensors have types {self.dtype} and {values.dtype}; convert one by .to(...)")
    if self.dtype.is_complex:
        raise DTypeError("heaviside: complex numbers have no order")
    return where(eq(self, 0), values, to_dtype(gt(self, 0), self.dtype))
