"""The same attention in plain operators on the whole matrix: what is captured, and what is differentiated twice."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import ops
from ..tensor import Tensor
from .block_mask import EMPTY, BlockMask
from .mods import ScoreMod, call_mask_tensor, call_score

__all__ = ["dense_attention"]

_INF = float("inf")


def dense_attention(
    query: Tensor, key: Tensor, value: Tensor, score_mod: ScoreMod | None, block_mask: BlockMask | None, scale: float,
    stats: bool = True,
) -> tuple[Tensor, Any, Any]:
    """(output, lse, largest scores) of 4-d operands in the type computed in; memory is that of the whole matrix.

    Without `stats` the last two are None.
    """
    heads, groups = query.shape[1], key.shape[1]
    if heads is not groups and heads != groups:
        key, value = (_repeat(x, heads // groups) for x in (key, value))
    scores = ops.matmul(query * scale, key.transpose(-2, -1))
    b, h, q, kv = (ops.arange(n).reshape([-1 if d == at else 1 for d in range(4)]) for at, n in enumerate(scores.shape))
    if score_mod is not None:
        scores = ops.expand(call_score(score_mod, scores, (b, h, q, kv)), scores.shape)
    if block_mask is not None:
        allowed = call_mask_tensor(block_mask.mask_mod, (b, h, q, kv))
        if not block_mask.from_mask_mod:
            allowed = allowed & _listed(block_mask, b, h, q, kv)
        scores = ops.where(allowed, scores, -_INF)
    if score_mod is None and block_mask is None and scores.shape[-1] != 0:
        out = ops.matmul(ops.softmax(scores, -1), value)
        return (out, ops.logsumexp(scores, -1), ops.amax(scores, -1)) if stats else (out, None, None)
    # Rows that see nothing give 0 and -inf; their scores are replaced first, so that no gradient is 0 / 0.
    dead = (scores == -_INF).all(-1, keepdim=True)
    alive = ops.where(dead, 0.0, scores)
    weights = ops.where(dead, 0.0, ops.softmax(alive, -1))
    if not stats:
        return ops.matmul(weights, value), None, None
    lse = ops.where(dead.squeeze(-1), -_INF, ops.logsumexp(alive, -1))
    top = ops.where(dead.squeeze(-1), -_INF, ops.amax(alive, -1))
    return ops.matmul(weights, value), lse, top


def _repeat(x: Any, times: Any) -> Any:
    b, groups, length, width = x.shape
    return x.unsqueeze(2).expand(b, groups, times, length, width).reshape(b, groups * times, length, width)


def _listed(mask: BlockMask, b: Any, h: Any, q: Any, kv: Any) -> Any:
    """Whether each position lies in a block that the mask lists."""
    kinds = mask.kinds()
    kinds = kinds.reshape((1,) * (4 - kinds.ndim) + kinds.shape)
    if kinds.shape[0] == 1:
        b = b * 0
    if kinds.shape[1] == 1:
        h = h * 0
    rows, columns = mask.BLOCK_SIZE
    return Tensor._from_data(np.asarray(kinds != EMPTY))[b, h, q // rows, kv // columns]
