"""A picture of a captured graph: the same boxes and layout as `autograd.graph_svg`."""

from __future__ import annotations

from typing import Any

from pappus.export.ir.graph import Graph, Node, Value
from pappus.frontend.graph_picture import Box, draw

__all__ = ["graph_svg"]


def graph_svg(program: Any) -> str:
    """The graph of an ExportedProgram (or a Graph) as the text of an SVG file: inputs, parameters, operators, results.

    >>> import pappus as pp
    >>> net = pp.nn.Linear(3, 2)
    >>> ep = pp.export.export(net, (pp.ones(1, 3),))
    >>> text = pp.export.graph_svg(ep)
    >>> text.startswith("<svg"), "linear" in text, "weight" in text
    (True, True, True)
    """
    graph: Graph = getattr(program, "graph", program)
    boxes: list[Box] = []
    number: dict[Any, int] = {}
    edges: list[tuple[int, int]] = []

    def box_of(value: Value) -> int:
        key: Any = value if value.producer is None else value.producer
        if key not in number:  # an input or a constant, when it is first read
            number[key] = len(boxes)
            boxes.append(Box("parameter" if value.is_constant else "input", value.name, (_shape(value),)))
        return number[key]

    for value in graph.inputs:
        box_of(value)
    for node in graph.nodes:
        sources = [box_of(value) for value in node.inputs if not value.wrapped]
        number[node] = len(boxes)
        boxes.append(Box("operator", _name(node), _lines(node)))
        edges += [(source, number[node]) for source in sources]
    for name, value in zip(graph.output_names, graph.outputs, strict=True):
        source = box_of(value)
        edges.append((source, len(boxes)))
        boxes.append(Box("result", name, (_shape(value),)))
    return draw(boxes, list(dict.fromkeys(edges)), "a captured graph: inputs above, results below")


def _shape(value: Value) -> str:
    return f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"


def _name(node: Node) -> str:
    state = node.attrs.get("name") if node.op in ("state_read", "state_write") else None
    return f"{node.op} {state}" if state else node.op


def _lines(node: Node) -> tuple[str, ...]:
    found = [node.location] if node.location else []
    if node.module:
        found.append(f"in {node.module}")
    return (*found, *(_shape(value) for value in node.outputs))
