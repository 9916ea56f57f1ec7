"""Checkpointing: keep a function's operands instead of everything inside, and compute it again in the backward pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from .errors import ArgumentError, AutogradError, InplaceError
from .function import FunctionCtx, FunctionNode, _attach
from .random import default_generator
from .region import Region, key_of
from .source import user_location
from .tape import Storage, caller, line_of, state
from .tensor import Tensor

__all__ = ["checkpoint", "checkpoint_sequential"]


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    preserve_rng_state: bool = True,
    context_fn: Callable[[], Any] | None = None,
    determinism_check: str = "default",
    debug: bool = False,
    **kwargs: Any,
) -> Any:
    """`function(*args, **kwargs)` whose inner results are dropped, and computed again when backward needs them.

    Everything the function reads gets its gradient: arguments, parameters of modules, tensors it closes over. It must
    compute the same both times; random numbers are drawn from the same position again unless
    `preserve_rng_state=False`. `context_fn` returns two context managers, for the first and the second run.
    `use_reentrant` and `debug` are accepted and change nothing; `determinism_check="none"` skips the comparison of
    shapes and types. Raises AutogradError, in backward, where the second run gave other shapes, and InplaceError where
    an argument was changed in place in between.

    >>> import pappus as pp
    >>> layer = pp.nn.Linear(4, 4)
    >>> x = pp.ones(2, 4)
    >>> checkpoint(lambda x: layer(x).relu(), x).sum().backward()
    >>> layer.weight.grad.shape
    pappus.Size([4, 4])
    """
    if not callable(function):
        got = type(function).__name__
        raise ArgumentError(f"checkpoint: needs a function to call, got {got}").at(None, user_location())
    if not state.grad or state.mode is not None:  # nothing to keep; a capture records what runs
        return function(*args, **kwargs)
    first, second = context_fn() if context_fn is not None else (None, None)
    run = _Run(function, args, kwargs, second, preserve_rng_state, determinism_check != "none")
    region = Region()
    with _entered(first):
        result = function(*args, **kwargs)
    outs = list(_tensors(result))
    sources = region.sources(outs)
    if not sources:
        return result
    ctx = FunctionCtx()
    ctx.set_materialize_grads(False)
    run.sources, run.metas = sources, [(t.shape, t.dtype) for t in outs]
    outside = [*_tensors((args, kwargs)), *(t for t in sources if t._node is None)]
    run.watch(outside)
    node = FunctionNode("Checkpoint", run.backward, ctx, sources)
    node.place = run.place = caller()
    for tensor in outs:
        if not tensor._requires_grad:
            ctx._constant = (*ctx._constant, tensor)
    fresh = {id(t): t if any(t is c for c in ctx._constant) else _without_tape(t, outside) for t in outs}
    _attach(node, ctx, [fresh[id(t)] for t in outs])
    return _replace(result, fresh)


class _Run:
    """One call, to be repeated."""

    def __init__(
        self, function: Any, args: Any, kwargs: Any, context: Any, preserve_rng_state: bool, compare: bool
    ) -> None:
        self.function, self.args, self.kwargs, self.context, self.compare = function, args, kwargs, context, compare
        self.random = (default_generator.seed_value, default_generator.offset) if preserve_rng_state else None
        self.sources: list[Tensor] = []
        self.metas: list[Any] = []
        self.versions: list[tuple[Storage, int]] = []
        self.place: Any = None

    def watch(self, tensors: Sequence[Tensor]) -> None:
        """Remember the versions of what will be read again."""
        for tensor in tensors:
            if tensor._storage is None:
                tensor._storage = Storage()
            self.versions.append((tensor._storage, tensor._storage.version))

    def backward(self, ctx: Any, *grads: Tensor | None) -> Any:
        """Run again, recording, and send the gradients of the results to the sources."""
        where = f"checkpoint at {line_of(self.place)}"
        for storage, version in self.versions:
            if storage.version != version:
                raise InplaceError(
                    f"{where}: {storage.by}() at {line_of(storage.place)} changed in place what the function reads, "
                    "before "
                    "backward could run it again; use the out-of-place operator there, or run backward first"
                ).at(None, user_location())
        create_graph = state.grad
        now = default_generator.seed_value, default_generator.offset
        if self.random is not None:
            default_generator.seed_value, default_generator.offset = self.random
        state.grad = True
        try:
            region = Region()
            with _entered(self.context):
                outs = list(_tensors(self.function(*self.args, **self.kwargs)))
        finally:
            state.grad = create_graph
            if self.random is not None:
                default_generator.seed_value, default_generator.offset = now
        metas = [(t.shape, t.dtype) for t in outs]
        if len(metas) != len(self.metas) or (self.compare and metas != self.metas):
            raise AutogradError(
                f"{where}: the function returned other tensors when it was run again for backward: "
                f"{_text(self.metas)} at first, "
                f"then {_text(metas)}; it must not depend on anything that changes in between"
            ).at(None, user_location())
        pairs = [(t, g) for t, g in zip(outs, grads, strict=True) if g is not None]
        found = region.gradients([t for t, _ in pairs], [g for _, g in pairs], create_graph)
        return tuple([found.get(key_of(t)) for t in self.sources])


def _text(metas: list[Any]) -> str:
    return ", ".join(f"{dtype.name}{list(shape)}" for shape, dtype in metas) or "nothing"


def _without_tape(result: Tensor, outside: Sequence[Tensor]) -> Tensor:
    """A tensor with the same numbers that keeps nothing of how they were made; a view of an outside one if it was."""
    out = Tensor._from_data(result._data)
    for tensor in outside:
        if np.may_share_memory(tensor._data, result._data):
            out._base = tensor if tensor._base is None else tensor._base
            out._made, out._seen = "checkpoint.apply", out._base._node
            out._storage = tensor._storage
    return out


@contextmanager
def _entered(context: Any) -> Iterator[None]:
    if context is None:
        yield
        return
    with context:
        yield


def _tensors(value: Any) -> Iterator[Tensor]:
    """The tensors in nested tuples, lists and dicts."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


def _replace(value: Any, by: dict[int, Tensor]) -> Any:
    if isinstance(value, Tensor):
        return by[id(value)]
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(_replace(v, by) for v in value))
    if isinstance(value, (tuple, list)):
        return type(value)(_replace(v, by) for v in value)
    if isinstance(value, dict):
        return type(value)((k, _replace(v, by)) for k, v in value.items())
    return value


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Run modules (a Sequential or a list) one after the other, all but the last of `segments` parts checkpointed.

    >>> import pappus as pp
    >>> layers = pp.nn.Sequential(pp.nn.Linear(2, 2), pp.nn.ReLU(), pp.nn.Linear(2, 2))
    >>> checkpoint_sequential(layers, 2, pp.ones(1, 2)).shape
    pappus.Size([1, 2])
    """
    modules = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= max(1, len(modules)):
        raise ArgumentError(
            f"checkpoint_sequential: segments must be between 1 and the number of modules, {len(modules)}; got "
            f"{segments}"
        ).at(None, user_location())
    size = len(modules) // segments

    def part(start: int, end: int) -> Callable[[Any], Any]:
        def run(x: Any) -> Any:
            for module in modules[start:end]:
                x = module(x)
            return x

        return run

    last = size * (segments - 1)
    for start in range(0, last, size):
        input = checkpoint(part(start, start + size), input, use_reentrant=use_reentrant, **kwargs)
    return part(last, len(modules))(input)
