"""The public face: the names a user of PyTorch reaches for exist, and every way to a thing leads to the same thing."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import pappus as pp

TOP = [
    "tensor", "as_tensor", "from_numpy", "scalar_tensor", "zeros", "ones", "full", "empty", "zeros_like", "ones_like",
    "full_like", "empty_like", "arange", "linspace", "logspace", "eye", "rand", "randn", "randint", "randperm",
    "rand_like", "randn_like", "randint_like", "normal", "bernoulli", "multinomial", "cat", "concat", "stack",
    "hstack", "vstack", "chunk", "split", "unbind", "squeeze", "unsqueeze", "reshape", "flatten", "unflatten",
    "transpose", "permute", "movedim", "swapaxes", "t", "flip", "roll", "tile", "repeat_interleave", "gather",
    "scatter", "scatter_add", "index_select", "index_add", "masked_select", "masked_fill", "where", "narrow",
    "select", "tril", "triu", "nonzero", "diagonal", "broadcast_to", "broadcast_tensors", "meshgrid", "add", "sub",
    "mul", "div", "true_divide", "pow", "sqrt", "rsqrt", "square", "exp", "exp2", "expm1", "log", "log1p", "log2",
    "log10", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "sinh", "cosh", "tanh", "sigmoid", "relu",
    "softmax", "log_softmax", "erf", "abs", "neg", "sign", "floor", "ceil", "round", "trunc", "clamp", "clip",
    "maximum", "minimum", "max", "min", "sum", "mean", "std", "var", "std_mean", "var_mean", "prod", "argmax",
    "argmin", "amax", "amin", "aminmax", "topk", "sort", "argsort", "cumsum", "cumprod", "logsumexp", "norm", "any",
    "all", "unique", "bincount", "count_nonzero", "matmul", "mm", "bmm", "mv", "dot", "outer", "einsum", "tensordot",
    "addmm", "baddbmm", "lerp", "addcmul", "addcdiv", "fmod", "remainder", "floor_divide", "reciprocal", "eq", "ne",
    "lt", "le", "gt", "ge", "equal", "allclose", "isclose", "isnan", "isinf", "isfinite", "logical_and", "logical_or",
    "logical_not", "logical_xor", "bitwise_and", "bitwise_or", "bitwise_not", "conv1d", "conv2d", "conv3d",
    "conv_transpose2d", "max_pool1d", "max_pool2d", "avg_pool1d", "avg_pool2d", "layer_norm", "batch_norm",
    "group_norm", "dropout", "embedding", "no_grad", "enable_grad", "set_grad_enabled", "is_grad_enabled",
    "inference_mode", "manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "Generator",
    "default_generator", "float16", "bfloat16", "float32", "float64", "half", "float", "double", "int8", "int16",
    "int32", "int64", "uint8", "short", "int", "long", "bool", "dtype", "finfo", "iinfo", "get_default_dtype",
    "set_default_dtype", "promote_types", "result_type", "can_cast", "device", "Tensor", "Size", "is_tensor",
    "is_floating_point", "is_nonzero", "numel", "set_printoptions", "save", "load", "strided", "pi", "e", "inf",
    "nan", "newaxis", "nn", "optim", "utils", "autograd", "random", "cuda", "export", "runtime",
]  # fmt: skip

MODULES = {
    "nn": [
        "Module", "Parameter", "Buffer", "Sequential", "ModuleList", "ModuleDict", "ParameterList", "ParameterDict",
        "Linear", "Conv2d", "BatchNorm2d", "LayerNorm", "ReLU", "Dropout", "Embedding", "CrossEntropyLoss",
        "MultiheadAttention", "TransformerEncoder", "functional", "init", "utils", "parameter",
    ],
    "nn.functional": [
        "relu", "gelu", "softmax", "cross_entropy", "mse_loss", "conv2d", "max_pool2d", "linear", "layer_norm",
        "dropout", "embedding", "pad", "interpolate", "one_hot", "normalize", "scaled_dot_product_attention",
    ],
    "nn.init": [
        "kaiming_uniform_", "kaiming_normal_", "xavier_uniform_", "xavier_normal_", "normal_", "uniform_", "zeros_",
        "ones_", "constant_", "trunc_normal_", "orthogonal_", "eye_", "calculate_gain",
    ],
    "nn.utils": ["clip_grad_norm_", "clip_grad_value_", "parameters_to_vector", "vector_to_parameters"],
    "nn.parameter": ["Parameter", "Buffer"],
    "optim": ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"],
    "optim.lr_scheduler": [
        "LambdaLR", "StepLR", "MultiStepLR", "ExponentialLR", "CosineAnnealingLR", "OneCycleLR", "ReduceLROnPlateau",
        "LinearLR", "SequentialLR",
    ],
    "utils": ["data"],
    "utils.data": [
        "Dataset", "IterableDataset", "TensorDataset", "DataLoader", "Subset", "ConcatDataset", "random_split",
        "default_collate", "Sampler", "RandomSampler", "SequentialSampler", "BatchSampler", "WeightedRandomSampler",
    ],
    "autograd": ["grad", "backward", "no_grad", "enable_grad"],
    "random": ["manual_seed", "seed", "initial_seed", "get_rng_state", "set_rng_state", "fork_rng"],
    "cuda": ["is_available", "device_count", "manual_seed_all"],
}  # fmt: skip
TENSOR = [
    "abs", "add", "add_", "all", "allclose", "any", "argmax", "argmin", "argsort", "backward", "bfloat16", "bool",
    "byte", "ceil", "chunk", "clamp", "clamp_", "clone", "contiguous", "copy_", "cos", "cpu", "cumsum", "data",
    "data_ptr", "detach", "detach_", "device", "diagonal", "dim", "div", "div_", "dot", "double", "dtype",
    "element_size", "eq", "equal", "exp", "expand", "expand_as", "fill_", "flatten", "flip", "float", "floor",
    "gather", "ge", "grad", "grad_fn", "gt", "half", "index_select", "int", "is_contiguous", "is_floating_point",
    "is_leaf", "isclose", "isfinite", "isinf", "isnan", "item", "itemsize", "le", "lerp", "log", "logical_and",
    "logical_not", "logsumexp", "long", "lt", "masked_fill", "masked_fill_", "masked_select", "matmul", "max", "mean",
    "min", "mm", "mul", "mul_", "mv", "narrow", "ndim", "ne", "neg", "nelement", "new_empty", "new_full", "new_ones",
    "new_tensor", "new_zeros", "nonzero", "norm", "normal_", "numel", "numpy", "outer", "permute", "pow", "prod",
    "random_", "register_hook", "relu", "repeat", "repeat_interleave", "requires_grad", "requires_grad_", "reshape",
    "retain_grad", "roll", "round", "rsqrt", "scatter", "scatter_add", "select", "shape", "sigmoid", "sign", "sin",
    "size", "softmax", "log_softmax", "sort", "split", "sqrt", "square", "squeeze", "std", "stride", "sub", "sub_",
    "sum", "swapaxes", "t", "T", "mT", "tan", "tanh", "to", "tolist", "topk", "transpose", "tril", "triu", "type",
    "type_as", "unbind", "unflatten", "uniform_", "unique", "unsqueeze", "var", "view", "view_as", "where", "zero_",
]  # fmt: skip


@pytest.mark.parametrize("name", TOP)
def test_top_level_name(name):
    getattr(pp, name)
    assert name in dir(pp)


@pytest.mark.parametrize("module", MODULES)
def test_modules_hold_their_names(module):
    found = importlib.import_module(f"pappus.{module}")
    for name in MODULES[module]:
        assert hasattr(found, name), f"pappus.{module}.{name}"
    assert inspect.ismodule(found) and found.__doc__
    if hasattr(found, "__all__"):
        assert all(hasattr(found, name) for name in found.__all__)


def test_tensors_have_their_methods():
    tensor = pp.zeros(2, 2)
    missing = [name for name in TENSOR if not hasattr(type(tensor), name) and not hasattr(tensor, name)]
    assert not missing


def test_every_road_leads_to_the_same_object():
    import pappus.frontend.nn as frontend_nn
    import pappus.nn as nn
    import pappus.nn.functional as F
    from pappus.nn import Linear
    from pappus.optim.lr_scheduler import StepLR
    from pappus.utils.data import DataLoader

    assert pp.nn is nn and pp.nn.functional is F and nn.functional is F
    assert pp.nn.Linear is Linear is frontend_nn.Linear and F.relu is frontend_nn.functional.relu
    assert pp.utils.data.DataLoader is DataLoader and pp.optim.lr_scheduler.StepLR is StepLR
    assert pp.nn.Parameter is pp.nn.parameter.Parameter and pp.random.manual_seed is pp.manual_seed
    assert pp.Tensor is type(pp.ones(1)) and pp.autograd.no_grad is pp.no_grad


def test_types_devices_and_modes():
    assert pp.float is pp.float32 and pp.double is pp.float64 and pp.half is pp.float16
    assert pp.long is pp.int64 and pp.int is pp.int32 and pp.short is pp.int16
    assert isinstance(pp.float32, pp.dtype) and pp.bool is pp.ones(1).bool().dtype
    assert pp.ones(1).device == pp.device("cpu") and pp.device("cuda:1").type == "cuda"
    assert not pp.cuda.is_available() and pp.cuda.device_count() == 0
    assert pp.is_tensor(pp.ones(1)) and not pp.is_tensor([1]) and pp.is_floating_point(pp.ones(1))
    try:
        pp.set_default_dtype(pp.float64)
        assert pp.ones(1).dtype is pp.float64 and pp.nn.Linear(1, 1).weight.dtype is pp.float64
    finally:
        pp.set_default_dtype(pp.float32)


@pytest.mark.parametrize(
    "wrong, near", [("zeross", "zeros"), ("Tensr", "Tensor"), ("manualseed", "manual_seed"), ("flot32", "float32")]
)
def test_a_name_that_does_not_exist_names_the_nearest(wrong, near):
    with pytest.raises(AttributeError, match=f"module 'pappus' has no attribute '{wrong}'; did you mean '{near}'?"):
        getattr(pp, wrong)


@pytest.mark.parametrize(
    "module, wrong, near",
    [
        ("nn", "Linera", "Linear"), ("nn.functional", "rellu", "relu"), ("optim", "Adamm", "Adam"),
        ("optim.lr_scheduler", "StepLr", "StepLR"), ("utils.data", "DataLoadr", "DataLoader"),
        ("nn.init", "kaiming_normall_", "kaiming_normal_"), ("linalg", "normm", "norm"),
        ("cuda", "is_avalable", "is_available"),
    ],
)  # fmt: skip
def test_modules_name_the_nearest_too(module, wrong, near):
    found = importlib.import_module(f"pappus.{module}")
    with pytest.raises(AttributeError, match=f"has no attribute '{wrong}'; did you mean '{near}'"):
        getattr(found, wrong)
    with pytest.raises(AttributeError, match=r"has no attribute 'nothing_like_it'$"):
        found.nothing_like_it  # noqa: B018


def test_a_tensor_names_the_nearest_in_the_traceback():
    code = "import pappus as pp; pp.ones(1).sqeeze()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "has no attribute 'sqeeze'. Did you mean: 'squeeze'?" in done.stderr


@pytest.mark.parametrize("absent", ["jit", "_private", "__wrapped__"])
def test_what_does_not_exist_is_absent(absent):
    assert not hasattr(pp, absent) and absent not in dir(pp)
    with pytest.raises(ImportError):
        importlib.import_module(f"pappus.{absent}")


def test_comparisons():
    a = pp.tensor([1.0, float("nan"), float("inf"), -float("inf")])
    assert pp.isclose(a, a).tolist() == [True, False, True, True]
    assert pp.isclose(a, a, equal_nan=True).all() and pp.allclose(a, a, equal_nan=True) and not pp.allclose(a, a)
    assert a.isclose(a + 1e-9).tolist() == [True, False, True, True]
    assert not pp.isclose(pp.tensor([float("inf")]), pp.tensor([1.0])).any()
    assert pp.allclose(pp.tensor([1.0]), pp.tensor([1.05]), rtol=0.1)
    assert pp.equal(pp.ones(2), pp.ones(2)) and not pp.equal(pp.ones(2), pp.zeros(2))
    assert not pp.ones(2).equal(pp.ones(2, 1))
    assert pp.result_type(pp.ones(1, dtype=pp.int8), 3) is pp.int8 and pp.result_type(1, 2.0) is pp.float32
    assert pp.is_nonzero(pp.tensor(2)) and not pp.is_nonzero(pp.tensor([0.0]))
    with pytest.raises(ValueError, match="exactly one element"):
        pp.is_nonzero(pp.ones(2))


def python(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_the_bare_import_loads_nothing_heavy():
    heavy = python("import sys, pappus; print(*[m for m in sys.modules if m.startswith(('numpy', 'pappus.', 'cffi'))])")
    assert heavy == []


def test_the_bare_import_is_quick():
    """Below 150 ms; the best of five, because the machine is shared."""
    code = "import time; t = time.perf_counter(); import pappus; print(time.perf_counter() - t)"
    assert min(float(python(code)[0]) for _ in range(5)) < 0.15


def test_the_package_is_typed():
    import os

    assert os.path.exists(os.path.join(os.path.dirname(pp.__file__), "py.typed"))
