"""Every layer against torch: names and shapes of the state dict, repr, forward and backward from the same weights."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:torch")

# class, arguments, keyword arguments, shapes of the inputs
CASES = [
    ("Identity", (), {}, [(2, 3)]),
    ("Identity", (54, "anything"), {"unused": True}, [(2, 3)]),
    ("Linear", (5, 3), {}, [(4, 5)]),
    ("Linear", (5, 3), {"bias": False}, [(2, 4, 5)]),
    ("Linear", (5, 1), {}, [(5,)]),
    ("Linear", (5, 3), {}, [(0, 5)]),
    ("Bilinear", (3, 4, 5), {}, [(2, 6, 3), (2, 6, 4)]),
    ("Bilinear", (3, 1, 2), {"bias": False}, [(7, 3), (7, 1)]),
    ("Flatten", (), {}, [(2, 3, 4)]),
    ("Flatten", (0, 1), {}, [(2, 3, 4)]),
    ("Unflatten", (1, (2, 3)), {}, [(4, 6)]),
    ("Unflatten", (-1, (-1, 2)), {}, [(4, 6)]),
    ("Conv1d", (3, 4, 3), {}, [(2, 3, 9)]),
    ("Conv1d", (3, 4, 3), {"padding": "same", "dilation": 2}, [(3, 9)]),
    ("Conv1d", (2, 2, 4), {"padding": "same", "padding_mode": "circular"}, [(1, 2, 9)]),
    ("Conv1d", (4, 4, 3), {"padding": 2, "padding_mode": "replicate", "groups": 4}, [(2, 4, 5)]),
    ("Conv2d", (3, 4, 3), {}, [(2, 3, 7, 6)]),
    ("Conv2d", (3, 4, (3, 2)), {"stride": (2, 1), "padding": (1, 0), "bias": False}, [(2, 3, 7, 6)]),
    ("Conv2d", (4, 6, 3), {"groups": 2, "padding": "valid"}, [(4, 7, 6)]),
    ("Conv2d", (4, 4, 3), {"groups": 4, "padding": 1, "padding_mode": "reflect"}, [(2, 4, 5, 6)]),
    ("Conv2d", (2, 3, (2, 3)), {"padding": "same"}, [(1, 2, 5, 5)]),
    ("Conv2d", (2, 3, 3), {"padding": (1, 2), "padding_mode": "circular", "stride": 2}, [(1, 2, 5, 5)]),
    ("Conv2d", (1, 1, 1), {}, [(1, 1, 1, 1)]),
    ("Conv3d", (2, 3, 2), {"stride": 2, "padding": 1}, [(1, 2, 4, 5, 4)]),
    ("Conv3d", (2, 2, (1, 2, 3)), {"groups": 2, "dilation": (1, 2, 1), "bias": False}, [(2, 2, 4, 5, 4)]),
    ("ConvTranspose1d", (3, 4, 3), {"stride": 2, "padding": 1, "output_padding": 1}, [(2, 3, 5)]),
    ("ConvTranspose2d", (4, 6, 3), {"stride": 2, "groups": 2, "bias": False}, [(2, 4, 3, 4)]),
    ("ConvTranspose2d", (2, 3, (2, 3)), {"dilation": 2, "padding": (1, 0)}, [(2, 4, 5)]),
    ("ConvTranspose3d", (2, 3, 2), {"stride": (1, 2, 1)}, [(1, 2, 2, 3, 2)]),
    ("BatchNorm1d", (3,), {}, [(6, 3)]),
    ("BatchNorm1d", (3,), {"affine": False}, [(2, 3, 4)]),
    ("BatchNorm2d", (3,), {"eps": 1e-3, "momentum": 0.3}, [(2, 3, 4, 5)]),
    ("BatchNorm2d", (3,), {"momentum": None}, [(2, 3, 4, 5)]),
    ("BatchNorm2d", (3,), {"track_running_stats": False}, [(2, 3, 4, 5)]),
    ("BatchNorm2d", (3,), {"bias": False}, [(2, 3, 4, 5)]),
    ("BatchNorm3d", (2,), {}, [(2, 2, 2, 3, 2)]),
    ("InstanceNorm1d", (3,), {}, [(2, 3, 5)]),
    ("InstanceNorm1d", (3,), {"affine": True}, [(3, 5)]),
    ("InstanceNorm2d", (3,), {"track_running_stats": True, "affine": True}, [(2, 3, 4, 5)]),
    ("InstanceNorm3d", (2,), {}, [(2, 2, 2, 3, 2)]),
    ("LayerNorm", (5,), {}, [(2, 3, 5)]),
    ("LayerNorm", ((3, 5),), {"eps": 1e-3, "bias": False}, [(2, 3, 5)]),
    ("LayerNorm", ([5],), {"elementwise_affine": False}, [(5,)]),
    ("RMSNorm", (5,), {}, [(2, 3, 5)]),
    ("RMSNorm", ((3, 5),), {"eps": 1e-3, "elementwise_affine": False}, [(2, 3, 5)]),
    ("GroupNorm", (2, 4), {}, [(2, 4, 5)]),
    ("GroupNorm", (1, 4), {"affine": False, "eps": 1e-3}, [(2, 4, 3, 2)]),
    ("GroupNorm", (4, 4), {"bias": False}, [(2, 4, 3, 2)]),
    ("ReLU", (), {}, [(3, 4)]),
    ("ReLU", (), {"inplace": True}, [(3, 4)]),
    ("ReLU6", (), {}, [(3, 4)]),
    ("LeakyReLU", (0.2,), {}, [(3, 4)]),
    ("PReLU", (), {}, [(3, 4)]),
    ("PReLU", (4,), {"init": 0.1}, [(3, 4, 2)]),
    ("ELU", (), {"alpha": 0.7}, [(3, 4)]),
    ("CELU", (1.3,), {}, [(3, 4)]),
    ("SELU", (), {}, [(3, 4)]),
    ("GELU", (), {}, [(3, 4)]),
    ("GELU", (), {"approximate": "tanh"}, [(3, 4)]),
    ("SiLU", (), {}, [(3, 4)]),
    ("Mish", (), {}, [(3, 4)]),
    ("Hardswish", (), {}, [(3, 4)]),
    ("Hardsigmoid", (), {}, [(3, 4)]),
    ("Hardtanh", (-0.5, 0.7), {}, [(3, 4)]),
    ("Softplus", (2.0, 1.0), {}, [(3, 4)]),
    ("Sigmoid", (), {}, [(3, 4)]),
    ("LogSigmoid", (), {}, [(3, 4)]),
    ("Tanh", (), {}, [(3, 4)]),
    ("Tanhshrink", (), {}, [(3, 4)]),
    ("Softsign", (), {}, [(3, 4)]),
    ("Hardshrink", (0.3,), {}, [(3, 4)]),
    ("Softshrink", (0.3,), {}, [(3, 4)]),
    ("Threshold", (0.1, 20.0), {}, [(3, 4)]),
    ("GLU", (), {}, [(3, 4)]),
    ("GLU", (0,), {}, [(4, 3)]),
    ("Softmax", (1,), {}, [(3, 4)]),
    ("Softmax", (), {"dim": -2}, [(2, 3, 4)]),
    ("LogSoftmax", (-1,), {}, [(3, 4)]),
    ("Softmin", (0,), {}, [(3, 4)]),
    ("Softmax2d", (), {}, [(2, 3, 2, 2)]),
    ("MaxPool1d", (3,), {"stride": 2, "padding": 1}, [(2, 3, 8)]),
    ("MaxPool1d", (2,), {"dilation": 2, "ceil_mode": True}, [(3, 7)]),
    ("MaxPool2d", (2,), {}, [(2, 3, 7, 6)]),
    ("MaxPool2d", ((3, 2),), {"stride": (2, 1), "padding": (1, 0), "dilation": (1, 2)}, [(3, 7, 6)]),
    ("MaxPool2d", (3,), {"stride": 2, "ceil_mode": True}, [(2, 1, 6, 8)]),
    ("AvgPool1d", (3,), {"stride": 2, "padding": 1}, [(2, 3, 8)]),
    ("AvgPool1d", (2,), {"ceil_mode": True, "count_include_pad": False}, [(3, 7)]),
    ("AvgPool2d", (2,), {}, [(2, 3, 7, 6)]),
    ("AvgPool2d", ((3, 2),), {"stride": 1, "padding": (1, 0), "count_include_pad": False}, [(2, 3, 5, 6)]),
    ("AvgPool2d", (3,), {"stride": 2, "ceil_mode": True, "divisor_override": 5}, [(3, 6, 8)]),
    ("AdaptiveAvgPool1d", (3,), {}, [(2, 3, 8)]),
    ("AdaptiveAvgPool2d", (1,), {}, [(2, 3, 5, 4)]),
    ("AdaptiveAvgPool2d", ((3, None),), {}, [(3, 5, 4)]),
    ("AdaptiveAvgPool2d", ((7, 5),), {}, [(2, 3, 5, 4)]),
    ("AdaptiveMaxPool1d", (3,), {}, [(2, 3, 8)]),
    ("AdaptiveMaxPool2d", ((3, 2),), {}, [(2, 3, 5, 4)]),
    ("MaxPool3d", (2,), {"stride": 1, "padding": 1}, [(2, 2, 3, 4, 3)]),
    ("MaxPool3d", ((1, 2, 2),), {"ceil_mode": True}, [(2, 3, 5, 3)]),
    ("AvgPool3d", (2,), {}, [(1, 2, 4, 4, 5)]),
    ("AvgPool3d", ((2, 1, 3),), {"padding": (1, 0, 1), "count_include_pad": False}, [(2, 3, 4, 5)]),
    ("AdaptiveAvgPool3d", ((2, None, 1),), {}, [(2, 2, 3, 2, 4)]),
    ("AdaptiveMaxPool3d", ((2, 1, 3),), {}, [(2, 2, 3, 2, 4)]),
    ("ConstantPad1d", ((1, 2), 3.5), {}, [(2, 3, 4)]),
    ("ConstantPad2d", (1, -1.0), {}, [(3, 4, 5)]),
    ("ConstantPad2d", ((1, -1, 0, 2), 0.5), {}, [(2, 3, 4, 5)]),
    ("ConstantPad3d", (1, 0.5), {}, [(1, 2, 2, 3)]),
    ("ZeroPad1d", (2,), {}, [(2, 3, 4)]),
    ("ZeroPad2d", ((1, 0, 2, 3),), {}, [(2, 3, 4, 5)]),
    ("ZeroPad3d", (1,), {}, [(1, 2, 2, 3)]),
    ("ReflectionPad1d", ((2, 1),), {}, [(2, 3, 4)]),
    ("ReflectionPad2d", ((2, 1, 0, 3),), {}, [(2, 3, 4, 5)]),
    ("ReflectionPad3d", (1,), {}, [(1, 1, 2, 3, 2)]),
    ("ReplicationPad1d", (3,), {}, [(2, 3, 2)]),
    ("ReplicationPad2d", ((2, 1, 0, 3),), {}, [(3, 4, 5)]),
    ("ReplicationPad3d", (1,), {}, [(1, 1, 2, 3, 2)]),
    ("CircularPad1d", ((2, 1),), {}, [(2, 3, 4)]),
    ("CircularPad2d", ((1, 2, 3, 0),), {}, [(1, 3, 4, 5)]),
    ("CircularPad3d", (1,), {}, [(1, 1, 2, 3, 2)]),
    ("Upsample", (), {"scale_factor": 2}, [(2, 3, 4)]),
    ("Upsample", ((5, 7),), {}, [(2, 3, 4, 5)]),
    ("Upsample", (), {"scale_factor": (1.5, 2), "mode": "bilinear", "align_corners": False}, [(2, 3, 4, 5)]),
    ("Upsample", (9,), {"mode": "linear", "align_corners": True}, [(2, 3, 4)]),
    ("UpsamplingNearest2d", (), {"scale_factor": 3}, [(1, 2, 3, 2)]),
    ("UpsamplingBilinear2d", ((4, 9),), {}, [(1, 2, 3, 2)]),
    ("PixelShuffle", (2,), {}, [(2, 8, 3, 2)]),
    ("PixelUnshuffle", (2,), {}, [(2, 2, 4, 6)]),
    ("CosineSimilarity", (), {"dim": -1}, [(3, 4), (3, 4)]),
    ("Dropout", (0.0,), {}, [(3, 4)]),
    ("AlphaDropout", (0.0,), {}, [(3, 4)]),
    ("FeatureAlphaDropout", (0.0,), {}, [(3, 4, 2)]),
    ("RReLU", (0.3, 0.3), {}, [(3, 4)]),
    ("LPPool1d", (2, 3), {"stride": 2}, [(2, 3, 8)]),
    ("LPPool2d", (3, (2, 3)), {}, [(3, 7, 6)]),
    ("LPPool3d", (2, 2), {"ceil_mode": True}, [(1, 2, 4, 4, 5)]),
    ("LocalResponseNorm", (3,), {"alpha": 0.5, "k": 1.5}, [(2, 5, 3, 2)]),
    ("LocalResponseNorm", (4,), {"alpha": 0.5, "beta": 0.5}, [(2, 5, 3)]),
    ("ChannelShuffle", (2,), {}, [(2, 4, 3, 2)]),
    ("Unfold", ((2, 3),), {"padding": 1, "stride": 2}, [(2, 3, 4, 5)]),
    ("Fold", ((4, 5), (2, 3)), {}, [(2, 12, 9)]),
    ("Fold", ((4, 5), 2), {"dilation": 2, "padding": (0, 1)}, [(12, 10)]),
    ("Upsample", (), {"scale_factor": 1.5, "mode": "bicubic"}, [(2, 3, 4, 5)]),
    ("Upsample", ((3, 5, 2),), {"mode": "trilinear", "align_corners": True}, [(2, 1, 2, 3, 4)]),
]  # fmt: skip
IDS = [f"{i}-{name}" for i, (name, *_) in enumerate(CASES)]


def both(name, args, kwargs, dtype):
    """The torch layer and ours, with the torch layer's random parameters and buffers in both."""
    theirs = getattr(torch.nn, name)(*args, **kwargs).to(getattr(torch, dtype))
    with torch.no_grad():
        for tensor in theirs.parameters():
            tensor.copy_(torch.from_numpy(np.random.default_rng(tensor.numel()).normal(size=tensor.shape)))
    ours = getattr(pp.nn, name)(*args, **kwargs).to(getattr(pp, dtype))
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return theirs, ours


def draw(shapes, dtype, seed=0):
    rng = np.random.default_rng(seed)
    return [rng.normal(size=shape).astype(dtype) * 1.5 for shape in shapes]


# torch computes these with constants rounded to float32, whatever the type of the tensor
ROUNDED = ("CELU", "Hardsigmoid")


def close(ours, theirs, dtype, name=""):
    found, expected = ours.detach().numpy(), theirs.detach().numpy()
    assert found.shape == expected.shape and found.dtype == expected.dtype
    tolerance = 1e-10 if dtype == "float64" and name not in ROUNDED else 1e-5
    largest = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance * largest)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, args, kwargs, shapes", CASES, ids=IDS)
def test_layer_equals_torch(name, args, kwargs, shapes, dtype):
    theirs, ours = both(name, args, kwargs, dtype)
    arrays = draw(shapes, dtype)
    for training in (True, True, False):
        theirs.train(training)
        ours.train(training)
        xs = [torch.from_numpy(a.copy()).requires_grad_() for a in arrays]
        ys = [pp.tensor(a, requires_grad=True) for a in arrays]
        # torch's inplace layers refuse leaves
        expected, found = theirs(*(x * 1 for x in xs)), ours(*(y * 1 for y in ys))
        close(found, expected, dtype, name)
        weight = draw([expected.shape], dtype, seed=7)[0]
        theirs.zero_grad()
        ours.zero_grad()
        expected.backward(torch.from_numpy(weight))
        found.backward(pp.tensor(weight))
        for x, y in zip(xs, ys, strict=True):
            close(y.grad, x.grad, dtype, name)
        for (key, p), (own, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
            assert key == own
            close(q.grad, p.grad, dtype)
        for (key, p), (own, q) in zip(theirs.named_buffers(), ours.named_buffers(), strict=True):
            assert key == own
            close(q, p, dtype)


def test_arguments_and_defaults_are_torchs():
    for name in pp.nn.__all__:
        theirs = inspect.signature(getattr(torch.nn, name).__init__).parameters
        if name in ("Buffer", "Parameter") or any(p.kind is p.VAR_POSITIONAL for p in theirs.values()):
            continue
        expected = {n: (p.default, p.kind) for n, p in theirs.items() if n not in ("min_value", "max_value")}
        found = {n: (p.default, p.kind) for n, p in inspect.signature(getattr(pp.nn, name).__init__).parameters.items()}
        if "activation" in expected:
            expected["activation"] = (pp.nn.functional.relu, expected["activation"][1])
        assert found == expected and list(found) == list(expected), name


@pytest.mark.parametrize("name, args, kwargs, shapes", CASES, ids=IDS)
def test_state_dict_and_repr_are_torchs(name, args, kwargs, shapes):
    theirs, ours = getattr(torch.nn, name)(*args, **kwargs), getattr(pp.nn, name)(*args, **kwargs)
    assert repr(ours) == repr(theirs)
    expected = {k: (tuple(v.shape), str(v.dtype).removeprefix("torch.")) for k, v in theirs.state_dict().items()}
    found = {k: (tuple(v.shape), v.dtype.name) for k, v in ours.state_dict().items()}
    assert list(found.items()) == list(expected.items())
    assert [k for k, p in ours.named_parameters()] == [k for k, p in theirs.named_parameters()]


@pytest.mark.parametrize("name, args, kwargs, shapes", [case for case in CASES if 0 not in case[3][0]])
def test_layer_is_captured_for_any_batch(name, args, kwargs, shapes):
    layer = getattr(pp.nn, name)(*args, **kwargs).eval()
    rank = {"1d": 3, "2d": 4, "3d": 5}.get(name[-2:], 2)
    batched = shapes[0][0] == 2 and len(shapes[0]) >= rank and name != "Flatten"
    xs = [pp.tensor(a) for a in draw(shapes, "float32")]
    sizes = [{0: pp.export.Dim("n")} for _ in xs] if batched else None
    program = pp.export.export(layer, tuple(xs), dynamic_shapes=sizes)  # runs graph and layer side by side
    if batched:
        assert not program.graph.guards, "a layer must not assume anything about the batch"


SPATIAL = [
    case for case in CASES
    # Windows that adapt are tables of the size, and so are the counts of avg_pool3d.
    if case[0][-2:] in ("1d", "2d", "3d") and not case[0].startswith(("Adaptive", "Dropout", "AvgPool3d", "LPPool3d"))
    and (case[0], case[3]) != ("BatchNorm1d", [(6, 3)])
]  # fmt: skip


@pytest.mark.parametrize("name, args, kwargs, shapes", SPATIAL)
def test_layer_is_captured_for_any_image_size(name, args, kwargs, shapes):
    layer = getattr(pp.nn, name)(*args, **kwargs).eval()
    x = pp.tensor(draw(shapes, "float32")[0])
    sizes = {x.ndim - 1 - i: pp.export.Dim(f"d{i}") for i in range(int(name[-2]))}
    program = pp.export.export(layer, (x,), dynamic_shapes=[sizes])
    # Only these need something of the size: room to mirror, more than one element, an incomplete window.
    needy = name.startswith(("Reflection", "Circular", "Instance")) or "ceil_mode" in kwargs
    if not needy and kwargs.get("padding_mode") not in ("reflect", "circular"):
        assert not program.graph.guards


# Convolutions over volumes have no kernel yet; export says so.
ON_DEVICE = [case for case in CASES if 0 not in case[3][0] and case[0] not in ("Conv3d", "ConvTranspose3d")]


@pytest.mark.parametrize("name, args, kwargs, shapes", ON_DEVICE)
def test_layer_runs_in_c(name, args, kwargs, shapes, tmp_path):
    layer = getattr(pp.nn, name)(*args, **kwargs).eval()
    xs = [pp.tensor(a) for a in draw(shapes, "float32")]
    path = tmp_path / "layer.pap"
    pp.export.lower(pp.export.export(layer, tuple(xs), check="off")).save(str(path))
    found = pp.runtime.load(str(path))(*(x.numpy() for x in xs))
    found = found[0] if isinstance(found, (tuple, list)) else found
    expected = layer(*xs).detach().numpy()
    assert found.shape == expected.shape and found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * max(1.0, np.abs(expected).max()))


@pytest.mark.parametrize("name, size", [("BatchNorm1d", (4, 3)), ("BatchNorm2d", (4, 3, 2, 2))])
def test_batch_norm_in_evaluation_is_one_operator(name, size):
    layer = getattr(pp.nn, name)(3).eval()
    graph = pp.export.export(layer, (pp.randn(*size),)).graph
    assert [node.op for node in graph.nodes] == ["batch_norm"]


def test_batch_norm_needs_more_than_one_value():
    with pytest.raises(ValueError, match="more than 1 value per channel"):
        pp.nn.BatchNorm1d(3)(pp.zeros(1, 3))
    assert pp.nn.BatchNorm1d(3).eval()(pp.zeros(1, 3)).shape == (1, 3)


@pytest.mark.parametrize(
    "make, shape, message",
    [
        (lambda: pp.nn.Linear(3, 2), (4, 5), "4, 5"),
        (lambda: pp.nn.Conv2d(3, 2, 3), (1, 4, 8, 8), "have 3 channels, but got 4"),
        (lambda: pp.nn.BatchNorm2d(3), (2, 3), "expected 4D input"),
        (lambda: pp.nn.BatchNorm1d(3), (2, 4), "3 elements|4 elements"),
        (lambda: pp.nn.LayerNorm(4), (2, 3), "normalized_shape"),
        (lambda: pp.nn.ReflectionPad2d(4), (1, 2, 4, 4), "must not exceed 3"),
        (lambda: pp.nn.Bilinear(2, 3, 4), (5, 2), "forward|input2|argument"),
    ],
)
def test_wrong_shapes_are_refused(make, shape, message):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        make()(pp.zeros(*shape))


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: pp.nn.Conv2d(3, 4, 3, groups=2), "divisible by groups"),
        (lambda: pp.nn.Conv2d(4, 3, 3, groups=2), "divisible by groups"),
        (lambda: pp.nn.Conv2d(4, 4, 3, padding="all"), "'same', 'valid'"),
        (lambda: pp.nn.Conv2d(4, 4, 3, padding="same", stride=2), "strided"),
        (lambda: pp.nn.Conv2d(4, 4, (3, 3, 3)), "kernel_size"),
        (lambda: pp.nn.Conv2d(4, 4, 3, padding_mode="mirror"), "padding_mode"),
        (lambda: pp.nn.ConvTranspose2d(4, 4, 3, padding_mode="reflect"), "padding mode"),
        (lambda: pp.nn.Dropout(1.5), "between 0 and 1"),
        (lambda: pp.nn.Hardtanh(1.0, 0.0), "max_val"),
        (lambda: pp.nn.GroupNorm(3, 4), "divisible"),
        (lambda: pp.nn.Embedding(3, 4, padding_idx=3), "padding_idx"),
        (lambda: pp.nn.Embedding(3, 4, sparse=True), "not supported"),
        (lambda: pp.nn.MultiheadAttention(7, 2), "divisible"),
        (lambda: pp.nn.CrossEntropyLoss(reduction="average"), "reduction"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises((ValueError, NotImplementedError), match=message):
        make()


def test_conv_transpose_output_size():
    theirs, ours = both("ConvTranspose2d", (2, 3, 3), {"stride": 2}, "float64")
    x = draw([(1, 2, 4, 5)], "float64")[0]
    for size in ([9, 11], [10, 12], (1, 3, 10, 11)):
        close(ours(pp.tensor(x), size), theirs(torch.from_numpy(x), size), "float64")
    with pytest.raises(ValueError, match="valid sizes"):
        ours(pp.tensor(x), [11, 11])


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_max_pool_indices_and_the_way_back(spatial):
    x = draw([(2, 3, 8, 6, 4)[: 2 + spatial]], "float64")[0]
    p, q = torch.from_numpy(x).requires_grad_(), pp.tensor(x, requires_grad=True)
    expected = getattr(torch.nn, f"MaxPool{spatial}d")(2, return_indices=True)(p)
    found = getattr(pp.nn, f"MaxPool{spatial}d")(2, return_indices=True)(q)
    for a, b in zip(found, expected, strict=True):
        close(a, b, "float64")
    theirs, ours = getattr(torch.nn, f"MaxUnpool{spatial}d")(2), getattr(pp.nn, f"MaxUnpool{spatial}d")(2)
    assert repr(ours) == repr(theirs)
    expected, found = theirs(*expected), ours(*found)
    close(found, expected, "float64")
    (expected * expected).sum().backward()
    (found * found).sum().backward()
    close(q.grad, p.grad, "float64")


@pytest.mark.parametrize("spatial", [1, 2, 3])
def test_adaptive_max_pool_indices(spatial):
    x = draw([(2, 3, 5, 4, 3)[: 2 + spatial]], "float64")[0]
    expected = getattr(torch.nn, f"AdaptiveMaxPool{spatial}d")(2, return_indices=True)(torch.from_numpy(x))
    found = getattr(pp.nn, f"AdaptiveMaxPool{spatial}d")(2, return_indices=True)(pp.tensor(x))
    for a, b in zip(found, expected, strict=True):
        close(a, b, "float64")


# -- embedding ----------------------------------------------------------------------------------


@pytest.mark.parametrize("padding_idx", [None, 2, -1])
@pytest.mark.parametrize("shape", [(4,), (2, 3), (), (0, 2)])
def test_embedding(padding_idx, shape):
    theirs, ours = both("Embedding", (5, 3), {"padding_idx": padding_idx}, "float64")
    assert repr(ours) == repr(theirs)
    index = np.random.default_rng(1).integers(0, 5, shape)
    expected, found = theirs(torch.tensor(index)), ours(pp.tensor(index))
    close(found, expected, "float64")
    (expected * expected).sum().backward()
    (found * found).sum().backward()
    close(ours.weight.grad, theirs.weight.grad, "float64")


def test_embedding_starts_with_a_zero_padding_row():
    table = pp.nn.Embedding(4, 3, padding_idx=1).weight
    assert table[1].tolist() == [0.0, 0.0, 0.0] and (table[0] != 0).all()


def test_embedding_from_pretrained():
    table = pp.randn(4, 3)
    layer = pp.nn.Embedding.from_pretrained(table)
    assert not layer.weight.requires_grad
    assert layer(pp.tensor([2])).tolist() == [table[2].tolist()]
    assert pp.nn.Embedding.from_pretrained(table, freeze=False, padding_idx=0).weight.requires_grad


def test_embedding_refuses_an_index_out_of_range():
    with pytest.raises(IndexError, match="5"):
        pp.nn.Embedding(5, 3)(pp.tensor([1, 5]))


# -- losses -------------------------------------------------------------------------------------

LOSSES = [
    ("MSELoss", {}, "like"), ("L1Loss", {}, "like"), ("SmoothL1Loss", {"beta": 0.5}, "like"),
    ("SmoothL1Loss", {"beta": 0.0}, "like"), ("HuberLoss", {"delta": 0.7}, "like"),
    ("KLDivLoss", {}, "probability"), ("KLDivLoss", {"log_target": True}, "like"),
    ("BCELoss", {}, "probability"), ("BCELoss", {"weight": (4,)}, "probability"),
    ("BCEWithLogitsLoss", {}, "probability"),
    ("BCEWithLogitsLoss", {"weight": (4,), "pos_weight": (4,)}, "probability"),
    ("NLLLoss", {}, "class"), ("NLLLoss", {"weight": (4,), "ignore_index": 1}, "class"),
    ("CrossEntropyLoss", {}, "class"), ("CrossEntropyLoss", {"weight": (4,), "label_smoothing": 0.1}, "class"),
    ("CrossEntropyLoss", {"ignore_index": 2}, "class"), ("CrossEntropyLoss", {"label_smoothing": 0.1}, "probability"),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, options, target", LOSSES, ids=[f"{i}-{n}" for i, (n, *_) in enumerate(LOSSES)])
def test_loss_equals_torch(name, options, target, reduction):
    rng = np.random.default_rng(3)
    x = rng.uniform(0.1, 0.9, (6, 4))
    if name in ("NLLLoss", "KLDivLoss"):
        x = np.log(x)
    y = {"like": rng.normal(size=(6, 4)), "probability": rng.uniform(0.1, 0.9, (6, 4)), "class": rng.integers(0, 4, 6)}
    arrays = {k: rng.uniform(0.5, 1.5, v) if isinstance(v, tuple) else v for k, v in options.items()}

    def make(module, tensor):
        given = {k: tensor(v) if isinstance(v, np.ndarray) else v for k, v in arrays.items()}
        return getattr(module, name)(reduction=reduction, **given)

    theirs, ours = make(torch.nn, torch.from_numpy), make(pp.nn, pp.tensor)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    p, q = torch.from_numpy(x).requires_grad_(), pp.tensor(x, requires_grad=True)
    expected, found = theirs(p, torch.from_numpy(y[target])), ours(q, pp.tensor(y[target]))
    close(found, expected, "float64")
    expected.sum().backward()
    found.sum().backward()
    close(q.grad, p.grad, "float64")


PAIRS = [
    ("PairwiseDistance", {}, ["x", "y"]), ("PairwiseDistance", {"p": 1.0, "keepdim": True}, ["x", "y"]),
    ("PoissonNLLLoss", {}, ["x", "count"]),
    ("PoissonNLLLoss", {"log_input": False, "full": True}, ["positive", "count"]),
    ("GaussianNLLLoss", {}, ["x", "y", "positive"]),
    ("GaussianNLLLoss", {"full": True, "eps": 0.7}, ["x", "y", "rows"]),
    ("MarginRankingLoss", {"margin": 0.3}, ["x", "y", "sign"]), ("HingeEmbeddingLoss", {}, ["positive", "sign"]),
    ("CosineEmbeddingLoss", {"margin": 0.2}, ["x", "y", "signs"]), ("SoftMarginLoss", {}, ["x", "sign"]),
    ("TripletMarginLoss", {}, ["x", "y", "positive"]),
    ("TripletMarginLoss", {"swap": True, "p": 1.0}, ["x", "y", "positive"]),
    ("MultiLabelSoftMarginLoss", {}, ["x", "zero or one"]),
]  # fmt: skip


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("name, options, operands", PAIRS, ids=[f"{i}-{n}" for i, (n, *_) in enumerate(PAIRS)])
def test_losses_of_pairs_equal_torchs(name, options, operands, reduction):
    rng = np.random.default_rng(3)
    values = {
        "x": rng.normal(size=(6, 4)), "y": rng.normal(size=(6, 4)), "positive": rng.uniform(0.1, 2, (6, 4)),
        "count": rng.integers(0, 5, (6, 4)).astype(float), "sign": rng.choice([-1.0, 1.0], (6, 4)),
        "signs": rng.choice([-1.0, 1.0], 6), "rows": rng.uniform(0.1, 2, 6),
        "zero or one": rng.integers(0, 2, (6, 4)) * 1.0,
    }  # fmt: skip
    given = options if name == "PairwiseDistance" else {**options, "reduction": reduction}
    theirs, ours = getattr(torch.nn, name)(**given), getattr(pp.nn, name)(**given)
    assert repr(ours) == repr(theirs) and list(ours.state_dict()) == list(theirs.state_dict())
    wanted = [operand not in ("sign", "signs", "count", "zero or one") for operand in operands]
    ps = [torch.from_numpy(values[o]).requires_grad_(w) for o, w in zip(operands, wanted, strict=True)]
    qs = [pp.tensor(values[o], requires_grad=w) for o, w in zip(operands, wanted, strict=True)]
    expected, found = theirs(*ps), ours(*qs)
    close(found, expected, "float64")
    expected.sum().backward()
    found.sum().backward()
    for p, q, w in zip(ps, qs, wanted, strict=True):
        if w:
            close(q.grad, p.grad, "float64")


def test_kl_div_batchmean():
    x, y = np.log(np.full((4, 2), 0.5)), np.full((4, 2), [0.25, 0.75])
    expected = torch.nn.KLDivLoss(reduction="batchmean")(torch.from_numpy(x), torch.from_numpy(y))
    found = pp.nn.KLDivLoss(reduction="batchmean")(pp.tensor(x), pp.tensor(y))
    close(found, expected, "float64")


def test_old_reduction_arguments():
    assert pp.nn.MSELoss(size_average=False).reduction == "sum"
    assert pp.nn.MSELoss(reduce=False).reduction == "none"
    assert pp.nn.MSELoss(reduce=True).reduction == "mean"


# -- first values -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, args",
    [
        ("Linear", (300, 200)), ("Conv2d", (16, 64, 5)), ("ConvTranspose2d", (32, 32, 3)), ("Bilinear", (20, 30, 40)),
        ("Embedding", (300, 50)), ("MultiheadAttention", (64, 4)), ("Conv1d", (32, 64, 7)),
    ],
)  # fmt: skip
def test_parameters_start_in_torchs_distribution(name, args):
    pp.manual_seed(0)
    torch.manual_seed(0)
    theirs, ours = getattr(torch.nn, name)(*args), getattr(pp.nn, name)(*args)
    for (key, p), (_, q) in zip(theirs.named_parameters(), ours.named_parameters(), strict=True):
        a, b = p.detach().numpy(), q.detach().numpy()
        assert a.std() == pytest.approx(b.std(), rel=0.25, abs=1e-7), key
        if a.size > 5000:
            assert a.std() == pytest.approx(b.std(), rel=0.03) and abs(b.mean()) < 4 * b.std() / b.size**0.5, key
        if name != "Embedding":
            assert np.abs(b).max() <= np.abs(a).max() * 1.1 + 1e-7, key


@pytest.mark.parametrize("name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d"])
def test_dropout(name):
    pp.manual_seed(5)
    shape = (8, 40, 3, 2, 2)[: 2 + int(name[7]) if name[7:] else 2]
    layer, x = getattr(pp.nn, name)(0.3), pp.ones(*shape, requires_grad=True)
    out = layer(x)
    assert set(np.unique(out.detach().numpy())) == {np.float32(0), np.float32(1) * np.float32(1 / 0.7)}
    channels = out.detach().numpy().reshape(8, 40, -1)
    assert (channels == channels[:, :, :1]).all(), "a channel is dropped as a whole"
    assert 0.6 < (channels[:, :, 0] != 0).mean() < 0.8
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), out.detach().numpy())
    assert layer.eval()(x) is x
    pp.manual_seed(5)
    again = layer.train()(x)
    np.testing.assert_array_equal(again.detach().numpy(), out.detach().numpy())


def test_dropout1d_without_a_batch_drops_channels():
    pp.manual_seed(1)
    out = pp.nn.Dropout1d(0.5)(pp.ones(50, 4)).numpy()
    assert (out == out[:, :1]).all() and 0 < (out[:, 0] == 0).sum() < 50
