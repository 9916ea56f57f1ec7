"""Optimizer steps as operators: new values of a parameter and of its state, from the old ones and the gradient.

They are functional, and `optim` assigns the results; so a captured training step contains each update as one node.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ._samples import floats
from ._shapes import step_in_float32

__all__ = ["adam_step", "sgd_step"]


def _check(name: str, param: Any, **others: Any) -> Spec:
    if not param.dtype.is_floating_point:
        raise DTypeError(f"{name}: the parameter has type {param.dtype}; only floating-point tensors are trained")
    for label, other in others.items():
        if other is not None and (
            other.ndim != param.ndim or not all(sym_eq(a, b) for a, b in zip(other.shape, param.shape, strict=True))
        ):
            raise ShapeError(f"{name}: {label} has shape {list(other.shape)}, the parameter {list(param.shape)}")
    return Spec(tuple(param.shape), param.dtype)


def _sgd_shape(param: Spec, grad: Spec, momentum_buffer: Any, **_: Any) -> tuple[Spec, Spec]:
    spec = _check("sgd_step", param, grad=grad, momentum_buffer=momentum_buffer)
    return spec, spec


def _sgd_decompose(
    param: Any, grad: Any, momentum_buffer: Any, *, lr: float, momentum: float, dampening: float,
    weight_decay: float, nesterov: bool, maximize: bool,
) -> tuple[Any, Any]:  # fmt: skip
    g = -grad if maximize else grad
    if weight_decay:
        g = g + param * weight_decay
    buffer = g
    if momentum:
        if momentum_buffer is not None:
            buffer = momentum_buffer * momentum + g * (1 - dampening)
        if nesterov:
            return param - (g + buffer * momentum) * lr, buffer
    return param - buffer * lr, buffer


@step_in_float32
def _sgd_eager(
    xp: Any, param: Any, grad: Any, momentum_buffer: Any, *, lr: float, momentum: float, dampening: float,
    weight_decay: float, nesterov: bool, maximize: bool,
) -> tuple[Any, Any]:  # fmt: skip
    g = -grad if maximize else grad
    if weight_decay:
        g = g + param * weight_decay
    buffer = g
    if momentum:
        if momentum_buffer is None:
            buffer = xp.array(g)
        else:
            buffer = momentum_buffer * momentum
            buffer += g * (1 - dampening)
        if nesterov:
            g = g + buffer * momentum
        else:
            g = buffer
    return (param - g * lr).astype(param.dtype, copy=False), buffer


def _sgd_samples() -> Iterator[Sample]:
    p, g, m = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    yield Sample((p, g), {"lr": 0.1})
    yield Sample((p, g, m), {"lr": 0.1, "momentum": 0.9, "dampening": 0.1, "weight_decay": 0.01})
    yield Sample((p, g, m), {"lr": 0.1, "momentum": 0.9, "nesterov": True, "maximize": True})
    yield Sample((p, g), {"lr": 0.1, "momentum": 0.9})


sgd_step = operator(
    "sgd_step(Tensor param, Tensor grad, Tensor? momentum_buffer=None, *, float lr, float momentum=0.0, "
    "float dampening=0.0, float weight_decay=0.0, bool nesterov=False, bool maximize=False) -> (Tensor, Tensor)",
    """One step of SGD: the new parameter and momentum buffer (see `optim.SGD` for the formula).

    Without a buffer the momentum starts as the gradient; without momentum the second result has no meaning.
    """,
    shape=_sgd_shape,
    eager=_sgd_eager,
    decompose=_sgd_decompose,
    samples=_sgd_samples,
)


def _adam_shape(
    param: Spec, grad: Spec, exp_avg: Spec, exp_avg_sq: Spec, max_exp_avg_sq: Any, step: Any, **_: Any
) -> tuple[Spec, Spec, Spec, Spec]:
    spec = _check(
        "adam_step", param, grad=grad, exp_avg=exp_avg, exp_avg_sq=exp_avg_sq, max_exp_avg_sq=max_exp_avg_sq
    )
    return spec, spec, spec, spec


def _adam_decompose(
    param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, step: Any, *, lr: float,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    from . import maximum

    g = -grad if maximize else grad
    if weight_decay and decoupled:
        param = param * (1 - lr * weight_decay)
    elif weight_decay:
        g = g + param * weight_decay
    mean = exp_avg + (g - exp_avg) * (1 - beta1)
    square = exp_avg_sq * beta2 + g * g * (1 - beta2)
    # 1 - beta^t as -expm1(t log beta): exact enough in the counter's float32 even when beta is near 1.
    first = -(step * float(np.log(beta1))).expm1() if beta1 else step * 0 + 1
    second = -(step * float(np.log(beta2))).expm1() if beta2 else step * 0 + 1
    top = square if max_exp_avg_sq is None else maximum(max_exp_avg_sq, square)
    scale = (top / second.to(param.dtype)).sqrt() + eps
    return param - mean / scale * (lr / first).to(param.dtype), mean, square, top


@step_in_float32
def _adam_eager(
    xp: Any, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, max_exp_avg_sq: Any, step: Any, *, lr: float,
    beta1: float, beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
) -> tuple[Any, Any, Any, Any]:  # fmt: skip
    count = float(step)
    g = -grad if maximize else grad
    if weight_decay and decoupled:
        param = param * (1 - lr * weight_decay)
    elif weight_decay:
        g = g + param * weight_decay
    mean = g - exp_avg
    mean *= 1 - beta1
    mean += exp_avg
    square = g * g
    square *= 1 - beta2
    square += exp_avg_sq * beta2
    top = square if max_exp_avg_sq is None else xp.maximum(max_exp_avg_sq, square)
    scale = xp.sqrt(top)
    scale /= (1 - beta2**count) ** 0.5
    scale += eps
    change = mean / scale
    change *= lr / (1 - beta1**count)
    return (param - change).astype(param.dtype, copy=False), mean, square, top


def _adam_samples() -> Iterator[Sample]:
    p, g, m = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    v = floats(3, 2, low=0.1, high=2.0, seed=3)
    step = floats() * 0 + 3
    common = {"lr": 0.1, "beta1": 0.9, "beta2": 0.99}
    yield Sample((p, g, m, v, None, step), common)
    yield Sample((p, g, m, v, None, step), {**common, "weight_decay": 0.1})
    yield Sample((p, g, m, v, v * 1.1, step), {**common, "weight_decay": 0.1, "decoupled": True, "maximize": True})


adam_step = operator(
    "adam_step(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Tensor? max_exp_avg_sq, Tensor step, *, "
    "float lr, float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.0, bool decoupled=False, "
    "bool maximize=False) -> (Tensor, Tensor, Tensor, Tensor)",
    """One step of Adam: the new parameter, means of gradient and squared gradient, and largest mean (see `optim.Adam`).

    `step` is the number of this step, from 1. `decoupled` makes it AdamW. The fourth result has a meaning only where
    `max_exp_avg_sq` is given.
    """,
    shape=_adam_shape,
    eager=_adam_eager,
    decompose=_adam_decompose,
    samples=_adam_samples,
)
