"""Replace composite operators by their definitions, except those a later stage wants whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pappus.export.capture import CaptureMode
from pappus.export.ir.graph import Arg, Graph, Node, Value, map_args
from pappus.export.ir.verifier import GraphError
from pappus.export.passes.expansions import Expansion
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import CaptureError
from pappus.frontend.opdef import OPS, OpDef
from pappus.frontend.symbolic import ShapeEnv, SymbolicArray
from pappus.frontend.tensor import Tensor


class _Inline(CaptureMode):
    """Records a decomposition into the graph under the location of the node it replaces."""

    def __init__(self, graph: Graph, node: Node, choose: Callable[[OpDef, Sequence[Any], dict[str, Any]], Any]) -> None:
        super().__init__(graph, ShapeEnv(), {})
        self.node, self.choose = node, choose

    def location(self) -> str:
        return self.node.location

    def module(self) -> str:
        return self.node.module

    def owns(self, value: Any) -> bool:
        return True  # every tensor here is one of the graph's

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        smaller = self.choose(op, args, attrs)
        if smaller is not None:
            with self:
                return smaller(*args, **attrs)
        return super().call(op, args, attrs)


def decompose(graph: Graph, keep: Callable[[str], bool], expansions: Mapping[str, Expansion] | None = None) -> Graph:
    """Inline the decomposition of every composite whose name `keep` refuses; primitives stay.

    `expansions` decompose primitives (and composites that `keep` wants whole), where they can. A decomposition that
    cannot be captured (it needs a size that is dynamic here) leaves its node whole, for lowering to report.
    """
    old, graph.nodes = graph.nodes, []
    mapping: dict[Value, Value] = {}
    known = expansions or {}

    def choose(op: OpDef, operands: Sequence[Any], attrs: dict[str, Any]) -> Any:
        expansion = known.get(op.name)
        if expansion is not None and expansion.reason(operands, attrs) is None:
            return expansion.expand
        return op.decompose if op.decompose is not None and not keep(op.name) else None

    def current(value: Value) -> Value:
        return mapping.get(value, value)

    for node in old:
        op = OPS.get(node.op)
        node.args = map_args(node.args, current)
        smaller = choose(op, node.args, node.attrs) if op is not None else None
        if op is None or smaller is None:
            graph.nodes.append(node)
            continue
        mode = _Inline(graph, node, choose)
        before = len(graph.nodes)

        def tensor_of(arg: Arg) -> Any:
            if arg is None:
                return None
            if isinstance(arg, tuple):
                return [tensor_of(a) for a in arg]
            tensor = Tensor._from_data(SymbolicArray(arg.shape, arg.dtype, arg))
            if arg.wrapped:
                tensor._wrapped = True
            return tensor

        try:
            with mode, no_grad():
                result = smaller(*(tensor_of(a) for a in node.args), **node.attrs)
        except CaptureError:
            del graph.nodes[before:]
            graph.nodes.append(node)
            continue
        results = result if isinstance(result, (tuple, list)) else (result,)
        for value, tensor in zip(node.outputs, results, strict=False):
            new = mode.value_of(tensor)
            if new.dtype is not value.dtype or len(new.shape) != len(value.shape):
                raise GraphError(
                    f"the decomposition of {node.where()} gives {new.dtype.name} of rank {len(new.shape)}, "
                    f"its shape rule {value.dtype.name} of rank {len(value.shape)}"
                )
            mapping[value] = new
            if new.producer is not None and new.producer in graph.nodes[before:]:
                new.name = value.name  # the debug map and compare speak of the user's operator
    graph.replace(mapping)
    return graph
