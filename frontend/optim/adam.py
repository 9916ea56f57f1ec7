"""Adam and AdamW."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, numbers, put, zeros
from pappus.frontend.tensor import Tensor


def _check_tensors(lr: Any, betas: Any, foreach: bool | None, capturable: bool) -> None:
    """Options given as tensors: which combinations PyTorch allows."""
    if isinstance(lr, Tensor) and foreach and not capturable:
        raise ValueError("lr as a Tensor is not supported for capturable=False and foreach=True")
    given = [isinstance(beta, Tensor) for beta in betas]
    if any(given) and not all(given):
        raise ValueError("betas must be either both floats or both Tensors")
    for index, beta in enumerate(betas):
        if isinstance(beta, Tensor):
            if foreach and not capturable:
                raise ValueError(f"betas[{index}] as a Tensor is not supported for capturable=False and foreach=True")
            if beta.numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element, got shape {list(beta.shape)}")


class Adam(Optimizer):
    """Steps scaled by running means of the gradient and of its square:

        m = b1 m + (1 - b1) g;   v = b2 v + (1 - b2) g^2
        p = p - lr (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)

    `weight_decay` adds w p to the gradient, or with `decoupled_weight_decay` shrinks p by lr w as AdamW does. `amsgrad`
    divides by the largest v so far. `foreach`, `capturable` and `fused` are accepted: there is one implementation. With
    `differentiable` the step is recorded, and non-leaf parameters are allowed.

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
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_tensors(lr, betas, foreach, capturable)
        super().__init__(params, checked(locals()))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        mean, square = zeros(state, param, "exp_avg", "exp_avg_sq")
        (top,) = zeros(state, param, "max_exp_avg_sq") if group["amsgrad"] else (None,)
        put(
            ops.adam_step, (param, param.grad, mean, square, top, state["step"]), (param, mean, square, top),
            decoupled=group["decoupled_weight_decay"], **numbers(group, "lr", "betas", "eps", "weight_decay"),
        )  # fmt: skip


class AdamW(Adam):
    """Adam with decoupled weight decay: p shrinks by lr w at each step, apart from the gradient; see `Adam`.

    >>> import pappus as pp
    >>> AdamW([pp.ones(2, requires_grad=True)], lr=1e-3).param_groups[0]["weight_decay"]
    0.01
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
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
