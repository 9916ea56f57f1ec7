"""Operators that write a part of a tensor, and lists of operands with gaps: values and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.opdef import OPS
from pappus.frontend.tensor import Tensor


@pytest.mark.parametrize("name", ["slice_scatter", "slice_update"])
def test_gradients_by_finite_differences(name: str) -> None:
    for sample in OPS[name].samples():  # type: ignore[misc]
        x, src, *rest = sample.args
        weight = Tensor._from_data(np.random.default_rng(0).standard_normal(x.shape))

        def loss(x: Tensor, src: Tensor, rest: list[object] = rest, weight: Tensor = weight) -> Tensor:
            return (OPS[name](x, src, *rest) * weight).sum()

        for i, operand in enumerate((x, src)):
            operands = [Tensor._from_data(t._data.copy(), requires_grad=j == i) for j, t in enumerate((x, src))]
            loss(*operands).backward()
            found = operands[i].grad
            assert found is not None
            numeric = np.zeros(operand.shape)
            for at in np.ndindex(*operand.shape):
                sides = []
                for step in (1e-6, -1e-6):
                    moved = [t._data.copy() for t in (x, src)]
                    moved[i][at] += step
                    sides.append(float(loss(*map(Tensor._from_data, moved)).item()))
                numeric[at] = (sides[0] - sides[1]) / 2e-6
            np.testing.assert_allclose(found.numpy(), numeric, atol=1e-6)


def test_slice_scatter_like_numpy() -> None:
    x, src = np.arange(12.0).reshape(3, 4), -np.ones((3, 2))
    wanted = x.copy()
    wanted[:, -3::2] = src
    found = pp.slice_scatter(pp.tensor(x), pp.tensor(src), 1, -3, None, 2)
    assert np.array_equal(found.numpy(), wanted)


@pytest.mark.parametrize("start", [-1, 3, 100])
def test_slice_update_refuses_positions_outside(start: int) -> None:
    with pytest.raises(pp.PappusError, match=f"2 elements from position {start} do not fit in dimension 0 of size 4"):
        pp.slice_update(pp.zeros(4), pp.ones(2), pp.tensor(start))


def test_bad_sources_are_named() -> None:
    with pytest.raises(pp.PappusError, match="expected 2"):
        pp.slice_scatter(pp.zeros(4), pp.ones(3), 0, 1, 3)
    with pytest.raises(pp.PappusError, match="convert src"):
        pp.slice_update(pp.zeros(4), pp.ones(2).long(), pp.tensor(0))
    with pytest.raises(pp.PappusError, match="rank 0"):
        pp.slice_update(pp.zeros(4), pp.ones(2), pp.tensor([0]))


def test_indexing_with_gaps_before_the_index() -> None:
    x = pp.tensor(np.arange(24.0).reshape(2, 3, 4), requires_grad=True)
    y = x[:, pp.tensor([0, 2, 2])]
    assert np.array_equal(y.detach().numpy(), x.detach().numpy()[:, [0, 2, 2]])
    y.sum().backward()
    assert x.grad is not None and x.grad[0, :, 0].tolist() == [1.0, 0.0, 2.0]


def test_index_copy_in_place() -> None:
    x = pp.zeros(3, 2)
    x.index_copy_(0, pp.tensor([2]), pp.ones(1, 2))
    assert x.tolist() == [[0, 0], [0, 0], [1, 1]]
