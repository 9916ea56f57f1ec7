"""The nesting of a model's results: which tensors, in which dicts, lists and tuples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pappus.frontend.errors import CaptureError
from pappus.frontend.symbolic import SymInt
from pappus.frontend.tensor import Tensor

_PLAIN = (bool, int, float, str, type(None))


@dataclass(frozen=True)
class Structure:
    """One level of nesting. Calling it with the flat outputs gives the nested result.

    `kind` is "tensor" (number `value` of the flat outputs), "plain" (the Python constant `value`), or "dict", "list" or
    "tuple" with `items` (and `keys` for a dict).

    >>> Structure("tuple", (Structure("tensor", value=1), Structure("plain", value="x")))([10, 20])
    (20, 'x')
    """

    kind: str
    items: tuple[Structure, ...] = ()
    keys: tuple[str, ...] = ()
    value: Any = None

    def __call__(self, outputs: Sequence[Any]) -> Any:
        if self.kind == "tensor":
            return outputs[self.value]
        if self.kind == "plain":
            return self.value
        parts = [item(outputs) for item in self.items]
        if self.kind == "dict":
            return dict(zip(self.keys, parts, strict=True))
        return parts if self.kind == "list" else tuple(parts)


def flatten_outputs(result: Any, owner: str = "the model") -> tuple[list[tuple[str, Tensor]], Structure]:
    """The tensors of a result with their names, and how they were nested.

    A tensor that is the whole result is named "output", items of tuples and lists "output_0" and so on, entries of
    dicts by their keys; names of deeper levels are joined by dots. Raises CaptureError for anything that is no tensor,
    container or plain Python constant.
    """
    flat: list[tuple[str, Tensor]] = []

    def walk(value: Any, name: str) -> Structure:
        if isinstance(value, Tensor):
            flat.append((name or "output", value))
            return Structure("tensor", value=len(flat) - 1)
        if isinstance(value, dict):
            items = tuple(walk(v, f"{name}.{k}" if name else str(k)) for k, v in value.items())
            return Structure("dict", items, tuple(map(str, value)))
        if isinstance(value, (list, tuple)):
            items = tuple(walk(v, f"{name}.{i}" if name else f"output_{i}") for i, v in enumerate(value))
            return Structure("list" if isinstance(value, list) else "tuple", items)
        where = name or "its result"
        if isinstance(value, SymInt):
            raise CaptureError(
                f"export: {owner} returns the size {value} ({where}), which is not known before the program is called; "
                "return a tensor, or let the caller read the size from an input's shape"
            )
        if not isinstance(value, _PLAIN):
            raise CaptureError(
                f"export: {owner} returns a {type(value).__name__} ({where}); a program can return tensors, alone or "
                "in tuples, lists "
                "and dicts, and plain Python constants"
            )
        return Structure("plain", value=value)

    return flat, walk(result, "")
