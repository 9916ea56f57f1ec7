"""Compute equal things once."""

from __future__ import annotations

from typing import Any

from pappus.export.ir.graph import Arg, Graph, Value
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import SymInt


def common_subexpressions(graph: Graph) -> Graph:
    """Replace a node by an earlier one with the same operator, operands and attributes.

    Small constants with the same bytes count as the same operand. Random operators and state are left alone.
    """
    constants: dict[Any, Value] = {}
    known: dict[Any, list[Value]] = {}
    mapping: dict[Value, Value] = {}

    def key_of(arg: Arg) -> Any:
        if arg is None:
            return None
        if isinstance(arg, tuple):
            return tuple(key_of(a) for a in arg)
        value = mapping.get(arg, arg)
        if value.constant is not None and value.constant.size <= 64:
            bytes_key = (value.dtype.name, value.constant.shape, value.constant.tobytes(), value.wrapped)
            return id(constants.setdefault(bytes_key, value))
        return id(value)

    kept = []
    for node in graph.nodes:
        if node.op not in OPS or "random" in OPS[node.op].tags:
            kept.append(node)
            continue
        key = (node.op, tuple(key_of(a) for a in node.args), _freeze(node.attrs))
        if key in known:
            mapping.update(zip(node.outputs, known[key], strict=True))
        else:
            known[key] = node.outputs
            kept.append(node)
    graph.nodes = kept
    graph.replace(mapping)
    return graph


def _freeze(value: Any) -> Any:
    if isinstance(value, dict):
        return tuple(sorted((k, _freeze(v)) for k, v in value.items()))
    if isinstance(value, (list, tuple)):
        return tuple(_freeze(v) for v in value)
    if isinstance(value, SymInt):
        return ("sym", value.terms)
    if isinstance(value, (int, float, str, bool)) or value is None:
        return (type(value).__name__, repr(value))
    return ("object", id(value))
