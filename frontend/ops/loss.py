"""Losses: how far predictions are from targets, as one number (or one per example)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..device import library_of
from ..errors import ArgumentError, DimError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ._samples import floats, ints
from ._shapes import through_float32

__all__ = [
    "binary_cross_entropy", "binary_cross_entropy_with_logits", "cross_entropy", "huber_loss", "kl_div", "l1_loss",
    "mse_loss", "nll_loss", "smooth_l1_loss",
]  # fmt: skip


def _sizes(shape: Any) -> str:
    return "[" + ", ".join(str(s) for s in shape) + "]"


def _reduce(loss: Any, reduction: str) -> Any:
    if reduction == "mean":
        return loss.mean()
    if reduction == "sum":
        return loss.sum()
    if reduction == "none":
        return loss
    raise ArgumentError(f"{reduction!r} is not a valid value for reduction; use 'mean', 'sum' or 'none'")


def _need_float(name: str, input: Any) -> None:
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{name}: the input has type {input.dtype}; predictions are floating point, use input.float()")


# -- classification -----------------------------------------------------------------------------


def _class_dim(input: Any) -> int:
    return 0 if input.ndim == 1 else 1


def _nll_shape(input: Spec, target: Spec, weight: Any, *, ignore_index: int, reduction: str) -> Spec:
    if input.ndim < 1:
        raise ShapeError("nll_loss: the input needs a dimension of classes, got a 0-d tensor")
    if target.dtype.category != 1:
        raise DTypeError(
            f"nll_loss: expected target dtype to be Long or Byte, but got {target.dtype.name}; use target.long() for "
            "class indices, or probabilities of the input's shape with cross_entropy"
        )
    _need_float("nll_loss", input)
    at = _class_dim(input)
    expected = (*input.shape[:at], *input.shape[at + 1 :])
    if target.ndim != len(expected) or not all(sym_eq(a, b) for a, b in zip(target.shape, expected, strict=True)):
        raise ShapeError(
            f"nll_loss: input of size {_sizes(input.shape)} needs a target of size {_sizes(expected)}, one class index "
            f"for each row of classes, got {_sizes(target.shape)}"
        )
    if weight is not None and (weight.ndim != 1 or not sym_eq(weight.shape[0], input.shape[at])):
        raise ShapeError(
            f"nll_loss: weight tensor should be defined either for all {input.shape[at]} classes or no classes but got "
            f"weight tensor of shape: {_sizes(weight.shape)}"
        )
    if reduction not in ("mean", "sum", "none"):
        _reduce(None, reduction)
    return Spec(tuple(target.shape) if reduction == "none" else (), input.dtype)


def _class_places(size: Any, target: Any, at: int) -> Any:
    """Where the class of each target lies in the flat array of `size`."""
    if not at:
        return target
    rest = math.prod(size[2:])
    xp = library_of(target)
    rows = xp.arange(size[0])[:, None] * (size[1] * rest) + xp.arange(rest)
    return target * rest + rows.reshape(target.shape)


def _kept_targets(target: Any, classes: int, ignore_index: int) -> Any:
    """Which targets count, None for all. Raises DimError for one that is no class."""
    if not target.size:
        return None
    low, high = int(target.min()), int(target.max())
    if low >= 0 and high < classes and not low <= ignore_index <= high:
        return None
    keep = target != ignore_index
    wrong = keep & ((target < 0) | (target >= classes))
    if wrong.any():
        where = tuple(int(i) for i in np.argwhere(wrong)[0])
        row = f" at position {where if len(where) != 1 else where[0]}" if where else ""
        raise DimError(
            f"nll_loss: Target {int(target[where])} is out of bounds: there are {classes} classes, 0 to "
            f"{classes - 1}{row}"
        )
    return keep


def _nll_parts(size: Any, target: Any, weight: Any, dtype: Any, ignore_index: int) -> Any:
    """The places of the target classes, the weight of each target, and which count (None for all)."""
    at = 0 if len(size) == 1 else 1
    target = target.astype(np.intp, copy=False)
    keep = _kept_targets(target, size[at], ignore_index)
    safe = target if keep is None else np.where(keep, target, 0)
    factor = library_of(target).ones(target.shape, dtype) if weight is None else weight[safe]
    if keep is not None:
        factor = np.where(keep, factor, factor.dtype.type(0))
    return _class_places(size, safe, at), factor, keep


def _nll_eager(xp: Any, input: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Any:
    places, factor, keep = _nll_parts(input.shape, target, weight, input.dtype, ignore_index)
    loss = -input.reshape(-1)[places]
    if keep is not None:
        loss = np.where(keep, loss, loss.dtype.type(0))
    if reduction == "mean" and weight is None and keep is None and input.dtype.itemsize > 2:
        return loss.sum() / input.dtype.type(target.size)
    loss = loss * factor
    if reduction == "none":
        return loss.astype(input.dtype, copy=False)
    total = loss.sum()
    return (total / factor.sum() if reduction == "mean" else total).astype(input.dtype)


def _nll_backward_eager(
    xp: Any, grad_output: Any, target: Any, weight: Any, *, sizes: Any, ignore_index: int, reduction: str
) -> Any:
    places, factor, keep = _nll_parts(sizes, target, weight, grad_output.dtype, ignore_index)
    found = -(grad_output / factor.sum() * factor if reduction == "mean" else grad_output * factor)
    if keep is not None:
        found = np.where(keep, found, grad_output.dtype.type(0))
    out = xp.zeros(sizes, grad_output.dtype)
    out.reshape(-1)[places] = found
    return out


def _nll_backward_decompose(
    grad_output: Any, target: Any, weight: Any, *, sizes: Any, ignore_index: int, reduction: str
) -> Any:
    from . import arange, view, where

    at = 0 if len(sizes) == 1 else 1
    target = target.long()
    keep = target != ignore_index
    safe = target.masked_fill(keep.logical_not(), 0)
    factor = keep.to(grad_output.dtype)
    if weight is not None:
        factor = weight.gather(0, safe.reshape(-1)).reshape(safe.shape) * factor
    if reduction == "mean":
        factor = factor / factor.sum()
    found = where(keep, -(factor * grad_output), 0.0)
    classes = view(arange(sizes[at]), (*[1] * at, sizes[at], *[1] * (len(sizes) - at - 1)))
    return where(classes == safe.unsqueeze(at), found.unsqueeze(at), 0.0)


def _nll_backward_shape(
    grad_output: Spec, target: Spec, weight: Any, *, sizes: Any, ignore_index: int, reduction: str
) -> Spec:
    return Spec(tuple(sizes), grad_output.dtype)


def _nll_vjp(
    g: Any, _out: Any, input: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str
) -> tuple[Any, ...]:
    sizes = tuple(input.shape)
    gx = None
    if input.requires_grad:
        gx = nll_loss_backward(g, target, weight, sizes=sizes, ignore_index=ignore_index, reduction=reduction)
    return gx, None, _nll_weight_gradient(g, input, target, weight, ignore_index, reduction)


def _nll_weight_gradient(g: Any, input: Any, target: Any, weight: Any, ignore_index: int, reduction: str) -> Any:
    from . import arange, where

    if weight is None or not weight.requires_grad:
        return None
    each = nll_loss(input, target, ignore_index=ignore_index, reduction="none")
    keep = target != ignore_index
    if reduction == "mean":
        safe = target.long().masked_fill(keep.logical_not(), 0)
        total = where(keep, weight.gather(0, safe.reshape(-1)).reshape(safe.shape), 0.0).sum()
        each = (each - nll_loss(input, target, weight, ignore_index=ignore_index)) / total
    each = where(keep, each * g, 0.0).reshape(-1)
    classes = arange(weight.shape[0]).unsqueeze(1)
    return where(classes == target.long().reshape(-1), each, 0.0).sum(1)


def _nll_decompose(input: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str) -> Any:
    at = _class_dim(input)
    target = target.long()
    keep = target != ignore_index
    safe = target.masked_fill(keep.logical_not(), 0)
    loss = -input.gather(at, safe.unsqueeze(at)).squeeze(at)
    loss = loss.masked_fill(keep.logical_not(), 0.0)
    factor = keep.to(input.dtype)
    if weight is not None:
        factor = weight.gather(0, safe.reshape(-1)).reshape(safe.shape) * factor
    loss = loss * factor
    if reduction == "mean":
        return loss.sum() / factor.sum()
    return _reduce(loss, reduction)


def _nll_samples() -> Iterator[Sample]:
    yield Sample((floats(4, 3), ints(4, high=3)))
    yield Sample((floats(4, 3), ints(4, high=3), floats(3, low=0.1, high=0.9)), {"ignore_index": 1})
    yield Sample((floats(2, 3, 2, 2), ints(2, 2, 2, high=3), floats(3, low=0.1, high=0.9)), {"reduction": "sum"})
    yield Sample((floats(4, 3), ints(4, high=3)), {"reduction": "none"})


nll_loss = operator(
    "nll_loss(Tensor input, Tensor target, Tensor? weight=None, *, int ignore_index=-100, str "
    "reduction='mean') -> Tensor",
    """Negative log-likelihood: -weight[t] * input[t] for the target class t of each row of log-probabilities.

    input is (C), (N, C) or (N, C, *), target has the same shape without C, int64. Targets equal to `ignore_index` count
    for nothing; "mean" divides by the sum of the weights. Raises DimError for a class out of range.

    >>> import pappus as pp
    >>> pp.nll_loss(pp.tensor([[-1.0, -2.0]]), pp.tensor([1])).item()
    2.0
    """,
    shape=_nll_shape,
    eager=_nll_eager,
    decompose=_nll_decompose,
    vjp=_nll_vjp,
    samples=_nll_samples,
)


def _nll_backward_samples() -> Iterator[Sample]:
    for sample in _nll_samples():
        input, *rest = sample.args
        g = floats() if sample.kwargs.get("reduction") != "none" else floats(*rest[0].shape)
        yield Sample((g, *rest), {**sample.kwargs, "sizes": tuple(input.shape)})


nll_loss_backward = operator(
    "nll_loss_backward(Tensor grad_output, Tensor target, Tensor? weight=None, *, int[] sizes, int ignore_index=-100, "
    "str reduction='mean') -> Tensor",
    "The gradient of nll_loss for its input of `sizes`, from that of its result.",
    shape=_nll_backward_shape,
    eager=_nll_backward_eager,
    decompose=_nll_backward_decompose,
    vjp=lambda g, _out, grad_output, target, weight, *, sizes, ignore_index, reduction: (
        nll_loss(g, target, weight, ignore_index=ignore_index, reduction=reduction),
        None,
        _nll_weight_gradient(grad_output, g, target, weight, ignore_index, reduction),
    ),
    samples=_nll_backward_samples,
)


def _cross_entropy_shape(
    input: Spec, target: Spec, weight: Any, *, ignore_index: int, reduction: str, label_smoothing: float
) -> Spec:
    if not 0.0 <= label_smoothing <= 1.0:
        raise ArgumentError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0, got {label_smoothing}")
    _need_float("cross_entropy", input)
    if not _probabilities(input, target):
        if target.dtype.is_floating_point:
            raise DTypeError(
                f"cross_entropy: expected target dtype to be Long or Byte, but got {target.dtype.name} of size "
                f"{_sizes(target.shape)}; use target.long() for class indices, or class probabilities of the "
                "input's size "
                f"{_sizes(input.shape)}"
            )
        return _nll_shape(input, target, weight, ignore_index=ignore_index, reduction=reduction)
    if reduction not in ("mean", "sum", "none"):
        _reduce(None, reduction)
    at = _class_dim(input)
    return Spec((*input.shape[:at], *input.shape[at + 1 :]) if reduction == "none" else (), input.dtype)


def _probabilities(input: Any, target: Any) -> bool:
    """Whether targets are class probabilities: they have the input's shape and a floating-point type."""
    return (
        bool(target.dtype.is_floating_point)
        and target.ndim == input.ndim
        and all(sym_eq(a, b) for a, b in zip(input.shape, target.shape, strict=True))
    )


def _cross_entropy_decompose(
    input: Any, target: Any, weight: Any, *, ignore_index: int, reduction: str, label_smoothing: float
) -> Any:
    from . import log_softmax

    at = _class_dim(input)
    logs = log_softmax(input, at)
    classes = input.shape[at]
    per_class = None if weight is None else weight.reshape(*(1,) * at, -1, *(1,) * (input.ndim - at - 1))
    if _probabilities(input, target):
        if label_smoothing:
            target = target * (1 - label_smoothing) + label_smoothing / classes
        loss = -(logs * target if per_class is None else logs * target * per_class).sum(at)
        if reduction == "mean":
            return loss.sum() / (loss.numel() if loss.ndim else 1)
        return _reduce(loss, reduction)
    hard = nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    if not label_smoothing:
        return hard
    keep = (target != ignore_index).to(input.dtype)
    smooth = -(logs if per_class is None else logs * per_class).sum(at) * keep
    if reduction == "mean":
        if weight is None:
            total = keep.sum()
        else:
            safe = target.long().masked_fill(target == ignore_index, 0)
            total = (weight.gather(0, safe.reshape(-1)).reshape(safe.shape) * keep).sum()
        smooth = smooth.sum() / total
    else:
        smooth = _reduce(smooth, reduction)
    return hard * (1 - label_smoothing) + smooth * (label_smoothing / classes)


def _cross_entropy_samples() -> Iterator[Sample]:
    yield from _nll_samples()
    yield Sample(
        (floats(4, 3), ints(4, high=3), floats(3, low=0.1, high=0.9)), {"label_smoothing": 0.2, "ignore_index": 1}
    )
    yield Sample(
        (floats(4, 3), floats(4, 3, low=0.1, high=0.9, seed=9), floats(3, low=0.1, high=0.9)), {"label_smoothing": 0.1}
    )
    yield Sample((floats(2, 3, 4), floats(2, 3, 4, low=0.1, high=0.9, seed=9)), {"reduction": "sum"})


cross_entropy = operator(
    "cross_entropy(Tensor input, Tensor target, Tensor? weight=None, *, int ignore_index=-100, str reduction='mean', "
    "float label_smoothing=0.0) -> Tensor",
    """Cross entropy between logits (C), (N, C) or (N, C, *) and targets: `nll_loss` of `log_softmax`.

    Targets are class indices, or class probabilities of the input's shape. `label_smoothing` mixes them with the
    uniform distribution. Raises DTypeError for float targets of another shape, DimError for a class out of range.

    >>> import pappus as pp
    >>> pp.cross_entropy(pp.zeros(2, 10), pp.tensor([3, 4]))
    tensor(2.3026)
    """,
    decompose=_cross_entropy_decompose,
    shape=_cross_entropy_shape,
    samples=_cross_entropy_samples,
)

# -- regression ---------------------------------------------------------------------------------


def _pair_samples() -> Iterator[Sample]:
    for reduction in ("mean", "sum", "none"):
        yield Sample((floats(3, 4), floats(3, 4, seed=1)), {"reduction": reduction})


def _mse_decompose(input: Any, target: Any, *, reduction: str) -> Any:
    difference = input - target
    return _reduce(difference * difference, reduction)


mse_loss = operator(
    "mse_loss(Tensor input, Tensor target, *, str reduction='mean') -> Tensor",
    """Squared error (input - target)^2.

    >>> import pappus as pp
    >>> pp.mse_loss(pp.tensor([1.0, 2.0]), pp.tensor([1.0, 4.0])).item()
    2.0
    """,
    decompose=_mse_decompose,
    samples=_pair_samples,
)

l1_loss = operator(
    "l1_loss(Tensor input, Tensor target, *, str reduction='mean') -> Tensor",
    """Absolute error |input - target|.

    >>> import pappus as pp
    >>> pp.l1_loss(pp.tensor([1.0, 2.0]), pp.tensor([1.0, 4.0])).item()
    1.0
    """,
    decompose=lambda input, target, *, reduction: _reduce((input - target).abs(), reduction),
    samples=_pair_samples,
)


def _smooth_l1_decompose(input: Any, target: Any, *, reduction: str, beta: float) -> Any:
    from . import where

    if beta < 0:
        raise ArgumentError(f"smooth_l1_loss: beta must not be negative, got {beta}")
    error = (input - target).abs()
    if beta == 0:
        return _reduce(error, reduction)
    return _reduce(where(error < beta, error * error * (0.5 / beta), error - 0.5 * beta), reduction)


smooth_l1_loss = operator(
    "smooth_l1_loss(Tensor input, Tensor target, *, str reduction='mean', float beta=1.0) -> Tensor",
    """Squared error e^2 / (2 beta) where |e| < beta, absolute error |e| - beta / 2 elsewhere.""",
    decompose=_smooth_l1_decompose,
    samples=_pair_samples,
)


def _huber_decompose(input: Any, target: Any, *, reduction: str, delta: float) -> Any:
    from . import where

    if delta <= 0:
        raise ArgumentError(f"huber_loss: delta must be positive, got {delta}")
    error = (input - target).abs()
    return _reduce(where(error <= delta, error * error * 0.5, (error - 0.5 * delta) * delta), reduction)


huber_loss = operator(
    "huber_loss(Tensor input, Tensor target, *, str reduction='mean', float delta=1.0) -> Tensor",
    """e^2 / 2 where |e| <= delta, delta (|e| - delta / 2) elsewhere.""",
    decompose=_huber_decompose,
    samples=_pair_samples,
)

# -- probabilities ------------------------------------------------------------------------------


def _check_same(name: str, input: Any, target: Any) -> None:
    if input.ndim != target.ndim or not all(sym_eq(a, b) for a, b in zip(input.shape, target.shape, strict=True)):
        raise ShapeError(
            f"{name}: target size ({_sizes(target.shape)}) must be the same as input size ({_sizes(input.shape)})"
        )


def _bce_decompose(input: Any, target: Any, weight: Any, *, reduction: str) -> Any:
    _check_same("binary_cross_entropy", input, target)
    loss = -(target * input.log().clamp(min=-100.0) + (1 - target) * (-input).log1p().clamp(min=-100.0))
    return _reduce(loss if weight is None else loss * weight, reduction)


binary_cross_entropy = operator(
    "binary_cross_entropy(Tensor input, Tensor target, Tensor? weight=None, *, str reduction='mean') -> Tensor",
    """-(t log x + (1 - t) log(1 - x)) for probabilities x; the logarithms are kept above -100.""",
    decompose=_bce_decompose,
    samples=lambda: iter(
        [
            Sample((floats(3, 4, low=0.1, high=0.9), floats(3, 4, low=0.1, high=0.9, seed=1))),
            Sample(
                (
                    floats(3, 4, low=0.1, high=0.9),
                    floats(3, 4, low=0.1, high=0.9, seed=1),
                    floats(4, low=0.1, high=0.9),
                ),
                {"reduction": "sum"},
            ),
        ]
    ),
)


@through_float32
def _bce_logits_decompose(input: Any, target: Any, weight: Any, pos_weight: Any, *, reduction: str) -> Any:
    _check_same("binary_cross_entropy_with_logits", input, target)
    # log(1 + exp(-x)), without overflow for either sign
    softplus = (-input.abs()).exp().log1p() + (-input).clamp(min=0.0)
    if pos_weight is not None:
        softplus = softplus * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input + softplus
    return _reduce(loss if weight is None else loss * weight, reduction)


binary_cross_entropy_with_logits = operator(
    "binary_cross_entropy_with_logits(Tensor input, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, *, "
    "str reduction='mean') -> Tensor",
    """`binary_cross_entropy` of sigmoid(input), computed without overflow; `pos_weight` multiplies the t log x term.

    >>> import pappus as pp
    >>> pp.binary_cross_entropy_with_logits(pp.zeros(2), pp.ones(2))
    tensor(0.6931)
    """,
    decompose=_bce_logits_decompose,
    samples=lambda: iter(
        [
            Sample((floats(3, 4), floats(3, 4, low=0.1, high=0.9, seed=1))),
            Sample(
                (
                    floats(3, 4),
                    floats(3, 4, low=0.1, high=0.9, seed=1),
                    floats(4, low=0.1, high=0.9),
                    floats(4, low=0.1, high=0.9, seed=2),
                )
            ),
        ]
    ),
)


def _kl_decompose(input: Any, target: Any, *, reduction: str, log_target: bool) -> Any:
    from . import where

    if log_target:
        loss = target.exp() * (target - input)
    else:
        # 0 log 0 is 0; a negative target has no logarithm.
        zero = target == 0
        safe = where(zero, target * 0 + 1, target)
        loss = where(zero, target * 0, target * safe.log()) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss
    return _reduce(loss, reduction)


kl_div = operator(
    "kl_div(Tensor input, Tensor target, *, str reduction='mean', bool log_target=False) -> Tensor",
    """Kullback-Leibler divergence target * (log target - input), for log-probabilities `input`.

    "batchmean" divides the sum by the batch size, which is the mathematical mean; with `log_target` the target is a
    logarithm too.
    """,
    decompose=_kl_decompose,
    samples=lambda: iter([Sample((floats(3, 4), floats(3, 4, low=0.1, high=0.9, seed=1)), {"reduction": "batchmean"}),
                          Sample((floats(3, 4), floats(3, 4, seed=1)), {"log_target": True})]),
)  # fmt: skip
