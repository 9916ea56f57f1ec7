"""What the benchmarks share: one thread for BLAS, and runs that take turns."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from itertools import repeat
from time import process_time
from typing import Any

Run = Callable[[], Any]
THREADS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")


def one_thread() -> None:
    """Start the process again with one thread for BLAS, unless it has that.

    BLAS asks when it is loaded, so call this before numpy is imported.
    """
    if any(os.environ.get(name) != "1" for name in THREADS):
        os.execve(sys.executable, [sys.executable, *sys.argv], {**os.environ, **dict.fromkeys(THREADS, "1")})


def spend(run: Run, count: int, clock: Callable[[], float] = process_time) -> float:
    """Seconds of a call, the mean of `count`."""
    start = clock()
    for _ in repeat(None, count):
        run()
    return (clock() - start) / count


def least(
    runs: dict[str, Run],
    rounds: int,
    slice_s: float,
    clock: Callable[[], float] = process_time,
    within: Callable[[str], AbstractContextManager[Any]] = nullcontext,
) -> dict[str, float]:
    """Seconds of a call of each run: the least of `rounds` rounds of about `slice_s` in which they take turns.

    `within(name)` is what a run is inside of while it has its turn.
    """
    best, counts = dict.fromkeys(runs, float("inf")), {}
    for name, run in runs.items():
        with within(name):
            run()
            counts[name] = max(1, int(slice_s / max(spend(run, 3, clock), 1e-8)))
    for _ in range(rounds):
        for name, run in runs.items():
            with within(name):
                best[name] = min(best[name], spend(run, counts[name], clock))
    return best
