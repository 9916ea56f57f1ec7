"""Hooks and extra state of modules' state dicts, to_empty, type and sparse_, beside PyTorch where it is installed."""

import copy

import pytest

import pappus as pp


def libraries():
    return [pp, pytest.importorskip("torch")]


def counting(nn):
    """A layer that counts its calls, which is no tensor."""

    class Counting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(2, 1)
            self.calls = 0

        def get_extra_state(self):
            return {"calls": self.calls}

        def set_extra_state(self, state):
            self.calls = state["calls"]

    return Counting()


def tell(log, name, module, *more):
    """A call of a hook, without tensors."""
    log.append((name, type(module).__name__, *(sorted(m) if isinstance(m, (dict, list)) else m for m in more)))


def hooked(library):
    nn, log = library.nn, []
    net = nn.Sequential(nn.Linear(2, 2), counting(nn))
    for name, at in (("net", net), ("inner", net[1]), ("linear", net[1].linear)):
        at.register_state_dict_pre_hook(lambda m, p, k, name=name: tell(log, f"{name} save", m, p, k))
        at.register_state_dict_post_hook(lambda m, s, p, _, name=name: tell(log, f"{name} saved", m, s, p))
        at.register_load_state_dict_pre_hook(
            lambda m, s, p, _, strict, *lists, name=name: tell(log, f"{name} load", m, s, p, *lists)
        )
        at.register_load_state_dict_post_hook(lambda m, keys, name=name: tell(log, f"{name} loaded", m, *keys))
    net.load_state_dict(net.state_dict())
    return log


def test_hooks_are_called_as_torch_calls_them():
    ours, theirs = map(hooked, libraries())
    assert ours == theirs and len(ours) == 12


def test_extra_state_is_saved_and_loaded_with_the_tensors():
    for library in libraries():
        one, two = counting(library.nn), counting(library.nn)
        one.calls = 7
        state = one.state_dict()
        assert list(state) == ["_extra_state", "linear.weight", "linear.bias"] and state["_extra_state"] == {"calls": 7}
        two.load_state_dict(state)
        assert two.calls == 7
        del state["_extra_state"]
        with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "_extra_state"'):
            two.load_state_dict(state)
        with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "linear._extra_state"'):
            two.load_state_dict({**one.state_dict(), "linear._extra_state": 1})
        nested = library.nn.Sequential(one)
        assert next(iter(nested.state_dict())) == "0._extra_state"


def test_a_module_without_extra_state_says_so():
    layer = pp.nn.Linear(1, 1)
    for call in (layer.get_extra_state, lambda: layer.set_extra_state(1)):
        with pytest.raises(RuntimeError, match="define get_extra_state and set_extra_state"):
            call()


def test_extra_state_that_fails_to_load_leaves_nothing_unsaid():
    layer = counting(pp.nn)
    with pytest.raises(KeyError):
        layer.load_state_dict({**layer.state_dict(), "_extra_state": {}})


def test_pre_hooks_rename_entries_and_report_errors():
    for library in libraries():
        net = library.nn.Sequential(library.nn.Linear(1, 1))
        state = {"0.w": library.ones(1, 1), "0.bias": library.zeros(1)}

        def rename(module, state, prefix, *rest):
            assert all(name.startswith(prefix) for name in state)
            state[prefix + "weight"] = state.pop(prefix + "w")

        handle = net[0].register_load_state_dict_pre_hook(rename)
        net.load_state_dict(state)
        assert net[0].weight.item() == 1 and "0.w" in state
        handle.remove()
        with pytest.raises(RuntimeError, match="Unexpected key"):
            net.load_state_dict(state)
        net[0].register_load_state_dict_pre_hook(lambda *given: given[-1].append("too old"))
        with pytest.raises(RuntimeError, match="too old"):
            net.load_state_dict(net.state_dict())


def test_post_hooks_change_what_is_found():
    for library in libraries():
        layer = library.nn.Linear(1, 1)
        layer.register_load_state_dict_post_hook(lambda m, keys: keys.missing_keys.clear())
        found = layer.load_state_dict({"weight": library.full((1, 1), 3.0)})
        assert not found.missing_keys and layer.weight.item() == 3
        with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "x"'):
            layer.load_state_dict({"weight": library.zeros(1, 1), "x": library.zeros(1)})
        layer.register_state_dict_post_hook(lambda m, state, prefix, meta: state.pop(prefix + "bias") and None)
        assert list(layer.state_dict(prefix="a.")) == ["a.weight"]


def test_hooks_that_return_something_are_refused():
    layer = pp.nn.Linear(1, 1)
    handle = layer.register_state_dict_post_hook(lambda *_: {})
    with pytest.raises(RuntimeError, match="state_dict post-hook must return None"):
        layer.state_dict()
    handle.remove()
    layer.register_load_state_dict_post_hook(lambda *_: 1)
    with pytest.raises(RuntimeError, match="load_state_dict post-hook must return None"):
        layer.load_state_dict(layer.state_dict())


def test_state_dict_adds_to_a_destination_and_takes_the_prefix_as_it_is():
    for library in libraries():
        state = {"before": 1}
        found = library.nn.Linear(1, 1).state_dict(destination=state, prefix="a")
        assert found is state and list(state) == ["before", "aweight", "abias"]


def test_hooks_survive_a_deep_copy():
    log = []
    layer = pp.nn.Linear(1, 1)
    layer.register_state_dict_pre_hook(lambda *_: log.append(1))
    copy.deepcopy(layer).state_dict()
    assert log == [1]


def test_to_empty_keeps_shapes_types_and_objects():
    for library in libraries():
        net = library.nn.Sequential(library.nn.Linear(2, 3).double(), library.nn.BatchNorm1d(3))
        weight = net[0].weight
        assert net.to_empty(device="cpu") is net and net[0].weight is weight
        assert weight.dtype is library.float64 and tuple(weight.shape) == (3, 2) and weight.requires_grad
        assert net[1].num_batches_tracked.dtype is library.int64
        with pytest.raises(TypeError):
            net.to_empty()


def test_type_converts_everything():
    for library in libraries():
        norm = library.nn.BatchNorm1d(3)
        assert norm.type(library.float64) is norm
        assert {t.dtype for t in [*norm.parameters(), *norm.buffers()]} == {library.float64}


@pytest.mark.parametrize(("rows", "columns", "sparsity", "zeros"), [(10, 3, 0.75, 8), (7, 2, 0.0, 0), (5, 4, 1.0, 5)])
def test_sparse_leaves_a_share_of_each_column(rows, columns, sparsity, zeros):
    for library in libraries():
        weight = library.nn.Parameter(library.ones(rows, columns))
        assert library.nn.init.sparse_(weight, sparsity, std=0.5) is weight and weight.requires_grad
        assert (weight == 0).sum(0).tolist() == [zeros] * columns
    with pytest.raises(ValueError, match="Only tensors with 2 dimensions are supported"):
        pp.nn.init.sparse_(pp.ones(3), 0.1)


def test_sparse_follows_its_generator():
    draws = [pp.nn.init.sparse_(pp.empty(6, 2), 0.5, generator=pp.Generator().manual_seed(3)) for _ in range(2)]
    assert pp.equal(*draws)
