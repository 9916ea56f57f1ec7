"""The layers of the transformer: encoder, decoder, and both together."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from typing import Any

from pappus.frontend import ops
from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.attention import MultiheadAttention
from pappus.frontend.nn.container import ModuleList
from pappus.frontend.nn.dropout import Dropout
from pappus.frontend.nn.linear import Linear
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.norm import LayerNorm
from pappus.frontend.tensor import Tensor

Activation = str | Callable[[Tensor], Tensor]


def _activation(activation: Activation) -> Callable[[Tensor], Tensor]:
    if not isinstance(activation, str):
        return activation
    if activation not in ("relu", "gelu"):
        raise RuntimeError(f"activation should be relu/gelu, not {activation}")
    return F.relu if activation == "relu" else F.gelu


def _copies(module: Module, count: int) -> ModuleList:
    return ModuleList([copy.deepcopy(module) for _ in range(count)])


class _Layer(Module):
    """One or two attentions and a feed-forward network, with a norm and a dropout for each of them."""

    _attentions: tuple[str, ...]

    def __init__(
        self,
        d_model: int,
        nhead: int,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"bias": bias, "device": device, "dtype": dtype}
        for name in self._attentions:
            attention = MultiheadAttention(d_model, nhead, dropout=dropout, batch_first=batch_first, **made)
            self.register_module(name, attention)
        self.linear1 = Linear(d_model, dim_feedforward, **made)
        self.dropout = Dropout(dropout)
        self.linear2 = Linear(dim_feedforward, d_model, **made)
        self.norm_first = norm_first
        parts = range(1, len(self._attentions) + 2)
        for number in parts:
            self.register_module(f"norm{number}", LayerNorm(d_model, layer_norm_eps, **made))
        for number in parts:
            self.register_module(f"dropout{number}", Dropout(dropout))
        self.activation = _activation(activation)

    def _attend(
        self, attention: Module, drop: Module, x: Tensor, memory: Tensor, mask: Tensor | None, padding: Tensor | None
    ) -> Tensor:
        out = attention(x, memory, memory, attn_mask=mask, key_padding_mask=padding, need_weights=False)[0]
        return drop(out)  # type: ignore[no-any-return]

    def _feed(self, drop: Module, x: Tensor) -> Tensor:
        return drop(self.linear2(self.dropout(self.activation(self.linear1(x)))))  # type: ignore[no-any-return]


class TransformerEncoderLayer(_Layer):
    """Self-attention and a feed-forward network, each with a residual and a layer norm (before them with `norm_first`).

    Inputs are (L, N, E), or (N, L, E) with `batch_first`; masks as for `MultiheadAttention`.

    >>> import pappus as pp
    >>> TransformerEncoderLayer(8, 2, 16, batch_first=True)(pp.zeros(3, 5, 8)).shape
    pappus.Size([3, 5, 8])
    """

    _attentions = ("self_attn",)

    def forward(
        self, src: Tensor, src_mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool = False,
    ) -> Tensor:  # fmt: skip
        x = src
        if self.norm_first:
            y = self.norm1(x)
            x = x + self._attend(self.self_attn, self.dropout1, y, y, src_mask, src_key_padding_mask)
            return x + self._feed(self.dropout2, self.norm2(x))
        x = self.norm1(x + self._attend(self.self_attn, self.dropout1, x, x, src_mask, src_key_padding_mask))
        return self.norm2(x + self._feed(self.dropout2, x))  # type: ignore[no-any-return]


class TransformerEncoder(Module):
    """`num_layers` copies of an encoder layer, then the norm if there is one.

    `enable_nested_tensor` and `mask_check` are accepted and ignored: they only steer torch's fast path.
    """

    def __init__(
        self, encoder_layer: Module, num_layers: int, norm: Module | None = None, enable_nested_tensor: bool = True,
        mask_check: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.layers = _copies(encoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self, src: Tensor, mask: Tensor | None = None, src_key_padding_mask: Tensor | None = None,
        is_causal: bool | None = None,
    ) -> Tensor:  # fmt: skip
        out = src
        for layer in self.layers:
            out = layer(out, src_mask=mask, src_key_padding_mask=src_key_padding_mask)
        return out if self.norm is None else self.norm(out)


class TransformerDecoderLayer(_Layer):
    """Self-attention, attention to the encoder's output `memory`, and a feed-forward network, as in the encoder layer.

    >>> import pappus as pp
    >>> layer = TransformerDecoderLayer(8, 2, 16, batch_first=True)
    >>> layer(pp.zeros(3, 5, 8), pp.zeros(3, 7, 8)).shape
    pappus.Size([3, 5, 8])
    """

    _attentions = ("self_attn", "multihead_attn")

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool = False,
        memory_is_causal: bool = False,
    ) -> Tensor:
        x = tgt
        if self.norm_first:
            y = self.norm1(x)
            x = x + self._attend(self.self_attn, self.dropout1, y, y, tgt_mask, tgt_key_padding_mask)
            y = self.norm2(x)
            x = x + self._attend(self.multihead_attn, self.dropout2, y, memory, memory_mask, memory_key_padding_mask)
            return x + self._feed(self.dropout3, self.norm3(x))
        x = self.norm1(x + self._attend(self.self_attn, self.dropout1, x, x, tgt_mask, tgt_key_padding_mask))
        x = self.norm2(
            x + self._attend(self.multihead_attn, self.dropout2, x, memory, memory_mask, memory_key_padding_mask)
        )
        return self.norm3(x + self._feed(self.dropout3, x))  # type: ignore[no-any-return]


class TransformerDecoder(Module):
    """`num_layers` copies of a decoder layer, then the norm if there is one."""

    def __init__(self, decoder_layer: Module, num_layers: int, norm: Module | None = None) -> None:
        super().__init__()
        self.layers = _copies(decoder_layer, num_layers)
        self.num_layers = num_layers
        self.norm = norm

    def forward(
        self,
        tgt: Tensor,
        memory: Tensor,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        out = tgt
        for layer in self.layers:
            out = layer(out, memory, tgt_mask, memory_mask, tgt_key_padding_mask, memory_key_padding_mask)
        return out if self.norm is None else self.norm(out)


class Transformer(Module):
    """An encoder over `src` and a decoder over `tgt` that attends to it.

    >>> import pappus as pp
    >>> model = Transformer(8, 2, 1, 1, 16, batch_first=True)
    >>> model(pp.zeros(3, 7, 8), pp.zeros(3, 5, 8)).shape
    pappus.Size([3, 5, 8])
    """

    def __init__(
        self,
        d_model: int = 512,
        nhead: int = 8,
        num_encoder_layers: int = 6,
        num_decoder_layers: int = 6,
        dim_feedforward: int = 2048,
        dropout: float = 0.1,
        activation: Activation = F.relu,
        custom_encoder: Any = None,
        custom_decoder: Any = None,
        layer_norm_eps: float = 1e-5,
        batch_first: bool = False,
        norm_first: bool = False,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        made = {"bias": bias, "device": device, "dtype": dtype}
        options = (d_model, nhead, dim_feedforward, dropout, activation, layer_norm_eps, batch_first, norm_first)
        if custom_encoder is not None:
            self.encoder = custom_encoder
        else:
            layer = TransformerEncoderLayer(*options, **made)
            self.encoder = TransformerEncoder(layer, num_encoder_layers, LayerNorm(d_model, layer_norm_eps, **made))
        if custom_decoder is not None:
            self.decoder = custom_decoder
        else:
            step = TransformerDecoderLayer(*options, **made)
            self.decoder = TransformerDecoder(step, num_decoder_layers, LayerNorm(d_model, layer_norm_eps, **made))
        for param in self.parameters():
            if param.ndim > 1:
                init.xavier_uniform_(param)
        self.d_model = d_model
        self.nhead = nhead
        self.batch_first = batch_first

    def forward(
        self,
        src: Tensor,
        tgt: Tensor,
        src_mask: Tensor | None = None,
        tgt_mask: Tensor | None = None,
        memory_mask: Tensor | None = None,
        src_key_padding_mask: Tensor | None = None,
        tgt_key_padding_mask: Tensor | None = None,
        memory_key_padding_mask: Tensor | None = None,
        src_is_causal: bool | None = None,
        tgt_is_causal: bool | None = None,
        memory_is_causal: bool = False,
    ) -> Tensor:
        memory = self.encoder(src, mask=src_mask, src_key_padding_mask=src_key_padding_mask)
        return self.decoder(  # type: ignore[no-any-return]
            tgt, memory, tgt_mask=tgt_mask, memory_mask=memory_mask, tgt_key_padding_mask=tgt_key_padding_mask,
            memory_key_padding_mask=memory_key_padding_mask,
        )  # fmt: skip

    @staticmethod
    def generate_square_subsequent_mask(sz: int, device: Any = None, dtype: Any = None) -> Tensor:
        """The causal mask (sz, sz): -inf above the diagonal, 0 elsewhere.

        >>> Transformer.generate_square_subsequent_mask(2).tolist()
        [[0.0, -inf], [0.0, 0.0]]
        """
        return ops.full((sz, sz), -math.inf, dtype=dtype).triu(1)  # type: ignore[no-any-return]
