"""Weight normalization as a hook: `weight_g` and `weight_v`, from which `weight` is computed before each call."""

from __future__ import annotations

from typing import Any

from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.nn.parametrize import norm_except

__all__ = ["remove_weight_norm", "weight_norm"]


class _Compute:
    """The hook of one parameter."""

    def __init__(self, name: str, dim: int | None) -> None:
        self.name, self.dim = name, dim

    def value(self, module: Module) -> Any:
        g, v = getattr(module, f"{self.name}_g"), getattr(module, f"{self.name}_v")
        return v * (g / norm_except(v, self.dim))

    def __call__(self, module: Module, inputs: Any) -> None:
        module.__dict__[self.name] = self.value(module)


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Length and direction apart: weight = g v / ||v||, the norm over all dimensions but `dim`.

    The older form, with parameters <name>_g and <name>_v; see `parametrizations.weight_norm` for the newer one.

    >>> import pappus as pp
    >>> list(weight_norm(pp.nn.Linear(2, 1)).state_dict())
    ['bias', 'weight_g', 'weight_v']
    """
    hook = _Compute(name, dim)
    if any(isinstance(h, _Compute) and h.name == name for h, _ in module._pre_hooks.values()):
        raise RuntimeError(f"weight_norm: {type(module).__name__} has one on {name!r} already")
    weight = module._parameters.get(name)
    if weight is None:
        raise ValueError(f"weight_norm: {type(module).__name__} has no parameter {name!r}")
    module._forget(name)
    module.register_parameter(f"{name}_g", Parameter(norm_except(weight.detach(), dim)))
    module.register_parameter(f"{name}_v", Parameter(weight.detach()))
    module.__dict__[name] = hook.value(module)
    module.register_forward_pre_hook(hook)
    return module


def remove_weight_norm(module: Module, name: str = "weight") -> Module:
    """Make the parameter an ordinary one again, with its value."""
    for key, (hook, _) in module._pre_hooks.items():
        if isinstance(hook, _Compute) and hook.name == name:
            value = hook.value(module).detach()
            del module._pre_hooks[key]
            for part in (name, f"{name}_g", f"{name}_v"):
                module._forget(part)
            module.register_parameter(name, Parameter(value))
            return module
    raise ValueError(f"remove_weight_norm: {type(module).__name__} has none on {name!r}")
