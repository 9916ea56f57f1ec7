"""One step of PyTorch's optimizers from a given state, in the form of the step operators: the oracle for those."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

# operator -> (optimizer, names of the state in the order of the operands, "step" for the number of the step)
TABLE: dict[str, tuple[str, tuple[str, ...]]] = {
    "sgd_step": ("SGD", ("momentum_buffer",)),
    "adam_step": ("Adam", ("exp_avg", "exp_avg_sq", "max_exp_avg_sq", "step")),
    "adagrad_step": ("Adagrad", ("sum", "step")),
    "rmsprop_step": ("RMSprop", ("square_avg", "grad_avg", "momentum_buffer")),
    "adadelta_step": ("Adadelta", ("square_avg", "acc_delta")),
    "adamax_step": ("Adamax", ("exp_avg", "exp_inf", "step")),
    "nadam_step": ("NAdam", ("exp_avg", "exp_avg_sq", "mu_product", "step")),
    "radam_step": ("RAdam", ("exp_avg", "exp_avg_sq", "step")),
    "rprop_step": ("Rprop", ("prev", "step_size")),
    "asgd_step": ("ASGD", ("ax", "eta", "mu")),
}
PAIRS = {"beta1": ("betas", "beta2"), "eta_minus": ("etas", "eta_plus"), "smallest": ("step_sizes", "largest")}


def _step(name: str, param: Any, grad: Any, *operands: Any, **options: Any) -> Any:
    kind, names = TABLE[name]
    given = {key: o.detach().clone() for key, o in zip(names, operands, strict=True) if o is not None}
    if options.get("momentum") == 0:
        given.pop("momentum_buffer", None)
    for first, (both, second) in PAIRS.items():
        if first in options:
            options[both] = (options.pop(first), options.pop(second))
    decoupled = options.pop("decoupled", False)
    if decoupled:
        options["decoupled_weight_decay"] = True
    if kind == "Adam":
        options["amsgrad"] = "max_exp_avg_sq" in given
    if kind == "RMSprop":
        options["centered"] = "grad_avg" in given
    p = param.detach().clone().requires_grad_()
    p.grad = grad.detach().clone()
    opt = getattr(torch.optim, kind)([p], **options)
    before = given.pop("step", torch.tensor(1.0)) - 1
    if "mu_product" in given:  # PyTorch multiplies this step's momentum in by itself
        beta1 = options["betas"][0]
        given["mu_product"] = given["mu_product"] / (
            beta1 * (1 - 0.5 * 0.96 ** ((before + 1) * options["momentum_decay"]))
        )
    if given or kind != "SGD":
        opt.state[p] = {"step": before, **given} if kind != "SGD" else given
    opt.step()
    state = opt.state.get(p, {})
    shown = [key for key in names if key in given and key not in ("mu_product", "eta", "mu")]
    return (p.detach(), *(state[key] for key in shown))


def _lion(param: Any, grad: Any, mean: Any, **o: Any) -> Any:
    grad = -grad if o["maximize"] else grad
    blend = o["beta1"] * mean + (1 - o["beta1"]) * grad
    new = param - o["lr"] * (blend.sign() + o["weight_decay"] * param)
    return new, o["beta2"] * mean + (1 - o["beta2"]) * grad


STEPS: dict[str, Callable[..., Any]] = {
    **{name: lambda *args, name=name, **options: _step(name, *args, **options) for name in TABLE},  # type: ignore[misc]
    "lion_step": _lion,
}
