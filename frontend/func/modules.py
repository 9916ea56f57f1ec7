"""Modules as functions of their parameters: `functional_call`, and models stacked into one batch for vmap."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor

__all__ = ["functional_call", "stack_module_state"]


def _places(module: Any, tied: bool) -> dict[str, list[tuple[dict[str, Any], str]]]:
    """Where each parameter and buffer is kept, by its name; under all names of a tensor that has several if `tied`."""
    found: dict[str, list[tuple[dict[str, Any], str]]] = {}
    same: dict[int, list[tuple[dict[str, Any], str]]] = {}
    for path, owner in module.named_modules(remove_duplicate=False):
        for store in (owner._parameters, owner._buffers):
            for name, tensor in store.items():
                if tensor is None:
                    continue
                places = same.setdefault(id(tensor), []) if tied else []
                places.append((store, name))
                found[f"{path}.{name}" if path else name] = places
    return found


def functional_call(
    module: Any,
    parameter_and_buffer_dicts: Any,
    args: Any = None,
    kwargs: dict[str, Any] | None = None,
    *,
    tie_weights: bool = True,
    strict: bool = False,
) -> Any:
    """`module(*args, **kwargs)` with other tensors in place of the named parameters and buffers, for this call only.

    The dict (or several, which must not share names) maps names as in `named_parameters()` to tensors; what it does
    not name stays as it is, unless `strict`. A tensor that the module has under several names is replaced under all of
    them, unless `tie_weights=False`. Buffers that the module changes in place change in the dict.

    >>> import pappus as pp
    >>> layer = pp.nn.Linear(2, 1, bias=False)
    >>> pp.func.functional_call(layer, {"weight": pp.ones(1, 2)}, (pp.tensor([1.0, 2.0]),))
    tensor([3.])
    """
    dicts = parameter_and_buffer_dicts
    merged: dict[str, Tensor] = {}
    for part in [dicts] if isinstance(dicts, Mapping) else dicts:
        twice = [name for name in part if name in merged]
        if twice:
            raise ArgumentError(f"functional_call: {twice[0]!r} is in several of the dicts")
        merged.update(part)
    places = _places(module, tie_weights)
    unknown = [name for name in merged if name not in places]
    missing = [name for name in places if name not in merged] if strict else []
    if unknown or missing:
        what = f"no parameter or buffer {unknown[0]!r}" if unknown else f"{missing[0]!r}, which the dict lacks"
        raise ArgumentError(f"functional_call: {type(module).__name__} has {what}")
    saved = [(store, name, store[name]) for key in merged for store, name in places[key]]
    given = args if isinstance(args, tuple) else () if args is None else (args,)
    try:
        for key, tensor in merged.items():
            for store, name in places[key]:
                store[name] = tensor
        return module(*given, **(kwargs or {}))
    finally:
        for store, name, tensor in saved:
            store[name] = tensor


def stack_module_state(models: Sequence[Any]) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Parameters and buffers of models of one architecture, stacked along a new first dimension, for vmap over models.

    >>> import pappus as pp
    >>> models = [pp.nn.Linear(3, 2) for _ in range(4)]
    >>> params, buffers = pp.func.stack_module_state(models)
    >>> params["weight"].shape, params["weight"].requires_grad
    (pappus.Size([4, 2, 3]), True)
    >>> run = lambda p, b, x: pp.func.functional_call(models[0], (p, b), (x,))
    >>> pp.vmap(run, in_dims=(0, 0, None))(params, buffers, pp.ones(5, 3)).shape
    pappus.Size([4, 5, 2])
    """
    from pappus.frontend import ops

    if not models:
        raise ArgumentError("stack_module_state: no models")
    kinds = {type(m) for m in models}
    if len(kinds) > 1 or len({m.training for m in models}) > 1:
        raise ArgumentError("stack_module_state: the models must be of one class and all training, or all not")

    def stacked(dicts: list[dict[str, Tensor]], grad: bool) -> dict[str, Tensor]:
        found = {}
        for name in dicts[0]:
            column = [d[name] for d in dicts]
            one: Tensor = ops.stack([t.detach() for t in column])
            found[name] = one.requires_grad_(column[0].requires_grad) if grad else one
        return found

    return (
        stacked([dict(m.named_parameters()) for m in models], True),
        stacked([dict(m.named_buffers()) for m in models], False),
    )
