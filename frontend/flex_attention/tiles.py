"""How the attention matrix is cut: groups of heads that share blocks, tiles of query rows, runs of key columns.

Everything works on queries viewed as (B, Hkv, G, L, E), G query heads to a key head, so that the heads of a group are
one matrix of G * rows rows per key head, and on runs of neighbouring blocks of one kind, so that a tile is large enough
for a matrix product and small enough for the cache, whatever the block size is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .block_mask import EMPTY, FULL, PARTIAL, BlockMask

__all__ = ["Group", "Tiling"]

_TILE = 1 << 19  # scores in a tile: 2 MB of float32
_ROWS = 128  # query rows of a tile, at most
_COLUMNS = 128  # key columns of a tile that heads are grouped for


@dataclass(frozen=True)
class Group:
    """Heads that are computed together: slices of the batch, of the key heads and of the query heads of each."""

    batch: slice
    kv_heads: slice
    q_heads: slice
    kinds: Any  # (rows, columns) of the block mask


@dataclass(frozen=True)
class Tiling:
    """The cut for queries of (B, Hkv, G, L, E) and keys of length S."""

    batch: int
    kv_heads: int
    q_heads: int
    q_len: int
    kv_len: int
    mask: BlockMask | None

    def groups(self) -> Iterator[Group]:
        """The groups, which together are all heads."""
        rows = min(_ROWS, max(1, self.q_len))
        if self.mask is None:
            yield from self._heads(slice(0, self.batch), rows * _COLUMNS, np.full((1, 1), FULL, np.uint8))
            return
        kinds = self.mask.kinds()
        kinds = kinds.reshape((1,) * (4 - kinds.ndim) + kinds.shape)
        rows, columns = min(rows, self.mask.BLOCK_SIZE[0]), min(self.mask.BLOCK_SIZE[1], max(1, self.kv_len))
        for b, masks in enumerate(kinds):
            batch = slice(0, self.batch) if len(kinds) == 1 else slice(b, b + 1)
            if len(masks) == 1:
                yield from self._heads(batch, rows * columns, masks[0])
                continue
            for h, mask in enumerate(masks):
                kv, q = divmod(h, self.q_heads)
                yield Group(batch, slice(kv, kv + 1), slice(q, q + 1), mask)

    def _heads(self, batch: slice, block: int, kinds: Any) -> Iterator[Group]:
        """Groups of so many heads that a tile of one block each has at most _TILE scores."""
        count = max(1, _TILE // max(1, block))
        q = min(self.q_heads, count)
        kv = min(self.kv_heads, max(1, count // max(1, self.q_heads)))
        b = min(batch.stop - batch.start, max(1, count // max(1, self.q_heads * self.kv_heads)))
        for i in range(batch.start, batch.stop, max(1, b)):
            for j in range(0, self.kv_heads, max(1, kv)):
                for k in range(0, self.q_heads, max(1, q)):
                    yield Group(
                        slice(i, min(i + b, batch.stop)), slice(j, min(j + kv, self.kv_heads)),
                        slice(k, min(k + q, self.q_heads)), kinds,
                    )  # fmt: skip

    def rows(self, group: Group) -> Iterator[tuple[slice, list[tuple[slice, bool]]]]:
        """Each tile of query rows of a group with its runs of key columns; True where the mask function is needed."""
        if not self.q_len:
            return
        size = (self.q_len, self.kv_len) if self.mask is None else self.mask.BLOCK_SIZE
        heads = 1
        for part in (group.batch, group.kv_heads, group.q_heads):
            heads *= part.stop - part.start
        for row, kinds in enumerate(group.kinds):
            start, stop = row * size[0], min((row + 1) * size[0], self.q_len)
            height = min(_ROWS, stop - start)
            runs = list(self._runs(kinds, size[1], max(1, _TILE // max(1, height * heads))))
            for at in range(start, stop, max(1, height)):
                yield slice(at, min(at + height, stop)), runs

    def _runs(self, kinds: Any, size: int, most: int) -> Iterator[tuple[slice, bool]]:
        """Neighbouring blocks of one kind as slices of the keys, none longer than `most`, rounded to blocks."""
        if not self.kv_len:
            return
        if most > size:
            most = most // size * size
        edges = np.flatnonzero(np.diff(kinds)) + 1
        for first, last in zip([0, *edges], [*edges, len(kinds)], strict=True):
            if kinds[first] == EMPTY:
                continue
            for at in range(first * size, min(last * size, self.kv_len), most):
                yield slice(at, min(at + most, last * size, self.kv_len)), bool(kinds[first] == PARTIAL)
