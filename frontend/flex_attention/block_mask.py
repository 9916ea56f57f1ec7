"""BlockMask: which blocks of an attention matrix are empty, partial or full, and the function for the partial ones."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, ShapeError
from ..source import user_location
from ..tensor import Tensor
from .mods import MaskMod, noop_mask

__all__ = ["EMPTY", "FULL", "PARTIAL", "BlockMask", "of_kinds", "pair", "sliced_mask_mod"]

EMPTY, PARTIAL, FULL = 0, 1, 2
_FIELDS = (
    "kv_num_blocks", "kv_indices", "full_kv_num_blocks", "full_kv_indices", "q_num_blocks", "q_indices",
    "full_q_num_blocks", "full_q_indices",
)  # fmt: skip


def pair(size: Any) -> tuple[int, int]:
    """BLOCK_SIZE as (query rows, key columns). Raises ArgumentError unless it is a positive int or two."""
    items = tuple(size) if isinstance(size, (tuple, list)) else (size, size)
    if len(items) != 2 or not all(isinstance(n, int) and n > 0 for n in items):
        raise ArgumentError(f"BLOCK_SIZE must be a positive int or two of them, got {size!r}").at(None, user_location())
    return items


def sliced_mask_mod(b: Any, h: Any, q_idx: Any, kv_idx: Any) -> Any:
    """The mask function of an indexed BlockMask: there is none, since positions have shifted."""
    raise ArgumentError(
        "flex_attention: this BlockMask was made by indexing another one, so its mask_mod does not know where it "
        "lies; set "
        "block_mask.mask_mod (and block_mask.seq_lengths, if rows were taken), e.g. to a function that adds the offset"
    ).at(None, user_location())


def ordered(blocks: Any) -> tuple[Tensor, Tensor]:
    """A bool array (..., rows, columns) as counts per row and, per row, the columns that are set, then the others."""
    indices = np.argsort(~blocks, axis=-1, kind="stable").astype(np.int32)
    return Tensor._from_data(blocks.sum(-1, dtype=np.int32)), Tensor._from_data(indices)


def dense(counts: Any, indices: Any, columns: int) -> Any:
    """What `ordered` was made from: a bool array (..., rows, columns)."""
    out = np.zeros((*indices.shape[:-1], columns + 1), np.bool_)
    used = np.arange(indices.shape[-1]) < counts[..., None]
    np.put_along_axis(out, np.where(used, indices, columns), True, -1)
    return out[..., :columns]


class BlockMask:
    """A block-sparse attention mask: (B, H, query blocks, key blocks), each block empty, partial or full.

    Made by `create_block_mask(mask_mod, B, H, Q_LEN, KV_LEN)`. `kv_num_blocks` (B, H, rows) counts the partial blocks
    of a row and the first entries of `kv_indices` (B, H, rows, columns) name them; `full_kv_num_blocks` and
    `full_kv_indices` do so for the full blocks, to which `mask_mod` is not applied. `q_num_blocks`, `q_indices`,
    `full_q_num_blocks` and `full_q_indices` are the same by columns. Blocks in neither list are empty. B and H are 1
    where all share one mask.

    >>> import pappus as pp
    >>> from pappus.frontend.flex_attention import create_block_mask
    >>> print(create_block_mask(lambda b, h, q_idx, kv_idx: q_idx >= kv_idx, None, None, 512, 512))
    BlockMask(shape=(1, 1, 512, 512), sparsity=37.50%,
    (0, 0)
    ░░
    ██░░
    ████░░
    ██████░░
    )
    """

    from_mask_mod = False  # whether the blocks are known to be those of mask_mod

    def __init__(
        self,
        seq_lengths: tuple[int, int],
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        q_num_blocks: Tensor | None = None,
        q_indices: Tensor | None = None,
        full_q_num_blocks: Tensor | None = None,
        full_q_indices: Tensor | None = None,
        BLOCK_SIZE: Any = 128,
        mask_mod: MaskMod = noop_mask,
    ) -> None:
        if (full_kv_num_blocks is None) != (full_kv_indices is None):
            raise ArgumentError("BlockMask: give both full_kv_num_blocks and full_kv_indices, or neither").at(
                None, user_location()
            )
        for counts, indices in ((kv_num_blocks, kv_indices), (full_kv_num_blocks, full_kv_indices)):
            if counts is None or indices is None:
                continue
            if indices.ndim < 2 or tuple(indices.shape[:-1]) != tuple(counts.shape):
                raise ShapeError(
                    "BlockMask: indices must be (..., rows, columns) and counts (..., rows), got "
                    f"{list(indices.shape)} and {list(counts.shape)}"
                ).at(None, user_location())
        self.seq_lengths = seq_lengths
        self.kv_num_blocks, self.kv_indices = kv_num_blocks, kv_indices
        self.full_kv_num_blocks, self.full_kv_indices = full_kv_num_blocks, full_kv_indices
        self._by_column = (q_num_blocks, q_indices, full_q_num_blocks, full_q_indices)
        self.BLOCK_SIZE = pair(BLOCK_SIZE)
        self.mask_mod = mask_mod

    @classmethod
    def from_kv_blocks(
        cls,
        kv_num_blocks: Tensor,
        kv_indices: Tensor,
        full_kv_num_blocks: Tensor | None = None,
        full_kv_indices: Tensor | None = None,
        BLOCK_SIZE: Any = 128,
        mask_mod: MaskMod | None = None,
        seq_lengths: tuple[int, int] | None = None,
        compute_q_blocks: bool = True,
    ) -> BlockMask:
        """A mask from lists of blocks; see the class. Without `seq_lengths` the lengths are whole numbers of blocks."""
        rows, columns = pair(BLOCK_SIZE)
        if seq_lengths is None:
            seq_lengths = (kv_indices.shape[-2] * rows, kv_indices.shape[-1] * columns)
        return cls(
            seq_lengths, kv_num_blocks, kv_indices, full_kv_num_blocks, full_kv_indices,
            BLOCK_SIZE=BLOCK_SIZE, mask_mod=mask_mod or noop_mask,
        )  # fmt: skip

    # -- the lists by column --------------------------------------------------------------------

    def _columns(self, at: int) -> Tensor | None:
        if self._by_column[at] is None:
            kinds = self.kinds()
            partial = ordered(np.swapaxes(kinds == PARTIAL, -1, -2))
            full = ordered(np.swapaxes(kinds == FULL, -1, -2)) if self.full_kv_indices is not None else (None, None)
            self._by_column = (*partial, *full)
        return self._by_column[at]

    @property
    def q_num_blocks(self) -> Tensor | None:
        """Partial blocks in each column."""
        return self._columns(0)

    @property
    def q_indices(self) -> Tensor | None:
        """The rows of the partial blocks of each column, first those that count."""
        return self._columns(1)

    @property
    def full_q_num_blocks(self) -> Tensor | None:
        """Full blocks in each column."""
        return None if self.full_kv_indices is None else self._columns(2)

    @property
    def full_q_indices(self) -> Tensor | None:
        """The rows of the full blocks of each column, first those that count."""
        return None if self.full_kv_indices is None else self._columns(3)

    # -- what it is -----------------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """(B, H, Q_LEN, KV_LEN)."""
        return (*self.kv_indices.shape[:-2], *self.seq_lengths)

    def kinds(self) -> Any:
        """EMPTY, PARTIAL or FULL for each block: a uint8 array (..., rows, columns)."""
        columns = max(self.kv_indices.shape[-1], -(-self.seq_lengths[1] // self.BLOCK_SIZE[1]))
        out = dense(self.kv_num_blocks._data, self.kv_indices._data, columns).astype(np.uint8)
        if self.full_kv_num_blocks is not None and self.full_kv_indices is not None:
            out[dense(self.full_kv_num_blocks._data, self.full_kv_indices._data, columns)] = FULL
        return out

    def numel(self) -> int:
        """The number of elements of the mask, allowed or not."""
        return int(np.prod(self.shape, dtype=np.int64))

    def sparsity(self) -> float:
        """The percentage of blocks that are empty and not computed."""
        kinds = self.kinds()
        return 100.0 * float((kinds == EMPTY).mean()) if kinds.size else 0.0

    def to_dense(self) -> Tensor:
        """An int32 tensor (B, H, rows, columns): 1 for each block that is computed."""
        return Tensor._from_data((self.kinds() != EMPTY).astype(np.int32))

    def as_tuple(self, flatten: bool = True) -> tuple[Any, ...]:
        """Lengths, the eight lists, block size and mask function, as torch orders them; `flatten` spreads the pairs."""
        lists = tuple(getattr(self, name) for name in _FIELDS)
        if flatten:
            return (*self.seq_lengths, *lists, *self.BLOCK_SIZE, self.mask_mod)
        return (self.seq_lengths, *lists, self.BLOCK_SIZE, self.mask_mod)

    def to(self, device: Any) -> BlockMask:
        """The mask itself: everything is on the CPU."""
        return self

    # -- parts ----------------------------------------------------------------------------------

    def __getitem__(self, index: Any) -> BlockMask:
        """The mask of some batches, heads and rows of blocks; an int keeps its dimension, with size 1.

        The result has no mask_mod, because the positions have changed: set one before using it.
        """
        items = index if isinstance(index, tuple) else (index,)
        sizes = self.kv_num_blocks.shape
        if len(items) > len(sizes):
            raise ArgumentError(f"BlockMask: {len(items)} indices for {len(sizes)} dimensions (batch, head, rows)").at(
                None, user_location()
            )
        where: list[Any] = []
        for at, item in enumerate(items):
            if isinstance(item, int):
                n = sizes[at]
                if not -n <= item < n:
                    raise ArgumentError(f"BlockMask: index {item} is out of range for dimension {at} of size {n}").at(
                        None, user_location()
                    )
                item = slice(item % n, item % n + 1)
            where.append(item._data if isinstance(item, Tensor) else item)
        lists = (self.kv_num_blocks, self.kv_indices, self.full_kv_num_blocks, self.full_kv_indices)
        parts: list[Any] = [None if t is None else Tensor._from_data(t._data[tuple(where)]) for t in lists]
        counts, indices, full_counts, full_indices = parts
        return BlockMask(
            self.seq_lengths, counts, indices, full_counts, full_indices,
            BLOCK_SIZE=self.BLOCK_SIZE, mask_mod=sliced_mask_mod,
        )  # fmt: skip

    def _adjust(self, new_q_len: int, new_kv_len: int) -> BlockMask:
        """The upper left part, for shorter sequences: right for masks that depend on positions alone."""
        rows, columns = (-(-n // size) for n, size in zip((new_q_len, new_kv_len), self.BLOCK_SIZE, strict=True))
        kinds = self.kinds()[..., :rows, :columns]
        return self._with(kinds, (new_q_len, new_kv_len))

    def _with(self, kinds: Any, seq_lengths: tuple[int, int]) -> BlockMask:
        out = of_kinds(kinds, seq_lengths, self.BLOCK_SIZE, self.mask_mod, self.full_kv_indices is not None)
        out.from_mask_mod = self.from_mask_mod
        return out

    # -- pictures -------------------------------------------------------------------------------

    def to_string(self, grid_size: Any = (20, 20), limit: int = 4) -> str:
        """A picture: two characters per block, full ones dark, partial ones light.

        At most `grid_size` rows and columns (-1 for all): a larger mask is drawn coarser, a cell being dark or blank
        where all of its blocks are. At most `limit` of the batches and heads are drawn.
        """
        kinds = self.kinds()
        *batch, rows, columns = kinds.shape
        most = grid_size if isinstance(grid_size, tuple) else (grid_size, grid_size)
        if grid_size == -1:
            most = (rows, columns)
        steps = [max(1, -(-n // max(1, m))) for n, m in zip((rows, columns), most, strict=True)]
        parts: list[str] = []
        for count, at in enumerate(itertools.product(*map(range, batch))):
            if count == limit:
                parts.append("...")
                parts.append("To print out more, set BlockMask.to_string(limit=N)")
                parts.append("You can also index (BlockMask[batch, head]) to choose a specific batch or head")
                break
            parts.append("\n".join([f"{at}", *_lines(kinds[at], *steps)]) + "\n")
        return "\n".join(parts)

    def __str__(self) -> str:
        return f"BlockMask(shape={self.shape}, sparsity={self.sparsity():.2f}%,\n{self.to_string().strip()}\n)"

    def __repr__(self) -> str:
        def shape(tensor: Tensor | None) -> Any:
            return None if tensor is None else tensor.shape

        fields = "".join(f"    {name}={shape(getattr(self, name))},\n" for name in _FIELDS)
        name = getattr(self.mask_mod, "__name__", self.mask_mod)
        return (
            f"BlockMask(\n{fields}    BLOCK_SIZE={self.BLOCK_SIZE},\n    shape={self.shape},\n"
            f"    sparsity={self.sparsity():.2f}%,\n    mask_mod={name}\n)"
        )


def of_kinds(kinds: Any, seq_lengths: tuple[int, int], size: Any, mask_mod: MaskMod, separate_full: bool) -> BlockMask:
    """The mask whose blocks have these kinds; full ones count as partial ones unless `separate_full`."""
    full_counts, full_indices = ordered(kinds == FULL) if separate_full else (None, None)
    counts, indices = ordered(kinds == PARTIAL if separate_full else kinds != EMPTY)
    return BlockMask(
        seq_lengths, counts, indices, full_counts, full_indices, BLOCK_SIZE=size, mask_mod=mask_mod
    )  # fmt: skip


def _lines(kinds: Any, row_step: int, column_step: int) -> Iterator[str]:
    rows, columns = kinds.shape
    for r in range(0, rows, row_step):
        line = ""
        for c in range(0, columns, column_step):
            cell = kinds[r : r + row_step, c : c + column_step]
            line += ("█" if (cell == FULL).all() else " " if (cell == EMPTY).all() else "░") * 2
        yield line.rstrip()
