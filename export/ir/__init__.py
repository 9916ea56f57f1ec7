"""The graph: nodes, values, a verifier, a printer and an interpreter."""

from pappus.export.ir.graph import Graph, Node, StateInfo, Value

__all__ = ["Graph", "Node", "StateInfo", "Value"]
