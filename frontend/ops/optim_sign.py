"""Steps by the gradient's sign, and averaged SGD, as operators: Rprop, Lion, ASGD (see `optim`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..opdef import Sample
from ._samples import floats
from ._steps import decayed, moving, step_operator

__all__ = ["asgd_step", "lion_step", "rprop_step"]


def _rprop(
    m: Any, param: Any, grad: Any, prev: Any, step_size: Any, *, eta_minus: float, eta_plus: float, smallest: float,
    largest: float, maximize: bool,
) -> tuple[Any, Any, Any]:  # fmt: skip
    g = -grad if maximize else grad
    agreement = g * prev
    size = m.where(
        agreement > 0, step_size * eta_plus, m.where(agreement < 0, step_size * eta_minus, step_size)
    )
    size = m.clip(size, smallest, largest)
    g = m.where(agreement < 0, 0.0, g)
    return param - m.sign(g) * size, g, size


def _rprop_samples() -> Iterator[Sample]:
    tensors = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2), floats(3, 2, low=0.1, high=0.5, seed=3)
    yield Sample(tensors, {})
    yield Sample(tensors, {"eta_minus": 0.25, "eta_plus": 1.5, "smallest": 0.2, "largest": 0.3, "maximize": True})


rprop_step = step_operator(
    "rprop_step(Tensor param, Tensor grad, Tensor prev, Tensor step_size, *, float eta_minus=0.5, "
    "float eta_plus=1.2, float smallest=1e-06, float largest=50.0, bool maximize=False) "
    "-> (Tensor, Tensor, Tensor)",
    """One step of Rprop: the new parameter, what the next step takes as this gradient, and step sizes (see
    `optim.Rprop`).""",
    _rprop,
    samples=_rprop_samples,
)


def _lion(
    m: Any, param: Any, grad: Any, exp_avg: Any, *, lr: float, beta1: float, beta2: float, weight_decay: float,
    maximize: bool,
) -> tuple[Any, Any]:  # fmt: skip
    g = -grad if maximize else grad
    if weight_decay:
        param = param * (1 - lr * weight_decay)
    return param - m.sign(moving(exp_avg, g, 1 - beta1)) * lr, moving(exp_avg, g, 1 - beta2)


def _lion_samples() -> Iterator[Sample]:
    tensors = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    yield Sample(tensors, {"lr": 0.1})
    yield Sample(tensors, {"lr": 0.1, "beta1": 0.5, "weight_decay": 0.1, "maximize": True})


lion_step = step_operator(
    "lion_step(Tensor param, Tensor grad, Tensor exp_avg, *, float lr, float beta1=0.9, float beta2=0.99, "
    "float weight_decay=0.0, bool maximize=False) -> (Tensor, Tensor)",
    """One step of Lion: the new parameter and mean gradient (see `optim.Lion`).""",
    _lion,
    samples=_lion_samples,
)


def _asgd(
    m: Any, param: Any, grad: Any, ax: Any, eta: Any, mu: Any, *, lambd: float, weight_decay: float, maximize: bool
) -> tuple[Any, Any]:
    g = decayed(param, grad, weight_decay, maximize)
    param = param * (1 - eta * lambd) - g * eta
    return param, moving(ax, param, mu)


def _asgd_samples() -> Iterator[Sample]:
    tensors = floats(3, 2), floats(3, 2, seed=1), floats(3, 2, seed=2)
    yield Sample((*tensors, floats() * 0 + 0.1, floats() * 0 + 1.0), {"lambd": 0.1})
    yield Sample((*tensors, floats() * 0 + 0.1, floats() * 0 + 0.5), {"weight_decay": 0.1, "maximize": True})


asgd_step = step_operator(
    "asgd_step(Tensor param, Tensor grad, Tensor ax, Tensor eta, Tensor mu, *, float lambd=0.0001, "
    "float weight_decay=0.0, bool maximize=False) -> (Tensor, Tensor)",
    """One step of averaged SGD: the new parameter and average (see `optim.ASGD`).

    `eta` is the rate of this step and `mu` the weight of the new parameter in the average, both 0-d.
    """,
    _asgd,
    samples=_asgd_samples,
    numbers=2,
)
