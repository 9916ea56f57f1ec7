"""Memory formats: images whose channels lie innermost in memory, under the same logical shape."""

from __future__ import annotations

from typing import Any

import numpy as np

from .errors import ArgumentError

__all__ = ["is_laid_out", "laid_out"]

_RANKS = {"channels_last": 4, "channels_last_3d": 5}


def _order(rank: int) -> tuple[int, ...]:
    """The dimensions of an image from the outermost in memory: batch, space, channels."""
    return (0, *range(2, rank), 1)


def is_laid_out(array: Any, memory_format: str | None) -> bool:
    """Whether the elements lie in memory without gaps: in row-major order or, for channels_last, channels innermost."""
    if memory_format not in _RANKS:
        return bool(array.flags.c_contiguous)
    rank = _RANKS[memory_format]
    return array.ndim == rank and bool(array.transpose(_order(rank)).flags.c_contiguous)


def laid_out(array: Any, memory_format: str | None) -> Any:
    """A copy of `array` in row-major order or, with the same shape, with the channels innermost."""
    if memory_format not in _RANKS:
        return array.copy(order="C")
    rank = _RANKS[memory_format]
    if array.ndim != rank:
        raise ArgumentError(f"memory format {memory_format} is for tensors of {rank} dimensions, this has {array.ndim}")
    order = _order(rank)
    return array.transpose(order).copy(order="C").transpose(tuple(np.argsort(order)))
