"""Families of operators against PyTorch: types and promotion, empties, 0-d, strides, nan and infinities."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")

from torch_oracle import DTYPES, FLOATS, INTEGERS, both, make  # noqa: E402 - needs torch

VALUES = np.array([[-3.0, -1.0, 0.0], [1.0, 2.0, 5.0]])
WILD = np.array([-np.inf, -2.5, -0.5, -0.0, 0.0, 0.5, 1.5, 2.5, np.inf, np.nan, 1e-30, 100.0])


def shapes(dtype: str, grad: bool = False) -> list[pp.Tensor]:
    """Tensors of one type in every kind of shape and memory layout."""
    wide = np.arange(24).reshape(4, 6) % 7 - 3
    found = [
        make(VALUES, dtype, grad),
        make(np.array(2.0), dtype, grad),
        make(np.zeros((0, 3)), dtype, grad),
        make(VALUES, dtype).t(),
        make(wide, dtype)[::2, 1::2],
        make(VALUES[:1], dtype).expand(4, 3),
        make(np.arange(8).reshape(2, 2, 2) - 3, dtype),
    ]
    return found


# -- one operand ----------------------------------------------------------------------------------

UNARY = [
    "abs",
    "acos",
    "acosh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "bitwise_not",
    "ceil",
    "cos",
    "cosh",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "floor",
    "frac",
    "isfinite",
    "isinf",
    "isnan",
    "log",
    "log10",
    "log1p",
    "log2",
    "logical_not",
    "nan_to_num",
    "neg",
    "positive",
    "reciprocal",
    "relu",
    "round",
    "rsqrt",
    "sigmoid",
    "sign",
    "signbit",
    "sin",
    "sinh",
    "sqrt",
    "square",
    "tan",
    "tanh",
    "trunc",
    "deg2rad",
    "rad2deg",
    "sinc",
    "softmax_last",
]


def unary(name: str) -> Any:
    if name == "softmax_last":
        return lambda m, x: m.softmax(x, -1)
    return lambda m, x: getattr(m, name)(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", UNARY)
def test_unary(name: str, dtype: str) -> None:
    if name == "softmax_last" and dtype not in FLOATS:
        pytest.skip("torch has no softmax of integers, Pappus computes it in float32")
    tolerance = 5e-5 if dtype == "float32" and name in ("erfinv", "tan") else None
    for x in shapes(dtype):
        both(unary(name), x, tolerance=tolerance, wider=True, dtype=(name, dtype) != ("square", "bool"))


@pytest.mark.parametrize("name", UNARY)
@pytest.mark.parametrize("dtype", FLOATS)
def test_unary_of_wild_numbers(name: str, dtype: str) -> None:
    # softmax of nan is nan everywhere; the gradient is compared for the tame numbers of test_ops_torch.py only
    wild = WILD[~np.isnan(WILD)] if name == "sign" else WILD  # sign(nan) is nan here and in ONNX, 0 in torch
    both(unary(name), make(wild, dtype), tolerance=1e-4 if dtype == "float32" else None)


ACTIVATIONS = [
    "relu",
    "relu6",
    "elu",
    "selu",
    "celu",
    "gelu",
    "silu",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "leaky_relu",
    "softplus",
    "mish",
    "logsigmoid",
    "softsign",
    "tanhshrink",
    "hardshrink",
    "softshrink",
    "sigmoid",
    "tanh",
]


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str, dtype: str) -> None:
    def run(m: Any, x: Any) -> Any:
        return getattr(m if m is pp else torch.nn.functional, name)(x)

    theirs = (
        (lambda m, x: torch.nn.functional.logsigmoid(x) if m is torch else pp.logsigmoid(x))
        if name == "logsigmoid"
        else run
    )
    for x in shapes(dtype):
        both(theirs, x)
    for x in (make(np.linspace(-8, 8, 33), dtype, True), make([-100.0, 100.0, 30.0, -30.0, 0.0], dtype, True)):
        both(theirs, x, tolerance=1e-6 if dtype == "float64" else None)
    both(theirs, make(WILD, dtype))


# -- two operands ---------------------------------------------------------------------------------

BINARY = [
    "add",
    "sub",
    "mul",
    "div",
    "true_divide",
    "floor_divide",
    "remainder",
    "fmod",
    "pow",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "logical_xor",
    "bitwise_and",
    "bitwise_or",
    "bitwise_xor",
    "hypot",
    "copysign",
    "logaddexp",
    "xlogy",
]
LEFT, RIGHT = np.array([[-7.0, -1.0, 6.0], [1.0, 2.0, 5.0]]), np.array([[2.0, 3.0, 4.0], [1.0, 2.0, 3.0]])


def needs_skip(name: str, *dtypes: str) -> bool:
    """Integer division by zero of bools is undefined in C: not compared."""
    return name in ("floor_divide", "remainder", "fmod") and "bool" in dtypes


@pytest.mark.parametrize("name", BINARY)
def test_binary_types(name: str) -> None:
    """Every pair of types, with tensors of one shape."""
    for a, b in itertools.product(DTYPES, DTYPES):
        if needs_skip(name, a, b):
            continue
        x, y = (LEFT, RIGHT) if name != "pow" else (np.abs(LEFT) % 4, RIGHT)
        try:
            both(lambda m, x, y: getattr(m, name)(x, y), make(x, a), make(y, b), wider=True)
        except BaseException as error:
            raise AssertionError(f"{name} of {a} and {b}: {error}") from error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", BINARY)
def test_binary_shapes(name: str, dtype: str) -> None:
    """Broadcasting, empties, 0-d, strides; Python numbers on either side."""
    if needs_skip(name, dtype):
        pytest.skip("division of bools is undefined for False")
    left = np.abs(LEFT) % 4 + 1 if name == "pow" else LEFT

    def run(m: Any, x: Any, y: Any) -> Any:
        return getattr(m, name)(x, y)

    x, y = make(left, dtype), make(RIGHT, dtype)
    for a, b in [
        (x, y[0]),
        (x, y[:, :1]),
        (x[:, :1], y[0]),
        (x, make(2, dtype)),
        (make(3, dtype), y),
        (x[:0], y[0]),
        (x.t(), y.t()),
        (x[:, ::2], y[:, ::2]),
        (x[None], y[:, None]),
        (make(3, dtype), make(2, dtype)),
        (x[:, :0], y[:, :1]),
    ]:
        both(run, a, b, wider=True)
    for number in (2, 2.5, True):
        if dtype == "bool" and name == "pow":
            continue
        both(run, x, number, wider=True)


@pytest.mark.parametrize("name", ["floor_divide", "remainder", "fmod", "div_floor", "div_trunc"])
@pytest.mark.parametrize("dtype", [*INTEGERS, "float32", "float64"])
def test_signs_of_division(name: str, dtype: str) -> None:
    numbers = [-7, -6, -1, 0, 1, 6, 7]
    a = make(np.repeat(numbers, 6), dtype)
    b = make(np.tile([-3, -2, -1, 1, 2, 3], len(numbers)), dtype)
    if name.startswith("div_"):
        both(lambda m, a, b: m.div(a, b, rounding_mode=name[4:]), a, b)
    else:
        both(lambda m, a, b: getattr(m, name)(a, b), a, b)


@pytest.mark.parametrize("name", [n for n in BINARY if "bitwise" not in n])
@pytest.mark.parametrize("dtype", FLOATS)
def test_binary_of_wild_numbers(name: str, dtype: str) -> None:
    a, b = np.meshgrid(WILD, WILD)
    both(lambda m, x, y: getattr(m, name)(x, y), make(a, dtype), make(b, dtype))


GRADIENT = [
    "add",
    "sub",
    "mul",
    "div",
    "remainder",
    "fmod",
    "pow",
    "maximum",
    "minimum",
    "fmax",
    "fmin",
    "atan2",
    "hypot",
    "logaddexp",
    "xlogy",
    "copysign",
]


@pytest.mark.parametrize("name", GRADIENT)
def test_binary_gradient(name: str) -> None:
    """Through broadcasting, at ties and at zero."""
    for a, b in [
        (LEFT, RIGHT),
        (LEFT, RIGHT[0]),
        (np.abs(LEFT[:, :1]), RIGHT[:1]),
        (np.zeros(3), RIGHT[0]),
        (np.abs(LEFT), np.array(2.0)),
        (np.zeros((0, 3)), RIGHT[0]),
    ]:
        both(lambda m, x, y: getattr(m, name)(x, y), make(a, "float64", True), make(b, "float64", True))
    both(lambda m, x: getattr(m, name)(x, 2.0), make(np.abs(LEFT), "float32", True), wider=True)


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, -1, -2, 0.5, 2.5, 0.0])
@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_powers(exponent: Any, dtype: str) -> None:
    both(lambda m, x: x**exponent, make([0.0, 1.0, 2.0, -3.0], dtype, True))
    both(lambda m, x: m.pow(x, exponent), make([1.0, 2.0, 3.0], dtype, True))
    both(lambda m, x: exponent**x, make([0.0, 1.0, 2.0], dtype))
    both(lambda m, x: m.pow(2, x), make([0.0, 1.0, 2.0, -1.0] if dtype != "int64" else [0, 1, 5], dtype, True))


# -- reductions -----------------------------------------------------------------------------------

REDUCTIONS = [
    "sum",
    "mean",
    "prod",
    "amax",
    "amin",
    "any",
    "all",
    "var",
    "std",
    "logsumexp",
    "nansum",
    "nanmean",
    "median",
]
DIMS: list[Any] = [None, 0, -1, (0, 1), (-1,), ()]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", REDUCTIONS)
def test_reduction(name: str, dtype: str) -> None:
    single = name in ("prod", "median")
    for x, dim, keepdim in itertools.product(shapes(dtype), DIMS, (False, True)):
        if isinstance(dim, tuple) and (single or len(x.shape) < len(dim)):
            continue
        if dim == () and name in ("any", "all"):
            continue  # torch: no dimension at all; Pappus, as for the other reductions: all of them
        if dim is None and (keepdim or name == "logsumexp"):
            continue
        if not x.numel() and name in ("median", "std", "var", "nanmean", "mean"):
            continue  # nan, with torch's own exceptions by type

        def run(m: Any, x: Any, dim: Any = dim, keepdim: bool = keepdim) -> Any:
            function = getattr(m, name)
            if dim is None:
                return function(x)
            found = (
                function(x, dim, keepdim)
                if name in ("logsumexp", "median", "prod")
                else function(x, dim, keepdim=keepdim)
            )
            return found

        try:
            both(
                run,
                x,
                tolerance=1e-4 if dtype == "float32" else None,
                wider=True,
                dtype=(name, dtype) not in (("any", "uint8"), ("all", "uint8")),  # uint8 in torch, for its old masks
            )
        except BaseException as error:
            raise AssertionError(f"{name} of {dtype}{list(x.shape)} over {dim}, keepdim={keepdim}: {error}") from error


@pytest.mark.parametrize(
    "name",
    [
        "sum",
        "mean",
        "prod",
        "amax",
        "amin",
        "var",
        "std",
        "logsumexp",
        "max",
        "min",
        "norm",
        "nansum",
        "cumsum",
        "cumprod",
        "median",
    ],
)
def test_reduction_gradient(name: str) -> None:
    """Through dimensions, at ties and zeros."""
    for data in (VALUES, np.array([[2.0, 2.0, 1.0], [0.0, 0.0, 3.0]]), np.array([[1.0, 0.0, 2.0], [3.0, 4.0, 5.0]])):
        x = make(data + 0.0, "float64", True)
        if name not in ("logsumexp", "cumsum", "cumprod") and not (name in ("std", "norm") and not data.std()):
            both(lambda m, x: getattr(m, name)(x), x)
        if name == "median" or (name in ("max", "min") and (data[0] == data[0, 0]).sum() > 1):
            continue  # which of equal elements is chosen is not defined
        both(lambda m, x: getattr(m, name)(x, dim=1), x)
        if name not in ("cumsum", "cumprod"):
            both(lambda m, x: getattr(m, name)(x, dim=0, keepdim=True), x)


@pytest.mark.parametrize(
    "name",
    ["sum", "prod", "amax", "amin", "max", "min", "argmax", "argmin", "mean", "any", "all", "logsumexp", "nansum"],
)
def test_reduction_of_wild_numbers(name: str) -> None:
    for data in (WILD, WILD[:9], WILD[[0, 0]], WILD[[8, 9]]):
        x = make(np.stack([data, data[::-1]]), "float32")
        both(lambda m, x: getattr(m, name)(x, dim=1), x)
        if name != "logsumexp":
            both(lambda m, x: getattr(m, name)(x), x)


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "bfloat16", "float32", "float64"])
@pytest.mark.parametrize(
    "name",
    [
        "max",
        "min",
        "argmax",
        "argmin",
        "sort",
        "argsort",
        "cumsum",
        "cumprod",
        "cummax",
        "cummin",
        "topk",
        "kthvalue",
        "count_nonzero",
        "nonzero",
        "unique",
        "flip",
    ],
)
def test_along_a_dimension(name: str, dtype: str) -> None:
    distinct = np.array([[5.0, -1.0, 3.0, 0.0], [2.0, 7.0, -4.0, 1.0]])
    if dtype == "bool" and name in (
        "argmax",
        "argmin",
        "topk",
        "kthvalue",
        "sort",
        "argsort",
        "max",
        "min",
        "cummax",
        "cummin",
    ):
        pytest.skip("which of equal elements comes first is not defined in torch")
    if dtype == "uint8":
        distinct = np.abs(distinct) + np.arange(8).reshape(2, 4) * 10
    x = make(distinct, dtype)
    if name in ("topk", "kthvalue"):
        calls = [lambda m, x: getattr(m, name)(x, 2), lambda m, x: getattr(m, name)(x, 1, 0)]
    elif name in ("nonzero", "unique"):
        calls = [lambda m, x: getattr(m, name)(x)]
    elif name in ("flip", "count_nonzero"):
        calls = [lambda m, x: getattr(m, name)(x, (0, 1)), lambda m, x: getattr(m, name)(x, [-1])]
    else:
        calls = [lambda m, x, d=d: getattr(m, name)(x, dim=d) for d in (0, 1, -1)]
    for run in calls:
        both(run, x)
        both(run, x.t())
