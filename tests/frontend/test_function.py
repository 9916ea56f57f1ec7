"""Functions with a gradient of the user's own."""

from __future__ import annotations

import gc
import weakref
from typing import Any, ClassVar

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.errors import ArgumentError, AutogradError, InplaceError
from pappus.frontend.function import Function, once_differentiable


class Exp(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        y = x.exp()
        ctx.save_for_backward(y)
        return y

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        (y,) = ctx.saved_tensors
        return grad * y


class Scale(Function):
    """The setup_context form, with an argument that is no tensor."""

    @staticmethod
    def forward(x: Any, factor: float) -> Any:
        return x * factor

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        _, ctx.factor = inputs

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.factor, None


def leaf(*values: float, dtype: Any = pp.float64) -> Any:
    return pp.tensor(list(values), dtype=dtype, requires_grad=True)


def test_forward_and_gradient() -> None:
    x = leaf(0.0, 1.0, -2.0)
    y = Exp.apply(x)
    assert y.grad_fn.name() == "ExpBackward"
    assert "test_function.py" in y.grad_fn.location
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), np.exp([0.0, 1.0, -2.0]))


def test_between_other_operators_and_twice() -> None:
    x = leaf(0.3)
    y = Exp.apply(x * 2) * Exp.apply(x)
    y.backward()
    np.testing.assert_allclose(x.grad.numpy(), 3 * np.exp([0.9]))


def test_setup_context_form() -> None:
    x = leaf(1.0, 2.0)
    Scale.apply(x, 3.0).sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_gradient_of_gradient_goes_through_saved_results() -> None:
    x = leaf(0.7)
    (first,) = pp.autograd.grad(Exp.apply(x), x, create_graph=True)
    (second,) = pp.autograd.grad(first, x, create_graph=True)
    (third,) = pp.autograd.grad(second, x)
    np.testing.assert_allclose([g.item() for g in (first, second, third)], np.exp(0.7))


def test_without_grad_there_is_no_node() -> None:
    with pp.no_grad():
        assert Exp.apply(leaf(1.0)).grad_fn is None
    assert not Exp.apply(pp.ones(2)).requires_grad


def test_forward_is_not_recorded() -> None:
    seen = []

    class Look(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * 2
            seen.append(y.requires_grad)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            seen.append(pp.is_grad_enabled())
            return grad * 2

    Look.apply(leaf(1.0)).sum().backward()
    assert seen == [False, False]


def test_needs_input_grad_and_several_arguments() -> None:
    seen = []

    class Mul(Function):
        @staticmethod
        def forward(ctx: Any, a: Any, name: str, b: Any) -> Any:
            ctx.save_for_backward(a, b)
            return a * b

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            seen.append(ctx.needs_input_grad)
            a, b = ctx.saved_tensors
            return grad * b, None, grad * a

    a, b = leaf(2.0), pp.tensor([5.0], dtype=pp.float64)
    Mul.apply(a, "x", b).backward()
    assert a.grad.item() == 5.0 and b.grad is None
    assert seen == [(True, False, False)]


def test_gradients_are_summed_to_broadcast_operands_and_cast() -> None:
    class Add(Function):
        @staticmethod
        def forward(ctx: Any, a: Any, b: Any) -> Any:
            return a + b

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad, grad.double()

    a, b = pp.ones(3, 2, requires_grad=True), pp.ones(2, requires_grad=True)
    Add.apply(a, b).sum().backward()
    assert b.grad.tolist() == [3.0, 3.0] and b.grad.dtype is pp.float32
    assert a.grad.shape == (3, 2)


class MinMax(Function):
    """Two results, the second integer; None or zeros arrive for what was not used."""

    got: ClassVar[list[Any]] = []
    materialize = True

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.set_materialize_grads(MinMax.materialize)
        where = x.argmax()
        fixed = x.floor()
        ctx.mark_non_differentiable(fixed)
        return x * 2, x * 3, where, fixed, "text"

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        MinMax.got = list(grads)
        return sum(g * f for g, f in zip(grads[:2], (2, 3), strict=True) if g is not None)


@pytest.mark.parametrize("materialize", [True, False])
def test_results_without_gradient(materialize: bool) -> None:
    MinMax.materialize = materialize
    x = leaf(1.0, 4.0)
    double, triple, where, fixed, text = MinMax.apply(x)
    assert text == "text" and where.item() == 1
    assert double.requires_grad and triple.requires_grad
    assert not where.requires_grad and not fixed.requires_grad
    triple.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]
    unused = MinMax.got[0]
    assert unused.tolist() == [0.0, 0.0] if materialize else unused is None
    assert MinMax.got[4] is None


class Clamp_(Function):
    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x > 0)
        x.clamp_(min=0)
        ctx.mark_dirty(x)
        return x

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad * ctx.saved_tensors[0]


def test_in_place() -> None:
    x = leaf(-1.0, 2.0)
    y = x * 3
    z = Clamp_.apply(y)
    assert z is y
    (y * 2).sum().backward()
    assert x.grad.tolist() == [0.0, 6.0]


def test_in_place_on_leaf_is_refused() -> None:
    with pytest.raises(InplaceError, match="leaf tensor that requires grad"):
        Clamp_.apply(leaf(1.0))


def test_dirty_must_be_returned() -> None:
    class Wrong(Clamp_):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.mark_dirty(x)
            return x * 1

    with pytest.raises(AutogradError, match="must also be returned"):
        Wrong.apply(leaf(1.0) * 1)


def test_returning_the_argument() -> None:
    class Same(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad * 10

    x = leaf(1.0)
    y = Same.apply(x)
    assert y is not x and y.grad_fn is not None and x.grad_fn is None
    y.backward()
    assert x.grad.item() == 10.0


def test_saved_tensor_changed_in_place() -> None:
    x = leaf(1.0)
    y = Exp.apply(x)
    with pp.no_grad():
        y.add_(1)
    with pytest.raises(InplaceError, match=r"Exp at .*test_function.py:\d+ saved a tensor.*add_\(\) at .*function.py"):
        y.sum().backward()


def test_second_backward() -> None:
    y = Exp.apply(leaf(1.0))
    y.backward(retain_graph=True)
    y.backward()
    with pytest.raises(AutogradError, match="backward a second time through Exp"):
        y.backward()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (lambda g: (g, g, g), "returned 3 gradients for the 2 arguments"),
        (lambda g: g, "returned 1 gradients for the 2 arguments"),
        (lambda g: (g, g), "argument 1 of forward, which is not a tensor"),
        (lambda g: (1.0, None), "returned float as gradient 0"),
    ],
)
def test_wrong_gradients(given: Any, message: str) -> None:
    class Wrong(Scale):
        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return given(grad)

    with pytest.raises(AutogradError, match=message):
        Wrong.apply(leaf(1.0), 2.0).backward()


def test_trailing_none_is_allowed() -> None:
    class More(Scale):
        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return grad, None, None

    x = leaf(1.0)
    More.apply(x, 2.0).backward()
    assert x.grad.item() == 1.0


def test_wrong_use() -> None:
    with pytest.raises(AutogradError, match=r"call Exp.apply\(...\)"):
        Exp()

    class Saves(Exp):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(3.0)
            return x * 1

    with pytest.raises(ArgumentError, match=r"ctx.save_for_backward takes tensors, got float(.|\n)*test_function.py"):
        Saves.apply(leaf(1.0))


def test_once_differentiable() -> None:
    class Square(Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        @once_differentiable
        def backward(ctx: Any, grad: Any) -> Any:
            (x,) = ctx.saved_tensors
            return pp.from_numpy(2 * x.detach().numpy() * grad.detach().numpy())

    x = leaf(3.0)
    Square.apply(x).backward()
    assert x.grad.item() == 6.0
    (first,) = pp.autograd.grad(Square.apply(x), x, create_graph=True)
    assert first.item() == 6.0
    with pytest.raises(AutogradError, match="Square: its backward is marked once_differentiable"):
        first.backward()


def test_hooks_and_retain_grad() -> None:
    x = leaf(2.0)
    y = Exp.apply(x)
    y.retain_grad()
    seen: list[float] = []
    y.register_hook(lambda g: seen.append(g.item()))
    (y * 5).backward()
    assert y.grad.item() == 5.0 and seen == [5.0]


def test_no_reference_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        y = Exp.apply(leaf(1.0))
        gone = weakref.ref(y.grad_fn)
        del y
        assert gone() is None
    finally:
        gc.enable()
