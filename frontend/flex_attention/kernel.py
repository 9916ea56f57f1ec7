"""The tiles' arithmetic: online softmax forward, recomputed scores backward, in numpy.

Forward keeps, per query row, the largest score so far, the sum of exponentials and the weighted sum of values, and
rescales the last two when a tile raises the first. It saves the log of the sum of exponentials (lse). Backward computes
each tile's scores again, P = exp(score - lse), and with D = rowsum(dO * O) - dlse:

    dV += P^T dO      dS = P * (dO V^T - D)      dQ += dscore K      dK += dscore^T Q

where dscore is dS sent back through score_mod by the tile's own tape, which also gives the gradients of what score_mod
has captured. See T. Dao, "FlashAttention-2: Faster Attention with Better Parallelism and Work Partitioning", 2023.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..region import Region, key_of
from ..tape import state
from ..tensor import Tensor
from .captured import Captured
from .mods import MaskMod, ScoreMod, call_mask, call_score, index_tensors
from .tiles import Group, Tiling

__all__ = ["Attention"]

Runs = list[tuple[slice, bool]]


@dataclass
class _Tile:
    """One tile: the scores (b, kv heads, q heads * rows, columns), and the index tensors of its mods."""

    columns: slice
    scores: Any
    indices: tuple[Tensor, ...]
    recorded: tuple[Region, Tensor, Tensor] | None = None  # region, score before, score after


class Attention:
    """Attention of arrays q (B, Hkv, G, L, E), k (B, Hkv, S, E) and v (B, Hkv, S, Ev), all of the type computed in."""

    def __init__(
        self, q: Any, k: Any, v: Any, scale: float, score_mod: ScoreMod | None, mask_mod: MaskMod | None, tiling: Tiling
    ) -> None:
        self.q, self.k, self.v, self.scale = q, k, v, scale
        self.score_mod, self.mask_mod, self.tiling = score_mod, mask_mod, tiling
        b, kv, g = q.shape[:3]
        self.positions = (np.arange(b), np.arange(kv * g).reshape(kv, g), np.arange(q.shape[3]), np.arange(k.shape[2]))

    # -- tiles ----------------------------------------------------------------------------------

    def _rows_of(self, array: Any, group: Group, rows: slice) -> Any:
        """Some rows of (B, Hkv, G, L, n) for a group, the heads of a key head below each other."""
        part = array[group.batch, group.kv_heads, group.q_heads, rows]
        return part.reshape(*part.shape[:2], -1, part.shape[-1])

    def _indices(self, group: Group, rows: slice, columns: slice) -> tuple[Tensor, ...]:
        b, h, q, kv = self.positions
        return index_tensors(b[group.batch], h[group.kv_heads, group.q_heads], q[rows], kv[columns])

    def _tiles(self, group: Group, rows: slice, runs: Runs, q: Any, record: bool) -> Iterator[_Tile]:
        """The tiles of a row of tiles with their scores after score_mod and mask_mod; `q` is scaled."""
        for columns, partial in runs:
            keys = self.k[group.batch, group.kv_heads, columns]
            tile = _Tile(columns, np.matmul(q, keys.swapaxes(-1, -2)), ())
            if self.score_mod is not None or partial:
                tile.indices = self._indices(group, rows, columns)
                self._modify(tile, partial, record)
            yield tile

    def _modify(self, tile: _Tile, partial: bool, record: bool) -> None:
        merged = tile.scores.shape
        b, h, q, kv = tile.indices
        shape = (b.shape[0], h.shape[1], q.shape[2], kv.shape[3])
        scores = tile.scores.reshape(shape)
        if self.score_mod is not None:
            saved, state.grad = state.grad, record
            try:
                region = Region()
                before = Tensor._from_data(scores, requires_grad=record)
                after = call_score(self.score_mod, before, tile.indices)
            finally:
                state.grad = saved
            if record:
                tile.recorded = region, before, after
            # What comes after changes the array in place: never a user's tensor, nor one that the tape has kept.
            scores = after._data if after._data.shape == shape else np.broadcast_to(after._data, shape)
        if partial and self.mask_mod is not None:
            allowed = call_mask(self.mask_mod, tile.indices)
            scores = np.where(allowed, scores, np.array(-np.inf, scores.dtype))
        tile.scores = scores.reshape(merged)

    # -- forward --------------------------------------------------------------------------------

    def forward(self) -> tuple[Any, Any, Any]:
        """The output (B, Hkv, G, L, Ev), and (B, Hkv, G, L, 1) each: lse and the largest score of each row."""
        lead = self.q.shape[:4]
        out = np.zeros((*lead, self.v.shape[-1]), self.q.dtype)
        lse, top = (np.full((*lead, 1), -np.inf, self.q.dtype) for _ in range(2))
        for group in self.tiling.groups():
            for rows, runs in self.tiling.rows(group):
                if runs:
                    where = (group.batch, group.kv_heads, group.q_heads, rows)
                    for array, part in zip((out, lse, top), self._forward_rows(group, rows, runs), strict=True):
                        array[where] = part.reshape(array[where].shape)
        return out, lse, top

    def _forward_rows(self, group: Group, rows: slice, runs: Runs) -> tuple[Any, Any, Any]:
        q = self._rows_of(self.q, group, rows) * self.scale
        most: Any = None
        total: Any = None
        weighted: Any = None
        for tile in self._tiles(group, rows, runs, q, False):
            here = tile.scores.max(-1, keepdims=True)
            values = self.v[group.batch, group.kv_heads, tile.columns]
            if most is None:
                most = here
                weights = _exp(tile.scores, most)
                total, weighted = weights.sum(-1, keepdims=True), np.matmul(weights, values)
                continue
            before, most = most, np.maximum(most, here)
            weights = _exp(tile.scores, most)
            shrink = _exp(before, most)
            total = total * shrink + weights.sum(-1, keepdims=True)
            weighted = weighted * shrink + np.matmul(weights, values)
        return weighted / np.where(total == 0, 1, total), most + np.log(total), most

    # -- backward -------------------------------------------------------------------------------

    def backward(self, d_out: Any, out: Any, lse: Any, d_lse: Any, captured: Captured) -> tuple[Any, Any, Any]:
        """The gradients of q, k and v; those of what score_mod captured go into `captured`."""
        d_q, d_k, d_v = np.zeros_like(self.q), np.zeros_like(self.k), np.zeros_like(self.v)
        offset = (d_out * out).sum(-1, keepdims=True)
        if d_lse is not None:
            offset -= d_lse
        base = np.where(np.isneginf(lse), 0, lse)  # rows that see nothing: every exp is 0
        for group in self.tiling.groups():
            for rows, runs in self.tiling.rows(group):
                if not runs:
                    continue
                q = self._rows_of(self.q, group, rows) * self.scale
                part = [self._rows_of(a, group, rows) for a in (d_out, offset, base)]
                found: Any = 0
                for tile in self._tiles(group, rows, runs, q, self.score_mod is not None):
                    at = (group.batch, group.kv_heads, tile.columns)
                    weights = np.exp(tile.scores - part[2])
                    d_v[at] += np.matmul(weights.swapaxes(-1, -2), part[0])
                    change = np.matmul(part[0], self.v[at].swapaxes(-1, -2))
                    change -= part[1]
                    change *= weights
                    change = self._before_mod(tile, change, captured)
                    d_k[at] += np.matmul(change.swapaxes(-1, -2), q)
                    found = found + np.matmul(change, self.k[at])
                where = (group.batch, group.kv_heads, group.q_heads, rows)
                d_q[where] = (found * self.scale).reshape(d_q[where].shape)
        return d_q, d_k, d_v

    def _before_mod(self, tile: _Tile, change: Any, captured: Captured) -> Any:
        """The gradient of the scores before score_mod from that of the scores after it."""
        if tile.recorded is None:
            return change
        region, before, after = tile.recorded
        tile.recorded = None
        shaped = change.reshape(before._data.shape)
        if shaped.shape != after._data.shape:
            lead = shaped.ndim - after._data.ndim
            axes = tuple(d for d in range(shaped.ndim) if d < lead or after._data.shape[d - lead] != shaped.shape[d])
            shaped = shaped.sum(axes, keepdims=True).reshape(after._data.shape)
        found = region.gradients([after], [Tensor._from_data(shaped)], catch=captured.catch)
        inner = found.pop(key_of(before), None)
        captured.add(found)
        if inner is None:  # the function does not look at the score
            return np.zeros_like(change)
        return np.broadcast_to(inner._data, before._data.shape).reshape(change.shape)


def _exp(scores: Any, top: Any) -> Any:
    """exp(scores - top), 0 where both are -inf."""
    out = scores - np.where(np.isneginf(top), 0, top)
    return np.exp(out, out=out)
