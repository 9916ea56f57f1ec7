"""What the tests of FlexAttention share: dense attention in plain operators, operands, masks, comparing."""

from __future__ import annotations

import importlib.util
import math
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

import pappus as pp
from pappus.nn.attention.flex_attention import create_block_mask, flex_attention, noop_mask

ROOT = Path(__file__).resolve().parents[2]


def load_examples() -> ModuleType:
    spec = importlib.util.spec_from_file_location("flex_examples", ROOT / "examples" / "flex_attention.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


EXAMPLES = load_examples()


def grid(*sizes: int) -> list[Any]:
    return [pp.arange(n).reshape([-1 if d == at else 1 for d in range(4)]) for at, n in enumerate(sizes)]


def reference(q: Any, k: Any, v: Any, score_mod: Any = None, mask_mod: Any = None, scale: Any = None) -> Any:
    """(output, lse) with the whole matrix of scores, in plain operators."""
    shared = q.shape[1] // max(1, k.shape[1])
    if shared > 1:
        k, v = k.repeat_interleave(shared, 1), v.repeat_interleave(shared, 1)
    scores = (q @ k.transpose(-2, -1)) * (1 / math.sqrt(q.shape[-1]) if scale is None else scale)
    at = grid(*scores.shape)
    if score_mod is not None:
        scores = score_mod(scores, *at)
    if mask_mod is not None:
        scores = scores.masked_fill(~mask_mod(*at).expand(scores.shape), -math.inf)
    top = scores.detach().amax(-1, keepdim=True)
    top = pp.where(top == -math.inf, 0.0, top)
    weights = (scores - top).exp()
    total = weights.sum(-1, keepdim=True)
    seen = total > 0
    total = pp.where(seen, total, 1.0)
    lse = pp.where(seen, total.log() + top, -math.inf).squeeze(-1)
    return (weights / total) @ v, lse


def operands(
    b: int = 2, hq: int = 4, hkv: int = 4, q_len: int = 37, kv_len: int = 37, e: int = 8, ev: int = 8,
    dtype: Any = pp.float64, seed: int = 0,
) -> tuple[Any, Any, Any]:  # fmt: skip
    r = np.random.default_rng(seed)
    shapes = ((b, hq, q_len, e), (b, hkv, kv_len, e), (b, hkv, kv_len, ev))
    return tuple(pp.tensor(r.standard_normal(s), dtype=dtype, requires_grad=True) for s in shapes)  # type: ignore[return-value]


def values_and_grads(function: Any, leaves: Any, with_lse: bool = True) -> list[Any]:
    """The results of `function` and the gradients of a fixed combination of them."""
    for leaf in leaves:
        leaf.grad = None
    out, lse = function()
    r = np.random.default_rng(7)
    weight = pp.tensor(r.standard_normal(out.shape), dtype=out.dtype)
    loss = (out * weight).sum()
    if with_lse:
        weight = pp.tensor(r.standard_normal(lse.shape), dtype=lse.dtype)
        loss = loss + (pp.where(lse == -math.inf, 0.0, lse) * weight).sum()
    loss.backward()
    assert all(leaf.grad is not None for leaf in leaves)
    return [out.detach().numpy(), lse.detach().numpy(), *[leaf.grad.numpy() for leaf in leaves]]


def agree(found: list[Any], expected: list[Any], dtype: Any) -> None:
    tolerance = {"float64": 1e-10, "float32": 1e-5}[dtype.name]
    for at, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape and a.dtype == b.dtype
        assert np.isfinite(a).all() or at == 1
        size = max(1.0, float(np.abs(b[np.isfinite(b)]).max(initial=0)))
        np.testing.assert_allclose(a, b, rtol=tolerance, atol=tolerance * size, err_msg=f"result {at}")


def compare(
    q: Any, k: Any, v: Any, score_mod: Any = None, mask_mod: Any = None, captured: Any = (), block: Any = 16,
    b: Any = None, h: Any = None, scale: Any = None,
) -> None:  # fmt: skip
    leaves = [q, k, v, *captured]
    mask = None if mask_mod is None else create_block_mask(mask_mod, b, h, q.shape[2], k.shape[2], BLOCK_SIZE=block)
    gqa = q.shape[1] != k.shape[1]
    found = values_and_grads(
        lambda: flex_attention(q, k, v, score_mod, mask, scale, enable_gqa=gqa, return_lse=True), leaves
    )
    agree(found, values_and_grads(lambda: reference(q, k, v, score_mod, mask_mod, scale), leaves), q.dtype)


def leaf(*shape: int, dtype: Any = pp.float64, seed: int = 3) -> Any:
    return pp.tensor(np.random.default_rng(seed).standard_normal(shape), dtype=dtype, requires_grad=True)


IDS = pp.tensor([0] * 5 + [1] * 17 + [2] * 9 + [3] * 6)
MASKS = {
    "causal": EXAMPLES.causal,
    "window": EXAMPLES.sliding_window(9),
    "prefix": EXAMPLES.prefix_lm(11),
    "documents": EXAMPLES.documents(IDS),
    "nothing": lambda b, h, q_idx, kv_idx: q_idx < 0,
    "everything": noop_mask,
    "some rows see nothing": lambda b, h, q_idx, kv_idx: (q_idx % 3 > 0) & (kv_idx > 2),
}
