"""Calls that PyTorch refuses and Pappus refuses too: each error names the call, the rule and the user's line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import pappus as pp

X, N = pp.ones(3), pp.tensor([1, 2, 3])


@pytest.mark.parametrize("name", [
    "maximum", "minimum", "fmax", "fmin", "atan2", "hypot", "logaddexp", "logical_and", "logical_or", "logical_xor",
])  # fmt: skip
def test_operators_of_two_tensors_take_no_number(name: str) -> None:
    for operands in ((X, 2.0), (2.0, X), (2.0, 3.0)):
        with pytest.raises(pp.ArgumentError, match="must be a Tensor, got float"):
            getattr(pp, name)(*operands)


@pytest.mark.parametrize("name", ["eq", "ne", "lt", "le", "gt", "ge", "fmod"])
def test_the_first_operand_is_a_tensor(name: str) -> None:
    with pytest.raises(pp.ArgumentError, match="argument 'self' must be a Tensor"):
        getattr(pp, name)(2, X)
    assert getattr(pp, name)(X, 2).shape == (3,)


@pytest.mark.parametrize("name", ["add", "mul", "pow", "remainder", "floor_divide"])
def test_one_operand_is_a_tensor(name: str) -> None:
    with pytest.raises(pp.ArgumentError, match="at least one operand must be a Tensor"):
        getattr(pp, name)(2, 3)


def test_a_number_beside_a_tensor_has_the_tensors_kind() -> None:
    small = pp.tensor([200], dtype=pp.uint8)
    assert pp.fmod(small, 7).dtype is pp.uint8 and (small == 200).item()
    assert pp.where(X > 0, 1, 2).dtype is pp.int64


WRONG: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: pp.isclose(X, 2), pp.ArgumentError, "argument 'other' must be a Tensor, got int"),
    (lambda: pp.isclose(X, X, rtol=-1), pp.ArgumentError, "must not be negative"),
    (lambda: pp.clamp(2, max=X), pp.ArgumentError, "must be a Tensor, got int"),
    (lambda: pp.cat([X, None]), pp.ArgumentError, "entry 1 is None"),
    (lambda: pp.masked_fill(X, X > 0, pp.ones(1)), pp.ShapeError, "0-d tensor"),
    (lambda: pp.masked_fill(N, N > 0, pp.tensor(1j)), pp.DTypeError, "complex value"),
    (lambda: pp.narrow(X, 0, -4, 1), pp.DimError, "start -4 is out of range"),
    (lambda: pp.narrow(X, 0, 0, -1), pp.ShapeError, "length must not be negative"),
    (lambda: pp.narrow(X, 0, pp.tensor(True), 1), pp.ArgumentError, "0-d integer tensor"),
    (lambda: pp.rot90(pp.ones(2, 2), 1, (1, 1)), pp.DimError, "two different dimensions"),
    (lambda: pp.multinomial(pp.ones(1, 2, 3), 2), pp.ShapeError, "vector or a matrix"),
    (lambda: pp.multinomial(N, 2), pp.DTypeError, "floating point"),
    (lambda: pp.multinomial(X, 0), pp.ArgumentError, "must be positive"),
    (lambda: pp.multinomial(pp.tensor([1.0, float("nan")]), 1), pp.ArgumentError, "finite and non-negative"),
    (lambda: pp.normal(0.0, -1.0, (2,)), pp.ArgumentError, "deviation must not be negative"),
    (lambda: X.clone().normal_(0, -1), pp.ArgumentError, "deviation must not be negative"),
    (lambda: X.clone().uniform_(3, -1), pp.ArgumentError, "above the upper bound"),
    (lambda: pp.arange(0, 1, -3), pp.ArgumentError, "leads away from end"),
    (lambda: pp.arange(0, float("inf")), pp.ArgumentError, "must be finite"),
    (lambda: pp.linspace(0, 1, 2.5), pp.ArgumentError, "steps must be an int"),
    (lambda: pp.linspace(0, 1, -1), pp.ArgumentError, "must not be negative"),
    (lambda: pp.max_pool3d(pp.ones(1, 0, 2, 2), 1), pp.ShapeError, "positive size"),
    (lambda: pp.hsplit(pp.ones(2, 3), 2), pp.ShapeError, "2 sections do not divide"),
    (lambda: pp.vsplit(X, 1), pp.ShapeError, "at least 2 dimensions"),
    (lambda: pp.tensor_split(X, pp.tensor(2.0)), pp.ArgumentError, "must be int64"),
    (lambda: pp.histc(X, 4, 1.0, float("inf")), pp.ArgumentError, "finite and rising"),
    (lambda: pp.aminmax(X, out=(pp.empty((), dtype=pp.float64),) * 2), pp.DTypeError, "expected out tensor"),
    (lambda: pp.masked_select(X, X > 0, out=X), pp.InplaceError, "share their memory"),
]


@pytest.mark.parametrize("number", range(len(WRONG)))
def test_refused(number: int) -> None:
    call, kind, text = WRONG[number]
    with pytest.raises(kind, match=text) as caught:
        call()
    assert "test_ops_refusals.py" in str(caught.value)


@pytest.mark.parametrize("join", ["cat", "stack", "hstack", "vstack", "dstack", "column_stack", "meshgrid"])
def test_lists_of_tensors_have_nothing_else_in_them(join: str) -> None:
    call, x = getattr(pp, join), pp.ones(2)
    with pytest.raises(pp.ArgumentError, match=f"{join}: every entry must be a Tensor, entry 1 is None"):
        call([x, None])
    with pytest.raises(pp.ArgumentError, match=f"{join} needs at least one tensor"):
        call([])
