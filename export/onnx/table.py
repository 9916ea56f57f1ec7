"""The table of ONNX operators: which function here computes which operator, from which opset on.

To add an operator, write in the file of its family

    @onnx_op("Gelu", since=20)
    def _gelu(node: Node, x: Tensor) -> Tensor:
        return F.gelu(x, approximate=node.attr("approximate", "none"))

Operands come in the order of the node's inputs, None where one is left out. `host=(1,)` names operands that decide
shapes: they come as numpy arrays, whose integers may be symbolic sizes, instead of tensors; `rest_host=True` means all
but the first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

from pappus.frontend.errors import UnsupportedError

STANDARD = ("", "ai.onnx")


@dataclass(frozen=True)
class Entry:
    """One implementation, valid from opset `since` up to the next entry of the same operator."""

    since: int
    run: Callable[..., Any]
    host: tuple[int, ...]
    rest_host: bool

    def on_host(self, position: int) -> bool:
        """Whether the operand at `position` is wanted as a numpy array."""
        return position in self.host or (self.rest_host and position > 0)


@dataclass
class Node:
    """What an implementation sees of the node it runs."""

    name: str
    op_type: str
    domain: str
    opset: int
    attrs: dict[str, Any]
    inputs: list[str]
    outputs: list[str]

    def attr(self, name: str, default: Any = None) -> Any:
        """An attribute's value, or `default` where the node does not give it."""
        return self.attrs.get(name, default)

    def wants(self, output: int) -> bool:
        """Whether somebody reads the output at this position."""
        return len(self.outputs) > output and bool(self.outputs[output])

    def refuse(self, what: str) -> NoReturn:
        """Raise: this form of the operator is not supported."""
        raise UnsupportedError(f"{self.op_type} node {self.name!r}: {what} is not supported by the ONNX importer")


_TABLE: dict[tuple[str, str], list[Entry]] = {}


def onnx_op(
    *names: str, since: int = 1, domain: str = "", host: tuple[int, ...] = (), rest_host: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function for operators of the given names, from opset `since` on."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        for name in names:
            entries = _TABLE.setdefault((domain, name), [])
            entries.append(Entry(since, run, host, rest_host))
            entries.sort(key=lambda e: e.since)
        return run

    return register


def find(domain: str, op_type: str, opset: int) -> Entry | None:
    """The entry that computes this operator in this opset, or None."""
    key = ("" if domain in STANDARD else domain, op_type)
    fitting = [e for e in _TABLE.get(key, ()) if e.since <= opset]
    return fitting[-1] if fitting else None
