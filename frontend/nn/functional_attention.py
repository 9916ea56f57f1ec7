"""Multi-head attention as a function of its parameters; `nn.MultiheadAttention` is this with parameters of its own."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError, DTypeError, ShapeError
from pappus.frontend.symbolic import same_size
from pappus.frontend.tensor import Tensor

__all__ = ["multi_head_attention_forward"]


class Heads(NamedTuple):
    """The parameters of an attention: projections of query, key and value, learned key and value, output."""

    number: int
    in_weight: Tensor | None
    separate: tuple[Tensor | None, Tensor | None, Tensor | None]
    in_bias: Tensor | None
    bias_k: Tensor | None
    bias_v: Tensor | None
    out_weight: Tensor
    out_bias: Tensor | None
    add_zero: bool


def multi_head_attention_forward(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim_to_check: int,
    num_heads: int,
    in_proj_weight: Tensor | None,
    in_proj_bias: Tensor | None,
    bias_k: Tensor | None,
    bias_v: Tensor | None,
    add_zero_attn: bool,
    dropout_p: float,
    out_proj_weight: Tensor,
    out_proj_bias: Tensor | None,
    training: bool = True,
    key_padding_mask: Tensor | None = None,
    need_weights: bool = True,
    attn_mask: Tensor | None = None,
    use_separate_proj_weight: bool = False,
    q_proj_weight: Tensor | None = None,
    k_proj_weight: Tensor | None = None,
    v_proj_weight: Tensor | None = None,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
    average_attn_weights: bool = True,
    is_causal: bool = False,
) -> tuple[Tensor, Tensor | None]:
    """Attention of (L, N, E) queries to (S, N, E) keys and values: the output (L, N, E) and the weights (N, L, S).

    See `nn.MultiheadAttention` for masks and results. `static_k` and `static_v` (N * heads, S, E / heads) take the
    place of the projected keys and values.
    """
    if query.shape[-1] != embed_dim_to_check:
        raise ShapeError(
            f"multi_head_attention_forward: expected queries of {embed_dim_to_check} elements, got {query.shape[-1]}"
        )
    if use_separate_proj_weight and None in (q_proj_weight, k_proj_weight, v_proj_weight):
        raise ArgumentError("multi_head_attention_forward: use_separate_proj_weight needs q_, k_ and v_proj_weight")
    heads = Heads(
        num_heads, None if use_separate_proj_weight else in_proj_weight, (q_proj_weight, k_proj_weight, v_proj_weight),
        in_proj_bias, bias_k, bias_v, out_proj_weight, out_proj_bias, add_zero_attn,
    )  # fmt: skip
    return attend(
        heads, query, key, value, key_padding_mask, attn_mask, dropout_p if training else 0.0, need_weights,
        average_attn_weights, is_causal, False, static_k, static_v,
    )  # fmt: skip


def attend(
    heads: Heads,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    key_padding_mask: Tensor | None,
    attn_mask: Tensor | None,
    dropout: float,
    need_weights: bool,
    average_weights: bool,
    is_causal: bool,
    batch_first: bool,
    static_k: Tensor | None = None,
    static_v: Tensor | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Attention by the parameters `heads`; inputs are (N, L, E) with `batch_first`, (L, N, E), or (L, E)."""
    _check(query, key, value, heads.number, attn_mask, is_causal)
    batched = query.ndim == 3
    q, k, v = _project(heads, query, key, value)
    if not batched:
        q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
        if key_padding_mask is not None:
            key_padding_mask = key_padding_mask.unsqueeze(0)
    elif not batch_first:
        q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
    # From here on (N, L, E), and behind the heads (N, heads, L, E / heads).
    mask = _mask(heads.number, key_padding_mask, attn_mask, q)
    batch, width = q.shape[0], q.shape[-1]
    added = 0
    if heads.bias_k is not None and heads.bias_v is not None:
        k = ops.cat([k, heads.bias_k.reshape(1, 1, width).expand(batch, 1, width)], 1)
        v = ops.cat([v, heads.bias_v.reshape(1, 1, width).expand(batch, 1, width)], 1)
        added += 1
    q, k, v = _split(heads.number, q), _split(heads.number, k), _split(heads.number, v)
    if static_k is not None:
        k = static_k.unflatten(0, (batch, heads.number))
    if static_v is not None:
        v = static_v.unflatten(0, (batch, heads.number))
    if heads.add_zero:
        zero = ops.zeros(batch, heads.number, 1, width // heads.number, dtype=k.dtype)
        k, v = ops.cat([k, zero], 2), ops.cat([v, zero], 2)
        added += 1
    if mask is not None and added:
        mask = ops.constant_pad_nd(mask, (0, added))
    out, weights = _weigh(q, k, v, mask, dropout, need_weights)
    out = ops.linear(out.transpose(1, 2).flatten(2), heads.out_weight, heads.out_bias)
    if weights is not None and average_weights:
        weights = weights.mean(1)
    if not batched:
        return out.squeeze(0), None if weights is None else weights.squeeze(0)
    return out if batch_first else out.transpose(0, 1), weights


def _check(query: Tensor, key: Tensor, value: Tensor, heads: int, mask: Tensor | None, is_causal: bool) -> None:
    if is_causal and mask is None:
        raise ValueError("MultiheadAttention: is_causal=True is a hint about attn_mask; give the mask as well")
    if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
        raise ShapeError(
            f"MultiheadAttention: query, key and value must all be 2D (no batch) or 3D, got {list(query.shape)}, "
            f"{list(key.shape)} and {list(value.shape)}"
        )
    if query.shape[-1] % heads:
        raise ShapeError(f"MultiheadAttention: the width {query.shape[-1]} is not divisible by the {heads} heads")
    if not all(same_size(a, b) for a, b in zip(key.shape[:-1], value.shape[:-1], strict=True)):
        raise ShapeError(
            f"MultiheadAttention: key and value must have the same batch and length, got {list(key.shape)} and "
            f"{list(value.shape)}"
        )


def _project(heads: Heads, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width = query.shape[-1]
    bias, weights = heads.in_bias, heads.separate
    if heads.in_weight is not None:
        if query is key and key is value:
            q, k, v = ops.linear(query, heads.in_weight, bias).chunk(3, -1)
            return q, k, v
        weights = heads.in_weight.chunk(3, 0)
    parts = (None,) * 3 if bias is None else tuple(bias[i * width : (i + 1) * width] for i in range(3))
    q, k, v = (ops.linear(x, w, b) for x, w, b in zip((query, key, value), weights, parts, strict=True))
    return q, k, v


def _split(count: int, x: Tensor) -> Tensor:
    """(N, L, E) as (N, heads, L, E / heads)."""
    return x.unflatten(-1, (count, x.shape[-1] // count)).transpose(1, 2)  # type: ignore[no-any-return]


def float_mask(mask: Tensor | None, dtype: Any) -> Tensor | None:
    """A mask to be added to scores: -inf where a boolean mask is True ("may not be looked at"), else 0."""
    if mask is None:
        return None
    if mask.dtype.name == "bool":
        return ops.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf)  # type: ignore[no-any-return]
    if not mask.dtype.is_floating_point:
        raise DTypeError(f"MultiheadAttention: masks must be bool or floating point, got {mask.dtype}")
    return mask if mask.dtype is dtype else mask.to(dtype)


def _mask(count: int, key_padding_mask: Tensor | None, attn_mask: Tensor | None, q: Tensor) -> Tensor | None:
    """Both masks as one to be added to scores of (N, heads, L, S)."""
    mask = float_mask(attn_mask, q.dtype)
    if mask is not None:
        if mask.ndim == 3:
            mask = mask.unflatten(0, (-1, count))
        elif mask.ndim != 2:
            raise ShapeError(f"attn_mask's dimension {mask.ndim} is not supported; use (L, S) or (N * heads, L, S)")
    padding = float_mask(key_padding_mask, q.dtype)
    if padding is not None:
        padding = padding.unsqueeze(1).unsqueeze(2)
        mask = padding if mask is None else mask + padding
    return mask


def _weigh(
    q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, dropout: float, need_weights: bool
) -> tuple[Tensor, Tensor | None]:
    if not need_weights:
        return ops.scaled_dot_product_attention(q, k, v, mask, dropout), None
    scores = (q * (1 / math.sqrt(q.shape[-1]))) @ k.transpose(-2, -1)
    weights = ops.softmax(scores if mask is None else scores + mask, -1)
    if dropout > 0:
        weights = ops.dropout(weights, dropout, True)
    return weights @ v, weights
