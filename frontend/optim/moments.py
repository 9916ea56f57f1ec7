"""Relatives of Adam: Adamax, NAdam, RAdam, SparseAdam."""

from __future__ import annotations

import math
from typing import Any

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, number, numbers, put, zeros
from pappus.frontend.tensor import Tensor

_USUAL = ("lr", "betas", "eps", "weight_decay")


class Adamax(Optimizer):
    """Adam with the largest recent gradient in place of the mean square:

        m = b1 m + (1 - b1) g;   u = max(b2 u, |g| + eps);   p = p - lr / (1 - b1^t) m / u

    Kingma and Ba, 2014.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Adamax([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, checked(locals()))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        mean, top = zeros(state, param, "exp_avg", "exp_inf")
        operands = (param, param.grad, mean, top, state["step"])
        put(ops.adamax_step, operands, (param, mean, top), **numbers(group, *_USUAL))


class NAdam(Optimizer):
    """Adam with Nesterov's momentum, whose strength grows over the steps:

        mu_t = b1 (1 - 0.96^(t momentum_decay) / 2);   M_t = mu_1 ... mu_t
        p = p - lr ((1 - mu_t) / (1 - M_t) g + mu_t+1 / (1 - M_t mu_t+1) m) / (sqrt(v / (1 - b2^t)) + eps)

    Dozat, 2016.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = NAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> p.item() < 0.95
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, checked(locals(), "momentum_decay"))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        if "mu_product" not in state:
            state["mu_product"] = ops.ones(())
        mean, square = zeros(state, param, "exp_avg", "exp_avg_sq")
        step, product, decay = state["step"], state["mu_product"], number(group["momentum_decay"])
        with no_grad():
            momentum = (1 - (step.double() * (decay * _LOG_096)).exp() * 0.5) * number(group["betas"][0])
            assign(product, product * momentum.to(product.dtype))
        put(
            ops.nadam_step, (param, param.grad, mean, square, product, step), (param, mean, square),
            momentum_decay=decay, decoupled=group["decoupled_weight_decay"], **numbers(group, *_USUAL),
        )  # fmt: skip


_LOG_096 = math.log(0.96)


class RAdam(Optimizer):
    """Adam that takes plain momentum steps until the mean square rests on enough gradients:

        r_inf = 2 / (1 - b2) - 1;   r = r_inf - 2 t b2^t / (1 - b2^t)
        p = p - lr m / (1 - b1^t) R sqrt(1 - b2^t) / (sqrt(v) + eps)   where r > 5, else p = p - lr m / (1 - b1^t)
        R = sqrt((r - 4)(r - 2) r_inf / ((r_inf - 4)(r_inf - 2) r))

    Liu et al., 2019.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = RAdam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.8
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(params, checked(locals()))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        mean, square = zeros(state, param, "exp_avg", "exp_avg_sq")
        put(
            ops.radam_step, (param, param.grad, mean, square, state["step"]), (param, mean, square),
            decoupled=group["decoupled_weight_decay"], **numbers(group, *_USUAL),
        )  # fmt: skip


class SparseAdam(Optimizer):
    """Adam for gradients of which most rows are zero, as those of an embedding: other rows keep their state.

    A row is an index of the first dimension. Gradients are dense here, so the rows that take part are those with a
    number other than zero; PyTorch's optimizer of this name takes sparse gradients and refuses dense ones.

    >>> import pappus as pp
    >>> table = pp.ones(3, 2).requires_grad_()
    >>> opt = SparseAdam([table], lr=0.1)
    >>> table[pp.tensor([1])].sum().backward()
    >>> opt.step()
    >>> [round(x, 4) for x in table[:, 0].tolist()]
    [1.0, 0.9, 1.0]
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked(locals()))
        for group in self.param_groups:
            found = [at for at, param in enumerate(group["params"]) if param.is_complex()]
            if found:
                raise ValueError(
                    f"Complex params at indices {found}: SparseAdam does not support complex parameters"
                )

    def _update(self, param: Tensor, group: Group) -> None:
        grad: Any = param.grad
        state = self._counted(param)
        mean, square = zeros(state, param, "exp_avg", "exp_avg_sq")
        rows = (grad != 0).reshape(grad.shape[0], -1).any(1).nonzero().reshape(-1) if grad.ndim else None
        parts = [t if rows is None else t[rows] for t in (param, grad, mean, square)]
        options = numbers(group, "lr", "betas", "eps")
        # PyTorch adds eps here before the bias is corrected.
        options["eps"] /= math.sqrt(1 - options["beta2"] ** float(state["step"]))
        new = ops.adam_step(*parts, None, state["step"], **options)
        for target, value in zip((param, mean, square), new, strict=False):
            if rows is None:
                assign(target, value)
            else:
                target[rows] = value
