"""Relatives of Adam as operators: Adamax, NAdam, RAdam (see `optim`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..opdef import Sample
from ._samples import floats
from ._steps import decayed, moving, step_operator

__all__ = ["adamax_step", "nadam_step", "radam_step"]


def _moments(number: float) -> tuple[Any, ...]:
    square = floats(3, 2, low=0.1, high=2.0, seed=3)
    return floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2), square, floats() * 0 + number


def _adamax(
    m: Any, param: Any, grad: Any, exp_avg: Any, exp_inf: Any, step: Any, *, lr: float, beta1: float, beta2: float,
    eps: float, weight_decay: float, maximize: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, weight_decay, maximize)
    mean = moving(exp_avg, g, 1 - beta1)
    top = m.maximum(exp_inf * beta2, m.abs(g) + eps)
    return param - mean / top * (lr / m.rest(beta1, step)), mean, top


def _adamax_samples() -> Iterator[Sample]:
    yield Sample(_moments(3), {"lr": 0.1})
    yield Sample(_moments(3), {"lr": 0.1, "beta1": 0.5, "weight_decay": 0.1, "maximize": True})


adamax_step = step_operator(
    "adamax_step(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_inf, Tensor step, *, float lr, "
    "float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.0, bool maximize=False) "
    "-> (Tensor, Tensor, Tensor)",
    """One step of Adamax: the new parameter, mean gradient and largest recent gradient (see `optim.Adamax`).""",
    _adamax,
    samples=_adamax_samples,
    numbers=1,
)


def _nadam(
    m: Any, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, mu_product: Any, step: Any, *, lr: float,
    beta1: float, beta2: float, eps: float, weight_decay: float, momentum_decay: float, decoupled: bool,
    maximize: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, 0.0 if decoupled else weight_decay, maximize)
    if decoupled and weight_decay:
        param = param * (1 - lr * weight_decay)
    mean = moving(exp_avg, g, 1 - beta1)
    square = exp_avg_sq * beta2 + g * g * (1 - beta2)
    mu = _nesterov(m, step, beta1, momentum_decay)
    coming = _nesterov(m, step + 1, beta1, momentum_decay)
    scale = m.sqrt(square) / m.root(m.rest(beta2, step)) + eps
    param = param - g / scale * (lr * (1 - mu) / (1 - mu_product))
    return param - mean / scale * (lr * coming / (1 - mu_product * coming)), mean, square


def _nesterov(m: Any, step: Any, beta1: float, decay: float) -> Any:
    """The momentum of a step: beta1 (1 - 0.96^(step decay) / 2)."""
    return (1 - m.power(0.96, step * decay) * 0.5) * beta1


def _nadam_samples() -> Iterator[Sample]:
    *tensors, step = _moments(3)
    product = floats() * 0 + 0.25
    yield Sample((*tensors, product, step), {"lr": 0.1})
    yield Sample((*tensors, product, step), {"lr": 0.1, "momentum_decay": 0.1, "weight_decay": 0.1})
    yield Sample((*tensors, product, step), {"lr": 0.1, "weight_decay": 0.1, "decoupled": True, "maximize": True})


nadam_step = step_operator(
    "nadam_step(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Tensor mu_product, Tensor step, *, "
    "float lr, float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.0, "
    "float momentum_decay=0.004, bool decoupled=False, bool maximize=False) -> (Tensor, Tensor, Tensor)",
    """One step of NAdam: the new parameter and means of gradient and squared gradient (see `optim.NAdam`).

    `mu_product` is the product of the momenta of all steps up to this one, `step` the number of this step from 1.
    """,
    _nadam,
    samples=_nadam_samples,
    numbers=2,
)


def _radam(
    m: Any, param: Any, grad: Any, exp_avg: Any, exp_avg_sq: Any, step: Any, *, lr: float, beta1: float,
    beta2: float, eps: float, weight_decay: float, decoupled: bool, maximize: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    g = decayed(param, grad, 0.0 if decoupled else weight_decay, maximize)
    if decoupled and weight_decay:
        param = param * (1 - lr * weight_decay)
    mean = moving(exp_avg, g, 1 - beta1)
    square = exp_avg_sq * beta2 + g * g * (1 - beta2)
    second = m.rest(beta2, step)
    longest = 2 / (1 - beta2) - 1
    length = longest - step * 2 * m.power(beta2, step) / second
    rectified = m.root((length - 4) * (length - 2) * longest / (length * ((longest - 4) * (longest - 2))))
    scale = m.choose(length > 5, m.root(second) * rectified / (m.sqrt(square) + eps), 1.0)
    return param - mean * (lr / m.rest(beta1, step)) * scale, mean, square


def _radam_samples() -> Iterator[Sample]:
    yield Sample(_moments(3), {"lr": 0.1})
    yield Sample(_moments(8), {"lr": 0.1, "weight_decay": 0.1})
    yield Sample(_moments(8), {"lr": 0.1, "weight_decay": 0.1, "decoupled": True, "maximize": True})


radam_step = step_operator(
    "radam_step(Tensor param, Tensor grad, Tensor exp_avg, Tensor exp_avg_sq, Tensor step, *, float lr, "
    "float beta1=0.9, float beta2=0.999, float eps=1e-08, float weight_decay=0.0, bool decoupled=False, "
    "bool maximize=False) -> (Tensor, Tensor, Tensor)",
    """One step of RAdam: the new parameter and means of gradient and squared gradient (see `optim.RAdam`).""",
    _radam,
    samples=_radam_samples,
    numbers=1,
)
