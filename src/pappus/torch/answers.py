"""What names answer that scripts touch and that have nothing to do here: a value, nothing, or a refusal."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from types import ModuleType
from typing import Any

from pappus.frontend.errors import UnsupportedError

__all__ = ["Answers", "absent", "answer", "as_is", "decorator", "does_nothing", "nearest", "never", "refuse"]


def answer(value: Any) -> Callable[..., Any]:
    """A function that returns `value`, whatever it is asked; a new list or dict each time.

    >>> answer(0)("cuda:1")
    0
    """

    def function(*args: Any, **kwargs: Any) -> Any:
        return value.copy() if isinstance(value, (list, dict)) else value

    function.__doc__ = f"Always {value!r}."
    return function


does_nothing = answer(None)


def as_is(value: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The first argument itself."""
    return value


def decorator(value: Any = None, *args: Any, **kwargs: Any) -> Any:
    """A decorator that changes nothing, with or without arguments of its own."""
    return value if callable(value) else as_is


def absent(*args: Any, **kwargs: Any) -> AbstractContextManager[None]:
    """A context in which nothing is different."""
    return nullcontext()


def refuse(name: str, way_out: str) -> Callable[..., Any]:
    """A function that raises UnsupportedError with the way out."""

    def function(*args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(f"{name} is not part of Pappus; {way_out}")

    function.__doc__ = f"Refused: {way_out}"
    return function


def never(name: str, way_out: str, base: type = object) -> type:
    """A class for `isinstance`, of which no object is ever made: making one raises UnsupportedError."""
    return type(name.rpartition(".")[2], (base,), {
        "__doc__": f"Never made: {way_out}", "__module__": f"torch.{name.rpartition('.')[0]}".rstrip("."),
        "__init__": refuse(f"torch.{name}", way_out),
    })  # fmt: skip


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean ...?` for an unknown name, or nothing where no known one is near."""
    near = difflib.get_close_matches(name, known, 1, 0.75)
    return f"; did you mean {near[0]!r}?" if near else ""


class Answers(ModuleType):
    """A module made of a table of answers: names can be set, as scripts do with flags, and unknown ones say so.

    >>> flags = Answers("torch.backends.cudnn", "Flags.", {"benchmark": False})
    >>> flags.benchmark = True
    >>> flags.benchmrk
    Traceback (most recent call last):
    AttributeError: module 'torch.backends.cudnn' has no attribute 'benchmrk'; did you mean 'benchmark'?
    """

    def __init__(self, name: str, doc: str, answers: Mapping[str, Any]) -> None:
        super().__init__(name, doc)
        self.__path__: list[str] = []  # a package: its own modules can be imported from it
        for key, value in answers.items():
            if isinstance(value, Mapping):
                value = Answers(f"{name}.{key}", doc, value)
            setattr(self, key, value)

    def __getattr__(self, name: str) -> Any:
        known = [key for key in vars(self) if not key.startswith("__")]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}{nearest(name, known)}", name=name)
