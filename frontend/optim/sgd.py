"""Stochastic gradient descent."""

from __future__ import annotations

from pappus.frontend import ops
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, check_range
from pappus.frontend.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum b and weight decay w:

        g = grad + w p;   m = b m + (1 - dampening) g;   p = p - lr m   (Nesterov: p - lr (g + b m))

    The first step takes m = g. `maximize` goes uphill. `foreach`, `differentiable`, `fused` are accepted and ignored.

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
        lr: float = 1e-3,
        momentum: float = 0.0,
        dampening: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_range("learning rate", lr)
        check_range("momentum value", momentum)
        check_range("weight_decay value", weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "dampening": dampening, "weight_decay": weight_decay,
                "nesterov": nesterov, "maximize": maximize, "foreach": foreach, "differentiable": differentiable,
                "fused": fused,
            },
        )  # fmt: skip

    def _update(self, param: Tensor, group: Group) -> None:
        gradient = param.grad
        momentum, state = group["momentum"], self.state[param] if group["momentum"] else {}
        buffer = state.get("momentum_buffer")
        new_param, new_buffer = ops.sgd_step(
            param, gradient, buffer, lr=float(group["lr"]), momentum=momentum, dampening=group["dampening"],
            weight_decay=group["weight_decay"], nesterov=group["nesterov"], maximize=group["maximize"],
        )  # fmt: skip
        assign(param, new_param)
        if momentum:
            if buffer is None:
                state["momentum_buffer"] = new_buffer
            else:
                assign(buffer, new_buffer)
