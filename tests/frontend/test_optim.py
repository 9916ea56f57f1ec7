"""Optimizers against torch, step by step."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import pappus as pp
from pappus import optim

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:.*:UserWarning")

STEPS = 20
SGD = [
    {"lr": 0.1}, {"lr": 0.1, "momentum": 0.9}, {"lr": 0.1, "momentum": 0.9, "dampening": 0.3},
    {"lr": 0.1, "momentum": 0.9, "nesterov": True}, {"lr": 0.1, "weight_decay": 0.05},
    {"lr": 0.1, "momentum": 0.8, "weight_decay": 0.05, "maximize": True}, {"lr": 0.0},
    {"lr": 0.05, "momentum": 0.5, "nesterov": True, "weight_decay": 0.1, "maximize": True},
]  # fmt: skip
ADAM = [
    {}, {"lr": 0.02, "betas": (0.5, 0.9)}, {"weight_decay": 0.1}, {"amsgrad": True, "lr": 0.05}, {"maximize": True},
    {"eps": 1e-3, "lr": 0.1}, {"betas": (0.0, 0.99)}, {"amsgrad": True, "weight_decay": 0.3, "lr": 0.1},
]  # fmt: skip
CASES = [("SGD", o) for o in SGD] + [("Adam", o) for o in ADAM] + [("AdamW", o) for o in ADAM]
CASES += [("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True})]
SHAPES = [(3, 2), (4,), (), (0, 2)]


def gradients(step, dtype):
    rng = np.random.default_rng(step)
    return [rng.normal(size=shape).astype(dtype) for shape in SHAPES]


def both(dtype):
    start = gradients(1000, dtype)
    theirs = [torch.from_numpy(np.array(a)).requires_grad_() for a in start]
    return theirs, [pp.tensor(a, requires_grad=True) for a in start]


def feed(theirs, ours, step, dtype, skip=()):
    for i, gradient in enumerate(gradients(step, dtype)):
        theirs[i].grad = None if i in skip else torch.from_numpy(np.array(gradient))
        ours[i].grad = None if i in skip else pp.tensor(gradient)


def compare(theirs, ours, dtype):
    tolerance = 1e-12 if dtype == "float64" else 2e-6
    for p, q in zip(theirs, ours, strict=True):
        np.testing.assert_allclose(q.detach().numpy(), p.detach().numpy(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name, options", CASES, ids=str)
def test_twenty_steps_equal_torchs(name, options, dtype):
    theirs, ours = both(dtype)
    first, second = getattr(torch.optim, name)(theirs, **options), getattr(optim, name)(ours, **options)
    for step in range(STEPS):
        # A parameter without a gradient is left alone and keeps its state.
        feed(theirs, ours, step, dtype, skip=(0,) if step in (0, 7) else ())
        first.step()
        second.step()
        compare(theirs, ours, dtype)


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_groups_have_options_of_their_own(name):
    theirs, ours = both("float64")
    more = {"momentum": 0.9} if name == "SGD" else {"betas": (0.8, 0.9)}

    def make(module, params):
        opt = getattr(module, name)([{"params": params[:1], "lr": 0.5}, {"params": params[1], **more}], lr=0.1)
        opt.add_param_group({"params": params[2:], "weight_decay": 0.3})
        return opt

    first, second = make(torch.optim, theirs), make(optim, ours)
    assert [len(g["params"]) for g in second.param_groups] == [1, 1, 2]
    for step in range(STEPS):
        for opt in (first, second):
            opt.param_groups[0]["lr"] = 0.5 / (step + 1)
        feed(theirs, ours, step, "float64")
        first.step()
        second.step()
    compare(theirs, ours, "float64")


@pytest.mark.parametrize(
    "name, options", [("SGD", {"momentum": 0.9}), ("Adam", {"amsgrad": True}), ("AdamW", {})], ids=str
)
def test_a_state_dict_resumes(name, options):
    def run(opt, params, steps):
        for step in steps:
            for param, gradient in zip(params, gradients(step, "float32"), strict=True):
                param.grad = pp.tensor(gradient)
            opt.step()

    _, params = both("float32")
    opt = getattr(optim, name)(params, lr=0.1, **options)
    run(opt, params, range(5))
    saved, values = copy.deepcopy(opt.state_dict()), [p.detach().clone() for p in params]
    run(opt, params, range(5, 10))

    fresh = [v.requires_grad_() for v in values]
    other = getattr(optim, name)(fresh, lr=9.0)
    other.load_state_dict(saved)
    assert other.param_groups[0]["lr"] == 0.1
    run(other, fresh, range(5, 10))
    for p, q in zip(params, fresh, strict=True):
        assert p.tolist() == q.tolist()


@pytest.mark.parametrize("name", ["SGD", "Adam", "AdamW"])
def test_the_state_dict_has_torchs_layout(name):
    theirs, ours = both("float32")
    options = {"momentum": 0.9} if name == "SGD" else {"amsgrad": True}
    first, second = getattr(torch.optim, name)(theirs, **options), getattr(optim, name)(ours, **options)
    feed(theirs, ours, 0, "float32")
    first.step()
    second.step()
    expected, found = first.state_dict(), second.state_dict()
    assert list(found["state"]) == list(expected["state"])
    for index, entries in expected["state"].items():
        assert list(found["state"][index]) == list(entries)
    assert found["param_groups"][0]["params"] == expected["param_groups"][0]["params"]
    shared = set(found["param_groups"][0]) & set(expected["param_groups"][0])
    assert {k: found["param_groups"][0][k] for k in shared} == {k: expected["param_groups"][0][k] for k in shared}
    assert set(expected["param_groups"][0]) <= set(found["param_groups"][0])


def test_state_follows_the_parameters_type():
    param = pp.ones(2, dtype=pp.float64, requires_grad=True)
    opt = optim.Adam([param])
    param.grad = pp.ones(2, dtype=pp.float64)
    opt.step()
    saved = opt.state_dict()
    other = optim.Adam([pp.ones(2, requires_grad=True)])
    other.load_state_dict(saved)
    entries = next(iter(other.state.values()))
    assert entries["exp_avg"].dtype is pp.float32 and entries["step"].item() == 1.0


def test_loading_the_wrong_state_is_refused():
    one = optim.SGD([pp.ones(1, requires_grad=True)])
    two = optim.SGD([pp.ones(1, requires_grad=True), pp.ones(1, requires_grad=True)])
    with pytest.raises(ValueError, match="2 parameters in group 0, this optimizer has 1"):
        one.load_state_dict(two.state_dict())
    two.add_param_group({"params": [pp.ones(1, requires_grad=True)]})
    with pytest.raises(ValueError, match="different number of parameter groups: it has 2, this optimizer has 1"):
        one.load_state_dict(two.state_dict())


def test_closure_zero_grad_and_hooks():
    x = pp.tensor([3.0], requires_grad=True)
    opt, log = optim.SGD([x], lr=0.1), []
    before = opt.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    opt.register_step_post_hook(lambda o, args, kwargs: log.append(o is opt))

    def closure():
        opt.zero_grad()
        loss = (x * x).sum()
        loss.backward()
        return loss

    with pp.no_grad():
        assert opt.step(closure).item() == 9.0
    assert x.item() == pytest.approx(2.4) and log == ["before", True]
    before.remove()
    opt.zero_grad(set_to_none=False)
    assert x.grad.tolist() == [0.0]
    opt.step()
    assert x.item() == pytest.approx(2.4) and log == ["before", True, True]
    opt.zero_grad()
    assert x.grad is None


def test_a_step_leaves_no_history():
    x = pp.tensor([3.0], requires_grad=True)
    opt = optim.Adam([x])
    (x * x).sum().backward()
    opt.step()
    assert x.is_leaf and x.requires_grad and x.grad_fn is None
    assert not any(v.requires_grad for v in opt.state[x].values())


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda p: optim.SGD(p), "iterable of Tensors"),
        (lambda p: optim.SGD([]), "empty parameter list"),
        (lambda p: optim.SGD([p], lr=-1.0), "learning rate: -1.0"),
        (lambda p: optim.SGD([p], momentum=-0.1), "momentum"),
        (lambda p: optim.SGD([p], nesterov=True), "Nesterov"),
        (lambda p: optim.Adam([p], betas=(1.0, 0.9)), "beta parameter at index 0"),
        (lambda p: optim.Adam([p], eps=-1.0), "epsilon"),
        (lambda p: optim.AdamW([p], weight_decay=-1.0), "weight_decay"),
        (lambda p: optim.SGD([{"params": p}, {"params": [p]}]), "more than one parameter group"),
        (lambda p: optim.SGD({p}), "organized in ordered collections"),
        (lambda p: optim.SGD([p], fused=True, foreach=True), "cannot be `True` together"),
        (lambda p: optim.LBFGS([p]).step(), "needs a closure"),
        (lambda p: optim.LBFGS([p], line_search_fn="armijo").step(lambda: p), "only 'strong_wolfe'"),
        (lambda p: optim.Lion([p], betas=(0.9, 1.0)), "beta parameter at index 1"),
        (lambda p: optim.SGD([p * 2]), "non-leaf"),
        (lambda p: optim.SGD(["weight"]), "can only optimize Tensors"),
        (lambda p: optim.SGD([p], lr=float("nan")), "learning rate"),
    ],
)
def test_wrong_options_are_refused(make, message):
    with pytest.raises((ValueError, TypeError, RuntimeError), match=message):
        make(pp.ones(1, requires_grad=True))


def test_repr_and_names():
    layer = pp.nn.Linear(2, 1)
    opt = optim.SGD(layer.named_parameters(), lr=0.1)
    assert opt.state_dict()["param_groups"][0]["param_names"] == ["weight", "bias"]
    assert repr(opt).startswith("SGD (\nParameter Group 0\n    dampening: 0\n") and "    lr: 0.1\n" in repr(opt)


def test_hooks_see_and_replace_arguments():
    x = pp.ones(1, requires_grad=True)
    opt, log = optim.SGD([x], lr=0.5), []
    x.grad = pp.ones(1)
    opt.register_step_pre_hook(lambda o, args, kwargs: (args, {"closure": lambda: log.append("closure")}))
    opt.register_step_post_hook(lambda o, args, kwargs: log.append(sorted(kwargs)))
    everywhere = optim.optimizer.register_optimizer_step_post_hook(lambda o, args, kwargs: log.append(args[0] is o))
    opt.step()
    assert log == ["closure", True, ["closure"]] and x.item() == 0.5
    everywhere.remove()
    opt.register_step_pre_hook(lambda o, args, kwargs: 3)
    with pytest.raises(RuntimeError, match="must return None or a tuple"):
        opt.step()


def test_hooks_run_once_around_an_inherited_step():
    class Doubled(optim.SGD):
        def step(self, closure=None):
            super().step()
            return super().step(closure)

    x, log = pp.ones(1, requires_grad=True), []
    x.grad = pp.ones(1)
    opt = Doubled([x], lr=0.25)
    opt.register_step_pre_hook(lambda *_: log.append(1))
    opt.step()
    assert x.item() == 0.5 and log == [1]


def test_state_dict_hooks():
    x = pp.ones(1, requires_grad=True)
    opt, log = optim.SGD([x], lr=0.5), []
    opt.register_state_dict_pre_hook(lambda o: log.append("saving"))
    opt.register_state_dict_post_hook(lambda o, state: {**state, "mark": 1})
    saved = opt.state_dict()
    assert saved["mark"] == 1 and log == ["saving"]
    opt.register_load_state_dict_pre_hook(lambda o, state: {**state, "state": {0: {"momentum_buffer": pp.ones(1)}}})
    opt.register_load_state_dict_post_hook(lambda o: log.append(len(o.state)))
    opt.load_state_dict(saved)
    assert log == ["saving", 1]


def test_an_optimizer_can_be_copied_and_pickled():
    import pickle

    x = pp.ones(2, requires_grad=True)
    opt = optim.Adam([x], lr=0.5)
    x.grad = pp.ones(2)
    opt.step()
    for other in (copy.deepcopy(opt), pickle.loads(pickle.dumps(opt))):
        (param,) = other.param_groups[0]["params"]
        assert param is not x and other.state[param]["step"].item() == 1.0
        param.grad = pp.ones(2)
        other.step()
        assert param.tolist() != x.tolist()


def test_a_differentiable_step_has_a_gradient():
    start = pp.tensor([1.0, -2.0], dtype=pp.float64, requires_grad=True)
    rate = torch.tensor([1.0, -2.0], dtype=torch.float64, requires_grad=True)

    def run(library, leaf):
        param = leaf.clone()
        opt = library.optim.Adam([param], lr=0.1, differentiable=True)
        for _ in range(2):
            param.grad = leaf * leaf
            opt.step()
        param.sum().backward()
        return leaf.grad

    expected, found = run(torch, rate), run(pp, start)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-9)


@pytest.mark.parametrize("name", ["Adam", "RMSprop", "Adadelta", "NAdam", "Lion"])
def test_large_parameters_are_updated_in_blocks(name):
    """The blocks of a large contiguous parameter, and a strided one at once, give what small parameters give."""
    rng = np.random.default_rng(0)
    values, slopes = (rng.normal(size=(300, 137)).astype("float32") for _ in range(2))

    def run(params, grads):
        opt = getattr(optim, name)(params, lr=0.01)
        for _ in range(3):
            for param, grad in zip(params, grads, strict=True):
                param.grad = pp.tensor(grad)
            opt.step()
        return params

    rows = run([pp.tensor(v, requires_grad=True) for v in values], list(slopes))
    (whole,) = run([pp.tensor(values, requires_grad=True)], [slopes])
    turned = pp.from_numpy(values.T.copy().T).requires_grad_()
    (strided,) = run([turned], [slopes])
    want = np.stack([r.detach().numpy() for r in rows])
    assert np.array_equal(whole.detach().numpy(), want) and np.array_equal(strided.detach().numpy(), want)


def test_half_precision_parameters_round_once():
    for dtype in (pp.float16, pp.bfloat16):
        values = np.linspace(-1, 1, 9).astype("float32")
        wide = pp.tensor(pp.tensor(values).to(dtype).float().numpy(), requires_grad=True)
        short = pp.tensor(values).to(dtype).requires_grad_()
        wide.grad, short.grad = pp.ones(9) * 0.5, (pp.ones(9) * 0.5).to(dtype)
        for param in (wide, short):
            optim.SGD([param], lr=0.125).step()
        assert short.dtype is dtype and short.tolist() == wide.to(dtype).tolist()


def test_an_update_writes_in_place_and_is_seen():
    x = pp.ones(3, requires_grad=True)
    y = (x * x).sum()
    x.grad = pp.ones(3)
    memory = x.detach()
    optim.SGD([x], lr=0.5).step()
    assert memory.tolist() == [0.5] * 3
    with pytest.raises(pp.InplaceError, match="sgd_step"):
        y.backward()


def test_lion_by_hand():
    x = pp.tensor([1.0, -1.0], dtype=pp.float64, requires_grad=True)
    opt = optim.Lion([x], lr=0.1, betas=(0.5, 0.75), weight_decay=0.2)
    x.grad = pp.tensor([2.0, -4.0], dtype=pp.float64)
    opt.step()
    assert x.tolist() == pytest.approx([0.98 - 0.1, -0.98 + 0.1])
    assert opt.state[x]["exp_avg"].tolist() == [0.5, -1.0]
    x.grad = pp.tensor([-0.4, 0.0], dtype=pp.float64)  # half of it is outweighed by half of the momentum
    opt.step()
    assert x.tolist() == pytest.approx([0.88 * 0.98 - 0.1, -0.88 * 0.98 + 0.1])


def test_sparse_adam_leaves_rows_without_gradient():
    table = pp.ones(3, 2, requires_grad=True)
    opt = optim.SparseAdam([table], lr=0.5)
    table.grad = pp.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    opt.step()
    table.grad = pp.tensor([[1.0, 1.0], [0.0, 0.0], [0.0, 0.0]])
    opt.step()
    assert table[2].tolist() == [1.0, 1.0] and table[1].tolist() == pytest.approx([0.5, 1.0], abs=1e-6)
    assert opt.state[table]["exp_avg"][1].tolist() == pytest.approx([0.1, 0.0])
