"""x[...] and x[...] = v against PyTorch and numpy, for every kind of index and mixtures of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import pappus as pp
from pappus.frontend.tensor import Tensor

torch = pytest.importorskip("torch")

from torch_oracle import same  # noqa: E402 - needs torch

DATA = np.arange(60.0).reshape(3, 4, 5)
E, N = Ellipsis, None
S = slice


def to(library: Any, index: Any) -> Any:
    """An index with its numpy arrays as tensors of the library."""
    if isinstance(index, tuple):
        return tuple(to(library, i) for i in index)
    return (
        library.tensor(index.tolist(), dtype=getattr(library, str(index.dtype)))
        if isinstance(index, np.ndarray)
        else index
    )


I, J = np.array([2, 0, -1]), np.array([[0, 2], [1, -3]])
ROWS, MASK3 = np.array([True, False, True]), DATA % 7 > 3
INDICES: list[Any] = [
    0,
    -1,
    2,
    S(None),
    S(1, 3),
    S(None, None, 2),
    S(-2, None),
    S(0, 100),
    S(2, 1),
    S(-100, 2),
    E,
    N,
    (),
    (0, 1),
    (0, 1, 2),
    (0, 1, -1),
    (S(None), 1),
    (S(None), S(1, 4, 2), -1),
    (E, 0),
    (0, E),
    (1, E, 2),
    (N, 0),
    (0, N),
    (S(None), N, 1),
    (N, E, N),
    (E, N),
    (N, S(1, 2), N, 0),
    I,
    J,
    (I,),
    (S(None), I),
    (S(None), S(None), I),
    (E, I),
    (0, I),
    (I, 0),
    (I, S(1, 3)),
    (I, I),
    (J, J, 0),
    (I, S(None), I),
    (S(1, None), I, S(None, None, 2)),
    (0, S(None), I),
    (I, E),
    (I, N),
    (N, I),
    (J, E, 0),
    (I, S(None), N, 1),
    [0, 2],
    ([0, 2], [1, 1]),
    ([[0], [2]], [0, 1, 3]),
    [],
    ([],),
    (S(None), []),
    ROWS,
    MASK3,
    (ROWS,),
    (ROWS, 0),
    (S(None), DATA[0, :, 0] > 5),
    (ROWS, S(1, 3)),
    (MASK3[:, :, 0],),
    (0, MASK3[0]),
    (ROWS, I[:2]),
    (E, DATA[0, 0] > 2),
    np.array([False] * 3),
    (np.zeros((3, 4), bool),),
    np.array(1),
    (np.array(1), I),
    np.array([], dtype=np.int64),
    (I, S(None), J[:, :1] * 0),
]
WRONG: list[Any] = [
    3,
    -4,
    (0, 4),
    (0, 0, 0, 0),
    I + 1,
    np.array([0.5]),
    "a",
    (0, "a"),
    1.5,
    np.array([True, False]),
    S(None, None, -1),
    (I, np.array([0, 1])),
    S(None, None, 0),
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_get(index: Any) -> None:
    x = pp.tensor(DATA)
    y = torch.tensor(DATA)
    same(x[to(pp, index)], y[to(torch, index)])


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_set(index: Any) -> None:
    """A number, a tensor of the shape, and one that broadcasts."""
    shape = tuple(torch.tensor(DATA)[to(torch, index)].shape)
    values = [-1.0, -np.arange(float(np.prod(shape))).reshape(shape) - 1]
    if shape:
        values += [-np.arange(float(shape[-1])) - 1, np.array([-5.0])]
    for value in values:
        x, y = pp.tensor(DATA), torch.tensor(DATA)
        x[to(pp, index)] = pp.tensor(value) if isinstance(value, np.ndarray) else value
        y[to(torch, index)] = torch.tensor(value) if isinstance(value, np.ndarray) else value
        if isinstance(index, tuple) and any(
            isinstance(i, np.ndarray) and i.dtype != bool and i.size > len(np.unique(i)) for i in index
        ):
            continue  # which of several values for one place stays is not defined
        same(x, y)


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_gradient_of_get_and_set(index: Any) -> None:
    x, y = pp.tensor(DATA, requires_grad=True), torch.tensor(DATA, requires_grad=True)
    (x[to(pp, index)] ** 2).sum().backward()
    (y[to(torch, index)] ** 2).sum().backward()
    same(x.grad, y.grad)
    grads = []
    for m, leaf in ((pp, x), (torch, y)):
        leaf.grad = None
        value = m.tensor(3.0, dtype=m.float64, requires_grad=True)
        copy = leaf * 2
        copy[to(m, index)] = value
        (copy * copy).sum().backward()
        grads.append((leaf.grad, value.grad))
    same(grads[0][0], grads[1][0])
    if grads[1][1] is not None:
        same(grads[0][1], grads[1][1])


@pytest.mark.parametrize("index", WRONG, ids=str)
def test_wrong_indices(index: Any) -> None:
    x, y = pp.tensor(DATA), torch.tensor(DATA)
    with pytest.raises((IndexError, TypeError, ValueError, RuntimeError)):
        y[to(torch, index)]
    with pytest.raises(pp.PappusError):
        x[to(pp, index)]
    with pytest.raises(pp.PappusError):
        x[to(pp, index)] = 0.0
    assert (x.numpy() == DATA).all()


def test_bool_scalars() -> None:
    x, y = pp.tensor(DATA), torch.tensor(DATA)
    same(x[True], y[True])
    same(x[False], y[False])
    same(x[pp.tensor(True)], y[torch.tensor(True)])
    same(x[1, False], y[1, False])
    for flag in (True, False):
        x[flag] = -1.0
        y[flag] = -1.0
        same(x, y)


def test_set_that_does_not_fit() -> None:
    x = pp.zeros(3, 4)
    for index, value in ((0, pp.ones(3)), (slice(None), pp.ones(2, 4)), (pp.tensor([0, 1]), pp.ones(3, 4))):
        with pytest.raises(pp.ShapeError):
            x[index] = value
    assert not x.any()


def test_views_and_copies() -> None:
    """Basic indices give views, advanced ones copies."""
    x = pp.tensor(DATA)
    for index in (0, slice(1, 3), (slice(None), 2), (Ellipsis, 0), None, (0, 1, 2), ()):
        view = x[index]
        assert np.shares_memory(view.numpy(), x.numpy()), index
    for index in (pp.tensor([0, 1]), [0], x > 5):
        assert not np.shares_memory(x[index].numpy(), x.numpy())
    y = x[1:, 0]
    y[0] = -1.0
    assert (x[1, 0] == -1).all()


def test_types() -> None:
    x = pp.zeros(3, dtype=pp.int64)
    x[0] = 2.9
    x[1] = True
    x[2] = pp.tensor(7.5)
    assert x.tolist() == [2, 1, 7]
    b = pp.zeros(2, dtype=pp.bool)
    b[0] = 3
    assert b.tolist() == [True, False]
    x[:] = np.array([4, 5, 6])
    assert x.tolist() == [4, 5, 6]
    x[[0, 2]] = pp.tensor([1, 3], dtype=pp.int32)
    assert x.tolist() == [1, 5, 3]


def test_index_by_int_tensors_of_each_type() -> None:
    x = pp.arange(5)
    for dtype in (pp.int64, pp.int32, pp.int16, pp.int8, pp.uint8):
        assert x[pp.tensor([1, 4], dtype=dtype)].tolist() == [1, 4]
    assert x[np.int64(2)].item() == 2 and x[np.array([1, 2])].tolist() == [1, 2] and x[range(2)].tolist() == [0, 1]


def test_messages() -> None:
    x = pp.zeros(3, 4)
    with pytest.raises(pp.DimError, match="index 3 is out of range for dimension 0 of size 3"):
        x[3]
    with pytest.raises(pp.DimError, match=r"too many indices: 3 for a tensor of 2 dimensions, shape \[3, 4\]"):
        x[0, 0, 0]
    with pytest.raises(pp.DimError, match=r"integer or bool, got pappus.float32; use .long\(\)"):
        x[pp.ones(2)]
    with pytest.raises(pp.DimError, match="out of range for dimension 1 of size 4"):
        x[:, pp.tensor([0, 9])]
    with pytest.raises(pp.ArgumentError, match=r"step must be positive.*flip"):
        x[::-1]
    with pytest.raises(pp.DimError, match=r"bool index of shape \[2\] does not fit"):
        x[pp.tensor([True, False])]
    with pytest.raises(pp.ArgumentError, match="cannot index with str"):
        x["a"]


# -- random indices against numpy -----------------------------------------------------------------

SHAPE = (3, 4, 2)
PARTS = st.one_of(
    st.integers(-2, 1),
    st.builds(slice, st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5), st.none() | st.integers(1, 3)),
    st.just(None),
    st.lists(st.integers(-2, 1), min_size=2, max_size=2).map(np.array),
)


@st.composite
def indices(draw: Any) -> tuple[Any, ...]:
    parts = draw(st.lists(PARTS, max_size=4))
    while sum(p is not None for p in parts) > len(SHAPE):
        parts.pop()
    if draw(st.booleans()):
        parts.insert(draw(st.integers(0, len(parts))), Ellipsis)
    return tuple(parts)


def mixed(index: tuple[Any, ...]) -> bool:
    """numpy counts ints among the advanced indices, torch and Pappus take them first; numpy takes an ellipsis that
    stands for no dimension as one between two of them."""
    return any(isinstance(i, np.ndarray) for i in index) and any(isinstance(i, int) or i is Ellipsis for i in index)


@settings(max_examples=150, deadline=None)
@given(indices())
def test_random_index(index: tuple[Any, ...]) -> None:
    data = np.arange(24.0).reshape(SHAPE)
    x = Tensor._from_data(data.copy())
    if mixed(index):
        want = torch.tensor(data)[to(torch, index)].numpy()
    else:
        want = data[index]
    got = x[index]
    assert tuple(got.shape) == want.shape and (got.numpy() == want).all()
    value = np.arange(float(want.size)).reshape(want.shape) + 100
    if not any(isinstance(i, np.ndarray) for i in index):
        data[index] = value
        x[index] = pp.tensor(value)
        assert (x.numpy() == data).all()
