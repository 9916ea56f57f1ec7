"""The losses of `pappus.nn.functional`."""

from __future__ import annotations

import math
import warnings
from typing import Any

from pappus.frontend import ops
from pappus.frontend.amp.autocast import listed
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.ops.ctc import ctc_losses
from pappus.frontend.source import user_frame
from pappus.frontend.symbolic import same_size
from pappus.frontend.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "ctc_loss", "gaussian_nll_loss",
    "huber_loss", "kl_div", "l1_loss", "linear_cross_entropy", "mse_loss", "multilabel_soft_margin_loss", "nll_loss",
    "poisson_nll_loss", "smooth_l1_loss",
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


def reduced(loss: Tensor, reduction: str) -> Tensor:
    """The mean, the sum, or all of a loss."""
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
    return reduced(loss * weight, reduction)


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
        return reduced(_weighted("huber_loss", loss, weight, "none"), reduction)  # as torch: not by weights
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
    return reduced(loss, reduction)


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
    return reduced(loss + 0.5 * math.log(2 * math.pi) if full else loss, reduction)


def multilabel_soft_margin_loss(
    input: Tensor, target: Tensor, weight: Tensor | None = None, size_average: Any = None, reduce: Any = None,
    reduction: str = "mean",
) -> Tensor:  # fmt: skip
    """Binary cross entropy of logits (N, C), averaged over the classes."""
    reduction = old_reduction("multilabel_soft_margin_loss", reduction, size_average, reduce)
    loss = ops.binary_cross_entropy_with_logits(input, target, weight, reduction="none").mean(-1)
    return reduced(loss, reduction)


def linear_cross_entropy(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    *,
    linear_bias: Tensor | None = None,
    weight: Tensor | None = None,
    reduction: str = "mean",
    ignore_index: int | None = None,
    label_smoothing: float = 0.0,
    options: Any = None,
) -> Tensor:
    """`cross_entropy` of the logits of a linear layer: input (*, I), weight (C, *out, I), bias (C, *out).

    The logits are (N, C, *out), or (C, *out) for a single input. `options` steers how torch splits the work; here the
    whole product is made, and the argument is ignored.

    >>> import pappus as pp
    >>> linear_cross_entropy(pp.zeros(2, 3), pp.zeros(10, 3), pp.tensor([3, 4]))
    tensor(2.3026)
    """
    if input.ndim not in (1, 2) or linear_weight.ndim < 2 or input.shape[-1] != linear_weight.shape[-1]:
        raise ShapeError(
            "linear_cross_entropy: input (N, I) or (I) and linear_weight (C, *, I) do not fit: "
            f"{list(input.shape)} and {list(linear_weight.shape)}"
        )
    sizes = tuple(linear_weight.shape[:-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    logits = ops.linear(input, linear_weight.reshape(-1, linear_weight.shape[-1]), bias)
    if len(sizes) > 1:
        logits = logits.unflatten(-1, sizes)
    return cross_entropy(
        logits, target, weight, ignore_index=-100 if ignore_index is None else ignore_index, reduction=reduction,
        label_smoothing=label_smoothing,
    )  # fmt: skip


@listed
def ctc_loss(
    log_probs: Tensor, targets: Tensor, input_lengths: Any, target_lengths: Any, blank: int = 0,
    reduction: str = "mean", zero_infinity: bool = False,
) -> Tensor:  # fmt: skip
    """Connectionist temporal classification: -log of the probability of the targets under every alignment.

    log_probs are (T, N, C) or (T, C), targets (N, S), or all of them in one row, without blanks; the lengths say how
    much of each is used. "mean" divides each loss by its target's length first. A target that is longer than its input
    has an infinite loss, or zero with `zero_infinity`.

    >>> import pappus as pp
    >>> logs = pp.zeros(3, 1, 2).log_softmax(-1)
    >>> ctc_loss(logs, pp.tensor([[1]]), [3], [1], reduction="sum")
    tensor(0.2877)
    """
    reduction = old_reduction("ctc_loss", reduction, None, None)
    losses, lengths = ctc_losses(log_probs, targets, input_lengths, target_lengths, blank, zero_infinity)
    if reduction == "mean":
        return (losses / lengths.clamp(min=1).to(losses.dtype)).mean()  # type: ignore[no-any-return]
    return reduced(losses, reduction)
