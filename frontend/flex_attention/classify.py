"""create_block_mask: sort the blocks of a mask function into empty, partial and full, without the dense mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, PappusError
from ..source import user_location
from .block_mask import EMPTY, FULL, PARTIAL, BlockMask, of_kinds, pair
from .mods import MaskMod, call_mask, describe_mod, index_tensors, takes_score

__all__ = ["create_block_mask"]

_CHUNK = 1 << 21  # elements of the mask that are looked at together: 2 MB


def create_block_mask(
    mask_mod: MaskMod,
    B: int | None,
    H: int | None,
    Q_LEN: int,
    KV_LEN: int,
    device: Any = None,
    BLOCK_SIZE: Any = 128,
    _compile: bool = False,
    separate_full_blocks: bool = True,
) -> BlockMask:
    """The BlockMask of a mask function for B batches and H heads (None: the function does not depend on them).

    `mask_mod(b, h, q_idx, kv_idx)` says with True where attention is allowed; see pappus.frontend.flex_attention.mods
    for the shapes it is called with. `BLOCK_SIZE` is one int or (query rows, key columns). `device` is accepted and
    ignored. With `separate_full_blocks=False` full blocks count as partial ones.

    Memory is a few MB and the result. Time is that of evaluating the function on all Q_LEN * KV_LEN positions in
    pieces.

    >>> create_block_mask(lambda b, h, q_idx, kv_idx: q_idx >= kv_idx, None, None, 300, 300).kv_num_blocks.tolist()
    [[[1, 1, 1]]]
    """
    size = pair(BLOCK_SIZE)
    if not callable(mask_mod) or takes_score(mask_mod):
        raise ArgumentError(
            f"create_block_mask: needs a mask function (b, h, q_idx, kv_idx) -> bool, got {describe_mod(mask_mod)}"
        ).at(None, user_location())
    for name, n in (("B", B), ("H", H), ("Q_LEN", Q_LEN), ("KV_LEN", KV_LEN)):
        if not (n is None and len(name) == 1) and (not isinstance(n, int) or n < 0):
            raise ArgumentError(f"create_block_mask: {name} must be an int >= 0, got {n!r}").at(None, user_location())
    lengths = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    kinds = classify(mask_mod, lengths, size)
    out = of_kinds(kinds, (Q_LEN, KV_LEN), size, mask_mod, separate_full_blocks)
    out.from_mask_mod = True
    return out


def classify(mask_mod: MaskMod, lengths: tuple[int, ...], size: tuple[int, int]) -> Any:
    """The kind of every block: a uint8 array (B, H, rows, columns)."""
    counts = [-(-n // s) for n, s in zip(lengths[2:], size, strict=True)]
    kinds = np.zeros((*lengths[:2], *counts), np.uint8)
    try:
        for part in _parts(lengths, size):
            kinds[_blocks(part, size)] = _look(mask_mod, part, size)
    except PappusError as error:
        raise error.at(None, user_location()) from None
    return kinds


Part = tuple[slice, slice, slice, slice]


def _parts(lengths: tuple[int, ...], size: tuple[int, int]) -> Iterator[Part]:
    """Pieces of at most _CHUNK elements where a block allows it, of whole blocks: (b, h, q, kv) as slices."""
    b, h, q, kv = lengths
    width = min(kv, max(1, _CHUNK // size[0] // size[1]) * size[1])
    height = min(q, max(1, _CHUNK // max(1, width) // size[0]) * size[0])
    heads = min(h, max(1, _CHUNK // max(1, width * height)))
    batches = min(b, max(1, _CHUNK // max(1, width * height * heads)))
    for i in _slices(b, batches):
        for j in _slices(h, heads):
            for k in _slices(q, height):
                for m in _slices(kv, width):
                    yield i, j, k, m


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(at, min(at + step, length)) for at in range(0, length, max(1, step)))


def _blocks(part: Part, size: tuple[int, int]) -> Part:
    """A piece in blocks instead of elements."""
    q, kv = (slice(s.start // n, -(-s.stop // n)) for s, n in zip(part[2:], size, strict=True))
    return part[0], part[1], q, kv


def _look(mask_mod: MaskMod, part: Part, size: tuple[int, int]) -> Any:
    """The kinds of the blocks of a piece, from the value of the mask at each element."""
    indices = index_tensors(*[np.arange(s.start, s.stop) for s in part])
    shape = tuple(s.stop - s.start for s in part)
    mask = np.broadcast_to(call_mask(mask_mod, indices), shape)
    columns = np.arange(0, shape[3], size[1])
    some = np.logical_or.reduceat(_rows(mask, size[0], np.logical_or), columns, -1)
    every = np.logical_and.reduceat(_rows(mask, size[0], np.logical_and), columns, -1)
    return np.where(every, FULL, np.where(some, PARTIAL, EMPTY)).astype(np.uint8)


def _rows(mask: Any, size: int, combine: Any) -> Any:
    """Combine the rows of each block: (..., rows, columns) to (..., blocks, columns)."""
    *lead, rows, columns = mask.shape
    whole = rows // size * size
    parts = []
    if whole:
        parts.append(combine.reduce(mask[..., :whole, :].reshape(*lead, whole // size, size, columns), axis=-2))
    if whole < rows:
        parts.append(combine.reduce(mask[..., whole:, :], axis=-2, keepdims=True))
    return parts[0] if len(parts) == 1 else np.concatenate(parts, -2)
