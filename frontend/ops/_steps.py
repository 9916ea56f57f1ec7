"""How optimizer steps are declared: one formula, run on numpy arrays block by block and on tensors as a decomposition.

A formula is `f(m, param, grad, *state, *numbers, **options) -> (param, *state)`, with `m` for mathematics that arrays
and tensors spell differently. On arrays the numbers (of the step, say) are Python floats and the formula sees one block
at a time, so that its intermediate results stay in cache and the new values can be written over the old ones.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..opdef import Spec, operator
from ..schema import parse
from ..symbolic import sym_eq

__all__ = ["decayed", "moving", "step_operator"]

# Elements a block has: a dozen of them in 32 bits fit in the second-level cache.
BLOCK = 16384


class OnArrays:
    """Mathematics on arrays of `xp`; counters are Python floats."""

    def __init__(self, xp: Any) -> None:
        self.sqrt, self.abs, self.sign = xp.sqrt, xp.abs, xp.sign
        self.maximum, self.clip, self.where = xp.maximum, xp.clip, xp.where

    @staticmethod
    def power(base: float, step: float) -> float:
        """base ** step."""
        return float(base**step)

    @staticmethod
    def rest(base: float, step: float) -> float:
        """1 - base ** step."""
        return float(1 - base**step)

    @staticmethod
    def root(value: float) -> float:
        """The square root of a number, 0 below 0."""
        return float(max(value, 0.0) ** 0.5)

    @staticmethod
    def choose(condition: bool, one: Any, other: Any) -> Any:
        """`one` if the condition about numbers holds, else `other`."""
        return one if condition else other

    @staticmethod
    def at_least(value: float, low: float) -> float:
        """The larger of two numbers."""
        return max(value, low)


class OnTensors:
    """The same on tensors; counters are 0-d tensors."""

    def __init__(self) -> None:
        from . import abs as absolute
        from . import clamp, maximum, sign, sqrt, where

        self.sqrt, self.abs, self.sign = sqrt, absolute, sign
        self.maximum, self.clip, self.where = maximum, clamp, where

    @staticmethod
    def power(base: float, step: Any) -> Any:
        """base ** step."""
        return (step * float(np.log(base))).exp() if base else step * 0

    @staticmethod
    def rest(base: float, step: Any) -> Any:
        """1 - base ** step: exact enough in the counter's float32 even when the base is near 1."""
        return -(step * float(np.log(base))).expm1() if base else step * 0 + 1

    @staticmethod
    def root(value: Any) -> Any:
        """The square root of a number, about 0 below 0, where its gradient is 0 and not 0 times infinity."""
        return value.clamp(min=1e-30).sqrt()

    def choose(self, condition: Any, one: Any, other: Any) -> Any:
        """`one` where the condition about numbers holds, else `other`."""
        return self.where(condition, one, other)

    @staticmethod
    def at_least(value: Any, low: float) -> Any:
        """The larger of two numbers."""
        return value.clamp(min=low)


def step_operator(
    signature: str, doc: str, formula: Callable[..., tuple[Any, ...]], *, samples: Callable[[], Any], numbers: int = 0
) -> Callable[..., Any]:
    """Declare `NAME(Tensor param, Tensor grad, ..., *, ...) -> (Tensor, ...)` from its formula.

    The last `numbers` tensors are 0-d (the number of the step); all others have the shape of the parameter.
    """
    schema = parse(signature)
    name, count = schema.name, len(schema.returns)
    labels = [p.name for p in schema.tensors][1 : len(schema.tensors) - numbers]

    def shape(param: Spec, *others: Any, **_: Any) -> tuple[Spec, ...]:
        if not param.dtype.is_floating_point:
            raise DTypeError(f"{name}: the parameter has type {param.dtype}; only floating-point tensors are trained")
        for label, other in zip(labels, others, strict=False):
            if other is not None and not (
                other.ndim == param.ndim and all(sym_eq(a, b) for a, b in zip(other.shape, param.shape, strict=True))
            ):
                raise ShapeError(f"{name}: {label} has shape {list(other.shape)}, the parameter {list(param.shape)}")
        return (Spec(tuple(param.shape), param.dtype),) * count

    def decompose(param: Any, *others: Any, **options: Any) -> tuple[Any, ...]:
        return tuple(new.to(param.dtype) for new in formula(OnTensors(), param, *others, **options))

    return operator(
        signature, doc, shape=shape, eager=_kernel(formula, count, numbers), decompose=decompose, samples=samples,
        tags=("into",),
    )  # fmt: skip


def _kernel(formula: Callable[..., tuple[Any, ...]], count: int, numbers: int) -> Callable[..., Any]:
    """The eager kernel: `out`, where it is given, holds arrays to write into (or None), which may be the operands."""

    def run(xp: Any, *given: Any, out: Any = None, **options: Any) -> tuple[Any, ...]:
        arrays = given[: len(given) - numbers]
        last = [float(number) for number in given[len(arrays) :]]
        param, m = arrays[0], OnArrays(xp)
        wide = xp.float32 if param.dtype.itemsize == 2 else None
        if out is None:
            out = tuple(xp.empty_like(param) for _ in range(count))
        size = param.size
        both = [a for a in (*arrays, *out) if a is not None]
        if size <= BLOCK or not all(a.flags.c_contiguous for a in both):
            _write(out, formula(m, *_widened(arrays, wide), *last, **options))
            return tuple(out)
        flat = [None if a is None else a.reshape(-1) for a in arrays]
        into = [None if a is None else a.reshape(-1) for a in out]
        block = BLOCK if xp is np else size
        for start in range(0, size, block):
            part = slice(start, start + block)
            piece = [None if a is None else a[part] for a in flat]
            new = formula(m, *_widened(piece, wide), *last, **options)
            _write([None if a is None else a[part] for a in into], new)
        return tuple(out)

    return run


def _widened(arrays: Any, wide: Any) -> Any:
    """16-bit operands in float32: the results are rounded once, where they are written."""
    return arrays if wide is None else [None if a is None else a.astype(wide) for a in arrays]


def _write(out: Any, new: Any) -> None:
    # All are computed before the first is written, because results may lie over operands.
    for array, value in zip(out, new, strict=True):
        if array is not None and array is not value:
            array[...] = value


def decayed(param: Any, grad: Any, weight_decay: float, maximize: bool) -> Any:
    """The gradient of the loss with weight decay as an L2 term, or of its negative."""
    g = -grad if maximize else grad
    return g + param * weight_decay if weight_decay else g


def moving(mean: Any, value: Any, weight: float) -> Any:
    """mean + (value - mean) weight: the running mean that forgets by `1 - weight`."""
    return mean + (value - mean) * weight

