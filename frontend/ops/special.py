"""The gamma function's relatives and what statistics builds on the error function, under torch's and torch.special's
names."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeVar

from ..errors import ArgumentError
from ..gamma import digamma_array, gammainc_array, gammaincc_array, lgamma_array, polygamma_array
from ..opdef import Sample, operator
from ._names import function
from ._samples import floats
from ._shapes import as_float, promote_arrays, same_float
from .create import arange
from .elementary import _need_floats
from .pointwise import _float_unary, log, mul
from .reduce import sum
from .shape import unsqueeze

F = TypeVar("F", bound=Callable[..., Any])
SPECIAL: dict[str, Callable[..., Any]] = {}


def special(name: str, f: F) -> F:
    """Offer a function as `pappus.special.<name>`."""
    SPECIAL[name] = f
    return f


# -- gamma ----------------------------------------------------------------------------------------


def _polygamma_shape(x: Any, n: int) -> Any:
    if n < 0:
        raise ArgumentError(f"polygamma: the order must not be negative, got {n}")
    return same_float(x)


_polygamma: Callable[..., Any] = operator(
    "polygamma_of(Tensor self, int n) -> Tensor", "The n-th derivative of digamma.", shape=_polygamma_shape,
    eager=lambda xp, x, n: polygamma_array(n, as_float(x)), vjp=lambda g, _out, x, n: (mul(g, _polygamma(x, n + 1)),),
    tags=("inplace",), samples=lambda: [Sample((floats(2, 3, low=0.5, high=3), n)) for n in (0, 1, 2)],
)  # fmt: skip


@function(method=True, inplace=True)
def polygamma(n: Any, self: Any) -> Any:
    """The n-th derivative of `digamma`; n is 0 or more.

    >>> import pappus as pp
    >>> pp.polygamma(1, pp.tensor([1.0]))
    tensor([1.6449])
    """
    if not isinstance(n, int):  # as a method: x.polygamma(n)
        n, self = self, n
    return _polygamma(self, n)


digamma = _float_unary(
    "digamma", digamma_array, lambda g, _out, x: g * _polygamma(x, 1), "The derivative of lgamma.", 0.5, 3.0,
    tags=("inplace",),
)  # fmt: skip
lgamma = _float_unary(
    "lgamma", lgamma_array, lambda g, _out, x: g * digamma(x), "log |gamma(x)|, which is log (x - 1)! for integers.",
    0.5, 3.0, tags=("inplace",),
)  # fmt: skip


@function(method=True, inplace=True)
def mvlgamma(self: Any, p: int) -> Any:
    """The log of the gamma function of p x p positive definite matrices; elements must be above (p - 1) / 2."""
    if p < 1:
        raise ArgumentError(f"mvlgamma: p must be at least 1, got {p}")
    x = as_floating(self)
    offsets = arange(0, p, dtype=x.dtype) * -0.5
    return sum(lgamma(unsqueeze(x, -1) + offsets), (-1,)) + p * (p - 1) / 4 * math.log(math.pi)


def as_floating(x: Any) -> Any:
    """Integers as the default floating-point type."""
    return x if x.dtype.is_floating_point else x * 1.0


def _float_pair(kernel: Callable[..., Any]) -> Callable[..., Any]:
    return lambda xp, a, b: kernel(*[as_float(x) for x in promote_arrays(a, b)])


def _density(g: Any, a: Any, x: Any) -> Any:
    """The derivative of the regularized incomplete gamma function by x."""
    return g * (log(x) * (a - 1) - x - lgamma(a)).exp()


def _incomplete(name: str, kernel: Callable[..., Any], sign: int, doc: str) -> Any:
    # In the samples the first operand is a number, which wants no gradient: there is none for it.
    return operator(
        f"{name}(Tensor|Scalar self, Tensor other) -> Tensor", doc, shape=_need_floats(name), eager=_float_pair(kernel),
        vjp=lambda g, _out, a, x: (None, _density(g * sign, a, x)), tags=("inplace",),
        samples=lambda: [Sample((a, floats(2, 3, low=0.5, high=4))) for a in (0.7, 2.5)],
    )  # fmt: skip


igamma = _incomplete(
    "igamma", gammainc_array, 1, "The regularized lower incomplete gamma function P(a, x); no gradient for a."
)
igammac = _incomplete(
    "igammac", gammaincc_array, -1, "The regularized upper incomplete gamma function 1 - P(a, x); no gradient for a."
)

for _name, _function in {
    "digamma": digamma, "psi": digamma, "gammaln": lgamma, "multigammaln": mvlgamma, "polygamma": polygamma,
    "gammainc": igamma, "gammaincc": igammac,
}.items():  # fmt: skip
    special(_name, _function)
