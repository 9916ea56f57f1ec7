"""Functions that are offered next to the operators: conveniences over them, with PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}


def function(*, method: bool = False) -> Callable[[F], F]:
    """Offer a function as `pappus.<name>` and, with `method`, as a tensor method of the same name."""

    def declare(f: F) -> F:
        FUNCTIONS[f.__name__] = f
        if method:
            METHODS[f.__name__] = f
        return f

    return declare
