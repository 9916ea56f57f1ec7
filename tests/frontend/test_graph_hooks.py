"""The graph as objects: hooks on nodes and on saved tensors, anomaly mode, inference mode, decorators of every kind."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import numpy as np
import pytest
from torch_oracle import same, torch

import pappus as pp

# -- nodes ----------------------------------------------------------------------------------------


def test_the_graph_can_be_walked_as_in_torch() -> None:
    shapes = []
    for m in (pp, torch):
        w = m.ones(3, requires_grad=True)
        loss = ((w * 2).exp() + w).sum()
        names: list[str] = []
        stack = [loss.grad_fn]
        while stack:
            fn = stack.pop()
            names.append(fn.name() if not hasattr(fn, "variable") else "leaf")
            if hasattr(fn, "variable"):
                assert fn.variable is w and fn.next_functions == ()
            stack += [f for f, _ in fn.next_functions if f is not None]
        shapes.append(names)
    assert [n.split("::")[-1] for n in shapes[1]] == [n.replace("AccumulateGrad", "leaf") for n in shapes[0]]


def test_leaves_among_next_functions_are_equal_by_their_tensor() -> None:
    w = pp.ones(2, requires_grad=True)
    y = w * w
    (a, _), (b, _) = y.grad_fn.next_functions
    assert a == b and len({a, b}) == 1 and a.name() == "AccumulateGrad" and "[2]" in repr(a)


def test_hooks_of_a_node() -> None:
    for m in (pp, torch):
        x = m.tensor([1.0, 2.0], requires_grad=True)
        y = x * 3
        seen: list[Any] = []
        handle = y.grad_fn.register_hook(lambda inputs, outputs, seen=seen: seen.append((inputs[0], outputs[0])))
        y.grad_fn.register_hook(lambda inputs, outputs: (inputs[0] * 10, *inputs[1:]))
        y.grad_fn.register_prehook(lambda outputs: (outputs[0] + 1,))
        y.sum().backward(retain_graph=True)
        assert x.grad.tolist() == [60.0, 60.0]
        assert seen[0][0].tolist() == [6.0, 6.0] and seen[0][1].tolist() == [2.0, 2.0]
        handle.remove()
        y.sum().backward()
        assert len(seen) == 1


# -- saved tensors --------------------------------------------------------------------------------


def test_saved_tensors_pass_the_hooks() -> None:
    grads = []
    for m in (pp, torch):
        x = m.tensor([0.5, 2.0], requires_grad=True)
        packed: list[Any] = []

        def pack(t: Any, packed: list[Any] = packed) -> int:
            packed.append(t.detach().clone() if hasattr(t, "detach") else t)
            return len(packed) - 1

        with m.autograd.graph.saved_tensors_hooks(pack, lambda at, packed=packed: packed[at] * 2):
            y = x.exp()
            z = y * x
        (z * x).sum().backward()
        grads.append(x.grad)
    same(grads[0], grads[1])


def test_saved_tensors_keep_their_history_for_gradients_of_gradients() -> None:
    grads = []
    for m in (pp, torch):
        x = m.tensor([0.5, 2.0], requires_grad=True)
        with m.autograd.graph.saved_tensors_hooks(lambda t: t.detach().numpy().copy(), m.from_numpy):
            y = (x**3).sin()
        (g,) = m.autograd.grad(y.sum(), x, create_graph=True)
        grads.append(g)
    same(grads[0].detach(), grads[1].detach())
    with pp.autograd.graph.save_on_cpu():
        x = pp.tensor([0.5, 2.0], requires_grad=True)
        y = x**3
        z = y.exp()
    (g,) = pp.autograd.grad(z.sum(), x, create_graph=True)
    (h,) = pp.autograd.grad(g.sum(), x)
    at = np.array([0.5, 2.0])
    np.testing.assert_allclose(h.numpy(), np.exp(at**3) * (9 * at**4 + 6 * at), rtol=1e-5)


def test_functions_save_through_the_hooks() -> None:
    class Square(pp.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = x * x
            ctx.save_for_backward(x, y)
            return y

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            x, y = ctx.saved_tensors
            assert y.shape == x.shape
            return grad * 2 * x

    x = pp.tensor([3.0], requires_grad=True)
    seen: list[Any] = []
    with pp.autograd.graph.saved_tensors_hooks(lambda t: (seen.append(t), t.numpy(force=True))[1], pp.from_numpy):
        y = Square.apply(x)
    y.backward()
    assert len(seen) == 2 and x.grad.tolist() == [6.0]


def test_wrong_hooks_for_saved_tensors() -> None:
    hooks = pp.autograd.graph.saved_tensors_hooks
    with pytest.raises(pp.ArgumentError, match="two functions"):
        hooks(1, 2)  # type: ignore[arg-type]
    x = pp.ones(2, requires_grad=True)
    with hooks(lambda t: t, lambda t: 3):  # type: ignore[arg-type,return-value]
        y = (x * x).sum()
    with pytest.raises(pp.ArgumentError, match=r"unpack hook must return the tensor .* got int"):
        y.backward()
    with pytest.raises(pp.ArgumentError, match="pack hook changed"), hooks(lambda t: t.detach().add_(1), lambda t: t):
        (x * x).sum()


# -- anomaly --------------------------------------------------------------------------------------


def test_anomaly_mode_names_the_forward_line() -> None:
    x = pp.tensor([0.0, 1.0], requires_grad=True)
    y = x.sqrt()  # the line
    line = "test_graph_hooks.py:" + str(test_anomaly_mode_names_the_forward_line.__code__.co_firstlineno + 2)
    loss = (y * pp.tensor([0.0, 1.0])).sum()
    loss.backward(retain_graph=True)  # nan, and nobody says so
    assert np.isnan(x.grad.numpy()[0])
    with pytest.raises(pp.AutogradError) as found, pp.autograd.detect_anomaly():
        loss.backward()
    text = str(found.value)
    assert "Function 'SqrtBackward0' returned nan values in its 0th output" in text and line in text
    assert "sqrt() called" in text and "made it" in text and not pp.is_anomaly_enabled()
    tx = torch.tensor([0.0, 1.0], requires_grad=True)
    with pytest.raises(RuntimeError) as theirs, torch.autograd.set_detect_anomaly(True):
        (tx.sqrt() * torch.tensor([0.0, 1.0])).sum().backward()
    assert str(theirs.value).rstrip(".") in text


def test_anomaly_mode_says_when_the_gradient_came_in_as_nan() -> None:
    x = pp.ones(2, requires_grad=True)
    y = x * 2
    with pytest.raises(pp.AutogradError, match="was nan already"), pp.autograd.detect_anomaly():
        y.backward(pp.tensor([float("nan"), 1.0]))


def test_anomaly_mode_adds_the_forward_line_to_errors_of_users_backwards() -> None:
    class Broken(pp.autograd.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            return x * 2

        @staticmethod
        def backward(ctx: Any, grad: Any) -> Any:
            return {}["missing"]

    y = Broken.apply(pp.ones(2, requires_grad=True)).sum()
    with pytest.raises(KeyError) as found, pp.autograd.detect_anomaly(check_nan=False):
        assert pp.is_anomaly_enabled() and not pp.is_anomaly_check_nan_enabled()
        y.backward()
    assert "test_graph_hooks.py" in found.value.__notes__[0]


def test_set_detect_anomaly_at_once_and_as_a_block() -> None:
    pp.autograd.set_detect_anomaly(True)
    assert pp.is_anomaly_enabled() and pp.is_anomaly_check_nan_enabled()
    pp.autograd.set_detect_anomaly(False)
    with pp.autograd.set_detect_anomaly(True):
        assert pp.is_anomaly_enabled()
    assert not pp.is_anomaly_enabled()


# -- inference mode -------------------------------------------------------------------------------


def test_inference_tensors_refuse_what_torch_refuses() -> None:
    for m in (pp, torch):
        w = m.ones(3, requires_grad=True)
        normal = m.zeros(3)
        with m.inference_mode():
            t = w + 1
            inside = m.ones(3)
            inside.add_(1)
            shown = normal[1:]
            assert m.is_inference_mode_enabled() and not m.is_grad_enabled()
            with m.inference_mode(False):
                assert not m.is_inference_mode_enabled() and m.is_grad_enabled() and not m.ones(1).is_inference()
        assert t.is_inference() and inside.is_inference() and m.is_inference(t) and not t.requires_grad
        assert not normal.is_inference() and not shown.is_inference() and t[1:].is_inference()
        with pytest.raises(RuntimeError, match=r"[Ii]nference tensor"):
            w * t
        with pytest.raises(RuntimeError, match=r"[Ii]nference"):
            t.add_(1)
        assert m is torch or t.tolist() == [2.0, 2.0, 2.0]  # torch writes first
        with pytest.raises(RuntimeError, match=r"[Ii]nference"):
            t.requires_grad_()
        assert (w + t).requires_grad, "nothing needs to be saved"
        (w * t.clone()).sum().backward()
        assert (m is torch or w.grad.tolist() == [2.0, 2.0, 2.0]) and (t * 2).sum() > 11


def test_the_refusal_names_the_line_that_made_the_tensor() -> None:
    with pp.inference_mode():
        t = pp.ones(2) * 2
    with pytest.raises(pp.AutogradError, match=r"made in the inference_mode of .*test_graph_hooks\.py:\d+.*clone\(\)"):
        pp.ones(2, requires_grad=True) * t


# -- decorators -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [pp.no_grad, pp.inference_mode])
def test_coroutines_and_asynchronous_generators(mode: Any) -> None:
    seen: list[bool] = []

    @mode()  # type: ignore[misc]
    async def work() -> int:
        seen.append(pp.is_grad_enabled())
        await asyncio.sleep(0)
        seen.append(pp.is_grad_enabled())
        return 7

    @mode()  # type: ignore[misc]
    async def stream() -> Any:
        for i in range(2):
            seen.append(pp.is_grad_enabled())
            yield i
            await asyncio.sleep(0)

    async def watch(task: Any) -> None:
        while not task.done():
            assert pp.is_grad_enabled(), "another task's mode is not this one's"
            await asyncio.sleep(0)

    async def main() -> None:
        task = asyncio.create_task(work())
        await watch(task)
        assert task.result() == 7
        assert [i async for i in stream()] == [0, 1] and pp.is_grad_enabled()

    asyncio.run(main())
    assert seen == [False] * 4 and pp.is_grad_enabled()


def test_a_decorated_class_warns_and_covers_its_init() -> None:
    with pytest.warns(FutureWarning, match="covers only its __init__"):

        @pp.no_grad()
        class Thing:
            def __init__(self) -> None:
                self.recording = pp.is_grad_enabled()

    assert not Thing().recording and pp.is_grad_enabled() and isinstance(Thing(), Thing)


def test_modes_are_the_threads_own() -> None:
    found: list[Any] = []
    with pp.inference_mode():
        thread = threading.Thread(target=lambda: found.extend([pp.is_grad_enabled(), pp.ones(1).is_inference()]))
        thread.start()
        thread.join()
    assert found == [True, False]


# -- hooks on tensors -----------------------------------------------------------------------------


def test_hooks_run_once_with_inputs_and_before_what_is_retained() -> None:
    for m in (pp, torch):
        x = m.ones(2, requires_grad=True)
        x.register_hook(lambda g: g * 2)
        (x * 3).sum().backward(inputs=[x])
        assert x.grad.tolist() == [6.0, 6.0] and m.autograd.grad((x * 3).sum(), x)[0].tolist() == [6.0, 6.0]
        y = x * 3
        y.retain_grad()
        y.register_hook(lambda g: g * 10)
        y.sum().backward()
        assert y.grad.tolist() == [10.0, 10.0] and y.retains_grad


def test_versions_and_forbidden_hooks() -> None:
    x = pp.ones(2, requires_grad=True)
    y = x * 1
    z = (y * y).sum()
    pp.autograd.graph.increment_version(y)
    with pytest.raises(pp.InplaceError):
        z.backward()
    for m in (pp, torch):
        graph = m.autograd.graph
        with graph.disable_saved_tensors_hooks("no"), pytest.raises(RuntimeError, match="no"), graph.save_on_cpu():
            pass
        with m.autograd.graph.save_on_cpu():
            pass
