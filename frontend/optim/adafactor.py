"""Adafactor: adaptive steps with state of the size of rows and columns."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.dtypes import finfo
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, check_lr, number
from pappus.frontend.tensor import Tensor


class Adafactor(Optimizer):
    """Steps scaled by an estimate of the mean square that is a product of its row means and column means:

        v = R C / mean(R);   u = g / sqrt(v);   p = p - max(eps2, rms(p)) min(lr, 1 / sqrt(t)) u / max(1, rms(u) / d)

    R and C are running means of g^2 over the last and the last but one dimension, which forget by t^beta2_decay; a
    vector keeps v itself. `eps[0]` None is the smallest step of the type at 1. Shazeer and Stern, 2018.

    >>> import pappus as pp
    >>> p = pp.ones(2, 2).requires_grad_()
    >>> opt = Adafactor([p])
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> round(p[0, 0].item(), 4)
    0.99
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: ")
        if not beta2_decay <= 0.0:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not eps[0] >= 0.0:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not eps[1] >= 0.0:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not d >= 1.0:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            {
                "lr": lr, "beta2_decay": beta2_decay, "eps": eps, "d": d, "weight_decay": weight_decay,
                "foreach": foreach, "maximize": maximize,
            },
        )  # fmt: skip

    def _update(self, param: Tensor, group: Group) -> None:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        grad: Any = -param.grad if group["maximize"] else param.grad  # type: ignore[operator]
        state = self._counted(param)
        if grad.ndim > 1 and "row_var" not in state:
            state["row_var"] = ops.zeros(*grad.shape[:-1], 1, dtype=grad.dtype)
            state["col_var"] = ops.zeros(*grad.shape[:-2], 1, grad.shape[-1], dtype=grad.dtype)
        elif grad.ndim <= 1 and "variance" not in state:
            state["variance"] = ops.zeros_like(grad)
        smallest = finfo(param.dtype).eps if group["eps"][0] is None else number(group["eps"][0])
        step = state["step"].double()
        fresh = (step ** number(group["beta2_decay"])).to(grad.dtype)
        rate = step.rsqrt().clamp(max=number(group["lr"])).to(grad.dtype)
        size = _rms(param).clamp(min=number(group["eps"][1])) * rate
        squares = grad * grad
        if grad.ndim > 1:
            row, col = state["row_var"], state["col_var"]
            assign(row, row + (squares.mean(-1, keepdim=True) - row) * fresh)
            assign(col, col + (squares.mean(-2, keepdim=True) - col) * fresh)
            estimate = row * col / row.mean(-2, keepdim=True).clamp(min=smallest)
        else:
            variance = state["variance"]
            assign(variance, variance + (squares - variance) * fresh)
            estimate = variance
        update = grad * estimate.clamp(min=smallest * smallest).rsqrt()
        scale = (_rms(update) / number(group["d"])).clamp(min=1.0)
        kept = 1 - number(group["lr"]) * number(group["weight_decay"])
        assign(param, param * kept - update * (size / scale))


def _rms(tensor: Any) -> Any:
    """Root of the mean square, a 0-d tensor."""
    return (tensor * tensor).mean().sqrt()
