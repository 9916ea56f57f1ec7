"""The tensor itself: views and memory, conversion to Python and numpy, operators, in-place forms, copies."""

from __future__ import annotations

import copy
import io
import operator
import pickle
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

import pappus as pp
from pappus.frontend.tensor import Tensor

# -- views ----------------------------------------------------------------------------------------

VIEWS = [
    lambda x: x.view(6, 4),
    lambda x: x.reshape(-1),
    lambda x: x.permute(2, 0, 1),
    lambda x: x.transpose(0, 1),
    lambda x: x[0],
    lambda x: x[:, 1:3, ::2],
    lambda x: x.select(1, 2),
    lambda x: x.narrow(2, 1, 2),
    lambda x: x.unsqueeze(0),
    lambda x: x[:1].squeeze(0),
    lambda x: x.flatten(1),
    lambda x: x.unbind(1)[1],
    lambda x: x.split(2, 1)[1],
    lambda x: x.chunk(2)[0],
    lambda x: x.mT,
    lambda x: x[None, ..., 0],
    lambda x: x.detach(),
    lambda x: x.unflatten(1, (3, 1)),
    lambda x: x.movedim(0, 2),
    lambda x: x.swapaxes(0, 1),
    lambda x: x.T if x.ndim == 2 else x.mT,
    lambda x: x.data,
    lambda x: x.view_as(x),
    lambda x: x.tensor_split(2, 2)[0],
]


@pytest.mark.parametrize("make", VIEWS)
def test_views_share_memory(make: Any) -> None:
    x = pp.arange(24.0).reshape(2, 3, 4)
    view = make(x)
    assert np.shares_memory(view.numpy(), x.numpy())
    before = x.sum().item()
    view.fill_(100.0)
    assert x.sum().item() > before
    x.zero_()
    assert not view.any()


@pytest.mark.parametrize("make", [m for m in VIEWS if "data" not in m.__code__.co_names])
def test_views_share_the_version(make: Any) -> None:
    x = pp.arange(24.0).reshape(2, 3, 4)
    view = make(x)
    view.add_(1)
    x.add_(1)
    assert x._version == view._version == 2


def test_copies_do_not_share() -> None:
    x = pp.arange(6.0).reshape(2, 3)
    for made in (
        x.clone(),
        x.t().contiguous(),
        x.t().reshape(-1),
        x + 0,
        pp.tensor(x.numpy()),
        x.repeat(1, 1),
        x[[0, 1]],
        x.to(pp.float64),
        x.to(pp.float32, copy=True),
        x.flip(0),
    ):
        assert not np.shares_memory(made.numpy(), x.numpy())
    assert x.contiguous() is x and x.to(pp.float32) is x and x.float() is x and x.cpu() is x and x.to("cpu") is x


def test_expanded_memory_is_not_written() -> None:
    x = pp.ones(1, 3)
    with pytest.raises(pp.InplaceError, match=r"share one memory location.*clone\(\)"):
        x.expand(2, 3).add_(1)
    y = x.expand(2, 3).clone()
    y.add_(1)
    assert y.sum() == 12 and x.sum() == 3


def test_storage_and_strides() -> None:
    x = pp.arange(24).reshape(2, 3, 4)
    assert x.stride() == (12, 4, 1) and x.stride(1) == 4 and x.stride(-1) == 1
    assert x.permute(2, 0, 1).stride() == (1, 12, 4) and x[1, :, ::2].stride() == (4, 2)
    assert x[1, 1:].storage_offset() == 16 and x[1, 1:].data_ptr() - x.data_ptr() == 16 * 8
    assert x.is_contiguous() and not x.mT.is_contiguous() and x[0].is_contiguous() and not x[:, 0].is_contiguous()
    assert x.element_size() == x.itemsize == 8 and x.nbytes == 192 and x.numel() == 24


# -- numpy ----------------------------------------------------------------------------------------


def test_numpy_shares_both_ways() -> None:
    a = np.arange(4, dtype=np.float32)
    x = pp.from_numpy(a)
    a[0] = 9
    assert x[0] == 9
    x[1] = 8
    assert a[1] == 8 and x.numpy() is not None and np.shares_memory(x.numpy(), a)
    assert np.shares_memory(pp.as_tensor(a).numpy(), a) and not np.shares_memory(pp.tensor(a).numpy(), a)
    assert np.asarray(x).dtype == np.float32 and np.shares_memory(np.asarray(x), a)
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert (np.sqrt(x.numpy()) == np.sqrt(a)).all()


def test_numpy_of_what_requires_grad() -> None:
    x = pp.ones(2, requires_grad=True)
    with pytest.raises(pp.AutogradError, match=r"detach\(\).numpy\(\)"):
        x.numpy()
    with pytest.raises(pp.AutogradError):
        np.asarray(x)
    assert x.numpy(force=True).tolist() == x.detach().numpy().tolist() == [1.0, 1.0]


def test_arithmetic_with_numpy() -> None:
    x = pp.tensor([1.0, 2.0])
    a = np.array([3.0, 4.0], np.float32)
    for found in (x * a, a * x, x + a - a, np.float32(2) * x * 1.5):
        assert isinstance(found, Tensor)
    assert (
        (a * x).tolist() == [3.0, 8.0]
        and (np.float64(2) * x).dtype is pp.float32
        and (x * np.int64(3)).tolist() == [3.0, 6.0]
    )


def test_scalars_out() -> None:
    assert pp.tensor(2.5).item() == 2.5 and type(pp.tensor(2.5).item()) is float
    assert type(pp.tensor(3).item()) is int and type(pp.tensor(True).item()) is bool
    assert pp.tensor([[7]]).item() == 7 and type(pp.tensor(1.5, dtype=pp.bfloat16).item()) is float
    with pytest.raises(pp.ArgumentError, match=r"exactly one element, got shape \[2\].*\.sum\(\)"):
        pp.ones(2).item()
    assert (
        pp.tensor([[1, 2], [3, 4]]).tolist() == [[1, 2], [3, 4]]
        and pp.tensor(1.5).tolist() == 1.5
        and pp.zeros(0).tolist() == []
    )
    assert pp.tensor([1.5], dtype=pp.bfloat16).tolist() == [1.5]


def test_python_protocols() -> None:
    x = pp.arange(6).reshape(2, 3)
    assert len(x) == 2 and [r.tolist() for r in x] == [[0, 1, 2], [3, 4, 5]] and 4 in x and 9 not in x
    assert bool(pp.tensor(1)) and not pp.tensor([0.0]) and int(pp.tensor(2.9)) == 2 and float(pp.tensor(2)) == 2.0
    assert [10, 20, 30][pp.tensor(1)] == 20 and list(range(pp.tensor(3))) == [0, 1, 2]
    a, b = pp.tensor([1.0, 2.0])
    assert a == 1 and b == 2 and hash(a) != hash(b) and len({a: 1, b: 2}) == 2
    assert round(pp.tensor(2.567).item(), 1) == 2.6
    for bad, what in (
        (lambda: bool(pp.ones(2)), r"ambiguous.*\.any\(\)"),
        (lambda: len(pp.tensor(1)), "0-d"),
        (lambda: iter(pp.tensor(1)), "0-d"),
        (lambda: float(pp.ones(2)), "ambiguous"),
        (lambda: [1][pp.tensor(0.0)], "integer"),
        (lambda: bool(pp.zeros(0)), "ambiguous"),
    ):
        with pytest.raises(pp.PappusError, match=what):
            bad()


# -- operators ------------------------------------------------------------------------------------

BINARY = ["add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "eq", "ne", "lt", "le", "gt", "ge"]
LOGICAL = ["and_", "or_", "xor"]


@pytest.mark.parametrize("name", BINARY)
def test_operators_equal_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    from torch_oracle import both

    function = getattr(operator, name)
    for a, b in (
        (pp.tensor([5.5, 2.0, 3.0]), pp.tensor([2.0, 2.0, 0.5])),
        (pp.tensor([7, -2, 3]), pp.tensor([2, 2, 5])),
        (pp.tensor([7, 2]), 2),
        (pp.tensor([1.5, 2.0]), 2),
        (pp.tensor([4, 2]), 1.5),
        (3, pp.tensor([1, 2])),
        (2.5, pp.tensor([1, 2])),
        (2, pp.tensor([1.5, 0.5])),
    ):
        both(lambda m, *given: function(*given), a, b)
    assert torch is not None


@pytest.mark.parametrize("name", LOGICAL)
def test_logical_operators(name: str) -> None:
    torch = pytest.importorskip("torch")
    function = getattr(operator, name)
    for a, b in (([True, False, True], [True, True, False]), ([6, 5], [3, 3])):
        assert function(pp.tensor(a), pp.tensor(b)).tolist() == function(torch.tensor(a), torch.tensor(b)).tolist()
    assert function(pp.tensor([6, 5]), 3).tolist() == function(torch.tensor([6, 5]), 3).tolist()
    assert function(3, pp.tensor([6, 5])).tolist() == function(3, torch.tensor([6, 5])).tolist()


def test_unary_operators() -> None:
    x = pp.tensor([1.5, -2.0])
    assert (-x).tolist() == [-1.5, 2.0] and (+x).tolist() == x.tolist() and abs(x).tolist() == [1.5, 2.0]
    assert (~pp.tensor([True, False])).tolist() == [False, True] and (~pp.tensor([0, 5])).tolist() == [-1, -6]
    with pytest.raises(pp.DTypeError):
        -pp.tensor([True])
    with pytest.raises(pp.DTypeError):
        _ = ~x


def test_foreign_operands() -> None:
    x = pp.ones(2)
    for other in ("a", [1.0, 2.0], None, object()):
        with pytest.raises(TypeError):
            x + other
        with pytest.raises(TypeError):
            other - x
    assert (x == "a") is False and (x != None) is True  # noqa: E711 - the operator is tested


@pytest.mark.parametrize("name", ["iadd", "isub", "imul", "itruediv", "ifloordiv", "imod", "ipow"])
def test_in_place_operators(name: str) -> None:
    torch = pytest.importorskip("torch")
    for other in (2, 2.0, [2.0, 4.0]):
        x, y = pp.tensor([5.0, 7.0]), torch.tensor([5.0, 7.0])
        kept = x
        x = getattr(operator, name)(x, pp.tensor(other) if isinstance(other, list) else other)
        y = getattr(operator, name)(y, torch.tensor(other) if isinstance(other, list) else other)
        assert x is kept and x.tolist() == y.tolist() and x._version == 1
    with pytest.raises(pp.DTypeError, match=r"float32.*int64.*out-of-place"):
        z = pp.tensor([1, 2])
        z *= 1.5
    with pytest.raises(pp.ShapeError, match="does not fit in place"):
        z = pp.ones(2)
        z += pp.ones(3, 2)


def test_in_place_methods() -> None:
    x = pp.tensor([1.0, 4.0])
    address = x.data_ptr()
    assert x.add_(1).mul_(2).sub_(1, alpha=2).div_(2) is x and x.tolist() == [1.0, 4.0]
    assert (
        x.sqrt_().tolist() == [1.0, 2.0]
        and x.clamp_(max=1.5).tolist() == [1.0, 1.5]
        and x.zero_().tolist() == [0.0, 0.0]
    )
    assert (
        x.fill_(3).tolist() == [3.0, 3.0]
        and x.copy_(pp.tensor([1, 2])).tolist() == [1.0, 2.0]
        and x.copy_(pp.tensor(5)).tolist() == [5.0, 5.0]
    )
    assert (
        x.masked_fill_(x > 1, 0).tolist() == [0.0, 0.0]
        and x.fill_(pp.tensor(2)).tolist() == [2.0, 2.0]
        and x.neg_().abs_().tolist() == [2.0, 2.0]
    )
    assert x.data_ptr() == address
    n = pp.tensor([1, 2])
    assert n.add_(True).tolist() == [2, 3] and n.dtype is pp.int64
    with pytest.raises(pp.DTypeError):
        n.add_(0.5)
    assert n.tolist() == [2, 3]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((3,), (3,)),
        ((2, 3), (3,)),
        ((3,), (3, 4)),
        ((2, 3), (3, 4)),
        ((5, 2, 3), (3, 4)),
        ((5, 2, 3), (5, 3, 4)),
        ((2, 3), (5, 3, 4)),
        ((5, 2, 3), (3,)),
        ((3,), (5, 3, 4)),
        ((2, 1, 2, 3), (5, 3, 4)),
        ((2, 5, 2, 3), (2, 5, 3, 1)),
        ((0, 3), (3, 4)),
        ((2, 0), (0, 4)),
        ((5, 0, 3), (3, 2)),
        ((1, 1), (1, 1)),
        ((2, 3), (2, 3)),
        ((3,), (4,)),
        ((), (3,)),
        ((2, 3, 4), (3, 4, 5)),
    ],
)
def test_matmul_shapes(a: Any, b: Any) -> None:
    pytest.importorskip("torch")
    from torch_oracle import both

    rng = np.random.default_rng(0)
    x, y = pp.tensor(rng.normal(size=a), requires_grad=True), pp.tensor(rng.normal(size=b), requires_grad=True)
    both(lambda m, x, y: x @ y, x, y)
    both(lambda m, x, y: m.matmul(x.mT if x.ndim > 1 and x.shape[-1] == x.shape[-2] else x, y), x, y)


def test_matmul_of_integers_and_strides() -> None:
    x = pp.arange(6).reshape(2, 3)
    assert (x @ x.T).tolist() == [[5, 14], [14, 50]] and (x.T @ x).shape == (3, 3)
    y = pp.arange(24.0).reshape(4, 6)[::2, ::2]
    np.testing.assert_allclose((y @ y.T).numpy(), y.numpy() @ y.numpy().T)
    with pytest.raises(pp.DTypeError, match=r"\.to\(pappus.float32\)"):
        x @ y.T


# -- shape and attributes -------------------------------------------------------------------------


def test_size() -> None:
    shape = pp.zeros(2, 3, 4).shape
    assert (
        shape == (2, 3, 4)
        and isinstance(shape, tuple)
        and shape.numel() == 24
        and repr(shape) == "pappus.Size([2, 3, 4])"
    )
    assert (
        isinstance(shape[1:], pp.Size) and shape[1:] == (3, 4) and shape[-1] == 4
        and isinstance(shape.__add__((1,)), pp.Size)
    )
    x = pp.zeros(2, 3)
    assert x.size() == (2, 3) and x.size(0) == x.size(-2) == 2 and x.size(dim=1) == 3 and x.dim() == x.ndim == 2
    assert pp.zeros(shape).shape == shape and pp.Size([2]) == (2,)
    with pytest.raises(IndexError):
        x.size(2)


def test_attributes() -> None:
    x = pp.zeros(2, 3)
    assert (
        x.device == "cpu"
        and x.device.type == "cpu"
        and str(x.device) == "cpu"
        and not x.is_cuda
        and x.is_leaf
        and x.layout == "strided"
    )
    assert (
        x.is_floating_point() and not x.is_complex() and x.is_signed() and not pp.zeros(1, dtype=pp.uint8).is_signed()
    )
    assert x.T.shape == (3, 2) and x.mT.shape == (3, 2) and pp.zeros(2, 3, 4).mT.shape == (2, 4, 3)
    assert pp.empty(2).tolist() == [0.0, 0.0] and pp.empty_like(x).shape == (2, 3)


def test_grad_attribute() -> None:
    x = pp.ones(2, requires_grad=True)
    x.grad = pp.ones(2)
    x.grad = None
    for bad, what in ((3, "Tensor or None"), (pp.ones(3), r"\[3\].*\[2\]"), (x, "its own gradient")):
        with pytest.raises(pp.ArgumentError, match=what):
            x.grad = bad  # type: ignore[assignment]
    y = x * 2
    with pytest.raises(pp.AutogradError, match=r"leaf.*detach"):
        y.requires_grad = False
    x.requires_grad = False
    assert x.requires_grad_().requires_grad


def test_devices() -> None:
    x = pp.ones(2)
    assert x.to(device="cpu", dtype=pp.float64).dtype is pp.float64 and x.to(pp.device("cpu")) is x
    with pytest.raises(pp.DeviceError, match=r"no device 'mps'; devices are 'cpu' and 'cuda'"):
        x.to("mps")


# -- copies ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int64", "bool"])
def test_copy_and_pickle(dtype: str) -> None:
    x = pp.tensor([1.0, 0.0, 2.0]).to(getattr(pp, dtype))
    for made in (copy.deepcopy(x), pickle.loads(pickle.dumps(x)), copy.deepcopy([x])[0]):
        assert made.dtype is x.dtype and made.tolist() == x.tolist() and not np.shares_memory(made.numpy(), x.numpy())
    buffer = io.BytesIO()
    pickle.dump({"x": x.reshape(3, 1).mT}, buffer)
    assert pickle.loads(buffer.getvalue())["x"].shape == (1, 3)


def test_copy_keeps_what_a_leaf_has() -> None:
    x = pp.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    made = copy.deepcopy(x)
    assert made.requires_grad and made.grad.tolist() == [2.0, 2.0] and made.grad is not x.grad
    assert pickle.loads(pickle.dumps(x)).requires_grad
    shared = copy.deepcopy([x, x])
    assert shared[0] is shared[1]
    with pytest.raises(pp.AutogradError, match=r"detach\(\).clone\(\)"):
        copy.deepcopy(x * 2)


def test_constructor() -> None:
    assert Tensor([1, 2]).dtype is pp.float32 and Tensor().shape == (0,) and pp.FloatTensor([1, 2]).dtype is pp.float32
    assert pp.LongTensor([1.0, 2.0]).dtype is pp.int64 and pp.BoolTensor([1, 0]).tolist() == [True, False]
    assert pp.IntTensor(2, 3).shape == (2, 3) and pp.ByteTensor([255]).tolist() == [255]


# -- properties -----------------------------------------------------------------------------------

FLOATING = st.sampled_from([np.float32, np.float64])


@settings(max_examples=80, deadline=None)
@given(
    npst.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=3),
    FLOATING,
    FLOATING,
    st.sampled_from(["add", "mul", "sub", "maximum"]),
)
def test_broadcasting_equals_numpy(shapes: Any, left: Any, right: Any, name: str) -> None:
    """Values, shape and promoted type; gradients have the operands' shapes and add up what was broadcast."""
    a = np.arange(np.prod(shapes.input_shapes[0]), dtype=left).reshape(shapes.input_shapes[0]) - 2
    b = np.arange(np.prod(shapes.input_shapes[1]), dtype=right).reshape(shapes.input_shapes[1]) * 2
    x, y = pp.tensor(a, requires_grad=True), pp.tensor(b, requires_grad=True)
    out = getattr(pp, name)(x, y)
    want = getattr(np, {"add": "add", "mul": "multiply", "sub": "subtract", "maximum": "maximum"}[name])(a, b)
    assert tuple(out.shape) == shapes.result_shape == want.shape
    if a.ndim and b.ndim:
        assert out.dtype.numpy == want.dtype
    np.testing.assert_array_equal(out.detach().numpy(), want)
    out.sum().backward()
    assert x.grad.shape == x.shape and y.grad.shape == y.shape and x.grad.dtype is x.dtype and y.grad.dtype is y.dtype
    if name == "add":
        np.testing.assert_array_equal(x.grad.numpy(), np.full(a.shape, want.size / max(a.size, 1) if a.size else 0))


@settings(max_examples=60, deadline=None)
@given(npst.array_shapes(max_dims=4, max_side=4), st.data())
def test_views_round_trip(shape: Any, data: Any) -> None:
    """permute by an order and back, flatten and back, cat of the chunks: the identity."""
    x = pp.arange(float(np.prod(shape))).reshape(shape)
    order = data.draw(st.permutations(range(len(shape))))
    back = [order.index(d) for d in range(len(shape))]
    assert pp.equal(x.permute(order).permute(back), x)
    assert pp.equal(x.permute(order).reshape(-1).view([shape[d] for d in order]).permute(back), x)
    dim = data.draw(st.integers(-len(shape), len(shape) - 1))
    assert pp.equal(pp.cat(x.chunk(data.draw(st.integers(1, 4)), dim), dim), x)
    assert pp.equal(pp.stack(x.unbind(dim), dim), x) and pp.equal(x.flip(dim).flip(dim), x)
