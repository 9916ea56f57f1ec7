"""Steps scaled by sums or means of squared gradients, as operators: Adagrad, RMSprop, Adadelta (see `optim`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..opdef import Sample
from ._samples import floats
from ._steps import decayed, moving, step_operator

__all__ = ["adadelta_step", "adagrad_step", "rmsprop_step"]


def _positive(seed: int) -> Any:
    return floats(3, 2, low=0.5, high=2.0, seed=seed)


def _adagrad(
    m: Any, param: Any, grad: Any, total: Any, step: Any, *, lr: float, lr_decay: float, eps: float,
    weight_decay: float, maximize: bool,
) -> tuple[Any, Any]:  # fmt: skip
    g = decayed(param, grad, weight_decay, maximize)
    total = total + g * g
    return param - g / (m.sqrt(total) + eps) * (lr / (1 + (step - 1) * lr_decay)), total


def _adagrad_samples() -> Iterator[Sample]:
    common = (floats(3, 2), floats(3, 2, seed=1), _positive(2), floats() * 0 + 3)
    yield Sample(common, {"lr": 0.1})
    yield Sample(common, {"lr": 0.1, "lr_decay": 0.5, "weight_decay": 0.1, "maximize": True})


adagrad_step = step_operator(
    "adagrad_step(Tensor param, Tensor grad, Tensor sum, Tensor step, *, float lr, float lr_decay=0.0, "
    "float eps=1e-10, float weight_decay=0.0, bool maximize=False) -> (Tensor, Tensor)",
    """One step of Adagrad: the new parameter and sum of squared gradients (see `optim.Adagrad`).""",
    _adagrad,
    samples=_adagrad_samples,
    numbers=1,
)


def _rmsprop(
    m: Any, param: Any, grad: Any, square_avg: Any, grad_avg: Any, momentum_buffer: Any, *, lr: float, alpha: float,
    eps: float, weight_decay: float, momentum: float, maximize: bool,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, weight_decay, maximize)
    square = square_avg * alpha + g * g * (1 - alpha)
    mean, spread = g, square
    if grad_avg is not None:
        mean = moving(grad_avg, g, 1 - alpha)
        spread = square - mean * mean
    change = g / (m.sqrt(spread) + eps)
    if momentum_buffer is not None:
        change = momentum_buffer * momentum + change
    return param - change * lr, square, mean, change


def _rmsprop_samples() -> Iterator[Sample]:
    p, g, square, mean = floats(3, 2), floats(3, 2, seed=1), _positive(2) + 1.0, floats(3, 2, seed=3) * 0.1
    yield Sample((p, g, square), {"lr": 0.1})
    yield Sample((p, g, square, mean), {"lr": 0.1, "alpha": 0.9, "weight_decay": 0.1})
    yield Sample((p, g, square, mean, mean), {"lr": 0.1, "momentum": 0.5, "maximize": True})


rmsprop_step = step_operator(
    "rmsprop_step(Tensor param, Tensor grad, Tensor square_avg, Tensor? grad_avg=None, Tensor? momentum_buffer=None, "
    "*, float lr, float alpha=0.99, float eps=1e-08, float weight_decay=0.0, float momentum=0.0, "
    "bool maximize=False) -> (Tensor, Tensor, Tensor, Tensor)",
    """One step of RMSprop: the new parameter, mean square, mean gradient and momentum buffer (see `optim.RMSprop`).

    With `grad_avg` the square is centered. The last two results have a meaning where the operand is given.
    """,
    _rmsprop,
    samples=_rmsprop_samples,
)


def _adadelta(
    m: Any, param: Any, grad: Any, square_avg: Any, acc_delta: Any, *, lr: float, rho: float, eps: float,
    weight_decay: float, maximize: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, weight_decay, maximize)
    square = square_avg * rho + g * g * (1 - rho)
    delta = m.sqrt(acc_delta + eps) / m.sqrt(square + eps) * g
    return param - delta * lr, square, acc_delta * rho + delta * delta * (1 - rho)


def _adadelta_samples() -> Iterator[Sample]:
    common = (floats(3, 2), floats(3, 2, seed=1), _positive(2), _positive(3))
    yield Sample(common, {"lr": 1.0})
    yield Sample(common, {"lr": 0.5, "rho": 0.8, "eps": 1e-3, "weight_decay": 0.1, "maximize": True})


adadelta_step = step_operator(
    "adadelta_step(Tensor param, Tensor grad, Tensor square_avg, Tensor acc_delta, *, float lr, float rho=0.9, "
    "float eps=1e-06, float weight_decay=0.0, bool maximize=False) -> (Tensor, Tensor, Tensor)",
    """One step of Adadelta: the new parameter, mean squared gradient and mean squared step (see `optim.Adadelta`).""",
    _adadelta,
    samples=_adadelta_samples,
)
