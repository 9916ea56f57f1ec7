"""A graph as text: one line per node, with shapes, attributes and the user's source line."""

from __future__ import annotations

from typing import Any

import numpy as np

from pappus.export.ir.graph import Arg, Graph, Node, Value


def format_value(value: Value) -> str:
    """`%x: float32[batch, 784]`."""
    return f"%{value.name}: {format_type(value)}"


def format_type(value: Value) -> str:
    """`float32[batch, 784]`."""
    return f"{value.dtype.name}[{', '.join(map(str, value.shape))}]"


def _format_arg(arg: Arg) -> str:
    if arg is None:
        return "none"
    if isinstance(arg, tuple):
        return "(" + ", ".join(_format_arg(a) for a in arg) + ")"
    if arg.constant is not None and arg.constant.ndim == 0:
        return str(arg.constant)
    return f"%{arg.name}"


def _format_attr(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"array{list(value.shape)}"
    if isinstance(value, (tuple, list)):
        return "[" + ", ".join(map(_format_attr, value)) + "]"
    return getattr(value, "name", None) or str(value)


def format_node(node: Node) -> str:
    """One line for a node."""
    outs = ", ".join(format_value(v) for v in node.outputs)
    parts = [_format_arg(a) for a in node.args]
    parts += [f"{k}={_format_attr(v)}" for k, v in node.attrs.items() if v is not None]
    line = f"{outs} = {node.op}({', '.join(parts)})" if outs else f"{node.op}({', '.join(parts)})"
    where = " in ".join(part for part in (node.location, node.module) if part)
    return f"{line:<100}  # {where}" if where else line


def format_graph(graph: Graph) -> str:
    """The whole graph, readable: inputs, constants, states, nodes, outputs, guards."""
    lines = [f"graph {graph.name}({', '.join(format_value(v) for v in graph.inputs)}) {{"]
    for symbol in graph.symbols:
        extra = f" multiple of {symbol.multiple_of}" if symbol.multiple_of != 1 else ""
        lines.append(f"  dim {symbol.name} in [{symbol.min}, {symbol.max}]{extra}, {symbol.hint} in the example")
    for guard in graph.guards:
        lines.append(f"  guard {guard}")
    for state in graph.states.values():
        lines.append(f"  state {state.name}: {state.dtype.name}{list(state.shape)}")
    for constant in graph.constants():
        if constant.constant is not None and constant.constant.ndim:
            lines.append(f"  constant {format_value(constant)}")
    lines.extend("  " + format_node(node) for node in graph.nodes)
    lines.append(f"  return {', '.join(f'%{v.name}' for v in graph.outputs)}")
    lines.append("}")
    return "\n".join(lines)
