"""Hooks of a module that run in the backward pass, with the gradients of its inputs and outputs.

The tensors that enter and leave `forward` pass through a Function that changes nothing; its backward sees all their
gradients at once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pappus.frontend.errors import ArgumentError
from pappus.frontend.function import Function
from pappus.frontend.tape import state
from pappus.frontend.tensor import Tensor

Gradients = tuple[Any, ...]


class _Tap(Function):
    """Passes tensors on; `seen(gradients)` may replace their gradients on the way back."""

    @staticmethod
    def forward(ctx: Any, seen: Callable[[Gradients], Gradients], *tensors: Tensor) -> Any:
        ctx.seen = seen
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return (None, *ctx.seen(grads))


def _tap(seen: Callable[[Gradients], Gradients], values: Sequence[Any]) -> list[Any]:
    """The values, with the tensors among them that want a gradient passed through one tap; `seen` gets a full tuple."""
    at = [i for i, v in enumerate(values) if isinstance(v, Tensor) and v.requires_grad]
    if not at:
        return list(values)

    def spread(grads: Gradients) -> Gradients:
        whole: list[Any] = [None] * len(values)
        for i, grad in zip(at, grads, strict=True):
            whole[i] = grad
        found = seen(tuple(whole))
        return tuple(found[i] for i in at)

    out = list(values)
    for i, tensor in zip(at, _Tap.apply(spread, *(values[i] for i in at)), strict=True):
        out[i] = tensor
    return out


class BackwardHooks:
    """One call of a module that has backward hooks: `before` see the output's gradients first, `after` all of them."""

    def __init__(self, module: Any, before: Sequence[Callable[..., Any]], after: Sequence[Callable[..., Any]]) -> None:
        self.module = module
        self.before = before
        self.after = after
        self.grad_output: Gradients = ()
        self.inputs = 0
        self.tapped = False

    def enter(self, args: Gradients) -> Gradients:
        """The arguments of forward."""
        if not state.grad:
            return args
        self.inputs = len(args)
        self.tapped = any(isinstance(a, Tensor) and a.requires_grad for a in args)
        return tuple(_tap(self._input_gradients, args))

    def leave(self, result: Any) -> Any:
        """The result of forward. Raises ArgumentError unless it is a tensor or a tuple."""
        if not state.grad:
            return result
        if isinstance(result, Tensor):
            return _tap(self._output_gradients, [result])[0]
        if isinstance(result, tuple) and not hasattr(result, "_fields"):
            return tuple(_tap(self._output_gradients, result))
        raise ArgumentError(
            f"{type(self.module).__name__} has backward hooks, for which forward must return a tensor or a tuple of "
            f"them, got {type(result).__name__}"
        )

    def _output_gradients(self, grads: Gradients) -> Gradients:
        for hook in self.before:
            grads = _replaced("full backward pre-hook", grads, hook(self.module, grads))
        self.grad_output = grads
        if not self.tapped:  # no input wants a gradient: there is nothing to wait for
            self._input_gradients((None,) * self.inputs)
        return grads

    def _input_gradients(self, grads: Gradients) -> Gradients:
        for hook in self.after:
            grads = _replaced("full backward hook", grads, hook(self.module, grads, self.grad_output))
        return grads


def _replaced(what: str, old: Gradients, new: Any) -> Gradients:
    """What a hook returned in place of the gradients, if anything."""
    if new is None:
        return old
    found = new if isinstance(new, tuple) else (new,)
    if len(found) != len(old):
        raise ArgumentError(f"{what}: it returned {len(found)} gradients in place of {len(old)}")
    return found
