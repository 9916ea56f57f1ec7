"""Loading a state dict into a module: first every name and size is checked, then everything is copied."""

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


def load_state(module: Module, state: Mapping[str, Any], strict: bool, assign: bool) -> IncompatibleKeys:
    """See `Module.load_state_dict`."""
    if not isinstance(state, Mapping):
        raise TypeError(f"Expected state_dict to be dict-like, got {type(state).__name__}.")
    own = module.state_dict(keep_vars=True)
    missing = [name for name in own if name not in state]
    # Models saved before batch norm counted its batches have no counters.
    missing = [name for name in missing if not name.endswith("num_batches_tracked")]
    unexpected = [name for name in state if name not in own]
    values: dict[str, Tensor] = {}
    problems: list[str] = []
    if strict and unexpected:
        problems.append(f"Unexpected key(s) in state_dict: {_quoted(unexpected)}. ")
    if strict and missing:
        problems.append(f"Missing key(s) in state_dict: {_quoted(missing)}. ")
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
    if problems:
        text = "\n\t".join(problems)
        raise RuntimeError(f"Error(s) in loading state_dict for {type(module).__name__}:\n\t{text}")
    with no_grad():
        for name, value in values.items():
            if isinstance(own[name], _UNSHAPED):  # a lazy layer takes the sizes of what it loads
                own[name].materialize(value.shape)
            if assign:
                _replace(module, name, value, own[name])
            else:
                target = own[name]
                assign_tensor(target, value if value.dtype is target.dtype else value.to(target.dtype))
    return IncompatibleKeys(missing, unexpected)


def _shape(tensor: Tensor) -> str:
    return f"[{', '.join(map(str, tensor.shape))}]"


def _replace(module: Module, name: str, value: Tensor, old: Tensor) -> None:
    path, _, last = name.rpartition(".")
    owner = module.get_submodule(path)
    if isinstance(old, Parameter):
        owner._parameters[last] = Parameter(value, old.requires_grad)
    else:
        owner._buffers[last] = value
