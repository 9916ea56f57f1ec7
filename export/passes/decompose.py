"""Replace composite operators by their definitions, except those a later stage wants whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.export.capture import CaptureMode
from pappus.export.ir.graph import Arg, Graph, Node, Value
from pappus.frontend.autograd import no_grad
from pappus.frontend.opdef import OpDef
from pappus.frontend.ops import OPS
from pappus.frontend.symbolic import ShapeEnv, SymbolicArray
from pappus.frontend.tensor import Tensor


class _Inline(CaptureMode):
    """Records a decomposition into the graph under the location of the node it replaces."""

    def __init__(self, graph: Graph, node: Node, keep: Callable[[str], bool]) -> None:
        super().__init__(graph, ShapeEnv(), {})
        self.node, self.keep_op = node, keep

    def location(self) -> str:
        return self.node.location

    def module(self) -> str:
        return self.node.module

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        if op.decompose is not None and not self.keep_op(op.name):
            with self:
                return op.decompose(*args, **attrs)
        return super().call(op, args, attrs)


def decompose(graph: Graph, keep: Callable[[str], bool]) -> Graph:
    """Inline the decomposition of every composite whose name `keep` refuses; primitives stay."""
    old, graph.nodes = graph.nodes, []
    mapping: dict[Value, Value] = {}

    def current(value: Value) -> Value:
        return mapping.get(value, value)

    for node in old:
        op = OPS.get(node.op)
        if op is None or op.decompose is None or keep(node.op):
            node.args = tuple(
                tuple(current(v) if v is not None else None for v in a)
                if isinstance(a, tuple)
                else (current(a) if a is not None else None)
                for a in node.args
            )
            graph.nodes.append(node)
            continue
        mode = _Inline(graph, node, keep)

        def tensor_of(arg: Arg) -> Any:
            if arg is None:
                return None
            if isinstance(arg, tuple):
                return [tensor_of(a) for a in arg]
            value = current(arg)
            tensor = Tensor._from_data(SymbolicArray(value.shape, value.dtype, value))
            if value.wrapped:
                tensor._wrapped = True
            return tensor

        with mode, no_grad():
            result = op.decompose(*(tensor_of(a) for a in node.args), **node.attrs)
        results = result if isinstance(result, (tuple, list)) else (result,)
        for value, tensor in zip(node.outputs, results, strict=False):
            new = mode.value_of(tensor)
            mapping[value] = new
            if new.producer is not None and new.producer not in old and new not in graph.inputs:
                new.name = value.name  # the debug map and compare speak of the user's operator
    graph.replace(mapping)
    return graph
