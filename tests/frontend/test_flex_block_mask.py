"""Block masks: which blocks there are, pictures, parts; and what FlexAttention says of wrong arguments."""

from __future__ import annotations

import math
import tracemalloc
from typing import Any

import numpy as np
import pytest
from flex_reference import EXAMPLES, IDS, MASKS, agree, compare, leaf, operands, reference, values_and_grads

import pappus as pp
from pappus.frontend.flex_attention import classify
from pappus.nn.attention.flex_attention import (
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)

# -- block masks ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", MASKS)
@pytest.mark.parametrize("block", [1, 4, 5, 16, (3, 20), 64])
def test_blocks_against_the_dense_mask(name: str, block: Any) -> None:
    mask_mod = MASKS[name]
    mask = create_block_mask(mask_mod, None, None, 37, 37, BLOCK_SIZE=block)
    dense = create_mask(mask_mod, None, None, 37, 37).numpy()[0, 0]
    kinds = mask.kinds()[0, 0]
    rows, columns = mask.BLOCK_SIZE
    for r in range(kinds.shape[0]):
        for c in range(kinds.shape[1]):
            part = dense[r * rows : (r + 1) * rows, c * columns : (c + 1) * columns]
            assert kinds[r, c] == (2 if part.all() else 1 if part.any() else 0)
    assert mask.shape == (1, 1, 37, 37)
    assert mask.sparsity() == pytest.approx(100 * (kinds == 0).mean())
    np.testing.assert_array_equal(mask.to_dense().numpy()[0, 0], kinds > 0)


def test_masks_are_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return ((q_idx * 7 + kv_idx * 3 + h * 5 + b) % 11 > 2 + q_idx // 9) & (q_idx.double().sin() < 0.9)

    dense = create_mask(mask_mod, 3, 2, 53, 61).numpy()
    padded = np.pad(dense, ((0, 0), (0, 0), (0, 1), (0, 3)), mode="edge").reshape(3, 2, 9, 6, 16, 4)
    kinds = np.where(padded.all((3, 5)), 2, padded.any((3, 5)))
    for chunk, blocks in ((1, 1), (40, 144), (500, 300), (1 << 20, 1 << 20)):
        monkeypatch.setattr(classify, "_CHUNK", chunk)
        monkeypatch.setattr(classify, "_BLOCKS", blocks)
        np.testing.assert_array_equal(create_block_mask(mask_mod, 3, 2, 53, 61, BLOCK_SIZE=(6, 4)).kinds(), kinds)


class Expressions:
    """Random mask functions: text over q, k, b, h, tables and numbers."""

    def __init__(self, seed: int) -> None:
        self.random = np.random.default_rng(seed)

    def number(self, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.2:
            return str(self.random.choice(["q", "k", "q", "k", "b", "h", str(self.random.integers(-20, 40))]))
        a, b = self.number(depth - 1), self.number(depth - 1)
        n = int(self.random.integers(1, 15))
        forms = [
            f"({a} + {b})", f"({a} - {b})", f"({a} * {b})", f"({a} // {n})", f"({a} % {n})",
            f"pp.minimum(q, {a} + q * 0)", f"({a} + q * 0).abs()", f"(-({a}))", f"(q * 0 + {a}).clamp({-n}, {n})",
            f"rising[({a} + q * 0).long().clamp(0, 59)]",
            f"ids[{self.random.choice(['q', 'k'])}]",
            f"pp.where({self.truth(depth - 1)}, q * 0 + {a}, k * 0 + {b})",
            f"((q * 0 + {a}).float() * 0.5)", f"pairs[b, {self.random.choice(['q', 'k'])}]",
            f"((q + {a}) / {n}).floor()",
        ]  # fmt: skip
        return str(self.random.choice(forms))

    def truth(self, depth: int) -> str:
        if depth == 0 or self.random.random() < 0.5:
            a, b = self.number(max(0, depth - 1)), self.number(max(0, depth - 1))
            return f"(q * 0 + {a} {self.random.choice(['<', '<=', '>', '>=', '==', '!='])} k * 0 + {b})"
        a, b = self.truth(depth - 1), self.truth(depth - 1)
        forms = [f"({a} & {b})", f"({a} | {b})", f"(~{a})", f"({a} ^ {b})", f"pp.logical_not({a})"]
        return str(self.random.choice(forms))


@pytest.mark.parametrize("seed", range(6))
def test_bounds_of_random_functions(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the function is, its blocks are those of its values; and bounds decide many of them."""
    looked = []
    look = classify._look
    monkeypatch.setattr(classify, "_look", lambda *args: looked.append(len(args[2][0])) or look(*args))
    make, total = Expressions(seed), 0
    names = {
        "pp": pp, "ids": IDS, "rising": pp.tensor(np.cumsum(make.random.integers(0, 3, 60))),
        "pairs": pp.tensor(make.random.integers(0, 30, (2, 41))),
    }  # fmt: skip
    for _ in range(40):
        text = make.truth(3)
        mask_mod = eval(f"lambda b, h, q, k: {text}", dict(names))
        dense = create_mask(mask_mod, 2, 3, 37, 31).numpy()
        padded = np.pad(dense, ((0, 0), (0, 0), (0, 3), (0, 1)), mode="edge").reshape(2, 3, 5, 8, 4, 8)
        kinds = np.where(padded.all((3, 5)), 2, padded.any((3, 5)))
        np.testing.assert_array_equal(create_block_mask(mask_mod, 2, 3, 37, 31, BLOCK_SIZE=8).kinds(), kinds, text)
        total += kinds.size
    assert sum(looked) < 0.8 * total, (sum(looked), total)


LONG_IDS = pp.arange(65536) // 1000


@pytest.mark.parametrize(
    ("mask_mod", "most"),
    [
        (EXAMPLES.causal, 512),
        (EXAMPLES.sliding_window(256), 1530),
        (EXAMPLES.prefix_lm(300), 514),
        (EXAMPLES.documents(LONG_IDS), 1450),
        (lambda b, h, q, k: (q - k).abs() <= 1000, 2100),
        (lambda b, h, q, k: (q >= k) & ((k < 4) | (q - k < 512)), 1600),
        (lambda b, h, q, k: q // 128 == k // 128, 0),
    ],
)
def test_long_masks_are_decided_by_bounds(mask_mod: Any, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """65,536 positions, 262,144 blocks: only those on an edge are looked at; memory is that of some block arrays."""
    looked = []
    look = classify._look
    monkeypatch.setattr(classify, "_look", lambda *args: looked.append(len(args[2][0])) or look(*args))
    tracemalloc.start()
    mask = create_block_mask(mask_mod, None, None, 65536, 65536)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(looked) <= most
    assert peak < 64e6  # the dense mask has 4295e6 bytes
    assert mask.kinds().shape == (1, 1, 512, 512) and mask.sparsity() > 40


def test_functions_without_bounds() -> None:
    """Operators without a rule, branches, and large numbers fall back to looking."""
    from pappus.frontend.flex_attention.bounds import bound_mask

    def ends(n: int) -> Any:
        e = np.arange(0, n, 8)
        shapes = ((-1, 1, 1, 1), (1, -1, 1, 1), (1, 1, -1, 1), (1, 1, 1, -1))
        one = np.zeros(1, np.int64)
        pairs = [(one, one), (one, one), (e, e + 7), (e, e + 7)]
        return [(a.reshape(s), b.reshape(s)) for (a, b), s in zip(pairs, shapes, strict=True)]

    table = pp.tensor([True] * 16)
    for mod in (
        lambda b, h, q, k: q.double().sin() > 0,
        lambda b, h, q, k: q >= k if q.sum() > 3 else q < k,
        lambda b, h, q, k: q * 2**61 > k,
        lambda b, h, q, k: q.to(pp.int8) * 100 > k,
        lambda b, h, q, k: table[q - 8],
        lambda b, h, q, k: pp.rand(q.shape) > 0.5,
        lambda b, h, q, k: (q & 3) == 0,
        lambda b, h, q, k: q // (k - 4) > 0,
        lambda b, h, q, k: q.float(),
        lambda b, h, q, k: q.half() > k.half(),
    ):
        assert bound_mask(mod, ends(16)) is None
    sure, possible = bound_mask(lambda b, h, q, k: table[q] & (k >= 8), ends(16))  # type: ignore[misc]
    assert sure[0, 0].tolist() == possible[0, 0].tolist() == [[False, True], [False, True]]
    assert bound_mask(noop_mask, ends(16))[0].all()  # type: ignore[index]


def test_fields_of_a_block_mask() -> None:
    mask = create_block_mask(EXAMPLES.causal, None, 2, 64, 96, BLOCK_SIZE=32)
    assert mask.kv_num_blocks.tolist() == [[[1, 1], [1, 1]]] and mask.kv_num_blocks.dtype is pp.int32
    assert mask.kv_indices[0, 0, :, 0].tolist() == [0, 1]
    assert mask.full_kv_num_blocks.tolist() == [[[0, 1], [0, 1]]]
    assert mask.full_kv_indices[0, 1, 1].tolist() == [0, 1, 2]
    assert mask.q_num_blocks.tolist() == [[[1, 1, 0], [1, 1, 0]]]
    assert mask.full_q_num_blocks.tolist() == [[[1, 0, 0], [1, 0, 0]]] and mask.full_q_indices[0, 0, 0, 0].item() == 1
    assert mask.BLOCK_SIZE == (32, 32) and mask.seq_lengths == (64, 96) and mask.numel() == 2 * 64 * 96
    together = create_block_mask(EXAMPLES.causal, None, None, 64, 96, BLOCK_SIZE=32, separate_full_blocks=False)
    assert together.full_kv_num_blocks is None and together.kv_num_blocks.tolist() == [[[1, 2]]]
    assert together.full_q_indices is None and together.q_num_blocks.tolist() == [[[2, 1, 0]]]
    q, k, v = operands(1, 1, 1, 64, 96)
    agree(
        values_and_grads(lambda: flex_attention(q, k, v, None, together, return_lse=True), [q, k, v]),
        values_and_grads(lambda: reference(q, k, v, None, EXAMPLES.causal), [q, k, v]), pp.float64,
    )  # fmt: skip


def test_picture() -> None:
    mask = create_block_mask(EXAMPLES.sliding_window(40), None, None, 96, 96, BLOCK_SIZE=16)
    assert str(mask).split("\n")[1:-1] == [
        "(0, 0)", "░░", "██░░", "░░██░░", "░░░░██░░", "  ░░░░██░░", "    ░░░░██░░",
    ]  # fmt: skip
    assert mask.to_string(grid_size=2).split("\n")[1:3] == ["░░", "░░░░"]
    assert mask.to_string(-1) == mask.to_string((6, 6))
    many = create_block_mask(EXAMPLES.causal, 3, 2, 16, 16)
    assert many.to_string().count("░░") == 4 and "limit=N" in many.to_string()
    assert many.to_string(limit=6).count("░░") == 6
    assert "mask_mod=causal" in repr(many) and "kv_indices=pappus.Size([3, 2, 1, 1])" in repr(many)


def test_index_and_adjust() -> None:
    mask = create_block_mask(lambda b, h, q, k: q >= k + 16 * b, 2, None, 64, 64, BLOCK_SIZE=16)
    part = mask[1]
    assert part.kv_num_blocks.shape == (1, 1, 4) and part.kv_num_blocks.tolist() == mask[-1].kv_num_blocks.tolist()
    assert mask[:, 0, pp.tensor([2])].kv_indices.shape == (2, 1, 1, 4)
    part.mask_mod = lambda b, h, q, k: q >= k + 16
    q, k, v = operands(1, 2, 2, 64, 64)
    expected, _ = reference(q, k, v, None, part.mask_mod)
    found = flex_attention(q, k, v, None, part)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), atol=1e-12)
    with pytest.raises(pp.PappusError, match="index 2 is out of range for dimension 0 of size 2"):
        mask[2]
    shorter = mask._adjust(40, 33)
    assert shorter.shape == (2, 1, 40, 33)
    np.testing.assert_array_equal(shorter.kinds(), mask.kinds()[:, :, :3, :3])


def test_blocks_given_as_lists() -> None:
    """Only listed blocks are computed; without a mask function all of each."""
    counts, indices = pp.tensor([[[1, 2]]], dtype=pp.int32), pp.tensor([[[[1, 0], [0, 1]]]], dtype=pp.int32)
    mask = BlockMask.from_kv_blocks(counts, indices, BLOCK_SIZE=8)
    assert mask.shape == (1, 1, 16, 16) and mask.sparsity() == 25.0
    q, k, v = operands(1, 2, 2, 16, 16)

    def same(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return (q_idx >= 8) | (kv_idx >= 8)

    agree(
        values_and_grads(lambda: flex_attention(q, k, v, None, mask, return_lse=True), [q, k, v]),
        values_and_grads(lambda: reference(q, k, v, None, same), [q, k, v]), pp.float64,
    )  # fmt: skip
    with pytest.raises(pp.PappusError, match=r"counts \(..., rows\), got \[1, 1, 2, 2\] and \[1, 2\]"):
        BlockMask.from_kv_blocks(counts[0], indices)


def test_masks_combined() -> None:
    assert not create_mask(or_masks(), None, None, 2, 2).numpy().any()
    assert create_mask(and_masks(), None, None, 2, 2).numpy().all()
    near = and_masks(EXAMPLES.causal, lambda b, h, q, k: q - k < 2)
    both = or_masks(near, lambda b, h, q, k: k == 0)
    found = create_mask(both, None, None, 4, 4).numpy()[0, 0].astype(int).tolist()
    assert found == [[1, 0, 0, 0], [1, 1, 0, 0], [1, 1, 1, 0], [1, 0, 1, 1]]
    score = create_mask(lambda s, b, h, q, k: pp.where(q >= k, s, -math.inf), 2, 3, 4, 4).numpy()
    np.testing.assert_array_equal(score, np.broadcast_to(np.tril(np.ones((4, 4), bool)), (2, 3, 4, 4)))


# -- errors ---------------------------------------------------------------------------------------


def wrong_shape(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return score.unsqueeze(-1)


def float_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return (q_idx >= kv_idx).float()


T = pp.ones
Q3 = T(3, 4, 5, 8)
Q = T(2, 4, 5, 8)
TABLE = T(4, 9)
SMALL = create_block_mask(noop_mask, 3, 2, 5, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flex_attention(Q, T(2, 4, 5, 7), Q), r"same width, got \[2, 4, 5, 8\], \[2, 4, 5, 7\]"),
        (lambda: flex_attention(Q, T(2, 4, 6, 8), Q), "same heads and length"),
        (lambda: flex_attention(Q, T(2, 2, 5, 8), T(2, 2, 5, 8)), "query has 4 heads, key and value.*enable_gqa=True"),
        (lambda: flex_attention(Q, T(2, 3, 5, 8), T(2, 3, 5, 8), enable_gqa=True), r"\(4\) must be a multiple.*\(3\)"),
        (lambda: flex_attention(Q, T(3, 4, 5, 8), T(3, 4, 5, 8)), "batch size, or 1"),
        (lambda: flex_attention(Q[0, 0], Q[0, 0], Q[0, 0]), r"\(batch, heads, length, width\).*\[5, 8\]"),
        (lambda: flex_attention(Q, Q.double(), Q), "same floating-point type, got float32, float64 and float32"),
        (lambda: flex_attention(Q.long(), Q.long(), Q.long()), "floating-point type, got int64"),
        (lambda: flex_attention(Q, Q.numpy(), Q), "key must be a Tensor, got ndarray"),
        (lambda: flex_attention(Q, Q, Q, "causal"), "score_mod must be a function, got str"),
        (lambda: flex_attention(Q, Q, Q, wrong_shape), r"'wrong_shape' \(defined at .*test_flex_block_mask.py:\d+\) "
         r"returned shape \[2, 2, 2, 2, 1\] for a tile of shape \[2, 2, 2, 2\]"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: TABLE[h][q]), r"table\[h, q_idx - kv_idx\] and not"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: q >= k), "returned bool; it must return a float"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: s - s.amax(-1, True)), "not sum, sort or shift"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: s.cumsum(2)), "among others and .* alone"),
        (lambda: create_block_mask(lambda b, h, q, k: q >= k.sum(), None, None, 5, 5), "mask_mod .* gave"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: None), "returned NoneType"),
        (lambda: flex_attention(Q, Q, Q, block_mask=EXAMPLES.causal), "must be a BlockMask, got function.*create_bl"),
        (lambda: flex_attention(Q, Q, Q, block_mask=create_block_mask(noop_mask, None, None, 9, 9)),
         r"made for lengths \(9, 9\), query and key have \(5, 5\).*_adjust"),
        (lambda: flex_attention(Q, Q, Q, block_mask=SMALL), "made for 3 batches, query has 2"),
        (lambda: flex_attention(Q3, Q3, Q3, block_mask=SMALL), "made for 2 heads, query has 4"),
        (lambda: flex_attention(Q, Q, Q, block_mask=create_block_mask(noop_mask, 2, 4, 5, 5)[0]), "made by indexing"),
        (lambda: flex_attention(Q, Q, Q, return_lse=True, return_aux=AuxRequest()), "return_lse or return_aux, not"),
        (lambda: create_block_mask(float_mask, None, None, 5, 5), r"'float_mask' \(defined at .*py:\d+\) returned fl"),
        (lambda: create_block_mask(lambda b, h, q, k: q >= k[0, 0, 0, :3], None, None, 5, 5),
         r"returned shape \[1, 1, 5, 3\] for a tile of shape \[1, 1, 5, 5\]"),
        (lambda: create_block_mask(wrong_shape, None, None, 5, 5), "needs a mask function"),
        (lambda: create_block_mask(lambda q, k: q >= k, None, None, 5, 5), "takes 2 arguments; a mask function takes"),
        (lambda: create_block_mask(noop_mask, None, None, 5, 5, BLOCK_SIZE=0), "BLOCK_SIZE must be a positive int"),
        (lambda: create_block_mask(noop_mask, None, None, 5, -5), "KV_LEN must be an int >= 0, got -5"),
        (lambda: and_masks(noop_mask, 3), "and_masks: takes mask functions"),
        (lambda: or_masks(True), "or_masks: takes mask functions"),
    ],
)  # fmt: skip
def test_messages(call: Any, message: str) -> None:
    with pytest.raises(pp.PappusError, match=message) as caught:
        call()
    assert "test_flex_block_mask.py:" in str(caught.value)


def test_error_in_the_users_function_names_its_line() -> None:
    def mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + TABLE[h, q_idx + 40]

    with pytest.raises(IndexError, match=r"test_flex_block_mask.py"):
        flex_attention(Q, Q, Q, mod)


def test_captured_tensor_used_for_some_positions_only() -> None:
    late = leaf(1)
    q, k, v = operands(1, 1, 1, 300, 300)

    def mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + late if 100 < int(q_idx.max()) < 200 else score

    with pytest.raises(pp.AutogradError, match=r"for some positions only.*pp.where"):
        flex_attention(q, k, v, mod).sum().backward()


# -- masks as people write them for torch ----------------------------------------------------------

SIDE = 8  # positions are pixels of a picture of 8 x 8
OFFSETS = pp.tensor([0, 5, 22, 31])  # where the documents of IDS begin
PREFIXES = pp.tensor([3, 40])


def natten(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """Neighbours in a picture: windows that stay inside."""
    q_x, q_y, kv_x, kv_y = q_idx // SIDE, q_idx % SIDE, kv_idx // SIDE, kv_idx % SIDE
    centre_x, centre_y = q_x.clamp(1, SIDE - 2), q_y.clamp(1, SIDE - 2)
    return ((centre_x - kv_x).abs() <= 1) & ((centre_y - kv_y).abs() <= 1)


def inside_documents(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """A mask inside each document, on positions counted from its beginning."""
    same = IDS[q_idx] == IDS[kv_idx]
    q_own, kv_own = q_idx - OFFSETS[IDS[q_idx]], kv_idx - OFFSETS[IDS[kv_idx]]
    return same & (q_own >= kv_own) & (q_own - kv_own < 4 * (h + 1))


def prefixes(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """A prefix of its own length for each batch."""
    return (kv_idx < PREFIXES[b]) | (q_idx >= kv_idx)


def pieces(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """Causal, and everything inside some pieces (images in a text)."""
    found = q_idx >= kv_idx
    for start, length in ((4, 9), (20, 11)):
        inside = (q_idx >= start) & (q_idx < start + length)
        found |= inside & (kv_idx >= start) & (kv_idx < start + length)
    return found


def strided(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """Every other position for every other head."""
    return pp.where(h % 2 == 0, (q_idx - kv_idx) % 2 == 0, q_idx >= kv_idx)


@pytest.mark.parametrize(
    ("mask_mod", "length"), [(natten, 64), (inside_documents, 37), (prefixes, 37), (pieces, 37), (strided, 37)]
)
def test_masks_as_people_write_them(mask_mod: Any, length: int) -> None:
    mask = create_block_mask(mask_mod, 2, 4, length, length, BLOCK_SIZE=8)
    dense = create_mask(mask_mod, 2, 4, length, length).numpy()
    blocks = -(-length // 8)
    padded = np.pad(dense, ((0, 0), (0, 0), *[(0, 8 * blocks - length)] * 2), mode="edge")
    parts = padded.reshape(2, 4, blocks, 8, blocks, 8)
    np.testing.assert_array_equal(mask.kinds(), np.where(parts.all((3, 5)), 2, parts.any((3, 5))))
    compare(*operands(2, 4, 2, length, length), mask_mod=mask_mod, block=8, b=2, h=4)
