"""Layers that only change the shape."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pappus.frontend import ops
from pappus.frontend.nn.module import Module
from pappus.frontend.tensor import Tensor


class Flatten(Module):
    """Join dimensions `start_dim` to `end_dim` into one; the first (batch) dimension is kept by default.

    >>> import pappus as pp
    >>> Flatten()(pp.zeros(2, 3, 4)).shape
    pappus.Size([2, 12])
    """

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, input: Tensor) -> Tensor:
        return ops.flatten(input, self.start_dim, self.end_dim)  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"start_dim={self.start_dim}, end_dim={self.end_dim}"


class Unflatten(Module):
    """Split dimension `dim` into the given sizes, one of which may be -1.

    >>> import pappus as pp
    >>> Unflatten(1, (3, -1))(pp.zeros(2, 12)).shape
    pappus.Size([2, 3, 4])
    """

    def __init__(self, dim: int, unflattened_size: Sequence[int]) -> None:
        super().__init__()
        if not isinstance(dim, int) or not all(isinstance(n, int) for n in unflattened_size):
            raise TypeError(f"Unflatten: dim and sizes must be ints (named dimensions are not supported), got {dim!r}")
        self.dim = dim
        self.unflattened_size = tuple(unflattened_size)

    def forward(self, input: Tensor) -> Tensor:
        made: Any = ops.unflatten(input, self.dim, self.unflattened_size)
        return made  # type: ignore[no-any-return]

    def extra_repr(self) -> str:
        return f"dim={self.dim}, unflattened_size={self.unflattened_size}"
