"""Functions over the operators of shape: pieces, diagonals, shapes taken from another tensor, grids, stacks."""

from __future__ import annotations

from typing import Any

from .. import dtypes
from ..errors import ArgumentError, ShapeError
from ..inplace import part_of_many
from ..symbolic import SymInt, sym_eq
from ..tensor import Tensor
from ._names import function
from ._shapes import broadcast, numel, wrap_dim
from .shape import cat, entries, expand, movedim, select, slice_, squeeze, transpose, view


@function(method=True)
def split(self: Any, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    """Pieces of `split_size` (an int, or a list of sizes) along a dimension; the last may be smaller. The pieces are
    views."""
    size = self.shape[dim]
    if isinstance(split_size, (int, SymInt)):
        if isinstance(split_size, int) and split_size < 1 and size:
            raise ArgumentError(f"split: split_size must be positive, got {split_size}")
        count = int((size + split_size - 1) // split_size) if not (type(size) is int and size == 0) else 1
        ends = [min((i + 1) * split_size, size) for i in range(count)]
        return part_of_many((slice_(self, dim, i * split_size, end) for i, end in enumerate(ends)), "split")
    sizes = list(split_size)
    total: Any = 0
    parts = []
    for n in sizes:
        parts.append(slice_(self, dim, total, total + n))
        total = total + n
    if not sym_eq(total, size):
        raise ShapeError(f"split: sizes {sizes} add up to {total}, dimension {dim} has {size}")
    return part_of_many(parts, "split")


@function(method=True)
def chunk(self: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most `chunks` pieces of equal size along a dimension; the last may be smaller. The pieces are views."""
    if chunks < 1:
        raise ArgumentError(f"chunk: chunks must be positive, got {chunks}")
    size = self.shape[dim]
    if isinstance(size, SymInt):
        each = (size + chunks - 1) // chunks
        return tuple(slice_(self, dim, i * each, size if i == chunks - 1 else (i + 1) * each) for i in range(chunks))
    return split(self, max((size + chunks - 1) // chunks, 1), dim)


@function(method=True)
def unbind(self: Any, dim: int = 0) -> tuple[Any, ...]:
    """The slices along a dimension, which disappears."""
    return part_of_many((select(self, dim, i) for i in range(self.shape[dim])), "unbind")


@function(method=True)
def diagonal(self: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two dimensions as a new last dimension."""
    from .index import gather

    rank = len(self.shape)
    a, b = wrap_dim(dim1, rank), wrap_dim(dim2, rank)
    x = movedim(self, (a, b), (rank - 2, rank - 1))
    rows, columns = x.shape[-2], x.shape[-1]
    x = slice_(x, -1, offset, None) if offset >= 0 else slice_(x, -2, -offset, None)
    count = max(min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns), 0)
    x = slice_(slice_(x, -2, 0, count), -1, 0, count)
    from .create import arange

    at = expand(view(arange(count), (count, 1)), (*x.shape[:-1], 1))
    return squeeze(gather(x, -1, at), (-1,))


@function(method=True)
def expand_as(self: Any, other: Any) -> Any:
    """Expanded to the shape of `other`."""
    return expand(self, tuple(other.shape))


@function(method=True)
def view_as(self: Any, other: Any) -> Any:
    """The same elements in the shape of `other`."""
    return view(self, tuple(other.shape))


@function(method=True)
def reshape_as(self: Any, other: Any) -> Any:
    """The same elements in the shape of `other`."""
    return view(self, tuple(other.shape))


@function(method=True)
def swapaxes(self: Any, axis0: int, axis1: int) -> Any:
    """Two dimensions exchanged."""
    return transpose(self, axis0, axis1)


@function()
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """All tensors expanded to their common shape."""
    shape = broadcast(*[t.shape for t in tensors])
    return tuple(expand(t, shape) for t in tensors)


@function()
def meshgrid(*tensors: Any, indexing: str = "ij") -> tuple[Any, ...]:
    """Coordinate grids from 1-d coordinates, with "ij" or "xy" order."""
    items = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)) else list(tensors)
    if indexing not in ("ij", "xy"):
        raise ArgumentError(f"meshgrid: indexing must be 'ij' or 'xy', got {indexing!r}")
    items = entries("meshgrid", items)
    swap = indexing == "xy" and len(items) > 1
    if swap:
        items[0], items[1] = items[1], items[0]
    shape = tuple(numel(i.shape) for i in items)
    grids = [expand(view(x, (1,) * d + (shape[d],) + (1,) * (len(items) - d - 1)), shape) for d, x in enumerate(items)]
    if swap:
        grids[0], grids[1] = grids[1], grids[0]
    return tuple(grids)


@function()
def hstack(tensors: Any) -> Any:
    """Joined along dimension 1 (0 for 1-d tensors)."""
    items = [view(x, (1,)) if not x.shape else x for x in entries("hstack", tensors)]
    return cat(items, 0 if len(items[0].shape) == 1 else 1)


@function()
def vstack(tensors: Any) -> Any:
    """Joined along dimension 0, 1-d tensors being rows."""
    return cat([view(x, (1, -1)) if len(x.shape) < 2 else x for x in entries("vstack", tensors)], 0)


@function(method=True)
def tensor_split(self: Any, indices_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Views of pieces: so many of nearly equal size, or cut at the given indices."""
    if not self.shape:
        raise ShapeError("tensor_split needs at least 1 dimension, got a 0-d tensor")
    size = self.shape[dim]
    if isinstance(indices_or_sections, Tensor):
        found = indices_or_sections.tolist()
        if indices_or_sections.dtype is not dtypes.int64 or len(indices_or_sections.shape) > 1:
            raise ArgumentError(
                "tensor_split: a tensor of sections or indices must be int64 of 0 or 1 dimensions, got "
                f"{indices_or_sections.dtype} {list(indices_or_sections.shape)}"
            )
        indices_or_sections = found
    if isinstance(indices_or_sections, int):
        if indices_or_sections < 1:
            raise ArgumentError(f"tensor_split: the number of sections must be positive, got {indices_or_sections}")
        each, extra = divmod(size, indices_or_sections)
        ends = [each * (i + 1) + min(i + 1, extra) for i in range(indices_or_sections)]
        starts = [0, *ends[:-1]]
    else:
        cuts = [int(i) for i in indices_or_sections]
        starts, ends = [0, *cuts], [*cuts, size]
    return tuple(slice_(self, dim, a, b) for a, b in zip(starts, ends, strict=True))


# -- torch's other names for cutting ---------------------------------------------------------------


@function(method=True)
def split_with_sizes(self: Any, split_sizes: Any, dim: int = 0) -> tuple[Any, ...]:
    """`split` into pieces of the given sizes."""
    return split(self, list(split_sizes), dim)


@function(method=True)
def unsafe_split(self: Any, split_size: Any, dim: int = 0) -> tuple[Any, ...]:
    """`split`."""
    return split(self, split_size, dim)


@function(method=True)
def unsafe_chunk(self: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """`chunk`."""
    return chunk(self, chunks, dim)


def _need_rank(name: str, x: Any, rank: int) -> None:
    if len(x.shape) < rank:
        raise ShapeError(f"{name} needs at least {rank} dimensions, got shape {list(x.shape)}")


@function(method=True)
def hsplit(self: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along dimension 1, of vectors along dimension 0; the sections must divide the size."""
    _need_rank("hsplit", self, 1)
    return _exact_split("hsplit", self, indices_or_sections, 0 if len(self.shape) == 1 else 1)


@function(method=True)
def vsplit(self: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along dimension 0; the sections must divide the size."""
    _need_rank("vsplit", self, 2)
    return _exact_split("vsplit", self, indices_or_sections, 0)


@function(method=True)
def dsplit(self: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """`tensor_split` along dimension 2; the sections must divide the size."""
    _need_rank("dsplit", self, 3)
    return _exact_split("dsplit", self, indices_or_sections, 2)


def _exact_split(name: str, x: Any, parts: Any, dim: int) -> tuple[Any, ...]:
    if isinstance(parts, int) and (parts < 1 or x.shape[dim] % parts):
        raise ShapeError(f"{name}: {parts} sections do not divide dimension {dim} of size {x.shape[dim]}")
    return tensor_split(x, parts, dim)
