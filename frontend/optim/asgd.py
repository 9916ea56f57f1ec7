"""Averaged stochastic gradient descent."""

from __future__ import annotations

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, checked, number, put, zeros
from pappus.frontend.tensor import Tensor


class ASGD(Optimizer):
    """SGD with a falling rate, and the average of the parameters since step `t0` in `state[p]["ax"]`:

        p = p (1 - lambd eta) - eta g;   eta = lr / (1 + lambd lr t)^alpha;   ax = ax + (p - ax) / max(1, t - t0)

    Polyak and Juditsky, 1992.

    >>> import pappus as pp
    >>> p = pp.tensor([1.0], requires_grad=True)
    >>> opt = ASGD([p], lr=0.1)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p.item(), 4)
    0.8
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(params, checked(locals()))

    def _update(self, param: Tensor, group: Group) -> None:
        state = self._counted(param)
        lr, lambd = number(group["lr"]), number(group["lambd"])
        if "ax" not in state:
            state["eta"] = ops.zeros(()) + lr
            state["mu"] = ops.ones(())
        (average,) = zeros(state, param, "ax")
        step, eta, mu = state["step"], state["eta"], state["mu"]
        put(
            ops.asgd_step, (param, param.grad, average, eta, mu), (param, average), lambd=lambd,
            weight_decay=number(group["weight_decay"]), maximize=group["maximize"],
        )  # fmt: skip
        with no_grad():
            wide = step.double()  # rounded to float32 once, as in PyTorch, also where loading has widened the state
            assign(eta, (lr / (1 + wide * (lambd * lr)) ** number(group["alpha"])).float().to(eta.dtype))
            assign(mu, (1 / (wide - number(group["t0"])).clamp(min=1.0)).float().to(mu.dtype))
