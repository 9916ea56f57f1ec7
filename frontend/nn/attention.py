"""Multi-head attention."""

from __future__ import annotations

from typing import Any

from pappus.frontend.nn import init
from pappus.frontend.nn.functional_attention import Heads, attend
from pappus.frontend.nn.linear import Linear
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import new_parameter
from pappus.frontend.tensor import Tensor


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
        heads = Heads(
            self.num_heads, self.in_proj_weight, (self.q_proj_weight, self.k_proj_weight, self.v_proj_weight),
            self.in_proj_bias, self.bias_k, self.bias_v, self.out_proj.weight, self.out_proj.bias, self.add_zero_attn,
        )  # fmt: skip
        return attend(
            heads, query, key, value, key_padding_mask, attn_mask, self.dropout if self.training else 0.0,
            need_weights, average_attn_weights, is_causal, self.batch_first,
        )  # fmt: skip
