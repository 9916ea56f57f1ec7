"""Optimizers that scale steps by sums or means of squared gradients: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, check_lr, check_range, number, put
from pappus.frontend.tensor import Tensor


class Adagrad(Optimizer):
    """Steps scaled by the sum of all squared gradients so far:

        s = s + g^2;   p = p - lr / (1 + (t - 1) lr_decay) g / (sqrt(s) + eps)

    The sum starts at `initial_accumulator_value`. Duchi et al., 2011.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Adagrad([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_range("lr_decay", lr_decay)
        check_range("weight_decay", weight_decay)
        check_range("initial_accumulator_value", initial_accumulator_value)
        check_range("epsilon", eps)
        super().__init__(
            params,
            {
                "lr": lr, "lr_decay": lr_decay, "eps": eps, "weight_decay": weight_decay,
                "initial_accumulator_value": initial_accumulator_value, "foreach": foreach, "maximize": maximize,
                "differentiable": differentiable, "fused": fused,
            },
        )  # fmt: skip
        # As in PyTorch the state exists before the first step.
        for group in self.param_groups:
            for param in group["params"]:
                self._start(param, group)

    def _start(self, param: Tensor, group: Group) -> dict[str, Any]:
        state = self.state[param]
        if "sum" not in state:
            state["step"] = ops.zeros(())
            first = float(group["initial_accumulator_value"])
            state["sum"] = ops.full_like(param, complex(first, first) if param.is_complex() else first)
        return state

    def share_memory(self) -> None:
        """Nothing to do: state is not shared between processes."""

    def _update(self, param: Tensor, group: Group) -> None:
        self._start(param, group)
        state = self._counted(param)
        put(
            ops.adagrad_step, (param, param.grad, state["sum"], state["step"]), (param, state["sum"]),
            lr=number(group["lr"]), lr_decay=number(group["lr_decay"]), eps=number(group["eps"]),
            weight_decay=number(group["weight_decay"]), maximize=group["maximize"],
        )  # fmt: skip


class RMSprop(Optimizer):
    """Steps scaled by a running mean of the squared gradient:

        v = alpha v + (1 - alpha) g^2;   p = p - lr g / (sqrt(v) + eps)

    `centered` subtracts the square of the mean gradient from v; with `momentum` the scaled gradients gather in a
    buffer, b = momentum b + g / (...), and the step is lr b.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = RMSprop([p], lr=0.01)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("epsilon", eps)
        check_range("momentum", momentum)
        check_range("weight_decay", weight_decay)
        check_range("alpha", alpha)
        super().__init__(
            params,
            {
                "lr": lr, "momentum": momentum, "alpha": alpha, "eps": eps, "centered": centered,
                "weight_decay": weight_decay, "capturable": capturable, "foreach": foreach, "maximize": maximize,
                "differentiable": differentiable,
            },
        )  # fmt: skip

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        if "square_avg" not in state:
            names = ["square_avg", *["momentum_buffer"] * bool(group["momentum"]), *["grad_avg"] * group["centered"]]
            for name in names:
                state[name] = ops.zeros_like(param)
        square = state["square_avg"]
        buffer = state["momentum_buffer"] if group["momentum"] else None
        mean = state["grad_avg"] if group["centered"] else None
        put(
            ops.rmsprop_step, (param, param.grad, square, mean, buffer), (param, square, mean, buffer),
            lr=number(group["lr"]), alpha=number(group["alpha"]), eps=number(group["eps"]),
            weight_decay=number(group["weight_decay"]), momentum=number(group["momentum"]),
            maximize=group["maximize"],
        )  # fmt: skip


class Adadelta(Optimizer):
    """Steps of the size of earlier steps:

        v = rho v + (1 - rho) g^2;   d = sqrt(u + eps) / sqrt(v + eps) g;   u = rho u + (1 - rho) d^2;   p = p - lr d

    Zeiler, 2012.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Adadelta([p])
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> p.item() < 1.0
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range("rho", rho, to=1.0)
        check_range("epsilon", eps)
        check_range("weight_decay", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr, "rho": rho, "eps": eps, "weight_decay": weight_decay, "maximize": maximize,
                "capturable": capturable, "foreach": foreach, "differentiable": differentiable,
            },
        )  # fmt: skip

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        if "square_avg" not in state:
            state["square_avg"] = ops.zeros_like(param)
            state["acc_delta"] = ops.zeros_like(param)
        square, delta = state["square_avg"], state["acc_delta"]
        put(
            ops.adadelta_step, (param, param.grad, square, delta), (param, square, delta), lr=number(group["lr"]),
            rho=number(group["rho"]), eps=number(group["eps"]), weight_decay=number(group["weight_decay"]),
            maximize=group["maximize"],
        )  # fmt: skip
