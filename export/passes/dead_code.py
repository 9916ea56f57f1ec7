"""Remove nodes whose results nobody reads."""

from __future__ import annotations

from pappus.export.ir.graph import Graph, Node, Value


def dead_code(graph: Graph) -> Graph:
    """Drop every node from which neither an output nor a state write can be reached."""
    needed: set[Value] = set(graph.outputs)
    kept: list[Node] = []
    for node in reversed(graph.nodes):
        if node.op == "state_write" or any(v in needed for v in node.outputs):
            kept.append(node)
            needed.update(node.inputs)
    graph.nodes = kept[::-1]
    return graph
