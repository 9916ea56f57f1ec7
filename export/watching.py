"""What a compiled call depends on besides its arguments: parameters, attributes of modules, values in closures."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pappus.frontend.errors import CaptureError
from pappus.frontend.nn.module import Module
from pappus.frontend.source import format_location
from pappus.frontend.symbolic import SymInt
from pappus.frontend.tensor import Tensor

__all__ = ["Nest", "Watch", "flatten"]

PLAIN = (bool, int, float, complex, str, bytes, type(None))
# Attributes of a module that hold its tensors and parts.
STORES = ("_parameters", "_buffers", "_modules")
HOOKS = ("_pre_hooks", "_hooks", "_backward_pre_hooks", "_backward_hooks")


# -- arguments and results ------------------------------------------------------------------------


def flatten(value: Any, leaves: list[Tensor]) -> Any:
    """A key for everything in a nest of arguments but the numbers and sizes of its tensors, which go to `leaves`."""
    kind = type(value)
    if isinstance(value, Tensor):
        leaves.append(value)
        return value.dtype, len(value._data.shape)
    if kind is np.ndarray:
        leaves.append(Tensor._from_data(value))
        return kind, value.dtype, value.ndim
    if isinstance(value, (list, tuple)):
        return kind, *[flatten(item, leaves) for item in value]
    if isinstance(value, dict):
        return kind, *[(key, flatten(item, leaves)) for key, item in value.items()]
    return (kind, value) if isinstance(value, PLAIN) else (kind, _Same(value))


class _Same:
    """An object as a key: equal only to itself, and kept alive."""

    def __init__(self, value: Any) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and other.value is self.value

    def __hash__(self) -> int:
        return id(self.value)


class Nest:
    """The nesting of a result: `take` flattens one and remembers how, `build` makes the like from new tensors."""

    def __init__(self) -> None:
        self._make: Callable[[Iterator[Any]], Any] | None = None

    def take(self, value: Any) -> list[Tensor]:
        """The tensors of a result. Raises CaptureError for what is neither a tensor, a container nor plain."""
        flat: list[Tensor] = []
        self._make = self._walk(value, flat)
        return flat

    def build(self, tensors: list[Tensor]) -> Any:
        """The result that `take` saw, with these tensors."""
        assert self._make is not None
        return self._make(iter(tensors))

    def _walk(self, value: Any, flat: list[Tensor]) -> Callable[[Iterator[Any]], Any]:
        kind = type(value)
        if isinstance(value, Tensor):
            flat.append(value)
            return next
        if isinstance(value, dict):
            parts = {key: self._walk(item, flat) for key, item in value.items()}
            return lambda rest: kind((key, part(rest)) for key, part in parts.items())
        if isinstance(value, (list, tuple)):
            items = [self._walk(item, flat) for item in value]
            if hasattr(value, "_fields"):
                return lambda rest: kind(*[item(rest) for item in items])
            return lambda rest: kind([item(rest) for item in items])
        if isinstance(value, PLAIN) and not isinstance(value, SymInt):
            return lambda rest: value
        raise CaptureError(
            f"the result holds a {kind.__name__}; a program can return tensors, in tuples, lists and dicts, and plain "
            "Python constants"
        )

    @staticmethod
    def swap(value: Any, rest: Iterator[Any]) -> Any:
        """Arguments with their tensors, in the order of `flatten`, replaced."""
        if isinstance(value, (Tensor, np.ndarray)):
            return next(rest)
        if isinstance(value, (list, tuple)):
            items = [Nest.swap(item, rest) for item in value]
            return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
        if isinstance(value, dict):
            return type(value)((key, Nest.swap(item, rest)) for key, item in value.items())
        return value


# -- what else a call depends on ------------------------------------------------------------------


def _roots(target: Any) -> list[tuple[str, Callable[[], Any]]]:
    """Ways to the values that a target reaches: itself, the object it is bound to, its closure and globals."""
    if isinstance(target, Module):
        return [("", lambda: target)]
    found: list[tuple[str, Callable[[], Any]]] = []
    owner = getattr(target, "__self__", None)
    if owner is not None:
        found.append(("self", lambda: owner))
    if isinstance(target, functools.partial):
        found += [(f"argument {i}", lambda v=v: v) for i, v in enumerate(target.args)]  # type: ignore[misc]
        found += [(k, lambda v=v: v) for k, v in target.keywords.items()]  # type: ignore[misc]
        return found + _roots(target.func)
    function = getattr(target, "__func__", target)
    code = getattr(function, "__code__", None)
    if code is None:
        return found
    for name, cell in zip(code.co_freevars, function.__closure__ or (), strict=True):
        found.append((name, lambda cell=cell: cell.cell_contents))  # type: ignore[misc]
    space = function.__globals__
    found += [(name, lambda name=name: space.get(name)) for name in code.co_names if name in space]  # type: ignore[misc]
    return found


def _modules(target: Any) -> list[Module]:
    found: dict[int, Module] = {}
    for _, get in _roots(target):
        value = get()
        if isinstance(value, Module):
            found.update((id(m), m) for m in value.modules())
    return list(found.values())


class Watch:
    """A picture of everything that a target reads besides its arguments, to be compared with what is there later."""

    def __init__(self, target: Any) -> None:
        self.modules = _modules(target)
        self._values = [(get, value) for _, get in _roots(target) if isinstance(value := get(), (*PLAIN, Tensor))]
        self._plain: list[tuple[dict[str, Any], str, Any]] = []
        self._stores: list[tuple[dict[str, Any], int]] = []
        self._hooks: list[dict[Any, Any]] = []
        tensors: list[Any] = [value for _, value in self._values if isinstance(value, Tensor)]
        for module in self.modules:
            own = module.__dict__
            for name, value in own.items():
                if isinstance(value, PLAIN):
                    self._plain.append((own, name, value))
                elif isinstance(value, Tensor):
                    self._plain.append((own, name, value))
                    tensors.append(value)
            for store in STORES:
                for name, value in own[store].items():
                    self._plain.append((own[store], name, value))
                    if isinstance(value, Tensor):
                        tensors.append(value)
                self._stores.append((own[store], len(own[store])))
            self._hooks += [own[name] for name in HOOKS]
        self._tensors: list[tuple[Tensor, Any, int, int]] = []
        self.also(tensors)

    def also(self, tensors: list[Any]) -> None:
        """Watch the numbers of more tensors."""
        known = {id(entry[0]) for entry in self._tensors}
        for tensor in tensors:
            if isinstance(tensor, Tensor) and id(tensor) not in known:
                known.add(id(tensor))
                self._tensors.append((tensor, tensor._data, *_counts(tensor)))

    def but(self, tensors: list[Tensor]) -> None:
        """Do not watch the numbers of tensors that the program itself changes; that they are the same ones, still."""
        arrays = {id(t._data) for t in tensors}
        self._tensors = [(t, d, -1, -1) if id(d) in arrays else (t, d, v, h) for t, d, v, h in self._tensors]

    def changed(self) -> str | None:
        """None, "weights" if the numbers of a tensor have changed, or "state" if anything else has."""
        for get, value in self._values:
            now = get()
            if now is not value and not (type(now) is type(value) and isinstance(now, PLAIN) and now == value):
                return "state"
        for store, count in self._stores:
            if len(store) != count:
                return "state"
        for own, name, value in self._plain:
            now = own.get(name, self)
            if now is not value and not (type(now) is type(value) and isinstance(now, PLAIN) and now == value):
                return "weights" if isinstance(value, Tensor) else "state"
        for hooks in self._hooks:
            if hooks:
                return "state"
        for tensor, data, version, hidden in self._tensors:
            if tensor._data is not data:
                return "weights"
            storage = tensor._storage
            if storage is not None and version >= 0 and (storage.version != version or storage.hidden != hidden):
                return "weights"
        return None

    def check(self) -> None:
        """Refuse modules with hooks: those would run at the capture only."""
        for module in self.modules:
            if any(module.__dict__[name] for name in HOOKS):
                raise CaptureError(f"{type(module).__name__} has hooks, which a program does not call")

    def named_tensors(self) -> list[tuple[str, Tensor]]:
        """Every tensor of the modules and closures with a name."""
        found: dict[int, tuple[str, Tensor]] = {}
        for module in self.modules[:1]:
            for name, tensor in [*module.named_parameters(), *module.named_buffers()]:
                found.setdefault(id(tensor._data), (name, tensor))
        for index, (tensor, data, _, _) in enumerate(self._tensors):
            found.setdefault(id(data), (f"tensor{index}", tensor))
        return list(found.values())

    @contextmanager
    def restored(self) -> Iterator[None]:
        """Put the modules' attributes back as they were at entry; raises CaptureError if the block changed any."""
        before = [(m, d, _copies(d)) for m in self.modules for d in (m.__dict__, *(m.__dict__[s] for s in STORES))]
        changed: list[str] = []
        try:
            yield
        finally:
            for module, own, (whole, inside) in before:
                names = [name for name in {**own, **whole} if own.get(name, before) is not whole.get(name, before)]
                if names:
                    own.clear()
                    own.update(whole)
                for name, (container, copy) in inside.items():
                    now, then = _items(container), _items(copy)
                    if len(now) != len(then) or any(a is not b for a, b in zip(now, then, strict=True)):
                        names.append(name)
                        container.clear()
                        (container.extend if isinstance(container, list) else container.update)(copy)
                changed += [f"{_place_of(module)}: {type(module).__name__} changes {name!r}" for name in names]
            if changed:
                raise CaptureError(
                    f"{changed[0]}, a Python attribute, in forward; what a call leaves for the next belongs in a "
                    "buffer (self.register_buffer) that is changed in place"
                ) from None

    @staticmethod
    def trains(target: Any) -> bool:
        """Whether a parameter that the target reaches requires a gradient."""
        for _, get in _roots(target):
            value = get()
            if isinstance(value, Module):
                if any(p._requires_grad for p in value.parameters()):
                    return True
            elif isinstance(value, Tensor) and value._requires_grad:
                return True
        return False


def _place_of(module: Module) -> str:
    code = getattr(type(module).forward, "__code__", None)
    return "<unknown>" if code is None else format_location(code.co_filename, code.co_firstlineno)


def _copies(own: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """A copy of a dict, and of the lists and dicts in it."""
    inside = {
        name: (value, value.copy())
        for name, value in own.items()
        if type(value) in (list, dict) and name not in STORES and name not in HOOKS
    }
    return dict(own), inside


def _items(container: Any) -> list[Any]:
    return list(container.values()) if isinstance(container, dict) else container


def _counts(tensor: Tensor) -> tuple[int, int]:
    storage = tensor._storage
    return (0, 0) if storage is None else (storage.version, storage.hidden)
