"""Attention and transformer layers against torch, from the same weights."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")
EMBED, HEADS, LENGTH, KEYS, BATCH = 8, 2, 5, 7, 3


def both(make):
    """A torch module and ours, with the same random parameters, in float64."""
    theirs, ours = make(torch.nn).double(), make(pp.nn).double()
    assert list(ours.state_dict()) == list(theirs.state_dict())
    with torch.no_grad():
        for i, tensor in enumerate(theirs.parameters()):
            tensor.copy_(torch.from_numpy(np.random.default_rng(i).normal(size=tensor.shape) * 0.5))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return theirs, ours


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def close(ours, theirs):
    found, expected = ours.detach().numpy(), theirs.detach().numpy()
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-10)


def compare(theirs, ours, arrays, masks=None, **options):
    """Run both modules on `arrays` and compare outputs and all gradients."""
    masks = masks or {}
    xs = [torch.from_numpy(a).requires_grad_() for a in arrays]
    ys = [pp.tensor(a, requires_grad=True) for a in arrays]
    expected = theirs(*xs, **{k: torch.from_numpy(m) for k, m in masks.items()}, **options)
    found = ours(*ys, **{k: pp.tensor(m) for k, m in masks.items()}, **options)
    pairs = list(zip(found, expected, strict=True)) if isinstance(expected, tuple) else [(found, expected)]
    loss, cost = 0, 0
    for q, p in pairs:
        if p is None:
            assert q is None
            continue
        close(q, p)
        weight = normal(*p.shape, seed=9)
        loss, cost = loss + (q * pp.tensor(weight)).sum(), cost + (p * torch.from_numpy(weight)).sum()
    loss.backward()
    cost.backward()
    for x, y in zip(xs, ys, strict=True):
        close(y.grad, x.grad)
    for (name, p), (_, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None:
            close(q.grad, p.grad)


def inputs(batch_first):
    """Query, key and value."""
    shapes = [(LENGTH, BATCH, EMBED), (KEYS, BATCH, EMBED), (KEYS, BATCH, EMBED)]
    return [normal(*((s[1], s[0], s[2]) if batch_first else s), seed=i) for i, s in enumerate(shapes)]


BLOCKED = normal(LENGTH, KEYS, seed=5) > 0.8
PADDING = np.arange(KEYS) >= np.array([[7], [4], [6]])
MASKS = {
    "none": {},
    "bool": {"attn_mask": BLOCKED},
    "float": {"attn_mask": normal(LENGTH, KEYS, seed=6)},
    "per head": {"attn_mask": normal(BATCH * HEADS, LENGTH, KEYS, seed=7)},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": BLOCKED, "key_padding_mask": PADDING},
}


@pytest.mark.parametrize("masks", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("need_weights, average", [(True, True), (True, False), (False, True)])
@pytest.mark.parametrize("batch_first", [True, False])
def test_attention(batch_first, need_weights, average, masks):
    theirs, ours = both(lambda nn: nn.MultiheadAttention(EMBED, HEADS, batch_first=batch_first))
    compare(theirs, ours, inputs(batch_first), masks, need_weights=need_weights, average_attn_weights=average)


@pytest.mark.parametrize(
    "options",
    [{"bias": False}, {"add_bias_kv": True}, {"add_zero_attn": True}, {"add_bias_kv": True, "add_zero_attn": True}],
    ids=str,
)
@pytest.mark.parametrize("masks", [MASKS["none"], MASKS["both"]], ids=["none", "both"])
def test_attention_options(options, masks):
    theirs, ours = both(lambda nn: nn.MultiheadAttention(EMBED, HEADS, batch_first=True, **options))
    compare(theirs, ours, inputs(True), masks)


def test_attention_with_other_widths():
    theirs, ours = both(lambda nn: nn.MultiheadAttention(EMBED, HEADS, kdim=3, vdim=4, batch_first=True))
    compare(theirs, ours, [normal(BATCH, LENGTH, EMBED), normal(BATCH, KEYS, 3), normal(BATCH, KEYS, 4)])


def test_attention_to_itself_without_a_batch():
    theirs, ours = both(lambda nn: nn.MultiheadAttention(EMBED, HEADS))
    x = normal(LENGTH, EMBED)
    p, q = torch.from_numpy(x).requires_grad_(), pp.tensor(x, requires_grad=True)
    mask = np.array([False, False, False, True, True])
    expected = theirs(p, p, p, key_padding_mask=torch.from_numpy(mask))
    found = ours(q, q, q, key_padding_mask=pp.tensor(mask))
    for a, b in zip(found, expected, strict=True):
        close(a, b)
    expected[0].sum().backward()
    found[0].sum().backward()
    close(q.grad, p.grad)


def test_attention_dropout_is_for_training():
    pp.manual_seed(0)
    layer = pp.nn.MultiheadAttention(EMBED, HEADS, dropout=0.5, batch_first=True)
    x = pp.randn(BATCH, LENGTH, EMBED)
    for need_weights in (True, False):
        first, second = (layer.train()(x, x, x, need_weights=need_weights)[0] for _ in range(2))
        assert not pp.equal(first, second)
        first, second = (layer.eval()(x, x, x, need_weights=need_weights)[0] for _ in range(2))
        assert pp.equal(first, second)


def test_attention_refuses_wrong_calls():
    layer = pp.nn.MultiheadAttention(EMBED, HEADS)
    x = pp.zeros(LENGTH, BATCH, EMBED)
    with pytest.raises(ValueError, match="is_causal"):
        layer(x, x, x, is_causal=True)
    with pytest.raises(ValueError, match="all be 2D"):
        layer(x, x, x[0])
    with pytest.raises(ValueError, match="attn_mask"):
        layer(x, x, x, attn_mask=pp.zeros(LENGTH))


def options_of(**more):
    return {"dim_feedforward": 16, "dropout": 0.0, "batch_first": True, **more}


@pytest.mark.parametrize(
    "more", [{}, {"norm_first": True}, {"activation": "gelu", "bias": False}, {"batch_first": False}], ids=str
)
@pytest.mark.parametrize("masked", [False, True])
def test_encoder_layer(more, masked):
    options = options_of(**more)
    theirs, ours = both(lambda nn: nn.TransformerEncoderLayer(EMBED, HEADS, **options))
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    x = normal(BATCH, KEYS, EMBED) if options["batch_first"] else normal(KEYS, BATCH, EMBED)
    masks = {"src_mask": np.triu(np.ones((KEYS, KEYS), bool), 1), "src_key_padding_mask": PADDING} if masked else {}
    compare(theirs, ours, [x], masks)


@pytest.mark.parametrize("more", [{}, {"norm_first": True}, {"batch_first": False}], ids=str)
def test_decoder_layer(more):
    options = options_of(**more)
    theirs, ours = both(lambda nn: nn.TransformerDecoderLayer(EMBED, HEADS, **options))
    assert repr(ours) == repr(theirs).replace("NonDynamicallyQuantizableLinear", "Linear")
    x, memory = normal(BATCH, LENGTH, EMBED), normal(BATCH, KEYS, EMBED, seed=1)
    if not options["batch_first"]:
        x, memory = x.swapaxes(0, 1).copy(), memory.swapaxes(0, 1).copy()
    causal = np.triu(np.full((LENGTH, LENGTH), -np.inf), 1)
    compare(theirs, ours, [x, memory], {"tgt_mask": causal, "memory_key_padding_mask": PADDING})


def test_encoder_stack():
    def make(nn):
        return nn.TransformerEncoder(nn.TransformerEncoderLayer(EMBED, HEADS, **options_of()), 2, nn.LayerNorm(EMBED))

    theirs, ours = both(make)
    compare(theirs, ours, [normal(BATCH, KEYS, EMBED)], {"src_key_padding_mask": PADDING})
    layers = pp.nn.TransformerEncoder(pp.nn.TransformerEncoderLayer(EMBED, HEADS), 2).layers
    assert layers[0].linear1.weight is not layers[1].linear1.weight


def test_transformer():
    theirs, ours = both(lambda nn: nn.Transformer(EMBED, HEADS, 2, 2, **options_of()))
    mask = np.array(pp.nn.Transformer.generate_square_subsequent_mask(LENGTH, dtype=pp.float64).numpy())
    expected = torch.nn.Transformer.generate_square_subsequent_mask(LENGTH)
    np.testing.assert_array_equal(mask.astype(np.float32), expected.numpy())
    compare(theirs, ours, [normal(BATCH, KEYS, EMBED), normal(BATCH, LENGTH, EMBED, seed=1)], {"tgt_mask": mask})


@pytest.mark.parametrize("need_weights", [True, False])
def test_attention_is_captured_for_any_batch_and_length(need_weights):
    class Block(pp.nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = pp.nn.MultiheadAttention(EMBED, HEADS, batch_first=True)

        def forward(self, x, padding):
            return self.attention(x, x, x, key_padding_mask=padding, need_weights=need_weights)[0]

    n, t = pp.export.Dim("n"), pp.export.Dim("t")
    example = (pp.randn(2, 5, EMBED), pp.tensor(np.arange(5) >= np.array([[5], [3]])))
    program = pp.export.export(Block().eval(), example, dynamic_shapes={"x": {0: n, 1: t}, "padding": {0: n, 1: t}})
    assert not program.graph.guards
    ops = {node.op for node in program.graph.nodes}
    assert ("scaled_dot_product_attention" in ops) == (not need_weights)


def test_a_transformer_runs_in_c_for_any_batch_and_length(tmp_path):
    pp.manual_seed(0)
    model = pp.nn.Transformer(EMBED, HEADS, 1, 1, 16, batch_first=True).eval()
    n, s, t = (pp.export.Dim(name) for name in "nst")
    example = (pp.randn(2, 5, EMBED), pp.randn(2, 4, EMBED))
    program = pp.export.export(model, example, dynamic_shapes={"src": {0: n, 1: s}, "tgt": {0: n, 1: t}})
    pp.export.lower(program).save(str(tmp_path / "model.pap"))
    session = pp.runtime.load(str(tmp_path / "model.pap"))
    for batch, source, target in ((2, 5, 4), (1, 1, 1), (3, 7, 2)):
        xs = (pp.randn(batch, source, EMBED), pp.randn(batch, target, EMBED))
        found = session(*(x.numpy() for x in xs))
        found = found[0] if isinstance(found, (tuple, list)) else found
        np.testing.assert_allclose(found, model(*xs).detach().numpy(), rtol=1e-4, atol=1e-5)
