"""torch.profiler: contexts that record nothing. Exported programs are profiled with `pappus run --profile`."""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextlib import ContextDecorator
from typing import Any

from pappus.torch.answers import answer, does_nothing, refuse

__all__ = ["ProfilerAction", "ProfilerActivity", "profile", "record_function", "schedule", "tensorboard_trace_handler"]


class ProfilerActivity(enum.Enum):
    """What could be recorded."""

    CPU = 0
    CUDA = 1
    XPU = 2
    MTIA = 3
    PrivateUse1 = 4


class ProfilerAction(enum.Enum):
    """What a step of a schedule would do."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


class profile(ContextDecorator):
    """A context that records nothing; asking it for numbers refuses."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.step_num = 0

    def __enter__(self) -> profile:
        return self

    def __exit__(self, *exc: Any) -> None:
        return None

    def step(self) -> None:
        """One more iteration."""
        self.step_num += 1

    start = stop = toggle_collection_dynamic = does_nothing
    key_averages = refuse(
        "torch.profiler.profile.key_averages", "use Python's cProfile, or `pappus run --profile` on an exported program"
    )
    export_chrome_trace = events = export_stacks = key_averages


class record_function(ContextDecorator):
    """A named range that is not recorded."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *exc: Any) -> None:
        return None


def schedule(**steps: int) -> Callable[[int], ProfilerAction]:
    """A schedule in which no step is recorded."""
    return answer(ProfilerAction.NONE)


def tensorboard_trace_handler(dir_name: str, worker_name: str | None = None, use_gzip: bool = False) -> Any:
    """A handler that writes nothing, since nothing is recorded."""
    return does_nothing


emit_nvtx = emit_itt = profile
