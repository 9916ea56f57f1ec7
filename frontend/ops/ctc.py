"""Connectionist temporal classification: the probability of a label sequence, summed over all alignments with an input.

The labels with blanks between them are the states of a chain; alpha_t[s] is the log-probability of having reached
state s after t steps. Each step is a logsumexp over the states it may come from, in operators, so that the gradient is
the gradient of these.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor
from ._names import function

__all__ = ["ctc_loss", "ctc_losses"]

# Stands for log 0: finite, so that differences of two are 0 and not nan.
_NEVER = -1e30


def _lengths(name: str, value: Any, count: int, most: int) -> Any:
    found = np.asarray(value.detach().numpy() if isinstance(value, Tensor) else value).astype(np.int64).reshape(-1)
    if len(found) != count:
        raise ArgumentError(f"ctc_loss: {name} must have a length for each of the {count} sequences, got {len(found)}")
    if count and (found.min() < 0 or found.max() > most):
        raise ArgumentError(f"ctc_loss: {name} must be from 0 to {most}, got {found.tolist()}")
    return found


def _labels(targets: Tensor, lengths: Any) -> Any:
    """The targets as (N, S), whether they were that or one row."""
    array = np.asarray(targets.detach().numpy()).astype(np.int64)
    if array.ndim == 2:
        return array[:, : lengths.max(initial=0)]
    if lengths.sum() != len(array):
        raise ArgumentError(
            f"ctc_loss: target_lengths add up to {lengths.sum()}, but there are {len(array)} targets in one row"
        )
    out = np.zeros((len(lengths), lengths.max(initial=0)), np.int64)
    out[np.arange(out.shape[1]) < lengths[:, None]] = array
    return out


def ctc_losses(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int, zero_infinity: bool
) -> tuple[Any, Any]:
    """The loss of every sequence, and the lengths of the targets; both 0-d without a batch."""
    from . import logsumexp, stack, where

    if not log_probs.dtype.is_floating_point:
        raise DTypeError(f"ctc_loss: log_probs must be floating point, got {log_probs.dtype}")
    if log_probs.ndim not in (2, 3) or targets.ndim not in (1, 2):
        raise ShapeError(
            f"ctc_loss: expected log_probs (T, N, C) or (T, C) and targets (N, S) or (sum of lengths), got "
            f"{list(log_probs.shape)} and {list(targets.shape)}"
        )
    single = log_probs.ndim == 2
    logs = log_probs.unsqueeze(1) if single else log_probs
    steps, batch, classes = (int(n) for n in logs.shape)
    if not 0 <= blank < classes:
        raise ArgumentError(f"ctc_loss: blank must be in label range, 0 to {classes - 1}, got {blank}")
    if targets.ndim == 2 and targets.shape[0] != batch:
        raise ShapeError(f"ctc_loss: targets have {targets.shape[0]} rows, the batch {batch}")
    inputs = _lengths("input_lengths", input_lengths, batch, steps)
    outputs = _lengths("target_lengths", target_lengths, batch, int(targets.shape[-1]))
    labels = _labels(targets, outputs)
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ArgumentError(f"ctc_loss: targets must be from 0 to {classes - 1}, got {labels.tolist()}")
    # As in torch, the gradient is that for probabilities which keep adding up to 1.
    total = logsumexp(logs, -1, keepdim=True)
    logs = logs - (total - total.detach())
    states = np.full((batch, 2 * labels.shape[1] + 1), blank, np.int64)
    states[:, 1::2] = labels
    # A label may follow another one without a blank between them.
    jump = np.full(states.shape, _NEVER)
    jump[:, 3::2] = np.where(labels[:, 1:] != labels[:, :-1], 0.0, _NEVER)

    def constant(array: Any) -> Tensor:
        return Tensor._from_data(np.asarray(array).astype(logs.dtype.numpy))

    index = Tensor._from_data(np.broadcast_to(states, (steps, *states.shape)).copy())
    emitted = logs.gather(2, index)
    begin = np.full(states.shape, _NEVER)
    begin[:, :1] = 0.0
    begin[:, 1:2] = np.where(outputs[:, None] > 0, 0.0, _NEVER)[:, : max(states.shape[1] - 1, 0)]
    jumps = constant(jump)
    alpha = None
    for t in range(steps):
        if alpha is None:
            new = emitted[t] + constant(begin)
            alpha = new
        else:
            new = logsumexp(stack([alpha, _shifted(alpha, 1), _shifted(alpha, 2) + jumps], 0), 0) + emitted[t]
            running = inputs > t
            alpha = new if running.all() else where(Tensor._from_data(running[:, None]), new, alpha)
    if alpha is None:
        alpha = constant(np.where(np.arange(states.shape[1]) == 0, 0.0, _NEVER)[None].repeat(batch, 0))
    last = np.stack([2 * outputs, np.maximum(2 * outputs - 1, 0)], 1)
    ends = alpha.gather(1, Tensor._from_data(last)) + constant(
        np.stack([np.zeros(batch), np.where(outputs > 0, 0.0, _NEVER)], 1)
    )
    losses = -logsumexp(ends, 1)
    impossible = losses > -_NEVER / 10
    losses = losses.masked_fill(impossible, 0.0 if zero_infinity else float("inf"))
    lengths = Tensor._from_data(outputs)
    return (losses.squeeze(0), lengths.squeeze(0)) if single else (losses, lengths)


def _shifted(alpha: Any, count: int) -> Any:
    """States moved up by `count`, with log 0 in front."""
    from . import constant_pad_nd, narrow

    size = alpha.shape[1]
    kept = narrow(alpha, 1, 0, max(size - count, 0))
    return constant_pad_nd(kept, (min(count, size), 0), _NEVER)


@function()
def ctc_loss(
    log_probs: Any, targets: Any, input_lengths: Any, target_lengths: Any, blank: int = 0, reduction: int = 1,
    zero_infinity: bool = False,
) -> Any:  # fmt: skip
    """`nn.functional.ctc_loss` with the reduction as a number: 0 none, 1 mean, 2 sum."""
    from ..nn import functional

    if reduction not in (0, 1, 2):
        raise ArgumentError(f"ctc_loss: reduction must be 0 (none), 1 (mean) or 2 (sum), got {reduction}")
    how = ("none", "mean", "sum")[reduction]
    return functional.ctc_loss(log_probs, targets, input_lengths, target_lengths, blank, how, zero_infinity)
