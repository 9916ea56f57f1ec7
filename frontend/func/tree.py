"""Nested tuples, lists and dicts of tensors as flat lists, and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ArgumentError

__all__ = ["Rebuild", "flatten", "spread", "tree_map"]

Rebuild = Callable[[list[Any]], Any]


def flatten(value: Any) -> tuple[list[Any], Rebuild]:
    """The leaves of `value` in order, and a function that makes the same nest of other leaves.

    >>> leaves, rebuild = flatten({"a": 1, "b": (2, [3])})
    >>> leaves, rebuild([4, 5, 6])
    ([1, 2, 3], {'a': 4, 'b': (5, [6])})
    """
    leaves: list[Any] = []
    rebuild = _plan(value, leaves)
    return leaves, lambda new: rebuild(iter(new))


def _plan(value: Any, leaves: list[Any]) -> Callable[[Any], Any]:
    if isinstance(value, dict):
        parts = {key: _plan(item, leaves) for key, item in value.items()}
        kind = type(value)
        return lambda new: kind((key, part(new)) for key, part in parts.items())
    if isinstance(value, (tuple, list)):
        items = [_plan(item, leaves) for item in value]
        if hasattr(value, "_make"):
            make = value._make
            return lambda new: make([item(new) for item in items])
        sequence = type(value)
        return lambda new: sequence([item(new) for item in items])
    leaves.append(value)
    return next


def tree_map(function: Callable[[Any], Any], value: Any) -> Any:
    """`value` with `function` applied to every leaf.

    >>> tree_map(str, {"a": 1, "b": [2]})
    {'a': '1', 'b': ['2']}
    """
    leaves, rebuild = flatten(value)
    return rebuild([function(leaf) for leaf in leaves])


def spread(prefix: Any, value: Any, what: str) -> list[Any]:
    """One entry of `prefix` for each leaf of `value`: a number or None stands for everything below it.

    >>> spread((0, None), ({"a": 1, "b": 2}, 3), "in_dims")
    [0, 0, None]
    """
    if prefix is None or isinstance(prefix, int):
        return [prefix] * len(flatten(value)[0])
    if isinstance(prefix, dict) and isinstance(value, dict) and prefix.keys() == value.keys():
        return [entry for key in value for entry in spread(prefix[key], value[key], what)]
    both = isinstance(prefix, (tuple, list)) and isinstance(value, (tuple, list))
    if not both or len(prefix) != len(value):
        raise ArgumentError(
            f"{what}={prefix!r} does not have the structure of the values it is for; give one number (or None) for "
            "each of them, nested as they are"
        )
    return [entry for part, item in zip(prefix, value, strict=True) for entry in spread(part, item, what)]
