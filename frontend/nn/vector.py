"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import ShapeError
from pappus.frontend.inplace import assign
from pappus.frontend.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other; gradients flow back to them.

    >>> import pappus as pp
    >>> parameters_to_vector([pp.ones(2, 2), pp.zeros(1)]).tolist()
    [1.0, 1.0, 1.0, 1.0, 0.0]
    """
    return ops.cat([param.reshape(-1) for param in parameters])  # type: ignore[no-any-return]


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Copy the elements of a vector into the parameters, in their order; raises ShapeError unless the counts agree."""
    listed = list(parameters)
    total = sum(int(param.numel()) for param in listed)
    if vec.ndim != 1 or int(vec.shape[0]) != total:
        raise ShapeError(
            f"vector_to_parameters: the parameters have {total} elements together, the vector has shape "
            f"{list(vec.shape)}"
        )
    at = 0
    with no_grad():
        for param in listed:
            count = int(param.numel())
            assign(param, vec.detach()[at : at + count].reshape(param.shape).to(param.dtype))
            at += count
