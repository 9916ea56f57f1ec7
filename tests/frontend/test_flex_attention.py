"""FlexAttention against the same attention written densely in plain operators, and against torch."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from flex_reference import EXAMPLES, MASKS, ROOT, agree, compare, leaf, operands, reference, values_and_grads
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pappus as pp
from pappus.frontend.flex_attention import tiles
from pappus.nn.attention.flex_attention import (
    AuxRequest,
    create_block_mask,
    flex_attention,
)

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
    mask = create_block_mask(lambda b, h, q, k: (q >= k - 1) & (q != 2), None, None, 5, 6, BLOCK_SIZE=2)

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
    _, lse = flex_attention(q.detach(), k.detach(), v.detach(), EXAMPLES.alibi(slopes), return_lse=True)
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
    _, aux = flex_attention(q, k, v, return_aux=AuxRequest(lse=True, max_scores=True))
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
import sys
import pappus as pp
from pappus.nn.attention.flex_attention import create_block_mask, flex_attention

n = int(sys.argv[1])
mask = create_block_mask(lambda b, h, q, k: (q >= k) & (q - k < 256), None, None, n, n)
q, k, v = (pp.randn(1, 2, n, 32, requires_grad=True) for _ in range(3))
table = pp.zeros(2, 256, requires_grad=True)
out = flex_attention(q, k, v, lambda s, b, h, i, j: s + table[h, (i - j).clamp(0, 255)], mask)
out.sum().backward()
assert table.grad is not None
# Not ru_maxrss: that of a child begins with its parent's.
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def peak(length: int) -> float:
    """MB that a process needs for forward and backward."""
    done = subprocess.run([sys.executable, "-c", _MEMORY, str(length)], capture_output=True, text=True, check=True)
    return int(done.stdout) / 1024


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_linear_in_the_length() -> None:
    small, middle, large = peak(256), peak(4096), peak(16384)
    # Measured: 45, 54 and 84 MB, about 40 of them Python and its libraries.
    assert large < 150, f"16k x 16k with a window of 256 needs {large:.0f} MB; one matrix of scores alone is 2048 MB"
    # Linear growth is by a factor of 4.2, quadratic by 16.
    assert large - small < 7 * (middle - small) + 4, (small, middle, large)


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
def test_against_torch(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
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
    for field in ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks"):
        np.testing.assert_array_equal(getattr(ours_mask, field).numpy(), getattr(torch_mask, field).numpy())
    assert ours_mask.shape == torch_mask.shape and ours_mask.sparsity() == pytest.approx(torch_mask.sparsity())
    np.testing.assert_array_equal(ours_mask.to_dense().numpy(), torch_mask.to_dense().numpy())
    out, lse = flex_attention(
        q, k, v, EXAMPLES.alibi(tensor_slopes), ours_mask, enable_gqa=True, return_lse=True
    )
    tq, tk, tv = (torch.from_numpy(t.detach().numpy()) for t in (q, k, v))
    monkeypatch.setattr(theirs, "_FLEX_ATTENTION_DISABLE_COMPILE_DEBUG", True)  # else it compiles
    expected, aux = theirs.flex_attention(
        tq, tk, tv, lambda s, b, h, i, j: s - torch_slopes[h] * (i - j).abs(), torch_mask, enable_gqa=True,
        return_aux=theirs.AuxRequest(lse=True),
    )
    np.testing.assert_allclose(out.detach().numpy(), expected.numpy(), atol=1e-5)
    np.testing.assert_allclose(lse.detach().numpy(), aux.lse.numpy(), atol=1e-5)


def test_code_of_the_documentation(capsys: pytest.CaptureFixture[str]) -> None:
    text = (ROOT / "docs" / "flex-attention.md").read_text()
    for code in re.findall(r"```python\n(.*?)```", text, re.S):
        exec(compile(code, "flex-attention.md", "exec"), {})
    assert "██░░" in capsys.readouterr().out


def test_names_of_kernels() -> None:
    from pappus.nn.attention import SDPBackend, sdpa_kernel

    q, k, v = operands()
    plain = flex_attention(q, k, v)
    with sdpa_kernel([SDPBackend.MATH, SDPBackend.FLASH_ATTENTION], set_priority=True):
        np.testing.assert_array_equal(plain.detach().numpy(), flex_attention(q, k, v).detach().numpy())
    with pytest.raises(pp.PappusError, match="needs one SDPBackend or several, got 'flash'"), sdpa_kernel("flash"):
        pass
    torch = pytest.importorskip("torch")
    for name, value in torch.nn.attention.SDPBackend.__members__.items():
        assert int(SDPBackend[name]) == int(value.value)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_any_sizes(data: Any) -> None:
    """Sizes, blocks, head groups, tile sizes and masks drawn at random, with a learned table."""
    draw = data.draw
    b, hkv, shared = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 3))
    q_len, kv_len = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    q, k, v = operands(b, hkv * shared, hkv, q_len, kv_len, draw(st.integers(1, 9)), draw(st.integers(1, 9)))
    table = leaf(hkv * shared, q_len + kv_len)
    shift, width, step = draw(st.integers(-5, 80)), draw(st.integers(1, 80)), draw(st.integers(2, 9))
    per_batch, per_head = draw(st.booleans()), draw(st.booleans())

    def mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        moved = q_idx + shift + (3 * b if per_batch else 0) - (2 * h if per_head else 0)
        return (moved >= kv_idx) & (moved - kv_idx < width) & (kv_idx % step != 1)

    def score_mod(score: Any, b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
        return pp.tanh(score) * 2 + table[h, q_idx - kv_idx + kv_len - 1]

    block = (draw(st.integers(1, 40)), draw(st.integers(1, 40)))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiles, "_TILE", draw(st.sampled_from([64, 1000, 1 << 19])))
        patch.setattr(tiles, "_ROWS", draw(st.sampled_from([5, 128])))
        compare(
            q, k, v, score_mod, mask_mod, (table,), block, b if per_batch else None, hkv * shared if per_head else None
        )
