"""create_block_mask: sort the blocks of a mask function into empty, partial and full, without the dense mask."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, CaptureError, PappusError
from ..source import user_location
from ..symbolic import is_symbolic
from ..tape import state
from ..tensor import Tensor
from .block_mask import EMPTY, FULL, PARTIAL, BlockMask, of_kinds, pair
from .bounds import bound_mask
from .mods import MaskMod, call_mask, call_mask_tensor, describe_mod, probe, takes_score

__all__ = ["create_block_mask"]

_LISTS = ("kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices")
_CHUNK = 1 << 20  # elements of the mask that are looked at together
_BLOCKS = 1 << 18  # blocks whose bounds are computed together


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
        if not (n is None and len(name) == 1) and not is_symbolic(n) and (not isinstance(n, int) or n < 0):
            raise ArgumentError(f"create_block_mask: {name} must be an int >= 0, got {n!r}").at(None, user_location())
    lengths = (1 if B is None else B, 1 if H is None else H, Q_LEN, KV_LEN)
    out = _Deferred(lengths, size, mask_mod, separate_full_blocks)
    if state.mode is None:
        out.classify()
    return out


class _Deferred(BlockMask):
    """A mask whose lists are made when first asked for: a model that is being captured needs its function only."""

    from_mask_mod = True

    def __init__(self, lengths: tuple[Any, ...], size: tuple[int, int], mask_mod: MaskMod, separate_full: bool) -> None:
        self._lengths, self._separate_full = lengths, separate_full
        self._by_column = (None,) * 4
        self.seq_lengths, self.BLOCK_SIZE, self.mask_mod = lengths[2:], size, mask_mod

    def classify(self) -> None:
        """Make the lists."""
        level, state.mode = state.mode, None
        try:
            kinds = classify(self.mask_mod, self._lengths, self.BLOCK_SIZE)
        except PappusError as error:
            raise error.at(None, user_location()) from None
        finally:
            state.mode = level
        made = of_kinds(kinds, self.seq_lengths, self.BLOCK_SIZE, self.mask_mod, self._separate_full)
        for name in _LISTS:
            setattr(self, name, getattr(made, name))

    def __getattr__(self, name: str) -> Any:
        if name not in _LISTS:
            raise AttributeError(f"'BlockMask' object has no attribute {name!r}")
        if any(is_symbolic(n) for n in self._lengths):
            raise CaptureError(
                f"{name} of a BlockMask for lengths {self.seq_lengths}: blocks cannot be counted while a model with "
                "such lengths is captured; use the mask in flex_attention only"
            ).at(None, user_location())
        self.classify()
        return self.__dict__[name]

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self._lengths[:2], *self.seq_lengths)


def classify(mask_mod: MaskMod, lengths: tuple[int, ...], size: tuple[int, int]) -> Any:
    """The kind of every block: a uint8 array (B, H, rows, columns)."""
    probe(mask_mod, lengths, lambda indices, _: call_mask_tensor(mask_mod, indices))
    counts = (*lengths[:2], *(-(-n // s) for n, s in zip(lengths[2:], size, strict=True)))
    kinds = np.zeros(counts, np.uint8)
    sizes = (1, 1, *size)
    # The first and the last position of each block, in each dimension.
    ends = [
        (np.arange(count) * step, np.minimum(np.arange(count) * step + step, n) - 1)
        for count, step, n in zip(counts, sizes, lengths, strict=True)
    ]
    heads = max(1, _BLOCKS // max(1, counts[2] * counts[3]))
    for b in _slices(counts[0], max(1, heads // max(1, counts[1]))):
        for h in _slices(counts[1], heads):
            part = (b, h, slice(0, counts[2]), slice(0, counts[3]))
            inside = [
                tuple(end[some].reshape(_along(d)) for end in both)
                for d, (both, some) in enumerate(zip(ends, part, strict=True))
            ]
            kinds[part] = _kinds(mask_mod, inside, kinds[part].shape)
    return kinds


def _slices(length: int, step: int) -> Iterator[slice]:
    return (slice(at, min(at + step, length)) for at in range(0, length, max(1, step)))


def _along(dim: int) -> tuple[int, ...]:
    """The shape of an array along one of four dimensions."""
    return tuple(-1 if d == dim else 1 for d in range(4))


def _kinds(mask_mod: MaskMod, ends: Any, shape: tuple[int, ...]) -> Any:
    """The kinds of the blocks with these ends: by bounds where they decide, else by looking."""
    bounds = bound_mask(mask_mod, ends)
    if bounds is None:
        kinds = np.zeros(shape, np.uint8)
        unsure = np.ones(shape, np.bool_)
    else:
        sure, possible = bounds
        kinds = np.where(sure, FULL, EMPTY).astype(np.uint8)
        unsure = possible & ~sure
    where = np.nonzero(unsure)
    # Sequences shorter than a block leave it smaller.
    height, width = (int((last - first).max(initial=0)) + 1 for first, last in ends[2:])
    step = max(1, _CHUNK // (height * width))
    for at in range(0, len(where[0]), step):
        some = tuple(w[at : at + step] for w in where)
        kinds[some] = _look(mask_mod, ends, some, (height, width))
    return kinds


def _look(mask_mod: MaskMod, ends: Any, blocks: tuple[Any, ...], size: tuple[int, int]) -> Any:
    """The kinds of some blocks from the value of the mask at each element; the blocks lie along the first dimension."""
    positions = []
    for d, (first, last) in enumerate(ends):
        start = first.reshape(-1)[blocks[d]].reshape(-1, 1, 1, 1)
        if d >= 2:  # a block at the edge sees its last position several times
            inner = np.arange(size[d - 2]).reshape(_along(d))
            start = np.minimum(start + inner, last.reshape(-1)[blocks[d]].reshape(-1, 1, 1, 1))
        positions.append(Tensor._from_data(start))
    shape = (len(blocks[0]), 1, *size)
    mask = np.broadcast_to(call_mask(mask_mod, tuple(positions)), shape).reshape(len(blocks[0]), -1)
    return np.where(mask.all(1), FULL, np.where(mask.any(1), PARTIAL, EMPTY)).astype(np.uint8)
