"""Parameters computed from others: `register_parametrization(layer, "weight", f)` makes `layer.weight` f(original).

The layer's class is replaced by a subclass of its own whose attribute of that name is a property; the original stands
in the state dict under "parametrizations.weight.original".
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pappus.frontend import ops as _loaded
from pappus.frontend.autograd import no_grad
from pappus.frontend.nn.container import ModuleDict, ModuleList
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.tensor import Tensor

ops: Any = _loaded
__all__ = [
    "ParametrizationList", "cached", "is_parametrized", "register_parametrization", "remove_parametrizations",
    "weight_norm",
]  # fmt: skip

_cache: dict[tuple[int, str], Any] | None = None


class ParametrizationList(ModuleList):
    """The functions of one parameter, first to last, and the tensor or tensors it is computed from."""

    def __init__(self, modules: list[Module], original: Tensor) -> None:
        super().__init__(modules)
        with no_grad():
            source: Any = original
            for module in reversed(modules):
                if hasattr(module, "right_inverse"):
                    source = module.right_inverse(source)
        self.is_tensor = isinstance(source, Tensor)
        self.ntensors = 1 if self.is_tensor else len(source)
        for name, tensor in zip(self._names(), [source] if self.is_tensor else source, strict=True):
            if isinstance(original, Parameter):
                kept = original if tensor is original else Parameter(tensor.detach(), original.requires_grad)
                self.register_parameter(name, kept)
            else:
                self.register_buffer(name, tensor)

    def _names(self) -> list[str]:
        return ["original"] if self.is_tensor else [f"original{i}" for i in range(self.ntensors)]

    def right_inverse(self, value: Tensor) -> None:
        """Set the originals so that the parameter becomes `value`."""
        with no_grad():
            source: Any = value
            for module in reversed(list(self)):
                if not hasattr(module, "right_inverse"):
                    raise RuntimeError(
                        f"parametrization {type(module).__name__} has no right_inverse: what it computes cannot be "
                        "assigned; set its original instead"
                    )
                source = module.right_inverse(source)
            for name, tensor in zip(self._names(), [source] if self.is_tensor else source, strict=True):
                getattr(self, name).copy_(tensor)

    def forward(self) -> Any:
        modules = list(self)
        found = modules[0](*(getattr(self, name) for name in self._names()))
        for module in modules[1:]:
            found = module(found)
        return found


@contextmanager
def cached() -> Iterator[None]:
    """Inside the `with` block each parametrized parameter is computed once."""
    global _cache
    before, _cache = _cache, {}
    try:
        yield
    finally:
        _cache = before


def _property(name: str) -> property:
    def get(self: Any) -> Any:
        if _cache is None:
            return self.parametrizations[name]()
        key = (id(self), name)
        if key not in _cache:
            _cache[key] = self.parametrizations[name]()
        return _cache[key]

    def put(self: Any, value: Any) -> None:
        self.parametrizations[name].right_inverse(value)

    return property(get, put)


def is_parametrized(module: Module, tensor_name: str | None = None) -> bool:
    """Whether a module has parametrized parameters, or this one."""
    found = getattr(module, "parametrizations", None)
    if not isinstance(found, ModuleDict):
        return False
    return len(found) > 0 if tensor_name is None else tensor_name in found


def register_parametrization(
    module: Module, tensor_name: str, parametrization: Module, *, unsafe: bool = False
) -> Module:
    """Make the parameter or buffer `tensor_name` what `parametrization` computes from it; a second one comes after it.

    Where the parametrization has `right_inverse(value)`, the parameter keeps its value and can be assigned to. Raises
    ValueError where there is no such tensor, or its shape or type would change.

    >>> import pappus as pp
    >>> class Symmetric(pp.nn.Module):
    ...     def forward(self, x: pp.Tensor) -> pp.Tensor:
    ...         return x.triu() + x.triu(1).T
    >>> layer = register_parametrization(pp.nn.Linear(3, 3), "weight", Symmetric())
    >>> bool((layer.weight == layer.weight.T).all()), list(layer.state_dict())
    (True, ['bias', 'parametrizations.weight.original'])
    """
    if is_parametrized(module, tensor_name):
        module.parametrizations[tensor_name].append(parametrization)
        return module
    original: Tensor | None = module._parameters.get(tensor_name)
    if original is None:
        original = module._buffers.get(tensor_name)
    if original is None:
        kind = type(module).__name__
        raise ValueError(f"register_parametrization: {kind} has no parameter or buffer {tensor_name!r}")
    functions = ParametrizationList([parametrization], original)
    with no_grad():
        found = functions()
    if not unsafe and (tuple(found.shape) != tuple(original.shape) or found.dtype is not original.dtype):
        raise ValueError(
            f"register_parametrization: {type(parametrization).__name__} makes {found.dtype.name}{list(found.shape)} "
            f"of {original.dtype.name}{list(original.shape)}; it must keep shape and type, unless unsafe=True"
        )
    module._forget(tensor_name)
    if not is_parametrized(module):
        plain = type(module)
        members = {"__module__": plain.__module__, "_plain": plain}
        module.__class__ = type(f"Parametrized{plain.__name__}", (plain,), members)
        module.parametrizations = ModuleDict()
    setattr(type(module), tensor_name, _property(tensor_name))
    module.parametrizations[tensor_name] = functions
    return module


def remove_parametrizations(module: Module, tensor_name: str, leave_parametrized: bool = True) -> Module:
    """Make the parameter an ordinary one again: with the computed value, or (not `leave_parametrized`) its original."""
    if not is_parametrized(module, tensor_name):
        kind = type(module).__name__
        raise ValueError(f"remove_parametrizations: {kind} has no parametrization on {tensor_name!r}")
    functions = module.parametrizations[tensor_name]
    if leave_parametrized:
        with no_grad():
            value = functions()
    elif functions.is_tensor:
        value = functions.original
    else:
        raise ValueError("remove_parametrizations: there are several originals; leave_parametrized=False needs one")
    first = getattr(functions, functions._names()[0])
    delattr(type(module), tensor_name)
    del module.parametrizations[tensor_name]
    if isinstance(first, Parameter):
        module.register_parameter(tensor_name, Parameter(value.detach(), first.requires_grad))
    else:
        module.register_buffer(tensor_name, value)
    if not is_parametrized(module):
        module._forget("parametrizations")
        module.__class__ = type(module)._plain  # type: ignore[attr-defined]  # of the subclass made above
    return module


# -- weight normalization -------------------------------------------------------------------------


def norm_except(v: Tensor, dim: int | None) -> Tensor:
    """The Euclidean norm over all dimensions but one, which it keeps; over all of them for None or -1."""
    if dim is None or dim == -1:
        return (v * v).sum().sqrt()  # type: ignore[no-any-return]
    dims = tuple(d for d in range(v.ndim) if d != dim % v.ndim)
    return (v * v).sum(dims, keepdim=True).sqrt()  # type: ignore[no-any-return]


class _WeightNorm(Module):
    def __init__(self, dim: int | None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, g: Tensor, v: Tensor) -> Tensor:
        return v * (g / norm_except(v, self.dim))

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        return norm_except(weight, self.dim), weight


def weight_norm(module: Module, name: str = "weight", dim: int | None = 0) -> Module:
    """Length and direction apart: weight = g v / ||v||, the norm over all dimensions but `dim`.

    The parameters are parametrizations.<name>.original0 (g) and .original1 (v). Salimans and Kingma, 2016.
    """
    return register_parametrization(module, name, _WeightNorm(dim), unsafe=True)
