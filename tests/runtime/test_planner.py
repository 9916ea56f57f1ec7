"""The memory plan: sound by itself, and the same in the runtime, in the exporter and in the committed vectors."""

from __future__ import annotations

import ctypes
import json
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pappus.export.plan import ALIGN, Block, lower_bound, place

ROOT = Path(__file__).resolve().parents[2]
VECTORS = ROOT / "tests" / "vectors" / "planner.json"
NONE = 0xFFFFFFFF
TOO_LARGE = 2**64 - 1

Blocks = Sequence[Block | None]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    """runtime_c/src/plan.c alone: it needs nothing else."""
    path = tmp_path_factory.mktemp("plan") / "plan.so"
    include = ROOT / "runtime_c" / "include"
    flags = ["-std=c11", "-O1", "-shared", "-fPIC", f"-I{include}"]
    subprocess.run(["cc", *flags, str(ROOT / "runtime_c" / "src" / "plan.c"), "-o", str(path)], check=True)
    found = ctypes.CDLL(str(path))
    found.pp_plan_arena.restype = ctypes.c_uint64
    return found


def place_in_c(library: ctypes.CDLL, blocks: Blocks, order: Sequence[int]) -> tuple[list[int], int]:
    """pp_plan_arena with the arguments of pappus.export.plan.place."""
    n = len(blocks)
    sizes, offsets = (ctypes.c_uint64 * n)(), (ctypes.c_uint64 * n)()
    first, last = (ctypes.c_uint32 * n)(*[NONE] * n), (ctypes.c_uint32 * n)(*[NONE] * n)
    for i, block in enumerate(blocks):
        if block is not None:
            sizes[i], first[i], last[i] = block.size, block.first, block.last
    numbers, scratch = (ctypes.c_uint32 * n)(*order), (ctypes.c_uint32 * n)()
    arena = library.pp_plan_arena(sizes, first, last, numbers, n, offsets, scratch)
    return list(offsets), int(arena)


def check_sound(blocks: Blocks, offsets: Sequence[int], arena: int) -> None:
    """No two buffers that are alive in one epoch share a byte; all lie aligned inside the arena."""
    live = [(o, o + b.size, b) for o, b in zip(offsets, blocks, strict=True) if b is not None and b.size]
    for i, (start, end, block) in enumerate(live):
        assert start % ALIGN == 0 and end <= arena
        for other_start, other_end, other in live[:i]:
            if block.first <= other.last and other.first <= block.last:
                assert end <= other_start or other_end <= start
    assert arena >= lower_bound(blocks)
    assert arena <= sum(-(-b.size // ALIGN) * ALIGN for b in blocks if b is not None)


@st.composite
def problems(draw: st.DrawFn) -> tuple[list[Block | None], list[int]]:
    """Buffers with sizes near the alignment, some empty or never used, in any order."""
    n = draw(st.integers(0, 24))
    sizes = st.one_of(st.integers(0, 200), st.sampled_from([0, 1, 63, 64, 65, 4096, 2**40]))
    blocks: list[Block | None] = []
    for _ in range(n):
        start = draw(st.integers(0, 12))
        block = Block(draw(sizes), start, start + draw(st.integers(0, 6)))
        blocks.append(draw(st.sampled_from([block, block, block, None])))
    return blocks, draw(st.permutations(range(n)))


@settings(max_examples=400, deadline=None)
@given(problems())
def test_plans_are_sound_and_agree(library: ctypes.CDLL, problem: tuple[list[Block | None], list[int]]) -> None:
    blocks, order = problem
    offsets, arena = place(blocks, order)
    check_sound(blocks, offsets, arena)
    assert place_in_c(library, blocks, order) == (offsets, arena)


def test_vectors(library: ctypes.CDLL) -> None:
    for case in json.loads(VECTORS.read_text()):
        blocks = [None if b is None else Block(*b) for b in case["blocks"]]
        expected = (case["offsets"], case["arena"])
        assert place(blocks, case["order"]) == expected, case["name"]
        assert place_in_c(library, blocks, case["order"]) == expected, case["name"]


def test_plans_above_the_limit_are_refused(library: ctypes.CDLL) -> None:
    for blocks in (
        [Block(2**62 + 1, 0, 0)],
        [Block(2**62, 0, 1), Block(1, 1, 1)],
        [Block(2**64 - 1, 0, 0)],
        [Block(2**61, 0, 9)] * 3,
    ):
        assert place_in_c(library, blocks, range(len(blocks)))[1] == TOO_LARGE
    assert place_in_c(library, [Block(2**62, 0, 0), Block(2**62, 1, 1)], [0, 1]) == ([0, 0], 2**62)


def hand_made() -> list[tuple[str, list[Block | None], list[int]]]:
    """Cases whose plan is plain to see."""
    a = Block(100, 0, 1)
    return [
        ("nothing", [], []),
        ("one", [a], [0]),
        ("end to start shares nothing", [a, Block(64, 1, 2), Block(64, 2, 3)], [0, 1, 2]),
        ("order decides", [a, Block(64, 1, 2), Block(64, 2, 3)], [2, 1, 0]),
        ("a hole is filled", [Block(64, 0, 9), Block(64, 0, 1), Block(64, 0, 9), Block(64, 2, 9)], [0, 1, 2, 3]),
        ("a hole is too small", [Block(64, 0, 9), Block(64, 0, 1), Block(64, 0, 9), Block(65, 2, 9)], [0, 1, 2, 3]),
        ("unused and empty", [None, Block(0, 0, 5), a, None], [3, 1, 0, 2]),
        ("a chain", [Block(256, i, i + 1) for i in range(8)], list(range(8))),
    ]


def write_vectors() -> None:
    """Write planner.json: python tests/runtime/test_planner.py. Only a change of the rules may change it."""
    rng = random.Random(1)
    cases = hand_made()
    for i in range(40):
        n = rng.randint(1, 30)
        blocks: list[Block | None] = []
        for _ in range(n):
            start = rng.randint(0, 15)
            size = rng.choice([rng.randint(0, 500), rng.randint(0, 1 << 20)])
            blocks.append(None if rng.random() < 0.1 else Block(size, start, start + rng.randint(0, 8)))
        cases.append((f"random {i}", blocks, rng.sample(range(n), n)))
    lines = []
    for name, blocks, order in cases:
        offsets, arena = place(blocks, order)
        packed = [None if b is None else [b.size, b.first, b.last] for b in blocks]
        case = {"name": name, "blocks": packed, "order": order, "offsets": offsets, "arena": arena}
        lines.append(json.dumps(case))
    VECTORS.write_text("[\n" + ",\n".join(lines) + "\n]\n")


if __name__ == "__main__":
    write_vectors()
