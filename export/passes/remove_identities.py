"""Remove operators that return their operand."""

from __future__ import annotations

from pappus.export.ir.graph import Graph, Node, Value
from pappus.frontend.symbolic import same_size

_COPIES = {"clone", "contiguous", "detach", "alias"}
_SHAPED = {"view", "expand", "reshape"}


def remove_identities(graph: Graph) -> Graph:
    """Drop clones, casts to the same dtype, views and expands to the same shape, identity permutes."""
    mapping: dict[Value, Value] = {}
    kept = []
    for node in graph.nodes:
        node.args = tuple(
            tuple(_final(mapping, v) if v is not None else None for v in a)
            if isinstance(a, tuple)
            else (_final(mapping, a) if a is not None else None)
            for a in node.args
        )
        source = _source(node)
        if source is not None:
            mapping[node.output] = source
        else:
            kept.append(node)
    graph.nodes = kept
    graph.replace(mapping)
    return graph


def _final(mapping: dict[Value, Value], value: Value) -> Value:
    while value in mapping:
        value = mapping[value]
    return value


def _source(node: Node) -> Value | None:
    if len(node.inputs) != 1 or len(node.outputs) != 1:
        return None
    source, result = node.inputs[0], node.output
    if source.dtype is not result.dtype or len(source.shape) != len(result.shape):
        return None
    if not all(map(same_size, source.shape, result.shape)):
        return None
    if node.op in _COPIES or node.op in _SHAPED or node.op == "to_dtype":
        return source
    if node.op == "permute" and [d % len(source.shape) for d in node.attrs["dims"]] == list(range(len(source.shape))):
        return source
    return None
