"""The base of all optimizers: parameter groups, per-parameter state, saving and loading."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

from pappus.frontend.autograd import enable_grad, no_grad
from pappus.frontend.tensor import HookHandle, Tensor

Group: TypeAlias = dict[str, Any]
Hook: TypeAlias = Callable[["Optimizer", tuple[Any, ...], dict[str, Any]], Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]


class Optimizer:
    """Base class: subclasses define `_update(parameter, group)`, which changes one parameter that has a gradient.

    `params` are tensors, `(name, tensor)` pairs, or dicts with a "params" entry and options of their own that
    replace `defaults` for that group. Groups may be edited at any time: `optimizer.param_groups[0]["lr"] = 1e-4`.
    """

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                f"{type(self).__name__}: params must be an iterable of tensors or dicts, got one tensor; "
                "write [tensor]."
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._pre_hooks: list[Hook] = []
        self._post_hooks: list[Hook] = []
        entries: list[Any] = list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: optimizer got an empty parameter list.")
        if not isinstance(entries[0], dict):
            entries = [{"params": entries}]
        for group in entries:
            self.add_param_group(group)

    def add_param_group(self, param_group: Group) -> None:
        """Add one more group of parameters, with options of its own."""
        group = dict(param_group)
        params = group["params"]
        listed: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        tensors = [item[1] if isinstance(item, tuple) else item for item in listed]
        if any(isinstance(item, tuple) for item in listed):
            group["param_names"] = [item[0] for item in listed]
        seen = {id(p) for other in self.param_groups for p in other["params"]}
        for param in tensors:
            if not isinstance(param, Tensor):
                raise TypeError(f"{type(self).__name__}: can only optimize tensors, got {type(param).__name__}.")
            if not param.is_leaf:
                raise ValueError(f"{type(self).__name__}: can't optimize a non-leaf tensor (an operator's result).")
            if id(param) in seen:
                raise ValueError(f"{type(self).__name__}: a parameter appears in more than one group or twice in one.")
            seen.add(id(param))
        group["params"] = tensors
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        self.param_groups.append(group)

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients, or with `set_to_none=False` fill them with zeros."""
        for group in self.param_groups:
            for param in group["params"]:
                if param.grad is None:
                    continue
                if set_to_none:
                    param.grad = None
                else:
                    with no_grad():
                        param.grad.detach_()
                        param.grad.zero_()

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; `closure` recomputes the loss, which is then returned."""
        for hook in self._pre_hooks:
            hook(self, (closure,), {})
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, group)
        for hook in self._post_hooks:
            hook(self, (closure,), {})
        return loss

    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step."""
        self._pre_hooks.append(hook)
        return HookHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        self._post_hooks.append(hook)
        return HookHandle(self._post_hooks, hook)

    def _update(self, param: Tensor, group: Group) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _update(param, group) or step().")

    def state_dict(self) -> dict[str, Any]:
        """State and options as plain dicts, with the parameters replaced by their running numbers."""
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(param)]: value for param, value in self.state.items()}
        return {"state": state, "param_groups": groups}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned, for the same groups of parameters in the same order."""
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has {len(saved)} parameter groups, this optimizer has {len(self.param_groups)}."
            )
        by_number: dict[int, Tensor] = {}
        for index, (old, group) in enumerate(zip(saved, self.param_groups, strict=True)):
            if len(old["params"]) != len(group["params"]):
                raise ValueError(
                    f"loaded state dict has {len(old['params'])} parameters in group {index}, "
                    f"this optimizer has {len(group['params'])}."
                )
            by_number.update(zip(old["params"], group["params"], strict=True))
        for old, group in zip(saved, self.param_groups, strict=True):
            group.update({key: copy.deepcopy(value) for key, value in old.items() if key != "params"})
        self.state = defaultdict(dict)
        with no_grad():
            for number, entries in state_dict["state"].items():
                param = by_number[int(number)]
                self.state[param] = {key: _cast(key, value, param) for key, value in entries.items()}

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key not in ("params", "param_names")]
        return "\n".join([*lines, ")"])


def _cast(key: str, value: Any, param: Tensor) -> Any:
    """State tensors take their parameter's floating type, except the step counter."""
    if not isinstance(value, Tensor):
        return copy.deepcopy(value)
    if key != "step" and param.dtype.is_floating_point:
        return value.detach().clone().to(param.dtype)
    return value.detach().clone()


def check_range(name: str, value: float, low: float = 0.0, below: float | None = None) -> None:
    """Refuse an option outside [low, below)."""
    if not value >= low or (below is not None and not value < below):
        end = "" if below is None else f" and below {below}"
        raise ValueError(f"Invalid {name}: {value} (must be at least {low}{end})")
