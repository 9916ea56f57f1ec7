"""`out=`: the result of any operator or function stored in a tensor that the caller has already.

The fronts come here when a call has the keyword (they look for it only where a keyword is unknown to the schema, so
calls without it pay nothing). The result is computed first and then written by `assign`, so `out` may be an operand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from .dtypes import can_cast
from .errors import ArgumentError, AutogradError, DTypeError, InplaceError, UnsupportedError
from .inplace import assign, overlaps_itself, touch
from .source import user_location, warn_user
from .tape import state
from .tensor import Tensor

__all__ = ["into"]


def into(
    name: str, call: Callable[..., Any], operands: Iterable[Any], out: Any, keywords: dict[str, Any], typed: bool
) -> Any:
    """`call(**keywords)`, with its result stored in `out` (a tuple of tensors for several results); returns `out`.

    A call without operands that takes a `dtype` (`typed`) is told the type of out, unless it is given one.

    Raises AutogradError where a gradient is wanted, DTypeError where the type would lose its kind (float to int),
    InplaceError where out overlaps an operand in part, ArgumentError where out is no tensor or not as many as needed. A
    tensor of another shape is resized, with a warning unless it is empty or is to be filled without operands.

    >>> import pappus as pp
    >>> y = pp.empty(0)
    >>> pp.add(pp.ones(2), 1, out=y) is y, y
    (True, tensor([2., 2.]))
    >>> pp.sort(pp.tensor([2.0, 1.0]), out=(y, pp.empty(0, dtype=pp.int64))).values is y
    True
    """
    from .opdef import OPS
    from .ops._names import EXACT_OUT

    targets = list(out) if isinstance(out, (tuple, list)) else [out]
    inputs = [t for operand in operands for t in _tensors(operand)]
    for target in targets:
        if not isinstance(target, Tensor):
            raise _at(ArgumentError(f"{name}: out must be a Tensor, got {type(target).__name__}"), name)
    if state.grad and any(t._requires_grad for t in [*inputs, *targets]):
        raise _at(
            AutogradError(
                f"{name}: functions with out=... arguments don't support automatic differentiation, but one of the "
                "arguments requires grad; assign the result instead, or call it under no_grad()"
            ),
            name,
        )
    if typed and not inputs and keywords.get("dtype") is None:
        keywords = {**keywords, "dtype": targets[0].dtype}
    result = call(**keywords)
    many = isinstance(result, (tuple, list))
    results = list(result) if many else [result]
    if len(results) != len(targets) or many != isinstance(out, (tuple, list)):
        need = f"a tuple of {len(results)} tensors" if many else "one tensor"
        raise _at(ArgumentError(f"{name}: out must be {need}"), name)
    tags = OPS[name].tags if name in OPS else frozenset()
    exact = bool(tags & {"index", "exact_out"}) or name in EXACT_OUT
    moves = exact or "movement" in tags
    for value, target in zip(results, targets, strict=True):
        if not isinstance(value, Tensor):
            raise _at(ArgumentError(f"{name}: its result is a {type(value).__name__}, which out cannot hold"), name)
        _check_overlap(name, target, inputs, moves)
        if exact and value.dtype is not target.dtype:
            text = f"{name}: expected out tensor to have dtype {value.dtype.name}, but got {target.dtype.name} instead"
            raise _at(DTypeError(text), name)
        _store(name, target, value, warn=bool(inputs))
    return result._make(targets) if hasattr(result, "_make") else (tuple(targets) if many else out)


def _at(error: Any, name: str) -> Any:
    return error.at(name, user_location())


def _tensors(operand: Any) -> Iterable[Tensor]:
    if isinstance(operand, Tensor):
        yield operand
    elif isinstance(operand, (list, tuple)):
        for item in operand:
            yield from _tensors(item)


def _check_overlap(name: str, target: Tensor, inputs: list[Tensor], moves: bool) -> None:
    """Refuse an out that shares some memory with an operand; all of it may be shared unless the operator `moves`."""
    if target.is_symbolic:
        return
    out = target._data
    if overlaps_itself(out):
        text = f"{name}: several elements of out share one memory location (it was made by expand); call .clone() first"
        raise _at(InplaceError(text), name)
    for tensor in inputs:
        array = tensor._data
        if tensor.is_symbolic or not (out.flags.forc and array.flags.forc) or not np.may_share_memory(out, array):
            continue
        if moves or (out.ctypes.data, out.shape, out.strides) != (array.ctypes.data, array.shape, array.strides):
            text = f"{name}: out and an operand share their memory; clone() the operand first"
            raise _at(InplaceError(text), name)


def _store(name: str, target: Tensor, value: Tensor, warn: bool) -> None:
    if value.dtype is not target.dtype:
        if not can_cast(value.dtype, target.dtype):
            raise _at(
                DTypeError(
                    f"{name}: result type {value.dtype.name} can't be cast to the output type {target.dtype.name}; "
                    f"give out the type {value.dtype.name}"
                ),
                name,
            )
        value = value.to(target.dtype)
    if tuple(target._data.shape) != tuple(value._data.shape):
        _resize(name, target, value, warn)
    assign(target, value.detach() if value._requires_grad else value, name)


def _resize(name: str, target: Tensor, value: Tensor, warn: bool) -> None:
    if state.mode is not None or target.is_symbolic:
        raise _at(
            UnsupportedError(
                f"{name}: out of shape {list(target.shape)} would be resized to {list(value.shape)}, which cannot be "
                "captured; give it that shape"
            ),
            name,
        )
    if target._data.size and warn:
        warn_user(
            f"{name}: an output with one or more elements was resized, since it had shape {list(target.shape)}, which "
            f"does not match the required output shape {list(value.shape)}; give out that shape, or make it empty"
        )
    target._data = np.empty(value._data.shape, target._data.dtype)
    target._base = target._recipe = None
    touch(target, name)
