"""The base of all layers: registration of parameters, buffers and sub-modules, and calling with hooks."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from pappus.frontend.device import named
from pappus.frontend.dtypes import DType, as_dtype, bfloat16, float16, float32, float64
from pappus.frontend.errors import PappusError
from pappus.frontend.nn.backward_hooks import BackwardHooks
from pappus.frontend.nn.parameter import Buffer, Parameter
from pappus.frontend.nn.state import IncompatibleKeys, load_state, save_state
from pappus.frontend.tensor import Tensor

__all__ = ["Module", "RemovableHandle", "current_module_path"]

M = TypeVar("M", bound="Module")


class _Active(threading.local):
    """The modules whose `forward` is running in this thread, outermost first."""

    def __init__(self) -> None:
        self.stack: list[Module] = []


_active = _Active()


def current_module_path() -> str:
    """The path of the module whose `forward` is running, such as "features.3"; "" for the outermost or for none."""
    return _path(_active.stack)


def _path(stack: list[Module]) -> str:
    parts = []
    for parent, child in itertools.pairwise(stack):
        name = next((n for n, m in parent._modules.items() if m is child), None)
        if name is None:
            name = next((n for n, m in parent.named_modules() if m is child), type(child).__name__)
        if name:
            parts.append(name)
    return ".".join(parts)


class RemovableHandle:
    """What registering a hook returns: `remove()` takes the hook away again; also a context manager."""

    _numbers = itertools.count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks = hooks
        self.id = next(self._numbers)

    def remove(self) -> None:
        """Take the hook away; does nothing the second time."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *error: object) -> None:
        self.remove()


class Module:
    """Base class of all layers and models: define `__init__` (calling `super().__init__()` first) and `forward`.

    Parameters, buffers and modules assigned as attributes are registered under the attribute's name. Calling the module
    runs `forward`; an error of an operator inside is extended by the path of the layer it came from.

    >>> import pappus as pp
    >>> class Net(Module):
    ...     def __init__(self) -> None:
    ...         super().__init__()
    ...         self.scale = Parameter(pp.ones(1))
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> [name for name, _ in Net().named_parameters()]
    ['scale']
    """

    training: bool
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Module | None]
    _non_persistent: set[str]
    _pre_hooks: dict[int, tuple[Any, bool]]
    _hooks: dict[int, tuple[Any, bool]]
    _backward_pre_hooks: dict[int, tuple[Any, bool]]
    _backward_hooks: dict[int, tuple[Any, bool]]
    _save_pre_hooks: dict[int, tuple[Any, bool]]
    _save_hooks: dict[int, tuple[Any, bool]]
    _load_pre_hooks: dict[int, tuple[Any, bool]]
    _load_hooks: dict[int, tuple[Any, bool]]

    def __init__(self) -> None:
        for name, value in (
            ("training", True), ("_parameters", {}), ("_buffers", {}), ("_modules", {}), ("_non_persistent", set()),
            ("_pre_hooks", {}), ("_hooks", {}), ("_backward_pre_hooks", {}), ("_backward_hooks", {}),
            ("_save_pre_hooks", {}), ("_save_hooks", {}), ("_load_pre_hooks", {}), ("_load_hooks", {}),
        ):  # fmt: skip
            object.__setattr__(self, name, value)

    # -- calling --------------------------------------------------------------------------------

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes; define it in every subclass."""
        raise NotImplementedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        stack = _active.stack
        stack.append(self)
        try:
            if not (self._pre_hooks or self._hooks or self._backward_hooks or self._backward_pre_hooks):
                return self.forward(*args, **kwargs)
            return self._call_with_hooks(args, kwargs)
        except PappusError as error:
            if not getattr(error, "layer", None):
                path = _path(stack)
                error.layer = path or type(self).__name__  # type: ignore[attr-defined]
                where = f"in layer '{path}' ({type(self).__name__})" if path else f"in {type(self).__name__}"
                error.message += f"\n  {where}"
            raise
        except AttributeError as error:
            if "_pre_hooks" in str(error):
                raise AttributeError(f"{type(self).__name__}.__init__ must call super().__init__() first") from None
            raise
        finally:
            stack.pop()

    def _call_with_hooks(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        for hook, with_kwargs in list(self._pre_hooks.values()):
            changed = hook(self, args, kwargs) if with_kwargs else hook(self, args)
            if changed is not None:
                if with_kwargs:
                    args, kwargs = changed
                else:
                    args = changed if isinstance(changed, tuple) else (changed,)
        backward = None
        if self._backward_hooks or self._backward_pre_hooks:
            before, after = ([h for h, _ in s.values()] for s in (self._backward_pre_hooks, self._backward_hooks))
            backward = BackwardHooks(self, before, after)
            args = backward.enter(args)
        result = self.forward(*args, **kwargs)
        for hook, with_kwargs in list(self._hooks.values()):
            changed = hook(self, args, kwargs, result) if with_kwargs else hook(self, args, result)
            if changed is not None:
                result = changed
        return result if backward is None else backward.leave(result)

    def register_forward_pre_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args)` before `forward`; what it returns (unless None) replaces the arguments."""
        return _add_hook(self._pre_hooks, hook, prepend, with_kwargs)

    def register_forward_hook(
        self, hook: Callable[..., Any], *, prepend: bool = False, with_kwargs: bool = False
    ) -> RemovableHandle:
        """Call `hook(module, args, output)` after `forward`; what it returns (unless None) replaces the output."""
        return _add_hook(self._hooks, hook, prepend, with_kwargs)

    def register_full_backward_pre_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_output)` when the gradients of the output are known; it may return others."""
        return _add_hook(self._backward_pre_hooks, hook, prepend, False)

    def register_full_backward_hook(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Call `hook(module, grad_input, grad_output)` when the gradients of the positional inputs are known.

        Both are tuples, with None where there is no gradient; what the hook returns (unless None) replaces the first.
        The output of `forward` must be a tensor or a tuple.
        """
        return _add_hook(self._backward_hooks, hook, prepend, False)

    # -- attributes -----------------------------------------------------------------------------

    def __setattr__(self, name: str, value: Any) -> None:
        stores = self.__dict__
        params = stores.get("_parameters")
        if isinstance(value, (Parameter, Module, Buffer)) and params is None:
            kind = "parameters" if isinstance(value, Parameter) else "module or buffer"
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call; call super().__init__() first")
        if params is not None:
            if isinstance(value, Parameter):
                self._forget(name, "_parameters")
                self.register_parameter(name, value)
                return
            if isinstance(value, Module):
                self._forget(name, "_modules")
                self._modules[name] = value
                return
            if isinstance(value, Buffer):
                self._forget(name, "_buffers")
                self.register_buffer(name, value, value.persistent)
                return
            if name in params:
                if value is not None:
                    raise TypeError(
                        f"cannot assign '{type(value).__name__}' object to parameter '{name}' (nn.Parameter or None "
                        "required); to change its numbers use parameter.copy_() under no_grad()"
                    )
                params[name] = None
                return
            if name in self._modules:
                if value is not None:
                    raise TypeError(f"cannot assign '{type(value).__name__}' as child module '{name}' (Module or None)")
                self._modules[name] = None
                return
            if name in self._buffers:
                if value is not None and not isinstance(value, Tensor):
                    raise TypeError(
                        f"cannot assign '{type(value).__name__}' object to buffer '{name}' (Tensor or None)"
                    )
                self._buffers[name] = value
                return
        object.__setattr__(self, name, value)

    def _forget(self, name: str, kept: str = "") -> None:
        """Drop what stands under `name`, except in the store `kept`, where it is to be replaced in its place."""
        self.__dict__.pop(name, None)
        for store in ("_parameters", "_buffers", "_modules"):
            if store != kept:
                self.__dict__[store].pop(name, None)
        self._non_persistent.discard(name)

    def __getattr__(self, name: str) -> Any:
        for store in ("_parameters", "_buffers", "_modules"):
            entries = self.__dict__.get(store)
            if entries is not None and name in entries:
                return entries[name]
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    def __delattr__(self, name: str) -> None:
        for store in (self._parameters, self._buffers, self._modules):
            if name in store:
                self._forget(name)
                return
        object.__delattr__(self, name)

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self._parameters, *self._buffers, *self._modules]

    def _check_name(self, kind: str, name: str) -> None:
        if "_parameters" not in self.__dict__:
            raise AttributeError(f"cannot assign {kind} before Module.__init__() call; call super().__init__() first")
        if not name or "." in name:
            raise KeyError(f"{kind} name can't be empty or contain a dot, got {name!r}")
        known = name in self._parameters or name in self._buffers or name in self._modules
        if not known and hasattr(self, name):
            raise KeyError(f"attribute '{name}' already exists")

    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Register a parameter (or None, to say that it is absent) under `name`."""
        self._check_name("parameter", name)
        if param is not None and not isinstance(param, Parameter):
            raise TypeError(
                f"cannot assign '{type(param).__name__}' object to parameter '{name}' (nn.Parameter or None)"
            )
        if param is not None and not param.is_leaf:
            raise ValueError(f"cannot assign a non-leaf tensor to parameter '{name}': compute it in forward() instead")
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Register a tensor that is state but not learned; a `persistent` one is part of the state dict."""
        self._check_name("buffer", name)
        if tensor is not None and not isinstance(tensor, Tensor):
            raise TypeError(f"cannot assign '{type(tensor).__name__}' object to buffer '{name}' (Tensor or None)")
        self._buffers[name] = tensor
        (self._non_persistent.discard if persistent else self._non_persistent.add)(name)

    def register_module(self, name: str, module: Module | None) -> None:
        """Register a child module under `name`."""
        self._check_name("module", name)
        if module is not None and not isinstance(module, Module):
            raise TypeError(f"{type(module).__name__} is not a Module subclass")
        self._modules[name] = module

    add_module = register_module

    # -- walking --------------------------------------------------------------------------------

    def named_modules(
        self, memo: set[int] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """This module ("") and all below it, with their paths; a shared module is yielded once."""
        seen = set() if memo is None else memo
        if remove_duplicate:
            if id(self) in seen:
                return
            seen.add(id(self))
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(seen, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self) -> Iterator[Module]:
        """This module and all below it."""
        return (module for _, module in self.named_modules())

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The modules directly below this one, with their names."""
        seen: set[int] = set()
        for name, module in self._modules.items():
            if module is not None and id(module) not in seen:
                seen.add(id(module))
                yield name, module

    def children(self) -> Iterator[Module]:
        """The modules directly below this one."""
        return (module for _, module in self.named_children())

    def _named(self, store: str, prefix: str, recurse: bool, remove_duplicate: bool) -> Iterator[tuple[str, Any]]:
        seen: set[int] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, tensor in getattr(module, store).items():
                if tensor is None or (remove_duplicate and id(tensor) in seen):
                    continue
                seen.add(id(tensor))
                yield f"{path}.{name}" if path else name, tensor

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """All parameters with their paths; a shared one is yielded once."""
        return self._named("_parameters", prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """All parameters."""
        return (param for _, param in self.named_parameters(recurse=recurse))

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """All buffers with their paths."""
        return self._named("_buffers", prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """All buffers."""
        return (buffer for _, buffer in self.named_buffers(recurse=recurse))

    def get_submodule(self, target: str) -> Module:
        """The module at a path such as "features.3"; "" is this module."""
        module: Module = self
        for name in target.split(".") if target else ():
            child = module._modules.get(name)
            if child is None:
                raise AttributeError(f"{type(module).__name__} has no module `{name}` (looking for '{target}')")
            module = child
        return module

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a path such as "features.3.weight"."""
        path, _, name = target.rpartition(".")
        param = self.get_submodule(path)._parameters.get(name)
        if param is None:
            raise AttributeError(f"{type(self).__name__} has no parameter '{target}'")
        return param

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a path."""
        path, _, name = target.rpartition(".")
        buffer = self.get_submodule(path)._buffers.get(name)
        if buffer is None:
            raise AttributeError(f"{type(self).__name__} has no buffer '{target}'")
        return buffer

    def apply(self: M, fn: Callable[[Module], Any]) -> M:
        """Call `fn` on every module below this one, then on this one; for initialisation."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    # -- modes and types ------------------------------------------------------------------------

    def train(self: M, mode: bool = True) -> M:
        """Set training mode (or with False evaluation mode) here and below: dropout and batch norm look at it."""
        if not isinstance(mode, bool):
            raise ValueError("training mode is expected to be boolean")
        for module in self.modules():
            object.__setattr__(module, "training", mode)
        return self

    def eval(self: M) -> M:
        """Set evaluation mode here and below."""
        return self.train(False)

    def requires_grad_(self: M, requires_grad: bool = True) -> M:
        """Switch the gradients of all parameters on or off; off freezes the module."""
        for param in self.parameters():
            param.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or fill them with zeros."""
        for param in self.parameters():
            if param.grad is not None:
                param.grad = None if set_to_none else param.grad.detach() * 0

    def _cast(self: M, convert: Callable[[Tensor], Tensor], recurse: bool = True) -> M:
        """Replace every parameter's and buffer's numbers, keeping the tensor objects that optimizers hold."""
        for tensor in [*self.parameters(recurse), *self.buffers(recurse)]:
            tensor.data = convert(tensor.data)
            if tensor.grad is not None:
                tensor.grad = convert(tensor.grad.detach())
        return self

    def to(self: M, *args: Any, **kwargs: Any) -> M:
        """Convert floating-point parameters and buffers to a dtype, or move all to a device."""
        dtype, device = kwargs.get("dtype"), ""
        for item in [*args, kwargs.get("device")]:
            if isinstance(item, Tensor):
                dtype, device = item.dtype, item.device
            elif isinstance(item, DType):
                dtype = item
            elif item is not None and not isinstance(item, bool):
                device = named(item)
        if device and any(t.device != device for t in [*self.parameters(), *self.buffers()]):
            self._cast(lambda t: t.to(device))
        if dtype is None:
            return self
        target = as_dtype(dtype)
        if not target.is_floating_point:
            raise TypeError(f"Module.to only accepts floating point dtypes, but got desired dtype={target}")
        return self._cast(lambda t: t.to(target) if t.dtype.is_floating_point else t)

    def to_empty(self: M, *, device: Any, recurse: bool = True) -> M:
        """Move to a device without the numbers: parameters and buffers, of the same shapes, hold anything then."""
        from pappus.frontend import ops

        return self._cast(lambda t: ops.empty_like(t, device=named(device)), recurse)

    def type(self: M, dst_type: Any) -> M:
        """Convert all parameters and buffers to a dtype, also those of integers."""
        target = as_dtype(dst_type)
        return self._cast(lambda t: t.to(target))

    def float(self: M) -> M:
        """Convert floating-point parameters and buffers to float32."""
        return self.to(float32)

    def double(self: M) -> M:
        """Convert floating-point parameters and buffers to float64."""
        return self.to(float64)

    def half(self: M) -> M:
        """Convert floating-point parameters and buffers to float16."""
        return self.to(float16)

    def bfloat16(self: M) -> M:
        """Convert floating-point parameters and buffers to bfloat16."""
        return self.to(bfloat16)

    def cpu(self: M) -> M:
        """Move all parameters and buffers to the CPU."""
        return self.to("cpu")

    def cuda(self: M, device: Any = None) -> M:
        """Move all parameters and buffers to a GPU. Raises DeviceError without CuPy, with the way to install it."""
        return self.to("cuda" if device is None else named(device))

    # -- state ----------------------------------------------------------------------------------

    def state_dict(
        self, *, destination: dict[str, Any] | None = None, prefix: str = "", keep_vars: bool = False
    ) -> dict[str, Any]:
        """Parameters, persistent buffers and extra state by path; tensors share memory with the module's.

        Entries are added to `destination`, if it is given.
        """
        state = {} if destination is None else destination
        save_state(self, state, prefix, keep_vars)
        return state

    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy tensors (or numpy arrays) into the parameters and buffers of the same names.

        With `strict`, names that are missing or unexpected raise RuntimeError, as sizes that differ always do; nothing
        is copied then. With `assign`, the tensors themselves take the place of the old ones.
        """
        return load_state(self, state_dict, strict, assign)

    def get_extra_state(self) -> Any:
        """What is part of the state dict besides tensors; define it, with `set_extra_state`, in a subclass.

        It may be anything that can be pickled, a tensor where the file is to be one of tensors only.
        """
        raise RuntimeError(f"{type(self).__name__} has no extra state: define get_extra_state and set_extra_state")

    def set_extra_state(self, state: Any) -> None:
        """Take over what `get_extra_state` returned."""
        raise RuntimeError(f"{type(self).__name__} takes no extra state: define get_extra_state and set_extra_state")

    def register_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, prefix, keep_vars)` before the module's entries of a state dict are collected."""
        return _add_hook(self._save_pre_hooks, hook, False, False)

    def register_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, state_dict, prefix, metadata)` after that; it may change the dict and returns None."""
        return _add_hook(self._save_hooks, hook, False, False)

    def register_load_state_dict_pre_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Before loading, call `hook(module, state_dict, prefix, metadata, strict, missing, unexpected, errors)`.

        It may change the dict, which has the entries under the module's `prefix`, and add to the three lists.
        """
        return _add_hook(self._load_pre_hooks, hook, False, False)

    def register_load_state_dict_post_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Call `hook(module, incompatible_keys)` after loading: names it takes off the two lists are not an error."""
        return _add_hook(self._load_hooks, hook, False, False)

    # -- text -----------------------------------------------------------------------------------

    def extra_repr(self) -> str:
        """What `repr` shows of this module between the parentheses."""
        return ""

    def _get_name(self) -> str:
        return type(self).__name__

    def __repr__(self) -> str:
        extra = self.extra_repr()
        lines = extra.split("\n") if extra else []
        children = [f"({name}): " + _indent(repr(module)) for name, module in self._modules.items()]
        if not children and len(lines) <= 1:
            return f"{self._get_name()}({extra})"
        return f"{self._get_name()}(\n  " + "\n  ".join(lines + children) + "\n)"


def _indent(text: str) -> str:
    return text.replace("\n", "\n  ")


def _add_hook(
    hooks: dict[int, tuple[Any, bool]], hook: Callable[..., Any], prepend: bool, with_kwargs: bool
) -> RemovableHandle:
    handle = RemovableHandle(hooks)
    if prepend:
        old = dict(hooks)
        hooks.clear()
        hooks[handle.id] = (hook, with_kwargs)
        hooks.update(old)
    else:
        hooks[handle.id] = (hook, with_kwargs)
    return handle
