"""Positions of elements: `nonzero` with its form of one tensor per dimension, and `where` with a condition alone."""

from __future__ import annotations

from typing import Any

from ..errors import ArgumentError
from ._names import function
from .index import nonzero as _nonzero
from .pointwise import where as _where
from .shape import select, view


@function(method=True)
def nonzero(self: Any, *, as_tuple: bool = False) -> Any:
    """The positions of the nonzero elements: one row each, or with `as_tuple` one tensor per dimension.

    >>> import pappus as pp
    >>> pp.nonzero(pp.tensor([0, 3, 5]))
    tensor([[1],
            [2]])
    """
    if not as_tuple:
        return _nonzero(self)
    found = _nonzero(self if self.shape else view(self, (1,)))
    return tuple(select(found, 1, d) for d in range(found.shape[1]))


@function()
def argwhere(input: Any) -> Any:
    """The positions of the nonzero elements, one row each."""
    return _nonzero(input)


@function()
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """Elements of `input` where the condition is true, of `other` elsewhere; both may be numbers.

    With the condition alone, its positions: one tensor per dimension, as `nonzero(as_tuple=True)` gives them.

    >>> import pappus as pp
    >>> x = pp.tensor([-1.0, 2.0])
    >>> pp.where(x > 0, x, 0.0)
    tensor([0., 2.])
    """
    if input is None and other is None:
        return nonzero(condition, as_tuple=True)
    if input is None or other is None:
        raise ArgumentError("where: takes the condition alone, or the condition and two operands")
    return _where(condition, input, other)
