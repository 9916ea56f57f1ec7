"""Shape expressions as the file stores them: a list of nodes, each referring to earlier ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pappus.frontend.symbolic import Call, Size, Symbol, SymInt
from pappus.runtime.enums import ExprOp

_CALLS = {"//": ExprOp.FLOORDIV, "%": ExprOp.MOD, "min": ExprOp.MIN, "max": ExprOp.MAX}


@dataclass(frozen=True)
class ExprNode:
    """One node; see docs/format.md for what `a`, `b` and `value` mean."""

    op: int
    a: int = 0
    b: int = 0
    value: int = 0


class ExprTable:
    """Numbers the expressions of one method; equal expressions get one number."""

    def __init__(self, symbols: Sequence[Symbol]) -> None:
        self.nodes: list[ExprNode] = []
        self._known: dict[ExprNode, int] = {}
        self._symbols = {s.name: i for i, s in enumerate(symbols)}

    def add(self, size: Size) -> int:
        """The number of an expression."""
        if not isinstance(size, SymInt):
            return self._node(ExprNode(ExprOp.CONST, value=int(size)))
        total: int | None = None
        for monomial, coefficient in size.terms:
            term: int | None = None
            for key in monomial:
                atom = size.atoms[key]
                number = self._atom(atom)
                term = number if term is None else self._node(ExprNode(ExprOp.MUL, term, number))
            if term is None:
                term = self.add(coefficient)
            elif coefficient == -1 and total is not None:
                total = self._node(ExprNode(ExprOp.SUB, total, term))
                continue
            elif coefficient != 1:
                term = self._node(ExprNode(ExprOp.MUL, term, self.add(coefficient)))
            total = term if total is None else self._node(ExprNode(ExprOp.ADD, total, term))
        assert total is not None
        return total

    def _atom(self, atom: Symbol | Call) -> int:
        if isinstance(atom, Symbol):
            return self._node(ExprNode(ExprOp.SYMBOL, self._symbols[atom.name]))
        return self._node(ExprNode(_CALLS[atom.op], self.add(atom.left), self.add(atom.right)))

    def _node(self, node: ExprNode) -> int:
        if node not in self._known:
            self._known[node] = len(self.nodes)
            self.nodes.append(node)
        return self._known[node]
