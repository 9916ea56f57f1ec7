"""pp.func against torch.func: derivatives, vmap over every operator's samples, per-sample gradients, ensembles."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operator_samples import fresh, samples_of
from torch_oracle import flat, numbers, same, torch

import pappus as pp
from pappus.frontend.func.batching import RULES
from pappus.frontend.opdef import OPS

X = np.linspace(-1.5, 2.0, 12).reshape(4, 3)
W = np.linspace(0.3, 1.2, 6).reshape(3, 2)


def equal(program: Callable[[Any, Any, Any], Any]) -> None:
    """`program(library, x, w)` gives the same in both libraries."""
    ours = program(pp, pp.tensor(X), pp.tensor(W))
    theirs = program(torch, torch.tensor(X), torch.tensor(W))
    same(flat(ours), flat(theirs), tolerance=1e-9)
    for one in flat(ours):
        assert not isinstance(one, pp.Tensor) or not one.requires_grad


PROGRAMS: dict[str, Callable[[Any, Any, Any], Any]] = {
    "grad": lambda m, x, w: m.func.grad(lambda x: (x.sin() ** 2).sum())(x),
    "grad by two": lambda m, x, w: m.func.grad(lambda x, w: ((x @ w) ** 3).sum(), argnums=(0, 1))(x, w),
    "grad of grad": lambda m, x, w: m.func.grad(lambda x: (m.func.grad(lambda x: (x**4).sum())(x) ** 2).sum())(x),
    "grad and value": lambda m, x, w: m.func.grad_and_value(lambda x: (x.exp() @ w).sum())(x),
    "aux": lambda m, x, w: m.func.grad(lambda x: ((x * x).sum(), x @ w), has_aux=True)(x),
    "unused": lambda m, x, w: m.func.grad(lambda x, w: (x * x).sum(), argnums=1)(x, w),
    "vjp": lambda m, x, w: m.func.vjp(lambda x, w: (x @ w).tanh(), x, w)[1](m.ones(4, 2, dtype=m.float64)),
    "vjp of several": lambda m, x, w: m.func.vjp(lambda x: (x.sin(), x.sum(0)), x)[1]((x, x[0])),
    "jvp": lambda m, x, w: m.func.jvp(lambda x, w: (x @ w).tanh(), (x, w), (x * 2, w + 1)),
    "jvp of several": lambda m, x, w: m.func.jvp(lambda x: (x.sin(), x.sum(0) ** 2), (x,), (x + 1,)),
    "linearize": lambda m, x, w: m.func.linearize(lambda x: (x @ w).sin(), x)[1](x + 2),
    "jacrev": lambda m, x, w: m.func.jacrev(lambda x: (x @ w).tanh())(x),
    "jacrev by two": lambda m, x, w: m.func.jacrev(lambda x, w: (x @ w).tanh(), argnums=(0, 1))(x, w),
    "jacrev of several": lambda m, x, w: m.func.jacrev(lambda x: {"a": x.sin(), "b": (x * x).sum()})(x)["b"],
    "jacrev in chunks": lambda m, x, w: m.func.jacrev(lambda x: (x @ w).tanh(), chunk_size=3)(x),
    "jacfwd": lambda m, x, w: m.func.jacfwd(lambda x: (x @ w).tanh())(x),
    "jacfwd by two": lambda m, x, w: m.func.jacfwd(lambda x, w: (x @ w).tanh(), argnums=(0, 1))(x, w),
    "hessian": lambda m, x, w: m.func.hessian(lambda x: ((x @ w) ** 3).sum())(x),
    "hessian of softmax": lambda m, x, w: m.func.hessian(lambda x: (x.softmax(-1) * x).sum())(x[:2]),
    "jacobian of jacobian": lambda m, x, w: m.func.jacrev(m.func.jacrev(lambda x: (x**3).sum(0)))(x[:2]),
    "vmap": lambda m, x, w: m.vmap(lambda a: (a @ w).softmax(-1))(x),
    "vmap in dim 1": lambda m, x, w: m.vmap(lambda a, b: a.sum() * b, in_dims=(1, 1), out_dims=1)(x[:, :2], w),
    "vmap nested": lambda m, x, w: m.vmap(m.vmap(lambda a, b: (a * b).sum(), (None, 1)), (0, None))(x, w),
    "vmap of dicts": lambda m, x, w: m.vmap(lambda d: {"s": d["x"].sum(), "k": d["w"]}, ({"x": 0, "w": None},), {
        "s": 0, "k": None})({"x": x, "w": w})["s"],
    "vmap in chunks": lambda m, x, w: m.vmap(lambda a: a.cumsum(0) * a.max(), chunk_size=3)(x),
    "vmap of grad": lambda m, x, w: m.vmap(m.func.grad(lambda a: ((a @ w) ** 2).sum().exp()))(x * 0.1),
    "vmap of grad by a shared": lambda m, x, w: m.vmap(m.func.grad(lambda w, a: (a @ w).sin().sum()), (None, 0))(w, x),
    "grad of vmap": lambda m, x, w: m.func.grad(lambda w: m.vmap(lambda a: (a @ w).tanh().sum())(x).sum())(w),
    "grad of vmap of grad": lambda m, x, w: m.func.grad(
        lambda w: (m.vmap(m.func.grad(lambda a: ((a @ w).tanh()).sum()))(x) ** 2).sum()
    )(w),
    "vmap of jacrev": lambda m, x, w: m.vmap(m.func.jacrev(lambda a: (a @ w).sin()))(x),
    "vmap of hessian": lambda m, x, w: m.vmap(m.func.hessian(lambda a: ((a @ w) ** 3).sum()))(x),
    "vmap in place": lambda m, x, w: m.vmap(lambda a: _in_place(a * 1, w))(x),
    "vmap of grad in place": lambda m, x, w: m.vmap(m.func.grad(lambda a: (_in_place(a * 1, w) ** 2).sum()))(x),
}  # fmt: skip


def _in_place(y: Any, w: Any) -> Any:
    y[1:].mul_(3)
    y[0] = w[0, 0] * y[2]
    y.add_(1)
    return y


@pytest.mark.parametrize("name", PROGRAMS)
def test_program_equals_torch(name: str) -> None:
    equal(PROGRAMS[name])


def test_derivatives_of_what_a_closure_holds_have_a_history() -> None:
    for m in (pp, torch):
        w = m.tensor([2.0, 3.0], requires_grad=True)
        g = m.func.grad(lambda x: (x * x * w).sum())(m.ones(2))  # noqa: B023 - run at once
        (g * g).sum().backward()
        assert g.requires_grad and w.grad.tolist() == [16.0, 24.0]


# -- vmap over operators --------------------------------------------------------------------------

SKIPPED = {
    "nonzero": "sizes differ between the examples", "masked_select": "sizes differ between the examples",
    "as_strided": "refused: an example has no memory of its own",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(OPS))
def test_vmap_of_an_operator_is_its_stack_over_examples(name: str) -> None:
    op = OPS[name]
    if name in SKIPPED or "random" in op.tags or "dynamic" in op.tags or not samples_of(op):
        pytest.skip(SKIPPED.get(name, "draws numbers, or has no sample"))
    sample = samples_of(op)[-1]
    args, kwargs = fresh(sample.args), fresh(sample.kwargs)
    tensors = [(at, a) for at, a in enumerate(args) if isinstance(a, pp.Tensor) and not a.wrapped]
    if not tensors:
        pytest.skip("the operands come in a list")
    for chosen in ([tensors[0]], tensors):
        scale = 1 if "linalg" in op.tags else 2
        batch = [pp.stack([a, a * scale if a.dtype.is_floating_point else a]) for _, a in chosen]

        def example(*given: Any, chosen: Any = chosen) -> Any:
            full = list(args)
            for (at, _), one in zip(chosen, given, strict=True):
                full[at] = one
            return op(*full, **kwargs)

        want = [flat(example(*[b[i] for b in batch])) for i in range(2)]
        got = flat(pp.vmap(example)(*batch))
        for at, one in enumerate(got):
            for i in range(2):
                assert one[i].shape == want[i][at].shape and one.dtype is want[i][at].dtype
                np.testing.assert_allclose(numbers(one[i]), numbers(want[i][at]), rtol=1e-5, atol=1e-6)


def test_every_rule_is_for_an_operator_that_exists() -> None:
    assert set(RULES) <= set(OPS)


# -- random numbers, branches, wrong calls --------------------------------------------------------


def test_randomness() -> None:
    x = pp.zeros(3, 4)
    different = pp.vmap(lambda a: a + pp.rand(4), randomness="different")(x)
    equal_ones = pp.vmap(lambda a: a + pp.rand(4), randomness="same")(x)
    assert len({tuple(r) for r in different.tolist()}) == 3 and len({tuple(r) for r in equal_ones.tolist()}) == 1
    assert different[0].tolist() != pp.rand(4).tolist()
    dropped = pp.vmap(lambda a: pp.nn.functional.dropout(a, 0.5), randomness="different")(pp.ones(4, 64))
    assert len({tuple(r) for r in dropped.tolist()}) == 4


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "random": (lambda: pp.vmap(lambda a: a + pp.rand(2))(pp.ones(2, 2)), pp.ArgumentError, "randomness='different'"),
    "branch": (lambda: pp.vmap(lambda a: a if a.sum() > 0 else -a)(pp.ones(2, 2)), pp.UnsupportedError, r"pp\.where"),
    "item": (lambda: pp.vmap(lambda a: a * a.sum().item())(pp.ones(2, 2)), pp.UnsupportedError, r"item\(\)"),
    "sizes": (lambda: pp.vmap(pp.add)(pp.ones(2), pp.ones(3)), pp.ShapeError, r"sizes \[2, 3\]"),
    "dimension": (lambda: pp.vmap(pp.neg, in_dims=2)(pp.ones(2, 2)), pp.ArgumentError, "dimension 2 of argument 0"),
    "nothing": (lambda: pp.vmap(pp.neg, in_dims=None)(pp.ones(2, 2)), pp.ArgumentError, "no argument has a batch"),
    "structure": (lambda: pp.vmap(pp.neg, in_dims=(0, 0))(pp.ones(2, 2)), pp.ArgumentError, r"in_dims=\(0, 0\)"),
    "result": (lambda: pp.vmap(lambda a: 3)(pp.ones(2, 2)), pp.ArgumentError, "must return tensors, result 0 is a int"),
    "in place": (
        lambda: pp.vmap(lambda a, b: b.add_(a), in_dims=(0, None))(pp.ones(2, 2), pp.ones(2)),
        pp.InplaceError,
        "not batched",
    ),
    "sizes of results": (lambda: pp.vmap(pp.nonzero)(pp.ones(2, 2)), pp.UnsupportedError, "different sizes"),
    "strides": (lambda: pp.vmap(lambda a: a.as_strided((1,), (1,)))(pp.ones(2, 2)), pp.UnsupportedError, "as_strided"),
    "no scalar": (lambda: pp.func.grad(lambda x: x)(pp.ones(2)), pp.AutogradError, "return a scalar.*vjp or jacrev"),
    "integers": (lambda: pp.func.grad(lambda x: x.sum())(pp.tensor([1])), pp.ArgumentError, "floating-point"),
    "argnums": (lambda: pp.func.grad(lambda x: x.sum(), argnums=1)(pp.ones(1)), pp.ArgumentError, "argnums names"),
    "tangents": (lambda: pp.func.jvp(pp.neg, (pp.ones(2),), (pp.ones(3),)), pp.ArgumentError, "tangents have shapes"),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_calls(name: str) -> None:
    call, kind, text = WRONG[name]
    with pytest.raises(kind, match=text):
        call()
    assert pp.is_grad_enabled() and (pp.ones(1) + 1).item() == 2, "no mode is left behind"


# -- models ---------------------------------------------------------------------------------------


def mlp(m: Any) -> Any:
    return m.nn.Sequential(m.nn.Linear(5, 7), m.nn.Tanh(), m.nn.LayerNorm(7), m.nn.Linear(7, 3))


def cnn(m: Any) -> Any:
    return m.nn.Sequential(
        m.nn.Conv2d(2, 4, 3, padding=1), m.nn.ReLU(), m.nn.MaxPool2d(2), m.nn.Conv2d(4, 6, 3, groups=2), m.nn.GELU(),
        m.nn.Flatten(), m.nn.Linear(6, 3),
    )  # fmt: skip


def twins(make: Callable[[Any], Any]) -> tuple[Any, Any]:
    """The same model with the same weights in both libraries."""
    ours, theirs = make(pp), make(torch)
    theirs.load_state_dict({k: torch.tensor(v.numpy(force=True).copy()) for k, v in ours.state_dict().items()})
    return ours, theirs


@pytest.mark.parametrize(("make", "shape"), [(mlp, (6, 5)), (cnn, (6, 2, 6, 6))])
def test_gradients_of_every_example(make: Any, shape: Any) -> None:
    pp.manual_seed(0)
    ours, theirs = twins(make)
    data, target = np.random.default_rng(0).normal(size=shape).astype(np.float32), np.array([0, 1, 2, 2, 1, 0])
    found = []
    for m, model in ((pp, ours), (torch, theirs)):
        params = {k: v.detach() for k, v in model.named_parameters()}

        def loss(params: Any, x: Any, y: Any, m: Any = m, model: Any = model) -> Any:
            out = m.func.functional_call(model, params, (x.unsqueeze(0),))
            return m.nn.functional.cross_entropy(out, y.unsqueeze(0))

        grads = m.vmap(m.func.grad(loss), in_dims=(None, 0, 0))(params, m.tensor(data), m.tensor(target))
        found.append(grads)
        for at in range(2):
            one = m.func.grad(loss)(params, m.tensor(data[at]), m.tensor(target[at]))
            for name, grad in one.items():
                np.testing.assert_allclose(grads[name][at].numpy(), grad.numpy(), rtol=1e-4, atol=1e-5)
    for name, grad in found[0].items():
        same(grad, found[1][name], tolerance=1e-4)


def test_an_ensemble() -> None:
    pairs = [twins(mlp) for _ in range(3)]
    data = np.random.default_rng(1).normal(size=(4, 5)).astype(np.float32)
    found = []
    for m, models in ((pp, [p[0] for p in pairs]), (torch, [p[1] for p in pairs])):
        params, buffers = m.func.stack_module_state(models)
        base = models[0]

        def run(p: Any, b: Any, x: Any, m: Any = m, base: Any = base) -> Any:
            return m.func.functional_call(base, (p, b), (x,))

        out = m.vmap(run, in_dims=(0, 0, None))(params, buffers, m.tensor(data))
        out.pow(2).sum().backward()
        found.append((out.detach(), {k: v.grad for k, v in params.items()}))
    same(found[0][0], found[1][0], tolerance=1e-5)
    for name, grad in found[0][1].items():
        same(grad, found[1][1][name], tolerance=1e-4)
    for (ours, _), row in zip(pairs, found[0][0], strict=True):
        np.testing.assert_allclose(ours(pp.tensor(data)).numpy(force=True), row.numpy(), rtol=1e-5, atol=1e-6)


def test_functional_call() -> None:
    class Tied(pp.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.a = pp.nn.Linear(2, 2, bias=False)
            self.b = pp.nn.Linear(2, 2, bias=False)
            self.b.weight = self.a.weight
            self.register_buffer("count", pp.zeros(()))

        def forward(self, x: pp.Tensor) -> pp.Tensor:
            self.count.add_(1)
            return self.b(self.a(x))  # type: ignore[no-any-return]

    net = Tied()
    weight, count = net.a.weight, pp.zeros(())
    out = pp.func.functional_call(net, {"a.weight": pp.eye(2) * 3, "count": count}, (pp.ones(1, 2),))
    assert out.tolist() == [[9.0, 9.0]] and net.a.weight is weight and net.b.weight is weight
    assert count.item() == 1 and net.count.item() == 0
    out = pp.func.functional_call(net, {"a.weight": pp.eye(2) * 3}, (pp.ones(1, 2),), tie_weights=False)
    assert not np.allclose(out.numpy(force=True), 9)
    for change, text in (
        (lambda: pp.func.functional_call(net, {"c": pp.eye(2)}, ()), "no parameter or buffer 'c'"),
        (lambda: pp.func.functional_call(net, {}, (), strict=True), "which the dict lacks"),
        (lambda: pp.func.functional_call(net, ({"count": count}, {"count": count}), ()), "several of the dicts"),
    ):
        with pytest.raises(pp.ArgumentError, match=text):
            change()
    with pytest.raises(pp.ShapeError):
        pp.func.functional_call(net, {"a.weight": pp.ones(3, 3)}, (pp.ones(1, 2),))
    assert net.a.weight is weight, "restored after an error"


def test_running_statistics_cannot_be_batched() -> None:
    net = pp.nn.BatchNorm1d(3)
    with pytest.raises(pp.InplaceError, match="not batched"):
        pp.vmap(net)(pp.ones(2, 4, 3))
    net.eval()
    assert pp.vmap(net)(pp.ones(2, 4, 3)).shape == (2, 4, 3)
