"""Optimizers that scale steps by sums or means of squared gradients: Adagrad, RMSprop, Adadelta."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, numbers, put, zeros
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
        super().__init__(params, checked(locals(), "lr_decay", "initial_accumulator_value"))
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
            **numbers(group, "lr", "lr_decay", "eps", "weight_decay"),
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
        super().__init__(params, checked(locals(), "momentum", "alpha"))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        (square,) = zeros(state, param, "square_avg")
        (buffer,) = zeros(state, param, "momentum_buffer") if group["momentum"] else (None,)
        (mean,) = zeros(state, param, "grad_avg") if group["centered"] else (None,)
        put(
            ops.rmsprop_step, (param, param.grad, square, mean, buffer), (param, square, mean, buffer),
            **numbers(group, "lr", "alpha", "eps", "weight_decay", "momentum"),
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
        options = checked(locals(), "rho")
        if not rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho} (must be at least 0 and at most 1.0)")
        super().__init__(params, options)

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        square, delta = zeros(state, param, "square_avg", "acc_delta")
        put(
            ops.adadelta_step, (param, param.grad, square, delta), (param, square, delta),
            **numbers(group, "lr", "rho", "eps", "weight_decay"),
        )  # fmt: skip
