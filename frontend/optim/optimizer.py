"""What optimizers share: parameter groups, per-parameter state, hooks, saving and loading."""

from __future__ import annotations

import copy
import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from pappus.frontend import ops
from pappus.frontend.autograd import enable_grad, is_grad_enabled, no_grad, set_grad_enabled
from pappus.frontend.dispatch import call_into
from pappus.frontend.inplace import assign
from pappus.frontend.tensor import HookHandle, Tensor

__all__ = [
    "Group", "Hook", "Optimizer", "Params", "ParamsT", "register_optimizer_step_post_hook",
    "register_optimizer_step_pre_hook",
]  # fmt: skip

Group: TypeAlias = dict[str, Any]
Hook: TypeAlias = Callable[..., Any]
Params: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
ParamsT: TypeAlias = Params

_PRE_HOOKS: list[Hook] = []
_POST_HOOKS: list[Hook] = []


def register_optimizer_step_pre_hook(hook: Hook) -> HookHandle:
    """Call `hook(optimizer, args, kwargs)` before each step of every optimizer."""
    _PRE_HOOKS.append(hook)
    return HookHandle(_PRE_HOOKS, hook)


def register_optimizer_step_post_hook(hook: Hook) -> HookHandle:
    """Call `hook(optimizer, args, kwargs)` after each step of every optimizer."""
    _POST_HOOKS.append(hook)
    return HookHandle(_POST_HOOKS, hook)


def _hooked(step: Callable[..., Any]) -> Callable[..., Any]:
    """`step` with the hooks around it, once even if it calls the inherited `step`."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        if self._stepping:
            return step(self, *args, **kwargs)
        self._stepping = True
        try:
            given: tuple[Any, ...] = (self, *args)
            for hook in (*_PRE_HOOKS, *self._pre_hooks):
                result = hook(self, given, kwargs)
                if result is not None:
                    if not (isinstance(result, tuple) and len(result) == 2):
                        raise RuntimeError(
                            f"{hook} must return None or a tuple of (new_args, new_kwargs), but got {result}."
                        )
                    given, kwargs = result
            found = step(*given, **kwargs)
            for hook in (*_POST_HOOKS, *self._post_hooks):
                hook(self, given, kwargs)
        finally:
            self._stepping = False
        self._opt_called = True
        return found

    return run


class Optimizer:
    """Base class: subclasses define `_update(parameter, group)`, which changes one parameter that has a gradient.

    `params` are tensors, `(name, tensor)` pairs, or dicts with a "params" entry and options of their own that
    replace `defaults` for that group. Groups may be edited at any time: `optimizer.param_groups[0]["lr"] = 1e-4`.
    A subclass that needs all parameters at once defines `step(closure=None)` instead.
    """

    _stepping = False
    _opt_called = False

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "step" in cls.__dict__:
            cls.step = _hooked(cls.__dict__["step"])  # type: ignore[method-assign]

    def __init__(self, params: Params, defaults: dict[str, Any]) -> None:
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got one "
                f"{type(params).__name__}; write {type(self).__name__}([tensor])"
            )
        self.defaults = defaults
        self.state: defaultdict[Tensor, dict[str, Any]] = defaultdict(dict)
        self.param_groups: list[Group] = []
        self._no_hooks()
        if defaults.get("fused") and defaults.get("differentiable"):
            raise RuntimeError("`fused` does not support `differentiable`")
        if defaults.get("fused") and defaults.get("foreach"):
            raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
        # A set is left as it is, for add_param_group to refuse.
        entries: Any = [{"params": params}] if isinstance(params, (set, frozenset)) else list(params)
        if not entries:
            raise ValueError(f"{type(self).__name__}: optimizer got an empty parameter list")
        if not isinstance(entries[0], dict):
            entries = [{"params": entries}]
        for group in entries:
            self.add_param_group(group)

    def _no_hooks(self) -> None:
        self._pre_hooks: list[Hook] = []
        self._post_hooks: list[Hook] = []
        self._save_hooks: tuple[list[Hook], list[Hook]] = ([], [])
        self._load_hooks: tuple[list[Hook], list[Hook]] = ([], [])

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if "_pre_hooks" not in self.__dict__:
            self._no_hooks()
        for group in self.param_groups:
            for name, value in self.defaults.items():
                group.setdefault(name, value)

    # -- groups -------------------------------------------------------------------------------------

    def add_param_group(self, param_group: Group) -> None:
        """Add one more group of parameters, with options of its own."""
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        group = param_group
        params = group["params"]
        if isinstance(params, (set, frozenset)):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the order of tensors in sets "
                "changes between runs; use a list instead"
            )
        listed: list[Any] = [params] if isinstance(params, Tensor) else list(params)
        named = [isinstance(item, tuple) for item in listed]
        if any(named) and not all(named):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing: "
                f"{named.count(False)} of {len(named)} parameters"
            )
        tensors = [item[1] if isinstance(item, tuple) else item for item in listed]
        for param in tensors:
            if not isinstance(param, Tensor):
                raise TypeError(
                    f"{type(self).__name__}: optimizer can only optimize Tensors, but one of the params is "
                    f"{type(param).__name__}"
                )
            if not (param.is_leaf or self.defaults.get("differentiable") or param.retains_grad):
                raise ValueError(
                    f"{type(self).__name__}: can't optimize a non-leaf Tensor (an operator's result); give the "
                    "optimizer the tensor that was computed from"
                )
        if any(named) != ("param_names" in self.param_groups[0] if self.param_groups else any(named)):
            kind = "with" if any(named) else "without"
            raise ValueError(
                "all optimizer param groups should be with/without names. "
                f"cannot add param group {kind} names to the optimizer"
            )
        for name, value in self.defaults.items():
            group.setdefault(name, value)
        if len({id(p) for p in tensors}) != len(tensors):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; each copy is updated at every step",
                stacklevel=3,
            )
        seen = {id(p) for other in self.param_groups for p in other["params"]}
        if any(id(p) in seen for p in tensors):
            raise ValueError(f"{type(self).__name__}: some parameters appear in more than one parameter group")
        group["params"] = tensors
        if any(named):
            group["param_names"] = [item[0] for item in listed]
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

    # -- the step -----------------------------------------------------------------------------------

    @_hooked
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update every parameter that has a gradient; `closure` recomputes the loss, which is then returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with set_grad_enabled(bool(self.defaults.get("differentiable", False))):
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._update(param, group)
        return loss

    def _update(self, param: Tensor, group: Group) -> None:
        raise NotImplementedError(f"{type(self).__name__} must define _update(param, group) or step().")

    def _counted(self, param: Tensor) -> dict[str, Any]:
        """The state of a parameter, with `step` one higher."""
        state: dict[str, Any] = self.state[param]
        if "step" not in state:
            state["step"] = ops.zeros(())
        with no_grad():
            assign(state["step"], state["step"] + 1)
        return state

    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` before each step; it may return new `(args, kwargs)`.

        `args` begins with the optimizer itself, as in PyTorch.
        """
        self._pre_hooks.append(hook)
        return HookHandle(self._pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call `hook(optimizer, args, kwargs)` after each step."""
        self._post_hooks.append(hook)
        return HookHandle(self._post_hooks, hook)

    # -- saving and loading -------------------------------------------------------------------------

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` before `state_dict()`."""
        return _register(self._save_hooks[0], hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` after `state_dict()`; what it returns, if not None, replaces the dict."""
        return _register(self._save_hooks[1], hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer, state_dict)` before loading; what it returns, if not None, is loaded instead."""
        return _register(self._load_hooks[0], hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call `hook(optimizer)` after `load_state_dict()`."""
        return _register(self._load_hooks[1], hook, prepend)

    def state_dict(self) -> dict[str, Any]:
        """State and options as plain dicts, with the parameters replaced by their running numbers."""
        for hook in self._save_hooks[0]:
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        for group in self.param_groups:
            for param in group["params"]:
                numbers.setdefault(id(param), len(numbers))
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(p)] for p in group["params"]]
            groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        found: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._save_hooks[1]:
            changed = hook(self, found)
            found = found if changed is None else changed
        return found

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take over what `state_dict` returned (also PyTorch's), for the same groups of parameters in the same order.

        Raises ValueError where the groups do not fit. Floating-point state takes the type of its parameter.
        """
        state_dict = dict(state_dict)
        for hook in self._load_hooks[0]:
            changed = hook(self, state_dict)
            state_dict = state_dict if changed is None else changed
        saved = state_dict["param_groups"]
        if len(saved) != len(self.param_groups):
            raise ValueError(
                f"loaded state dict has a different number of parameter groups: it has {len(saved)}, this optimizer "
                f"has {len(self.param_groups)}"
            )
        by_number: dict[int, Tensor] = {}
        for index, (old, group) in enumerate(zip(saved, self.param_groups, strict=True)):
            if len(old["params"]) != len(group["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of optimizer's group: "
                    f"it has {len(old['params'])} parameters in group {index}, this optimizer has "
                    f"{len(group['params'])}"
                )
            by_number.update(zip(old["params"], group["params"], strict=True))
        for old, group in zip(saved, self.param_groups, strict=True):
            kept = ("params", "param_names") if "param_names" in group else ("params",)
            group.update({key: _loaded(value) for key, value in old.items() if key not in kept})
        self.state = defaultdict(dict)
        with no_grad():
            for number, entries in state_dict["state"].items():
                param: Any = by_number.get(number, number)
                self.state[param] = {key: _loaded(value, key, param) for key, value in entries.items()}
        for hook in self._load_hooks[1]:
            hook(self)

    def __repr__(self) -> str:
        lines = [f"{type(self).__name__} ("]
        for index, group in enumerate(self.param_groups):
            lines.append(f"Parameter Group {index}")
            lines += [f"    {key}: {group[key]}" for key in sorted(group) if key != "params"]
        return "\n".join([*lines, ")"])


def _register(hooks: list[Hook], hook: Hook, prepend: bool) -> HookHandle:
    hooks.insert(0 if prepend else len(hooks), hook)
    return HookHandle(hooks, hook)


def _loaded(value: Any, key: str = "", param: Any = None) -> Any:
    """A copy of a saved value; tensors of state take their parameter's floating type, except the step counter."""
    if isinstance(value, dict):
        return {name: _loaded(item, key, param) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_loaded(item, key, param) for item in value)
    if key == "step" and isinstance(value, (int, float)):
        return ops.zeros(()) + float(value)
    if not isinstance(value, Tensor):
        if not hasattr(value, "__array__") or isinstance(value, np.generic):
            return copy.deepcopy(value)
        value = Tensor._from_data(np.asarray(value))  # PyTorch's
    if key != "step" and isinstance(param, Tensor) and param.dtype.is_floating_point:
        return value.detach().clone().to(param.dtype)
    return value.detach().clone()


def put(front: Any, operands: tuple[Any, ...], targets: tuple[Any, ...], **options: Any) -> None:
    """Run the operator of an update, and write its results over `targets` (None: not wanted)."""
    if is_grad_enabled():  # a differentiable step keeps its operands, which this and later steps overwrite
        operands = tuple(None if o is None else o.clone() for o in operands)
    if operands[0].dtype.is_complex:  # real and imaginary parts are parameters of their own, in the same memory
        operands, targets = _parts(operands), _parts(targets)
    call_into(front.op, operands, options, targets)


def _parts(tensors: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(t if t is None or not t.dtype.is_complex else ops.view_as_real(t) for t in tensors)


def number(value: Any) -> float:
    """An option of a group as a float: 1-element tensors are allowed."""
    return value if type(value) is float else float(value)


def numbers(group: Group, *names: str) -> dict[str, Any]:
    """What operators of updates are told of a group: these options as floats, "betas" as two, and `maximize`."""
    found: dict[str, Any] = {"maximize": group["maximize"]}
    for name in names:
        if name == "betas":
            found["beta1"], found["beta2"] = map(number, group["betas"])
        else:
            found[name] = number(group[name])
    return found


def zeros(state: dict[str, Any], param: Tensor, *names: str) -> tuple[Tensor, ...]:
    """Tensors of a parameter's state that are like it, zero at first."""
    for name in names:
        if name not in state:
            state[name] = ops.zeros_like(param)
    return tuple(state[name] for name in names)


def check_lr(lr: Any, name: str = "Invalid learning rate: ") -> None:
    """Refuse a rate that is negative, or a tensor of several."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError(f"Tensor lr must be 1-element, got shape {list(lr.shape)}")
    if not float(lr) >= 0.0:
        raise ValueError(f"{name}{lr} (must be at least 0)")


def checked(given: dict[str, Any], *others: str) -> dict[str, Any]:
    """The options among the `locals()` of an optimizer's `__init__`, whose parameters are the only names it has yet.

    Refuses what no optimizer takes: negative lr, eps, weight_decay and `others`, betas outside [0, 1).
    """
    options = {name: value for name, value in given.items() if name not in ("self", "__class__", "params")}
    check_lr(options["lr"])
    for name in ("eps", "weight_decay", *others):
        if name in options and not options[name] >= 0.0:
            label = "epsilon" if name == "eps" else name
            raise ValueError(f"Invalid {label} value: {options[name]} (must be at least 0)")
    if "betas" in options:
        options["betas"] = tuple(options["betas"])
        for index, beta in enumerate(options["betas"]):
            if not 0.0 <= float(beta) < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta} (must be at least 0 and below 1)")
    return options
