"""Keeping gradients within bounds, between `backward()` and the optimizer's step."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.tensor import Tensor

__all__ = ["clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]


def _gradients(parameters: Tensor | Iterable[Tensor]) -> list[Tensor]:
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    return [p.grad for p in listed if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor], norm_type: float = 2.0, error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:  # fmt: skip
    """The norm of all elements of all tensors together, as a 0-d tensor.

    >>> import pappus as pp
    >>> get_total_norm([pp.tensor([3.0]), pp.tensor([4.0])]).item()
    5.0
    """
    listed = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    if not listed:
        return ops.tensor(0.0)  # type: ignore[no-any-return]
    with no_grad():
        norms = ops.stack([ops.norm(t, norm_type).to(listed[0].dtype) for t in listed])
        total: Tensor = ops.norm(norms, norm_type)
    if error_if_nonfinite and not math.isfinite(total.item()):
        raise RuntimeError(
            f"The total norm of order {norm_type} of the gradients is {total.item()}, so they cannot be clipped; "
            "to clip all the same, set error_if_nonfinite=False"
        )
    return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by max_norm / total_norm where that is below 1."""
    with no_grad():
        scale = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for grad in _gradients(parameters):
            assign(grad, grad * scale.to(grad.dtype))


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale the gradients of all parameters down, in place, so that their norm together is at most `max_norm`.

    Returns the norm that they had. With `error_if_nonfinite` a norm that is infinite or NaN raises RuntimeError.

    >>> import pappus as pp
    >>> p = pp.zeros(2, requires_grad=True)
    >>> (p * pp.tensor([3.0, 4.0])).sum().backward()
    >>> clip_grad_norm_([p], 1.0).item(), round(p.grad.norm().item(), 4)
    (5.0, 1.0)
    """
    listed = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Limit every element of the gradients to [-clip_value, clip_value], in place."""
    bound: Any = float(clip_value)
    with no_grad():
        for grad in _gradients(parameters):
            assign(grad, grad.clamp(-bound, bound))
