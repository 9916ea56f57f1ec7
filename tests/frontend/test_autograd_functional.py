"""autograd.functional and batched gradients against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from torch_oracle import flat, same, torch

import pappus as pp

X = np.linspace(-1.0, 1.4, 6).reshape(2, 3)
V = np.linspace(0.2, 0.9, 3)


def two(m: Any) -> Callable[..., Any]:
    return lambda x, v: ((x @ v).tanh(), (x * v).sum() ** 2)


CALLS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "jacobian": lambda m, x, v: m.autograd.functional.jacobian(lambda x: (x * x) @ v, x),
    "jacobian of several": lambda m, x, v: m.autograd.functional.jacobian(two(m), (x, v)),
    "jacobian forward": lambda m, x, v: m.autograd.functional.jacobian(
        lambda x: (x * x) @ v, x, vectorize=True, strategy="forward-mode"),
    "hessian": lambda m, x, v: m.autograd.functional.hessian(lambda x: ((x @ v) ** 3).sum(), x),
    "hessian of several": lambda m, x, v: m.autograd.functional.hessian(lambda x, v: ((x @ v) ** 3).sum(), (x, v)),
    "vjp": lambda m, x, v: m.autograd.functional.vjp(lambda x: (x @ v).exp(), x, v[:2]),
    "vjp of several": lambda m, x, v: m.autograd.functional.vjp(two(m), (x, v), (v[:2], v[0])),
    "vjp without v": lambda m, x, v: m.autograd.functional.vjp(lambda x: (x @ v).sum(), x),
    "jvp": lambda m, x, v: m.autograd.functional.jvp(lambda x: (x @ v).exp(), x, x + 1),
    "jvp of several": lambda m, x, v: m.autograd.functional.jvp(two(m), (x, v), (x + 1, v * 2)),
    "vhp": lambda m, x, v: m.autograd.functional.vhp(lambda x, v: ((x @ v) ** 3).sum(), (x, v), (x + 1, v)),
    "hvp": lambda m, x, v: m.autograd.functional.hvp(lambda x: ((x @ v) ** 3).sum(), x, x + 1),
}  # fmt: skip


@pytest.mark.parametrize("name", CALLS)
def test_call_equals_torch(name: str) -> None:
    ours = CALLS[name](pp, pp.tensor(X), pp.tensor(V))
    theirs = CALLS[name](torch, torch.tensor(X), torch.tensor(V))
    same(flat(ours), flat(theirs), tolerance=1e-9)
    assert not any(t.requires_grad for t in flat(ours))


def test_create_graph() -> None:
    for m in (pp, torch):
        x = m.tensor(X, requires_grad=True)
        jacobian = m.autograd.functional.jacobian(lambda x: (x**3).sum(0), x, create_graph=True)
        (jacobian**2).sum().backward()
        assert np.allclose(x.grad.numpy(), 36 * X**3)
        assert not m.autograd.functional.jacobian(lambda x: (x**3).sum(0), x).requires_grad


def test_strict_and_wrong_calls() -> None:
    f = pp.autograd.functional
    x, y = pp.ones(2), pp.ones(2)
    with pytest.raises(pp.AutogradError, match="result 0 does not depend on input 1"):
        f.jacobian(lambda x, y: x * 2, (x, y), strict=True)
    assert f.jacobian(lambda x, y: x * 2, (x, y))[1].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    with pytest.raises(pp.AutogradError, match="v can be left out"):
        f.vjp(lambda x: x * 2, x)
    with pytest.raises(pp.ArgumentError, match="v has shapes"):
        f.jvp(lambda x: x * 2, x, pp.ones(3))
    with pytest.raises(pp.AutogradError, match="one element"):
        f.hessian(lambda x: x * 2, x)
    with pytest.raises(pp.ArgumentError, match="inputs must be a Tensor"):
        f.jacobian(lambda x: x * 2, 3.0)


def test_batched_gradients() -> None:
    found = []
    for m in (pp, torch):
        x, w = m.tensor(X, requires_grad=True), m.tensor(V, requires_grad=True)
        unused = m.ones(2, requires_grad=True)
        y = (x @ w).tanh()
        seeds = m.eye(2, dtype=m.float64)
        grads = m.autograd.grad(y, (x, w), seeds, retain_graph=True, is_grads_batched=True)
        some = m.autograd.grad(y, (unused, x), seeds, is_grads_batched=True, allow_unused=True)
        assert some[0] is None
        found.append([*grads, some[1]])
    same(found[0], found[1])


def test_unused_inputs() -> None:
    for m in (pp, torch):
        x, unused = m.ones(2, requires_grad=True), m.ones(2, requires_grad=True)
        y = (x * 2).sum()
        with pytest.raises(RuntimeError):
            m.autograd.grad(y, (x, unused), retain_graph=True)
        assert m.autograd.grad(y, (x, unused), retain_graph=True, allow_unused=True)[1] is None
        assert m.autograd.grad(y, (x, unused), materialize_grads=True, retain_graph=True)[1].tolist() == [0.0, 0.0]
        with pytest.raises(ValueError, match="allow_unused"):
            m.autograd.grad(y, x, materialize_grads=True, allow_unused=False)
