"""What a mask function can return inside a block, from the ends of the block alone.

The function runs once, under a mode of the door, on tensors that stand for whole blocks: each element is a pair of
bounds, the smallest and the largest value that it takes in its block. The rules below carry bounds through operators.
Where the result is at least True the block is full, where it is at most False it is empty; the rest must be looked at
element by element, and so must everything if the function uses an operator without a rule.

A position is exact in each block's batch and head, and between first and last for queries and keys. Tables that are
indexed (document numbers, lengths) give the smallest and largest entry in the range of the index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dispatch
from ..dispatch import Mode
from ..dtypes import DType
from ..opdef import OpDef
from ..symbolic import SymbolicArray
from ..tape import state
from ..tensor import Tensor

__all__ = ["bound_mask"]

_LARGEST = 2.0**62  # integers beyond might have wrapped around
_MOST = 1 << 26  # table entries to be looked at for one index


class _Unknown(Exception):
    """Bounds cannot be given: an operator without a rule, or numbers too large."""


class Bounds:
    """The smallest and the largest value per block, as arrays of one shape."""

    __slots__ = ("high", "low")

    def __init__(self, low: Any, high: Any) -> None:
        self.low, self.high = low, high

    @property
    def exact(self) -> bool:
        """Whether each value is known."""
        return self.low is self.high or bool((self.low == self.high).all())


def bound_mask(mask_mod: Callable[..., Any], ends: list[tuple[Any, Any]]) -> tuple[Any, Any] | None:
    """(surely True, possibly True) per block for the first and last b, h, q and kv of each; None if that is not known.

    `ends` has a pair of int64 arrays for each, shaped (B, 1, 1, 1), (1, H, 1, 1), (1, 1, rows, 1) and (1, 1, 1,
    columns).
    """
    from ..dtypes import int64

    shape = np.broadcast_shapes(*(low.shape for low, _ in ends))
    saved, state.grad = state.grad, False
    try:
        with _BoundsMode():
            found = mask_mod(*[_wrap(Bounds(low, high), int64) for low, high in ends])
        if isinstance(found, (bool, np.bool_)):
            return np.full(shape, bool(found)), np.full(shape, bool(found))
        if not isinstance(found, Tensor) or found.dtype.name != "bool":
            return None
        bounds = _of(found)
        return np.broadcast_to(bounds.low, shape), np.broadcast_to(bounds.high, shape)
    except Exception:  # what the function cannot do with bounds it may do with numbers; if not, it will say so then
        return None
    finally:
        state.grad = saved


def _wrap(bounds: Bounds, dtype: DType) -> Tensor:
    return Tensor._from_data(SymbolicArray(bounds.low.shape, dtype, bounds))


def _of(tensor: Tensor) -> Bounds:
    data = tensor._data
    if isinstance(data, SymbolicArray):
        return data.value  # type: ignore[no-any-return]
    if data.size != 1:
        raise _Unknown("a captured tensor that is not indexed")
    data = data.reshape((1,) * max(0, min(4, data.ndim)))
    return Bounds(data, data)


class _BoundsMode(Mode):
    """Runs operators on bounds; those without a block among their operands simply run."""

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        flat = [t for a in args for t in (a if isinstance(a, (list, tuple)) else (a,)) if t is not None]
        if not any(t.is_symbolic for t in flat):
            if "random" in op.tags:
                raise _Unknown(op.name)
            return dispatch.call(op, args, attrs)
        if op.name == "index":
            return _index(args[0], args[1])
        rule = _RULES.get(op.name)
        if rule is None:
            if op.decompose is None:
                raise _Unknown(op.name)
            with self:
                return op.decompose(*args, **attrs)
        spec = op.shape(*args, **attrs)
        with np.errstate(all="ignore"):
            return _wrap(_checked(rule([_of(a) for a in args], attrs, spec.dtype), spec.dtype), spec.dtype)

    def assign(self, target: Tensor, value: Tensor) -> None:
        raise _Unknown("an in-place change")


def _checked(bounds: Bounds, dtype: DType) -> Bounds:
    """Refuse what the type may not hold exactly: integers that wrap around, NaN."""
    low, high = bounds.low, bounds.high
    if dtype.name == "bool":
        return bounds
    if dtype.is_floating_point:
        if np.isnan(low).any() or np.isnan(high).any():
            raise _Unknown("NaN")
        return bounds
    limits = np.iinfo(dtype.numpy)
    if low.size and (low.min() < limits.min or high.max() > limits.max):
        raise _Unknown("an integer that wraps around")
    return bounds


# -- rules: (bounds of the operands, attributes, type of the result) -> bounds --------------------

Rule = Callable[[list[Bounds], dict[str, Any], DType], Bounds]


def _numbers(operands: list[Bounds], dtype: DType) -> list[Bounds]:
    """Operands in the type in which the result is computed, integers in int64."""
    if dtype.is_floating_point:
        if dtype.name not in ("float32", "float64"):
            raise _Unknown(dtype.name)
        wide: Any = dtype.numpy
    else:
        wide = np.int64
    return [Bounds(o.low.astype(wide), o.high.astype(wide)) for o in operands]


def _corners(operate: Callable[[Any, Any], Any]) -> Rule:
    """An operation that is monotonic in each operand, in whichever direction: its extremes are at the ends."""

    def rule(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
        if dtype.name == "bool":
            raise _Unknown("arithmetic of bools")
        a, b = _numbers(operands, dtype)
        if not dtype.is_floating_point:
            largest = [float(max(np.abs(o.low).max(initial=0), np.abs(o.high).max(initial=0))) for o in (a, b)]
            if max(largest[0] * largest[1], largest[0] + largest[1]) > _LARGEST:
                raise _Unknown("large integers")
        found = [operate(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
        return Bounds(np.minimum.reduce(found), np.maximum.reduce(found))

    return rule


def _divided(operate: Callable[[Any, Any], Any]) -> Rule:
    def rule(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
        divisor = operands[1]
        if ((divisor.low <= 0) & (divisor.high >= 0)).any():
            raise _Unknown("a divisor that may be zero")
        return _corners(operate)(operands, attrs, dtype)

    return rule


def _remainder(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    a, b = _numbers(operands, dtype)
    if dtype.is_floating_point or not b.exact or (b.low <= 0).any():
        raise _Unknown("a remainder other than by a fixed positive integer")
    same = a.low // b.low == a.high // b.low
    return Bounds(np.where(same, a.low % b.low, 0), np.where(same, a.high % b.low, b.low - 1))


def _monotonic(operate: Callable[[Any], Any]) -> Rule:
    def rule(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
        (a,) = _numbers(operands, dtype)
        return Bounds(operate(a.low), operate(a.high))

    return rule


def _neg(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (a,) = _numbers(operands, dtype)
    return Bounds(-a.high, -a.low)


def _abs(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (a,) = _numbers(operands, dtype)
    low, high = np.abs(a.low), np.abs(a.high)
    across = (a.low <= 0) & (a.high >= 0)
    return Bounds(np.where(across, 0, np.minimum(low, high)), np.maximum(low, high))


def _clamp(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (a,) = _numbers(operands, dtype)
    low, high = attrs.get("min"), attrs.get("max")
    if low is None and high is None:
        return a
    return Bounds(np.clip(a.low, low, high), np.clip(a.high, low, high))


def _to_dtype(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (a,) = operands
    if dtype.name == "bool":
        zero = (a.low == 0) & (a.high == 0)
        across = (a.low <= 0) & (a.high >= 0)
        return Bounds(~across, ~zero)
    (b,) = _numbers(operands, dtype)
    if not dtype.is_floating_point and a.low.dtype.kind == "f":
        largest = max(np.abs(a.low).max(initial=0), np.abs(a.high).max(initial=0))
        if not largest < _LARGEST:
            raise _Unknown("large numbers as integers")
    return b


def _compared(sure: Callable[[Bounds, Bounds], Any], possible: Callable[[Bounds, Bounds], Any]) -> Rule:
    def rule(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
        kinds = {o.low.dtype.kind for o in operands}
        ends = [end for o in operands for end in (o.low, o.high)]
        if "f" in kinds and len(kinds) > 1 and any(np.abs(end).max(initial=0) > 2**24 for end in ends):
            raise _Unknown("large integers, rounded to be compared")
        a, b = operands
        return Bounds(sure(a, b), possible(a, b))

    return rule


def _logical(operate: Callable[..., Any]) -> Rule:
    """And, or: monotonic in both operands."""

    def rule(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
        a, b = _truths(operands)
        return Bounds(operate(a.low, b.low), operate(a.high, b.high))

    return rule


def _truths(operands: list[Bounds]) -> list[Bounds]:
    if any(o.low.dtype != np.bool_ for o in operands):
        raise _Unknown("bits of integers")
    return operands


def _xor(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    a, b = _truths(operands)
    known = (a.low == a.high) & (b.low == b.high)
    value = a.low ^ b.low
    return Bounds(known & value, ~known | value)


def _not(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (a,) = _truths(operands)
    return Bounds(~a.high, ~a.low)


def _where(operands: list[Bounds], attrs: dict[str, Any], dtype: DType) -> Bounds:
    (condition,) = _truths(operands[:1])
    a, b = operands[1:] if dtype.name == "bool" else _numbers(operands[1:], dtype)
    low = np.where(condition.low, a.low, np.where(condition.high, np.minimum(a.low, b.low), b.low))
    return Bounds(low, np.where(condition.low, a.high, np.where(condition.high, np.maximum(a.high, b.high), b.high)))


_RULES: dict[str, Rule] = {
    "add": _corners(np.add), "sub": _corners(np.subtract), "mul": _corners(np.multiply),
    "maximum": _corners(np.maximum), "minimum": _corners(np.minimum),
    "div": _divided(np.divide), "floor_divide": _divided(np.floor_divide), "remainder": _remainder,
    "neg": _neg, "abs": _abs, "clamp": _clamp, "to_dtype": _to_dtype, "where": _where,
    "sign": _monotonic(np.sign), "floor": _monotonic(np.floor), "ceil": _monotonic(np.ceil),
    "trunc": _monotonic(np.trunc), "relu": _monotonic(lambda x: np.maximum(x, 0)),
    "eq": _compared(lambda a, b: (a.low == a.high) & (b.low == b.high) & (a.low == b.low),
                    lambda a, b: (a.low <= b.high) & (b.low <= a.high)),
    "lt": _compared(lambda a, b: a.high < b.low, lambda a, b: a.low < b.high),
    "le": _compared(lambda a, b: a.high <= b.low, lambda a, b: a.low <= b.high),
    "logical_and": _logical(np.logical_and), "logical_or": _logical(np.logical_or),
    "bitwise_and": _logical(np.logical_and), "bitwise_or": _logical(np.logical_or), "bitwise_xor": _xor,
    "logical_not": _not, "bitwise_not": _not,
}  # fmt: skip


# -- tables ---------------------------------------------------------------------------------------


def _index(table: Tensor, indices: Any) -> Tensor:
    """Bounds of `table[i, j ...]`: the extremes over the range of the one index that is not exact."""
    if table.is_symbolic or len(indices) != table.ndim or any(i is None or i.dtype.category != 1 for i in indices):
        raise _Unknown("this kind of indexing")
    values = table._data
    bounds = _numbers([_of(i) for i in indices], indices[0].dtype)
    for one, size in zip(bounds, values.shape, strict=True):
        if one.low.size and (one.low.min() < 0 or one.high.max() >= size):
            raise _Unknown("an index that is negative or out of range")
    ranges = [d for d, one in enumerate(bounds) if not one.exact]
    if len(ranges) > 1 or values.dtype.kind not in "biuf":
        raise _Unknown("two ranges")
    order = [d for d in range(values.ndim) if d not in ranges] + ranges
    start: Any = np.int64(0)
    end: Any = np.int64(0)
    for d in order:
        start, end = start * values.shape[d] + bounds[d].low, end * values.shape[d] + bounds[d].high
    flat = np.ascontiguousarray(values.transpose(order)).reshape(-1)
    if not ranges:
        return _wrap(Bounds(flat[start], flat[start]), table.dtype)
    if start.size and int((end - start + 1).sum()) > _MOST:
        raise _Unknown("long ranges")
    # reduceat takes pairs: from start to end + 1, and from there to the next start, which is of no interest.
    pairs = np.stack([start, end + 1], -1).reshape(-1)
    padded = np.append(flat, flat[-1:])
    low, high = (f.reduceat(padded, pairs)[::2].reshape(start.shape) for f in (np.minimum, np.maximum))
    return _wrap(_checked(Bounds(low, high), table.dtype), table.dtype)


