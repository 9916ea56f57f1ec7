"""Module and the containers: registration, hooks, state dicts, modes, conversion, copies, text and errors."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import pappus as pp
from pappus import nn


class Block(nn.Module):
    def __init__(self, width=3):
        super().__init__()
        self.scale = nn.Parameter(pp.ones(width))
        self.linear = nn.Linear(width, width)
        self.register_buffer("count", pp.zeros((), dtype=pp.int64))
        self.register_buffer("scratch", pp.zeros(2), persistent=False)
        self.note = "plain attribute"

    def forward(self, x, gain=1.0):
        return self.linear(x * self.scale) * gain


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = Block()
        self.rest = nn.Sequential(nn.ReLU(), Block(), nn.BatchNorm1d(3))

    def forward(self, x):
        return self.rest(self.first(x))


def names(pairs):
    return [name for name, _ in pairs]


# -- registration -------------------------------------------------------------------------------


def test_registration_and_walks():
    net = Net()
    assert names(net.named_parameters()) == [
        "first.scale", "first.linear.weight", "first.linear.bias", "rest.1.scale", "rest.1.linear.weight",
        "rest.1.linear.bias", "rest.2.weight", "rest.2.bias",
    ]  # fmt: skip
    assert names(net.named_buffers()) == [
        "first.count", "first.scratch", "rest.1.count", "rest.1.scratch", "rest.2.running_mean", "rest.2.running_var",
        "rest.2.num_batches_tracked",
    ]  # fmt: skip
    assert names(net.named_children()) == ["first", "rest"]
    assert names(net.named_modules()) == [
        "", "first", "first.linear", "rest", "rest.0", "rest.1", "rest.1.linear", "rest.2",
    ]  # fmt: skip
    assert names(net.named_parameters(prefix="m", recurse=False)) == []
    assert names(net.first.named_parameters(prefix="m", recurse=False)) == ["m.scale"]
    assert [type(m).__name__ for m in net.children()] == ["Block", "Sequential"]
    assert len(list(net.parameters())) == 8 and len(list(net.buffers())) == 7 and len(list(net.modules())) == 8
    assert net.get_submodule("rest.1.linear") is net.rest[1].linear and net.get_submodule("") is net
    assert net.get_parameter("first.scale") is net.first.scale
    assert net.get_buffer("first.count") is net.first.count
    for get, path in ((net.get_submodule, "rest.7"), (net.get_parameter, "first.count"), (net.get_buffer, "x")):
        with pytest.raises(AttributeError, match=path.split(".")[-1]):
            get(path)


def test_a_shared_parameter_is_listed_once_but_saved_twice():
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert names(net.named_parameters()) == ["0.weight", "0.bias", "1.bias"]
    assert names(net.named_parameters(remove_duplicate=False)) == ["0.weight", "0.bias", "1.weight", "1.bias"]
    assert list(net.state_dict()) == ["0.weight", "0.bias", "1.weight", "1.bias"]


def test_assignment_changes_the_kind_of_an_attribute():
    block = Block()
    block.note = nn.Parameter(pp.zeros(1))
    assert "note" in names(block.named_parameters())
    block.note = None
    assert block.note is None and "note" not in names(block.named_parameters())
    block.scratch = nn.Buffer(pp.ones(2))
    assert "scratch" in block.state_dict()
    block.linear = nn.Identity()
    assert "linear.weight" not in names(block.named_parameters())
    del block.scale
    assert not hasattr(block, "scale")
    block.scale = 3
    assert block.scale == 3 and names(block.named_parameters()) == []


def test_wrong_assignments_are_refused():
    block = Block()
    with pytest.raises(TypeError, match="parameter 'scale'"):
        block.scale = pp.ones(3)
    with pytest.raises(TypeError, match="child module 'linear'"):
        block.linear = 3
    with pytest.raises(TypeError, match="buffer 'count'"):
        block.count = 3
    with pytest.raises(KeyError, match="already exists"):
        block.register_parameter("note", nn.Parameter(pp.zeros(1)))
    with pytest.raises(KeyError, match="dot"):
        block.register_buffer("a.b", pp.zeros(1))
    with pytest.raises(TypeError, match=r"nn\.Parameter or None"):
        block.register_parameter("new", pp.zeros(1))
    with pytest.raises(TypeError, match=r"nn\.Parameter or None"):
        block.register_parameter("new", nn.Parameter(pp.zeros(1)) * 2)
    with pytest.raises(TypeError):
        block.add_module("new", 3)


def test_super_init_is_demanded():
    class Forgot(nn.Module):
        def __init__(self):
            self.linear = nn.Linear(1, 1)

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Forgot()

    class Bare(nn.Module):
        def __init__(self):
            pass

        def forward(self, x):
            return x

    with pytest.raises(AttributeError, match=r"super\(\).__init__\(\)"):
        Bare()(pp.ones(1))


def test_forward_is_demanded():
    with pytest.raises(NotImplementedError, match="forward"):
        nn.Module()(1)


def test_an_unknown_attribute_is_named():
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'wieght'"):
        _ = Block().wieght


def test_apply_visits_children_first():
    seen = []
    Net().apply(lambda m: seen.append(type(m).__name__))
    assert seen == ["Linear", "Block", "ReLU", "Linear", "Block", "BatchNorm1d", "Sequential", "Net"]


# -- hooks --------------------------------------------------------------------------------------


def test_forward_hooks_see_and_replace():
    block, log = Block(), []
    x = pp.ones(2, 3)
    plain = block(x)

    def before(module, args):
        log.append("before")
        return (args[0] * 2,)

    def after(module, args, output):
        log.append(("after", float(args[0][0, 0])))
        return output + 1

    first, second = block.register_forward_pre_hook(before), block.register_forward_hook(after)
    doubled = block.linear(x * 2) + 1
    assert pp.allclose(block(x), doubled) and log == ["before", ("after", 2.0)]
    first.remove()
    first.remove()
    second.remove()
    assert pp.equal(block(x), plain)


def test_hooks_with_kwargs_order_and_context():
    block, log = Block(), []
    block.register_forward_hook(lambda m, a, o: log.append("a"))
    block.register_forward_hook(lambda m, a, k, o: log.append(k), prepend=True, with_kwargs=True)
    with block.register_forward_pre_hook(lambda m, a, k: (a, {"gain": 0.0}), with_kwargs=True):
        out = block(pp.ones(2, 3), gain=5.0)
    assert log == [{"gain": 0.0}, "a"] and not out.any()
    assert block(pp.ones(2, 3), gain=5.0).any()


def backward_log(torch, values, freeze=False):
    """What backward hooks of both libraries see, and the gradients they leave."""
    nn, log = torch.nn, []
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Bilinear(2, 2, 1))
    for p in net.parameters():
        p.data = torch.tensor(np.linspace(-1, 1, p.numel()).reshape(tuple(p.shape)))

    def numbers(grads):
        return [None if g is None else np.round(g.detach().numpy(), 5).tolist() for g in grads]

    def after(name):
        return lambda module, gin, gout: log.append((name, numbers(gin), numbers(gout)))

    net[0].register_full_backward_hook(after("linear"))
    net[1].register_full_backward_hook(lambda m, gin, gout: (gin[0] * 2,))
    net[1].register_full_backward_hook(after("tanh"))
    net[1].register_full_backward_hook(after("first"), prepend=True)
    net[2].register_full_backward_hook(after("bilinear"))
    net[2].register_full_backward_pre_hook(lambda m, gout: (gout[0] * 10,))
    handle = net[2].register_full_backward_hook(after("removed"))
    handle.remove()
    x = torch.tensor(values, requires_grad=not freeze)
    hidden = net[1](net[0](x))
    net[2](hidden, hidden * 2).sum().backward()
    grads = numbers([x.grad, *[p.grad for p in net.parameters()]])
    return log, grads


@pytest.mark.filterwarnings("ignore:Full backward hook")
@pytest.mark.parametrize("freeze", [False, True])
def test_backward_hooks_see_what_torchs_see(freeze):
    torch = pytest.importorskip("torch")
    values = np.arange(6.0).reshape(2, 3) / 5
    expected, found = backward_log(torch, values, freeze), backward_log(pp, values, freeze)
    assert [name for name, _, _ in found[0]] == [name for name, _, _ in expected[0]]
    for a, b in zip(found, expected, strict=True):
        assert repr(a) == repr(b)


def test_backward_hooks_refuse_what_they_cannot_see():
    class Split(nn.Module):
        def forward(self, x):
            return {"x": x * 2}

    module = Split()
    module.register_full_backward_hook(lambda m, gin, gout: None)
    with pytest.raises(ValueError, match=r"Split has backward hooks.*got dict"):
        module(pp.ones(1, requires_grad=True))
    with pp.no_grad():
        assert module(pp.ones(1))["x"].item() == 2.0
    layer = nn.Linear(1, 1)
    layer.register_full_backward_hook(lambda m, gin, gout: (None, None))
    with pytest.raises(ValueError, match="2 gradients in place of 1"):
        layer(pp.ones(1, 1, requires_grad=True)).sum().backward()


# -- state --------------------------------------------------------------------------------------


def test_state_dict_shares_memory_and_skips_what_is_not_persistent():
    block = Block()
    state = block.state_dict()
    assert list(state) == ["scale", "count", "linear.weight", "linear.bias"]
    assert not state["scale"].requires_grad and state["scale"].is_leaf
    with pp.no_grad():
        block.scale.fill_(7)
    assert state["scale"].tolist() == [7.0] * 3
    assert list(block.state_dict(prefix="m.")) == ["m.scale", "m.count", "m.linear.weight", "m.linear.bias"]
    assert block.state_dict(keep_vars=True)["scale"] is block.scale


def test_load_state_dict_copies_into_the_same_objects():
    one, two = Net(), Net()
    weight = two.first.linear.weight
    assert repr(two.load_state_dict(one.state_dict())) == "<All keys matched successfully>"
    assert two.first.linear.weight is weight and pp.equal(weight, one.first.linear.weight)
    with pp.no_grad():
        one.first.linear.weight.zero_()
    assert weight.any()


def test_load_state_dict_takes_arrays_and_converts_types():
    block = Block()
    state = {k: v.numpy().astype(np.float64) if k != "count" else v.numpy() for k, v in Block().state_dict().items()}
    block.load_state_dict(state)
    assert block.scale.dtype is pp.float32
    np.testing.assert_array_equal(block.linear.weight.detach().numpy(), state["linear.weight"].astype(np.float32))


def test_load_state_dict_is_strict_and_changes_nothing_on_error():
    block = Block()
    before = {k: v.clone() for k, v in block.state_dict().items()}
    state = {k: v + 1 for k, v in before.items() if k != "count"} | {"extra": pp.zeros(1)}
    with pytest.raises(RuntimeError) as error:
        block.load_state_dict(state)
    text = str(error.value)
    assert "Error(s) in loading state_dict for Block" in text
    assert 'Missing key(s) in state_dict: "count"' in text and 'Unexpected key(s) in state_dict: "extra"' in text
    assert all(pp.equal(block.state_dict()[k], v) for k, v in before.items())
    found = block.load_state_dict(state, strict=False)
    assert (found.missing_keys, found.unexpected_keys) == (["count"], ["extra"])
    assert pp.equal(block.scale, before["scale"] + 1)


def test_load_state_dict_refuses_other_sizes():
    with pytest.raises(RuntimeError, match=r"size mismatch for linear.weight: .* \[4, 4\].* \[3, 3\]"):
        Block(3).load_state_dict(Block(4).state_dict(), strict=False)
    with pytest.raises(TypeError, match="dict-like"):
        Block(3).load_state_dict([1, 2])


def test_load_state_dict_can_assign():
    block = Block()
    state = {k: v.double() if k != "count" else v for k, v in Block().state_dict().items()}
    block.load_state_dict(state, assign=True)
    assert block.scale.dtype is pp.float64 and isinstance(block.scale, nn.Parameter) and block.scale.requires_grad
    state["scale"].fill_(5)
    assert block.scale.tolist() == [5.0] * 3


# -- modes and types ----------------------------------------------------------------------------


def test_train_and_eval_reach_every_module():
    net = Net()
    assert net.eval() is net and not any(m.training for m in net.modules())
    net.rest.train()
    assert [m.training for m in net.modules()] == [False, False, False, True, True, True, True, True]
    with pytest.raises(ValueError, match="boolean"):
        net.train("yes")


def test_requires_grad_and_zero_grad():
    net = Net()
    net(pp.randn(4, 3)).sum().backward()
    assert all(p.grad is not None for p in net.parameters())
    net.zero_grad(set_to_none=False)
    assert all(p.grad is not None and not p.grad.any() for p in net.parameters())
    net.zero_grad()
    assert all(p.grad is None for p in net.parameters())
    net.first.requires_grad_(False)
    net(pp.randn(4, 3)).sum().backward()
    assert [p.grad is None for p in net.parameters()] == [True] * 3 + [False] * 5


def test_conversion_keeps_the_objects_and_the_integers():
    net = Net()
    params = list(net.parameters())
    net(pp.randn(4, 3)).sum().backward()
    assert net.double() is net
    assert all(p is q for p, q in zip(params, net.parameters(), strict=True))
    assert all(p.dtype is pp.float64 and p.grad.dtype is pp.float64 for p in params)
    assert net.first.count.dtype is pp.int64 and net.rest[2].running_mean.dtype is pp.float64
    assert net(pp.randn(4, 3, dtype=pp.float64)).dtype is pp.float64
    for dtype in (pp.float16, pp.bfloat16, pp.float32):
        assert net.to(dtype).first.scale.dtype is dtype
    assert net.to("cpu") is net and net.cpu() is net
    assert net.to(pp.ones(1, dtype=pp.float64)).first.scale.dtype is pp.float64
    assert net.half().first.scale.dtype is pp.float16 and net.float().first.scale.dtype is pp.float32
    assert net.bfloat16().first.scale.dtype is pp.bfloat16
    with pytest.raises(TypeError, match="floating point"):
        net.to(pp.int64)
    with pytest.raises(RuntimeError, match="cuda"):
        net.to("cuda")


# -- copies -------------------------------------------------------------------------------------


def through_pickle(net):
    return pickle.loads(pickle.dumps(net))


@pytest.mark.parametrize("clone", [copy.deepcopy, through_pickle])
def test_copies_are_equal_and_independent(clone):
    net = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3), nn.Linear(3, 3))
    net[2].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    net.eval()
    other = clone(net)
    x = pp.randn(4, 3)
    assert pp.equal(other(x), net(x)) and not other.training
    assert other[2].weight is other[0].weight and isinstance(other[0].weight, nn.Parameter)
    assert [p.requires_grad for p in other.parameters()] == [p.requires_grad for p in net.parameters()]
    with pp.no_grad():
        other[0].weight.zero_()
        other[1].running_mean.fill_(9)
    assert net[0].weight.any() and not net[1].running_mean.any()


def test_a_copied_parameter_starts_without_a_gradient():
    layer = nn.Linear(2, 1)
    layer(pp.ones(1, 2)).sum().backward()
    other = copy.deepcopy(layer)
    assert other.weight.grad is None and layer.weight.grad is not None


# -- text and errors ----------------------------------------------------------------------------


def test_repr_nests():
    assert repr(Net()) == (
        "Net(\n"
        "  (first): Block(\n"
        "    (linear): Linear(in_features=3, out_features=3, bias=True)\n"
        "  )\n"
        "  (rest): Sequential(\n"
        "    (0): ReLU()\n"
        "    (1): Block(\n"
        "      (linear): Linear(in_features=3, out_features=3, bias=True)\n"
        "    )\n"
        "    (2): BatchNorm1d(3, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)\n"
        "  )\n"
        ")"
    )
    assert repr(nn.Sequential()) == "Sequential()"


def test_an_error_names_the_layer_and_the_line():
    net = Net()
    net.rest[1].linear = nn.Linear(4, 3)
    with pytest.raises(ValueError) as error:
        net(pp.ones(2, 3))
    text = str(error.value)
    assert "in layer 'rest.1.linear' (Linear)" in text and "test_module.py" in text
    assert text.count("in layer") == 1
    # nothing is left behind: the next error names its own layer
    with pytest.raises(ValueError, match=r"in Linear\b"):
        nn.Linear(4, 3)(pp.ones(2, 3))


def test_a_backward_error_names_the_forward_line():
    layer = nn.Linear(2, 2)
    x = pp.ones(1, 2)
    out = layer(x).relu()
    with pp.no_grad():
        out.mul_(2)
    with pytest.raises(RuntimeError, match=r"test_module\.py"):
        out.sum().backward()


# -- containers ---------------------------------------------------------------------------------


def test_sequential():
    from collections import OrderedDict

    net = nn.Sequential(OrderedDict([("lin", nn.Linear(2, 3)), ("act", nn.ReLU())]))
    assert list(net.state_dict()) == ["lin.weight", "lin.bias"] and len(net) == 2
    assert net[-1] is net.act and isinstance(net[:1], nn.Sequential) and net[:1][0] is net.lin
    net.append(nn.Linear(3, 1)).extend([nn.Identity()])
    assert [type(m).__name__ for m in net] == ["Linear", "ReLU", "Linear", "Identity"]
    net[1] = nn.Tanh()
    assert isinstance(net.act, nn.Tanh)
    del net[-1]
    assert len(net) == 3 and net(pp.ones(1, 2)).shape == (1, 1)
    net.insert(0, nn.Flatten())
    assert isinstance(net[0], nn.Flatten) and len(net) == 4
    assert isinstance(net.pop(0), nn.Flatten) and len(net) == 3
    both = nn.Sequential(nn.ReLU()) + nn.Sequential(nn.Tanh())
    assert [type(m).__name__ for m in both] == ["ReLU", "Tanh"]
    with pytest.raises(IndexError, match="out of range"):
        net[5]


def test_module_list():
    layers = nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    layers += [nn.ReLU()]
    layers.insert(1, nn.Tanh())
    assert [type(m).__name__ for m in layers] == ["Linear", "Tanh", "Linear", "Linear", "ReLU"]
    assert isinstance(layers[1:3], nn.ModuleList) and layers[-1] is layers[4]
    del layers[1]
    assert list(layers.state_dict()) == [f"{i}.{n}" for i in range(3) for n in ("weight", "bias")]
    layers[3] = nn.Sigmoid()
    assert isinstance(layers.pop(), nn.Sigmoid) and len(layers) == 3
    assert len(layers + nn.ModuleList([nn.ReLU()])) == 4
    with pytest.raises(NotImplementedError):
        layers(pp.ones(2))


def test_module_dict():
    heads = nn.ModuleDict({"a": nn.Linear(2, 1), "b": nn.ReLU()})
    heads["c"] = nn.Tanh()
    heads.update([("d", nn.Identity())])
    assert list(heads) == ["a", "b", "c", "d"] and "b" in heads and len(heads) == 4
    assert list(heads.keys()) == list(heads) and next(iter(heads.values())) is heads["a"]
    assert isinstance(heads.pop("b"), nn.ReLU) and "b" not in heads
    del heads["c"]
    assert list(dict(heads.items())) == ["a", "d"] and list(heads.state_dict()) == ["a.weight", "a.bias"]
    heads.clear()
    assert len(heads) == 0


def test_parameter_list_and_dict():
    weights = nn.ParameterList([pp.ones(2), nn.Parameter(pp.zeros(3))])
    weights.append(pp.ones(1))
    weights[0] = pp.zeros(2)
    assert names(weights.named_parameters()) == ["0", "1", "2"] and weights[-1].shape == (1,) and len(weights[:2]) == 2
    assert all(isinstance(w, nn.Parameter) for w in weights)
    named = nn.ParameterDict({"a": pp.ones(2)})
    named["b"] = nn.Parameter(pp.zeros(1))
    assert list(named) == ["a", "b"] and "a" in named and len(named) == 2
    assert names(named.named_parameters()) == ["a", "b"] and isinstance(named["a"], nn.Parameter)
    del named["a"]
    assert list(named.keys()) == ["b"] and list(named.state_dict()) == ["b"]


def test_container_reprs_are_torchs():
    torch = pytest.importorskip("torch")

    def make(nn):
        same = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2), nn.ReLU(), nn.Linear(2, 2)])
        return nn.ModuleDict({"list": same, "empty": nn.ModuleList(), "seq": nn.Sequential(nn.ReLU(), nn.ReLU())})

    assert repr(make(nn)) == repr(make(torch.nn))


def test_parameters_are_tensors():
    p = nn.Parameter(pp.ones(2))
    assert isinstance(p, pp.Tensor) and p.requires_grad and p.is_leaf
    assert not nn.Parameter(pp.ones(2), requires_grad=False).requires_grad
    assert type(p * 2) is pp.Tensor and type(p.detach()) is pp.Tensor
    assert repr(p).startswith("Parameter containing:\n")
    assert not nn.Buffer(pp.ones(2)).requires_grad


# -- what a training step of batch norm looks like when it is captured ---------------------------


def test_running_statistics_are_state_in_a_captured_training_step():
    norm = nn.BatchNorm1d(3)

    def step(x):
        return norm.train()(x)

    program = pp.export.export(step, (pp.randn(4, 3),), check="off")
    writes = sorted(node.attrs["name"] for node in program.graph.nodes if node.op == "state_write")
    assert len(writes) == 3
