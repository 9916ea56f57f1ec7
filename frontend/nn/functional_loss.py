"""The losses of `pappus.nn.functional`."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "nll_loss", "smooth_l1_loss",
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


def mse_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Squared error."""
    reduction = old_reduction("mse_loss", reduction, size_average, reduce)
    return ops.mse_loss(input, target, reduction=reduction)  # type: ignore[no-any-return]


def l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean"
) -> Tensor:
    """Absolute error."""
    reduction = old_reduction("l1_loss", reduction, size_average, reduce)
    return ops.l1_loss(input, target, reduction=reduction)  # type: ignore[no-any-return]


def smooth_l1_loss(
    input: Tensor, target: Tensor, size_average: Any = None, reduce: Any = None, reduction: str = "mean",
    beta: float = 1.0,
) -> Tensor:  # fmt: skip
    """Squared error where small, absolute error elsewhere."""
    reduction = old_reduction("smooth_l1_loss", reduction, size_average, reduce)
    return ops.smooth_l1_loss(input, target, reduction=reduction, beta=beta)  # type: ignore[no-any-return]


def huber_loss(input: Tensor, target: Tensor, reduction: str = "mean", delta: float = 1.0) -> Tensor:
    """Half the squared error up to `delta`, linear beyond."""
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
