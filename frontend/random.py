"""Random numbers by counter: Philox4x32-10 keyed by a seed, one block of four words per count.

A number depends only on (seed, offset, position), so it is the same in the eager engine and in an exported program,
and a run can be repeated from any point. `Generator` is a seed and an offset; every draw moves the offset on.
"""

from __future__ import annotations

import hashlib
import math
import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

__all__ = [
    "Generator", "default_generator", "fork_rng", "get_rng_state", "initial_seed", "integers", "manual_seed", "normals",
    "permutation", "philox", "seed", "set_rng_state", "uniforms", "words64",
]  # fmt: skip

_M0, _M1 = np.uint64(0xD2511F53), np.uint64(0xCD9E8D57)
_W0, _W1 = 0x9E3779B9, 0xBB67AE85
_LOW, _SHIFT = np.uint64(0xFFFFFFFF), np.uint64(32)


def philox(seed: int, offset: int, count: int) -> Any:
    """`count` uint32 words of the stream `seed`, from block `offset` on (Salmon et al., SC 2011; ten rounds).

    >>> [hex(w) for w in philox(0, 0, 4)]
    ['0x6627e8d5', '0xe169c58d', '0xbc57ac4c', '0x9b00dbd8']
    """
    blocks = (count + 3) // 4
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(offset)
    c0, c1 = counter & _LOW, counter >> _SHIFT
    c2, c3 = np.zeros_like(counter), np.zeros_like(counter)
    k0, k1 = seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF
    for _ in range(10):
        p0, p1 = c0 * _M0, c2 * _M1
        c0, c1, c2, c3 = (p1 >> _SHIFT) ^ c1 ^ np.uint64(k0), p1 & _LOW, (p0 >> _SHIFT) ^ c3 ^ np.uint64(k1), p0 & _LOW
        k0, k1 = (k0 + _W0) & 0xFFFFFFFF, (k1 + _W1) & 0xFFFFFFFF
    words = np.empty((blocks, 4), np.uint32)
    words[:, 0], words[:, 1], words[:, 2], words[:, 3] = c0, c1, c2, c3
    return words.reshape(-1)[:count]


def uniforms(seed: int, offset: int, count: int) -> Any:
    """`count` float32 numbers in [0, 1): the top 24 bits of each word, so every one is exact."""
    return (philox(seed, offset, count) >> np.uint32(8)).astype(np.float32) * np.float32(2.0**-24)


def normals(seed: int, offset: int, count: int) -> Any:
    """`count` float64 standard normal numbers, two from each pair of words by Box and Muller."""
    words = philox(seed, offset, count + count % 2).astype(np.float64)
    radius = np.sqrt(-2.0 * np.log((words[0::2] + 1.0) * 2.0**-32))
    angle = words[1::2] * (2.0 * math.pi * 2.0**-32)
    out = np.empty(words.size)
    out[0::2], out[1::2] = radius * np.cos(angle), radius * np.sin(angle)
    return out[:count]


def words64(seed: int, offset: int, count: int) -> Any:
    """`count` uint64 words of the stream `seed`, from block `offset` on: two 32-bit words each, the high one first."""
    words = philox(seed, offset, 2 * count).astype(np.uint64)
    return (words[0::2] << _SHIFT) | words[1::2]


def integers(low: int, high: int, count: int, generator: Generator | None = None) -> list[int]:
    """`count` integers in [low, high) from a generator (the default one if None).

    >>> integers(3, 4, 2, Generator())
    [3, 3]
    """
    drawn = words64(*(generator or default_generator).take(2 * count), count) % np.uint64(high - low)
    return [low + int(n) for n in drawn]


def permutation(count: int, generator: Generator | None = None) -> list[int]:
    """The integers 0 .. count-1 in an order drawn from a generator (the default one if None).

    >>> sorted(permutation(4, Generator()))
    [0, 1, 2, 3]
    """
    drawn = words64(*(generator or default_generator).take(2 * count), count)
    return np.argsort(drawn, kind="stable").tolist()  # type: ignore[no-any-return]


class Generator:
    """A stream of random numbers: a seed, and an offset that every draw moves on.

    >>> import pappus as pp
    >>> g = pp.Generator().manual_seed(1)
    >>> a = pp.rand(2, generator=g); g.manual_seed(1); b = pp.rand(2, generator=g)
    <pappus.Generator seed=1 offset=0>
    >>> bool((a == b).all())
    True
    """

    def __init__(self, device: Any = None) -> None:
        self.seed_value, self.offset = 67280421310721, 0

    def manual_seed(self, seed: int) -> Generator:
        """Start the stream `seed` from its beginning."""
        self.seed_value, self.offset = int(seed) % 2**64, 0
        return self

    def seed(self) -> int:
        """Start a stream that the operating system chose; returns its seed."""
        value = int.from_bytes(os.urandom(8), "little")
        self.manual_seed(value)
        return value

    def initial_seed(self) -> int:
        """The seed of the stream."""
        return self.seed_value

    def get_state(self) -> Any:
        """The stream's position, for `set_state`: an int64 tensor (seed, offset)."""
        from .tensor import Tensor

        return Tensor._from_data(np.array([self.seed_value, self.offset], np.uint64).view(np.int64))

    def set_state(self, state: Any) -> Generator:
        """Continue from a position that `get_state` gave."""
        found = state.numpy().view(np.uint64)
        self.seed_value, self.offset = int(found[0]), int(found[1])
        return self

    def take(self, count: int) -> tuple[int, int]:
        """Reserve `count` words: the (seed, offset) to draw them from."""
        at = self.offset
        self.offset += (count + 3) // 4
        return self.seed_value, at

    def __repr__(self) -> str:
        return f"<pappus.Generator seed={self.seed_value} offset={self.offset}>"


class _Thread(threading.local):
    generator: Generator | None = None


_thread = _Thread()


class _DefaultGenerator(Generator):
    """The generator of draws that name none; a thread inside `use_generator` draws from its own instead."""

    def take(self, count: int) -> tuple[int, int]:
        own = _thread.generator
        return super().take(count) if own is None else own.take(count)


default_generator = _DefaultGenerator()


@contextmanager
def use_generator(generator: Generator) -> Iterator[None]:
    """Draws of this thread that name no generator come from `generator` inside the `with` block."""
    before, _thread.generator = _thread.generator, generator
    try:
        yield
    finally:
        _thread.generator = before


def derived(generator: Generator, *numbers: int) -> Generator:
    """A new stream that depends on the position of `generator`, which is not moved, and on `numbers`.

    >>> g = Generator().manual_seed(1)
    >>> derived(g, 0).seed_value == derived(g, 0).seed_value, derived(g, 0).seed_value == derived(g, 1).seed_value
    (True, False)
    """
    place = struct.pack(f"<{2 + len(numbers)}Q", generator.seed_value, generator.offset, *numbers)
    return Generator().manual_seed(int.from_bytes(hashlib.blake2b(place, digest_size=8).digest(), "little"))


def manual_seed(seed: int) -> Generator:
    """Make the random numbers that follow depend on `seed` alone.

    >>> import pappus as pp
    >>> a = pp.manual_seed(0) and pp.rand(3); b = pp.manual_seed(0) and pp.rand(3)
    >>> bool((a == b).all())
    True
    """
    return default_generator.manual_seed(seed)


def seed() -> int:
    """Seed the default generator from the operating system; returns the seed."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed of the default generator."""
    return default_generator.initial_seed()


def get_rng_state() -> Any:
    """The position of the default generator, for `set_rng_state`."""
    return default_generator.get_state()


def set_rng_state(new_state: Any) -> None:
    """Continue the default generator from a position that `get_rng_state` gave."""
    default_generator.set_state(new_state)


@contextmanager
def fork_rng() -> Iterator[None]:
    """Draws inside the `with` block leave the default generator where it was before."""
    saved = get_rng_state()
    try:
        yield
    finally:
        set_rng_state(saved)
