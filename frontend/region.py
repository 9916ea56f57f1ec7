"""The gradient of one piece of a forward pass, apart from everything before it.

A region is what runs while it is "open": the nodes that the tape gets from then on are inside, everything older (and
every leaf) is a source. Its gradients stop at the sources, so they can be handed to a node that stands for the whole
piece: that is how flex_attention differentiates a user's score function tile by tile, and how checkpoint recomputes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from .autograd import sweep
from .symbolic import SymbolicArray
from .tape import Key, Node, _sequence, history_of, state
from .tensor import Tensor

__all__ = ["Key", "Region", "key_of"]


def key_of(tensor: Tensor) -> Key:
    """What identifies a tensor that requires grad as a source: its node and result number, or itself for a leaf."""
    node = history_of(tensor)
    return (id(tensor), 0) if node is None else (id(node), tensor._index)


class Region:
    """Nodes made after the region was, up to what they were made from.

    >>> import pappus as pp
    >>> w = pp.tensor(3.0, requires_grad=True)
    >>> x = w * 2
    >>> region = Region()
    >>> y = x * x
    >>> found = region.gradients([y], [pp.ones(())])
    >>> [g.item() for g in found.values()], list(found) == [key_of(x)]
    ([12.0], True)
    """

    def __init__(self) -> None:
        self.start = next(_sequence)

    def _inside(self, node: Node | None) -> bool:
        return node is not None and node.seq >= self.start

    def sources(self, outs: Sequence[Tensor]) -> list[Tensor]:
        """The tensors outside that `outs` were made from and that require grad.

        Where the tape has kept only a shape, so has the tensor returned; its history is the same.
        """
        found: dict[Key, Tensor] = {}
        seen: set[Node] = set()
        stack: list[Node] = []
        for out in outs:
            if not out._requires_grad:
                continue
            if self._inside(history_of(out)):
                stack.append(out._node)  # type: ignore[arg-type]
            else:
                found.setdefault(key_of(out), out)
        while stack:
            node = stack.pop()
            if node in seen:
                continue
            seen.add(node)
            for edge, operand in zip(node.edges, node.operands(), strict=True):
                if edge is None:
                    continue
                if isinstance(edge[0], Node) and self._inside(edge[0]):
                    stack.append(edge[0])
                    continue
                key = (id(edge[0]), edge[1])
                if key not in found:
                    found[key] = _stand_in(edge, operand)
        return list(found.values())

    def gradients(
        self,
        outs: Sequence[Tensor],
        seeds: Sequence[Tensor],
        create_graph: bool = False,
        catch: Callable[[Node, dict[int, Tensor]], bool] | None = None,
    ) -> dict[Key, Tensor]:
        """The gradients of the sources, by key, given those of `outs`; the region's nodes are released.

        `catch(node, gradients of its results)` may deal with a node itself, and then returns True.
        """
        free = None if create_graph else lambda node: node.free(None)

        def caught(node: Node, slots: dict[int, Tensor]) -> bool:
            if catch is None or not catch(node, slots):
                return False
            if free is not None:
                free(node)
            return True

        pairs = [(out, seed) for out, seed in zip(outs, seeds, strict=True) if out._requires_grad]
        for out, _ in pairs:
            history_of(out)
        saved, state.grad = state.grad, create_graph
        try:
            found = sweep([o for o, _ in pairs], [s for _, s in pairs], create_graph, free, caught, self.start)
        finally:
            state.grad = saved
        return {key: entry[0] for key, entry in found.items()}


def _stand_in(edge: tuple[Any, int], operand: Any) -> Tensor:
    target, index = edge
    if not isinstance(target, Node):
        return target  # type: ignore[no-any-return]
    data = operand._data if isinstance(operand, Tensor) else SymbolicArray(tuple(operand.shape), operand.dtype)
    out = Tensor._from_data(data, requires_grad=True)
    out._node, out._index = target, index
    return out
