"""The functions of `pappus.nn.functional` that look up tables by index: embedding, bags of embeddings, one_hot."""

from __future__ import annotations

from typing import Any

import numpy as np

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.dtypes import int64
from pappus.frontend.errors import ArgumentError, DTypeError, ShapeError
from pappus.frontend.function import Function
from pappus.frontend.inplace import assign
from pappus.frontend.tensor import Tensor

__all__ = ["embedding", "embedding_bag", "one_hot"]


class _ScaledGradient(Function):
    """The identity, with a factor per row on the way back."""

    @staticmethod
    def forward(ctx: Any, rows: Any, factor: Any) -> Any:
        ctx.save_for_backward(factor)
        return rows.view_as(rows)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        return grads[0] * ctx.saved_tensors[0], None


def _by_frequency(rows: Tensor, input: Tensor) -> Tensor:
    """Rows whose gradient is divided by how often their index occurs in `input`."""
    _, places, counts = np.unique(np.asarray(input.detach().numpy()), return_inverse=True, return_counts=True)
    factor = (1.0 / counts)[places].reshape(*input.shape, 1).astype(rows.dtype.numpy)
    return _ScaledGradient.apply(rows, Tensor._from_data(factor))  # type: ignore[no-any-return]


def _renormalize(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Shrink, in place, the rows that are looked up and whose norm is above `max_norm`."""
    used = np.unique(np.asarray(input.detach().numpy()))
    with no_grad():
        index = Tensor._from_data(used.astype(np.int64))
        rows = weight.detach()[index]
        norms = ops.norm(rows, norm_type, 1, keepdim=True)
        scaled = ops.where(norms > max_norm, rows * (max_norm / (norms + 1e-7)), rows)
        assign(weight, ops.index_put(weight.detach(), [index], scaled))


def _padding(name: str, padding_idx: int | None, rows: Any) -> Any:
    """The index of the row that counts for nothing, -1 for none."""
    if padding_idx is None:
        return -1
    if not -rows <= padding_idx < rows:
        raise ArgumentError(f"{name}: padding_idx {padding_idx} must be within the table's {rows} rows")
    return padding_idx % rows


def _not_sparse(name: str, sparse: bool) -> None:
    if sparse:
        raise ArgumentError(f"{name}: sparse gradients are not supported; use sparse=False")


def embedding(
    input: Tensor, weight: Tensor, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Tensor:  # fmt: skip
    """Rows of `weight` (V, E) at the indices `input` (*): (*, E). The row `padding_idx` gets no gradient.

    With `max_norm`, rows that are looked up and have a larger norm are first scaled to it, in place. With
    `scale_grad_by_freq` the gradient of a row is divided by how often its index occurs in `input`.

    >>> import pappus as pp
    >>> embedding(pp.tensor([1, 0]), pp.tensor([[1.0, 2.0], [3.0, 4.0]])).tolist()
    [[3.0, 4.0], [1.0, 2.0]]
    """
    _not_sparse("embedding", sparse)
    index = _padding("embedding", padding_idx, weight.shape[0])
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    rows: Tensor = ops.embedding(weight, input, index)
    return _by_frequency(rows, input) if scale_grad_by_freq else rows


def embedding_bag(
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    mode: str = "mean",
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Tensor:
    """Sum, mean or maximum of the rows of `weight` (V, E) for each bag of indices: (B, E).

    `input` is (B, N), a bag in every row, or (N) with the `offsets` (B) at which the bags begin (with
    `include_last_offset` also where the last one ends). `per_sample_weights` multiply the rows of a sum. Indices equal
    to `padding_idx` do not count; an empty bag is zero. Further options as for `embedding`.

    >>> import pappus as pp
    >>> table = pp.tensor([[1.0, 2.0], [3.0, 4.0]])
    >>> embedding_bag(pp.tensor([0, 1, 1]), table, pp.tensor([0, 2]), mode="sum").tolist()
    [[4.0, 6.0], [3.0, 4.0]]
    """
    name = "embedding_bag"
    _not_sparse(name, sparse)
    _check_bags(input, weight, offsets, mode, per_sample_weights)
    if scale_grad_by_freq and mode == "max":
        raise ArgumentError("embedding_bag: max mode does not support scaling the gradient by the frequency")
    index = _padding(name, padding_idx, weight.shape[0])
    if max_norm is not None:
        _renormalize(weight, input, max_norm, norm_type)
    rows = ops.embedding(weight, input, index)
    if rows.dtype.itemsize == 2:  # sums over many rows: add up in float32, round once
        rows = rows.float()
    if scale_grad_by_freq:
        rows = _by_frequency(rows, input)
    counted = None if index < 0 else input != index
    if per_sample_weights is not None:
        rows = rows * per_sample_weights.unsqueeze(-1)
    if offsets is None:
        return _reduce_bags(rows, counted, mode).to(weight.dtype)  # type: ignore[no-any-return]
    begins = _begins(offsets, input.shape[0], include_last_offset)
    return _reduce_flat(rows, counted, begins, mode).to(weight.dtype)  # type: ignore[no-any-return]


def _reduce_flat(rows: Tensor, counted: Tensor | None, begins: Any, mode: str) -> Tensor:
    """(N, E) to (B, E), where bag b has the rows from begins[b] to begins[b + 1]."""
    length, width = rows.shape
    if mode != "max" and len(begins) > 1:
        # Bags one after the other: each row is added to that of its bag.
        sizes = np.diff(begins)
        bag = Tensor._from_data(np.repeat(np.arange(len(sizes)), sizes))
        weights = ops.ones(length, dtype=rows.dtype) if counted is None else counted.to(rows.dtype)
        total = ops.zeros(len(sizes), width, dtype=rows.dtype)
        total = ops.index_add(total, 0, bag, rows * weights.unsqueeze(-1))
        if mode == "sum":
            return total  # type: ignore[no-any-return]
        counts = ops.index_add(ops.zeros(len(sizes), dtype=rows.dtype), 0, bag, weights)
        return total / counts.clamp(min=1).unsqueeze(-1)  # type: ignore[no-any-return]
    # Bags side by side, the shorter ones filled up with what does not count.
    place, inside = _side_by_side(begins)
    if not length:
        return ops.zeros(len(begins) - 1, width, dtype=rows.dtype) + rows.sum()  # type: ignore[no-any-return]
    if counted is not None:
        inside = ops.logical_and(inside, counted[place])
    return _reduce_bags(rows[place], inside, mode)


def _check_bags(input: Tensor, weight: Tensor, offsets: Tensor | None, mode: str, weights: Tensor | None) -> None:
    name = "embedding_bag"
    if mode not in ("sum", "mean", "max"):
        raise ArgumentError(f"{name}: mode has to be one of sum, mean or max, got {mode!r}")
    if input.dtype.name not in ("int64", "int32"):
        raise DTypeError(f"{name}: expected int64 or int32 indices, got {input.dtype}")
    if weight.ndim != 2:
        raise ShapeError(f"{name}: weight has to be a 2D table (V, E), got {list(weight.shape)}")
    if input.ndim not in (1, 2):
        raise ShapeError(f"{name}: input has to be 1D with offsets, or 2D, got {list(input.shape)}")
    if (offsets is None) == (input.ndim == 1):
        rule = "input is 1D: offsets has to say where the bags begin" if input.ndim == 1 else (
            "input is 2D: offsets has to be None, each row is a bag"
        )  # fmt: skip
        raise ArgumentError(f"{name}: {rule}")
    if offsets is not None and offsets.ndim != 1:
        raise ShapeError(f"{name}: offsets has to be a 1D tensor, got {list(offsets.shape)}")
    if weights is not None:
        if mode != "sum":
            raise ArgumentError(f"{name}: per_sample_weights only goes with mode 'sum', got {mode!r}")
        if tuple(weights.shape) != tuple(input.shape):
            raise ShapeError(
                f"{name}: per_sample_weights {list(weights.shape)} must have the shape of input {list(input.shape)}"
            )


def _begins(offsets: Tensor, count: int, include_last: bool) -> Any:
    """Where each bag begins and the last one ends."""
    begins = np.asarray(offsets.detach().numpy()).astype(np.int64)
    if include_last and not len(begins):
        raise ArgumentError("embedding_bag: include_last_offset needs at least one offset")
    if len(begins) and (begins[0] != 0 or (np.diff(begins) < 0).any() or begins[-1] > count):
        raise ArgumentError(
            f"embedding_bag: offsets[0] has to be 0, and offsets must not decrease nor exceed the {count} indices, got "
            f"{begins.tolist()}"
        )
    return begins if include_last else np.append(begins, count)


def _side_by_side(begins: Any) -> tuple[Tensor, Tensor]:
    """Positions (B, longest bag) of the bags' elements, and which of these are inside the bag."""
    sizes = np.diff(begins)
    steps = np.arange(sizes.max() if len(sizes) else 0)
    inside = steps < sizes[:, None]
    place = np.where(inside, begins[:-1, None] + steps, 0)
    return Tensor._from_data(place), Tensor._from_data(inside)


def _reduce_bags(rows: Tensor, counted: Tensor | None, mode: str) -> Tensor:
    """(B, N, E) to (B, E); `counted` (B, N) says which rows count, None all of them."""
    batch, length, width = rows.shape
    if length == 0:
        return ops.zeros(batch, width, dtype=rows.dtype) + rows.sum()  # type: ignore[no-any-return]
    if mode == "max":
        if counted is None:
            return ops.max(rows, 1)[0]  # type: ignore[no-any-return]
        some = counted.any(1, keepdim=True)
        best = ops.max(rows.masked_fill(counted.logical_not().unsqueeze(-1), float("-inf")), 1)[0]
        return best.masked_fill(some.logical_not(), 0.0)  # type: ignore[no-any-return]
    if counted is None:
        return rows.sum(1) if mode == "sum" else rows.mean(1)  # type: ignore[no-any-return]
    weights = counted.to(rows.dtype)
    total = (rows * weights.unsqueeze(-1)).sum(1)
    if mode == "sum":
        return total  # type: ignore[no-any-return]
    return total / weights.sum(1, keepdim=True).clamp(min=1)  # type: ignore[no-any-return]


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """int64 (*, num_classes) with ones at the indices; -1 takes the largest index + 1.

    >>> import pappus as pp
    >>> one_hot(pp.tensor([0, 2])).tolist()
    [[1, 0, 0], [0, 0, 1]]
    """
    count = int(tensor.max()) + 1 if num_classes == -1 else num_classes
    return (tensor.unsqueeze(-1) == ops.arange(count)).to(int64)  # type: ignore[no-any-return]
