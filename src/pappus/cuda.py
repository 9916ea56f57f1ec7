"""Answers for scripts that ask whether there is a GPU: the eager engine computes on the CPU."""

from __future__ import annotations

from pappus.frontend.random import manual_seed

__all__ = ["device_count", "is_available", "manual_seed", "manual_seed_all"]

manual_seed_all = manual_seed


def is_available() -> bool:
    """False: there is no GPU to compute on.

    >>> "cuda" if is_available() else "cpu"
    'cpu'
    """
    return False


def device_count() -> int:
    """0."""
    return 0
