"""torch._foreach_*: one operator over the tensors of a list, which optimizers of scripts use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor

__all__ = ["foreach"]


def foreach(name: str) -> Callable[..., Any]:
    """`torch._foreach_add(tensors, other, alpha=1)`: the method `add` of every tensor; arguments that are lists are
    taken element by element.

    Raises AttributeError for what is no method of tensors.

    >>> import pappus as pp
    >>> foreach("_foreach_add_")([pp.ones(2), pp.zeros(1)], [pp.ones(2), pp.ones(1)], alpha=2)
    [tensor([3., 3.]), tensor([2.])]
    """
    import pappus.frontend.ops  # noqa: F401 - attaches the methods

    operator = name.removeprefix("_foreach_")
    method = getattr(Tensor, operator, None)
    if method is None:
        raise AttributeError(f"module 'torch' has no attribute {name!r}: tensors have no method {operator!r}")

    def run(tensors: Any, *args: Any, **kwargs: Any) -> list[Any]:
        tensors = list(tensors)
        for value in args:
            if isinstance(value, (list, tuple)) and len(value) != len(tensors):
                raise ArgumentError(f"{name}: lists of {len(tensors)} tensors and of {len(value)}; they must be equal")
        rows = ([v[i] if isinstance(v, (list, tuple)) else v for v in args] for i in range(len(tensors)))
        return [method(tensor, *row, **kwargs) for tensor, row in zip(tensors, rows, strict=True)]

    run.__name__ = run.__qualname__ = name
    return run
