"""The loader: batches of a data set, in a set order, optionally prepared ahead by threads."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Generic, TypeVar

from pappus.frontend import random as rng
from pappus.frontend.data.collate import default_collate, default_convert
from pappus.frontend.data.dataset import Dataset, IterableDataset, TensorDataset
from pappus.frontend.data.sampler import BatchSampler, RandomSampler, SequentialSampler
from pappus.frontend.data.worker import WorkerInfo, enter, inside

T_co = TypeVar("T_co", covariant=True)
_END = object()


class DataLoader(Generic[T_co]):
    """Iterate over `dataset` in batches.

    The order follows from the generator (or the global seed) alone: `num_workers` threads fetch batches ahead but
    never reorder them, and each batch's random draws come from a stream of its own, so that a run can be repeated.
    `batch_size=None` yields single examples. Workers that walk an IterableDataset take turns, each with a copy of it
    that asks `get_worker_info()` for its share. `pin_memory`, `persistent_workers`, `timeout` and
    `multiprocessing_context` are accepted for compatibility and have no effect.

    >>> import pappus as pp
    >>> loader = DataLoader(TensorDataset(pp.arange(5)), batch_size=2)
    >>> [x.tolist() for (x,) in loader]
    [[0, 1], [2, 3], [4]]
    """

    def __init__(
        self,
        dataset: Dataset[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[int] | None = None,
        batch_sampler: Iterable[list[int]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: rng.Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        if num_workers < 0:
            raise ValueError(f"DataLoader: num_workers must not be negative, got {num_workers}.")
        if sampler is not None and shuffle:
            raise ValueError("DataLoader: sampler and shuffle=True exclude each other.")
        self.iterable = isinstance(dataset, IterableDataset)
        if self.iterable and (shuffle or sampler is not None or batch_sampler is not None):
            raise ValueError("DataLoader: an IterableDataset sets its own order; shuffle and samplers do not apply.")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError("DataLoader: batch_sampler excludes batch_size, shuffle, sampler and drop_last.")
            batch_size = None
            drop_last = False
        elif batch_size is None and drop_last:
            raise ValueError("DataLoader: drop_last=True needs a batch_size.")
        self.dataset = dataset
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.num_workers = num_workers
        self.generator = generator
        self.prefetch_factor = 2 if prefetch_factor is None else prefetch_factor
        self.worker_init_fn = worker_init_fn
        self.pin_memory, self.timeout, self.persistent_workers = pin_memory, timeout, persistent_workers
        self.multiprocessing_context = multiprocessing_context
        self.sampler: Iterable[int] = ()
        if not self.iterable:
            if sampler is not None:
                self.sampler = sampler
            elif shuffle:
                self.sampler = RandomSampler(dataset, generator=generator)  # type: ignore[arg-type]
            else:
                self.sampler = SequentialSampler(dataset)  # type: ignore[arg-type]
        if batch_sampler is None and batch_size is not None and not self.iterable:
            batch_sampler = BatchSampler(self.sampler, batch_size, drop_last)
        self.batch_sampler = batch_sampler
        batched = batch_sampler is not None or batch_size is not None
        self.collate_fn = collate_fn or (default_collate if batched else default_convert)
        self._epochs = 0
        # Rows of plain tensors can be taken for a whole batch at once, which gives the same result as stacking them.
        self._take_rows = type(dataset) is TensorDataset and collate_fn is None and batched

    def __len__(self) -> int:
        if self.iterable:
            size = len(self.dataset)  # type: ignore[arg-type]
            if self.batch_size is None:
                return size
            return size // self.batch_size if self.drop_last else -(-size // self.batch_size)
        return len(self.batch_sampler if self.batch_sampler is not None else self.sampler)  # type: ignore[arg-type]

    def __iter__(self) -> Iterator[Any]:
        if self.iterable:
            return self._iterate_streams() if self.num_workers else self._iterate_stream(self.dataset)
        if self.num_workers == 0:
            return map(self._fetch, self._indices())
        return self._iterate_ahead()

    def _indices(self) -> Iterable[Any]:
        return self.batch_sampler if self.batch_sampler is not None else self.sampler

    def _fetch(self, index: Any) -> Any:
        if self.batch_sampler is None:
            return self.collate_fn(self.dataset[index])  # type: ignore[arg-type]
        if self._take_rows:
            return list(self.dataset[list(index)])  # type: ignore[call-overload]
        many = getattr(self.dataset, "__getitems__", None)
        return self.collate_fn(many(list(index)) if many else [self.dataset[i] for i in index])

    def _fetch_from(self, stream: rng.Generator, index: Any) -> Any:
        with rng.use_generator(stream):
            return self._fetch(index)

    def _worker(self, number: int, dataset: Any) -> WorkerInfo:
        return WorkerInfo(number, self.num_workers, rng.default_generator.initial_seed() + number, dataset)

    def _iterate_streams(self) -> Iterator[Any]:
        """The batches of all workers in turn, until none has one left."""
        running = []
        for number in range(self.num_workers):
            dataset = copy.copy(self.dataset)
            info = self._worker(number, dataset)
            with inside(info):
                if self.worker_init_fn is not None:
                    self.worker_init_fn(number)
            running.append((info, self._iterate_stream(dataset)))
        while running:
            for worker in list(running):
                info, stream = worker
                with inside(info):
                    batch = next(stream, _END)
                if batch is _END:
                    running.remove(worker)
                else:
                    yield batch

    def _iterate_stream(self, dataset: Any) -> Iterator[Any]:
        batch: list[Any] = []
        for item in dataset:
            if self.batch_size is None:
                yield self.collate_fn(item)
                continue
            batch.append(item)
            if len(batch) == self.batch_size:
                yield self.collate_fn(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.collate_fn(batch)

    def _iterate_ahead(self) -> Iterator[Any]:
        ahead = self.num_workers * self.prefetch_factor
        started = iter(range(self.num_workers))

        def start() -> None:
            number = next(started)
            enter(self._worker(number, self.dataset))
            if self.worker_init_fn is not None:
                self.worker_init_fn(number)

        pool = ThreadPoolExecutor(self.num_workers, thread_name_prefix="pappus-loader", initializer=start)
        pending: deque[Future[Any]] = deque()
        self._epochs += 1
        try:
            for number, index in enumerate(self._indices()):
                stream = rng.derived(rng.default_generator, self._epochs, number)
                pending.append(pool.submit(self._fetch_from, stream, index))
                if len(pending) > ahead:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
