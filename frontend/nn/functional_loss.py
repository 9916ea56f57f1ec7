"""The losses of `pappus.nn.functional`."""

from __future__ import annotations

import math
import warnings
from typing import Any

from pappus.frontend import ops
from pappus.frontend.amp.autocast import listed
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.source import user_frame
from pappus.frontend.symbolic import same_size
from pappus.frontend.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cosine_embedding_loss", "cross_entropy",
    "gaussian_nll_loss", "hinge_embedding_loss", "huber_loss", "kl_div", "l1_loss", "margin_ranking_loss", "mse_loss",
    "multilabel_soft_margin_loss", "nll_loss", "pairwise_distance", "poisson_nll_loss", "smooth_l1_loss",
    "soft_margin_loss", "triplet_margin_loss",
]  # fmt: skip


def old_reduction(name: str, reduction: str, size_average: Any, reduce: Any, more: tuple[str, ...] = ()) -> str:
    """The reduction, with torch's two old arguments translated and unknown names refused."""
    if size_average is not None or reduce is not None:
        averaged = size_average is None or size_average
        return "none" if reduce is not None and not reduce else "mean" if averaged else "sum"
    if reduction not in ("mean", "sum", "none", *more):
        raise ArgumentError(f"{name}: {reduction!r} is not a valid value for reduction; use 'mean', 'sum' or 'none'")
    return reduction


def cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100,
    reduce: Any = None, reduction: str = "mean", label_smoothing: float = 0.0,
) -> Tensor:  # fmt: skip
    """Cross entropy between logits (N, C, *) and class indices or probabilities."""
    reduction = old_reduction("cross_entropy", reduction, size_average, reduce)
    return ops.cross_entropy(  # type: ignore[no-any-return]
        input, target, weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )


def nll_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, ignore_index: int = -100,
    reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative log-likelihood of log-probabilities (N, C, *) at class indices."""
    reduction = old_reduction("nll_loss", reduction, size_average, reduce)
    return ops.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)  # type: ignore[no-any-return]


def _reduce(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()  # type: ignore[no-any-return]


def _like(name: str, input: Tensor, target: Tensor) -> None:
    """Warn, at the user's line, where input and target would be broadcast: it is nearly always a mistake."""
    a, b = input.shape, target.shape
    if len(a) != len(b) or not all(same_size(m, n) for m, n in zip(a, b, strict=True)):
        frame = user_frame()
        if frame is not None:
            text = f"{name}: the target has size {list(b)} and the input {list(a)}; they are broadcast to one size"
            warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


def _weighted(name: str, loss: Tensor, weight: Tensor, reduction: str) -> Tensor:
    """A loss per element times a weight per element; the mean is by the weights."""
    a, b = loss.shape, weight.shape
    if len(a) != len(b) or not all(same_size(m, n) for m, n in zip(a, b, strict=True)):
        raise ShapeError(f"{name}: weight and input must have the same size, got {list(b)} and {list(a)}")
    if reduction == "mean":
        return (loss * weight).sum() / weight.sum()  # type: ignore[no-any-return]
    return _reduce(loss * weight, reduction)


def mse_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Squared error, with a weight per element if given. Warns where input and target differ in size."""
    reduction = old_reduction("mse_loss", reduction, size_average, reduce)
    _like("mse_loss", input, target)
    if weight is not None:
        return _weighted("mse_loss", ops.mse_loss(input, target, reduction="none"), weight, reduction)
    return ops.mse_loss(input, target, reduction=reduction)  # type: ignore[no-any-return]


def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Absolute error, with a weight per element if given. Warns where input and target differ in size."""
    reduction = old_reduction("l1_loss", reduction, size_average, reduce)
    _like("l1_loss", input, target)
    if weight is not None:
        return _weighted("l1_loss", ops.l1_loss(input, target, reduction="none"), weight, reduction)
    return ops.l1_loss(input, target, reduction=reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """Squared error where small, absolute error elsewhere. Warns where input and target differ in size."""
    reduction = old_reduction("smooth_l1_loss", reduction, size_average, reduce)
    _like("smooth_l1_loss", input, target)
    return ops.smooth_l1_loss(input, target, reduction=reduction, beta=beta)  # type: ignore[no-any-return]


def huber_loss(
    input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0, weight: Tensor | None = None
) -> Tensor:
    """Half the squared error up to `delta`, linear beyond. Warns where input and target differ in size."""
    reduction = old_reduction("huber_loss", reduction, None, None)
    _like("huber_loss", input, target)
    if weight is not None:
        loss = ops.huber_loss(input, target, reduction="none", delta=delta)
        return _reduce(_weighted("huber_loss", loss, weight, "none"), reduction)  # as torch: not by weights
    return ops.huber_loss(input, target, reduction=reduction, delta=delta)  # type: ignore[no-any-return]


def binary_cross_entropy(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Cross entropy of probabilities with targets between 0 and 1."""
    reduction = old_reduction("binary_cross_entropy", reduction, size_average, reduce)
    return ops.binary_cross_entropy(input, target, weight, reduction=reduction)  # type: ignore[no-any-return]


def binary_cross_entropy_with_logits(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean", pos_weight: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Cross entropy of logits with targets between 0 and 1."""
    reduction = old_reduction("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    return ops.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction=reduction)  # type: ignore[no-any-return]


def kl_div(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    log_target: bool = False,
) -> Tensor:  # fmt: skip
    """Kullback-Leibler divergence of log-probabilities `input` from `target`."""
    reduction = old_reduction("kl_div", reduction, size_average, reduce, ("batchmean",))
    return ops.kl_div(input, target, reduction=reduction, log_target=log_target)  # type: ignore[no-any-return]


# -- counts and variances -----------------------------------------------------------------------


@listed
def poisson_nll_loss(
    input: Tensor, target: Tensor, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Negative log-likelihood of counts under Poisson distributions with rate exp(input), or `input` itself.

    `full` adds Stirling's approximation of log(target!) for targets above 1.
    """
    reduction = old_reduction("poisson_nll_loss", reduction, size_average, reduce)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        large = ops.where(target > 1, target, ops.ones_like(target))
        stirling = large * large.log() - large + 0.5 * (2 * math.pi * large).log()
        loss = loss + ops.where(target > 1, stirling, ops.zeros_like(target))
    return _reduce(loss, reduction)


def gaussian_nll_loss(
    input: Tensor, target: Tensor, var: Tensor | float, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Tensor:
    """Negative log-likelihood of targets under normal distributions of mean `input` and variance `var` (at least eps).

    `var` has the size of the input, or lacks its last dimension, or has size 1 in one. `full` adds the constant.
    """
    reduction = old_reduction("gaussian_nll_loss", reduction, None, None)
    spread: Tensor = var if isinstance(var, Tensor) else ops.full_like(input, float(var))
    if spread.ndim == input.ndim - 1:
        spread = spread.unsqueeze(-1)
    if spread.ndim != input.ndim:
        raise ShapeError(
            f"gaussian_nll_loss: var of size {list(spread.shape)} does not fit the input {list(input.shape)}"
        )
    # The limit changes the number, not the gradient.
    spread = spread + (spread.clamp(min=eps) - spread).detach()
    loss = 0.5 * (spread.log() + (input - target).square() / spread)
    return _reduce(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


# -- margins and distances ----------------------------------------------------------------------


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
    return _reduce((-target * (input1 - input2) + margin).clamp(min=0), reduction)


@listed
def hinge_embedding_loss(
    input: Tensor, target: Tensor, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """The distance itself where the target is 1, max(0, margin - distance) where it is -1."""
    reduction = old_reduction("hinge_embedding_loss", reduction, size_average, reduce)
    far = (margin - input).clamp(min=0)
    none = ops.zeros_like(input)
    return _reduce(ops.where(target == 1, input, none) + ops.where(target == -1, far, none), reduction)


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
    return _reduce(near + far, reduction)


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
    return _reduce((near - far + margin).clamp(min=0), reduction)


@listed
def soft_margin_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    reduction = old_reduction("soft_margin_loss", reduction, size_average, reduce)
    return _reduce(ops.softplus(-target * input, 1.0, 50.0), reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Binary cross entropy of logits (N, C), averaged over the classes."""
    reduction = old_reduction("multilabel_soft_margin_loss", reduction, size_average, reduce)
    loss = ops.binary_cross_entropy_with_logits(input, target, weight, reduction="none").mean(-1)
    return _reduce(loss, reduction)
