"""Which worker of a loader this is: what `get_worker_info` answers while a worker fetches."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["WorkerInfo", "enter", "get_worker_info", "inside"]


@dataclasses.dataclass(frozen=True)
class WorkerInfo:
    """A worker's number, how many there are, the seed of its random numbers and its data set."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


class _Current(threading.local):
    info: WorkerInfo | None = None


_current = _Current()


def get_worker_info() -> WorkerInfo | None:
    """The worker that runs this code, None outside of a loader's workers.

    An IterableDataset asks it for its share: every worker walks the data set that it is given.
    """
    return _current.info


def enter(info: WorkerInfo) -> None:
    """This thread is a worker from here on."""
    _current.info = info


@contextmanager
def inside(info: WorkerInfo) -> Iterator[None]:
    """This thread is a worker inside the `with` block."""
    before, _current.info = _current.info, info
    try:
        yield
    finally:
        _current.info = before
