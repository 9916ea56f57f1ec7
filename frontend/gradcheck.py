"""Gradients checked against finite differences: `pp.autograd.gradcheck` and `gradgradcheck`.

The results are projected on fixed random directions, so that one backward pass is compared with two evaluations per
input element: every entry of the gradient is checked, and a wrong one shows unless the random numbers conspire.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from .autograd import enable_grad, grad
from .errors import AutogradError, DTypeError
from .tensor import Tensor

__all__ = ["gradcheck", "gradgradcheck"]


def _leaves(inputs: Sequence[Any]) -> list[Tensor]:
    """The tensors among the inputs (and inside lists of them) that require grad."""
    found: list[Tensor] = []
    for item in inputs:
        for one in item if isinstance(item, (list, tuple)) else (item,):
            if isinstance(one, Tensor) and one.requires_grad:
                if one.dtype.name not in ("float64", "complex128"):
                    raise DTypeError(f"gradcheck needs float64 or complex128 inputs, got {one.dtype}; use .double()")
                found.append(one)
    if not found:
        raise AutogradError("gradcheck: no input requires grad")
    return found


def _results(out: Any) -> list[Tensor]:
    return [o for o in (out if isinstance(out, (list, tuple)) else [out]) if isinstance(o, Tensor) and o.requires_grad]


def _directions(tensors: Sequence[Tensor], seed: int) -> list[Tensor]:
    rng = np.random.default_rng(seed)

    def draw(tensor: Tensor) -> Any:
        found = rng.uniform(0.5, 1.5, tuple(tensor.shape))
        return found + 1j * rng.uniform(0.5, 1.5, tuple(tensor.shape)) if tensor.dtype.is_complex else found

    return [Tensor._from_data(np.asarray(draw(t), t.dtype.numpy)) for t in tensors]


def _projected(outs: Sequence[Tensor], directions: Sequence[Tensor]) -> float:
    # For complex results the real part of the inner product: the loss whose gradient by the result is the direction.
    pairs = zip(outs, directions, strict=True)
    return float(sum(np.sum(o.numpy(force=True) * np.conj(d.numpy())).real for o, d in pairs))


def _differences(value: Callable[[], float], leaf: Tensor, eps: float, places: Sequence[Any]) -> Any:
    """The derivative of `value()` by the elements of `leaf` at `places`, by central differences; by complex elements,
    that by the real part + i * that by the imaginary part."""
    array = leaf.numpy(force=True)
    slopes = np.zeros(array.shape, array.dtype)
    for at in places:
        old = array[at]
        for unit in (1, 1j) if leaf.dtype.is_complex else (1,):
            array[at] = old + eps * unit
            above = value()
            array[at] = old - eps * unit
            below = value()
            array[at] = old
            slopes[at] += (above - below) / (2 * eps) * unit
    return slopes


def _compare(
    what: str, leaves: Sequence[Tensor], found: Sequence[Any], value: Callable[[], float], tolerances: Any
) -> None:  # fmt: skip
    eps, atol, rtol, limit = tolerances
    for number, (leaf, gradient) in enumerate(zip(leaves, found, strict=True)):
        places = list(np.ndindex(tuple(leaf.shape)))
        places = places[:: -(-len(places) // limit)] if limit and places else places
        slopes = _differences(value, leaf, eps, places)
        got = np.zeros(slopes.shape, slopes.dtype) if gradient is None else gradient.numpy(force=True)
        if got.shape != slopes.shape:
            raise AutogradError(f"{what} of input {number} has shape {got.shape}, the input {slopes.shape}")
        wrong = [at for at in places if not abs(got[at] - slopes[at]) <= atol + rtol * abs(slopes[at])]
        if wrong:
            at = wrong[0]
            raise AutogradError(
                f"{what} of input {number} differs from finite differences at {at}: {got[at]:.8g} by the backward "
                f"pass, {slopes[at]:.8g} by differences ({len(wrong)} of {len(places)} elements differ)"
            )


def gradcheck(
    function: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-6, rtol: float = 1e-5,
    raise_exception: bool = True, limit: int | None = None,
) -> bool:  # fmt: skip
    """Whether the gradients of `function(*inputs)` agree with central differences of step `eps`.

    Inputs that require grad must be float64 or complex128; `limit` checks only so many elements of each, evenly spread.
    Raises AutogradError with the first element that differs, or with `raise_exception=False` returns False.

    >>> import pappus as pp
    >>> x = pp.tensor([1.0, 2.0], dtype=pp.float64, requires_grad=True)
    >>> pp.autograd.gradcheck(pp.exp, x)
    True
    """
    args = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    leaves = _leaves(args)
    try:
        with enable_grad():
            outs = _results(function(*args))
        directions = _directions(outs, 0)
        found = grad(outs, leaves, directions, allow_unused=True) if outs else [None] * len(leaves)

        def value() -> float:
            with enable_grad():  # not no_grad: the same results must be picked
                again = _results(function(*args))
            if len(again) != len(outs):
                raise AutogradError("gradcheck: the function gave another number of results when called again")
            return _projected(again, directions)

        if outs:
            _compare("the gradient", leaves, found, value, (eps, atol, rtol, limit))
    except AutogradError:
        if raise_exception:
            raise
        return False
    return True


def gradgradcheck(
    function: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-4,
    raise_exception: bool = True, limit: int | None = None,
) -> bool:  # fmt: skip
    """Whether the gradients of the gradients of `function(*inputs)` agree with central differences.

    The gradient is differentiated by the inputs and by the gradient it starts from; arguments and errors as in
    `gradcheck`.

    >>> import pappus as pp
    >>> x = pp.tensor([1.0, 2.0], dtype=pp.float64, requires_grad=True)
    >>> pp.autograd.gradgradcheck(lambda x: x**3, x)
    True
    """
    args = list(inputs) if isinstance(inputs, (list, tuple)) else [inputs]
    leaves = _leaves(args)
    with enable_grad():
        seeds = _directions(_results(function(*args)), 1)
    for seed in seeds:
        seed.requires_grad = True

    def first(*_: Any) -> list[Tensor]:
        outs = _results(function(*args))
        found = grad(outs, leaves, seeds, create_graph=True, allow_unused=True)
        return [f for f in found if f is not None]

    if not seeds:
        return True
    return gradcheck(
        first, [*args, *seeds], eps=eps, atol=atol, rtol=rtol, raise_exception=raise_exception, limit=limit
    )  # fmt: skip
