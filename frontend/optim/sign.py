"""Optimizers that look at the gradient's sign: Rprop and Lion."""

from __future__ import annotations

from pappus.frontend import ops
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, number, numbers, put, zeros
from pappus.frontend.tensor import Tensor


class Rprop(Optimizer):
    """A step size for each number, which grows while the gradient keeps its sign and shrinks where it turns:

        g p' > 0: s = min(s eta+, largest);   g p' < 0: s = max(s eta-, smallest), g = 0;   p = p - sign(g) s

    with p' the gradient before. It needs gradients of all data, not of batches. Riedmiller and Braun, 1993.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Rprop([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        options = checked(locals())
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]} (must be in (0, 1) and above 1)")
        super().__init__(params, options)

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        if "prev" not in state:
            state["prev"] = ops.zeros_like(param)
            lr = number(group["lr"])
            state["step_size"] = ops.full_like(param, complex(lr, lr) if param.is_complex() else lr)
        (minus, plus), (smallest, largest) = group["etas"], group["step_sizes"]
        put(
            ops.rprop_step, (param, param.grad, state["prev"], state["step_size"]),
            (param, state["prev"], state["step_size"]), eta_minus=number(minus), eta_plus=number(plus),
            smallest=number(smallest), largest=number(largest), maximize=group["maximize"],
        )  # fmt: skip


class Lion(Optimizer):
    """Steps by the sign of a blend of momentum and gradient, all of the same size:

        p = p (1 - lr weight_decay) - lr sign(b1 m + (1 - b1) g);   m = b2 m + (1 - b2) g

    Rates are about a tenth of AdamW's and decay ten times as much. Chen et al., 2023. PyTorch has no optimizer of this
    name.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = Lion([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.9
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0,
        *,
        maximize: bool = False,
    ) -> None:
        super().__init__(params, checked(locals()))

    def _update(self, param: Tensor, group: Group) -> None:
        (mean,) = zeros(self.state[param], param, "exp_avg")
        put(ops.lion_step, (param, param.grad, mean), (param, mean), **numbers(group, "lr", "betas", "weight_decay"))
