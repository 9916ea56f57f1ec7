"""Data sets: things with a length whose items are training examples."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from pappus.frontend import random as rng
from pappus.frontend.tensor import Tensor

T_co = TypeVar("T_co", covariant=True)


class Dataset(Generic[T_co]):
    """Base class of map-style data sets: define `__getitem__(index)`, and `__len__` where it is known.

    >>> class Squares(Dataset[int]):
    ...     def __len__(self) -> int:
    ...         return 3
    ...     def __getitem__(self, index: int) -> int:
    ...         return index * index
    >>> Squares()[2]
    4
    """

    def __getitem__(self, index: Any) -> T_co:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index).")

    def __add__(self, other: Dataset[T_co]) -> ConcatDataset[T_co]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """Base class of data sets that can only be walked: define `__iter__`."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError(f"{type(self).__name__} must define __iter__().")

    def __add__(self, other: Dataset[T_co]) -> ChainDataset[T_co]:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Examples are the rows of one or more tensors of the same first size.

    >>> import pappus as pp
    >>> x, y = TensorDataset(pp.arange(4), pp.arange(4) * 10)[2]
    >>> int(x), int(y)
    (2, 20)
    """

    def __init__(self, *tensors: Tensor) -> None:
        sizes = [int(t.shape[0]) for t in tensors]
        if len(set(sizes)) > 1:
            raise ValueError(f"TensorDataset: all tensors need the same first size, got {sizes}.")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(t[index] for t in self.tensors)

    def __len__(self) -> int:
        return int(self.tensors[0].shape[0]) if self.tensors else 0


class Subset(Dataset[T_co]):
    """The items of `dataset` at `indices`."""

    def __init__(self, dataset: Dataset[T_co], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices

    def __getitem__(self, index: Any) -> T_co:
        return self.dataset[self.indices[index]]

    def __len__(self) -> int:
        return len(self.indices)


class ConcatDataset(Dataset[T_co]):
    """Several data sets one after the other.

    >>> import pappus as pp
    >>> len(ConcatDataset([TensorDataset(pp.zeros(3)), TensorDataset(pp.zeros(2))]))
    5
    """

    def __init__(self, datasets: Iterable[Dataset[T_co]]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise ValueError("ConcatDataset: needs at least one data set.")
        if any(isinstance(d, IterableDataset) for d in self.datasets):
            raise TypeError("ConcatDataset: an IterableDataset has no index; chain the iterators instead.")
        self.cumulative_sizes = list(itertools.accumulate(_length(d) for d in self.datasets))

    def __getitem__(self, index: Any) -> T_co:
        total = len(self)
        if not -total <= index < total:
            raise IndexError(f"index {index} is out of range for {total} items")
        index %= total
        which = bisect.bisect_right(self.cumulative_sizes, index)
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][index - before]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """Several data sets that can only be walked, one after the other."""

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        return itertools.chain.from_iterable(self.datasets)

    def __len__(self) -> int:
        return sum(_length(d) for d in self.datasets)


class StackDataset(Dataset[Any]):
    """Data sets of one length side by side: an item is the tuple of their items, or a dict where they have names.

    >>> import pappus as pp
    >>> StackDataset(TensorDataset(pp.arange(3)), [7, 8, 9])[1]
    ((tensor(1),), 8)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ValueError("StackDataset: give data sets by position or by name, and at least one.")
        self.datasets: Any = args or kwargs
        sizes = [_length(d) for d in (args or kwargs.values())]
        if len(set(sizes)) > 1:
            raise ValueError(f"StackDataset: all data sets need the same length, got {sizes}.")
        self._length = sizes[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


def random_split(
    dataset: Dataset[T_co], lengths: Sequence[int] | Sequence[float], generator: rng.Generator | None = None
) -> list[Subset[T_co]]:
    """Split `dataset` at random into parts of the given lengths, or of the given fractions that add up to 1.

    >>> import pappus as pp
    >>> [len(p) for p in random_split(TensorDataset(pp.zeros(10)), [0.7, 0.3])]
    [7, 3]
    """
    total = _length(dataset)
    sizes: list[int]
    if lengths and math.isclose(sum(lengths), 1):
        if any(f < 0 or f > 1 for f in lengths):
            raise ValueError(f"random_split: fractions must lie between 0 and 1, got {list(lengths)}.")
        sizes = [math.floor(total * f) for f in lengths]
        for i in range(total - sum(sizes)):
            sizes[i % len(sizes)] += 1
    else:
        sizes = [int(n) for n in lengths]
    if any(n < 0 for n in sizes):
        raise ValueError(f"random_split: a length is negative: {sizes}.")
    if sum(sizes) != total:
        raise ValueError(f"random_split: the lengths {sizes} add up to {sum(sizes)}, the data set has {total} items.")
    order = rng.permutation(total, generator)
    ends = list(itertools.accumulate(sizes))
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]


def _length(dataset: Any) -> int:
    return len(dataset)
