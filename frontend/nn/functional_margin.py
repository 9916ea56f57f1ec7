"""The losses of `pappus.nn.functional` that compare distances or scores with a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.frontend import ops
from pappus.frontend.amp.autocast import listed
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.nn.functional_loss import old_reduction, reduced
from pappus.frontend.tensor import Tensor

__all__ = [
    "cosine_embedding_loss", "hinge_embedding_loss", "margin_ranking_loss", "multi_margin_loss",
    "multilabel_margin_loss", "pairwise_distance", "soft_margin_loss", "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]  # fmt: skip



def pairwise_distance(
    x1: Tensor, x2: Tensor, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Tensor:
    """The p-norm of x1 - x2 + eps over the last dimension.

    >>> import pappus as pp
    >>> round(pairwise_distance(pp.tensor([[3.0, 0.0]]), pp.tensor([[0.0, 4.0]])).item(), 3)
    5.0
    """
    return ops.norm(x1 - x2 + eps, p, -1, keepdim=keepdim)  # type: ignore[no-any-return]


@listed
def margin_ranking_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, -target (input1 - input2) + margin): target 1 wants input1 larger, -1 smaller."""
    reduction = old_reduction("margin_ranking_loss", reduction, size_average, reduce)
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@listed
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The distance itself where the target is 1, max(0, margin - distance) where it is -1."""
    reduction = old_reduction("hinge_embedding_loss", reduction, size_average, reduce)
    far = (margin - input).clamp(min=0)
    none = ops.zeros_like(input)
    # Any other target counts as both.
    return reduced(ops.where(target != -1, input, none) + ops.where(target != 1, far, none), reduction)


@listed
def cosine_embedding_loss(
    input1: Tensor, input2: Tensor, target: Tensor, margin: float = 0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """1 - cos(input1, input2) where the target is 1, max(0, cos - margin) where it is -1, along the last dimension."""
    reduction = old_reduction("cosine_embedding_loss", reduction, size_average, reduce)
    squares = (input1.square().sum(-1) + 1e-12) * (input2.square().sum(-1) + 1e-12)
    cosine = (input1 * input2).sum(-1) / squares.sqrt()
    none = ops.zeros_like(cosine)
    near, far = ops.where(target == 1, 1 - cosine, none), ops.where(target == -1, (cosine - margin).clamp(min=0), none)
    return reduced(near + far, reduction)


@listed
def triplet_margin_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, margin: float = 1.0, p: float = 2, eps: float = 1e-6,
    swap: bool = False, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """max(0, distance to the positive - distance to the negative + margin), for vectors in the last dimension.

    `swap` takes the smaller one of the negative's distances from the anchor and from the positive.
    """
    reduction = old_reduction("triplet_margin_loss", reduction, size_average, reduce)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = ops.minimum(far, pairwise_distance(positive, negative, p, eps))
    return reduced((near - far + margin).clamp(min=0), reduction)


@listed
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    reduction = old_reduction("soft_margin_loss", reduction, size_average, reduce)
    return reduced(ops.softplus(-target * input, 1.0, 50.0), reduction)


def triplet_margin_with_distance_loss(
    anchor: Tensor, positive: Tensor, negative: Tensor, *, distance_function: Callable[..., Tensor] | None = None,
    margin: float = 1.0, swap: bool = False, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """`triplet_margin_loss` with any distance, a function of two tensors; `pairwise_distance` unless given."""
    reduction = old_reduction("triplet_margin_with_distance_loss", reduction, None, None)
    if margin <= 0:
        raise ArgumentError(f"triplet_margin_with_distance_loss: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "triplet_margin_with_distance_loss: anchor, positive and negative must have the same number of dimensions, "
            f"got {anchor.ndim}, {positive.ndim} and {negative.ndim}"
        )
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = ops.minimum(far, distance(positive, negative))
    return reduced((near - far + margin).clamp(min=0), reduction)


def _rows(name: str, input: Tensor, target: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Scores as (N, C) and their targets with one dimension more than without a batch (`rank`)."""
    if input.ndim == 0:
        input = input.unsqueeze(0)
    if input.ndim > 2 or not input.shape[-1]:
        raise ShapeError(f"{name}: expected scores (C) or (N, C) of at least one class, got {list(input.shape)}")
    rows = input if input.ndim == 2 else input.unsqueeze(0)
    classes = target if target.ndim > rank else target.unsqueeze(0)
    if input.ndim == 1 and target.ndim > rank and target.shape[0] != 1:
        raise ShapeError(f"{name}: inconsistent target size {list(target.shape)} for scores {list(input.shape)}")
    if rank and classes.ndim == 1:
        classes = classes.unsqueeze(0)
    wanted = (rows.shape[0],) if rank == 0 else tuple(rows.shape)
    if tuple(classes.shape) != wanted:
        raise ShapeError(f"{name}: inconsistent target size {list(target.shape)} for scores {list(input.shape)}")
    return rows, classes


@listed
def multi_margin_loss(
    input: Tensor, target: Tensor, p: int = 1, margin: float = 1.0, weight: Tensor | None = None,
    size_average: Any = None, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """sum over other classes j of w_y max(0, margin - x_y + x_j)^p / C, for scores (N, C) and classes y (N).

    >>> import pappus as pp
    >>> multi_margin_loss(pp.tensor([[0.5, 1.0]]), pp.tensor([0])).item()
    0.75
    """
    name = "multi_margin_loss"
    reduction = old_reduction(name, reduction, size_average, reduce)
    if p not in (1, 2):
        raise ArgumentError(f"{name}: only p == 1 and p == 2 supported, got {p}")
    if weight is not None and tuple(weight.shape) != ((input.shape or (1,))[-1],):
        raise ShapeError(f"{name}: expected one weight for each class, got {list(weight.shape)}")
    rows, classes = _rows(name, input, target, 0)
    index = classes.unsqueeze(1)
    gap = (margin - rows.gather(1, index) + rows).clamp(min=0)
    if p == 2:
        gap = gap * gap
    if weight is not None:
        gap = gap * weight[classes].unsqueeze(1)
    others = ops.scatter(ops.ones_like(gap.detach()), 1, index, 0.0)
    losses = (gap * others).sum(1) / rows.shape[1]
    return reduced(losses if input.ndim == 2 or target.ndim else losses.squeeze(0), reduction)


@listed
def multilabel_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """sum over targets y and other classes j of max(0, 1 - (x_y - x_j)) / C, for scores (N, C).

    `target` (N, C) has the classes of each row in front and -1 behind the last of them.

    >>> import pappus as pp
    >>> multilabel_margin_loss(pp.tensor([[0.1, 0.2, 0.4, 0.8]]), pp.tensor([[3, 0, -1, 1]]))
    tensor(0.8500)
    """
    name = "multilabel_margin_loss"
    reduction = old_reduction(name, reduction, size_average, reduce)
    rows, classes = _rows(name, input, target, 1)
    used = ops.cumprod((classes >= 0).long(), 1)
    safe = classes * used
    named = ops.scatter_add(ops.zeros(*rows.shape, dtype=rows.dtype), 1, safe, used.to(rows.dtype)).detach()
    others = (named == 0).to(rows.dtype)
    gap = (1 - rows.gather(1, safe).unsqueeze(2) + rows.unsqueeze(1)).clamp(min=0)
    losses = (gap * used.to(rows.dtype).unsqueeze(2) * others.unsqueeze(1)).sum((1, 2)) / rows.shape[1]
    return reduced(losses if input.ndim == 2 or target.ndim == 2 else losses.squeeze(0), reduction)
