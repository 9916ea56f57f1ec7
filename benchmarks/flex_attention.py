"""Time and memory of FlexAttention beside the same attention written densely.

    python benchmarks/flex_attention.py [--heads 8] [--width 64] [--quick]

Processor seconds of the best of two runs, in one thread where OPENBLAS_NUM_THREADS=1; peak is what the process had held
at most by then. Where PyTorch is installed, its own causal attention (a hand-written kernel) is timed beside.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable
from typing import Any

import pappus as pp
from pappus.nn.attention.flex_attention import create_block_mask, flex_attention

Run = Callable[[], Any]


def causal(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """Each position sees itself and what came before."""
    return q_idx >= kv_idx


def window(width: int) -> Callable[..., Any]:
    """Causal, and no further back than `width`."""
    return lambda b, h, q_idx, kv_idx: (q_idx >= kv_idx) & (q_idx - kv_idx < width)


def timed(run: Run) -> tuple[float, float]:
    """Seconds of forward and of backward, the best of two."""
    best = [float("inf")] * 2
    for _ in range(2):
        start = time.process_time()
        loss = run().sum()
        middle = time.process_time()
        loss.backward()
        end = time.process_time()
        best = [min(best[0], middle - start), min(best[1], end - middle)]
    return best[0], best[1]


def line(name: str, forward: float, backward: float, mask: float | None = None) -> None:
    """One row of the table."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    made = "" if mask is None else f"{1000 * mask:8.1f}"
    print(f"{name:<38} {made:>8} {forward:9.2f} {backward:9.2f} {peak:9.0f}", flush=True)


def flex(name: str, length: int, heads: int, width: int, mask_mod: Any = None, score_mod: Any = None) -> None:
    """Time FlexAttention once and print it."""
    pp.manual_seed(0)
    q, k, v = (pp.randn(1, heads, length, width, requires_grad=True) for _ in range(3))
    start = time.process_time()
    mask = create_block_mask(mask_mod, None, None, length, length) if mask_mod else None
    made = time.process_time() - start
    line(name, *timed(lambda: flex_attention(q, k, v, score_mod, mask)), made if mask else None)


def dense(length: int, heads: int, width: int) -> None:
    """Time pappus' own dense causal attention."""
    q, k, v = (pp.randn(1, heads, length, width, requires_grad=True) for _ in range(3))
    run = pp.nn.functional.scaled_dot_product_attention
    line(f"dense causal, {length}", *timed(lambda: run(q, k, v, is_causal=True)))


def by_torch(length: int, heads: int, width: int) -> None:
    """Time PyTorch's causal attention in one thread, where it is installed."""
    try:
        import torch
    except ImportError:
        return
    torch.set_num_threads(1)
    q, k, v = (torch.randn(1, heads, length, width, requires_grad=True) for _ in range(3))
    run = torch.nn.functional.scaled_dot_product_attention
    line(f"torch sdpa causal, {length}", *timed(lambda: run(q, k, v, is_causal=True)))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--heads", type=int, default=8)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--quick", action="store_true", help="a sixteenth of the lengths' products")
    options = parser.parse_args()
    heads, width = options.heads, options.width
    short, long = (1024, 4096) if options.quick else (4096, 16384)
    slopes = pp.tensor([2.0 ** -(h + 1) for h in range(heads)], requires_grad=True)
    table = pp.zeros(heads, short, requires_grad=True)
    print(f"{heads} heads of {width}, float32")
    print(f"{'':<38} {'mask ms':>8} {'forward s':>9} {'backward s':>9} {'peak MB':>9}")
    flex(f"window of 512, {long}", long, heads, width, window(512))
    flex(f"causal, {short}", short, heads, width, causal)
    scores: dict[str, Callable[..., Any]] = {
        "ALiBi (learned slopes)": lambda s, b, h, q, k: s - slopes[h] * (q - k),
        "soft cap": lambda s, b, h, q, k: 20 * pp.tanh(s / 20),
        "relative bias (learned)": lambda s, b, h, q, k: s + table[h, q - k],
    }
    for name, score_mod in scores.items():
        flex(f"causal, {name}, {short}", short, heads, width, causal, score_mod)
    flex(f"everything, {short}", short, heads, width)
    dense(short, heads, width)
    by_torch(short, heads, width)


if __name__ == "__main__":
    main()
