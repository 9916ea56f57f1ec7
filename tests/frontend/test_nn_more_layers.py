"""Layers that choose, draw or wait for their first input: lazy ones, random pools and dropouts, losses with layers."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pappus as pp
import pappus.nn.functional as F

torch = pytest.importorskip("torch")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


# -- lazy layers --------------------------------------------------------------------------------

LAZY = [
    ("LazyLinear", (4,), {}, (2, 3)), ("LazyLinear", (4,), {"bias": False}, (3,)),
    ("LazyConv1d", (4, 3), {}, (2, 2, 7)), ("LazyConv2d", (4, 3), {"groups": 2, "padding": 1}, (2, 6, 4, 5)),
    ("LazyConv3d", (4, 2), {"bias": False}, (1, 2, 3, 3, 3)), ("LazyConvTranspose1d", (4, 3), {}, (2, 2, 7)),
    ("LazyConvTranspose2d", (4, 3), {"groups": 2}, (2, 6, 4, 5)), ("LazyConvTranspose3d", (2, 2), {}, (1, 2, 2, 2, 2)),
    ("LazyBatchNorm1d", (), {}, (4, 3)), ("LazyBatchNorm2d", (), {"affine": False}, (2, 3, 4, 5)),
    ("LazyBatchNorm3d", (), {"track_running_stats": False}, (2, 3, 2, 2, 2)),
    ("LazyInstanceNorm1d", (), {}, (2, 3, 5)), ("LazyInstanceNorm2d", (), {}, (2, 3, 4, 5)),
    ("LazyInstanceNorm3d", (), {}, (2, 3, 2, 2, 2)),
]  # fmt: skip


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name, args, kwargs, shape", LAZY)
def test_a_lazy_layer_becomes_the_plain_one(name, args, kwargs, shape):
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(pp.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    copied = copy.deepcopy(ours).double()
    x = normal(*shape).astype(np.float32)
    theirs(torch.from_numpy(x))
    ours(pp.tensor(x))
    assert type(ours).__name__ == type(theirs).__name__ == name.removeprefix("Lazy")
    assert repr(ours) == repr(theirs) and not ours._pre_hooks
    expected = {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert {k: tuple(v.shape) for k, v in ours.state_dict().items()} == expected
    copied(pp.tensor(x).double())
    assert all(p.dtype is pp.float64 and p.requires_grad for p in copied.parameters())


def test_a_lazy_layer_takes_the_sizes_of_what_it_loads():
    layer = pp.nn.LazyLinear(4)
    weights = pp.nn.Linear(3, 4).state_dict()
    layer.load_state_dict(weights)
    assert np.array_equal(layer(pp.ones(2, 3)).detach().numpy(), F.linear(pp.ones(2, 3), *weights.values()).numpy())
    assert type(layer) is pp.nn.Linear
    with pytest.raises(RuntimeError, match="weight has no shape"):
        pp.nn.Linear(3, 4).load_state_dict(pp.nn.LazyLinear(4).state_dict())


def test_a_parameter_without_a_shape_says_so():
    layer = pp.nn.LazyConv2d(4, 3)
    with pytest.raises(RuntimeError, match="call the module on an example first"):
        layer.weight.shape  # noqa: B018 - the access is what raises
    with pytest.raises(ValueError, match=r"expected 3D or 4D input"):
        layer(pp.zeros(2, 3))
    with pytest.raises(ValueError, match="divisible by groups, got 3 and 2"):
        pp.nn.LazyConv2d(4, 3, groups=2)(pp.zeros(1, 3, 4, 4))


# -- random ones --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["AlphaDropout", "FeatureAlphaDropout"])
def test_alpha_dropout_keeps_mean_and_variance(name):
    pp.manual_seed(0)
    layer = getattr(pp.nn, name)(0.3)
    x = pp.randn(400, 300, 2)
    out = layer(x)
    assert abs(out.mean().item()) < 0.02 and abs(out.var().item() - 1) < 0.03
    lowest = -1.7580993 * 0.7 / np.sqrt((1.7580993**2 * 0.3 + 1) * 0.7)
    assert abs(np.isclose(out.numpy(), lowest, atol=1e-5).mean() - 0.3) < 0.01 and layer.eval()(x) is x
    assert not getattr(pp.nn, name)(1.0)(x).numpy().any()
    if name.startswith("Feature"):
        kept = np.ptp(out.numpy(), axis=2) > 0
        assert abs(kept.mean() - 0.7) < 0.01


def test_rrelu_draws_slopes_between_its_bounds():
    pp.manual_seed(0)
    x = pp.full((1000,), -1.0, requires_grad=True)
    out = pp.nn.RReLU(0.2, 0.6)(x)
    slopes = -out.detach().numpy()
    assert slopes.min() >= 0.2 and slopes.max() < 0.6 and abs(slopes.mean() - 0.4) < 0.01
    out.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), slopes, rtol=1e-6)
    with pytest.raises(ValueError, match="must not be above"):
        F.rrelu(x, 0.5, 0.1)


def test_gumbel_softmax_draws_by_the_logits():
    pp.manual_seed(0)
    probability = np.array([0.1, 0.3, 0.6])
    logits = pp.tensor(np.log(probability)).expand(20000, 3).clone().requires_grad_()
    hard = F.gumbel_softmax(logits, tau=0.5, hard=True)
    assert set(np.unique(hard.detach().numpy().round(6))) == {0.0, 1.0}
    np.testing.assert_allclose(hard.mean(0).detach().numpy(), probability, atol=0.015)
    hard[:, 0].sum().backward()
    assert logits.grad.numpy().any()
    np.testing.assert_allclose(F.gumbel_softmax(logits, dim=0).sum(0).detach().numpy(), 1, rtol=1e-9)


@pytest.mark.parametrize("spatial, shape", [(2, (2, 3, 9, 11)), (2, (3, 9, 11)), (3, (2, 3, 7, 8, 9))])
def test_fractional_max_pool(spatial, shape):
    x = torch.tensor(normal(*shape), requires_grad=True)
    y = pp.tensor(normal(*shape), requires_grad=True)
    draws = np.random.default_rng(1).random((2 if len(shape) == spatial + 2 else 1, 3, spatial))
    options = {"kernel_size": (2, 3, 2)[:spatial], "output_size": (4, 5, 3)[:spatial], "return_indices": True}
    name = f"FractionalMaxPool{spatial}d"
    expected = getattr(torch.nn, name)(**options, _random_samples=torch.tensor(draws))(x)
    found = getattr(pp.nn, name)(**options, _random_samples=pp.tensor(draws))(y)
    for a, b in zip(expected, found, strict=True):
        assert np.array_equal(a.detach().numpy(), b.detach().numpy())
    expected[0].square().sum().backward()
    found[0].square().sum().backward()
    np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy())
    drawn = getattr(pp.nn, name)(2, output_ratio=0.5)(y)
    assert drawn.shape == (*shape[:-spatial], *(n // 2 for n in shape[-spatial:]))


# -- losses with layers, and CTC ----------------------------------------------------------------


def test_adaptive_log_softmax():
    args = (16, 20, [5, 10])
    theirs = torch.nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    ours = pp.nn.AdaptiveLogSoftmaxWithLoss(*args, div_value=2.0, head_bias=True).double()
    assert repr(ours) == repr(theirs)
    ours.load_state_dict({k: v.numpy() for k, v in theirs.state_dict().items()})
    x, target = normal(6, 16), np.array([0, 4, 5, 9, 10, 19])
    expected, found = theirs(torch.tensor(x), torch.tensor(target)), ours(pp.tensor(x), pp.tensor(target))
    np.testing.assert_allclose(found.output.detach().numpy(), expected.output.detach().numpy(), rtol=1e-10)
    expected.loss.backward()
    found.loss.backward()
    for p, q in zip(theirs.parameters(), ours.parameters(), strict=True):
        np.testing.assert_allclose(q.grad.numpy(), p.grad.numpy(), rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        ours.log_prob(pp.tensor(x)).detach().numpy(), theirs.log_prob(torch.tensor(x)).detach().numpy(), rtol=1e-10
    )
    assert ours.predict(pp.tensor(x)).tolist() == theirs.predict(torch.tensor(x)).tolist()
    assert ours(pp.tensor(x[0]), pp.tensor(3)).output.shape == ()
    for bad in ([], [5, 5], [5, 20], [0, 3]):
        with pytest.raises(ValueError, match="unique, positive integers"):
            pp.nn.AdaptiveLogSoftmaxWithLoss(16, 20, bad)
    with pytest.raises(IndexError, match=r"in \[0, 19\]"):
        ours(pp.tensor(x), pp.tensor([0, 1, 2, 3, 4, 20]))


@pytest.mark.parametrize("zero_infinity", [False, True])
@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_ctc_of_uneven_sequences(reduction, zero_infinity):
    """Lengths below the sizes, a target too long for its input, an empty one, and repeated labels."""
    x, target = normal(6, 4, 5), np.array([[1, 1, 2], [3, 1, 1], [2, 2, 2], [4, 0, 0]])
    lengths, sizes = [6, 4, 3, 5], [3, 2, 3, 0]
    xs, ys = torch.tensor(x, requires_grad=True), pp.tensor(x, requires_grad=True)
    expected = torch.nn.functional.ctc_loss(
        xs.log_softmax(-1), torch.tensor(target), lengths, sizes, 0, reduction, zero_infinity
    )
    found = F.ctc_loss(ys.log_softmax(-1), pp.tensor(target), pp.tensor(lengths), sizes, 0, reduction, zero_infinity)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=1e-9)
    if zero_infinity:
        expected.sum().backward()
        found.sum().backward()
        np.testing.assert_allclose(ys.grad.numpy(), xs.grad.numpy(), rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"blank": 5}, "blank must be in label range"), ({"input_lengths": [7]}, "from 0 to 6"),
        ({"input_lengths": [6, 6]}, "each of the 1 sequences"), ({"targets": pp.tensor([[5]])}, "targets must be from"),
        ({"log_probs": pp.zeros(5)}, "expected log_probs"), ({"targets": pp.tensor([1, 2])}, "add up to 1"),
        ({"reduction": "average"}, "not a valid value"),
    ],
)  # fmt: skip
def test_wrong_ctc_calls_are_refused(change, message):
    options = {"log_probs": pp.zeros(6, 1, 5), "targets": pp.tensor([[1]]), "input_lengths": [6], "target_lengths": [1]}
    with pytest.raises(ValueError, match=message):
        F.ctc_loss(**{**options, **change})


@pytest.mark.parametrize("targets", [[-1, 0], [1, 1], [1, -1]])
def test_hinge_embedding_loss_of_any_target(targets):
    expected = torch.nn.functional.hinge_embedding_loss(torch.tensor([0.3, 2.0]), torch.tensor(targets))
    found = F.hinge_embedding_loss(pp.tensor([0.3, 2.0]), pp.tensor(targets))
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-6)


def test_norms_across_channels_agree_for_odd_sizes():
    x = pp.randn(2, 6, 3, 3)
    one, other = (getattr(pp.nn, n)(5, alpha=0.4, k=2.0)(x) for n in ("CrossMapLRN2d", "LocalResponseNorm"))
    np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=1e-6)
    norm = pp.nn.SyncBatchNorm(6)
    assert np.array_equal(norm(x).detach().numpy(), pp.nn.BatchNorm2d(6)(x).detach().numpy())
    assert pp.nn.SyncBatchNorm.convert_sync_batchnorm(norm) is norm


def test_batch_norm_of_no_samples_leaves_the_statistics():
    norm = pp.nn.BatchNorm1d(3)
    out = norm(pp.zeros(0, 3, requires_grad=True))
    out.sum().backward()
    assert out.shape == (0, 3) and norm.running_mean.tolist() == [0, 0, 0] and norm.weight.grad.tolist() == [0, 0, 0]
