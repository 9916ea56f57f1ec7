"""Whole training runs: equal to torch's from the same weights, and repeatable bit for bit under one seed."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp
from pappus import nn
from pappus.nn import functional as F
from pappus.utils.data import DataLoader, TensorDataset

STEPS = 30


def mlp(nn):
    return nn.Sequential(nn.Linear(6, 16), nn.Tanh(), nn.LayerNorm(16), nn.Linear(16, 16), nn.GELU(), nn.Linear(16, 3))


def cnn(nn):
    # No biases before batch norm: their gradients are rounding errors, which Adam blows up to whole steps.
    return nn.Sequential(
        nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, groups=2, bias=False), nn.BatchNorm2d(8), nn.SiLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip


def transformer(nn):
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.0, batch_first=True, norm_first=True)
    encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
    return nn.Sequential(nn.Embedding(11, 8), encoder, nn.Linear(8, 11))


def batches(kind, dtype):
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        if kind is mlp:
            x = rng.normal(size=(10, 6)).astype(dtype)
            yield x, x[:, :3].argmax(1)
        elif kind is cnn:
            x = rng.normal(size=(9, 2, 8, 6)).astype(dtype)
            means = x.mean((2, 3)) > 0
            yield x + means[:, :, None, None].astype(dtype), means[:, 0] * 2 + means[:, 1] * 1
        else:
            x = rng.integers(0, 11, (4, 7))
            yield x, (x * 3 + 1) % 11


OPTIMIZERS = {
    "SGD": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 1e-3}),
    "AdamW": ("AdamW", {"lr": 0.01}),
}


def train(torch, kind, optimizer, dtype, model):
    """The losses of STEPS steps with a schedule and clipped gradients, written once for both libraries."""
    convert = torch.from_numpy if hasattr(torch, "from_numpy") else torch.tensor
    name, options = OPTIMIZERS[optimizer]
    opt = getattr(torch.optim, name)(model.parameters(), **options)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(opt, STEPS)
    losses = []
    model.train()
    for x, y in batches(kind, dtype):
        opt.zero_grad()
        out = model(convert(x))
        out = out.reshape(-1, out.shape[-1])
        loss = torch.nn.functional.cross_entropy(out, convert(y).reshape(-1), label_smoothing=0.1)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 2.0)
        opt.step()
        schedule.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-10), ("float32", 1e-5)])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("kind", [mlp, cnn, transformer])
def test_the_loss_curve_is_torchs(kind, optimizer, dtype, tolerance):
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    theirs, ours = kind(torch.nn).to(getattr(torch, dtype)), kind(nn).to(getattr(pp, dtype))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    expected, found = (train(m, kind, optimizer, dtype, model) for m, model in ((torch, theirs), (pp, ours)))
    assert found == pytest.approx(expected, rel=tolerance, abs=tolerance)
    assert found[-1] < found[0]
    # and so do the trained models in evaluation
    theirs.eval()
    ours.eval()
    x, _ = next(batches(kind, dtype))
    with torch.no_grad(), pp.no_grad():
        a, b = theirs(torch.from_numpy(x)).numpy(), ours(pp.tensor(x)).numpy()
    np.testing.assert_allclose(b, a, rtol=tolerance * 100, atol=tolerance * 100)


def run(seed, workers=0):
    """A run with everything that draws random numbers: first values, shuffling, dropout, noise."""
    pp.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Dropout2d(0.2), nn.Flatten(), nn.Dropout(0.3),
        nn.Linear(4 * 25, 3),
    )  # fmt: skip
    images = pp.randn(40, 1, 5, 5)
    loader = DataLoader(TensorDataset(images, pp.arange(40) % 3), 8, shuffle=True, num_workers=workers)
    opt = pp.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(3):
        for x, y in loader:
            opt.zero_grad()
            loss = F.cross_entropy(model(x + 0.1 * pp.randn_like(x)), y)
            loss.backward()
            opt.step()
            losses.append(loss.item())
    return losses, {k: v.numpy().tobytes() for k, v in model.state_dict().items()}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_run_repeats_bit_for_bit(workers):
    first, second, other = run(7, workers), run(7, workers), run(8, workers)
    assert first == second
    assert first[0] != other[0] and first[1] != other[1]


def test_gradient_accumulation_equals_one_large_batch():
    pp.manual_seed(0)
    model = nn.Linear(4, 2).double()
    x, y = pp.randn(12, 4, dtype=pp.float64), pp.randn(12, 2, dtype=pp.float64)
    F.mse_loss(model(x), y).backward()
    whole = model.weight.grad.clone()
    model.zero_grad()
    for i in range(0, 12, 3):
        (F.mse_loss(model(x[i : i + 3]), y[i : i + 3]) / 4).backward()
    np.testing.assert_allclose(model.weight.grad.numpy(), whole.numpy(), rtol=1e-12)


def test_frozen_layers_do_not_move():
    pp.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 1))
    model[0].requires_grad_(False)
    before = [p.detach().clone() for p in model.parameters()]
    opt = pp.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.1)
    for _ in range(3):
        opt.zero_grad()
        model(pp.randn(5, 3)).square().mean().backward()
        opt.step()
    assert [pp.equal(a, b) for a, b in zip(before, model.parameters(), strict=True)] == [True, True, False, False]


def test_tied_weights_are_one_parameter():
    pp.manual_seed(0)
    model = nn.Sequential(nn.Embedding(7, 5), nn.Linear(5, 7, bias=False))
    model[1].weight = model[0].weight
    assert len(list(model.parameters())) == 1
    opt = pp.optim.SGD(model.parameters(), lr=0.5)
    tokens = pp.arange(7)
    losses = []
    for _ in range(30):
        opt.zero_grad()
        loss = F.cross_entropy(model(tokens), tokens)
        loss.backward()
        opt.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0] / 10 and model[1].weight is model[0].weight


# -- nn.utils -----------------------------------------------------------------------------------


def layer_with_gradients(module, tensor, seed=0):
    layer = module.nn.Linear(3, 2)
    rng = np.random.default_rng(seed)
    for p in layer.parameters():
        p.grad = tensor(rng.normal(size=tuple(p.shape)).astype(np.float32))
    return layer


@pytest.mark.parametrize("norm", [2.0, 1.0, 3.0, float("inf")])
@pytest.mark.parametrize("limit", [0.5, 100.0])
def test_clip_grad_norm(norm, limit):
    torch = pytest.importorskip("torch")
    theirs, ours = layer_with_gradients(torch, torch.from_numpy), layer_with_gradients(pp, pp.tensor)
    expected = torch.nn.utils.clip_grad_norm_(theirs.parameters(), limit, norm)
    found = nn.utils.clip_grad_norm_(ours.parameters(), limit, norm)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-6)


def test_clip_grad_value_and_errors():
    layer = layer_with_gradients(pp, pp.tensor)
    nn.utils.clip_grad_value_(layer.parameters(), 0.3)
    assert all(float(p.grad.abs().max()) <= np.float32(0.3) for p in layer.parameters())
    layer.weight.grad[0, 0] = float("nan")
    with pytest.raises(RuntimeError, match="total norm"):
        nn.utils.clip_grad_norm_(layer.parameters(), 1.0, error_if_nonfinite=True)
    assert nn.utils.clip_grad_norm_(nn.Linear(2, 2).parameters(), 1.0).item() == 0.0


def test_parameters_as_a_vector():
    layer = nn.Linear(3, 2)
    vector = nn.utils.parameters_to_vector(layer.parameters())
    assert vector.tolist() == [*layer.weight.reshape(-1).tolist(), *layer.bias.tolist()]
    vector.square().sum().backward()
    np.testing.assert_allclose(layer.bias.grad.numpy(), 2 * layer.bias.detach().numpy(), rtol=1e-6)
    nn.utils.vector_to_parameters(pp.arange(8).float(), layer.parameters())
    assert layer.weight.tolist() == [[0, 1, 2], [3, 4, 5]] and layer.bias.tolist() == [6, 7] and layer.bias.is_leaf
    with pytest.raises(ValueError, match="8 elements together"):
        nn.utils.vector_to_parameters(pp.zeros(9), layer.parameters())
