"""`autograd.functional`: derivatives of a function at a point, called with the point; over the transforms of `func`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..autograd import grad as backward_grad
from ..errors import ArgumentError, AutogradError
from ..grad_mode import enable_grad, set_grad_enabled
from ..source import user_location
from ..tensor import Tensor
from . import transforms

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]


def _tuple(value: Any, what: str) -> tuple[tuple[Tensor, ...], bool]:
    """The tensors as a tuple, and whether they were one."""
    many = isinstance(value, (tuple, list))
    found = tuple(value) if many else (value,)
    for item in found:
        if not isinstance(item, Tensor):
            raise ArgumentError(f"{what} must be a Tensor or a tuple of them, got {type(item).__name__}").at(
                None, user_location()
            )
    return found, many


def _check_dependence(what: str, func: Callable[..., Any], inputs: tuple[Tensor, ...]) -> None:
    """With strict=True: every result must depend on every input."""
    stand_ins = [x.detach().requires_grad_() for x in inputs]
    with enable_grad():
        outs, _ = _tuple(func(*stand_ins), f"{what}: the result")
    for i, out in enumerate(outs):
        found = backward_grad(out.sum(), stand_ins, retain_graph=True, allow_unused=True) if out.requires_grad else ()
        for j in range(len(inputs)):
            if not found or found[j] is None:
                raise AutogradError(
                    f"{what}: result {i} does not depend on input {j}, which strict=True forbids; without it the "
                    "derivative is zero"
                ).at(None, user_location())


def _like(point: Any, v: Any, what: str) -> Any:
    """`v`, or ones where it is left out for a single element; its shapes must be those of `point`."""
    want, _ = _tuple(point, what)
    if v is None:
        if len(want) != 1 or want[0].numel() != 1:
            raise AutogradError(f"{what}: v can be left out only for a single tensor with one element").at(
                None, user_location()
            )
        return (want[0].detach() * 0 + 1,)
    given, _ = _tuple(v, f"{what}: v")
    if [tuple(g.shape) for g in given] != [tuple(w.shape) for w in want]:
        raise ArgumentError(
            f"{what}: v has shapes {[list(g.shape) for g in given]}, expected {[list(w.shape) for w in want]}"
        ).at(None, user_location())
    return given


def jacobian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The jacobian of `func` at `inputs`: (*result, *input), in tuples where results or inputs are tuples.

    >>> import pappus as pp
    >>> pp.autograd.functional.jacobian(lambda x: x * x, pp.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    point, many = _tuple(inputs, "jacobian: inputs")
    if strict:
        _check_dependence("jacobian", func, point)
    if strategy not in ("reverse-mode", "forward-mode"):
        raise ArgumentError(f"jacobian: strategy must be 'reverse-mode' or 'forward-mode', got {strategy!r}")
    transform = transforms.jacrev if strategy == "reverse-mode" else transforms.jacfwd
    with set_grad_enabled(create_graph):
        return transform(func, tuple(range(len(point))) if many else 0)(*point)


def hessian(
    func: Callable[..., Any],
    inputs: Any,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The second derivatives of the scalar `func` at `inputs`: (*input, *input), in tuples of tuples for tuples.

    >>> import pappus as pp
    >>> pp.autograd.functional.hessian(lambda x: (x**3).sum(), pp.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """
    point, many = _tuple(inputs, "hessian: inputs")
    if strict:
        _check_dependence("hessian", func, point)
    numbers: Any = tuple(range(len(point))) if many else 0
    outer = transforms.jacrev if outer_jacobian_strategy == "reverse-mode" else transforms.jacfwd
    inner = transforms.jacrev(lambda *xs: _scalar(func(*xs), "hessian"), numbers)
    with set_grad_enabled(create_graph):
        return outer(inner, numbers)(*point)


def _scalar(out: Any, what: str) -> Tensor:
    if not isinstance(out, Tensor) or out.numel() != 1:
        raise AutogradError(f"{what}: the function must return a tensor with one element").at(None, user_location())
    found: Tensor = out.reshape(())
    return found


def vjp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """`func(*inputs)` and v J, the gradient of the inputs for the gradient `v` of the result.

    >>> import pappus as pp
    >>> pp.autograd.functional.vjp(lambda x: x * x, pp.tensor([1.0, 2.0]), pp.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    point, many = _tuple(inputs, "vjp: inputs")
    if strict:
        _check_dependence("vjp", func, point)
    with set_grad_enabled(create_graph):
        out, back = transforms.vjp(func, *point)
        found = back(*_like(out, v, "vjp"))
    return out, found if many else found[0]


def jvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """`func(*inputs)` and J v, the change of the result for the change `v` of the inputs.

    >>> import pappus as pp
    >>> pp.autograd.functional.jvp(lambda x: x * x, pp.tensor([1.0, 2.0]), pp.tensor([1.0, 10.0]))
    (tensor([1., 4.]), tensor([ 2., 40.]))
    """
    point, _ = _tuple(inputs, "jvp: inputs")
    if strict:
        _check_dependence("jvp", func, point)
    with set_grad_enabled(create_graph):
        return transforms.jvp(func, point, _like(inputs, v, "jvp"))


def vhp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The scalar `func(*inputs)` and v H, the product of `v` with its second derivatives: one more pass backward.

    >>> import pappus as pp
    >>> pp.autograd.functional.vhp(lambda x: (x**3).sum(), pp.tensor([1.0, 2.0]), pp.tensor([1.0, 1.0]))
    (tensor(9.), tensor([ 6., 12.]))
    """
    point, many = _tuple(inputs, "vhp: inputs")
    if strict:
        _check_dependence("vhp", func, point)
    given = _like(inputs, v, "vhp")
    slope = transforms.grad_and_value(lambda *xs: _scalar(func(*xs), "vhp"), tuple(range(len(point))))
    with set_grad_enabled(create_graph):
        _, back, out = transforms.vjp(slope, *point, has_aux=True)
        found = back(given)
    return out, found if many else found[0]


def hvp(func: Callable[..., Any], inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False) -> Any:
    """The scalar `func(*inputs)` and H v; H is symmetric, so this is `vhp`.

    >>> import pappus as pp
    >>> pp.autograd.functional.hvp(lambda x: (x**3).sum(), pp.tensor([1.0, 2.0]), pp.tensor([1.0, 0.0]))
    (tensor(9.), tensor([6., 0.]))
    """
    return vhp(func, inputs, v, create_graph, strict)
