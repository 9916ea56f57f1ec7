"""Graph, Node, Value: one set of classes for the core dialect and the kernel dialect.

Core nodes are named after the eager operators (`linear`, `add`); kernel nodes are named
`k.<family>` (`k.gemm`) and their values have a place in memory (`Value.memory`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

from pappus.frontend.dtypes import DType
from pappus.frontend.symbolic import Guard, Size, Symbol

if TYPE_CHECKING:
    from pappus.export.lower.memory import Memory


@dataclass(eq=False)
class Value:
    """One tensor of a graph: its dtype and logical shape, and where it comes from.

    `producer` is None for inputs and constants. `tensor` links a constant to the eager tensor it was
    read from, so that methods of one program share it.
    """

    name: str
    dtype: DType
    shape: tuple[Size, ...]
    producer: Node | None = None
    constant: np.ndarray[Any, Any] | None = None
    tensor: Any = None
    wrapped: bool = False  # a Python number: takes no part in type promotion
    memory: Memory | None = None

    @property
    def is_constant(self) -> bool:
        """Whether the value's bytes are known at export."""
        return self.constant is not None

    def __repr__(self) -> str:
        return f"%{self.name}"


Arg: TypeAlias = "Value | tuple[Value | None, ...] | None"


@dataclass(eq=False)
class Node:
    """One operator call. `args` follow the operator's tensor parameters; a tuple stands for `Tensor[]`."""

    op: str
    args: tuple[Arg, ...]
    attrs: dict[str, Any]
    outputs: list[Value] = field(default_factory=list)
    location: str = ""
    module: str = ""

    @property
    def inputs(self) -> list[Value]:
        """Every value the node reads, flat, absent ones left out."""
        found: list[Value] = []
        for arg in self.args:
            if isinstance(arg, tuple):
                found.extend(v for v in arg if v is not None)
            elif arg is not None:
                found.append(arg)
        return found

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value

    def where(self) -> str:
        """`relu at model.py:12 (in features.3)`, for messages."""
        text = self.op + (f" at {self.location}" if self.location else "")
        return text + (f" (in {self.module})" if self.module else "")

    def __repr__(self) -> str:
        outs = ", ".join(map(repr, self.outputs))
        return f"{outs} = {self.op}({', '.join(map(repr, self.args))})"


@dataclass(frozen=True)
class StateInfo:
    """A tensor that outlives a call: what `state_read` and `state_write` name."""

    name: str
    dtype: DType
    shape: tuple[int, ...]
    init: np.ndarray[Any, Any]
    tensor: Any = None


@dataclass
class Graph:
    """A list of nodes in an order that can be executed, with inputs, outputs and assumptions."""

    name: str
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    output_names: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    symbols: list[Symbol] = field(default_factory=list)
    guards: list[Guard] = field(default_factory=list)
    states: dict[str, StateInfo] = field(default_factory=dict)
    written_inputs: list[str] = field(default_factory=list)  # "line: name" of inputs that were changed in place
    _names: dict[str, int] = field(default_factory=dict)

    def fresh_name(self, base: str) -> str:
        """A value name not used in this graph yet: `base`, `base_1`, `base_2`, ..."""
        count = self._names.get(base, -1) + 1
        self._names[base] = count
        if not count:
            return base
        name = f"{base}_{count}"
        if name in self._names:
            return self.fresh_name(base)
        self._names[name] = 0
        return name

    def add(
        self,
        op: str,
        args: Iterable[Arg],
        attrs: dict[str, Any],
        outputs: Iterable[tuple[DType, tuple[Size, ...]]],
        location: str = "",
        module: str = "",
        name: str | None = None,
    ) -> Node:
        """Append a node; its outputs get fresh names."""
        node = Node(op, tuple(args), attrs, [], location, module)
        for dtype, shape in outputs:
            node.outputs.append(Value(self.fresh_name(name or op), dtype, shape, node))
        self.nodes.append(node)
        return node

    def constants(self) -> list[Value]:
        """Every constant that some node or output reads, in order of first use."""
        seen: dict[int, Value] = {}
        for value in self._read_values():
            if value.is_constant:
                seen.setdefault(id(value), value)
        return list(seen.values())

    def _read_values(self) -> Iterator[Value]:
        for node in self.nodes:
            yield from node.inputs
        yield from self.outputs

    def uses(self) -> dict[Value, list[Node | None]]:
        """For each value the nodes that read it, once per reading; None stands for a graph output."""
        found: dict[Value, list[Node | None]] = {}
        for node in self.nodes:
            for value in node.inputs:
                found.setdefault(value, []).append(node)
        for value in self.outputs:
            found.setdefault(value, []).append(None)
        return found

    def replace(self, mapping: dict[Value, Value]) -> None:
        """Let every reader of a key read its value instead (chains are followed)."""
        if not mapping:
            return

        def final(value: Value) -> Value:
            while value in mapping:
                value = mapping[value]
            return value

        for node in self.nodes:
            node.args = map_args(node.args, final)
        self.outputs = [final(v) for v in self.outputs]

    def copy(self) -> Graph:
        """The same graph with nodes of its own, so that passes leave the original alone."""
        mapping: dict[Value, Value] = {}

        def clone(value: Value) -> Value:
            if value not in mapping:
                mapping[value] = Value(
                    value.name, value.dtype, value.shape, None, value.constant, value.tensor, value.wrapped
                )
            return mapping[value]

        result = Graph(self.name, [clone(v) for v in self.inputs])
        for node in self.nodes:
            twin = Node(node.op, map_args(node.args, clone), dict(node.attrs), [], node.location, node.module)
            twin.outputs = [clone(v) for v in node.outputs]
            for value in twin.outputs:
                value.producer = twin
            result.nodes.append(twin)
        result.outputs = [clone(v) for v in self.outputs]
        result.output_names = list(self.output_names)
        result.symbols, result.guards = list(self.symbols), list(self.guards)
        result.states, result._names = dict(self.states), dict(self._names)
        return result

    def __str__(self) -> str:
        from pappus.export.ir.printer import format_graph

        return format_graph(self)


def map_args(args: Iterable[Arg], f: Callable[[Value], Value]) -> tuple[Arg, ...]:
    """Apply `f` to every value inside a node's args, keeping their structure."""
    out: list[Arg] = []
    for arg in args:
        if isinstance(arg, tuple):
            out.append(tuple(f(v) if v is not None else None for v in arg))
        else:
            out.append(f(arg) if arg is not None else None)
    return tuple(out)
