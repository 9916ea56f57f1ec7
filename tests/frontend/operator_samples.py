"""What the tests over all operators share: fresh copies of samples, and names for them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pappus as pp
from pappus.frontend import ops  # noqa: F401 - loads every operator
from pappus.frontend.opdef import OPS, OpDef, Sample
from pappus.frontend.tensor import Tensor


def samples_of(op: OpDef) -> list[Sample]:
    """The samples an operator declares."""
    return list(op.samples()) if op.samples is not None else []


def cases() -> Iterator[tuple[str, OpDef, int]]:
    """Every (test id, operator, sample number)."""
    for name, op in sorted(OPS.items()):
        for number in range(len(samples_of(op))):
            yield f"{name}-{number}", op, number


def map_tensors(value: Any, change: Callable[[Tensor], Any]) -> Any:
    """`value` with every tensor in it (also inside lists) replaced by `change(tensor)`."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, (list, tuple)):
        return type(value)(map_tensors(v, change) for v in value)
    if isinstance(value, dict):
        return {k: map_tensors(v, change) for k, v in value.items()}
    return value


def fresh(value: Any, requires_grad: bool = False) -> Any:
    """Copies of the tensors in `value`; floating-point and complex ones may be made to require grad."""

    def copy(x: Tensor) -> Tensor:
        if x.wrapped:  # a Python number
            return x
        out = x.detach().clone()
        return out.requires_grad_() if requires_grad and x.dtype.differentiable else out

    return map_tensors(value, copy)


def tensors_in(value: Any) -> list[Tensor]:
    """Every tensor in nested arguments."""
    found: list[Tensor] = []
    map_tensors(value, found.append)
    return found


def listed(out: Any) -> list[Any]:
    """An operator's results as a list."""
    return list(out) if isinstance(out, (tuple, list)) else [out]


def split_args(op: OpDef, sample: Sample) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The (args, attrs) that a call with this sample hands to `dispatch.call`: numbers wrapped, defaults filled in."""
    from pappus.frontend import dispatch

    seen: list[Any] = []

    class Record(dispatch.Mode):
        def call(self, called: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
            if called is op and not seen:
                seen.append((args, attrs))
            return dispatch.call(called, args, attrs)

    inline, op.inline = op.inline, False
    try:
        with Record():
            op(*sample.args, **sample.kwargs)
    finally:
        op.inline = inline
    return seen[0]  # type: ignore[no-any-return]


def seeded() -> None:
    """The same random numbers for what follows."""
    pp.manual_seed(5)
