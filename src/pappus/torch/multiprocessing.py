"""torch.multiprocessing: Python's own, and `spawn` for one process."""

from __future__ import annotations

from collections.abc import Callable
from multiprocessing import *  # noqa: F403 - the module is Python's under another name
from typing import Any

from pappus.frontend.errors import UnsupportedError
from pappus.torch.answers import answer, does_nothing

set_sharing_strategy = does_nothing
get_sharing_strategy = answer("file_system")
get_all_sharing_strategies = answer(["file_system"])


def spawn(
    fn: Callable[..., Any], args: tuple[Any, ...] = (), nprocs: int = 1, join: bool = True, daemon: bool = False,
    start_method: str = "spawn",
) -> None:  # fmt: skip
    """`fn(0, *args)`, here and now: training has one process. Raises UnsupportedError for more."""
    if nprocs != 1:
        raise UnsupportedError(f"torch.multiprocessing.spawn: Pappus trains in one process, not in {nprocs}; start one")
    fn(0, *args)


start_processes = spawn
