"""Checkpointing: the same gradients with less kept."""

from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any, NamedTuple

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.errors import AutogradError, InplaceError
from pappus.utils.checkpoint import checkpoint, checkpoint_sequential


def model(depth: int = 3, width: int = 6) -> Any:
    pp.manual_seed(0)
    layers = [m for _ in range(depth) for m in (pp.nn.Linear(width, width), pp.nn.Tanh())]
    return pp.nn.Sequential(*layers).double()


def grads(loss: Any, leaves: Any) -> list[Any]:
    for leaf in leaves:
        leaf.grad = None
    loss.backward()
    return [leaf.grad.numpy() for leaf in leaves]


def same(found: list[Any], expected: list[Any]) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("reentrant", [None, True, False])
def test_gradients_of_arguments_and_parameters(reentrant: bool | None) -> None:
    net = model()
    x = pp.randn(5, 6, dtype=pp.float64, requires_grad=True)
    leaves = [x, *net.parameters()]
    y = checkpoint(net, x, use_reentrant=reentrant)
    assert y.grad_fn.name() == "CheckpointBackward" and "test_checkpoint.py" in y.grad_fn.location
    same(grads((y * y).sum(), leaves), grads((net(x) ** 2).sum(), leaves))


def test_between_other_operators_and_nested() -> None:
    net = model()
    x = pp.randn(5, 6, dtype=pp.float64, requires_grad=True)
    leaves = [x, *net.parameters()]

    def inner(a: Any) -> Any:
        return checkpoint(net, a.sin()) + a

    y = checkpoint(inner, x * 2).exp()
    same(grads(y.sum(), leaves), grads((net((x * 2).sin()) + x * 2).exp().sum(), leaves))


class Pair(NamedTuple):
    one: Any
    two: Any


def test_results_of_any_nesting() -> None:
    x = pp.tensor([1.0, 2.0], requires_grad=True)

    def function(x: Any, *, factor: float) -> Any:
        return {"a": [x * factor, x.detach()], "b": Pair(x.argmax(), "text"), "c": x}

    found = checkpoint(function, x, factor=3.0)
    assert isinstance(found["b"], Pair) and found["b"].two == "text" and found["b"].one.item() == 1
    assert found["a"][0].requires_grad and not found["a"][1].requires_grad and found["c"] is not x
    (found["a"][0].sum() + found["c"].sum()).backward()
    assert x.grad.tolist() == [4.0, 4.0]


def test_unused_result() -> None:
    x = pp.tensor([1.0, 2.0], requires_grad=True)
    one, _ = checkpoint(lambda x: (x * 2, x * 3), x)
    one.sum().backward()
    assert x.grad.tolist() == [2.0, 2.0]


def test_nothing_to_record() -> None:
    calls = []
    net = model()
    with pp.no_grad():
        assert not checkpoint(net, pp.ones(1, 6, dtype=pp.float64)).requires_grad
    assert checkpoint(lambda x: calls.append(x) or x * 2, pp.ones(2)).grad_fn is None
    assert len(calls) == 1


def test_runs_twice_and_keeps_nothing() -> None:
    seen = []

    def function(x: Any) -> Any:
        seen.append(pp.is_grad_enabled())
        for _ in range(20):
            x = (x * 1.01).sin()
        return x

    x = pp.ones(100_000, requires_grad=True)
    tracemalloc.start()
    y = checkpoint(function, x)
    kept = tracemalloc.get_traced_memory()[0]
    y.sum().backward()
    tracemalloc.stop()
    assert seen == [True, True]
    assert kept < 3 * 400_000  # the result and little else; recorded, it would be 40 arrays of 400 kB


def test_random_numbers_are_drawn_again() -> None:
    pp.manual_seed(3)
    x = pp.ones(1000, requires_grad=True)
    y = checkpoint(lambda x: pp.nn.functional.dropout(x * 2, 0.5), x)
    after = pp.rand(2)
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    pp.manual_seed(3)
    pp.nn.functional.dropout(pp.ones(1000), 0.5)
    np.testing.assert_array_equal(after.numpy(), pp.rand(2).numpy())
    y = checkpoint(lambda x: pp.nn.functional.dropout(x * 2, 0.5), x, preserve_rng_state=False)
    x.grad = None
    y.sum().backward()
    assert (x.grad.numpy() != y.detach().numpy()).any()


def test_grad_and_gradient_of_gradient() -> None:
    x = pp.tensor([0.5, -1.0], dtype=pp.float64, requires_grad=True)
    w = pp.tensor(2.0, dtype=pp.float64, requires_grad=True)

    def second(y: Any) -> list[Any]:
        (first,) = pp.autograd.grad(y, x, create_graph=True)
        return [g.numpy() for g in pp.autograd.grad(first.pow(2).sum(), [x, w])]

    found = second(checkpoint(lambda x: (x * w).sin(), x).sum())
    for a, b in zip(found, second((x * w).sin().sum()), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-14)


def test_sequential() -> None:
    net = model(4)
    x = pp.randn(5, 6, dtype=pp.float64, requires_grad=True)
    leaves = [x, *net.parameters()]
    expected = grads(net(x).sum(), leaves)
    for segments in (1, 2, 3, 8):
        same(grads(checkpoint_sequential(net, segments, x).sum(), leaves), expected)
    same(grads(checkpoint_sequential(list(net.children()), 3, x).sum(), leaves), expected)
    with pytest.raises(pp.ArgumentError, match="between 1 and the number of modules, 8; got 9"):
        checkpoint_sequential(net, 9, x)


def test_contexts() -> None:
    entered = []

    @contextlib.contextmanager
    def note(name: str) -> Any:
        entered.append(name)
        yield

    x = pp.ones(2, requires_grad=True)
    y = checkpoint(lambda x: x * 2, x, context_fn=lambda: (note("first"), note("second")))
    assert entered == ["first"]
    y.sum().backward()
    assert entered == ["first", "second"]


def test_argument_changed_in_place() -> None:
    x = pp.ones(2, requires_grad=True) * 1
    y = checkpoint(lambda x: x.sin(), x)
    with pp.no_grad():
        x.add_(1)
    with pytest.raises(InplaceError, match=r"checkpoint at .*test_checkpoint.py:\d+: add_\(\) at .*test_checkpoint.py"):
        y.sum().backward()


def test_other_results_the_second_time() -> None:
    sizes = [2, 3]
    x = pp.ones(5, requires_grad=True)
    y = checkpoint(lambda x: x[: sizes.pop()] * 2, x)
    with pytest.raises(AutogradError, match=r"float32\[3\] at first, then float32\[2\]"):
        y.sum().backward()


def test_not_a_function() -> None:
    with pytest.raises(pp.ArgumentError, match=r"needs a function to call, got Tensor(.|\n)*test_checkpoint.py"):
        checkpoint(pp.ones(2), pp.ones(2))
