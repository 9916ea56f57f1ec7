"""FlexAttention against the same attention written densely in plain operators, and against torch."""

from __future__ import annotations

import importlib.util
import math
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

import pappus as pp
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
    b: int = 2, hq: int = 4, hkv: int = 4, q_len: int = 37, kv_len: int = 37, e: int = 8, ev: int = 8, dtype: Any = pp.float64,
    seed: int = 0,
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
    q: Any, k: Any, v: Any, score_mod: Any = None, mask_mod: Any = None, captured: Any = (), block: Any = 16, b: Any = None,
    h: Any = None, scale: Any = None,
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


# -- values and gradients -------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [pp.float32, pp.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("name", MASKS)
def test_masks(name: str, dtype: Any) -> None:
    compare(*operands(dtype=dtype), mask_mod=MASKS[name])


@pytest.mark.parametrize("dtype", [pp.float32, pp.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("masked", [False, True])
def test_learned_scores(masked: bool, dtype: Any) -> None:
    slopes, table = leaf(4, dtype=dtype), leaf(4, 2 * 6 + 1, dtype=dtype)
    relative, alibi, cap = EXAMPLES.relative_bias(table), EXAMPLES.alibi(slopes), EXAMPLES.softcap(2.0)

    def score_mod(score: Any, *at: Any) -> Any:
        return cap(relative(alibi(score, *at), *at), *at)

    compare(*operands(dtype=dtype), score_mod, MASKS["causal"] if masked else None, (slopes, table))


@pytest.mark.parametrize("lengths", [(1, 1), (1, 50), (50, 1), (16, 16), (17, 15), (33, 100), (130, 257)])
@pytest.mark.parametrize("block", [16, (8, 32), 128, 1])
def test_odd_lengths(lengths: tuple[int, int], block: Any) -> None:
    if block == 1 and lengths[0] * lengths[1] > 2000:
        pytest.skip("many tiles of one element")
    bias = leaf(300)
    q, k, v = operands(1, 2, 2, *lengths)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score * 1.5 + bias[kv_idx] * bias[q_idx]

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return (q_idx + 3 >= kv_idx) & (kv_idx % 7 != 5)

    compare(q, k, v, score_mod, mask_mod, (bias,), block)


@pytest.mark.parametrize("heads", [(4, 4), (4, 2), (6, 2), (4, 1), (3, 3)])
@pytest.mark.parametrize("per", ["all", "head", "batch", "both"])
def test_heads(heads: tuple[int, int], per: str) -> None:
    """Grouped queries, and masks that depend on the batch and the head."""
    q, k, v = operands(2, *heads, 21, 29, e=4, ev=7)
    bias = leaf(heads[0])

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        shift = (h if per in ("head", "both") else 0) + (5 * b if per in ("batch", "both") else 0)
        return q_idx + 4 >= kv_idx + shift

    b = 2 if per in ("batch", "both") else None
    h = heads[0] if per in ("head", "both") else None
    compare(q, k, v, lambda s, b, h, q, k: s * bias[h], mask_mod, (bias,), 8, b, h)


def test_heads_are_cut_into_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    """More heads than fit a tile: small tiles give the same."""
    from pappus.frontend.flex_attention import tiles

    monkeypatch.setattr(tiles, "_TILE", 300)
    monkeypatch.setattr(tiles, "_ROWS", 10)
    for heads in ((6, 6), (6, 2), (6, 1)):
        slopes = leaf(6)
        compare(*operands(3, *heads, 37, 41), EXAMPLES.alibi(slopes), EXAMPLES.causal, (slopes,), 16)
        compare(*operands(3, *heads, 37, 41), EXAMPLES.alibi(slopes), None, (slopes,))


def test_large_blocks_are_cut() -> None:
    compare(*operands(1, 1, 1, 300, 300), mask_mod=EXAMPLES.causal, block=1024)


def test_document_bias_and_key_bias() -> None:
    """Captured tensors indexed by document, by batch and key, and a whole matrix; the score used twice."""
    r = np.random.default_rng(0)
    documents = pp.tensor(r.integers(0, 3, 37))
    pairs, keys, whole = leaf(3, 3), leaf(2, 37), leaf(37, 37)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        bias = pairs[documents[q_idx], documents[kv_idx]] + keys[b, kv_idx]
        return score * pp.sigmoid(score) + bias - whole[q_idx, kv_idx] * 0.1

    compare(*operands(), score_mod, EXAMPLES.causal, (pairs, keys, whole))


def test_t5_buckets() -> None:
    table = leaf(8, 4)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        distance = (q_idx - kv_idx).abs()
        far = (distance.double().clamp(min=1).log() * 1.5).long() + 3
        return score + table[pp.where(distance < 4, distance, far).clamp(max=7), h]

    compare(*operands(), score_mod, None, (table,))


def test_captured_in_other_ways() -> None:
    """A captured result of operators, a tensor that is not indexed, a slice, negative positions."""
    raw, gain = leaf(4), leaf()
    q, k, v = operands()

    def gradients(attention: Any) -> list[Any]:
        slopes = (raw * 2).exp()

        def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
            return score * gain - slopes[h] * 0.1 * kv_idx + raw[1:3][h % 2] + raw[-h - 1]

        return values_and_grads(lambda: attention(score_mod), [q, k, v, raw, gain])

    mask = create_block_mask(EXAMPLES.causal, None, None, 37, 37, BLOCK_SIZE=16)
    agree(
        gradients(lambda mod: flex_attention(q, k, v, mod, mask, return_lse=True)),
        gradients(lambda mod: reference(q, k, v, mod, EXAMPLES.causal)), pp.float64,
    )  # fmt: skip


def test_score_that_ignores_the_dot_product() -> None:
    bias = leaf(37)
    q, k, v = operands()
    out = flex_attention(q, k, v, lambda s, b, h, q, k: bias[k])
    out.pow(2).sum().backward()
    assert not q.grad.numpy().any() and not k.grad.numpy().any()
    v.grad, ours, bias.grad = None, (v.grad, bias.grad), None
    reference(q, k, v, lambda s, b, h, q, k: (s * 0) + bias[k])[0].pow(2).sum().backward()
    np.testing.assert_allclose(ours[0].numpy(), v.grad.numpy(), rtol=1e-10)
    np.testing.assert_allclose(ours[1].numpy(), bias.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_captured_module_and_query_itself() -> None:
    layer = pp.nn.Linear(1, 1).double()
    q, k, v = operands()

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return layer(score.unsqueeze(-1)).squeeze(-1) + q[b, h, q_idx, 0]

    compare(q, k, v, score_mod, EXAMPLES.causal, tuple(layer.parameters()))


def test_finite_differences() -> None:
    q, k, v = operands(1, 2, 1, 5, 6, 3, 2)
    table, slopes = leaf(2, 11), leaf(2)
    mask = create_block_mask(lambda b, h, q_idx, kv_idx: (q_idx >= kv_idx - 1) & (q_idx != 2), None, None, 5, 6, BLOCK_SIZE=2)

    def loss() -> Any:
        def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
            return 3 * pp.tanh(score / 3) + table[h, q_idx - kv_idx + 5] + slopes[h] * score

        out, lse = flex_attention(q, k, v, score_mod, mask, enable_gqa=True, return_lse=True)
        return (out.sin().sum() + pp.where(lse == -math.inf, 0.0, lse).cos().sum()).sum()

    leaves = [q, k, v, table, slopes]
    loss().backward()
    step = 1e-6
    for tensor in leaves:
        numbers = tensor.detach().numpy()
        for at in np.ndindex(numbers.shape):
            was = numbers[at]
            numbers[at] = was + step
            above = loss().item()
            numbers[at] = was - step
            below = loss().item()
            numbers[at] = was
            assert abs((above - below) / (2 * step) - tensor.grad.numpy()[at]) < 1e-7


def test_gradient_of_gradient() -> None:
    q, k, v = operands(1, 2, 2, 7, 9, 3, 3)
    slopes = leaf(2)
    mask_mod = MASKS["some rows see nothing"]
    mask = create_block_mask(mask_mod, None, None, 7, 9, BLOCK_SIZE=4)
    leaves = (q, k, v, slopes)

    def second(forward: Any) -> list[Any]:
        first = pp.autograd.grad(forward().sin().sum(), leaves, create_graph=True)
        return [g.numpy() for g in pp.autograd.grad(sum((g**2).sum() for g in first), leaves)]

    score_mod = EXAMPLES.alibi(slopes)
    found = second(lambda: flex_attention(q, k, v, score_mod, mask))
    expected = second(lambda: reference(q, k, v, score_mod, mask_mod)[0])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-9, atol=1e-10)


def test_one_tensor_as_query_key_and_value() -> None:
    x, _, _ = operands()
    flex_attention(x, x, x).sin().sum().backward()
    ours, x.grad = x.grad, None
    reference(x, x, x)[0].sin().sum().backward()
    np.testing.assert_allclose(ours.numpy(), x.grad.numpy(), rtol=1e-10, atol=1e-12)


def test_only_some_gradients_are_wanted() -> None:
    q, k, v = operands()
    slopes = leaf(4)
    out, lse = flex_attention(q.detach(), k.detach(), v.detach(), EXAMPLES.alibi(slopes), return_lse=True)
    lse.sum().backward()
    assert slopes.grad is not None and q.grad is None
    assert not flex_attention(q.detach(), k.detach(), v.detach()).requires_grad
    with pp.no_grad():
        assert not flex_attention(q, k, v, EXAMPLES.alibi(slopes)).requires_grad


def test_layouts_and_strides() -> None:
    """Heads taken out of (B, L, H, E), and broadcast operands."""
    q, k, v = (leaf(2, 13, 4, 6, seed=s) for s in range(3))

    def turned(f: Any) -> Any:
        return f(*(t.transpose(1, 2) for t in (q, k, v)))

    agree(
        values_and_grads(lambda: turned(lambda *t: flex_attention(*t, return_lse=True)), [q, k, v]),
        values_and_grads(lambda: turned(reference), [q, k, v]), pp.float64,
    )  # fmt: skip
    q, k, v = operands(3)
    k, v = (leaf(1, *k.shape[1:], seed=s) for s in range(2))
    compare(q, k, v)


@pytest.mark.parametrize("dtype", [pp.float16, pp.bfloat16], ids=["f16", "bf16"])
def test_half_types_are_computed_in_float32(dtype: Any) -> None:
    exact = operands(dtype=pp.float32)
    q, k, v = (t.detach().to(dtype).requires_grad_() for t in exact)
    slopes = pp.tensor([0.5, 0.25, 0.125, 0.0625], dtype=dtype, requires_grad=True)
    seen = []

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        seen.append(score.dtype)
        return score - slopes[h] * (q_idx - kv_idx).abs()

    out, lse = flex_attention(q, k, v, score_mod, return_lse=True)
    out.float().pow(2).sum().backward()
    assert out.dtype is dtype and lse.dtype is pp.float32 and q.grad.dtype is dtype and slopes.grad.dtype is dtype
    assert set(seen) == {pp.float32}
    wide = [t.detach().float().requires_grad_() for t in (q, k, v, slopes)]
    expected, _ = reference(*wide[:3], EXAMPLES.alibi(wide[3]))
    expected.pow(2).sum().backward()
    step = 2.0**-10 if dtype is pp.float16 else 2.0**-7
    np.testing.assert_allclose(out.detach().float().numpy(), expected.detach().numpy(), atol=2 * step, rtol=2 * step)
    for a, b in zip((q, k, v, slopes), wide, strict=True):
        size = float(np.abs(b.grad.numpy()).max())
        np.testing.assert_allclose(a.grad.float().numpy(), b.grad.numpy(), atol=4 * step * size)


# -- shapes at the edge ---------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(0, 2, 3, 3), (2, 0, 3, 3), (2, 2, 0, 3), (2, 2, 3, 0), (2, 2, 0, 0)])
def test_empty(shape: tuple[int, int, int, int]) -> None:
    b, h, q_len, kv_len = shape
    q, k, v = operands(b, h, h, q_len, kv_len, 4, 5)
    slopes = leaf(max(1, h))
    for mask in (None, create_block_mask(EXAMPLES.causal, None, None, q_len, kv_len)):
        out, lse = flex_attention(q, k, v, EXAMPLES.alibi(slopes), mask, return_lse=True)
        assert out.shape == (b, h, q_len, 5) and lse.shape == (b, h, q_len)
        assert not out.detach().numpy().any() and (lse.detach().numpy() == -np.inf).all()
        (out.sum() + pp.where(lse == -math.inf, 0.0, lse).sum()).backward()
        assert [t.grad.shape for t in (q, k, v)] == [t.shape for t in (q, k, v)]


def test_without_batch() -> None:
    q, k, v = operands(1)
    out, lse = flex_attention(q[0], k[0], v[0], return_lse=True)
    expected, expected_lse = reference(q, k, v)
    np.testing.assert_allclose(out.detach().numpy(), expected.detach().numpy()[0], rtol=1e-10)
    np.testing.assert_allclose(lse.detach().numpy(), expected_lse.detach().numpy()[0], rtol=1e-10)


def test_scale_and_aux() -> None:
    q, k, v = operands()
    compare(q, k, v, scale=0.3)
    compare(q, k, v, scale=0)
    out, aux = flex_attention(q, k, v, return_aux=AuxRequest(lse=True, max_scores=True))
    scores = (q @ k.transpose(-2, -1)).detach().numpy() / math.sqrt(8)
    np.testing.assert_allclose(aux.max_scores.numpy(), scores.max(-1), rtol=1e-10)
    assert aux.lse.requires_grad and not aux.max_scores.requires_grad
    assert flex_attention(q, k, v, return_aux=AuxRequest())[1] == (None, None)


def test_extreme_scores() -> None:
    q, k, v = operands(1, 1, 1, 20, 20)
    compare(q, k, v, lambda s, b, h, q, k: s * 1e4)
    compare(q, k, v, lambda s, b, h, q, k: pp.where(q >= k, s, -math.inf))
    compare(q, k, v, lambda s, b, h, q, k: pp.where((q >= k) & (q % 2 == 0), s, -math.inf))


def test_random_score_mod_is_repeated_in_backward() -> None:
    """Dropout of scores: backward draws the same numbers, and leaves the generator where forward did."""
    q, k, v = operands(1, 2, 2, 300, 300, 4, 4)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score * (pp.rand(score.shape, dtype=pp.float64) > 0.5)

    def loss() -> Any:
        pp.manual_seed(5)
        return flex_attention(q, k, v, score_mod).sin().sum()

    loss().backward()
    after = pp.rand(3)
    pp.manual_seed(5)
    flex_attention(q, k, v, score_mod)
    np.testing.assert_array_equal(after.numpy(), pp.rand(3).numpy())
    numbers, step = q.detach().numpy(), 1e-6
    for at in ((0, 0, 3, 1), (0, 1, 299, 2)):
        numbers[at] += step
        above = loss().item()
        numbers[at] -= 2 * step
        below = loss().item()
        numbers[at] += step
        assert abs((above - below) / (2 * step) - q.grad.numpy()[at]) < 1e-7


# -- memory ---------------------------------------------------------------------------------------

_MEMORY = """
import resource, sys
import pappus as pp
from pappus.nn.attention.flex_attention import create_block_mask, flex_attention

n = int(sys.argv[1])
mask = create_block_mask(lambda b, h, q, k: (q >= k) & (q - k < 256), None, None, n, n)
q, k, v = (pp.randn(1, 2, n, 32, requires_grad=True) for _ in range(3))
table = pp.zeros(2, 256, requires_grad=True)
out = flex_attention(q, k, v, lambda s, b, h, i, j: s + table[h, (i - j).clamp(0, 255)], mask)
out.sum().backward()
assert table.grad is not None
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


def peak(length: int) -> float:
    """MB that a process needs for forward and backward."""
    done = subprocess.run([sys.executable, "-c", _MEMORY, str(length)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


def test_memory_is_linear_in_the_length() -> None:
    small, middle, large = peak(256), peak(4096), peak(16384)
    assert large < 300, f"16k x 16k with a window of 256 needs {large:.0f} MB; one matrix of scores alone is 2048 MB"
    # The tensors themselves are 4 MB for 4k and 16 MB for 16k; a matrix of bools would be 16 and 256 MB.
    assert large - small < 4 * (middle - small) + 60, (small, middle, large)


# -- errors ---------------------------------------------------------------------------------------


def wrong_shape(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return score.sum(-1)


def float_mask(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    return (q_idx >= kv_idx).float()


T = pp.ones
Q = T(2, 4, 5, 8)
TABLE = T(4, 9)
SMALL = create_block_mask(noop_mask, 3, 2, 5, 5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: flex_attention(Q, T(2, 4, 5, 7), Q), r"same width, got \[2, 4, 5, 8\], \[2, 4, 5, 7\]"),
        (lambda: flex_attention(Q, T(2, 4, 6, 8), Q), "same heads and length"),
        (lambda: flex_attention(Q, T(2, 2, 5, 8), T(2, 2, 5, 8)), "query has 4 heads, key and value have 2.*enable_gqa=True"),
        (lambda: flex_attention(Q, T(2, 3, 5, 8), T(2, 3, 5, 8), enable_gqa=True), r"heads \(4\) must be a multiple.*\(3\)"),
        (lambda: flex_attention(Q, T(3, 4, 5, 8), T(3, 4, 5, 8)), "batch size, or 1"),
        (lambda: flex_attention(Q[0, 0], Q[0, 0], Q[0, 0]), r"\(batch, heads, length, width\).*\[5, 8\]"),
        (lambda: flex_attention(Q, Q.double(), Q), "same floating-point type, got float32, float64 and float32"),
        (lambda: flex_attention(Q.long(), Q.long(), Q.long()), "floating-point type, got int64"),
        (lambda: flex_attention(Q, Q.numpy(), Q), "key must be a Tensor, got ndarray"),
        (lambda: flex_attention(Q, Q, Q, "causal"), "score_mod must be a function, got str"),
        (lambda: flex_attention(Q, Q, Q, wrong_shape), r"score_mod 'wrong_shape' \(defined at .*test_flex_attention.py:\d+\) "
         r"returned shape \[2, 4, 5\] for a tile of shape \[2, 4, 5, 5\]"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: TABLE[h][q]), r"table\[h, q_idx - kv_idx\] and not"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: q >= k), "returned bool; it must return a floating-point"),
        (lambda: flex_attention(Q, Q, Q, lambda s, b, h, q, k: None), "returned NoneType"),
        (lambda: flex_attention(Q, Q, Q, block_mask=EXAMPLES.causal), "must be a BlockMask, got function.*create_block_mask"),
        (lambda: flex_attention(Q, Q, Q, block_mask=create_block_mask(noop_mask, None, None, 9, 9)),
         r"made for lengths \(9, 9\), query and key have \(5, 5\).*_adjust"),
        (lambda: flex_attention(Q, Q, Q, block_mask=SMALL), "made for 3 batches, query has 2"),
        (lambda: flex_attention(T(3, 4, 5, 8), T(3, 4, 5, 8), T(3, 4, 5, 8), block_mask=SMALL), "made for 2 heads, query has 4"),
        (lambda: flex_attention(Q, Q, Q, block_mask=create_block_mask(noop_mask, 2, 4, 5, 5, BLOCK_SIZE=2)[0]), "made by indexing another"),
        (lambda: flex_attention(Q, Q, Q, return_lse=True, return_aux=AuxRequest()), "return_lse or return_aux, not both"),
        (lambda: create_block_mask(float_mask, None, None, 5, 5), r"mask_mod 'float_mask' \(defined at .*py:\d+\) returned float32"),
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
    assert "test_flex_attention.py:" in str(caught.value)


def test_error_in_the_users_function_names_its_line() -> None:
    def mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + TABLE[h, q_idx + 40]

    with pytest.raises(IndexError, match="test_flex_attention.py"):
        flex_attention(Q, Q, Q, mod)


def test_captured_tensor_used_for_some_positions_only() -> None:
    late = leaf(1)
    q, k, v = operands(1, 1, 1, 300, 300)

    def mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return score + late if int(q_idx.max()) > 200 else score

    with pytest.raises(pp.AutogradError, match="for some positions only.*pp.where"):
        flex_attention(q, k, v, mod).sum().backward()


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


def test_large_masks_are_looked_at_in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    from pappus.frontend.flex_attention import classify

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return (q_idx * 7 + kv_idx * 3 + h * 5 + b) % 11 > 2 + q_idx // 9

    whole = create_block_mask(mask_mod, 3, 2, 53, 61, BLOCK_SIZE=(6, 4)).kinds()
    for chunk in (1, 40, 500):
        monkeypatch.setattr(classify, "_CHUNK", chunk)
        np.testing.assert_array_equal(create_block_mask(mask_mod, 3, 2, 53, 61, BLOCK_SIZE=(6, 4)).kinds(), whole)


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
    assert many.to_string().count("░░") == 4 and "limit=N" in many.to_string() and many.to_string(limit=6).count("░░") == 6
    assert "mask_mod=causal" in repr(many) and "kv_indices=pappus.Size([3, 2, 1, 1])" in repr(many)


def test_index_and_adjust() -> None:
    mask = create_block_mask(lambda b, h, q, k: q >= k + 16 * b, 2, None, 64, 64, BLOCK_SIZE=16)
    part = mask[1]
    assert part.kv_num_blocks.shape == (1, 1, 4) and part.kv_num_blocks.tolist() == mask[-1].kv_num_blocks.tolist()
    assert mask[:, 0, pp.tensor([2])].kv_indices.shape == (2, 1, 1, 4)
    part.mask_mod = lambda b, h, q, k: q >= k + 16
    q, k, v = operands(1, 2, 2, 64, 64)
    expected, _ = reference(q, k, v, None, part.mask_mod)
    np.testing.assert_allclose(flex_attention(q, k, v, None, part).detach().numpy(), expected.detach().numpy(), atol=1e-12)
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


# -- the outside world ----------------------------------------------------------------------------


def test_module_can_be_called() -> None:
    q, k, v = operands()
    expected = flex_attention(q, k, v).detach().numpy()
    np.testing.assert_array_equal(pp.nn.attention.flex_attention(q, k, v).detach().numpy(), expected)
    assert pp.nn.attention.flex_attention.flex_attention is flex_attention


def test_examples_run(capsys: pytest.CaptureFixture[str]) -> None:
    EXAMPLES.draw()
    assert EXAMPLES.learn() < 0.05
    EXAMPLES.long(1000, 2, 8)
    text = capsys.readouterr().out
    assert "most weight at distance 3" in text and "░░" in text and "% of the blocks empty" in text


@pytest.mark.parametrize("name", [n for n in MASKS if n != "documents"])
def test_against_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    from torch._higher_order_ops.flex_attention import math_attention
    from torch.nn.attention import flex_attention as theirs

    translated = {
        "causal": lambda b, h, q, k: q >= k,
        "window": lambda b, h, q, k: (q >= k) & (q - k < 9),
        "prefix": lambda b, h, q, k: (k < 11) | (q >= k),
        "nothing": lambda b, h, q, k: q < 0,
        "everything": theirs.noop_mask,
        "some rows see nothing": lambda b, h, q, k: (q % 3 > 0) & (k > 2),
    }[name]
    q, k, v = operands(2, 4, 2, 48, 32, dtype=pp.float32)
    slopes = [0.5, 0.25, 0.125, 0.0625]
    tensor_slopes, torch_slopes = pp.tensor(slopes), torch.tensor(slopes)
    ours_mask = create_block_mask(MASKS[name], None, None, 48, 32, BLOCK_SIZE=16)
    torch_mask = theirs.create_block_mask(translated, None, None, 48, 32, device="cpu", BLOCK_SIZE=16)
    for field in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks", "full_q_num_blocks"):
        np.testing.assert_array_equal(getattr(ours_mask, field).numpy(), getattr(torch_mask, field).numpy())
    assert ours_mask.shape == torch_mask.shape and ours_mask.sparsity() == pytest.approx(torch_mask.sparsity())
    np.testing.assert_array_equal(ours_mask.to_dense().numpy(), torch_mask.to_dense().numpy())
    out, lse = flex_attention(
        q, k, v, EXAMPLES.alibi(tensor_slopes), ours_mask, enable_gqa=True, return_lse=True
    )
    tq, tk, tv = (torch.from_numpy(t.detach().numpy()) for t in (q, k, v))
    # torch's eager path, which flex_attention itself reaches through torch.compile only.
    expected, expected_lse, _ = math_attention(
        tq, tk, tv, lambda s, b, h, i, j: s - torch_slopes[h] * (i - j).abs(), torch_mask.as_tuple(), 8**-0.5, {}
    )
    np.testing.assert_allclose(out.detach().numpy(), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(lse.detach().numpy(), expected_lse.numpy() * math.log(2), atol=1e-5)
