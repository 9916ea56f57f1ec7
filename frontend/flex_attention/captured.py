"""Gradients of the tensors that a score function captured, added up over the tiles."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import AutogradError
from ..region import Key, key_of
from ..source import user_location
from ..tape import Node
from ..tensor import Tensor

__all__ = ["Captured"]


class Captured:
    """One sum for each captured tensor. A gather from one, `table[h, q_idx - kv_idx]`, is added where it was gathered:

    the gradient of a table is never spread out to the table's size for a tile.
    """

    def __init__(self, tensors: Sequence[Tensor]) -> None:
        self.sums: dict[Key, Any] = {
            key_of(t): np.zeros(t._data.shape, np.float64 if t.dtype.itemsize > 4 else np.float32) for t in tensors
        }

    def add(self, found: dict[Key, Tensor]) -> None:
        """Add a tile's gradients."""
        for key, gradient in found.items():
            self._sum(key)[...] += gradient._data

    def _sum(self, key: Key) -> Any:
        if key not in self.sums:
            raise AutogradError(
                "flex_attention: score_mod used a tensor that requires grad for some positions only, so its gradient "
                "is not "
                "known to be wanted; use the same tensors for every position (choose with pp.where, not with if)"
            ).at(None, user_location())
        return self.sums[key]

    def catch(self, node: Node, slots: dict[int, Tensor]) -> bool:
        """Take the gradient of a gather from a captured tensor; False where `node` is something else."""
        if node.op.name != "index" or node.edges[0] is None:
            return False
        key = (id(node.edges[0][0]), node.edges[0][1])
        if key not in self.sums:
            return False
        indices = [None if i is None else i._data for i in node.args[1]]
        if any(i is None or i.dtype.kind not in "iu" for i in indices):
            return False
        if len(indices) != self.sums[key].ndim:
            return False
        scatter_add(self.sums[key], indices, slots[0]._data)
        return True


def scatter_add(target: Any, indices: list[Any], values: Any) -> None:
    """target[indices] += values with repeated positions added up; `indices` has one integer array per dimension.

    Dimensions along which the position does not change are summed first; then positions become numbers, and those
    between the smallest and the largest are counted with weights, in float64.

    >>> table = np.zeros((2, 3))
    >>> scatter_add(table, [np.array([[0], [1]]), np.array([[2, 2, 0]])], np.ones((2, 3)))
    >>> table.tolist()
    [[1.0, 0.0, 2.0], [1.0, 0.0, 2.0]]
    """
    if values.size == 0:
        return
    rank = values.ndim
    full = [i.reshape((1,) * (rank - i.ndim) + i.shape) for i in indices]
    still = tuple(d for d in range(rank) if values.shape[d] > 1 and all(i.shape[d] == 1 for i in full))
    if still:
        values = values.sum(still, keepdims=True)
    position: Any = 0
    for index, size in zip(full, target.shape, strict=True):
        position = position * size + np.where(index < 0, index + size, index)
    low, high = int(position.min()), int(position.max())
    position = np.broadcast_to(position, values.shape)
    flat = target.reshape(-1)
    if high - low > 4 * values.size + 1024:  # a few elements, far apart
        np.add.at(flat, position, values)
        return
    added = np.bincount((position - low).reshape(-1), values.reshape(-1).astype(np.float64), high - low + 1)
    flat[low : high + 1] += added.astype(flat.dtype)
