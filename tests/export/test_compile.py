"""`pp.compile`: the same results as eager, whatever changes between calls."""

from __future__ import annotations

import collections
import copy
import pickle
import warnings
from typing import Any

import numpy as np
import pytest

import pappus as pp

nn = pp.nn
pytestmark = pytest.mark.filterwarnings("error::UserWarning")


def mlp() -> Any:
    pp.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Linear(8, 3)).eval()


def count(compiled: Any) -> int:
    return len(compiled._compiled.programs)


def same(found: Any, wanted: Any) -> None:
    np.testing.assert_allclose(found.numpy(), wanted.numpy(), rtol=1e-5, atol=1e-6)
    assert found.dtype is wanted.dtype


@pp.no_grad()
def test_values_are_those_of_eager_and_sizes_may_change() -> None:
    model = mlp()
    fast = pp.compile(model)
    for rows, programs in ((4, 1), (4, 1), (2, 2), (7, 2), (1, 2), (4, 2)):
        x = pp.randn(rows, 6)
        same(fast(x), model(x))
        assert count(fast) == programs  # the second size makes a program for any number of rows


@pp.no_grad()
def test_static_and_dynamic() -> None:
    model = mlp()
    static, dynamic = pp.compile(model, dynamic=False), pp.compile(model, dynamic=True)
    for rows in (4, 2, 1):
        x = pp.randn(rows, 6)
        same(static(x), model(x))
        same(dynamic(x), model(x))
    assert count(static) == 3 and count(dynamic) == 1


@pp.no_grad()
def test_the_least_recently_used_program_goes() -> None:
    fast = pp.compile(lambda x: x * 2 + 1, dynamic=False, options={"cache_size": 2})
    for rows in (1, 2, 1, 3, 1):
        same(fast(pp.ones(rows)), pp.full((rows,), 3.0))
    assert [entry.sizes for _, entry in fast._compiled.programs] == [[(3,)], [(1,)]]


def test_a_wanted_gradient_runs_eagerly() -> None:
    model = mlp()
    fast = pp.compile(model)
    loss = fast(pp.randn(2, 6)).sum()
    loss.backward()
    assert count(fast) == 0 and model[0].weight.grad is not None
    model.requires_grad_(False)
    assert not fast(pp.randn(2, 6)).requires_grad and count(fast) == 1
    assert fast(pp.randn(2, 6, requires_grad=True)).requires_grad


WAYS = {
    "optimizer": lambda m: step(m),
    "in place": lambda m: m[0].weight.mul_(2.0),
    "data": lambda m: m[0].weight.data.mul_(2.0),
    "a view of data": lambda m: m[0].weight.data[0].mul_(2.0),
    "detach": lambda m: m[0].bias.detach().add_(1.0),
    "state dict": lambda m: m.load_state_dict({k: v + 1 for k, v in m.state_dict().items()}),
    "new parameter": lambda m: setattr(m[0], "weight", nn.Parameter(pp.ones(8, 6))),
    "new data": lambda m: setattr(m[0].weight, "data", pp.ones(8, 6)),
    "new layer": lambda m: m.__setitem__(1, nn.Tanh()),
    "one more layer": lambda m: m.append(nn.Tanh()),
}


def step(model: Any) -> None:
    for p in model.parameters():
        p.grad = pp.ones_like(p)
    pp.optim.SGD(model.parameters(), lr=0.1).step()


@pp.no_grad()
@pytest.mark.parametrize("way", WAYS)
def test_changes_are_seen(way: str) -> None:
    model, x = mlp(), pp.randn(2, 6)
    fast = pp.compile(model)
    before = fast(x)
    WAYS[way](model)
    for _ in range(3):  # eagerly at first, then by a new program
        same(fast(x), model(x))
    assert not np.allclose(before.numpy(), model(x).numpy()) and count(fast) >= 1


@pp.no_grad()
def test_numbers_that_keep_changing_are_not_captured_each_time() -> None:
    model, x = mlp(), pp.randn(2, 6)
    fast = pp.compile(model)
    for _ in range(5):
        same(fast(x), model(x))
        step(model)
    assert count(fast) == 0
    for _ in range(2):
        same(fast(x), model(x))
    assert count(fast) == 1


@pp.no_grad()
def test_modes_and_attributes_of_modules_are_seen() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2.0

        def forward(self, x: Any) -> Any:
            return x * self.scale + (1.0 if self.training else 0.0)

    model = Net()
    fast, x = pp.compile(model), pp.ones(3)
    assert fast(x).tolist() == [3.0] * 3
    model.eval()
    assert fast(x).tolist() == [2.0] * 3 and count(fast) == 2
    fast.train()
    assert model.training and fast.training and fast(x).tolist() == [3.0] * 3 and count(fast) == 2
    fast.scale = 5.0
    assert model.scale == 5.0 and fast(x).tolist() == [6.0] * 3


@pp.no_grad()
def test_batch_norm_in_training_changes_its_buffers() -> None:
    def make() -> Any:
        pp.manual_seed(1)
        return nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4))

    model, plain = make(), make()
    fast = pp.compile(model)
    for i in range(4):
        x = pp.randn(5, 6)
        same(fast(x), plain(x))
        for name, buffer in plain.named_buffers():
            same(model.get_buffer(name), buffer)
        if i == 1:  # a change from outside goes into the program's state
            model[1].running_mean.add_(1.0)
            plain[1].running_mean.add_(1.0)
    model.eval(), plain.eval()
    same(fast(x), plain(x))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        same(fast(x), plain(x))
    assert not seen


def branch(x: Any) -> Any:
    if x.sum() > 0:  # the line that is named
        return x + 1
    return x - 1


@pp.no_grad()
def test_a_branch_on_values_runs_eagerly_with_one_warning() -> None:
    fast = pp.compile(branch)
    with pytest.warns(UserWarning, match=r"branch runs eagerly.*test_compile.py:\d+: bool\(\) needs the value") as seen:
        assert fast(pp.ones(2)).tolist() == [2.0, 2.0]
    assert len(seen) == 1 and seen[0].filename == __file__
    assert fast(-pp.ones(2)).tolist() == [-2.0, -2.0] and fast(pp.ones(3)).tolist() == [2.0] * 3
    with pytest.raises(pp.CaptureError, match="needs the value of a tensor"):
        pp.compile(branch, fullgraph=True)(pp.ones(2))


@pp.no_grad()
def test_an_operator_without_a_kernel_runs_eagerly() -> None:
    fast = pp.compile(lambda x: pp.sort(x)[0])
    with pytest.warns(UserWarning, match="sort and topk have no kernel"):
        assert fast(pp.tensor([2.0, 1.0])).tolist() == [1.0, 2.0]
    with pytest.raises(pp.export.UnsupportedOperators):
        pp.compile(lambda x: pp.sort(x)[0], fullgraph=True)(pp.ones(2))


class Counting(nn.Module):
    """Python state that forward changes, which no program can do."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.seen = 0, []

    def forward(self, x: Any) -> Any:
        self.calls += 1
        self.seen.append(self.calls)
        return x * self.calls


@pp.no_grad()
def test_python_state_runs_eagerly_and_is_left_alone_by_the_capture() -> None:
    model = Counting()
    fast = pp.compile(model)
    with pytest.warns(UserWarning, match=r"test_compile.py:\d+: Counting changes"):
        assert fast(pp.ones(1)).item() == 1.0
    assert fast(pp.ones(1)).item() == 2.0 and model.seen == [1, 2]


@pp.no_grad()
def test_a_cache_in_an_attribute() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.last: Any = None

        def forward(self, x: Any) -> Any:
            out = x if self.last is None else x + self.last
            self.last = out
            return out

    fast = pp.compile(Net())
    with pytest.warns(UserWarning, match=r"test_compile.py:\d+: Net changes 'last'"):
        assert fast(pp.ones(2)).tolist() == [1.0, 1.0]
    assert fast(pp.ones(2)).tolist() == [2.0, 2.0]


@pp.no_grad()
def test_arguments_changed_in_place_run_eagerly() -> None:
    def change(x: Any) -> Any:
        x.add_(1.0)
        return x * 2

    x = pp.ones(2)
    with pytest.warns(UserWarning, match=r"test_compile.py:\d+: inputs.0 changes an argument in place"):
        assert pp.compile(change)(x).tolist() == [4.0, 4.0]
    assert x.tolist() == [2.0, 2.0]


@pp.no_grad()
def test_random_numbers_run_eagerly() -> None:
    model = nn.Dropout(0.5)
    fast = pp.compile(model)
    with pytest.warns(UserWarning, match="runs eagerly"):
        pp.manual_seed(3)
        found = fast(pp.ones(50))
    pp.manual_seed(3)
    assert found.tolist() == model(pp.ones(50)).tolist()
    model.eval()
    assert fast(pp.ones(3)).tolist() == [1.0] * 3 and count(fast) == 1


@pp.no_grad()
def test_hooks_run_eagerly() -> None:
    model, seen = mlp(), []
    fast = pp.compile(model)
    fast(pp.ones(1, 6))
    handle = model[0].register_forward_hook(lambda *_: seen.append(1))
    with pytest.warns(UserWarning, match="Linear has hooks"):
        fast(pp.ones(1, 6))
    assert seen == [1]
    handle.remove()
    fast(pp.ones(1, 6))
    assert seen == [1]


Pair = collections.namedtuple("Pair", "first second")


@pp.no_grad()
def test_nested_arguments_and_results() -> None:
    def run(pair: Any, *rest: Any, scale: float = 1.0, names: Any = None) -> Any:
        a, (b, c) = pair["a"], pair["rest"]
        total = a + b * scale + c
        for r in rest:
            total = total - r
        return {"sum": total, 3: [a * 2, "text", None], "pair": Pair(b, (c,))}

    fast = pp.compile(run)
    a, b, c, d = (pp.randn(2, 3) for _ in range(4))
    for scale in (1.0, 2.0, 2.0):
        wanted = run({"a": a, "rest": (b, c)}, d, d, scale=scale)
        found = fast({"a": a, "rest": (b, c)}, d, d, scale=scale)
        assert list(found) == ["sum", 3, "pair"] and type(found["pair"]) is Pair and found[3][1:] == ["text", None]
        same(found["sum"], wanted["sum"])
        same(found["pair"].second[0], c)
        same(found[3][0], a * 2)
    assert count(fast) == 2  # one for each scale
    same(fast({"a": a, "rest": (b, c)}, a, d)["sum"], run({"a": a, "rest": (b, c)}, a, d)["sum"])


@pp.no_grad()
def test_types_and_arrays_of_arguments() -> None:
    fast = pp.compile(lambda x: x + x)
    assert fast(pp.tensor([1, 2])).dtype is pp.int64
    assert fast(pp.tensor([1.0, 2.0])).dtype is pp.float32
    assert fast(np.ones(2, "float32")).tolist() == [2.0, 2.0] and count(fast) == 3
    x = pp.arange(6.0).reshape(2, 3)
    same(pp.compile(lambda x: x * 2)(x.T), x.T * 2)


@pp.no_grad()
def test_a_method_a_closure_and_a_decorator() -> None:
    model = mlp()
    weight, factor = pp.ones(3), 2.0

    @pp.compile
    def run(x: Any) -> Any:
        """Doc."""
        return model(x) * weight * factor

    x = pp.randn(2, 6)
    same(run(x), model(x) * 2)
    weight.add_(1.0)
    for _ in range(3):
        same(run(x), model(x) * 4)
    factor = 3.0
    for _ in range(3):
        same(run(x), model(x) * 6)
    step(model)
    same(run(x), model(x) * 6)
    assert run.__doc__ == "Doc."
    same(pp.compile(model.forward)(x), model(x))
    decorator = pp.compile(fullgraph=True)
    same(decorator(model)(x), model(x))


@pp.no_grad()
def test_an_index_out_of_range_raises_as_in_eager() -> None:
    table = nn.Embedding(4, 2).eval()
    fast = pp.compile(table)
    same(fast(pp.tensor([1, 3])), table(pp.tensor([1, 3])))
    with pytest.raises(IndexError):
        fast(pp.tensor([1, 9]))
    same(fast(pp.tensor([0, 2])), table(pp.tensor([0, 2])))


@pp.no_grad()
def test_the_face_of_the_module() -> None:
    model = mlp()
    fast = pp.compile(model)
    assert isinstance(fast, nn.Module) and fast._orig_mod is model and pp.compile(fast) is fast
    assert list(fast.state_dict()) == list(model.state_dict()) == [n for n, _ in fast.named_parameters()]
    fast.load_state_dict({f"_orig_mod.{k}": v * 0 for k, v in model.state_dict().items()})
    assert fast(pp.ones(1, 6)).tolist() == [[0.0] * 3]
    assert not fast.training and fast.train().training and model.training
    model.note = "x"
    assert fast.note == "x"
    with pytest.raises(AttributeError, match="nothing"):
        _ = fast.nothing
    for other in (copy.deepcopy(fast), pickle.loads(pickle.dumps(fast))):
        assert other._orig_mod is not model and other(pp.ones(1, 6)).tolist() == [[0.0] * 3]
    assert fast(pp.ones(1, 6)).tolist() == [[0.0] * 3]
    fast.reset()
    assert count(fast) == 0


def test_modes_see_the_operators_and_switches() -> None:
    model = mlp()
    fast, x = pp.compile(model), pp.ones(1, 6)
    with pp.no_grad(), pp.autocast("cpu"):
        assert fast(x).dtype is pp.bfloat16 and count(fast) == 0
    assert len(pp.export.export(fast, (x,)).graph.nodes) >= 3
    with pp.no_grad():
        for options in ({"disable": True}, {"backend": "eager"}):
            off = pp.compile(model, **options)
            same(off(x), model(x))
            assert count(off) == 0
        same(pp.compile(model, mode="max-autotune", backend="inductor", options={"threads": 1})(x), model(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tvm"}, "known are runtime, inductor, eager"),
        ({"mode": "fast"}, "mode='fast'"),
        ({"options": {"tiles": 3}}, "unknown tiles; known are cache_size, threads"),
    ],
)
def test_wrong_options_are_refused(options: Any, message: str) -> None:
    with pytest.raises(pp.ArgumentError, match=message):
        pp.compile(abs, **options)
    with pytest.raises(pp.ArgumentError, match="module or function"):
        pp.compile(3)


@pp.no_grad()
def test_a_convolutional_network() -> None:
    pp.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU6(), nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, groups=8, padding=1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    ).eval()  # fmt: skip
    fast = pp.compile(model, fullgraph=True)
    for size in ((2, 3, 8, 8), (2, 3, 8, 8), (1, 3, 8, 8), (1, 3, 12, 10)):
        x = pp.randn(*size)
        same(fast(x), model(x))
