"""Muon: momentum made orthogonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pappus.frontend import dtypes, ops
from pappus.frontend.inplace import assign
from pappus.frontend.optim.optimizer import Group, Optimizer, Params, check_lr, number
from pappus.frontend.tensor import Tensor

ADJUST = (None, "original", "match_rms_adamw")


class Muon(Optimizer):
    """Gradient descent for matrices along the momentum with all its singular values brought near 1:

        m = momentum m + (1 - momentum) g;   u = momentum m + (1 - momentum) g (Nesterov) or m
        p = p (1 - lr weight_decay) - lr k newton_schulz(u)

    k is sqrt(max(1, rows / columns)), or 0.2 sqrt(max(rows, columns)) with `adjust_lr_fn="match_rms_adamw"`, which
    allows AdamW's rates. Only for 2-d parameters of hidden layers; train the others with AdamW. Jordan et al., 2024.

    >>> import pappus as pp
    >>> p = pp.eye(2).requires_grad_()
    >>> opt = Muon([p], lr=0.1, weight_decay=0.0)
    >>> (p * p).sum().backward()
    >>> opt.step()
    >>> p[0, 0].item() < 0.95
    True
    """

    def __init__(
        self,
        params: Params,
        lr: float | Tensor = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is: ")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in ADJUST:
            raise ValueError(
                f"Adjust learning rate function {adjust_lr_fn} is not supported; known are 'original' and "
                "'match_rms_adamw'"
            )
        if ns_steps >= 100:
            raise ValueError(f"ns_steps must be less than 100, got {ns_steps}")
        if len(ns_coefficients) != 3:
            raise ValueError(f"ns_coefficients must be exactly 3 numbers, got {len(ns_coefficients)}")
        super().__init__(
            params,
            {
                "lr": lr, "weight_decay": weight_decay, "momentum": momentum, "nesterov": nesterov,
                "ns_coefficients": ns_coefficients, "eps": eps, "ns_steps": ns_steps, "adjust_lr_fn": adjust_lr_fn,
            },
        )  # fmt: skip
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        f"Muon only supports 2D parameters whereas we found a parameter with size: {list(param.shape)}"
                    )

    def _update(self, param: Tensor, group: Group) -> None:
        if param.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        state, grad, momentum = self.state[param], param.grad, number(group["momentum"])
        if "momentum_buffer" not in state:
            state["momentum_buffer"] = ops.zeros_like(grad)
        buffer = state["momentum_buffer"]
        assign(buffer, buffer + (grad - buffer) * (1 - momentum))
        update = grad + (buffer - grad) * momentum if group["nesterov"] else buffer
        update = newton_schulz(update, group["ns_coefficients"], group["ns_steps"], number(group["eps"]))
        rows, columns = param.shape
        lr = number(group["lr"])
        if group["adjust_lr_fn"] == "match_rms_adamw":
            rate = lr * 0.2 * math.sqrt(max(rows, columns))
        else:
            rate = lr * math.sqrt(max(1, rows / columns))
        assign(param, param * (1 - lr * number(group["weight_decay"])) - update.to(param.dtype) * rate)


def newton_schulz(matrix: Any, coefficients: Sequence[float], steps: int, eps: float) -> Any:
    """A matrix with the singular vectors of `matrix` and singular values near 1, in bfloat16.

    X = M / |M|, then `steps` times X = a X + (b G + c G G) X with G = X X^T: a polynomial of the singular values.
    Each of the three matrices is rounded to bfloat16 once.
    """

    def rounded(m: Any) -> Any:
        return m.to(dtypes.bfloat16).float()

    a, b, c = coefficients
    x = rounded(matrix)
    tall = matrix.shape[0] > matrix.shape[1]
    if tall:
        x = x.T
    x = rounded(x / rounded(x.norm()).clamp(min=eps))
    for _ in range(steps):
        gram = rounded(x @ x.T)
        x = rounded(x * a + rounded(gram * b + gram @ gram * c) @ x)
    return (x.T if tall else x).to(dtypes.bfloat16)
