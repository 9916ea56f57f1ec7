"""What must hold for every graph, checked after every pass in tests and once before writing."""

from __future__ import annotations

from pappus.export.ir.graph import Graph, Node, Value
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import SymInt

# Operators that exist only in graphs: they touch state, which eager code reaches through tensors.
GRAPH_OPS = {"state_read", "state_write"}


class GraphError(AssertionError):
    """A pass left a graph that breaks a rule: a defect of the pass, not of the user's model."""


def verify(graph: Graph, after: str = "capture") -> None:
    """Raise GraphError if `graph` is malformed; `after` names the pass for the message.

    Rules: values are defined once and before use, names are unique, operators exist, producers point
    back, states are declared and written at most once, symbols are declared.
    """

    def fail(text: str, node: Node | None = None) -> None:
        raise GraphError(f"after {after}: {text}" + (f" [{node.where()}]" if node else ""))

    defined: set[Value] = set(graph.inputs)
    names: dict[str, Value] = {}
    declared = {s.name for s in graph.symbols}

    def check_value(value: Value, node: Node | None) -> None:
        if names.setdefault(value.name, value) is not value:
            fail(f"two values are named %{value.name}", node)
        if value.constant is not None and tuple(value.constant.shape) != tuple(value.shape):
            fail(f"constant %{value.name} has shape {value.constant.shape}, declared {value.shape}", node)
        for size in value.shape:
            if isinstance(size, SymInt):
                for symbol in size.symbols():
                    if symbol.name not in declared:
                        fail(f"%{value.name} uses undeclared dimension {symbol.name}", node)

    for value in graph.inputs:
        check_value(value, None)
        if value.producer is not None:
            fail(f"input %{value.name} has a producer")
    written: set[str] = set()
    for node in graph.nodes:
        if not node.op.startswith("k.") and node.op not in OPS and node.op not in GRAPH_OPS:
            fail(f"unknown operator {node.op}", node)
        for value in node.inputs:
            if not value.is_constant and value not in defined:
                fail(f"%{value.name} is read before it is defined", node)
            check_value(value, node)
        if node.op in GRAPH_OPS:
            name = node.attrs["name"]
            if name not in graph.states:
                fail(f"state {name} is not declared", node)
            if node.op == "state_write":
                if name in written:
                    fail(f"state {name} is written twice", node)
                written.add(name)
        for value in node.outputs:
            if value in defined:
                fail(f"%{value.name} is defined twice", node)
            if value.producer is not node:
                fail(f"%{value.name} does not point back to its node", node)
            if value.is_constant:
                fail(f"%{value.name} is a constant and has a producer", node)
            check_value(value, node)
            defined.add(value)
    for value in graph.outputs:
        if not value.is_constant and value not in defined:
            fail(f"output %{value.name} is not defined")
    if len(graph.output_names) != len(graph.outputs):
        fail("outputs and their names differ in number")
