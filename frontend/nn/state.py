"""State dicts of modules: collecting one, and loading one, which checks every name and size before it copies anything.

Besides tensors they have what `get_extra_state` returns of modules that define it, under the name "_extra_state".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign as assign_tensor
from pappus.frontend.nn.parameter import Parameter, UninitializedBuffer, UninitializedParameter
from pappus.frontend.tensor import Tensor

if TYPE_CHECKING:
    from pappus.frontend.nn.module import Module


_UNSHAPED = (UninitializedParameter, UninitializedBuffer)


class IncompatibleKeys(NamedTuple):
    """The names a module has and the state dict has not, and the other way round."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


def _quoted(names: list[str]) -> str:
    return ", ".join(f'"{name}"' for name in names)


EXTRA = "_extra_state"


def _modules(module: Module, prefix: str = "") -> list[tuple[str, Module]]:
    """This module and all below with what their names begin with, shared ones under every name."""
    path = module.named_modules(prefix=prefix, remove_duplicate=False)
    return [(f"{name}." if name else "", found) for name, found in path]


def _defines(module: Module, method: str) -> bool:
    from pappus.frontend.nn.module import Module

    return getattr(type(module), method) is not getattr(Module, method)


def save_state(module: Module, state: dict[str, Any], prefix: str, keep_vars: bool, hooks: bool = True) -> None:
    """Put the entries of a module and of those below it into `state`; see `Module.state_dict`."""
    if hooks:
        for hook, _ in list(module._save_pre_hooks.values()):
            hook(module, prefix, keep_vars)
    for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
        if tensor is not None and name not in module._non_persistent:
            state[prefix + name] = tensor if keep_vars or isinstance(tensor, _UNSHAPED) else tensor.detach()
    if hooks and _defines(module, "get_extra_state"):
        state[prefix + EXTRA] = module.get_extra_state()
    for name, child in module._modules.items():
        if child is not None:
            save_state(child, state, f"{prefix}{name}.", keep_vars, hooks)
    if hooks:
        for hook, _ in list(module._save_hooks.values()):
            if hook(module, state, prefix, {}) is not None:
                raise RuntimeError(f"state_dict post-hook must return None, it changes the dict in place: {hook}")


def _run_load_pre_hooks(module: Module, state: dict[str, Any], strict: bool, lists: tuple[list[str], ...]) -> None:
    """Every hook sees, and may change, the entries under its own module's name."""
    for prefix, owner in _modules(module):
        for hook, _ in list(owner._load_pre_hooks.values()):
            part = {name: value for name, value in state.items() if name.startswith(prefix)}
            for name in part:
                del state[name]
            hook(owner, part, prefix, {}, strict, *lists)
            state.update(part)


def load_state(module: Module, given: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(given, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(given).__name__}.")
    state = dict(given)
    missing, unexpected = keys = IncompatibleKeys([], [])
    problems: list[str] = []
    _run_load_pre_hooks(module, state, strict, (*keys, problems))
    own: dict[str, Any] = {}
    save_state(module, own, "", True, hooks=False)
    extras = {prefix + EXTRA: owner for prefix, owner in _modules(module) if _defines(owner, "set_extra_state")}
    # Models saved before batch norm counted its batches have no counters.
    known = [*own, *extras]
    missing += [name for name in known if name not in state and not name.endswith("num_batches_tracked")]
    unexpected += [name for name in state if name not in own and name not in extras]
    values = _fitting(state, own, problems)
    hooks = [(owner, hook) for _, owner in reversed(_modules(module)) for hook, _ in owner._load_hooks.values()]
    if problems or not hooks:  # hooks run after the copy, and may take names off these lists
        _complain(module, keys if strict else None, problems)
    with no_grad():
        for name, value in values.items():
            if isinstance(own[name], _UNSHAPED):  # a lazy layer takes the sizes of what it loads
                own[name].materialize(value.shape)
            if assign:
                _replace(module, name, value, own[name])
            else:
                target = own[name]
                assign_tensor(target, value if value.dtype is target.dtype else value.to(target.dtype))
        for name, owner in extras.items():
            if name in state:
                owner.set_extra_state(state[name])
    for owner, hook in hooks:
        if hook(owner, keys) is not None:
            raise RuntimeError(f"load_state_dict post-hook must return None, it changes the lists in place: {hook}")
    _complain(module, keys if strict else None, [])
    return keys


def _fitting(state: dict[str, Any], own: dict[str, Any], problems: list[str]) -> dict[str, Tensor]:
    """The tensors of `state` that have a place in `own`; what does not fit its place goes to `problems`."""
    values: dict[str, Tensor] = {}
    for name in own:
        if name not in state:
            continue
        value = state[name]
        if not isinstance(value, Tensor):
            try:
                value = Tensor._from_data(np.array(value))
            except (TypeError, ValueError):
                problems.append(f"{name} is a {type(value).__name__}, not a tensor")
                continue
        if isinstance(value, _UNSHAPED):
            problems.append(f"{name} has no shape: the state dict is that of a lazy layer before its first input")
            continue
        if not isinstance(own[name], _UNSHAPED) and tuple(value.shape) != tuple(own[name].shape):
            problems.append(
                f"size mismatch for {name}: copying a param with shape {_shape(value)} from checkpoint, the shape in "
                f"current model is {_shape(own[name])}."
            )
        values[name] = value.detach()
    return values


def _complain(module: Module, keys: IncompatibleKeys | None, problems: list[str]) -> None:
    found = []
    if keys is not None and keys.unexpected_keys:
        found.append(f"Unexpected key(s) in state_dict: {_quoted(keys.unexpected_keys)}. ")
    if keys is not None and keys.missing_keys:
        found.append(f"Missing key(s) in state_dict: {_quoted(keys.missing_keys)}. ")
    if found or problems:
        text = "\n\t".join(found + problems)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{text}")


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def _replace(module: Module, name: str, value: Tensor, old: Tensor) -> None:
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    if isinstance(old, Parameter):
        owner._parameters[last] = Parameter(value, old.requires_grad)
    else:
        owner._buffers[last] = value
