"""Autocast and GradScaler beside PyTorch's on the CPU."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

import pappus as pp

torch = pytest.importorskip("torch")
lists = pytest.importorskip("torch.testing._internal.autocast_test_lists")

from torch_oracle import to_torch  # noqa: E402 - needs torch

F = pp.nn.functional


def from_torch(value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        if value.dtype is torch.bfloat16:
            return pp.tensor(value.float().numpy()).bfloat16()
        return pp.tensor(value.numpy())
    if isinstance(value, (list, tuple)):
        return type(value)(from_torch(v) for v in value)
    return value


def entries() -> list[Any]:
    torch.manual_seed(0)
    found = []
    for name, listed in vars(lists.AutocastCPUTestLists(torch.device("cpu"))).items():
        if isinstance(listed, list) and not name.startswith("methods"):
            for op, args, *more in listed:
                options = more[0] if more and isinstance(more[0], dict) else {}
                found.append(pytest.param(name.startswith("nn"), op, args, options, id=op))
    return found


# Functions of PyTorch's list that Pappus has not (or not by that private name).
ABSENT = {
    "conv_tbc", "_addmm_activation", "_native_multi_head_attention", "nll_loss2d", "multilabel_margin_loss",
    "multi_margin_loss", "reflection_pad1d",
}  # fmt: skip


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(("is_nn", "name", "args", "kwargs"), entries())
def test_types_are_torchs(is_nn: bool, name: str, args: Any, kwargs: Any, dtype: str) -> None:
    ours = getattr(F, name, None) or (None if is_nn else getattr(pp, name, None))
    if name in ABSENT:
        assert ours is None or name in ("multi_margin_loss", "multilabel_margin_loss")
        if ours is None:
            pytest.skip("not part of Pappus")
    if dtype == "float16":  # the list is written for bfloat16
        args = torch.utils._pytree.tree_map(
            lambda a: a.half() if isinstance(a, torch.Tensor) and a.dtype is torch.bfloat16 else a, args
        )
    theirs = getattr(torch._C._nn, name, None) if is_nn else getattr(torch, name)
    with torch.autocast("cpu", getattr(torch, dtype)):
        expected = theirs(*args, **kwargs)
    with pp.autocast("cpu", getattr(pp, dtype)):
        given = from_torch(args)
        if name.endswith(("loss", "entropy", "logits")):  # PyTorch's private functions reduce by number, 0: not at all
            reduction = "none" if expected.ndim else "mean"
            given = [a for a in given if isinstance(a, pp.Tensor)]
            kwargs = {**kwargs, "reduction": reduction}
        found = ours(*given, **kwargs)
    assert found.dtype.name == str(expected.dtype).removeprefix("torch.")
    assert tuple(found.shape) == tuple(expected.shape)
    short = found.dtype in (pp.bfloat16, pp.float16)
    want = expected.float().numpy()
    # PyTorch sums a transposed convolution in 16 bits.
    part = (0.06 if "transpose" in name else 0.03) if short else 3e-3
    np.testing.assert_allclose(found.float().numpy(), want, atol=part * max(1, abs(want).max()))


def cast_cases() -> list[Any]:
    return [
        ("softmax", lambda m, x, y: m.softmax(x @ y, -1)),
        ("exp", lambda m, x, y: (x @ y).exp()),
        ("add", lambda m, x, y: (x @ y) + x),
        ("mul by a number", lambda m, x, y: (x @ y) * 2.5),
        ("mv", lambda m, x, y: m.mv(x, y[0])),
        ("einsum", lambda m, x, y: m.einsum("ij,jk->ik", x, y)),
        ("layer_norm", lambda m, x, y: m.nn.functional.layer_norm(x @ y, (4,), y[0], y[1])),
        ("prod", lambda m, x, y: (x @ y).prod()),
        ("trace", lambda m, x, y: m.trace(x @ y)),
        ("quantile", lambda m, x, y: m.quantile(x, 0.5)),
        ("cat", lambda m, x, y: m.cat([x @ y, y])),
        ("cat of one type", lambda m, x, y: m.cat([x @ y, y @ x])),
        ("sdpa", lambda m, x, y: m.nn.functional.scaled_dot_product_attention(x[None], y[None], x[None])),
        ("cross_entropy", lambda m, x, y: m.nn.functional.cross_entropy(x @ y, m.tensor([1, 2, 0, 3]))),
        ("float64", lambda m, x, y: x.double() @ y.double()),
        ("conv2d", lambda m, x, y: m.nn.functional.conv2d(x.reshape(1, 1, 4, 4), y.reshape(4, 1, 2, 2))),
    ]


@pytest.mark.parametrize(("name", "run"), cast_cases(), ids=[n for n, _ in cast_cases()])
def test_chains_have_torchs_types_and_gradients(name: str, run: Any) -> None:
    rng = np.random.default_rng(0)
    x, y = (pp.tensor(rng.uniform(0.2, 1, (4, 4)).astype("float32"), requires_grad=True) for _ in range(2))
    p, q = to_torch(x), to_torch(y)
    with pp.autocast("cpu"):
        found = run(pp, x, y)
    with torch.autocast("cpu"):
        expected = run(torch, p, q)
    assert found.dtype.name == str(expected.dtype).removeprefix("torch.")
    np.testing.assert_allclose(found.detach().float().numpy(), expected.detach().float().numpy(), rtol=0.03, atol=0.03)
    found.sum().backward()
    expected.sum().backward()
    for ours, theirs in ((x, p), (y, q)):
        assert (ours.grad is None) == (theirs.grad is None)
        if ours.grad is not None:
            assert ours.grad.dtype.name == str(theirs.grad.dtype).removeprefix("torch.")
            np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), rtol=0.1, atol=0.15)


def test_nesting_and_switching_off() -> None:
    x = pp.ones(2, 2)
    with pp.autocast("cpu"):
        with pp.autocast("cpu", dtype=pp.float16):
            assert (x @ x).dtype is pp.float16
            with pp.autocast("cpu", enabled=False):
                assert (x @ x).dtype is pp.float32 and not pp.is_autocast_enabled("cpu")
            assert (x @ x).dtype is pp.float16 and pp.get_autocast_dtype("cpu") is pp.float16
        assert (x @ x).dtype is pp.bfloat16 and pp.is_autocast_enabled("cpu")
    assert (x @ x).dtype is pp.float32 and not pp.is_autocast_enabled("cpu")


def test_it_ends_with_an_exception_and_is_a_threads_own() -> None:
    x, seen = pp.ones(2, 2), []
    with pytest.raises(KeyError), pp.autocast("cpu"):
        other = threading.Thread(target=lambda: seen.append((x @ x).dtype))
        other.start()
        other.join()
        raise KeyError
    assert (x @ x).dtype is pp.float32 and seen == [pp.float32]


def test_a_decorator_and_the_default_type() -> None:
    @pp.autocast("cpu")
    def run(x: Any) -> Any:
        """Doc."""
        return x @ x

    assert run(pp.ones(2, 2)).dtype is pp.bfloat16 and run.__doc__ == "Doc."
    pp.set_autocast_dtype("cpu", pp.float16)
    try:
        with pp.autocast("cpu"):
            assert (pp.ones(2, 2) @ pp.ones(2, 2)).dtype is pp.float16
    finally:
        pp.set_autocast_dtype("cpu", pp.bfloat16)


def count_casts(run: Any) -> int:
    class Count(pp.Mode):
        casts = 0

        def call(self, op: Any, args: Any, attrs: Any) -> Any:
            self.casts += op.name == "to_dtype"
            return super().call(op, args, attrs)

    with Count() as count:
        run()
    return count.casts


@pytest.mark.parametrize("cache_enabled", [True, False])
def test_a_weight_is_cast_once(cache_enabled: bool) -> None:
    weight, x = pp.ones(2, 2, requires_grad=True), pp.ones(2, 2)

    def run() -> None:
        with pp.autocast("cpu", cache_enabled=cache_enabled):
            for _ in range(3):
                (x @ weight).sum()

    assert count_casts(run) == (3 + 1 if cache_enabled else 3 + 3)


def test_the_cache_sees_changes_and_spent_graphs() -> None:
    weight = pp.ones(2, 2, requires_grad=True)
    with pp.autocast("cpu"):
        for step in range(3):
            out = pp.ones(2, 2) @ weight
            assert out[0, 0].item() == 2.0 * (1 + step)
            out.sum().backward()
            with pp.no_grad():
                weight.add_(1.0)
        with pp.no_grad():
            assert not (pp.ones(2, 2) @ weight).requires_grad
    assert weight.grad.tolist() == [[6.0, 6.0]] * 2


def test_capture_keeps_the_casts() -> None:
    class Net(pp.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = pp.nn.Linear(3, 2)

        def forward(self, x: Any) -> Any:
            with pp.autocast("cpu"):
                return self.layer(x)

    graph = pp.export.export(Net(), (pp.ones(1, 3),)).graph
    assert [v.dtype for v in graph.outputs] == [pp.bfloat16]


def test_wrong_use_is_refused_or_warned_of() -> None:
    with pytest.warns(UserWarning, match="CUDA is not available"), pp.autocast("cuda"):
        assert (pp.ones(2, 2) @ pp.ones(2, 2)).dtype is pp.float32
    with pytest.warns(UserWarning, match="not supported"), pp.autocast("cpu", dtype=pp.float64):
        assert (pp.ones(2, 2) @ pp.ones(2, 2)).dtype is pp.float32
    with pytest.raises(RuntimeError, match="unsupported autocast device_type 'tpu'"):
        pp.autocast("tpu")
    with pytest.raises(ValueError, match="Expected `device_type` of type `str`"):
        pp.autocast(0)
    with pytest.warns(UserWarning, match="CUDA is not available"), pp.cuda.amp.autocast(enabled=True):
        pass


def test_custom_functions() -> None:
    seen = []

    class Double(pp.autograd.Function):
        @staticmethod
        @pp.amp.custom_fwd(device_type="cpu", cast_inputs=pp.float32)
        def forward(ctx: Any, x: Any) -> Any:
            seen.append((x.dtype, pp.is_autocast_enabled("cpu")))
            return x * 2

        @staticmethod
        @pp.amp.custom_bwd(device_type="cpu")
        def backward(ctx: Any, g: Any) -> Any:
            seen.append(pp.is_autocast_enabled("cpu"))
            return g * 2

    class Plain(Double):
        @staticmethod
        @pp.amp.custom_fwd(device_type="cpu")
        def forward(ctx: Any, x: Any) -> Any:
            seen.append((x.dtype, pp.is_autocast_enabled("cpu")))
            return x * 2

    x = pp.ones(2, 2, requires_grad=True)
    with pp.autocast("cpu"):
        outs = [Double.apply(x @ x), Plain.apply(x @ x)]
    for out in outs:
        out.sum().backward()
    assert seen == [(pp.float32, False), (pp.bfloat16, True), False, True]


# -- GradScaler ---------------------------------------------------------------------------------


def train(library: Any, dtype: str = "float32") -> list[Any]:
    """A few steps with an inf among the gradients of one; what is seen after each."""
    w = library.tensor([1.0, 2.0], requires_grad=True)
    opt = library.optim.SGD([w], lr=0.1)
    scaler = library.amp.GradScaler("cpu", init_scale=8.0, growth_interval=2, growth_factor=4.0, backoff_factor=0.25)
    seen = []
    for step in range(6):
        opt.zero_grad()
        loss = (w * w).sum() * (float("inf") if step == 2 else 1.0)
        scaler.scale(loss).backward()
        if step in (1, 2):
            scaler.unscale_(opt)
        scaler.step(opt)
        scaler.update()
        seen.append((w.tolist(), scaler.get_scale(), scaler.state_dict()["_growth_tracker"]))
    return seen


def test_scaled_steps_equal_torchs() -> None:
    for (w, *ours), (p, *theirs) in zip(train(pp), train(torch), strict=True):
        assert ours == theirs and w == pytest.approx(p)


def test_the_scalers_state() -> None:
    scaler = pp.amp.GradScaler("cpu", init_scale=2.0)
    assert scaler.state_dict().keys() == torch.amp.GradScaler("cpu").state_dict().keys()
    other = pp.amp.GradScaler("cpu")
    other.load_state_dict(scaler.state_dict())
    assert other.get_scale() == 2.0
    with pytest.raises(RuntimeError, match="empty"):
        other.load_state_dict({})
    assert scaler.scale([pp.ones(1), (pp.ones(1),)])[1][0].item() == 2.0
    scaler.update(16.0)
    assert scaler.get_scale() == 16.0


def test_a_disabled_scaler_does_nothing() -> None:
    with pytest.warns(UserWarning, match="no such device"):
        scaler = pp.cuda.amp.GradScaler()
    w = pp.ones(1, requires_grad=True)
    opt = pp.optim.SGD([w], lr=0.5)
    scaler.scale(w.sum()).backward()
    scaler.unscale_(opt)
    scaler.step(opt)
    scaler.update()
    assert w.item() == 0.5 and scaler.state_dict() == {} and scaler.get_scale() == 1.0 and not scaler.is_enabled()


def test_wrong_scaling_is_refused() -> None:
    w = pp.ones(1, requires_grad=True)
    opt, scaler = pp.optim.SGD([w], lr=0.5), pp.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="none of its"):
        scaler.step(opt)
    scaler = pp.amp.GradScaler("cpu")
    with pytest.raises(AssertionError, match="prior to update"):
        scaler.update()
    w.grad = pp.ones(1)
    scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="already been called on this optimizer"):
        scaler.unscale_(opt)
    scaler.step(opt)
    with pytest.raises(RuntimeError, match="after step"):
        scaler.unscale_(opt)
    with pytest.raises(RuntimeError, match="step\\(\\) has already been called"):
        scaler.step(opt)
    with pytest.raises(RuntimeError, match="Closure"):
        scaler.step(opt, closure=lambda: None)
    with pytest.raises(ValueError, match="growth factor"):
        pp.amp.GradScaler("cpu", growth_factor=1.0)
    with pytest.raises(ValueError, match="Tensor or an iterable"):
        scaler.scale(3)
    half = pp.ones(1, dtype=pp.float16, requires_grad=True)
    half.grad = pp.ones(1, dtype=pp.float16)
    with pytest.raises(ValueError, match="FP16"):
        pp.amp.GradScaler("cpu").unscale_(pp.optim.SGD([half]))
