"""Where a value lives: a buffer, an offset and strides, all of them sizes that may be symbolic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pappus.frontend.dtypes import DType
from pappus.frontend.symbolic import Size, is_symbolic, same_size

CHANNELS_LAST = (0, 2, 3, 1)


@dataclass(eq=False)
class Buffer:
    """A piece of memory of one storage class; `size` in bytes; `index` numbers constants, states and ports."""

    storage: str  # CONSTANT, ARENA, STATE, INPUT, OUTPUT
    size: Size
    name: str
    index: int = 0
    payload: Any = None  # a constant's packed bytes, as an array


@dataclass(frozen=True, eq=False)
class Memory:
    """A strided view of a buffer; `offset` and `strides` in elements; `pack` names a PackKind for packed constants."""

    buffer: Buffer
    offset: Size
    strides: tuple[Size, ...]
    pack: str = "DENSE"


def product(sizes: Sequence[Size]) -> Size:
    """The product of sizes; 1 for none."""
    result: Size = 1
    for size in sizes:
        result = result * size
    return result


def dense_strides(shape: Sequence[Size]) -> tuple[Size, ...]:
    """Row-major strides."""
    strides: list[Size] = []
    step: Size = 1
    for size in reversed(shape):
        strides.append(step)
        step = step * size
    return tuple(reversed(strides))


def channels_last_strides(shape: Sequence[Size], pitch: Size) -> tuple[Size, ...]:
    """Strides of [N, C, H, W] stored as [N, H, W, pitch]."""
    _, _, height, width = shape
    return (height * width * pitch, 1, width * pitch, pitch)


def dense_bytes(shape: Sequence[Size], dtype: DType) -> Size:
    """Bytes of a row-major tensor."""
    return product(shape) * dtype.itemsize


def is_one(size: Size) -> bool:
    """Whether a size is 1 for every value of its symbols."""
    return not is_symbolic(size) and size == 1


def same_strides(shape: Sequence[Size], a: Sequence[Size], b: Sequence[Size]) -> bool:
    """Whether two stride lists address the same elements of `shape` (strides of size-1 dims do not matter)."""
    return all(is_one(n) or same_size(x, y) for n, x, y in zip(shape, a, b, strict=True))


def is_dense(shape: Sequence[Size], strides: Sequence[Size]) -> bool:
    """Whether `strides` are row-major for `shape`."""
    return same_strides(shape, strides, dense_strides(shape))


def view_strides(shape: Sequence[Size], strides: Sequence[Size], new_shape: Sequence[Size]) -> tuple[Size, ...] | None:
    """Strides that show a strided tensor under another shape without moving it, or None if it must be copied.

    Walks both shapes from the left, matching groups of dimensions with equal products; a group of the
    old shape must be contiguous within itself.
    """
    old = [(n, s) for n, s in zip(shape, strides, strict=True) if not is_one(n)]
    result: list[Size] = []
    i = 0
    j = 0
    new = list(new_shape)
    while j < len(new):
        if is_one(new[j]):
            result.append(0)
            j += 1
            continue
        if i >= len(old):
            return None
        old_product, new_product = old[i][0], new[j]
        i_end, j_end = i + 1, j + 1
        while not same_size(old_product, new_product):
            # Grow the side that is smaller in the example; symbolic products that never meet end the search.
            if _hint(old_product) < _hint(new_product) or (
                _hint(old_product) == _hint(new_product) and i_end < len(old)
            ):
                if i_end >= len(old):
                    return None
                old_product = old_product * old[i_end][0]
                i_end += 1
            else:
                if j_end >= len(new):
                    return None
                new_product = new_product * new[j_end]
                j_end += 1
        for k in range(i, i_end - 1):
            if not same_size(old[k][1], old[k + 1][1] * old[k + 1][0]):
                return None
        step = old[i_end - 1][1]
        group: list[Size] = []
        for k in range(j_end - 1, j - 1, -1):
            group.append(step)
            step = step * new[k]
        result.extend(reversed(group))
        i, j = i_end, j_end
    if i != len(old):
        return None
    # A stride of a size-1 dimension is never used; any number will do.
    return tuple(result)


def _hint(size: Size) -> int:
    return size if isinstance(size, int) else size.hint
