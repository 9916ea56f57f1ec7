"""Views that are copied: torch's `<view>_copy`, one for each way of showing a tensor's memory."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import parts, rearrange, shape, strided
from ._names import function
from .shape import clone


def _copied(name: str, show: Callable[..., Any]) -> None:
    def copy(self: Any, *args: Any, **kwargs: Any) -> Any:
        found = show(self, *args, **kwargs)
        return tuple(clone(part) for part in found) if isinstance(found, tuple) else clone(found)

    copy.__doc__ = f"`{name}`, in memory of its own."
    function(name=f"{name}_copy")(copy)


for _name, _module in {
    "alias": shape, "as_strided": strided, "diagonal": parts, "expand": shape, "narrow": shape, "permute": shape,
    "split": parts, "split_with_sizes": parts, "squeeze": shape, "t": shape, "transpose": shape, "unbind": parts,
    "unfold": rearrange, "unsqueeze": shape, "view": shape,
}.items():  # fmt: skip
    _copied(_name, getattr(_module, _name))
