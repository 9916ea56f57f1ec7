"""Epochs and the memory plan, by the same rules as the runtime's planner (docs/format.md)."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pappus.export.ir.graph import Graph, Value
from pappus.export.lower.memory import Buffer, is_one
from pappus.frontend.symbolic import Size, Symbol, SymInt, evaluate, hint_of, is_symbolic, same_size

ALIGN = 64


def mark_epochs(graph: Graph) -> list[int]:
    """Give every instruction its epoch: a new one starts where a value dependence on the current one would arise.

    Two writes to one buffer do not depend on each other when their views are provably disjoint parts of it
    (concatenation). Sets `attrs["barrier"]` and returns the epoch of each instruction.
    """
    epochs: list[int] = []
    epoch = -1
    written: list[Value] = []
    read: list[Value] = []

    def same(a: Value, b: Value) -> bool:
        return a.memory is not None and b.memory is not None and a.memory.buffer is b.memory.buffer

    for node in graph.nodes:
        reads = [v for v in node.inputs if v.memory is not None and v.memory.buffer.storage != "CONSTANT"]
        writes = [v for v in node.outputs if v.memory is not None]
        conflict = epoch < 0
        for value in reads:
            conflict = conflict or any(same(w, value) for w in written)
        for value in writes:
            conflict = conflict or any(same(r, value) for r in read)
            conflict = conflict or any(same(w, value) and not _disjoint(w, value) for w in written)
        if conflict:
            epoch += 1
            written, read = [], []
        node.attrs["barrier"] = conflict
        epochs.append(epoch)
        written.extend(writes)
        read.extend(reads)
    return epochs


def _disjoint(a: Value, b: Value) -> bool:
    """Whether two views of one buffer with equal strides provably share no element.

    It is enough that they are apart along one dimension d: the later one starts k strides of d further, past the end
    of the
    earlier one, and ends before the stride of the next outer dimension. All strides are those of one row-major or
    channels-last frame, so that outer dimensions step over whole multiples of that stride.
    """
    left, right = a.memory, b.memory
    assert left is not None and right is not None
    if len(left.strides) != len(right.strides) or not all(map(same_size, left.strides, right.strides)):
        return False
    for low, high in ((a, b), (b, a)):
        assert low.memory is not None and high.memory is not None
        difference = high.memory.offset - low.memory.offset
        for d, stride in enumerate(left.strides):
            if not is_symbolic(stride) and stride < 1:
                continue
            steps = difference // stride
            if not same_size(steps * stride, difference) or not _at_least(steps, low.shape[d]):
                continue
            end = (steps + high.shape[d]) * stride
            outer = [
                s for j, s in enumerate(left.strides)
                if j != d and hint_of(s) >= hint_of(stride) and not (is_one(a.shape[j]) and is_one(b.shape[j]))
            ]  # fmt: skip
            if all(_at_least(s, end) for s in outer):
                return True
    return False


def _at_least(a: Size, b: Size) -> bool:
    """Whether a >= b for every allowed value of the symbols."""
    difference = a - b
    return difference.bounds()[0] >= 0 if isinstance(difference, SymInt) else difference >= 0


@dataclass(frozen=True)
class Block:
    """A buffer as the planner sees it: its bytes and the epochs in which it is alive."""

    size: int
    first: int
    last: int


def place(blocks: Sequence[Block | None], order: Sequence[int]) -> tuple[list[int], int]:
    """Offsets by first fit in the given order, and the arena's size. None blocks are never used and get offset 0.

    A block takes the lowest multiple of 64 at which it overlaps no placed block whose epochs meet its own.

    >>> place([Block(100, 0, 1), Block(64, 1, 2), Block(64, 2, 3)], [0, 1, 2])
    ([0, 128, 0], 192)
    """
    offsets = [0] * len(blocks)
    placed: list[tuple[int, int, Block]] = []
    arena = 0
    for index in order:
        block = blocks[index]
        if block is None or block.size == 0:
            continue
        size = -(-block.size // ALIGN) * ALIGN
        offset = 0
        for start, end, other in placed:  # sorted by start
            if other.last < block.first or block.last < other.first:
                continue
            if start >= offset + size:
                break
            offset = max(offset, end)
        offsets[index] = offset
        placed.append((offset, offset + size, block))
        placed.sort(key=lambda p: p[0])
        arena = max(arena, offset + size)
    return offsets, arena


def lower_bound(blocks: Sequence[Block | None]) -> int:
    """The bytes alive in the fullest epoch: no plan can need less."""
    events: dict[int, int] = {}
    for block in blocks:
        if block is not None and block.size:
            size = -(-block.size // ALIGN) * ALIGN
            events[block.first] = events.get(block.first, 0) + size
            events[block.last + 1] = events.get(block.last + 1, 0) - size
    alive = peak = 0
    for epoch in sorted(events):
        alive += events[epoch]
        peak = max(peak, alive)
    return peak


@dataclass
class Plan:
    """The result of planning one method: order for the file, and what it gives at the example's sizes."""

    order: list[int]
    offsets: list[int]
    arena: int
    bound: int


def lifetimes(graph: Graph, buffers: Sequence[Buffer], epochs: Sequence[int]) -> list[tuple[int, int] | None]:
    """First and last epoch in which each buffer is named by an instruction."""
    index = {buffer: i for i, buffer in enumerate(buffers)}
    alive: list[tuple[int, int] | None] = [None] * len(buffers)
    for node, epoch in zip(graph.nodes, epochs, strict=True):
        for value in [*node.inputs, *node.outputs]:
            if value.memory is None or value.memory.buffer.storage != "ARENA":
                continue
            i = index[value.memory.buffer]
            known = alive[i]
            alive[i] = (epoch, epoch) if known is None else (known[0], epoch)
    return alive


def blocks_at(
    buffers: Sequence[Buffer], alive: Sequence[tuple[int, int] | None], lookup: Callable[[Symbol], int]
) -> list[Block | None]:
    """The planner's view of the buffers at given sizes."""
    return [
        Block(evaluate(b.size, lookup), *life) if life is not None else None
        for b, life in zip(buffers, alive, strict=True)
    ]


def plan(graph: Graph, buffers: Sequence[Buffer], epochs: Sequence[int], effort: int = 200) -> Plan:
    """Choose the placement order: the best of a few greedy orders, then `effort` steps of local search.

    The search swaps two buffers in the order and keeps what is not worse; it is seeded, so export is repeatable.
    """
    blocks = blocks_at(buffers, lifetimes(graph, buffers, epochs), lambda s: s.hint)
    arena_buffers = [i for i, b in enumerate(buffers) if b.storage == "ARENA"]
    bound = lower_bound(blocks)

    def size(i: int) -> int:
        block = blocks[i]
        return block.size if block is not None else 0

    def length(i: int) -> int:
        block = blocks[i]
        return block.last - block.first if block is not None else 0

    def first(i: int) -> int:
        block = blocks[i]
        return block.first if block is not None else 0

    orders = [
        sorted(arena_buffers, key=lambda i: (-size(i), first(i))),
        sorted(arena_buffers, key=lambda i: (-size(i) * (length(i) + 1), first(i))),
        sorted(arena_buffers, key=lambda i: (-length(i), -size(i))),
        sorted(arena_buffers, key=lambda i: (first(i), -size(i))),
    ]
    best = min(orders, key=lambda o: place(blocks, o)[1])
    offsets, arena = place(blocks, best)
    rng = random.Random(0)
    for _ in range(effort if len(best) > 1 else 0):
        if arena <= bound:
            break
        trial = list(best)
        i, j = rng.randrange(len(trial)), rng.randrange(len(trial))
        trial.insert(j, trial.pop(i))
        trial_offsets, trial_arena = place(blocks, trial)
        if trial_arena <= arena:
            best, offsets, arena = trial, trial_offsets, trial_arena
    return Plan(best, offsets, arena, bound)
