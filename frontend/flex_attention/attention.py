"""flex_attention: the public function, its checks, and its node on the tape."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np

from .. import dtypes, ops
from ..errors import ArgumentError, DTypeError, PappusError, ShapeError
from ..function import Function
from ..random import default_generator
from ..region import Region, key_of
from ..source import user_location
from ..symbolic import is_symbolic, sym_eq
from ..tape import state
from ..tensor import Tensor
from .block_mask import BlockMask, sliced_mask_mod
from .captured import Captured
from .dense import dense_attention
from .kernel import Attention
from .mods import ScoreMod, call_score, probe
from .tiles import Tiling

__all__ = ["AuxOutput", "AuxRequest", "flex_attention"]


class AuxRequest(NamedTuple):
    """What `flex_attention(..., return_aux=)` returns besides the output."""

    lse: bool = False
    max_scores: bool = False


class AuxOutput(NamedTuple):
    """What was asked for with AuxRequest: (B, Hq, L) each, else None."""

    lse: Tensor | None = None
    max_scores: Tensor | None = None


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    score_mod: ScoreMod | None = None,
    block_mask: BlockMask | None = None,
    scale: float | None = None,
    enable_gqa: bool = False,
    return_lse: bool = False,
    kernel_options: Any = None,
    *,
    return_aux: AuxRequest | None = None,
) -> Any:
    """softmax(score_mod(query @ key^T * scale), where block_mask allows) @ value, in memory linear in the lengths.

    query (B, Hq, L, E), key (B, Hkv, S, E) and value (B, Hkv, S, Ev) give (B, Hq, L, Ev); all three without B work too.
    Hkv is Hq, or divides it with `enable_gqa`. `score_mod(score, b, h, q_idx, kv_idx)` changes scores; it is any code
    in operators that computes each score from its arguments alone, and tensors it captures get gradients: learned
    biases, slopes, tables. `block_mask`, from `create_block_mask`, says which blocks are computed at all. A row that
    may see nothing gives 0. float16 and bfloat16 are computed in float32.

    With `return_lse`, a pair: the output, and the log of the sum of exp(score) over the keys, (B, Hq, L), -inf for such
    rows; `return_aux=AuxRequest(lse=True, max_scores=True)` returns an AuxOutput. `kernel_options` is accepted and
    ignored. A gradient of the gradient is computed on the whole matrix, as is everything while a model is captured for
    export.

    >>> import pappus as pp
    >>> q = pp.randn(1, 2, 5, 8, requires_grad=True)
    >>> slopes = pp.tensor([0.5, 0.25], requires_grad=True)
    >>> def alibi(score, b, h, q_idx, kv_idx):
    ...     return score - slopes[h] * (q_idx - kv_idx).abs()
    >>> flex_attention(q, q, q, score_mod=alibi).sum().backward()
    >>> q.grad.shape, slopes.grad.shape
    (pappus.Size([1, 2, 5, 8]), pappus.Size([2]))
    """
    if return_lse and return_aux is not None:
        raise ArgumentError("flex_attention: give return_lse or return_aux, not both").at(None, user_location())
    try:
        _check(query, key, value, score_mod, block_mask, enable_gqa)
        unbatched = query.ndim == 3
        if unbatched:
            query, key, value = query.unsqueeze(0), key.unsqueeze(0), value.unsqueeze(0)
        if scale is None:
            scale = 1.0 / math.sqrt(max(1, int(query.shape[-1])))
        stats = return_lse or (return_aux is not None and any(return_aux))
        results = _attend(query, key, value, score_mod, block_mask, float(scale), stats)
    except PappusError as error:
        raise error.at(None, user_location()) from None
    out, lse, top = (t.squeeze(0) if unbatched and t is not None else t for t in results)
    if return_aux is not None:
        return out, AuxOutput(lse if return_aux.lse else None, top if return_aux.max_scores else None)
    return (out, lse) if return_lse else out


def _sizes(*tensors: Tensor) -> str:
    return ", ".join(str(list(t.shape)) for t in tensors)


def _check(query: Any, key: Any, value: Any, score_mod: Any, block_mask: Any, enable_gqa: bool) -> None:
    for name, tensor in (("query", query), ("key", key), ("value", value)):
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"flex_attention: {name} must be a Tensor, got {type(tensor).__name__}")
    if query.ndim not in (3, 4) or key.ndim != query.ndim or value.ndim != query.ndim:
        raise ShapeError(
            "flex_attention: query, key and value must be (batch, heads, length, width), or all without batch, got "
            f"{_sizes(query, key, value)}"
        )
    if not (query.dtype is key.dtype is value.dtype) or not query.dtype.is_floating_point:
        raise DTypeError(
            "flex_attention: query, key and value must have the same floating-point type, got "
            f"{query.dtype.name}, {key.dtype.name} and {value.dtype.name}"
        )
    if not sym_eq(query.shape[-1], key.shape[-1]):
        raise ShapeError(f"flex_attention: query and key must have the same width, got {_sizes(query, key)}")
    if not sym_eq(key.shape[-2], value.shape[-2]) or not sym_eq(key.shape[-3], value.shape[-3]):
        raise ShapeError(f"flex_attention: key and value must have the same heads and length, got {_sizes(key, value)}")
    heads, kv_heads = query.shape[-3], key.shape[-3]
    if not sym_eq(heads, kv_heads):
        if not enable_gqa:
            raise ShapeError(
                f"flex_attention: query has {heads} heads, key and value have {kv_heads}; make them equal, or share "
                "each key "
                "head among several query heads with enable_gqa=True"
            )
        if not is_symbolic(heads) and not is_symbolic(kv_heads) and (kv_heads == 0 or heads % kv_heads):
            raise ShapeError(
                f"flex_attention: with enable_gqa the query heads ({heads}) must be a multiple of the key heads "
                f"({kv_heads})"
            )
    if query.ndim == 4:
        b, others = query.shape[0], (key.shape[0], value.shape[0])
        if any(not sym_eq(n, b) and (is_symbolic(n) or n != 1) for n in others):
            raise ShapeError(
                f"flex_attention: key and value must have the query's batch size, or 1, got {_sizes(query, key, value)}"
            )
    if score_mod is not None and not callable(score_mod):
        raise ArgumentError(f"flex_attention: score_mod must be a function, got {type(score_mod).__name__}")
    if block_mask is not None:
        _check_mask(query, key, block_mask)


def _check_mask(query: Tensor, key: Tensor, mask: Any) -> None:
    if not isinstance(mask, BlockMask):
        way = "make it with create_block_mask(mask_mod, B, H, Q_LEN, KV_LEN)"
        raise ArgumentError(f"flex_attention: block_mask must be a BlockMask, got {type(mask).__name__}; {way}")
    if mask.mask_mod is sliced_mask_mod:
        sliced_mask_mod(None, None, None, None)
    *lead, q_len, kv_len = mask.shape
    if not sym_eq(query.shape[-2], q_len) or not sym_eq(key.shape[-2], kv_len):
        raise ShapeError(
            f"flex_attention: block_mask was made for lengths ({q_len}, {kv_len}), query and key have "
            f"({query.shape[-2]}, "
            f"{key.shape[-2]}); make one for these lengths, or crop it with block_mask._adjust(q_len, kv_len), which "
            "keeps the "
            "upper left corner"
        )
    have = (1, *query.shape[:-2])[-2:]
    for name, n, m in zip(("batches", "heads"), ((1, 1, *lead)[-2:]), have, strict=True):
        if n != 1 and not sym_eq(n, m):
            raise ShapeError(f"flex_attention: block_mask was made for {n} {name}, query has {m}; use {m}, 1 or None")


def _attend(
    query: Any, key: Any, value: Any, score_mod: Any, block_mask: BlockMask | None, scale: float, stats: bool
) -> tuple[Any, Any, Any]:
    dtype = query.dtype
    work = dtype if dtype.itemsize >= 4 else dtypes.float32
    if work is not dtype:
        query, key, value = (ops.to_dtype(t, work) for t in (query, key, value))
    if any(t.is_symbolic for t in (query, key, value)):
        out, lse, top = dense_attention(query, key, value, score_mod, block_mask, scale, stats)
    else:
        captured = _captured(query, key, score_mod)
        out, lse, top = _FlexAttention.apply(query, key, value, score_mod, block_mask, scale, *captured)
    return (out if work is dtype else ops.to_dtype(out, dtype)), lse, top


def _captured(query: Tensor, key: Tensor, score_mod: ScoreMod | None) -> list[Tensor]:
    """The tensors requiring grad that score_mod uses besides the score: what its tape leads to from a few scores."""
    if score_mod is None:
        return []
    region = Region()

    sizes = (*query.shape[:3], key.shape[2])
    probed = [min(2, n) for n in sizes]
    scores = np.sin(np.arange(math.prod(probed)) * 1.7 + 0.3).astype(query._data.dtype).reshape(probed)

    def call(indices: tuple[Tensor, ...], part: Any) -> Tensor:
        return call_score(score_mod, Tensor._from_data(scores[part]), indices)

    after = probe(score_mod, sizes, call)
    return [] if after is None or not state.grad else region.sources([after])


def _attention(
    q: Tensor, k: Tensor, v: Tensor, score_mod: ScoreMod | None, mask: BlockMask | None, scale: float
) -> Attention:
    b, heads, length, width = q.shape
    kv_heads = k.shape[1]
    lead = (b, kv_heads, heads // kv_heads if kv_heads else 1, length)
    keys, values = (np.broadcast_to(t._data, (b, *t._data.shape[1:])) for t in (k, v))
    mask_mod = None if mask is None else mask.mask_mod
    tiling = Tiling(*lead, k.shape[2], mask)
    return Attention(q._data.reshape(*lead, width), keys, values, scale, score_mod, mask_mod, tiling)


class _FlexAttention(Function):
    """The node of one call: q, k, v and what score_mod captured are its operands."""

    @staticmethod
    def forward(
        ctx: Any, q: Tensor, k: Tensor, v: Tensor, score_mod: Any, mask: BlockMask | None, scale: float,
        *captured: Tensor,
    ) -> Any:  # fmt: skip
        b, heads, length, _ = q.shape
        ctx.options = (score_mod, mask, scale)
        ctx.random = default_generator.seed_value, default_generator.offset
        with np.errstate(all="ignore"):
            out, lse, top = _attention(q, k, v, *ctx.options).forward()
        shapes = ((b, heads, length, v.shape[3]), (b, heads, length), (b, heads, length))
        tensors = tuple(Tensor._from_data(a.reshape(s)) for a, s in zip((out, lse, top), shapes, strict=True))
        ctx.save_for_backward(q, k, v, *tensors[:2], *captured)
        ctx.mark_non_differentiable(tensors[2])
        ctx.set_materialize_grads(False)
        return tensors

    @staticmethod
    def backward(ctx: Any, d_out: Tensor | None, d_lse: Tensor | None, _: Any) -> Any:
        q, k, v, out, lse, *captured = ctx.saved_tensors
        if state.grad:
            return _twice_differentiable(ctx, (q, k, v), captured, (d_out, d_lse))
        attention = _attention(q, k, v, *ctx.options)
        shape = (*attention.q.shape[:4], v.shape[3])
        rows = (*shape[:4], 1)
        arrays = (
            np.zeros(shape, out.dtype.numpy) if d_out is None else d_out._data.reshape(shape), out._data.reshape(shape),
            lse._data.reshape(rows), None if d_lse is None else d_lse._data.reshape(rows),
        )  # fmt: skip
        sums = Captured(captured)
        now = default_generator.seed_value, default_generator.offset
        default_generator.seed_value, default_generator.offset = ctx.random  # a score_mod that draws, draws the same
        try:
            with np.errstate(all="ignore"):
                found = attention.backward(*arrays, sums)
        finally:
            default_generator.seed_value, default_generator.offset = now
        grads = [Tensor._from_data(a) for a in (found[0].reshape(q.shape), *found[1:])]
        return (*grads, None, None, None, *(Tensor._from_data(sums.sums[key_of(t)]) for t in captured))


def _twice_differentiable(ctx: Any, operands: Any, captured: list[Tensor], seeds: Any) -> Any:
    """The gradients with a history of their own: those of the same attention on the whole matrix."""
    score_mod, mask, scale = ctx.options
    q, k, v = inner = [ops.alias(t) for t in operands]  # names of their own, even if all three are one tensor
    region = Region()
    out, lse, _ = dense_attention(q, k, v, score_mod, mask, scale)
    pairs = [(t, g) for t, g in zip((out, lse), seeds, strict=True) if g is not None]
    found = region.gradients([t for t, _ in pairs], [g for _, g in pairs], create_graph=True)
    grads = [found.get(key_of(t)) for t in (*inner, *captured)]
    return (*grads[:3], None, None, None, *grads[3:])
