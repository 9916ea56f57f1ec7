"""Compute at export what depends on constants alone."""

from __future__ import annotations

from typing import Any

from pappus.export.ir.graph import Arg, Graph, Node, Value
from pappus.export.ir.interpret import run_node, to_tensor
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import SymInt

# A folded result may not be larger than its operands by more than this (an `expand` of a scalar to a mask would only
# make the
# file bigger), and a larger view of a constant that is also read otherwise stays a view: folded it would be a second
# copy.
GROWTH_LIMIT = 1 << 16


def fold_constants(graph: Graph) -> Graph:
    """Replace nodes whose operands are all constants by their result."""
    mapping: dict[Value, Value] = {}
    kept: list[Node] = []
    readers = {value: len(nodes) for value, nodes in graph.uses().items()}
    for node in graph.nodes:
        shared = any(readers.get(v, 0) > 1 for v in node.inputs)
        node.args = tuple(_mapped(a, mapping) for a in node.args)
        folded = _fold(node, shared)
        if folded is None:
            kept.append(node)
            continue
        mapping.update(zip(node.outputs, folded, strict=True))
    graph.nodes = kept
    graph.replace(mapping)
    return graph


def _mapped(arg: Arg, mapping: dict[Value, Value]) -> Arg:
    if isinstance(arg, tuple):
        return tuple(mapping.get(v, v) if v is not None else None for v in arg)
    return mapping.get(arg, arg) if arg is not None else None


def _has_symbols(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(map(_has_symbols, value))
    return isinstance(value, SymInt)


def _fold(node: Node, shared: bool) -> list[Value] | None:
    if node.op not in OPS or "random" in OPS[node.op].tags:
        return None
    if any(not v.is_constant for v in node.inputs) or any(map(_has_symbols, node.attrs.values())):
        return None
    size = sum(v.constant.nbytes for v in node.inputs if v.constant is not None)
    result_bytes = 0
    for value in node.outputs:
        count = value.dtype.itemsize
        for dim in value.shape:
            if isinstance(dim, SymInt):
                return None
            count *= dim
        result_bytes += count
    if result_bytes > size + GROWTH_LIMIT or (shared and OPS[node.op].view and result_bytes > GROWTH_LIMIT):
        return None

    def tensor_of(arg: Arg) -> Any:
        if isinstance(arg, tuple):
            return [tensor_of(a) for a in arg]
        return None if arg is None else to_tensor(arg, arg.constant)  # type: ignore[arg-type]

    arrays = run_node(node, [tensor_of(a) for a in node.args], lambda s: s.hint)
    return [
        Value(v.name, v.dtype, tuple(a.shape), None, a) for v, a in zip(node.outputs, arrays, strict=True)
    ]
