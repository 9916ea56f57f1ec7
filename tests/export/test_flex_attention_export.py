"""FlexAttention in exported programs: score and mask functions become part of kernels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.export.exporting import export
from pappus.nn.attention.flex_attention import create_block_mask, flex_attention


class Attention(pp.nn.Module):
    """Causal attention inside a window, with slopes, a cap and a learned table."""

    def __init__(self, heads: int = 2) -> None:
        super().__init__()
        self.slopes = pp.nn.Parameter(pp.tensor([0.5, 0.25]))
        self.table = pp.nn.Parameter(pp.randn(heads, 64))

    def score_mod(self, score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        distance = q_idx - kv_idx
        bias = self.table.reshape(-1)[h * 64 + distance.clamp(-31, 31) + 31]
        return 5 * pp.tanh(score / 5) - self.slopes[h] * distance.abs() + bias

    def forward(self, x: Any) -> Any:
        q, k, v = x.chunk(3, -1)
        length = x.shape[-2]
        mask = create_block_mask(lambda b, h, i, j: (i >= j) & (i - j < 7), None, None, length, length, BLOCK_SIZE=4)
        return flex_attention(q, k, v, self.score_mod, mask)


def run(exported: Any, *args: Any) -> Any:
    session = pp.runtime.load(pp.export.lower(exported).to_bytes())
    found = session(*[a.numpy() for a in args])
    return found[0] if isinstance(found, (tuple, list)) else found


def test_fixed_length() -> None:
    pp.manual_seed(0)
    model, x = Attention(), pp.randn(3, 2, 13, 24)
    exported = export(model, (x,))
    assert not any(node.op in ("logsumexp", "amax") for node in exported.graph.nodes)
    np.testing.assert_allclose(run(exported, x), model(x).detach().numpy(), atol=2e-6)


def test_length_that_is_free() -> None:
    pp.manual_seed(0)
    model, x = Attention(), pp.randn(1, 2, 13, 24)
    exported = export(model, (x,), dynamic_shapes={"x": {2: pp.export.Dim("length", 1, 64)}})
    for length in (13, 1, 40):
        x = pp.randn(1, 2, length, 24)
        np.testing.assert_allclose(run(exported, x), model(x).detach().numpy(), atol=2e-6)


def test_blocks_are_not_known_while_the_length_is_free() -> None:
    class Counts(pp.nn.Module):
        def forward(self, x: Any) -> Any:
            mask = create_block_mask(lambda b, h, i, j: i >= j, None, None, x.shape[0], 4)
            return x * mask.sparsity()

    with pytest.raises(pp.CaptureError, match="blocks cannot be counted"):
        export(Counts(), (pp.ones(5),), dynamic_shapes={"x": {0: pp.export.Dim("n", 1, 64)}})


def test_grouped_heads_and_lse() -> None:
    class Grouped(pp.nn.Module):
        def forward(self, q: Any, k: Any) -> Any:
            out, lse = flex_attention(q, k, k, enable_gqa=True, return_lse=True)
            return out * lse.unsqueeze(-1)

    pp.manual_seed(0)
    q, k = pp.randn(2, 6, 5, 8), pp.randn(2, 3, 9, 8)
    np.testing.assert_allclose(run(export(Grouped(), (q, k)), q, k), Grouped()(q, k).numpy(), atol=2e-6)
