"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, check_range
from pappus.frontend.tensor import Tensor


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square:

        m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
        p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    `weight_decay` adds w p to the gradient, or with `decoupled_weight_decay` shrinks p by lr w as AdamW does. `amsgrad`
    divides by the largest v so far. `foreach`, `capturable`, `differentiable` and `fused` are accepted and ignored.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Adam([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        check_range("learning rate", lr)
        check_range("epsilon value", eps)
        check_range("beta parameter at index 0", betas[0], below=1.0)
        check_range("beta parameter at index 1", betas[1], below=1.0)
        check_range("weight_decay value", weight_decay)
        super().__init__(
            params,
            {
                "lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay, "amsgrad": amsgrad,
                "maximize": maximize, "foreach": foreach, "capturable": capturable, "differentiable": differentiable,
                "fused": fused, "decoupled_weight_decay": decoupled_weight_decay,
            },
        )  # fmt: skip

    def _update(self, param: Tensor, group: Group) -> None:
        state: dict[str, Any] = self.state[param]
        if not state:
            state["step"] = ops.zeros(())
            state["exp_avg"] = ops.zeros_like(param)
            state["exp_avg_sq"] = ops.zeros_like(param)
            if group["amsgrad"]:
                state["max_exp_avg_sq"] = ops.zeros_like(param)
        assign(state["step"], state["step"] + 1)
        beta1, beta2 = group["betas"]
        new = ops.adam_step(
            param, param.grad, state["exp_avg"], state["exp_avg_sq"], state.get("max_exp_avg_sq"), state["step"],
            lr=float(group["lr"]), beta1=float(beta1), beta2=float(beta2), eps=float(group["eps"]),
            weight_decay=float(group["weight_decay"]), decoupled=bool(group["decoupled_weight_decay"]),
            maximize=bool(group["maximize"]),
        )  # fmt: skip
        assign(param, new[0])
        assign(state["exp_avg"], new[1])
        assign(state["exp_avg_sq"], new[2])
        if group["amsgrad"]:
            assign(state["max_exp_avg_sq"], new[3])


class AdamW(Adam):
    """Adam with decoupled weight decay: p shrinks by lr w at each step, apart from the gradient; see `Adam`.

    >>> import pappus as pp
    >>> AdamW([pp.ones(2, requires_grad=True)], lr=1e-3).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Params,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params, lr, betas, eps, weight_decay, amsgrad, foreach=foreach, maximize=maximize, capturable=capturable,
            differentiable=differentiable, fused=fused, decoupled_weight_decay=True,
        )  # fmt: skip
