"""Where the time of a run goes: totals per instruction and a trace for chrome://tracing or Perfetto."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

from pappus.runtime.observe import Observation


@dataclass
class InstructionProfile:
    """What one instruction cost over all profiled runs. `nanoseconds` is the sum, `fastest` the best run."""

    method: str
    instruction: int
    op: str
    name: str
    source: str
    kernel: str
    calls: int = 0
    nanoseconds: int = 0
    fastest: int = 0

    @property
    def mean_microseconds(self) -> float:
        """Mean time of one call."""
        return self.nanoseconds / self.calls / 1e3 if self.calls else 0.0


class Profile(list[InstructionProfile]):
    """The instructions in program order; `events` holds what they were summed from."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Observation] = []

    def add(self, seen: Observation) -> None:
        """Account for one executed instruction."""
        self.events.append(seen)
        while len(self) <= seen.instruction:
            self.append(InstructionProfile(seen.method, len(self), "", "", "", ""))
        entry = self[seen.instruction]
        entry.op, entry.name, entry.source, entry.kernel = seen.op, seen.name, seen.source, seen.kernel
        entry.fastest = seen.nanoseconds if entry.calls == 0 else min(entry.fastest, seen.nanoseconds)
        entry.calls += 1
        entry.nanoseconds += seen.nanoseconds

    @property
    def nanoseconds(self) -> int:
        """Time in all instructions of all runs."""
        return sum(entry.nanoseconds for entry in self)

    def chrome_trace(self) -> dict[str, Any]:
        """The Trace Event format: one complete event per executed instruction, laid end to end."""
        events: list[dict[str, Any]] = []
        at = 0
        for seen in self.events:
            events.append(
                {
                    "name": seen.name or seen.op or f"{seen.kernel}#{seen.instruction}",
                    "cat": seen.kernel,
                    "ph": "X",
                    "ts": at / 1e3,
                    "dur": seen.nanoseconds / 1e3,
                    "pid": 0,
                    "tid": 0,
                    "args": {"op": seen.op, "source": seen.source, "instruction": seen.instruction},
                }
            )
            at += seen.nanoseconds
        return {"traceEvents": events, "displayTimeUnit": "ns"}

    def save_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write `chrome_trace` as JSON."""
        with open(path, "w", encoding="utf-8") as file:
            json.dump(self.chrome_trace(), file)
