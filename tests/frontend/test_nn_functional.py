"""nn.functional where it does more than a layer: options, edges, errors; and the initial values of nn.init."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pappus as pp
import pappus.nn.functional as F
from pappus import nn

torch = pytest.importorskip("torch")
TF = torch.nn.functional
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


def normal(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def compare(call, *arrays, tolerance=1e-10):
    """`call(functional, tensors)` for both libraries: results and gradients of the floating-point operands."""
    xs = [torch.from_numpy(np.array(a)) for a in arrays]
    ys = [pp.tensor(a) for a in arrays]
    for x, y in zip(xs, ys, strict=True):
        if x.is_floating_point():
            x.requires_grad_()
            y.requires_grad_()
    expected, found = call(TF, *xs), call(F, *ys)
    assert tuple(found.shape) == tuple(expected.shape)
    assert f"torch.{found.dtype.name}" == str(expected.dtype)
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), rtol=tolerance, atol=tolerance)
    if expected.requires_grad:
        weight = normal(*expected.shape, seed=9)
        expected.backward(torch.from_numpy(weight).to(expected.dtype))
        found.backward(pp.tensor(weight).to(found.dtype))
        for x, y in zip(xs, ys, strict=True):
            if x.grad is not None:
                np.testing.assert_allclose(y.grad.numpy(), x.grad.numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("shape", [(), (4,), (3, 4), (2, 3, 4), (2, 3, 2, 2)])
@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
def test_softmax_chooses_torchs_dimension(name, shape):
    compare(lambda f, x: getattr(f, name)(x), normal(*shape))


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
def test_softmax_converts_first(name):
    x = normal(3, 4).astype(np.float32)
    found = getattr(F, name)(pp.tensor(x), 1, dtype=pp.float64)
    expected = getattr(TF, name)(torch.from_numpy(x), 1, dtype=torch.float64)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


@pytest.mark.parametrize(
    "name", ["logsigmoid", "softplus", "log_softmax", "mish", "gelu", "silu", "sigmoid", "softsign"]
)
def test_extreme_values_do_not_overflow(name):
    options = {"dim": 0} if name == "log_softmax" else {}
    with np.errstate(all="raise", under="ignore"):
        compare(lambda f, x: getattr(f, name)(x, **options), np.array([-1000.0, -30.0, 0.0, 30.0, 1000.0]))


@pytest.mark.parametrize(
    "name, args", [("relu_", ()), ("leaky_relu_", (0.2,)), ("elu_", (0.7,)), ("celu_", (1.3,)), ("selu_", ()),
                   ("threshold_", (0.1, 20.0)), ("hardtanh_", (-0.5, 0.7)), ("rrelu_", (0.3, 0.3))]
)  # fmt: skip
def test_activations_in_place(name, args):
    # torch computes celu with a constant of float32
    compare(lambda f, x: getattr(f, name)(x * 1, *args), normal(3, 4), tolerance=1e-6)
    x = pp.tensor(normal(3, 4))
    assert getattr(F, name)(x, *args) is x and getattr(F, name).__name__ == name


@pytest.mark.parametrize("p, dim", [(2.0, 1), (1.0, 0), (3.0, -1)])
def test_normalize(p, dim):
    compare(lambda f, x: f.normalize(x, p, dim), normal(3, 4))


def test_cosine_similarity():
    compare(lambda f, a, b: f.cosine_similarity(a, b), normal(3, 4), normal(3, 4, seed=1))
    compare(lambda f, a, b: f.cosine_similarity(a, b, dim=0), normal(3), normal(3, seed=1))


def test_one_hot():
    compare(lambda f, x: f.one_hot(x), np.array([[0, 2], [1, 1]]))
    compare(lambda f, x: f.one_hot(x, 5), np.array([0, 4]))
    compare(lambda f, x: f.one_hot(x, 3), np.zeros((0, 2), np.int64))


PADS = [
    ((1, 2), "constant", 3.5), ((1, 2, 0, 1), "constant", None), ((-1, 2, 1, -1), "constant", 0.0),
    ((0, 0, 0, 0, 1, 1), "constant", 1.0), ((2, 3), "reflect", None), ((0, 1, 2, 0), "reflect", None),
    ((3, 1), "replicate", None), ((2, 2, 1, 1), "replicate", None), ((4, 1), "circular", None),
    ((1, 0, 0, 2), "circular", None), ((0, 0), "constant", None), ((-2, 3), "reflect", None),
    ((-1, -2), "replicate", None), ((2, -1, -1, 2), "replicate", None), ((-1, 3), "circular", None),
]  # fmt: skip


@pytest.mark.parametrize("pad, mode, value", PADS, ids=str)
def test_pad(pad, mode, value):
    shape = (2, 3, 4, 5) if len(pad) > 2 else (2, 3, 5)
    compare(lambda f, x: f.pad(x, pad, mode, value), normal(*shape))


@pytest.mark.parametrize(
    "pad, mode, message",
    [
        ((5, 0), "reflect", "must not exceed 4"), ((6, 0), "circular", "must not exceed 5"),
        ((1, 1), "mirror", "unknown mode"), ((1,), "replicate", "pairs"), ((1,) * 8, "reflect", "pairs"),
    ],
)  # fmt: skip
def test_pad_refuses(pad, mode, message):
    with pytest.raises(ValueError, match=message):
        F.pad(pp.zeros(2, 3, 5), pad, mode)


RESIZES = [
    ((2, 3, 5), {"size": 8}), ((2, 3, 5), {"scale_factor": 2.5, "mode": "linear"}),
    ((2, 3, 5), {"size": 1, "mode": "linear"}),
    ((2, 3, 4, 5), {"size": (8, 3)}), ((2, 3, 4, 5), {"scale_factor": (0.5, 1.7)}),
    ((2, 3, 4, 5), {"size": (7, 9), "mode": "bilinear"}),
    ((2, 3, 4, 5), {"size": (7, 9), "mode": "bilinear", "align_corners": True}),
    ((2, 3, 4, 5), {"scale_factor": 1.3, "mode": "bilinear", "recompute_scale_factor": True}),
    ((2, 3, 4, 5), {"scale_factor": 1.3, "mode": "bilinear"}),
    ((1, 1, 1, 1), {"size": 3, "mode": "bilinear", "align_corners": True}),
    ((2, 3, 5), {"size": 7, "mode": "nearest-exact"}), ((2, 1, 2, 3, 4), {"size": (3, 2, 9), "mode": "nearest"}),
    ((2, 3, 4, 5), {"scale_factor": (1.5, 0.4), "mode": "bicubic"}),
    ((0, 3, 4, 5), {"size": 3, "mode": "bicubic", "align_corners": True}),
    ((2, 1, 2, 3, 4), {"scale_factor": 1.6, "mode": "trilinear"}), ((2, 3, 7), {"size": 3, "mode": "area"}),
    ((1, 2, 9, 11), {"size": (3, 4), "mode": "bilinear", "antialias": True}),
    ((1, 2, 9, 3), {"size": (4, 7), "mode": "bicubic", "antialias": True, "align_corners": True}),
    ((1, 2, 9, 11), {"scale_factor": 0.37, "mode": "bicubic", "antialias": True}),
]  # fmt: skip


@pytest.mark.parametrize("shape, options", RESIZES, ids=str)
def test_interpolate(shape, options):
    compare(lambda f, x: f.interpolate(x, **options), normal(*shape), tolerance=1e-6)


@pytest.mark.parametrize(
    "shape, options, message",
    [
        ((2, 3, 4), {"size": 2, "scale_factor": 2}, "only one of"), ((2, 3, 4), {}, "only one of"),
        ((2, 3, 4), {"size": 2, "mode": "bilinear"}, "does not apply to 3D"), ((2, 3), {"size": 2}, "3D"),
        ((2, 3, 4, 5), {"size": 2, "mode": "cubic"}, "unknown mode 'cubic'; use one of nearest, nearest-exact"),
        ((2, 3, 4), {"size": 2, "mode": "linear", "antialias": True}, "only for the modes bilinear and bicubic"),
        ((2, 3, 4), {"size": 0}, "greater than 0"), ((2, 3, 4), {"scale_factor": (1, 2)}, "1 scale factors"),
        ((2, 3, 4, 5), {"size": (2, 3, 4)}, "2 sizes"),
        ((2, 3, 4), {"size": 2, "align_corners": True}, "align_corners"),
    ],
)  # fmt: skip
def test_interpolate_refuses(shape, options, message):
    with pytest.raises(ValueError, match=message):
        F.interpolate(pp.zeros(*shape), **options)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(3, 3), (4, 7), (9, 2)])
def test_bytes_are_resized_as_torch_rounds_them(mode, antialias, size):
    image = np.random.default_rng(0).integers(0, 256, (2, 3, 4, 5), np.uint8)
    expected = TF.interpolate(torch.from_numpy(image), size, mode=mode, antialias=antialias)
    found = F.interpolate(pp.tensor(image), size, mode=mode, antialias=antialias)
    assert np.array_equal(found.numpy(), expected.numpy())


# -- sampling and windows -----------------------------------------------------------------------


@pytest.mark.parametrize("corners", [False, True])
@pytest.mark.parametrize("size", [(2, 3, 4, 5), (1, 3, 1, 4), (2, 1, 3, 1, 2)])
def test_affine_grid(size, corners):
    spatial = len(size) - 2
    compare(lambda f, theta: f.affine_grid(theta, size, corners), normal(size[0], spatial, spatial + 1))


@pytest.mark.parametrize(
    "theta, size, message",
    [
        (pp.zeros(1, 2, 2), (1, 1, 3, 3), r"expected theta of size \(N, 2, 3\)"),
        (pp.zeros(1, 2, 3), (1, 1, 3), "expected theta"), (pp.zeros(1, 2, 3), (1, 1, 0, 3), "positive output size"),
        (pp.zeros(1, 2, 3).long(), (1, 1, 2, 3), "floating point"),
    ],
)  # fmt: skip
def test_affine_grid_refuses(theta, size, message):
    with pytest.raises((ValueError, TypeError), match=message):
        F.affine_grid(theta, size)


def test_grid_sample_by_its_defaults_and_far_outside():
    grid = np.array([[[[0.0, 0.0], [1e30, -1e30], [-1.0, 1.0], [0.3, 5.0]]]])
    for mode in ("bilinear", "bicubic"):
        compare(lambda f, x, g, mode=mode: f.grid_sample(x, g, mode), normal(1, 2, 3, 4), grid, tolerance=1e-8)
    compare(lambda f, x, g: f.grid_sample(x, g.detach(), "nearest") + 0 * g.sum(), normal(1, 2, 3, 4), grid)


@pytest.mark.parametrize(
    "image, grid, options, message",
    [
        ((1, 2, 3), (1, 2, 2), {}, "4D"), ((1, 2, 3, 4), (2, 2, 2, 2), {}, "batch of the input"),
        ((1, 2, 3, 4), (1, 2, 2, 3), {}, "coordinate for each"), ((1, 2, 0, 4), (1, 2, 2, 2), {}, "non-empty"),
        ((1, 2, 3, 4), (1, 2, 2, 2), {"mode": "cubic"}, "expected mode"),
        ((1, 2, 3, 4), (1, 2, 2, 2), {"padding_mode": "wrap"}, "expected padding_mode"),
        ((1, 2, 3, 4, 5), (1, 2, 2, 2, 3), {"mode": "bicubic"}, "only supports 4D"),
    ],
)  # fmt: skip
def test_grid_sample_refuses(image, grid, options, message):
    with pytest.raises(ValueError, match=message):
        F.grid_sample(pp.zeros(*image), pp.zeros(*grid), **options)


def test_fold_undoes_unfold_where_windows_do_not_overlap():
    x = pp.tensor(normal(2, 3, 4, 6))
    assert np.array_equal(F.fold(F.unfold(x, (2, 3), stride=(2, 3)), (4, 6), (2, 3), stride=(2, 3)), x)
    compare(lambda f, x: f.fold(x, (5, 7), 3, padding=1, stride=2), normal(2, 18, 12))
    compare(lambda f, x: f.unfold(x, 2, 2, 1, 3), normal(3, 7, 5))


@pytest.mark.parametrize(
    "run, message",
    [
        (lambda: F.unfold(pp.zeros(2, 3), 2), "3D"), (lambda: F.unfold(pp.zeros(1, 2, 3), 4), "do not fit an image"),
        (lambda: F.unfold(pp.zeros(1, 4, 4), 0), "kernel_size"),
        (lambda: F.unfold(pp.zeros(1, 4, 4), 2, 0), "dilation"),
        (lambda: F.fold(pp.zeros(1, 7, 4), 3, 2), "divisible by the window's size, 4"),
        (lambda: F.fold(pp.zeros(1, 8, 5), 3, 2), r"2 \* 2 = 4 windows"), (lambda: F.fold(pp.zeros(8), 3, 2), "2D"),
        (lambda: F.channel_shuffle(pp.zeros(1, 4, 2), 3), "divisible by groups, 3"),
        (lambda: F.channel_shuffle(pp.zeros(4, 2), 2), "> 2 dims"),
    ],
)  # fmt: skip
def test_windows_and_channels_refuse(run, message):
    with pytest.raises(ValueError, match=message):
        run()


# -- norms --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, shape", [("batch_norm", (4, 3, 5)), ("batch_norm", (4, 3)), ("instance_norm", (4, 3, 5))]
)
@pytest.mark.parametrize("momentum", [0.1, 1.0, 0.0])
def test_running_statistics(name, shape, momentum):
    x, mean, var = normal(*shape), normal(3, seed=1), normal(3, seed=2) ** 2 + 0.1
    flag = {"training": True} if name == "batch_norm" else {"use_input_stats": True}
    theirs, ours = [torch.tensor(a) for a in (mean, var)], [pp.tensor(a) for a in (mean, var)]
    expected = getattr(TF, name)(torch.from_numpy(x), *theirs, momentum=momentum, **flag)
    found = getattr(F, name)(pp.tensor(x), *ours, momentum=momentum, **flag)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-10, atol=1e-12)
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-10)


def test_running_statistics_need_no_gradient():
    mean, x = pp.zeros(3), pp.randn(4, 3, requires_grad=True)
    F.batch_norm(x, mean, None, training=True).sum().backward()
    assert not mean.requires_grad and mean.any()


def test_batch_norm_in_half_precision_keeps_its_type():
    out = F.batch_norm(pp.randn(6, 3).half(), pp.zeros(3), pp.ones(3), training=True)
    assert out.dtype is pp.float16


# -- losses -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{"size_average": False}, {"reduce": False}, {"size_average": True, "reduce": True}], ids=str
)
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "binary_cross_entropy_with_logits"])
def test_old_arguments(name, options):
    compare(lambda f, x, y: getattr(f, name)(x, y, **options), normal(3, 4), np.random.default_rng(1).random((3, 4)))


@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 5, 3), (2, 5, 3, 2)])
def test_cross_entropy_shapes(shape):
    target = np.random.default_rng(0).integers(0, 5, shape[:1] * (len(shape) > 1) + shape[2:])
    compare(lambda f, x, y: f.cross_entropy(x, y), normal(*shape), np.asarray(target))


def test_a_target_of_another_size_is_broadcast_with_a_warning():
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):
        with pytest.warns(UserWarning, match=rf"{name}: the target has size \[3\] and the input \[3, 1\]") as caught:
            getattr(F, name)(pp.zeros(3, 1), pp.zeros(3))
        assert caught[0].filename == __file__
    compare(lambda f, x, y: f.mse_loss(x, y), normal(3, 4), normal(1, 4, seed=1))


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "huber_loss"])
def test_weights_per_element(name, reduction):
    def call(f, x, y, w):
        return getattr(f, name)(x, y, weight=w, reduction=reduction)

    compare(call, normal(3, 4), normal(3, 4, seed=1), normal(3, 4, seed=2) ** 2)
    with pytest.raises(ValueError, match="weight and input"):
        getattr(F, name)(pp.zeros(3), pp.zeros(3), weight=pp.zeros(1))


@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss", "mse_loss", "kl_div"])
def test_unknown_reductions_are_refused(name):
    y = pp.tensor([0, 1]) if name in ("cross_entropy", "nll_loss") else pp.zeros(2, 3)
    with pytest.raises(ValueError, match="'average' is not a valid value for reduction"):
        getattr(F, name)(pp.zeros(2, 3), y, reduction="average")


def test_ignored_targets_only():
    found = F.cross_entropy(pp.zeros(2, 3), pp.tensor([-100, -100]))
    assert math.isnan(found.item())  # 0 / 0, as in torch
    assert F.cross_entropy(pp.zeros(2, 3), pp.tensor([-100, -100]), reduction="sum").item() == 0.0


# -- other --------------------------------------------------------------------------------------


def test_inplace_changes_nothing():
    x = pp.tensor([-1.0, 1.0])
    for name in ("relu", "relu6", "leaky_relu", "elu", "silu", "mish", "hardswish", "hardtanh", "selu", "celu"):
        getattr(F, name)(x, inplace=True)
    assert x.tolist() == [-1.0, 1.0]


@pytest.mark.parametrize("p", [-0.1, 1.1])
@pytest.mark.parametrize("name", ["dropout", "dropout1d", "dropout2d", "dropout3d"])
def test_dropout_refuses(name, p):
    with pytest.raises(ValueError, match="between 0 and 1"):
        getattr(F, name)(pp.ones(2, 3, 4), p)


def test_dropout_extremes():
    x = pp.ones(2, 3, 4)
    assert not F.dropout(x, 1.0).any() and not F.dropout2d(x, 1.0).any()
    assert F.dropout(x, 0.0) is x and F.dropout(x, 0.9, training=False) is x


def test_attention_function():
    q, k, v = normal(2, 3, 4, 5), normal(2, 3, 6, 5, seed=1), normal(2, 3, 6, 2, seed=2)
    compare(lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v), q, k, v)
    compare(lambda f, q, k, v: f.scaled_dot_product_attention(q, k, v, is_causal=True), q, k, v)


# -- nn.init ------------------------------------------------------------------------------------

INITS = [
    ("uniform_", {"a": -1.0, "b": 3.0}), ("normal_", {"mean": 2.0, "std": 0.5}),
    ("trunc_normal_", {"std": 1.0, "a": -1.0, "b": 0.5}), ("constant_", {"val": 3.0}), ("ones_", {}), ("zeros_", {}),
    ("xavier_uniform_", {"gain": 2.0}), ("xavier_normal_", {}),
    ("kaiming_uniform_", {"a": 0.2}), ("kaiming_uniform_", {"mode": "fan_out", "nonlinearity": "relu"}),
    ("kaiming_normal_", {"nonlinearity": "relu"}), ("kaiming_normal_", {"mode": "fan_out"}),
]  # fmt: skip


@pytest.mark.parametrize("shape", [(150, 200), (30, 40, 5, 5)])
@pytest.mark.parametrize("name, options", INITS, ids=str)
def test_initial_values_have_torchs_distribution(name, options, shape):
    pp.manual_seed(0)
    torch.manual_seed(0)
    ours = nn.Parameter(pp.full(shape, math.nan))
    assert getattr(nn.init, name)(ours, **options) is ours and ours.is_leaf
    found = ours.detach().numpy()
    expected = getattr(torch.nn.init, name)(torch.empty(shape), **options).numpy()
    spread = max(float(expected.std()), 1e-6)
    assert found.mean() == pytest.approx(float(expected.mean()), abs=4 * spread / found.size**0.5 + 1e-6)
    assert found.std() == pytest.approx(float(expected.std()), rel=0.03, abs=1e-6)
    assert found.min() == pytest.approx(float(expected.min()), abs=spread) and np.isfinite(found).all()


def test_initial_values_repeat_and_take_a_generator():
    first = nn.init.normal_(pp.empty(5), generator=pp.Generator().manual_seed(1)).tolist()
    assert first == nn.init.normal_(pp.empty(5), generator=pp.Generator().manual_seed(1)).tolist()
    pp.manual_seed(1)
    layer = nn.Linear(3, 3)
    pp.manual_seed(1)
    assert pp.equal(nn.Linear(3, 3).weight, layer.weight)


@pytest.mark.parametrize("shape", [(4, 4), (3, 7), (7, 3), (4, 2, 3)])
def test_orthogonal(shape):
    matrix = nn.init.orthogonal_(pp.empty(*shape), gain=2.0).numpy().reshape(shape[0], -1) / 2
    small = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-5)


def test_eye_and_gains():
    assert nn.init.eye_(pp.empty(2, 3)).tolist() == [[1, 0, 0], [0, 1, 0]]
    for name in ("linear", "conv2d", "sigmoid", "tanh", "relu", "selu", "leaky_relu"):
        assert nn.init.calculate_gain(name) == pytest.approx(torch.nn.init.calculate_gain(name))
    assert nn.init.calculate_gain("leaky_relu", 0.3) == pytest.approx(torch.nn.init.calculate_gain("leaky_relu", 0.3))
    for call, message in (
        (lambda: nn.init.calculate_gain("sine"), "Unsupported nonlinearity"),
        (lambda: nn.init.eye_(pp.empty(2)), "2 dimensions"),
        (lambda: nn.init.kaiming_normal_(pp.empty(2)), "fewer than 2"),
        (lambda: nn.init.orthogonal_(pp.empty(2)), "2 or more"),
        (lambda: nn.init.kaiming_normal_(pp.empty(2, 2), mode="fan"), "Mode fan"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            call()
