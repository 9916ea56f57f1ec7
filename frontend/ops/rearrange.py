"""Conveniences that rearrange tensors: diagonals, triangles, windows, turns, joins. All are built from views and
joins."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import dtypes
from ..dtypes import as_dtype
from ..errors import DimError, ShapeError
from ..opdef import Sample, Spec, operator
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from ._shapes import broadcast, numel, wrap_dim
from .complex_numbers import conj
from .create import arange, full, zeros
from .index import index_select
from .parts import diagonal
from .pointwise import eq, mul, sub, to_dtype, where
from .reduce import sum
from .shape import (
    cat,
    constant_pad_nd,
    entries,
    expand,
    flatten,
    flip,
    movedim,
    permute,
    reshape,
    stack,
    transpose,
    unsqueeze,
    view,
)  # fmt: skip

# -- diagonals and triangles ----------------------------------------------------------------------


@function(method=True)
def diag(self: Any, diagonal: int = 0) -> Any:
    """The diagonal of a matrix, or the square matrix that has a vector on its diagonal.

    >>> import pappus as pp
    >>> pp.diag(pp.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if len(self.shape) == 1:
        return diag_embed(self, diagonal)
    if len(self.shape) != 2:
        raise ShapeError(f"diag needs 1 or 2 dimensions, got shape {list(self.shape)}; diagonal takes any rank")
    return _diagonal(self, diagonal)


_diagonal = diagonal


def _fill_shape(x: Any, value: Any) -> Spec:
    if len(value.shape):
        raise ShapeError(f"fill: the value must be a number or a 0-d tensor, got shape {list(value.shape)}")
    return Spec(tuple(x.shape), x.dtype)


@function(method=True)
def diag_embed(self: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Square matrices with the last dimension on their diagonal, in the places `dim1` and `dim2` of the result."""
    if not self.shape:
        raise ShapeError("diag_embed of a 0-d tensor; it needs at least 1 dimension")
    size = self.shape[-1] + abs(offset)
    x = self
    if offset:
        x = constant_pad_nd(x, (0, abs(offset)))
    rows, columns = view(arange(size), (size, 1)), arange(size)
    spread = unsqueeze(x, -1) if offset >= 0 else unsqueeze(x, -2)
    out = where(eq(columns - rows, offset), spread, zeros((), dtype=self.dtype))
    return movedim(out, (-2, -1), (dim1, dim2))


@function(method=True)
def diagflat(self: Any, offset: int = 0) -> Any:
    """A square matrix with the elements of `self` on its diagonal."""
    return diag_embed(flatten(self), offset)


@function(method=True)
def trace(self: Any) -> Any:
    """The sum of the diagonal of a matrix."""
    if len(self.shape) != 2:
        raise ShapeError(f"trace needs a matrix, got shape {list(self.shape)}")
    return sum(diagonal(self))


def _triangle_indices(row: int, col: int, offset: int, dtype: Any, upper: bool) -> Any:
    rows, columns = np.ogrid[:row, :col]
    inside = columns - rows >= offset if upper else columns - rows <= offset
    return Tensor._from_data(np.stack(np.nonzero(inside)).astype(as_dtype(dtype or dtypes.int64).numpy))


@function()
def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Any:
    """The rows and columns of the elements on and below a diagonal of a row x col matrix, as a [2, n] tensor."""
    return _triangle_indices(row, col, offset, dtype, False)


@function()
def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Any:
    """The rows and columns of the elements on and above a diagonal of a row x col matrix, as a [2, n] tensor."""
    return _triangle_indices(row, col, offset, dtype, True)


# -- windows, turns, pieces -----------------------------------------------------------------------


@function(method=True)
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """Windows of `size` elements, `step` apart, along a dimension; the window is a new last dimension."""
    at = wrap_dim(dimension, len(self.shape))
    x = self if self.shape else view(self, (1,))
    length = x.shape[at]
    if size > length or step < 1:
        raise DimError(f"unfold: windows of {size} elements, {step} apart, do not fit dimension {at} of size {length}")
    count = (length - size) // step + 1
    places = reshape(unsqueeze(arange(count) * step, 1) + arange(size), (-1,))
    picked = index_select(x, at, places)
    split = view(picked, (*x.shape[:at], count, size, *x.shape[at + 1 :]))
    return movedim(split, (at + 1,), (-1,)) if self.shape else view(split, (size,))


@function(method=True)
def ravel(self: Any) -> Any:
    """All elements in one dimension."""
    return flatten(self)


@function(method=True)
def fliplr(self: Any) -> Any:
    """Dimension 1 reversed."""
    return flip(self, (1,))


@function(method=True)
def flipud(self: Any) -> Any:
    """Dimension 0 reversed."""
    return flip(self, (0,))


@function(method=True)
def rot90(self: Any, k: int = 1, dims: Any = (0, 1)) -> Any:
    """Turned by 90 degrees `k` times, from the first of two dimensions towards the second."""
    if len(dims) != 2 or len({wrap_dim(d, len(self.shape)) for d in dims}) != 2:
        raise DimError(f"rot90: dims must be two different dimensions, got {list(dims)}")
    a, b = dims
    turns = k % 4
    if turns == 0:
        return self.clone()
    if turns == 2:
        return flip(self, (a, b))
    turned = transpose(flip(self, (b,)) if turns == 1 else flip(self, (a,)), a, b)
    return turned.clone()


@function()
def atleast_1d(*tensors: Any) -> Any:
    """Tensors with at least 1 dimension."""
    return _at_least(tensors, lambda x: x if x.shape else view(x, (1,)))


@function()
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with at least 2 dimensions, new ones in front."""
    return _at_least(tensors, lambda x: view(x, (1,) * (2 - len(x.shape)) + tuple(x.shape)) if len(x.shape) < 2 else x)


def _at_least(tensors: tuple[Any, ...], change: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tuple(change(x) for x in tensors[0])
    return change(tensors[0]) if len(tensors) == 1 else tuple(change(x) for x in tensors)


@function()
def column_stack(tensors: Any) -> Any:
    """Joined along dimension 1, 1-d tensors being columns."""
    return cat([reshape(x, (-1, 1)) if len(x.shape) < 2 else x for x in entries("column_stack", tensors)], 1)


@function()
def dstack(tensors: Any) -> Any:
    """Joined along dimension 2, which is added where it is missing."""
    wide = []
    for x in entries("dstack", tensors):
        x = atleast_2d(x)
        wide.append(unsqueeze(x, 2) if len(x.shape) == 2 else x)
    return cat(wide, 2)


@function()
def cartesian_prod(*tensors: Any) -> Any:
    """Every combination of elements of 1-d tensors, one per row."""
    from .parts import meshgrid

    return flatten(tensors[0]) if len(tensors) == 1 else stack([flatten(g) for g in meshgrid(*tensors)], 1)


# -- products -------------------------------------------------------------------------------------


@function(method=True)
def inner(self: Any, other: Any) -> Any:
    """Sums of products over the last dimension of both."""
    from .matmul import tensordot

    if not self.shape or not other.shape:
        return mul(self, other)
    return tensordot(self, other, ([-1], [-1]))


@function(method=True)
def kron(self: Any, other: Any) -> Any:
    """The Kronecker product: every element of `self` times the whole of `other`."""
    rank = max(len(self.shape), len(other.shape))
    a = view(self, (1,) * (rank - len(self.shape)) + tuple(self.shape))
    b = view(other, (1,) * (rank - len(other.shape)) + tuple(other.shape))
    wide = mul(
        view(a, tuple(n for size in a.shape for n in (size, 1))),
        view(b, tuple(n for size in b.shape for n in (1, size))),
    )
    return reshape(wide, tuple(m * n for m, n in zip(a.shape, b.shape, strict=True)))


@function(method=True)
def cross(self: Any, other: Any, dim: Any = None) -> Any:
    """The cross product of vectors of 3 elements along `dim` (by default the first dimension of size 3)."""
    shape = broadcast(self.shape, other.shape)
    a, b = expand(self, shape), expand(other, shape)
    if dim is None:
        dim = next((d for d, n in enumerate(shape) if n == 3), -1)
    if shape[dim] != 3:
        raise ShapeError(f"cross: dimension {dim} must have size 3, the shape is {list(shape)}")
    after, before = Tensor._from_data(np.array([1, 2, 0])), Tensor._from_data(np.array([2, 0, 1]))
    return sub(
        mul(index_select(a, dim, after), index_select(b, dim, before)),
        mul(index_select(a, dim, before), index_select(b, dim, after)),
    )  # fmt: skip


fill = operator(
    "fill(Tensor self, Tensor|Scalar value) -> Tensor",
    "One number, also a 0-d tensor, in the shape and type of `self`.",
    shape=_fill_shape,
    eager=lambda xp, x, value: xp.full(x.shape, value, x.dtype),
    decompose=lambda x, value: where(
        full(tuple(x.shape), True), value if value.dtype is x.dtype else to_dtype(value, x.dtype), x
    ),
    vjp=lambda g, _out, _x, _value: (g * 0, sum(g)),
    tags=("like_self",),
    complex="own",
    samples=lambda: [Sample((floats(2, 3), 1.5)), Sample((floats(2, 3), floats(seed=2)))],
)


@function(method=True, inplace=True)
def index_fill(self: Any, dim: int, index: Any, value: Any) -> Any:
    """`self` with the slices along `dim` that a 1-d index names set to `value`."""
    if not self.shape:
        return view(index_fill(view(self, (1,)), dim, index, value), ())
    at = wrap_dim(dim, len(self.shape))
    hit = (view(arange(self.shape[at]), (-1, 1)) == reshape(index, (1, -1))).any((1,))
    return self.masked_fill(view(hit, (-1, *[1] * (len(self.shape) - at - 1))), value)


@function(method=True)
def take(self: Any, index: Any) -> Any:
    """The elements at positions of the flattened tensor, in the shape of `index`; negative ones count from the end."""
    places = flatten(index)
    places = where(places < 0, places + numel(self.shape), places)
    return reshape(index_select(flatten(self), 0, places), tuple(index.shape))


@function(method=True)
def adjoint(self: Any) -> Any:
    """The last two dimensions exchanged, and complex elements conjugated."""
    order = list(range(len(self.shape)))
    order[-2:] = order[:-3:-1]
    return conj(permute(self, tuple(order)))
