"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, numbers, put
from pappus.frontend.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum b and weight decay w:

        g = grad + w p;   m = b m + (1 - dampening) g;   p = p - lr m   (Nesterov: p - lr (g + b m))

    The first step takes m = g. `maximize` goes uphill. `foreach` and `fused` are accepted: there is one implementation.
    With `differentiable` the step is recorded, and non-leaf parameters are allowed.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = SGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 6)
    0.8
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        options = checked(locals(), "momentum")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(params, options)

    def _update(self, param: Tensor, group: Group) -> None:
        buffer, target = None, None
        if group["momentum"]:
            state: dict[str, Any] = self.state[param]
            buffer = target = state.get("momentum_buffer")
            if target is None:
                target = state["momentum_buffer"] = ops.zeros_like(param)
        put(
            ops.sgd_step, (param, param.grad, buffer), (param, target), nesterov=group["nesterov"],
            **numbers(group, "lr", "momentum", "dampening", "weight_decay"),
        )  # fmt: skip
