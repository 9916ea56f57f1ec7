"""as_strided and its relatives: geometry of memory, aliasing, refusals; resize_; fill."""

from __future__ import annotations

import pytest

import pappus as pp


def test_as_strided_shows_the_memory_of_the_whole_tensor_behind_a_view() -> None:
    x = pp.arange(12.0)
    part = x[4:8]
    assert pp.as_strided(part, (2, 2), (1, 2)).tolist() == [[4, 6], [5, 7]]
    assert pp.as_strided(part, (3,), (5,), 0).tolist() == [0, 5, 10]
    assert pp.as_strided(x.reshape(3, 4).T, (4,), (1,)).tolist() == [0, 1, 2, 3]
    again = pp.as_strided(pp.as_strided(x, (2,), (3,), 1), (2,), (1,))
    assert again.tolist() == [1, 2] and again.storage_offset() == 1 and again.stride() == (1,)


def test_as_strided_is_a_view_unless_places_overlap() -> None:
    x = pp.zeros(6)
    x.as_strided((2, 2), (3, 1)).fill_(1)
    assert x.tolist() == [1, 1, 0, 1, 1, 0]
    with pytest.raises(pp.InplaceError, match=r"call .clone\(\) first"):
        x.as_strided((3, 2), (1, 1)).fill_(2)


@pytest.mark.parametrize("dtype", [pp.float32, pp.bfloat16, pp.int8, pp.bool])
def test_as_strided_of_every_type_and_of_nothing(dtype: pp.DType) -> None:
    assert pp.ones(4, dtype=dtype).as_strided((2,), (3,)).dtype is dtype
    assert pp.ones(0, dtype=dtype).as_strided((0, 3), (3, 1)).shape == (0, 3)


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (((2, 3), (3,)), "2 sizes .* but 1 strides"),
        (((3, 3), (3, 1)), "need 9 elements of memory, the tensor's has 6"),
        (((2,), (1,), 5), "need 7 elements"),
        (((2,), (-1,)), "strides must not be negative"),
        (((-1,), (1,)), "sizes must not be negative"),
        (((1,), (1,), -1), "the offset must not be negative"),
    ],
)
def test_as_strided_refuses(arguments: tuple[object, ...], text: str) -> None:
    with pytest.raises(pp.ShapeError, match=text) as caught:
        pp.as_strided(pp.zeros(6), *arguments)
    assert "test_ops_strided.py" in str(caught.value)


def test_gradient_goes_to_each_place_once() -> None:
    x = pp.arange(4.0).requires_grad_()
    x.as_strided((3, 2), (1, 1)).sum().backward()
    assert x.grad is not None and x.grad.tolist() == [1, 2, 2, 1]
    y = pp.arange(6.0).requires_grad_()
    y.reshape(2, 3).T.as_strided((2,), (1,), 1).sum().backward()
    assert y.grad is not None and y.grad.tolist() == [0, 1, 1, 0, 0, 0]


def test_as_strided_scatter_writes_what_as_strided_shows() -> None:
    x, src = pp.zeros(2, 3), pp.ones(2).requires_grad_()
    out = pp.as_strided_scatter(x, src, (2,), (4,), 1)
    assert out.tolist() == [[0, 1, 0], [0, 0, 1]] and x.sum().item() == 0
    (out * pp.arange(6.0).reshape(2, 3)).sum().backward()
    assert src.grad is not None and src.grad.tolist() == [1, 5]
    with pytest.raises(pp.ShapeError, match=r"src has shape \[2\]"):
        pp.as_strided_scatter(x, src, (3,), (1,))


def test_empty_by_strides() -> None:
    assert pp.empty_strided((2, 3), (1, 2), dtype=pp.int32).stride() == (1, 2)
    made = pp.empty_permuted((2, 3, 4), (0, 2, 1), requires_grad=True)
    assert made.shape == (2, 3, 4) and made.stride() == (12, 1, 3) and made.requires_grad
    assert pp.zeros(1, dtype=pp.float64).new_empty_strided((2,), (1,)).dtype is pp.float64
    with pytest.raises(pp.ArgumentError, match="no order of 2 dimensions"):
        pp.empty_permuted((2, 3), (0, 0))


def test_resize_keeps_memory_where_it_is_enough() -> None:
    x = pp.arange(6)
    whole = x[:]
    assert x.resize_(2, 2) is x and x.tolist() == [[0, 1], [2, 3]]
    x.fill_(9)
    assert whole.tolist() == [9, 9, 9, 9, 4, 5]
    x.resize_((2, 4))
    assert x.tolist() == [[9, 9, 9, 9], [4, 5, 0, 0]]
    x.zero_()
    assert whole.tolist() == [9, 9, 9, 9, 4, 5]
    assert pp.zeros(0).resize_as_(pp.ones(2, 1)).shape == (2, 1)


def test_resize_refuses() -> None:
    with pytest.raises(pp.AutogradError, match="cannot be resized"):
        pp.ones(2, requires_grad=True).resize_(3)
    with pytest.raises(pp.ShapeError, match="must not be negative"):
        pp.ones(2).resize_(-1)


def test_resize_is_seen_by_backward() -> None:
    x = pp.ones(3)
    y = pp.ones(3, requires_grad=True) * x
    x.resize_(2)
    with pytest.raises(pp.AutogradError, match="resize_"):
        y.sum().backward()


def test_fill() -> None:
    x, value = pp.ones(2, 2, dtype=pp.float16, requires_grad=True), pp.tensor(3.0, requires_grad=True)
    out = pp.fill(x, value)
    assert out.dtype is pp.float16 and out.tolist() == [[3, 3], [3, 3]]
    out.sum().backward()
    assert value.grad is not None and value.grad.item() == 4 and x.grad is not None and not x.grad.any()
    with pytest.raises(pp.ShapeError, match="0-d tensor"):
        pp.fill(x, pp.ones(2))
    y = pp.ones(2)
    assert pp.fill_(y, 5) is y and y.tolist() == [5, 5] and pp.zero_(y).tolist() == [0, 0]
