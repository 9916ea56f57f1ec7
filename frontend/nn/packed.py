"""Sequences of different lengths: padded to one tensor, or packed without padding for the recurrent layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError, ShapeError
from pappus.frontend.tensor import Tensor

__all__ = [
    "PackedSequence", "invert_permutation", "pack_padded_sequence", "pack_sequence", "pad_packed_sequence",
    "pad_sequence", "unpack_sequence", "unpad_sequence",
]  # fmt: skip


class _Fields(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


class PackedSequence(_Fields):
    """Sequences, the longest first, step by step without padding: `data` (sum of lengths, *) and `batch_sizes` (T).

    At step t the first `batch_sizes[t]` sequences still run. `sorted_indices` says which sequence of the batch each of
    them is, `unsorted_indices` where each sequence of the batch is; None where they were sorted already. Made by
    `pack_padded_sequence` and `pack_sequence`.
    """

    def __new__(
        cls, data: Tensor, batch_sizes: Tensor, sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:  # fmt: skip
        """Also takes only one of the two permutations and computes the other."""
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """With the data converted as by `Tensor.to`."""
        return self._replace(data=self.data.to(*args, **kwargs))

    def double(self) -> PackedSequence:
        """With the data in float64."""
        return self._replace(data=self.data.double())

    def float(self) -> PackedSequence:
        """With the data in float32."""
        return self._replace(data=self.data.float())

    def half(self) -> PackedSequence:
        """With the data in float16."""
        return self._replace(data=self.data.half())

    def long(self) -> PackedSequence:
        """With the data in int64."""
        return self._replace(data=self.data.long())

    def int(self) -> PackedSequence:
        """With the data in int32."""
        return self._replace(data=self.data.int())

    def cpu(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """This sequence: it is on the CPU already."""
        return self

    def pin_memory(self) -> PackedSequence:
        """This sequence: memory is not pinned here."""
        return self

    def is_pinned(self) -> bool:
        """False: memory is not pinned here."""
        return False

    @property
    def is_cuda(self) -> bool:
        """Whether the data is on a GPU."""
        return False


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """Where each number stands in a permutation of 0..N-1.

    >>> import pappus as pp
    >>> invert_permutation(pp.tensor([2, 0, 1])).tolist()
    [1, 2, 0]
    """
    return None if permutation is None else ops.argsort(permutation)


def whole_numbers(tensor: Any) -> Any:
    """A tensor or list of lengths as a numpy array."""
    return np.asarray(tensor.detach().numpy() if isinstance(tensor, Tensor) else tensor).astype(np.int64).reshape(-1)


def _int64(values: Any) -> Tensor:
    return Tensor._from_data(np.asarray(values, np.int64))


def spots(batch_sizes: Any) -> Any:
    """The places t * N + n in (T * N) of the packed elements, in their order."""
    return np.flatnonzero((np.arange(batch_sizes[0]) < batch_sizes[:, None]).reshape(-1))


def pad_rows(data: Tensor, batch_sizes: Any) -> Tensor:
    """Packed elements as (T, N, *), with zeros where a sequence has ended."""
    steps, batch = len(batch_sizes), int(batch_sizes[0])
    place = np.full(steps * batch, len(data), np.int64)
    place[spots(batch_sizes)] = np.arange(len(data))
    if (batch_sizes == batch).all():
        return data.unflatten(0, (steps, batch))  # type: ignore[no-any-return]
    zero = ops.zeros(1, *data.shape[1:], dtype=data.dtype)
    rows = ops.index_select(ops.cat([data, zero], 0), 0, _int64(place))
    return rows.unflatten(0, (steps, batch))  # type: ignore[no-any-return]


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Sequences padded to (T, N, *), or (N, T, *) with `batch_first`, packed by their lengths.

    The longest must come first, unless `enforce_sorted=False` has them sorted here. Raises ArgumentError for lengths
    that are not sorted, not positive, or do not fit.

    >>> import pappus as pp
    >>> packed = pack_padded_sequence(pp.tensor([[1, 2, 3], [4, 5, 0]]), [3, 2], batch_first=True)
    >>> packed.data.tolist(), packed.batch_sizes.tolist()
    ([1, 4, 2, 5, 3], [2, 2, 1])
    """
    name = "pack_padded_sequence"
    sizes = whole_numbers(lengths)
    if input.ndim < 2:
        raise ShapeError(f"{name}: expected (T, N, *) input of at least 2 dimensions, got {list(input.shape)}")
    if batch_first:
        input = input.transpose(0, 1)
    steps, batch = int(input.shape[0]), int(input.shape[1])
    if len(sizes) != batch:
        raise ArgumentError(f"{name}: expected a length for each of the {batch} sequences, got {len(sizes)}")
    if not len(sizes) or sizes.min() <= 0:
        raise ArgumentError(f"{name}: every sequence needs a length above 0, got {sizes.tolist()}")
    if sizes.max() > steps:
        raise ArgumentError(f"{name}: length {sizes.max()} is more than the {steps} steps of the input")
    order = None
    if enforce_sorted:
        if (np.diff(sizes) > 0).any():
            raise ArgumentError(
                f"{name}: lengths must be sorted, the longest first, got {sizes.tolist()}; pass enforce_sorted=False"
            )
    else:
        at = np.argsort(-sizes, kind="stable")
        sizes, order = sizes[at], _int64(at)
        input = ops.index_select(input, 1, order)
    counts = (np.arange(sizes[0])[:, None] < sizes).sum(1)
    data = ops.index_select(input[: int(sizes[0])].flatten(0, 1), 0, _int64(spots(counts)))
    return PackedSequence(data, _int64(counts), order)


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """The inverse of `pack_padded_sequence`: sequences (T, N, *), or (N, T, *) with `batch_first`, and their lengths.

    With `total_length` there are that many steps. Raises ArgumentError where it is less than the longest.

    >>> import pappus as pp
    >>> packed = pack_sequence([pp.tensor([1.0]), pp.tensor([2.0, 3.0])], enforce_sorted=False)
    >>> padded, lengths = pad_packed_sequence(packed, batch_first=True)
    >>> padded.tolist(), lengths.tolist()
    ([[1.0, 0.0], [2.0, 3.0]], [1, 2])
    """
    counts = whole_numbers(sequence.batch_sizes)
    steps, batch = len(counts), int(counts[0])
    lengths = (np.arange(batch) < counts[:, None]).sum(0)
    out = pad_rows(sequence.data, counts)
    total = steps if total_length is None else total_length
    if total < steps:
        raise ArgumentError(f"pad_packed_sequence: total_length {total} is less than the longest sequence, {steps}")
    ended = np.arange(batch) >= counts[:, None]
    if padding_value and ended.any():
        mask = Tensor._from_data(ended.reshape(steps, batch, *(1,) * (out.ndim - 2)))
        out = out.masked_fill(mask, padding_value)
    if total > steps:
        out = ops.constant_pad_nd(out, (*(0, 0) * (out.ndim - 1), 0, total - steps), padding_value)
    if sequence.unsorted_indices is not None:
        out = ops.index_select(out, 1, sequence.unsorted_indices)
        lengths = lengths[whole_numbers(sequence.unsorted_indices)]
    return out.transpose(0, 1) if batch_first else out, _int64(lengths)


def pad_sequence(
    sequences: Sequence[Tensor] | Tensor, batch_first: bool = False, padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:  # fmt: skip
    """Sequences (L, *) of different lengths as one tensor (T, N, *), or (N, T, *) with `batch_first`.

    `padding_side` says where the shorter ones are filled up with `padding_value`: right, behind them, or left.

    >>> import pappus as pp
    >>> pad_sequence([pp.tensor([1, 2]), pp.tensor([3])], batch_first=True).tolist()
    [[1, 2], [3, 0]]
    """
    if padding_side not in ("right", "left"):
        raise ArgumentError(f"pad_sequence: padding_side must be 'right' or 'left', got {padding_side!r}")
    items = list(sequences)
    if not items or not all(isinstance(s, Tensor) for s in items):
        raise ArgumentError("pad_sequence: expected a list of at least one tensor")
    longest = max(int(s.shape[0]) for s in items)
    parts = []
    for s in items:
        missing = longest - int(s.shape[0])
        pair = (0, missing) if padding_side == "right" else (missing, 0)
        parts.append(ops.constant_pad_nd(s, (*(0, 0) * (s.ndim - 1), *pair), padding_value) if missing else s)
    return ops.stack(parts, 0 if batch_first else 1)  # type: ignore[no-any-return]


def unpad_sequence(
    padded_sequences: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False
) -> list[Tensor]:
    """The inverse of `pad_sequence`: the first `lengths[n]` steps of every sequence."""
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    return [s[: int(n)] for s, n in zip(padded_sequences, whole_numbers(lengths), strict=True)]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Sequences (L, *) of different lengths, packed; the longest first, unless `enforce_sorted=False`."""
    return pack_padded_sequence(pad_sequence(sequences), [s.shape[0] for s in sequences], False, enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of `pack_sequence`: a list of the sequences."""
    return unpad_sequence(*pad_packed_sequence(packed_sequences))
