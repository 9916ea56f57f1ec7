"""Tensors on a GPU: the same operators with CuPy's arrays.

Without a GPU a library that keeps CuPy's rules stands for it (`other_arrays`); where CuPy is, it is run too.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from operator_samples import cases, samples_of, split_args
from other_arrays import FakeCuPy, OtherArray

import pappus as pp
from pappus.frontend import device
from pappus.frontend.opdef import OPS, OpDef
from pappus.frontend.tape import entered

# Kernels that make numpy arrays from nothing: the functions over them put the result on the device.
MADE = {"arange", "full", "rand", "randint", "randn"}
ON_CPU = {"as_strided": "strides are chosen in numpy's memory"}


def install(library: Any) -> Any:
    before = device.using.library, device.using.kind
    device.using.library, device.using.kind = library, library.ndarray
    entered.append(device.using)
    return before


def remove(before: Any) -> None:
    device.using.library, device.using.kind = before
    entered.remove(device.using)


@pytest.fixture(params=["rules of CuPy", "CuPy"])
def gpu(request: Any) -> Iterator[Any]:
    library: Any = FakeCuPy()
    if request.param == "CuPy":
        library = pytest.importorskip("cupy")
        if not device.cuda_is_available():
            pytest.skip("no GPU")
    before = install(library)
    yield library
    remove(before)


KERNELS = [c for c in cases() if c[1].eager is not None and c[1].name not in MADE]


def test_every_kernel_runs_on_other_arrays(gpu: Any) -> None:
    wrong = []
    for name, op, number in KERNELS:
        if op.name in ON_CPU:
            continue
        try:
            run_kernel(gpu, op, number)
        except Exception as error:
            wrong.append(f"{name}: {type(error).__name__}: {error!s:.120}")
    assert not wrong, "\n".join(wrong)


def run_kernel(gpu: Any, op: OpDef, number: int) -> None:
    args, attrs = split_args(op, samples_of(op)[number])

    def arrays(place: Any) -> list[Any]:
        def one(a: Any) -> Any:
            return None if a is None else [one(x) for x in a] if isinstance(a, list) else place(a._data)

        return [one(a) for a in args]

    found = op.eager(gpu, *arrays(gpu.asarray), **attrs)  # type: ignore[misc]
    wanted = op.eager(np, *arrays(np.array), **attrs)  # type: ignore[misc]
    if not op.multi:
        found, wanted = (found,), (wanted,)
    for one, other in zip(found, wanted, strict=True):
        assert isinstance(one, gpu.ndarray), f"the result is numpy's: {type(one).__name__}"
        host = gpu.asnumpy(one)
        assert host.dtype == np.asarray(other).dtype and host.shape == np.shape(other)
        wide = "c16" if host.dtype.kind == "c" else "f8"
        np.testing.assert_allclose(host.astype(wide), np.asarray(other).astype(wide), rtol=1e-6, atol=1e-9)


def test_exceptions_are_needed(gpu: Any) -> None:
    for name in ON_CPU:
        with pytest.raises(pp.DeviceError):
            run_kernel(gpu, OPS[name], 0)


def test_to_and_back(gpu: Any) -> None:
    x = pp.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.to("cuda")
    assert y.device == "cuda:0" and y.device.type == "cuda" and y.is_cuda and not x.is_cuda and y.dtype is pp.float32
    assert y.to("cuda:0") is y and x.to("cpu") is x and y.cuda() is y and x.cpu() is x
    assert y.to(pp.float64).device == "cuda:0" and x.to(y).device == "cuda:0"
    assert y.to("cpu", pp.int64).tolist()[1] == [3, 4]
    (y * y).sum().backward()
    assert x.grad is not None and x.grad.device == "cpu" and x.grad.tolist() == [[2.0, 4.0], [6.0, 8.0]]


def test_numbers_out(gpu: Any) -> None:
    x = pp.tensor([1.5, 2.5], device="cuda")
    assert x.tolist() == [1.5, 2.5] and x[0].item() == 1.5 and float(x.sum()) == 4.0 and bool((x > 1).all())
    assert repr(x) == "tensor([1.5000, 2.5000], device='cuda:0')"
    assert pp.tensor(x, device="cpu").device == "cpu" and x.cpu().numpy().tolist() == [1.5, 2.5]
    for use in (x.numpy, lambda: np.asarray(x)):
        with pytest.raises(pp.DeviceError, match=r"can't convert cuda:0 device type tensor to numpy. Use Tensor.cpu"):
            use()


def test_making_tensors(gpu: Any) -> None:
    made = [
        pp.zeros(2, device="cuda"), pp.ones(2, 3, device=0), pp.full((2,), 7, device="cuda:0"),
        pp.empty(1, device="cuda"), pp.arange(3, device="cuda"), pp.linspace(0, 1, 3, device="cuda"),
        pp.eye(2, device=pp.device("cuda")),
        pp.tensor([1], device="cuda"), pp.as_tensor([1.0], device="cuda"), pp.rand(2, device="cuda"),
        pp.randn(2, device="cuda"), pp.randint(0, 5, (2,), device="cuda"), pp.randperm(4, device="cuda"),
    ]  # fmt: skip
    assert {t.device for t in made} == {"cuda:0"}
    x = made[0]
    like = [pp.zeros_like(x), pp.ones_like(x), pp.full_like(x, 2), pp.rand_like(x), x.new_zeros(2), x.clone(), x + 1]
    assert {t.device for t in like} == {"cuda:0"} and pp.zeros_like(x, device="cpu").device == "cpu"
    assert pp.ones(2, device="cuda", requires_grad=True).is_leaf
    pp.manual_seed(0)
    first = pp.randn(4, device="cuda")
    pp.manual_seed(0)
    assert pp.randn(4).tolist() == first.tolist()  # the same numbers on every device


def test_devices_do_not_mix(gpu: Any) -> None:
    x, y = pp.ones(2), pp.ones(2, device="cuda")
    with pytest.raises(pp.DeviceError, match=r"add: expected all tensors to be on the same device.*cuda:0, cpu"):
        x + y
    with pytest.raises(pp.DeviceError, match="cat: expected all tensors"):
        pp.cat([x, y])
    assert (y * pp.tensor(3.0)).tolist() == [3.0, 3.0] and (y * 2 + 1).device == "cuda:0"  # numbers may
    x.copy_(y * 5)
    y.copy_(x + 1)
    assert x.tolist() == [5.0, 5.0] and y.tolist() == [6.0, 6.0] and y.device == "cuda:0"
    y[0] = 1.0
    y.fill_(4.0).add_(1.0)
    assert y.tolist() == [5.0, 5.0]


def network() -> Any:
    pp.manual_seed(0)
    nn = pp.nn
    return nn.Sequential(
        nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(27, 8), nn.LayerNorm(8), nn.GELU(), nn.Linear(8, 3),
    )  # fmt: skip


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_training_is_the_same(gpu: Any, name: str) -> None:
    def losses(where: str) -> list[float]:
        model = network().to(where)
        assert {t.device.type for t in [*model.parameters(), *model.buffers()]} == {where}
        options = {"momentum": 0.9} if name == "SGD" else {}
        opt, found = getattr(pp.optim, name)(model.parameters(), lr=0.01, **options), []
        x, target = pp.randn(6, 1, 6, 6, device=where), pp.tensor([0, 1, 2, 0, 1, 2], device=where)
        for _ in range(4):
            opt.zero_grad()
            loss = pp.nn.functional.cross_entropy(model(x), target)
            loss.backward()
            opt.step()
            found.append(loss.item())
        for p in model.parameters():
            assert p.grad is not None and p.grad.device.type == where and opt.state[p]
        return found

    assert losses("cuda") == pytest.approx(losses("cpu"), rel=1e-4)


def test_modules_move_and_are_saved(gpu: Any) -> None:
    model = pp.nn.Linear(2, 2)
    weight = model.weight
    assert model.cuda() is model and model.weight is weight and weight.device == "cuda:0"
    other = copy.deepcopy(model)
    assert other.weight.device == "cuda:0" and other.weight is not weight
    other.load_state_dict({k: v.cpu() * 0 for k, v in model.state_dict().items()})
    assert other.weight.device == "cuda:0" and other.weight.abs().sum().item() == 0.0
    assert model.cpu().weight.device == "cpu" and model.to(pp.device("cuda"), pp.float64).bias.dtype is pp.float64


def test_layers_are_made_on_the_device(gpu: Any) -> None:
    for layer, shape in (
        (pp.nn.Linear(2, 3, device="cuda"), (4, 2)), (pp.nn.BatchNorm1d(2, device="cuda"), (4, 2)),
        (pp.nn.Conv2d(1, 2, 3, device=pp.device("cuda")), (1, 1, 5, 5)),
    ):  # fmt: skip
        assert all(t.device == "cuda:0" for t in (*layer.parameters(), *layer.buffers()))
        assert layer(pp.ones(*shape, device="cuda")).device == "cuda:0"
    with pytest.raises(NotImplementedError, match=r"made on the CPU.*\.to\('cuda'\)"):
        pp.nn.LazyLinear(2, device="cuda")


def test_without_cupy() -> None:
    assert pp.cuda.is_available() == (pp.cuda.device_count() > 0) == device.cuda_is_available()
    if device.cuda_is_available():
        pytest.skip("there is a GPU")
    for use in (
        lambda: pp.ones(2).to("cuda"), lambda: pp.ones(2).cuda(), lambda: pp.zeros(2, device="cuda"),
        lambda: pp.nn.Linear(1, 1).cuda(), lambda: pp.nn.Linear(1, 1, device="cuda"),
        lambda: pp.randn(2, device=pp.device("cuda", 1)),
    ):  # fmt: skip
        with pytest.raises(pp.DeviceError, match=r"pip install cupy-cuda12x|sees no GPU"):
            use()
    for name in ("mps", "tpu:0", "cuda:x"):
        with pytest.raises(pp.DeviceError, match=f"no device '{name}'"):
            pp.ones(2, device=name)
    assert pp.ones(2, device="cpu").to("cpu:0").device == "cpu"


def test_the_library_keeps_cupys_rules() -> None:
    x = OtherArray(np.ones(2))
    for wrong in (lambda: np.asarray(x), lambda: x + np.ones(2), lambda: np.add(x, np.ones(2)),
                  lambda: np.concatenate([x, np.ones(2)]), lambda: np.zeros(2).__setitem__(0, x)):  # fmt: skip
        with pytest.raises((TypeError, ValueError)):
            wrong()
    assert isinstance(np.sqrt(x), OtherArray) and isinstance(np.sum(x), OtherArray)
