"""RNN, LSTM, GRU, their cells and packed sequences, against torch from the same weights."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import pappus as pp
from pappus.nn.utils import rnn

torch = pytest.importorskip("torch")
trnn = torch.nn.utils.rnn


def layers(kind, *args, **options):
    """A layer of torch in float64, and ours with its weights."""
    theirs = getattr(torch.nn, kind)(*args, **options).double()
    ours = getattr(pp.nn, kind)(*args, **options).double()
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    return theirs, ours


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def flat(value):
    """The tensors of a nested result."""
    if isinstance(value, (tuple, list)):
        return [t for part in value for t in flat(part)]
    return [] if value is None else [value]


def close(found, expected):
    assert tuple(found.shape) == tuple(expected.shape)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-11)


def compare(theirs, ours, arrays, wrap=lambda library, x: x):
    """Results, gradients of the inputs (input and states) and of the weights."""
    xs = [torch.tensor(a, requires_grad=True) for a in arrays]
    ys = [pp.tensor(a, requires_grad=True) for a in arrays]
    for module in (theirs, ours):
        module.zero_grad()

    def run(module, values, library):
        first, *states = values
        state = () if not states else (tuple(states) if len(states) == 2 else states[0],)
        out = module(wrap(library, first), *state)
        return [t for t in flat(out) if "int" not in str(t.dtype)]

    expected, found = run(theirs, xs, torch), run(ours, ys, pp)
    assert len(expected) == len(found)
    for a, b in zip(expected, found, strict=True):
        close(b, a)
    seeds = [normal(*t.shape, seed=30 + i) for i, t in enumerate(expected)]
    torch.autograd.backward(expected, [torch.from_numpy(s) for s in seeds])
    pp.autograd.backward(found, [pp.tensor(s) for s in seeds])
    for a, b in zip([*xs, *theirs.parameters()], [*ys, *ours.parameters()], strict=True):
        close(b.grad, a.grad)


KINDS = ["RNN", "GRU", "LSTM"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first, bidirectional, bias", list(itertools.product((False, True), repeat=3)))
def test_layer(kind, batch_first, bidirectional, bias):
    options = {"num_layers": 2, "batch_first": batch_first, "bidirectional": bidirectional, "bias": bias}
    theirs, ours = layers(kind, 3, 5, **options)
    compare(theirs, ours, [normal(4, 6, 3)])
    shape = (4 if bidirectional else 2, 4 if batch_first else 6, 5)
    states = [normal(*shape, seed=i) for i in range(1 + (kind == "LSTM"))]
    compare(theirs, ours, [normal(4, 6, 3), *states])
    compare(theirs, ours, [normal(4, 3), *(s[:, 0] for s in states)])  # without a batch


def test_relu_and_projection():
    compare(*layers("RNN", 3, 5, nonlinearity="relu", bidirectional=True), [normal(4, 2, 3)])
    projected = layers("LSTM", 3, 5, num_layers=2, proj_size=2, bidirectional=True)
    compare(*projected, [normal(4, 2, 3), normal(4, 2, 2, seed=1), normal(4, 2, 5, seed=2)])


@pytest.mark.parametrize("kind", KINDS)
def test_cell(kind):
    for bias in (True, False):
        theirs, ours = layers(f"{kind}Cell", 3, 5, bias=bias)
        states = [normal(4, 5, seed=i) for i in range(1 + (kind == "LSTM"))]
        compare(theirs, ours, [normal(4, 3), *states])
        compare(theirs, ours, [normal(3), *(s[0] for s in states)])
        compare(theirs, ours, [normal(4, 3)])


def test_a_cell_with_relu():
    compare(*layers("RNNCell", 3, 5, nonlinearity="relu"), [normal(4, 3), normal(4, 5, seed=1)])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths, ordered", [([5, 3, 3, 1], True), ([2, 5, 1, 4], False), ([3, 3], True)])
def test_packed(kind, bidirectional, lengths, ordered):
    theirs, ours = layers(kind, 3, 4, num_layers=2, bidirectional=bidirectional)

    def wrap(library, x):
        return (trnn if library is torch else rnn).pack_padded_sequence(x, lengths, enforce_sorted=ordered)

    compare(theirs, ours, [normal(5, len(lengths), 3)], wrap)
    states = [normal(4 if bidirectional else 2, len(lengths), 4, seed=i) for i in range(1 + (kind == "LSTM"))]
    compare(theirs, ours, [normal(5, len(lengths), 3), *states], wrap)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("total, fill", [(None, 0.0), (7, -1.5)])
def test_packing_and_padding(batch_first, total, fill):
    x, lengths = normal(3, 5, 2), [2, 5, 1]
    a = torch.tensor(x if batch_first else x.swapaxes(0, 1).copy())
    b = pp.tensor(a.numpy())
    one = trnn.pack_padded_sequence(a, lengths, batch_first, enforce_sorted=False)
    other = rnn.pack_padded_sequence(b, lengths, batch_first, enforce_sorted=False)
    for p, q in zip(one, other, strict=True):
        close(q, p)
    expected = trnn.pad_packed_sequence(one, batch_first, fill, total)
    for p, q in zip(expected, rnn.pad_packed_sequence(other, batch_first, fill, total), strict=True):
        close(q, p)
    for p, q in zip(trnn.unpack_sequence(one), rnn.unpack_sequence(other), strict=True):
        close(q, p)
    assert other.double().data.dtype is pp.float64 and other.cpu() is other and not other.is_cuda


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("side", ["left", "right"])
def test_pad_sequence(batch_first, side):
    arrays = [normal(n, 2, seed=n) for n in (3, 5, 0, 1)]
    expected = trnn.pad_sequence([torch.tensor(a) for a in arrays], batch_first, 7.0, side)
    found = rnn.pad_sequence([pp.tensor(a) for a in arrays], batch_first, 7.0, side)
    close(found, expected)
    if side == "right":
        for a, b in zip(arrays, rnn.unpad_sequence(found, [3, 5, 0, 1], batch_first), strict=True):
            assert np.array_equal(a, b.numpy())
    packed = rnn.pack_sequence([pp.tensor(a) for a in arrays if len(a)], enforce_sorted=False)
    close(packed.data, trnn.pack_sequence([torch.tensor(a) for a in arrays if len(a)], enforce_sorted=False).data)


@pytest.mark.parametrize("kind", KINDS)
def test_gradients_of_gradients(kind):
    theirs, ours = layers(kind, 2, 3)
    x, y = torch.tensor(normal(4, 2, 2), requires_grad=True), pp.tensor(normal(4, 2, 2), requires_grad=True)
    (first,) = torch.autograd.grad(theirs(x)[0].pow(2).sum(), x, create_graph=True)
    (own,) = pp.autograd.grad(ours(y)[0].pow(2).sum(), y, create_graph=True)
    first.pow(2).sum().backward()
    own.pow(2).sum().backward()
    close(y.grad, x.grad)
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        close(q.grad, p.grad)


def test_dropout_acts_between_layers_in_training_only():
    lstm = pp.nn.LSTM(3, 64, num_layers=2, dropout=1.0)
    x = pp.randn(5, 2, 3)
    dropped = lstm(x)[0]
    for name, weight in lstm.named_parameters():
        if name == "weight_ih_l1":  # of what was dropped
            pp.nn.init.zeros_(weight)
    assert np.array_equal(lstm(x)[0].detach().numpy(), dropped.detach().numpy())
    with pytest.warns(UserWarning, match="num_layers above 1") as caught:
        pp.nn.GRU(3, 4, dropout=0.5)
    assert caught[0].filename == __file__


def test_half_precision_runs_in_float32_inside():
    lstm = pp.nn.LSTM(3, 4)
    x = pp.randn(6, 2, 3)
    wide = lstm(x)[0]
    short = lstm.bfloat16()(x.bfloat16())[0]
    assert short.dtype is pp.bfloat16
    np.testing.assert_allclose(short.float().detach().numpy(), wide.detach().numpy(), atol=2e-2)


@pytest.mark.parametrize("kind", KINDS)
def test_a_layer_runs_in_c_for_any_batch(kind, tmp_path):
    layer = getattr(pp.nn, kind)(3, 4, num_layers=2, bidirectional=True, batch_first=True).eval()
    x = pp.randn(2, 5, 3)
    program = pp.export.export(lambda x: layer(x)[0], (x,), dynamic_shapes=[{0: pp.export.Dim("n")}])
    assert not program.graph.guards
    session = pp.runtime.load(pp.export.lower(program).to_bytes())
    for batch in (1, 3):
        x = pp.randn(batch, 5, 3)
        found = session(x.numpy())
        np.testing.assert_allclose(np.asarray(found).reshape(batch, 5, 8), layer(x)[0].detach().numpy(), atol=1e-5)


def test_a_dynamic_length_is_refused_on_a_device_with_the_line():
    layer = pp.nn.GRU(3, 4).eval()
    program = pp.export.export(lambda x: layer(x)[0], (pp.randn(5, 2, 3),), dynamic_shapes=[{0: pp.export.Dim("t")}])
    with pytest.raises(pp.export.UnsupportedOperators, match=r"recurrent\.py:\d+|test_nn_recurrent\.py:\d+"):
        pp.export.lower(program)


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda: pp.nn.LSTM(3, 4)(pp.zeros(5, 2, 4)), r"input_size. Expected 3, got 4"),
        (lambda: pp.nn.LSTM(3, 4)(pp.zeros(5)), "expected 2D"),
        (lambda: pp.nn.LSTM(3, 4)(pp.zeros(5, 2, 3), (pp.zeros(1, 2, 4), pp.zeros(1, 2, 5))), r"hidden\[1\] size"),
        (lambda: pp.nn.GRU(3, 4)(pp.zeros(5, 2, 3), pp.zeros(2, 2, 4)), r"Expected hidden size \(1, 2, 4\)"),
        (lambda: pp.nn.GRUCell(3, 4)(pp.zeros(2, 4)), "input_size 3"),
        (lambda: pp.nn.GRUCell(3, 4)(pp.zeros(2, 3), pp.zeros(2, 5)), "hidden_size 4"),
        (lambda: pp.nn.LSTM(3, 4, proj_size=4), "below hidden_size"),
        (lambda: pp.nn.RNN(3, 4, nonlinearity="sigmoid"), "Unknown nonlinearity"),
        (lambda: pp.nn.RNN(3, 0), "greater than zero"), (lambda: pp.nn.RNN(3, 4, dropout=2), r"range \[0, 1\]"),
        (lambda: rnn.pack_padded_sequence(pp.zeros(3, 2), [1, 2]), "enforce_sorted=False"),
        (lambda: rnn.pack_padded_sequence(pp.zeros(3, 2), [4, 2]), "more than the 3 steps"),
        (lambda: rnn.pack_padded_sequence(pp.zeros(3, 2), [2, 0]), "above 0"),
        (lambda: rnn.pack_padded_sequence(pp.zeros(3, 2), [2]), "each of the 2 sequences"),
        (lambda: rnn.pad_packed_sequence(rnn.pack_sequence([pp.zeros(3)]), total_length=2), "less than the longest"),
        (lambda: rnn.pad_sequence([pp.zeros(2)], padding_side="top"), "'right' or 'left'"),
    ],
)  # fmt: skip
def test_wrong_calls_are_refused(run, message):
    with pytest.raises((ValueError, RuntimeError), match=message):
        run()
