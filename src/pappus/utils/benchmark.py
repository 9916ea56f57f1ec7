"""Timing of a statement, by Python's own timeit."""

from __future__ import annotations

import dataclasses
import statistics
import timeit
from typing import Any

__all__ = ["Measurement", "Timer"]


@dataclasses.dataclass
class Measurement:
    """Seconds that one run of a statement took, several times over."""

    times: list[float]

    @property
    def mean(self) -> float:
        """The mean of the times."""
        return statistics.fmean(self.times)

    @property
    def median(self) -> float:
        """The median of the times."""
        return statistics.median(self.times)


class Timer:
    """Times `stmt`, which sees `globals`.

    >>> Timer("x + 1", globals={"x": 1}).timeit(10).mean >= 0
    True
    """

    def __init__(self, stmt: Any = "pass", setup: Any = "pass", globals: Any = None, **labels: Any) -> None:
        self._timer = timeit.Timer(stmt, setup, globals=globals)

    def timeit(self, number: int = 1_000_000) -> Measurement:
        """The mean over `number` runs."""
        return Measurement([self._timer.timeit(number) / number])

    def blocked_autorange(self, callback: Any = None, min_run_time: float = 0.2) -> Measurement:
        """Several blocks of as many runs as are needed to measure them."""
        number, taken = self._timer.autorange()
        blocks = max(1, round(min_run_time / max(taken, 1e-9)))
        return Measurement([taken / number, *(self._timer.timeit(number) / number for _ in range(min(blocks, 100)))])


def __getattr__(name: str) -> Any:
    if name == "Compare":
        from pappus.torch.answers import never

        return never("utils.benchmark.Compare", "print the medians of the measurements")
    raise AttributeError(f"module 'pappus.utils.benchmark' has no attribute {name!r}", name=name)
