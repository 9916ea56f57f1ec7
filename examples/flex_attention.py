"""FlexAttention: the usual attention variants as a few lines each, drawn, checked, and one of them learned.

    python examples/flex_attention.py

A mask function says where attention is allowed; a score function changes scores. Both are plain Python on tensors, run
in tiles with memory linear in the length, and tensors that a score function captures are trained like any other.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pappus as pp
from pappus.nn.attention.flex_attention import and_masks, create_block_mask, flex_attention, or_masks

Mod = Callable[..., Any]

# -- masks ----------------------------------------------------------------------------------------


def causal(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """Each position sees itself and what came before."""
    return q_idx >= kv_idx


def sliding_window(width: int) -> Mod:
    """Causal, and no further back than `width` positions (Mistral)."""

    def near(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return q_idx - kv_idx < width

    return and_masks(causal, near)


def prefix_lm(length: int) -> Mod:
    """The first `length` positions see each other; the rest is causal (T5, PaLI)."""

    def prefix(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return kv_idx < length

    return or_masks(prefix, causal)


def documents(ids: pp.Tensor) -> Mod:
    """Causal inside each of several documents packed into one sequence; `ids` says to which a position belongs."""

    def same_document(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return ids[q_idx] == ids[kv_idx]

    return and_masks(causal, same_document)


def padded(lengths: pp.Tensor) -> Mod:
    """Sequences of different lengths in one batch: the padding at the end is not seen."""

    def inside(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return kv_idx < lengths[b]

    return inside


# -- scores ---------------------------------------------------------------------------------------


def alibi(slopes: pp.Tensor) -> Mod:
    """A penalty that grows with the distance, differently for each head (Press et al., 2021)."""

    def bias(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score - slopes[h] * (q_idx - kv_idx).abs()

    return bias


def softcap(limit: float) -> Mod:
    """Scores kept between -limit and limit (Gemma 2)."""

    def cap(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return limit * pp.tanh(score / limit)

    return cap


def relative_bias(table: pp.Tensor) -> Mod:
    """A learned number for each head and distance: `table` is (heads, 2 * most + 1), larger ones share the last."""
    most = table.shape[1] // 2

    def bias(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + table[h, (q_idx - kv_idx).clamp(-most, most) + most]

    return bias


# -- what to do with them -------------------------------------------------------------------------


def draw() -> None:
    """The blocks of each mask: dark ones are computed without looking at the mask, light ones with, blank ones not."""
    ids = pp.tensor([0] * 200 + [1] * 400 + [2] * 424)
    masks = {
        "causal": causal,
        "sliding window of 256": sliding_window(256),
        "prefix of 300": prefix_lm(300),
        "three documents": documents(ids),
    }
    for name, mask in masks.items():
        print(name, create_block_mask(mask, None, None, 1024, 1024, BLOCK_SIZE=64), sep="\n")


def learn(steps: int = 120) -> float:
    """Learn, by its bias alone, that the answer lies three positions back. Returns the last loss."""
    pp.manual_seed(0)
    length = 50
    table = pp.zeros(1, 2 * 16 + 1, requires_grad=True)
    mask = create_block_mask(causal, None, None, length, length, BLOCK_SIZE=16)
    optimizer = pp.optim.Adam([table], lr=0.3)
    loss = float("inf")
    for _ in range(steps):
        x = pp.randn(8, 1, length, 4)
        no_content = pp.zeros(8, 1, length, 4)
        y = flex_attention(no_content, no_content, x, relative_bias(table), mask)
        error = (y[:, :, 3:] - x[:, :, :-3]).pow(2).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        loss = error.item()
    print(f"learned bias: most weight at distance {int(table[0].argmax()) - 16}, loss {loss:.4f}")
    return loss


def long(length: int = 4096, heads: int = 4, width: int = 32) -> None:
    """Time a long sequence under a sliding window."""
    mask = create_block_mask(sliding_window(256), None, None, length, length)
    q, k, v = (pp.randn(1, heads, length, width, requires_grad=True) for _ in range(3))
    start = time.perf_counter()
    out = flex_attention(q, k, v, softcap(30.0), mask)
    middle = time.perf_counter()
    out.sum().backward()
    end = time.perf_counter()
    print(
        f"{length} positions, {heads} heads, {mask.sparsity():.1f} % of the blocks empty: "
        f"forward {middle - start:.2f} s, backward {end - middle:.2f} s"
    )


def main() -> None:
    """Draw, learn, time."""
    draw()
    learn()
    long()


if __name__ == "__main__":
    main()
