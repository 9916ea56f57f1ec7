"""Products of matrices and vectors with something added, and matrices made of matrices."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..opdef import Sample
from ..tensor import Tensor
from ._names import function
from ._samples import floats
from .complex_numbers import conj
from .create import zeros
from .matmul import _short, _times, bmm, dot, mv, outer
from .pointwise import add
from .reduce import sum
from .shape import cat, constant_pad_nd, view


def _plus(x: Any, product: Any, beta: Any, alpha: Any) -> Any:
    """beta * x + alpha * product; with beta 0 the numbers of x do not matter, not even nan."""
    scaled = _times(product, alpha)
    return add(_times(x, beta), scaled) if beta != 0 else scaled + zeros(tuple(x.shape), dtype=x.dtype)


@function(method=True, inplace=True)
def addmv(self: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * self + alpha * (mat @ vec)."""
    return _plus(self, mv(mat, vec), beta, alpha)


@function(method=True, inplace=True)
def addr(self: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * self + alpha * outer(vec1, vec2)."""
    return _plus(self, outer(vec1, vec2), beta, alpha)


addbmm = _short(
    "addbmm(Tensor self, Tensor batch1, Tensor batch2, *, Scalar beta=1, Scalar alpha=1) -> Tensor",
    "beta * self + alpha * the sum of batch1[i] @ batch2[i].",
    lambda x, a, b, beta=1, alpha=1: _plus(x, sum(bmm(a, b), (0,)), beta, alpha),
    Sample((floats(2, 2), floats(2, 2, 3), floats(2, 3, 2, seed=2)), {"alpha": 2.0}),
)


@function(method=True)
def vdot(self: Any, other: Any) -> Any:
    """The inner product of two vectors, the first conjugated.

    >>> import pappus as pp
    >>> pp.vdot(pp.tensor([1.0, 2.0]), pp.tensor([3.0, 4.0])).item()
    11.0
    """
    return dot(conj(self), other)


@function()
def block_diag(*tensors: Any) -> Any:
    """A matrix with the given ones (vectors are rows) along its diagonal and zeros elsewhere."""
    for n, t in enumerate(tensors):
        if len(t.shape) > 2:
            raise ShapeError(f"block_diag: tensors have at most 2 dimensions, tensor {n} has shape {list(t.shape)}")
    blocks = [view(t, (1, -1)) if len(t.shape) < 2 else t for t in tensors]
    width, before, rows = 0, 0, []
    for block in blocks:
        width += block.shape[1]
    for block in blocks:
        rows.append(constant_pad_nd(block, (before, width - before - block.shape[1])))
        before += block.shape[1]
    return cat(rows, 0)


@function()
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """The ways of taking `r` elements of a vector, one in each row.

    >>> import pappus as pp
    >>> pp.combinations(pp.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    if len(input.shape) != 1:
        raise ShapeError(f"combinations: expected a vector, got shape {list(input.shape)}")
    if r < 0:
        raise ArgumentError(f"combinations: r must not be negative, got {r}")
    choose = itertools.combinations_with_replacement if with_replacement else itertools.combinations
    places = np.array(list(choose(range(int(input.shape[0])), r)), np.int64).reshape(-1, r)
    if not r:
        return zeros((0,), dtype=input.dtype)
    return input[Tensor._from_data(places)]


@function()
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that all the given ones (ints are shapes of one dimension) broadcast to."""
    from ..tensor import Size
    from ._shapes import broadcast

    found = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    return Size(broadcast(*found)) if found else Size(())


@function()
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with at least 3 dimensions: (1, n, 1) of a vector, (n, m, 1) of a matrix."""

    def change(x: Any) -> Any:
        rank = len(x.shape)
        shape = {0: (1, 1, 1), 1: (1, *x.shape, 1), 2: (*x.shape, 1)}.get(rank)
        return x if shape is None else view(x, shape)

    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tuple(tensors[0])
        return tuple(change(x) for x in tensors)
    return change(tensors[0]) if len(tensors) == 1 else tuple(change(x) for x in tensors)
