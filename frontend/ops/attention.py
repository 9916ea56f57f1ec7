"""Attention, and the rotary position embedding that goes with it."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..errors import ArgumentError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from ._samples import floats, masks
from ._shapes import through_float32

__all__ = ["rotary_embedding", "scaled_dot_product_attention"]


def _sizes(*specs: Any) -> str:
    return ", ".join("[" + ", ".join(map(str, s.shape)) + "]" for s in specs)


def _attention_shape(
    query: Spec, key: Spec, value: Spec, attn_mask: Any, *, dropout_p: float, is_causal: bool, scale: Any,
    enable_gqa: bool,
) -> Spec:  # fmt: skip
    name = "scaled_dot_product_attention"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{name}: query, key and value need at least 2 dimensions, got {_sizes(query, key, value)}")
    if not (query.dtype is key.dtype is value.dtype):
        raise DTypeError(
            f"{name}: Expected query, key, and value to have the same dtype, but got {query.dtype.name}, "
            f"{key.dtype.name} and {value.dtype.name}"
        )
    if not sym_eq(query.shape[-1], key.shape[-1]):
        raise ShapeError(f"{name}: query and key must have the same last dimension, got {_sizes(query, key)}")
    if not sym_eq(key.shape[-2], value.shape[-2]):
        raise ShapeError(f"{name}: key and value must have the same length (dimension -2), got {_sizes(key, value)}")
    if is_causal and attn_mask is not None:
        raise ArgumentError(
            f"{name}: attn_mask and is_causal=True exclude each other; put the causal mask into attn_mask"
        )
    if attn_mask is not None and attn_mask.dtype.name != "bool" and attn_mask.dtype is not query.dtype:
        raise DTypeError(
            f"{name}: Expected attn_mask dtype to be bool or {query.dtype.name}, got {attn_mask.dtype.name}"
        )
    if enable_gqa:
        heads, groups = query.shape[-3], key.shape[-3]
        if not is_symbolic(heads) and not is_symbolic(groups) and heads % groups:
            raise ShapeError(f"{name}: enable_gqa needs query heads ({heads}) to be a multiple of key heads ({groups})")
    batch = _broadcast(query.shape[:-2], key.shape[:-2] if not enable_gqa else query.shape[:-2], name)
    return Spec((*batch, query.shape[-2], value.shape[-1]), query.dtype)


def _broadcast(a: Any, b: Any, name: str) -> tuple[Any, ...]:
    if len(a) != len(b):
        longer, shorter = (a, b) if len(a) > len(b) else (b, a)
        short = (1,) * (len(longer) - len(shorter)) + tuple(shorter)
        a, b = tuple(longer), short
    out = []
    for x, y in zip(a, b, strict=True):
        if not is_symbolic(x) and x == 1:
            out.append(y)
        elif (not is_symbolic(y) and y == 1) or sym_eq(x, y):
            out.append(x)
        else:
            raise ShapeError(f"{name}: batch dimensions {list(a)} and {list(b)} do not broadcast")
    return tuple(out)


@through_float32
def _attention_decompose(
    query: Any, key: Any, value: Any, attn_mask: Any, *, dropout_p: float, is_causal: bool, scale: Any,
    enable_gqa: bool,
) -> Any:  # fmt: skip
    from . import arange, dropout, softmax

    factor = 1 / math.sqrt(query.shape[-1]) if scale is None else scale
    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = _repeat_heads(key, repeats), _repeat_heads(value, repeats)
    scores = (query * factor) @ key.transpose(-2, -1)
    if is_causal:
        rows, columns = query.shape[-2], key.shape[-2]
        allowed = arange(columns) <= arange(rows).unsqueeze(-1)
        scores = scores.masked_fill(allowed.logical_not(), -math.inf)
    elif attn_mask is not None:
        if attn_mask.dtype.name == "bool":
            scores = scores.masked_fill(attn_mask.logical_not(), -math.inf)
        else:
            scores = scores + attn_mask
    weights = softmax(scores, -1)
    if attn_mask is not None and attn_mask.dtype.name == "bool":
        # A row that may look at nothing gives zeros, as in torch, and not 0 / 0.
        weights = weights.masked_fill(attn_mask.logical_not(), 0.0)
    return dropout(weights, dropout_p, True) @ value if dropout_p > 0 else weights @ value


def _repeat_heads(x: Any, repeats: Any) -> Any:
    """(..., G, L, E) as (..., G * repeats, L, E), each head `repeats` times in a row."""
    *batch, groups, length, width = x.shape
    return (
        x.unsqueeze(-3).expand(*batch, groups, repeats, length, width).reshape(*batch, groups * repeats, length, width)
    )


def _attention_samples() -> Iterator[Sample]:
    q, k, v = floats(2, 2, 3, 4, seed=0), floats(2, 2, 5, 4, seed=1), floats(2, 2, 5, 2, seed=2)
    yield Sample((q, k, v))
    yield Sample((q, k, v), {"is_causal": True})
    yield Sample((q, k, v, masks(3, 5, seed=1)), {"scale": 0.5})
    yield Sample((q, k, v, floats(2, 1, 3, 5, seed=3)))
    yield Sample((floats(2, 4, 3, 4), floats(2, 2, 3, 4, seed=1), floats(2, 2, 3, 4, seed=2)), {"enable_gqa": True})


scaled_dot_product_attention = operator(
    "scaled_dot_product_attention(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0.0, "
    "bool is_causal=False, *, float? scale=None, bool enable_gqa=False) -> Tensor",
    """softmax(query @ key^T * scale + mask) @ value over the last two dimensions.

    query (..., L, E), key (..., S, E), value (..., S, Ev) give (..., L, Ev); `scale` defaults to 1 / sqrt(E). A boolean
    mask says where attention is allowed, a float mask is added. `is_causal` lets row i see columns 0 .. i. `enable_gqa`
    shares each key head among several query heads.

    >>> import pappus as pp
    >>> q = pp.ones(1, 2, 3, 4)
    >>> pp.scaled_dot_product_attention(q, q, q, is_causal=True).shape
    pappus.Size([1, 2, 3, 4])
    """,
    shape=_attention_shape,
    decompose=_attention_decompose,
    samples=_attention_samples,
)


def _rotary_shape(input: Spec, cos: Spec, sin: Spec, *, interleaved: bool) -> Spec:
    if not is_symbolic(input.shape[-1]) and input.shape[-1] % 2:
        raise ShapeError(f"rotary_embedding: the last dimension must be even, got {_sizes(input)}")
    if not sym_eq(cos.shape[-1] * 2, input.shape[-1]) or not sym_eq(sin.shape[-1] * 2, input.shape[-1]):
        raise ShapeError(
            f"rotary_embedding: cos and sin need half of the input's last dimension, got {_sizes(input, cos, sin)}"
        )
    return Spec(tuple(input.shape), input.dtype)


def _rotary_decompose(input: Any, cos: Any, sin: Any, *, interleaved: bool) -> Any:
    from . import cat, stack

    half = input.shape[-1] // 2
    if interleaved:
        pairs = input.reshape(*input.shape[:-1], half, 2)
        a, b = pairs[..., 0], pairs[..., 1]
        return stack([a * cos - b * sin, a * sin + b * cos], -1).reshape(input.shape)
    a, b = input[..., :half], input[..., half:]
    return cat([a * cos - b * sin, a * sin + b * cos], -1)


rotary_embedding = operator(
    "rotary_embedding(Tensor input, Tensor cos, Tensor sin, bool interleaved=False) -> Tensor",
    """Rotate pairs of elements of the last dimension by the angles whose cosines and sines are given.

    input is (..., L, E), cos and sin broadcast against (..., L, E / 2). A pair is (i, i + E / 2), or with `interleaved`
    (2 i, 2 i + 1): (a, b) becomes (a cos - b sin, a sin + b cos).

    >>> import pappus as pp
    >>> pp.rotary_embedding(pp.tensor([[1.0, 2.0]]), pp.tensor([[0.0]]), pp.tensor([[1.0]])).tolist()
    [[-2.0, 1.0]]
    """,
    shape=_rotary_shape,
    decompose=_rotary_decompose,
    samples=lambda: iter([
        Sample((floats(2, 3, 4), floats(3, 2, seed=1), floats(3, 2, seed=2))),
        Sample((floats(2, 3, 4), floats(3, 2, seed=1), floats(3, 2, seed=2)), {"interleaved": True}),
    ]),
)  # fmt: skip
