"""The functions written from schemas: short ways that must do what the general way does, and when they are written."""

from __future__ import annotations

import builtins
import inspect
import subprocess
import sys
import threading
import traceback
from typing import Any

import numpy as np
import pytest

import pappus as pp
import pappus.frontend.ops as ops
from pappus.frontend import dispatch, fronts, tape
from pappus.frontend.opdef import OPS
from pappus.frontend.tensor import Tensor

OPERATORS = [op for op in OPS.values() if op.ufunc is not None]


def same(a: Any, b: Any) -> None:
    assert a._data.dtype == b._data.dtype and a._data.shape == b._data.shape
    np.testing.assert_array_equal(a._data, b._data)


def operands(count: int, dtype: Any, *shapes: tuple[int, ...]) -> list[Tensor]:
    rng = np.random.default_rng(3)
    arrays = [rng.random(shapes[i % len(shapes)]) * 0.8 + 0.1 for i in range(count)]
    return [pp.from_numpy(np.asarray(a, dtype)) for a in arrays]


@pytest.mark.parametrize("op", [op for op in OPERATORS if op.quiet], ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_quiet_operators_never_warn(op: Any, dtype: str) -> None:
    odd = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 1e-40, 3e38, 5e-324] * 9, dtype)
    odd[0] = np.frombuffer(b"\1\0\x80\x7f" if dtype == "float32" else b"\1\0\0\0\0\0\xf0\x7f", dtype)[0]  # signals
    for x, y in [(odd, odd[::-1]), (odd[::2], odd[1::2][:1]), (odd[:1], odd[:1])]:
        with np.errstate(all="raise"):
            op.front(*[pp.from_numpy(a) for a in (x, y)[: len(op.schema.tensors)]])
            op.ufunc(*(x, y)[: len(op.schema.tensors)])


def test_nodes_share_what_stands_for_operands() -> None:
    a, b = pp.ones(3, requires_grad=True), pp.ones(3)
    x, y = (a + b).grad_fn, (a + b).grad_fn
    assert x.args[0] is y.args[0] and x.args[1] is y.args[1] and x.args[0] is not x.args[1]
    assert [(g.shape, g.dtype, g.requires_grad) for g in x.args] == [((3,), pp.float32, w) for w in (True, False)]
    assert (a.double() + b.double()).grad_fn.args[0].dtype is pp.float64
    (a + b).sum().backward(retain_graph=True)
    assert b.grad is None and a.grad.tolist() == [1, 1, 1]


@pytest.mark.parametrize("op", OPERATORS, ids=lambda op: op.name)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shapes", [[(7,)], [()], [(0, 3)], [(4, 1), (3,)], [(2, 3), ()]], ids=str)
def test_ufunc_is_the_kernel(op: Any, dtype: str, shapes: list[tuple[int, ...]]) -> None:
    given = operands(len(op.schema.tensors), dtype, *shapes)
    with np.errstate(all="ignore"):
        want = op.eager(np, *[g._data for g in given]) if op.eager else op.decompose(*given)._data
    same(op.front(*given), Tensor._from_data(np.asarray(want)))
    strided = [pp.from_numpy(np.repeat(g._data, 2, -1)[..., ::2]) if g.ndim else g for g in given]
    same(op.front(*strided), Tensor._from_data(np.asarray(want)))


@pytest.mark.parametrize("op", [op for op in OPERATORS if len(op.schema.tensors) == 2], ids=lambda op: op.name)
@pytest.mark.parametrize("number", [2.0, 2, 0.0, -0.0, 0, -1.5, 1e300, float("inf"), float("nan"), True])
def test_numbers_are_tensors(op: Any, number: Any) -> None:
    (x,) = operands(1, np.float32, (5,))
    with np.errstate(over="ignore"):
        like = Tensor._from_data(np.array(number, np.float32))
    like._wrapped = True
    left, right = ("Scalar" in p.type for p in op.schema.tensors)
    for _ in range(2):  # the second time from the table
        if right:
            same(op.front(x, number), op.front(x, like))
        if left:
            same(op.front(number, x), op.front(like, x))


def test_signs_of_zero_are_kept_apart() -> None:
    x = pp.tensor([1.0, -1.0])
    for number in (0.0, -0.0, 0, 0.0, -0.0):
        assert np.signbit((x * number)._data).tolist() == np.signbit(np.float32([1, -1]) * np.float32(number)).tolist()


def test_number_decides_no_type() -> None:
    assert (pp.ones(2, dtype=pp.float64) * 1.5).dtype is pp.float64
    assert (pp.ones(2, dtype=pp.int64) + 1.5).dtype is pp.float32
    assert (pp.ones(2, dtype=pp.int32) + 1).dtype is pp.int32
    assert (pp.ones(2, dtype=pp.float16) * 2.5).dtype is pp.float16
    assert (pp.ones(2, dtype=pp.bfloat16) * 2.5).dtype is pp.bfloat16


def test_table_of_numbers_is_bounded() -> None:
    x = pp.ones(1)
    for i in range(5000):
        _ = x + (i + 0.5)
    assert len(fronts.NUMBERS[np.dtype(np.float32)]) <= 4097


@pytest.mark.parametrize("call", [lambda x: x + x, lambda x: x * 2.0, lambda x: 3 - x, pp.exp, lambda x: -x, pp.relu])
def test_recorded_node(call: Any) -> None:
    x = pp.tensor([1.0, 2.0], requires_grad=True)
    y = call(x)
    assert y.requires_grad and not y.is_leaf
    assert y.grad_fn.location.startswith("tests/frontend/test_fronts.py:") or "test_fronts.py" in y.grad_fn.location
    before = x._version
    assert before == 0 and next(e[0] for e in y.grad_fn.edges if e is not None) is x
    with pp.no_grad():
        assert not call(x).requires_grad


def test_parameters_and_views_take_the_short_way() -> None:
    p = pp.nn.Parameter(pp.ones(4))
    base = pp.ones(2, 2, requires_grad=True) * 1
    view = base[0]
    base += 1  # the view gets its history anew
    (p[:2] * view).sum().backward()
    assert p.grad.tolist() == [2.0, 2.0, 0.0, 0.0]


def test_no_warnings_of_numpy() -> None:
    x, zero = pp.tensor([1.0, 0.0]), pp.zeros(2)
    with np.errstate(all="raise"):
        assert (x / zero).tolist()[0] == float("inf")
        assert pp.log(zero).tolist() == [-float("inf")] * 2
        assert pp.softmax(pp.tensor([1e38, -1e38]) * 10, 0).shape == (2,)
        with pytest.raises(FloatingPointError):
            _ = np.float32([1]) / np.float32([0])


def test_errors_of_the_short_way_are_those_of_the_general_way() -> None:
    a, b = pp.ones(2, 3), pp.ones(4)
    with pytest.raises(pp.ShapeError, match=r"add: shapes \[2, 3\] and \[4\] do not broadcast") as short:
        _ = a + b
    assert "test_fronts.py:" in str(short.value)
    with pytest.raises(pp.ArgumentError, match="must be a Tensor, got str"):
        pp.mul(a, "x")
    with pytest.raises(TypeError):
        _ = a + "x"
    with pytest.raises(pp.ArgumentError, match="has no argument 'dims'; did you mean"):
        pp.softmax(a, dims=1)


def test_masked_array_is_no_tensor() -> None:
    with pytest.raises(pp.ArgumentError):
        pp.exp(np.ma.masked_array([1.0]))


class _Spy(dispatch.Mode):
    def __init__(self) -> None:
        self.seen: list[str] = []

    def call(self, op: Any, args: Any, attrs: Any) -> Any:
        self.seen.append(op.name)
        return super().call(op, args, attrs)


def test_modes_see_every_call() -> None:
    x = pp.ones(3)
    with _Spy() as spy:
        _ = x + x, x * 2.0, x > 0, -x, x.sum(), x.relu(), x.view(3, 1)
    assert spy.seen == ["add", "mul", "lt", "neg", "sum", "relu", "view"]
    assert not tape.entered
    _ = x + x
    assert len(spy.seen) == 7


def test_mode_of_another_thread_is_not_ours() -> None:
    entered, done = threading.Event(), threading.Event()
    spy = _Spy()

    def other() -> None:
        with spy:
            entered.set()
            done.wait(10)

    thread = threading.Thread(target=other)
    thread.start()
    entered.wait(10)
    try:
        assert (pp.ones(2) + 1).tolist() == [2.0, 2.0] and pp.ones(2).sum().item() == 2
    finally:
        done.set()
        thread.join()
    assert spy.seen == []


def test_shape_rule_runs_once_for_each_signature(monkeypatch: pytest.MonkeyPatch) -> None:
    op, calls = OPS["matmul"], []
    if not op.check:
        pytest.skip("matmul is checked by its kernel")
    rule = op.shape_rule
    monkeypatch.setattr(op, "shape_rule", lambda *a, **k: calls.append(1) or rule(*a, **k))
    a, b = pp.ones(3, 17), pp.ones(17, 5)
    for _ in range(3):
        pp.matmul(a, b)
    assert len(calls) <= 1
    for _ in range(2):  # what it refuses it refuses every time
        with pytest.raises(pp.ShapeError):
            pp.matmul(a, a)


def test_parameters_do_not_hide_names_that_fronts_use() -> None:
    used = "AttributeError Exception KeyError any dict float int isinstance repr tuple type"
    hidden = set(fronts.SCOPE) | set(used.split())
    assert all(hasattr(builtins, name) for name in used.split())
    for op in OPS.values():
        for param in op.schema.params:
            assert param.name not in hidden and not param.name.startswith("_"), (op.name, param.name)


def test_every_front_compiles() -> None:
    for op in OPS.values():
        compile(fronts.source(op), op.name, "exec")


def test_traceback_shows_the_written_line() -> None:
    try:
        pp.softmax(pp.ones(2), dim=7)
    except pp.DimError:
        assert "op_softmax.shape(" in traceback.format_exc() or "kernel_softmax(" in traceback.format_exc()


def test_written_when_first_called() -> None:
    code = (
        "import pappus as pp; from pappus.frontend import fronts, ops; x = pp.ones(2);"
        "before = set(fronts.SCOPE); pp.hypot(x, x); print(sorted(set(fronts.SCOPE) - before))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "op_hypot" in done.stdout and "op_tanh" not in done.stdout


def test_first_calls_from_many_threads() -> None:
    op = OPS["expm1"]
    front = fronts.make_front(op)
    found: list[Any] = []
    threads = [threading.Thread(target=lambda: found.append(front(pp.ones(2)).tolist())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 8 and all(f == ops.expm1(pp.ones(2)).tolist() for f in found)


@pytest.mark.parametrize("call", ["__iadd__", "__isub__", "__imul__", "__itruediv__"])
def test_in_place_short_way(call: str) -> None:
    x = pp.tensor([[1.0, 2.0], [3.0, 4.0]])
    memory, view, want = x._data, x[0], getattr(x, call[:2] + call[3:])(pp.tensor([2.0, 4.0]))
    before = x._version
    assert getattr(x, call)(pp.tensor([2.0, 4.0])) is x
    assert x._data is memory and x.tolist() == want.tolist() and view.tolist() == want[0].tolist()
    assert x._version == view._version == before + 1
    view += 1.5  # through a view, by a number
    assert x[0].tolist() == (want[0] + 1.5).tolist() and x._version == before + 2
    with pytest.raises(pp.PappusError, match="does not fit in place"):
        getattr(pp.ones(2), call)(x)
    assert pp.ones(3, dtype=pp.int64).__iadd__(2).tolist() == [3, 3, 3]


def test_in_place_short_way_loses_no_gradient() -> None:
    w = pp.ones(2, requires_grad=True)
    with pytest.raises(pp.InplaceError, match="a leaf tensor that requires grad"):
        w += 1.0
    y = w * 3
    loss = (y * y).sum()
    y += 1.0
    with pytest.raises(pp.InplaceError, match=r"mul.* saved its operand .*__iadd__"):
        loss.backward()
    x = pp.zeros(2)
    x += w * 2
    x.sum().backward()
    assert w.grad.tolist() == [2.0, 2.0]
    with pp.no_grad():
        w += 1.0
    assert w.tolist() == [2.0, 2.0] and w.is_leaf


def test_gradients_that_nobody_else_has_are_not_copied() -> None:
    a, b = pp.ones(3, requires_grad=True), pp.ones(3, requires_grad=True)
    seed = pp.ones(3)
    (a + b).backward(seed)  # one gradient for both, and the caller's
    assert len({id(t._data) for t in (a.grad, b.grad, seed)}) == 3
    a.grad += 1.0
    assert b.grad.tolist() == seed.tolist() == [1.0, 1.0, 1.0]
    c = pp.ones(3, 3, requires_grad=True)
    kept: list[Any] = []
    c.register_hook(lambda g: kept.append(g))
    (c * 2).sum().backward()
    c.grad += 1.0
    assert kept[0].tolist() == [[2.0] * 3] * 3


def test_third_gradient_of_a_leaf_is_added_in_place() -> None:
    w = pp.ones(2, requires_grad=True)
    x = pp.tensor([1.0, 2.0])
    (w * x + w * x + w * x + w).sum().backward()
    assert w.grad.tolist() == [4.0, 7.0] and x.tolist() == [1.0, 2.0]
    (g,) = pp.autograd.grad((w * w * w).sum(), w, create_graph=True)
    g.sum().backward()
    assert w.grad.tolist() == [10.0, 13.0]


@pytest.mark.parametrize("index", [1, -1, slice(1, None), (0, 2), (slice(None), 1), (..., slice(0, 4, 2)), None])
@pytest.mark.parametrize("value", [2, 2.5, "tensor"])
def test_items_written_at_once(index: Any, value: Any) -> None:
    for kind in (np.float32, np.float64, np.int64):
        array = np.arange(12, dtype=kind).reshape(3, 4)
        x = pp.from_numpy(array.copy())
        view, version = x[0], x._version
        new = pp.ones(array[index].shape, dtype=x.dtype) * 3 if value == "tensor" else value
        x[index] = new
        array[index] = 3 if value == "tensor" else value
        np.testing.assert_array_equal(x.numpy(), array)
        np.testing.assert_array_equal(view.numpy(), array[0])
        assert x._version == version + 1 == view._version


def test_items_written_with_gradients_and_wrong_ones() -> None:
    x, w = pp.zeros(3), pp.ones(1, requires_grad=True)
    x[1] = w[0] * 2
    x.sum().backward()
    assert w.grad.tolist() == [2.0]
    with pytest.raises(pp.DimError):
        x[5] = 1.0
    with pytest.raises(pp.PappusError):
        pp.zeros(3)[::-1] = 1.0
    with pytest.raises(pp.PappusError):
        pp.zeros(3)[:2] = pp.ones(3)
    with pytest.raises(pp.InplaceError, match="expand"):
        pp.zeros(1).expand(3)[:2] = 1.0
    y = pp.zeros(2)
    y[0] = 1e300
    assert y.tolist() == [float("inf"), 0.0]


@pytest.mark.parametrize("bounds", [(0, 1), (None, 0.5), (0.5, None), (1, 0), (float("nan"), 1), (-1e300, 1e300)])
def test_clamp_is_clip(bounds: Any) -> None:
    for kind in (np.float32, np.float64):
        array = np.array([-2, 0.25, 0.75, 3, np.nan, -np.inf], kind)
        with np.errstate(over="ignore"):
            low, high = (None if b is None else kind(b) for b in bounds)
        np.testing.assert_array_equal(pp.clamp(pp.from_numpy(array), *bounds).numpy(), np.clip(array, low, high))


def test_methods_of_items_are_fronts() -> None:
    x = pp.arange(6).float().requires_grad_()
    for way in (x.view(2, 3), x.view((2, 3)), x.view([2, 3]), x.view(pp.ones(2, 3).shape), x.view(np.int64(2), -1)):
        assert way.shape == (2, 3) and way.grad_fn is not None and "test_fronts.py" in way.grad_fn.location
        assert type(way.grad_fn.attrs["shape"]) is tuple and way._base is x
    assert x.view(pp.int32).dtype is pp.int32 and x.reshape(shape=(3, 2)).shape == (3, 2)
    assert x.reshape(()).shape == () if x.numel() == 1 else x[:1].reshape(()).shape == ()
    with pytest.raises(pp.frontend.errors.PappusError, match=r"4 places[^@]*test_fronts.py:\d+"):
        x.view(2, 2)


@pytest.mark.parametrize("index", [1, -1, (1,), (0, 2), (slice(None), 1), (slice(1, 9), slice(-2, None, 2)), slice(2)])
def test_plain_indices_are_views(index: Any) -> None:
    array = np.arange(12.0, dtype=np.float32).reshape(3, 4)
    x = pp.from_numpy(array.copy())
    x[index] += 1
    array[index] += 1
    np.testing.assert_array_equal(x.numpy(), array)
    y = pp.from_numpy(array).requires_grad_()
    part = y[index]
    assert part._base is y and "test_fronts.py" in part.grad_fn.location
    part.sum().backward()
    wanted = np.zeros_like(array)
    wanted[index] = 1
    np.testing.assert_array_equal(y.grad.numpy(), wanted)


def test_one_index_too_many_is_explained() -> None:
    with pytest.raises(pp.frontend.errors.PappusError, match="too many indices: 3 for a tensor of 2 dimensions"):
        pp.ones(2, 2)[0, 0, 0]


@pytest.mark.parametrize("name", ["add", "sub", "div"])
def test_functions_with_options_are_the_operator_without(name: str) -> None:
    function, op = getattr(pp, name), OPS[name].front
    a, b = pp.tensor([1.0, 2.0], requires_grad=True), pp.tensor([3.0, 4.0])
    for made in (function(a, b), function(a, other=b), function(other=b, self=a), function(input=a, other=b)):
        same(made, op(a, b))
        assert "test_fronts.py" in made.grad_fn.location
    same(function(a, 2), op(a, 2))
    same(function(pp.tensor([1, 2]), pp.tensor([2, 2])), op(pp.tensor([1, 2]), pp.tensor([2, 2])))
    out = pp.zeros(2)
    assert function(b, b, out=out) is out
    same(out, op(b, b))
    for wrong in (lambda: function(a), lambda: function(a, b, 3), lambda: function(other=b), lambda: function(a, "x")):
        with pytest.raises(pp.frontend.errors.PappusError, match=name):
            wrong()
    assert list(inspect.signature(function).parameters)[:2] == ["self", "other"]


def test_alpha() -> None:
    a, b = pp.tensor([1.0, 2.0]), pp.tensor([3.0, 4.0])
    assert pp.add(a, b, alpha=2).tolist() == [7, 10] and pp.sub(a, b, alpha=2).tolist() == [-5, -6]
    assert pp.div(a, b, rounding_mode="floor").tolist() == [0, 0] and a.add(b, alpha=1).tolist() == [4, 6]
