"""SGD and Adam steps as operators: new values of a parameter and of its state, from the old ones and the gradient.

They are functional, and `optim` puts the results in place; so a captured training step contains each update as one
node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..opdef import Sample
from ._samples import floats
from ._steps import decayed, moving, step_operator

__all__ = ["adam_step", "sgd_step"]


def _sgd(
    m: Any, param: Any, grad: Any, momentum_buffer: Any, *, lr: float, momentum: float, dampening: float,
    weight_decay: float, nesterov: bool, maximize: bool,
) -> tuple[Any, Any]:  # fmt: skip
    g = decayed(param, grad, weight_decay, maximize)
    buffer = g
    if momentum:
        if momentum_buffer is not None:
            buffer = momentum_buffer * momentum + g * (1 - dampening)
        g = g + buffer * momentum if nesterov else buffer
    return param - g * lr, buffer


def _sgd_samples() -> Iterator[Sample]:
    p, g, m = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    yield Sample((p, g), {"lr": 0.1})
    yield Sample((p, g, m), {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01})
    yield Sample((p, g, m), {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True})
    yield Sample((p, g), {"lr": 0.1, "momentum": 0.9})


sgd_step = step_operator(
    "sgd_step(Tensor param, Tensor grad, Tensor? momentum_buffer=None, *, float lr, float momentum=0.0, "
    "float dampening=0.0, float weight_decay=0.0, bool nesterov=False, bool maximize=False) -> (Tensor, Tensor)",
    """One step of SGD: the new parameter and momentum buffer (see `optim.SGD` for the formula).

    Without a buffer the momentum starts as the gradient; without momentum the second result has no meaning.
    """,
    _sgd,
    samples=_sgd_samples,
)


def _adam(
    m: Any, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, step: Any, *, lr: float,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, 0.0 if decoupled else weight_decay, maximize)
    if decoupled and weight_decay:
        param = param * (1 - lr * weight_decay)
    mean = moving(exp_avg, g, 1 - beta1)
    square = exp_avg_sq * beta2 + g * g * (1 - beta2)
    top = square if max_exp_avg_sq is None else m.maximum(max_exp_avg_sq, square)
    scale = m.sqrt(top) / m.root(m.rest(beta2, step)) + eps
    return param - mean / scale * (lr / m.rest(beta1, step)), mean, square, top


def _adam_samples() -> Iterator[Sample]:
    p, g, m = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    v = floats(3, 2, low=0.1, high=2.0, seed=3)
    step = floats() * 0 + 3
    common = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99}
    yield Sample((p, g, m, v, None, step), common)
    yield Sample((p, g, m, v, None, step), {**common, "weight_decay": 0.1})
    yield Sample((p, g, m, v, v * 1.1, step), {**common, "weight_decay": 0.1, "decoupled": True, "maximize": True})


adam_step = step_operator(
    "adam_step(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Tensor? max_exp_avg_sq, Tensor step, *, "
    "float lr, float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.0, bool decoupled=False, "
    "bool maximize=False) -> (Tensor, Tensor, Tensor, Tensor)",
    """One step of Adam: the new parameter, means of gradient and squared gradient, and largest mean (see `optim.Adam`).

    `step` is the number of this step, from 1. `decoupled` makes it AdamW. The fourth result has a meaning only where
    `max_exp_avg_sq` is given.
    """,
    _adam,
    samples=_adam_samples,
    numbers=1,
)
