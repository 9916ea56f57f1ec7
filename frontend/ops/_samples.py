"""Deterministic tensors for operators' samples."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..tensor import Tensor


def floats(*shape: int, low: float = -2.0, high: float = 2.0, seed: int = 0) -> Tensor:
    """float64 numbers in [low, high), none within 0.01 of another, so that ties and kinks are avoided."""
    rng = np.random.default_rng(seed + 17)
    count = int(np.prod(shape))
    steps = (np.arange(count) + 0.25 + 0.5 * rng.random(count)) / max(count, 1)
    data: Any = low + (high - low) * rng.permutation(steps)
    return Tensor._from_data(np.asarray(data.reshape(shape), np.float64))


def complexes(*shape: int, seed: int = 0) -> Tensor:
    """complex128 numbers, real and imaginary parts in [0.5, 2): away from 0 and from the cut of angles."""
    first, second = (floats(*shape, low=0.5, seed=s)._data for s in (seed, seed + 1))
    return Tensor._from_data(np.asarray(first + 1j * second))


def ints(*shape: int, low: int = 0, high: int = 10, seed: int = 0) -> Tensor:
    """int64 numbers in [low, high)."""
    return Tensor._from_data(np.random.default_rng(seed + 17).integers(low, high, shape))


def masks(*shape: int, seed: int = 0) -> Tensor:
    """Random bools."""
    return Tensor._from_data(np.asarray(np.random.default_rng(seed + 17).random(shape) < 0.5))
