"""What users read when something is wrong: operator, operands, rule, line, way out."""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend import errors

F = pp.nn.functional
f32, i64 = pp.ones(2, 3), pp.ones(2, 3, dtype=pp.int64)


def fail(call: Callable[[], Any]) -> pp.PappusError:
    with pytest.raises(pp.PappusError) as caught:
        call()
    return caught.value


# call, error class, what the text must contain in this order
CASES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    # shapes
    (
        lambda: pp.ones(2, 3) + pp.ones(4),
        pp.ShapeError,
        r"add: .*\[2, 3\] and \[4\].*dimension -1 has sizes 3 and 4.*equal or 1.*unsqueeze"
        r".*float32\[2, 3\], float32\[4\]",
    ),
    (
        lambda: f32 @ pp.ones(4, 5),
        pp.ShapeError,
        r"matmul of \[2, 3\] with \[4, 5\].*size 3.*dimension -2.*has 4.*transpose"
        r".*operands: float32\[2, 3\], float32\[4, 5\]",
    ),
    (lambda: F.linear(f32, pp.ones(5, 4)), pp.ShapeError, r"linear: the input has 3 features.*\[2, 3\].*in_features=4"),
    (
        lambda: pp.cat([f32, pp.ones(2, 4)]),
        pp.ShapeError,
        r"cat along dimension 0: sizes of dimension 1 differ, 3 in tensor 0 and 4 in tensor 1",
    ),
    (
        lambda: pp.stack([f32, pp.ones(3, 3)]),
        pp.ShapeError,
        r"stack: tensor 1 has shape \[3, 3\].*tensor 0 has \[2, 3\]",
    ),
    (lambda: f32.view(4), pp.ShapeError, r"view of \[2, 3\] to \[4\]: 6 elements do not fill 4 places"),
    (lambda: f32.view(-1, 4), pp.ShapeError, r"6 elements do not divide into rows of 4"),
    (
        lambda: f32.expand(4, 3),
        pp.ShapeError,
        r"expand of \[2, 3\] to \[4, 3\]: dimension 0 has size 2 and cannot become 4; only sizes of 1 expand",
    ),
    (
        lambda: f32.split([1, 2], 1).__len__() and f32.split([1, 1], 1),
        pp.ShapeError,
        r"split: sizes \[1, 1\] add up to 2, dimension 1 has 3",
    ),
    (
        lambda: F.conv2d(pp.ones(1, 4, 5, 5), pp.ones(8, 3, 3, 3)),
        pp.ShapeError,
        r"expected input\[1, 4, 5, 5\] to have 3 channels, but got 4 channels",
    ),
    (
        lambda: F.conv2d(pp.ones(1, 3, 2, 2), pp.ones(8, 3, 3, 3)),
        pp.ShapeError,
        r"padded input size per channel: \(2 x 2\). Kernel size: \(3 x 3\)",
    ),
    (
        lambda: F.mse_loss(f32, pp.ones(2, 4)),
        pp.ShapeError,
        r"sub: .*3 and 4.*inside mse_loss of float32\[2, 3\], float32\[2, 4\]",
    ),
    (lambda: F.layer_norm(f32, (4,)), pp.ShapeError, r"layer_norm: Given normalized_shape=\[4\].*\[2, 3\]"),
    (
        lambda: pp.bmm(f32, f32),
        pp.ShapeError,
        r"bmm needs 3-d tensors, got shapes \[2, 3\] and \[2, 3\]; matmul takes any rank",
    ),
    (lambda: pp.einsum("ij,jk->ik", f32, f32), pp.ShapeError, r"einsum: label 'j' has sizes 3 and 2"),
    (lambda: pp.zeros(0).max(), pp.ShapeError, r"amax over dimension 0 of size 0 has no result"),
    # dimensions and indices
    (
        lambda: f32.sum(2),
        pp.DimError,
        r"sum: dimension 2 is out of range for a tensor of 2 dimensions \(expected -2\.\.1\).*float32\[2, 3\]",
    ),
    (lambda: f32.softmax(5), pp.DimError, r"softmax: dimension 5"),
    (lambda: f32.mean((0, 0)), pp.DimError, r"mean: dimension named twice"),
    (lambda: f32.permute(0, 0), pp.DimError, r"permute: \[0, 0\] is not an order of the 2 dimensions"),
    (
        lambda: F.embedding(pp.tensor([5]), pp.ones(3, 2)),
        pp.DimError,
        r"embedding: index 5 \(first bad one at position \[0\]\) is out of range for dimension 0 of size 3",
    ),
    (lambda: pp.gather(f32, 1, pp.tensor([[7]])), pp.DimError, r"gather: index 7"),
    (lambda: f32.topk(9), pp.DimError, r"topk: k=9 is out of range for dimension 1 of size 3"),
    (
        lambda: F.cross_entropy(f32, pp.tensor([0, 7])),
        pp.DimError,
        r"Target 7 is out of bounds: there are 3 classes, 0 to 2 at position 1.*inside cross_entropy",
    ),
    # types
    (
        lambda: f32 @ i64,
        pp.DTypeError,
        r"matmul of pappus.float32 with pappus.int64: both must have one type; convert with \.to\(pappus.float32\)",
    ),
    (lambda: i64.mean(), pp.DTypeError, r"mean of pappus.int64.*x\.float\(\)\.mean\(\)"),
    (lambda: F.gelu(i64), pp.DTypeError, r"gelu of pappus.int64: only floating-point tensors; use x\.float\(\)"),
    (
        lambda: F.cross_entropy(f32, pp.ones(2)),
        pp.DTypeError,
        r"cross_entropy: expected target dtype to be Long.*target\.long\(\)",
    ),
    (
        lambda: pp.where(f32, f32, f32),
        pp.DTypeError,
        r"where: the condition.*must be a bool tensor, got pappus.float32; use condition != 0",
    ),
    (lambda: -pp.tensor([True]), pp.DTypeError, r"neg is not defined for bool"),
    (lambda: pp.tensor([True]) - pp.tensor([True]), pp.DTypeError, r"sub is not defined.*\^"),
    (
        lambda: i64.add_(1.5),
        pp.DTypeError,
        r"add_: the result has type float32 and cannot be stored in place in a int64 tensor; use the out-of-place",
    ),
    (lambda: i64.masked_fill(i64 > 0, math.inf), pp.ArgumentError, r"inf is not a value of pappus.int64"),
    (lambda: i64 & 1.5, pp.DTypeError, r"bitwise_and"),
    (
        lambda: pp.index_select(f32, 0, pp.ones(1)),
        pp.DTypeError,
        r"index_select: the index must be an integer tensor.*index\.long\(\)",
    ),
    # arguments
    (
        lambda: pp.softmax(),
        pp.ArgumentError,
        r"softmax: argument 'self' is missing; the signature is softmax\(Tensor self, int dim=-1",
    ),
    (lambda: pp.matmul(f32), pp.ArgumentError, r"matmul: argument 'other' is missing"),
    (lambda: f32.softmax(dmi=1), pp.ArgumentError, r"softmax: has no argument 'dmi'; did you mean 'dim'\?"),
    (lambda: pp.exp(f32, 1, 2), pp.ArgumentError, r"exp: takes at most 1 positional arguments, got 3"),
    (lambda: pp.split(f32, 1, split_size=0), pp.ArgumentError, r"split: argument 'split_size' is given twice"),
    (lambda: pp.zeros(2, dtyp=pp.int8), pp.ArgumentError, r"zeros: has no argument 'dtyp'; did you mean 'dtype'"),
    (
        lambda: pp.split(f32),
        pp.ArgumentError,
        r"split: argument 'split_size' is missing; the signature is split\(self, split_size, dim=0\)",
    ),
    (lambda: pp.eye(2, 3, 4), pp.ArgumentError, r"eye: takes at most 2 positional"),
    (lambda: pp.linspace(0, 1), pp.ArgumentError, r"linspace: argument 'steps' is missing"),
    (
        lambda: pp.relu([1.0]),
        pp.ArgumentError,
        r"relu: argument 'self' must be a Tensor, got list; wrap it with pappus.tensor",
    ),
    (lambda: pp.add(f32, "a"), pp.ArgumentError, r"add: argument 'other' must be a Tensor, got str"),
    (lambda: pp.relu(np.ones(2)), pp.ArgumentError, r"must be a Tensor, got ndarray; wrap"),
    (lambda: f32.sum("a"), pp.ArgumentError, r"sum: argument 'dim' must be an int, got str"),
    (lambda: pp.cat(f32), pp.ArgumentError, r"cat: argument 'tensors' must be a list of Tensors, got Tensor"),
    (lambda: pp.cat([f32, 1]), pp.ArgumentError, r"cat: argument 'tensors' must be a Tensor, got int"),
    (lambda: F.gelu(f32, approximate="x"), pp.ArgumentError, r"approximate must be 'none' or 'tanh', got 'x'"),
    (
        lambda: pp.mse_loss(f32, f32, reduction="avg"),
        pp.ArgumentError,
        r"'avg' is not a valid value for reduction; use 'mean', 'sum' or 'none'",
    ),
    (lambda: f32.sum(dtype="float33"), pp.PappusError, r"dtype"),
    (lambda: pp.dropout(f32, 1.5), pp.ArgumentError, r"dropout: .*between 0 and 1, got 1.5"),
    (lambda: pp.tensor([[1, 2], [3]]), pp.ArgumentError, r"ragged"),
    (lambda: pp.tensor("a"), pp.ArgumentError, r"cannot make a tensor from str"),
    (lambda: pp.randint(5, 5, (2,)), pp.ArgumentError, r"randint: low \(5\) must be below high \(5\)"),
    (lambda: pp.arange(0, 5, 0), pp.ArgumentError, r"arange: step must not be 0"),
]


@pytest.mark.parametrize(("call", "kind", "text"), CASES, ids=range(len(CASES)))
def test_message(call: Callable[[], Any], kind: type[Exception], text: str) -> None:
    error = fail(call)
    assert isinstance(error, kind), type(error)
    shown = str(error)
    assert re.search(text, shown, re.S), shown
    line = inspect.getsourcelines(call)[1]
    assert error.location is not None, f"no line: {shown}"
    assert re.search(rf"test_messages\.py:{line}$", shown), shown


def test_operator_operands_and_line_are_attributes() -> None:
    error = fail(lambda: f32 + pp.ones(4))
    assert error.op == "add" and error.operands == "float32[2, 3], float32[4]" and error.location is not None
    assert str(error).count("add") == 1


def test_composites_name_the_operator_that_was_called() -> None:
    error = fail(lambda: F.mse_loss(f32, pp.ones(2, 4)))
    assert error.op == "sub" and error.outer == ("mse_loss", "float32[2, 3], float32[2, 4]")


def test_the_line_is_the_users_also_through_modules() -> None:
    model = pp.nn.Sequential(pp.nn.Linear(3, 4), pp.nn.ReLU(), pp.nn.Linear(5, 2))
    error = fail(lambda: model(f32))
    line = inspect.currentframe().f_lineno - 1  # type: ignore[union-attr]
    assert f"test_messages.py:{line}" in str(error) and "in_features=5" in str(error)


def test_errors_are_also_the_builtin_ones() -> None:
    """Code written for PyTorch catches RuntimeError, IndexError, TypeError, ValueError, NotImplementedError."""
    for name, kinds in {
        "ShapeError": (RuntimeError, ValueError),
        "DimError": (IndexError, RuntimeError),
        "DTypeError": (RuntimeError, TypeError),
        "ArgumentError": (RuntimeError, ValueError, TypeError),
        "AutogradError": (RuntimeError,),
        "InplaceError": (RuntimeError,),
        "UnsupportedError": (NotImplementedError,),
        "CaptureError": (RuntimeError,),
    }.items():
        cls = getattr(errors, name)
        assert getattr(pp, name) is cls and issubclass(cls, pp.PappusError) and all(issubclass(cls, k) for k in kinds)


def test_other_spellings_of_arguments() -> None:
    x = pp.arange(6.0).reshape(2, 3)
    assert pp.sum(input=x, axis=1).tolist() == x.sum(dim=1).tolist() and x.sum(axis=0, keepdims=True).shape == (1, 3)
    assert pp.max(input=x, axis=1).values.tolist() == [2.0, 5.0] and pp.softmax(input=x, dim=0).shape == (2, 3)
    assert pp.split(input=x, split_size=1)[0].shape == (1, 3) and pp.matmul(input=x, other=x.T).shape == (2, 2)
    assert pp.pow(input=x, exponent=2)[1, 2] == 25 and x.reshape(shape=(3, 2)).shape == (3, 2)


def test_names_that_do_not_exist() -> None:
    with pytest.raises(AttributeError, match="did you mean"):
        pp.sofmax  # noqa: B018 - the look-up is tested


def test_backward_of_what_has_no_gradient() -> None:
    x = pp.ones(2, requires_grad=True)
    with pp.no_grad():
        y = x * 2
    assert "no_grad" in str(fail(lambda: y.sum().backward()))
    assert "test_messages.py" in str(fail(lambda: y.sum().backward()))


# -- PyTorch's own messages, and what each lacks: shared/ENGINE.md, section 1.2 -------------------


class Net(pp.nn.Module):
    """Layers with names."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder = pp.nn.Sequential(pp.nn.ReLU(), pp.nn.Linear(4, 5))
        self.stem = pp.nn.Conv2d(3, 8, 3)

    def forward(self, x: pp.Tensor) -> pp.Tensor:
        return self.encoder(x) if x.ndim == 2 else self.stem(x)  # type: ignore[no-any-return]


def here(offset: int) -> str:
    """`file:line` of the calling line plus `offset`."""
    return f"test_messages.py:{inspect.currentframe().f_back.f_lineno + offset}"  # type: ignore[union-attr]


def test_in_place_on_a_saved_tensor_names_who_made_it_and_who_changed_it() -> None:
    x = pp.ones(2, requires_grad=True)
    y = x.exp()
    y.add_(1)
    made, changed = here(-2), here(-1)
    text = str(fail(lambda: y.sum().backward()))
    assert re.search(rf"exp\(\) at \S*{made} saved its result.*add_\(\) at \S*{changed} then changed it", text), text
    assert "out-of-place" in text and "clone()" in text


def test_a_wrong_linear_names_its_path_the_dimension_and_in_features() -> None:
    text = str(fail(lambda: Net()(pp.ones(2, 3))))
    for part in ("3 features in its last dimension", "in_features=4", "in layer 'encoder.1' (Linear)"):
        assert part in text, text


def test_a_wrong_convolution_names_its_path() -> None:
    text = str(fail(lambda: Net()(pp.ones(1, 4, 8, 8))))
    assert "expected input[1, 4, 8, 8] to have 3 channels, but got 4" in text and "in layer 'stem' (Conv2d)" in text


def test_targets_of_cross_entropy() -> None:
    text = str(fail(lambda: F.cross_entropy(pp.ones(2, 3), pp.ones(2))))
    assert "expected target dtype to be Long or Byte" in text
    assert "target.long()" in text and "class probabilities of the input's size [2, 3]" in text
    text = str(fail(lambda: F.cross_entropy(pp.ones(2, 3), pp.tensor([0, 7]))))
    assert "Target 7 is out of bounds" in text and "3 classes" in text and "position 1" in text


def test_backward_twice_names_the_first_one() -> None:
    x = pp.ones(2, requires_grad=True)
    loss = (x * x).sum()
    loss.backward()
    first = here(-1)
    text = str(fail(loss.backward))
    assert f"released by the backward at {'tests/frontend/' if 'tests/' in text else ''}{first}" in text, text
    assert "retain_graph=True" in text and "detach()" in text


def test_backward_without_gradient_says_where_the_history_was_cut() -> None:
    x = pp.ones(2, requires_grad=True)
    y = (x.detach() * 2).sum()
    cut = here(-1)
    text = str(fail(y.backward))
    assert "does not require grad" in text and re.search(rf"detach\(\) at \S*{cut}", text), text
    with pp.no_grad():
        z = (x * 2).sum()
    cut = here(-2)
    text = str(fail(z.backward))
    assert re.search(rf"no_grad at \S*{cut}", text), text
    text = str(fail((x > 0).sum().backward))
    assert "its type is pappus.int64, and only floating-point and complex tensors have gradients" in text


def test_anomaly_says_the_line_in_the_error_itself() -> None:
    x = pp.zeros(2, requires_grad=True)
    y = x.sqrt()
    line = here(-1)
    with pp.autograd.detect_anomaly():
        text = str(fail((y * 0).sum().backward))
    assert "Function 'SqrtBackward0' returned nan values in its 0th output" in text
    assert re.search(rf"sqrt\(\) called at \S*{line}", text), text
