"""Multi-head attention."""

from __future__ import annotations

import math
from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ShapeError
from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.linear import Linear
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import new_parameter
from pappus.frontend.tensor import Tensor


def float_mask(mask: Tensor | None, dtype: Any) -> Tensor | None:
    """A mask to be added to scores: -inf where a boolean mask is True ("may not be looked at"), else 0."""
    if mask is None:
        return None
    if mask.dtype.name == "bool":
        return ops.zeros_like(mask, dtype=dtype).masked_fill(mask, -math.inf)  # type: ignore[no-any-return]
    return mask if mask.dtype is dtype else mask.to(dtype)


class MultiheadAttention(Module):
    """Attention with several heads over projected queries, keys and values.

    Inputs are (L, N, E), or (N, L, E) with `batch_first`, or (L, E) without a batch. The result is a pair: the output,
    shaped like the query, and the attention weights (N, L, S) averaged over the heads; (N, heads, L, S) with
    `average_attn_weights=False`, None with `need_weights=False`, which is faster. `key_padding_mask` (N, S) and
    `attn_mask` (L, S) or (N * heads, L, S) say where attention may NOT go if boolean; float ones are added to scores.

    >>> import pappus as pp
    >>> attention = MultiheadAttention(8, 2, batch_first=True)
    >>> x = pp.zeros(3, 5, 8)
    >>> out, weights = attention(x, x, x)
    >>> out.shape, weights.shape
    (pappus.Size([3, 5, 8]), pappus.Size([3, 5, 5]))
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        dropout: float = 0.0,
        bias: bool = True,
        add_bias_kv: bool = False,
        add_zero_attn: bool = False,
        kdim: int | None = None,
        vdim: int | None = None,
        batch_first: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if embed_dim <= 0 or num_heads <= 0:
            raise ValueError(
                f"embed_dim and num_heads must be greater than 0, got embed_dim={embed_dim} and num_heads={num_heads}"
            )
        if embed_dim % num_heads:
            raise ValueError(f"embed_dim must be divisible by num_heads, got {embed_dim} and {num_heads}")
        self.embed_dim = embed_dim
        self.kdim = embed_dim if kdim is None else kdim
        self.vdim = embed_dim if vdim is None else vdim
        self.num_heads = num_heads
        self.dropout = dropout
        self.batch_first = batch_first
        self.head_dim = embed_dim // num_heads
        self.add_zero_attn = add_zero_attn
        self._qkv_same_embed_dim = self.kdim == embed_dim and self.vdim == embed_dim
        if self._qkv_same_embed_dim:
            self.in_proj_weight = new_parameter((3 * embed_dim, embed_dim), device, dtype)
            for name in ("q_proj_weight", "k_proj_weight", "v_proj_weight"):
                self.register_parameter(name, None)
        else:
            self.q_proj_weight = new_parameter((embed_dim, embed_dim), device, dtype)
            self.k_proj_weight = new_parameter((embed_dim, self.kdim), device, dtype)
            self.v_proj_weight = new_parameter((embed_dim, self.vdim), device, dtype)
            self.register_parameter("in_proj_weight", None)
        if bias:
            self.in_proj_bias = new_parameter((3 * embed_dim,), device, dtype)
        else:
            self.register_parameter("in_proj_bias", None)
        self.out_proj = Linear(embed_dim, embed_dim, bias=bias, device=device, dtype=dtype)
        for name in ("bias_k", "bias_v"):
            self.register_parameter(name, new_parameter((1, 1, embed_dim), device, dtype) if add_bias_kv else None)
        self._reset_parameters()

    def _reset_parameters(self) -> None:
        if self._qkv_same_embed_dim:
            init.xavier_uniform_(self.in_proj_weight)
        else:
            for weight in (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight):
                init.xavier_uniform_(weight)
        if self.in_proj_bias is not None:
            init.zeros_(self.in_proj_bias)
            init.zeros_(self.out_proj.bias)
        for bias in (self.bias_k, self.bias_v):
            if bias is not None:
                init.xavier_normal_(bias)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """See the class; `is_causal` is torch's hint that `attn_mask` is the causal mask, and needs that mask."""
        if is_causal and attn_mask is None:
            raise ValueError("MultiheadAttention: is_causal=True is a hint about attn_mask; give the mask as well")
        if query.ndim not in (2, 3) or key.ndim != query.ndim or value.ndim != query.ndim:
            raise ShapeError(
                f"MultiheadAttention: query, key and value must all be 2D (no batch) or 3D, got {list(query.shape)}, "
                f"{list(key.shape)} and {list(value.shape)}"
            )
        batched = query.ndim == 3
        q, k, v = self._project(query, key, value)
        if not batched:
            q, k, v = q.unsqueeze(0), k.unsqueeze(0), v.unsqueeze(0)
            if key_padding_mask is not None:
                key_padding_mask = key_padding_mask.unsqueeze(0)
        elif not self.batch_first:
            q, k, v = q.transpose(0, 1), k.transpose(0, 1), v.transpose(0, 1)
        # From here on (N, L, E).
        mask = self._mask(key_padding_mask, attn_mask, q)
        k, v, mask = self._more_keys(k, v, mask)
        out, weights = self._attend(self._split(q), self._split(k), self._split(v), mask, need_weights)
        out = F.linear(out.transpose(1, 2).flatten(2), self.out_proj.weight, self.out_proj.bias)
        if weights is not None and average_attn_weights:
            weights = weights.mean(1)
        if not batched:
            return out.squeeze(0), None if weights is None else weights.squeeze(0)
        return out if self.batch_first else out.transpose(0, 1), weights

    def _project(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        width = self.embed_dim
        bias = self.in_proj_bias
        if self._qkv_same_embed_dim:
            if query is key and key is value:
                q, k, v = F.linear(query, self.in_proj_weight, bias).chunk(3, -1)
                return q, k, v
            weights = self.in_proj_weight.chunk(3, 0)
        else:
            weights = (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight)
        parts = (None,) * 3 if bias is None else tuple(bias[i * width : (i + 1) * width] for i in range(3))
        q, k, v = (F.linear(x, w, b) for x, w, b in zip((query, key, value), weights, parts, strict=True))
        return q, k, v

    def _split(self, x: Tensor) -> Tensor:
        """(N, L, E) as (N, heads, L, E / heads)."""
        return x.unflatten(-1, (self.num_heads, self.head_dim)).transpose(1, 2)  # type: ignore[no-any-return]

    def _mask(self, key_padding_mask: Tensor | None, attn_mask: Tensor | None, q: Tensor) -> Tensor | None:
        """Both masks as one to be added to scores of (N, heads, L, S)."""
        mask = float_mask(attn_mask, q.dtype)
        if mask is not None:
            if mask.ndim == 3:
                mask = mask.unflatten(0, (-1, self.num_heads))
            elif mask.ndim != 2:
                raise ShapeError(f"attn_mask's dimension {mask.ndim} is not supported; use (L, S) or (N * heads, L, S)")
        padding = float_mask(key_padding_mask, q.dtype)
        if padding is not None:
            padding = padding.unsqueeze(1).unsqueeze(2)
            mask = padding if mask is None else mask + padding
        return mask

    def _more_keys(self, k: Tensor, v: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """Append the learned key and value, and the zero ones, where the layer has them."""
        batch = k.shape[0]
        added = 0
        if self.bias_k is not None:
            k = ops.cat([k, self.bias_k.expand(batch, 1, self.embed_dim)], 1)
            v = ops.cat([v, self.bias_v.expand(batch, 1, self.embed_dim)], 1)
            added += 1
        if self.add_zero_attn:
            zero = ops.zeros(batch, 1, self.embed_dim, dtype=k.dtype)
            k, v = ops.cat([k, zero], 1), ops.cat([v, zero], 1)
            added += 1
        if mask is not None and added:
            mask = F.pad(mask, (0, added))
        return k, v, mask

    def _attend(
        self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, need_weights: bool
    ) -> tuple[Tensor, Tensor | None]:
        drop = self.dropout if self.training else 0.0
        if not need_weights:
            return ops.scaled_dot_product_attention(q, k, v, mask, drop), None
        scores = (q * (1 / math.sqrt(self.head_dim))) @ k.transpose(-2, -1)
        weights = F.softmax(scores if mask is None else scores + mask, -1)
        if drop > 0:
            weights = F.dropout(weights, drop)
        return weights @ v, weights
