"""Epochs and memory plans of real programs: sound, no worse than the bound says, the same in the runtime."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from ctypes import CDLL, c_uint32, c_uint64
from pathlib import Path
from typing import Any

import pytest
import test_models as models
from hypothesis import given, settings
from hypothesis import strategies as st
from road import array, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.emit import LoweredMethod
from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.lower.memory import Buffer, Memory, channels_last_strides, dense_strides
from pappus.export.plan import ALIGN, Block, _disjoint, blocks_at, lifetimes, lower_bound, mark_epochs, place, plan
from pappus.frontend import dtypes

F = pp.nn.functional
NONE = 0xFFFFFFFF


@pytest.fixture(scope="module")
def in_c(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Sequence[Any], Sequence[int]], tuple[list[int], int]]:
    """The runtime's planner, from its own source file."""
    root = Path(__file__).resolve().parents[2]
    path = tmp_path_factory.mktemp("plan") / "plan.so"
    source = root / "runtime_c" / "src" / "plan.c"
    subprocess.run(
        [
            "cc",
            "-std=c11",
            "-O1",
            "-shared",
            "-fPIC",
            f"-I{root / 'runtime_c' / 'include'}",
            str(source),
            "-o",
            str(path),
        ],
        check=True,
    )
    library = CDLL(str(path))
    library.pp_plan_arena.restype = c_uint64

    def run(blocks: Sequence[Any], order: Sequence[int]) -> tuple[list[int], int]:
        n = len(blocks)
        sizes, offsets = (c_uint64 * n)(), (c_uint64 * n)()
        first, last = (c_uint32 * n)(*[NONE] * n), (c_uint32 * n)(*[NONE] * n)
        for i, block in enumerate(blocks):
            if block is not None:
                sizes[i], first[i], last[i] = block.size, block.first, block.last
        arena = library.pp_plan_arena(sizes, first, last, (c_uint32 * n)(*order), n, offsets, (c_uint32 * n)())
        return list(offsets), int(arena)

    return run


def check_sound(blocks: Sequence[Block | None], offsets: Sequence[int], arena: int) -> None:
    live = [(o, o + b.size, b) for o, b in zip(offsets, blocks, strict=True) if b is not None and b.size]
    for i, (start, end, block) in enumerate(live):
        assert start % ALIGN == 0 and end <= arena
        for other_start, other_end, other in live[:i]:
            if block.first <= other.last and other.first <= block.last:
                assert end <= other_start or other_end <= start, "two buffers that are alive in one epoch share bytes"
    assert arena >= lower_bound(blocks)


def methods() -> list[tuple[str, LoweredMethod]]:
    n = {0: Dim("n", max=32)}
    both = n | {1: Dim("m", max=64)}
    made = [
        ("mlp", pp.export.export(models.MLP(), (tensor(3, 4, 5),), dynamic_shapes={"x": n})),
        ("cnn", pp.export.export(models.CNN(), (tensor(2, 3, 32, 32),), dynamic_shapes={"x": n})),
        ("encoder", pp.export.export(models.Encoder(), (pp.tensor(models.tokens(2, 7)),), dynamic_shapes=[both])),
    ]  # fmt: skip
    return [(name, pp.export.lower(ep).methods[0]) for name, ep in made]


METHODS = methods()


@pytest.mark.parametrize("name, method", METHODS, ids=[n for n, _ in METHODS])
def test_plans_of_real_models(name: str, method: LoweredMethod, in_c: Any) -> None:
    alive = lifetimes(method.kernel, method.buffers, method.epochs)
    for size in (1, 2, 17, 32):
        blocks = blocks_at(method.buffers, alive, lambda s, size=size: size)
        offsets, arena = place(blocks, method.plan.order)
        check_sound(blocks, offsets, arena)
        assert in_c(blocks, method.plan.order) == (offsets, arena)
    assert sorted(method.plan.order) == [i for i, b in enumerate(method.buffers) if b.storage == "ARENA"]
    assert method.plan.arena <= 1.1 * method.plan.bound


@pytest.mark.parametrize("name, method", METHODS, ids=[n for n, _ in METHODS])
def test_instructions_of_an_epoch_do_not_depend_on_each_other(name: str, method: LoweredMethod) -> None:
    """The rule of docs/format.md, checked on every pair, without the code that made the epochs."""
    nodes = list(zip(method.kernel.nodes, method.epochs, strict=True))
    assert nodes[0][0].attrs["barrier"] and [e for _, e in nodes] == sorted(e for _, e in nodes)
    for i, (node, epoch) in enumerate(nodes):
        assert node.attrs["barrier"] is (i == 0 or epoch != nodes[i - 1][1])
        for other, at in nodes[:i]:
            if at != epoch:
                continue
            for result in other.outputs:
                assert all(
                    v.memory.buffer is not result.memory.buffer
                    for v in node.inputs
                    if v.memory.buffer.storage != "CONSTANT"
                )
            for value in other.inputs:
                assert all(v.memory.buffer is not value.memory.buffer for v in node.outputs)


@pytest.mark.parametrize("name", ["mlp", "cnn", "encoder"])
def test_more_effort_is_never_worse(name: str) -> None:
    method = dict(METHODS)[name]
    arenas = [plan(method.kernel, method.buffers, method.epochs, effort).arena for effort in (0, 1, 20, 200)]
    assert arenas == sorted(arenas, reverse=True) and arenas[-1] >= method.plan.bound


def chain(sizes: Sequence[int], reads: Sequence[Sequence[int]]) -> tuple[Graph, list[Buffer]]:
    """A kernel graph in which instruction i writes buffer i and reads earlier ones."""
    graph, buffers, values = Graph("g"), [], []
    for i, size in enumerate(sizes):
        buffers.append(Buffer("ARENA", size, f"b{i}"))
        values.append(Value(f"v{i}", dtypes.float32, (1,), memory=Memory(buffers[-1], 0, dense_strides((1,)))))
        args = tuple(values[r] for r in dict.fromkeys(reads[i]) if r < i)
        graph.nodes.append(Node("k.move", (args, ()), {}, [values[i]]))
    return graph, buffers


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[int], list[list[int]]]:
    n = draw(st.integers(1, 14))
    sizes = [draw(st.one_of(st.integers(0, 300), st.sampled_from([64, 4096]))) for _ in range(n)]
    return sizes, [[draw(st.integers(0, max(i - 1, 0))) for _ in range(draw(st.integers(0, 3)))] for i in range(n)]


@settings(max_examples=120, deadline=None)
@given(graphs())
def test_any_graph_is_planned_soundly_and_as_in_c(in_c: Any, problem: Any) -> None:
    graph, buffers = chain(*problem)
    epochs = mark_epochs(graph)
    found = plan(graph, buffers, epochs, effort=30)
    blocks = blocks_at(buffers, lifetimes(graph, buffers, epochs), lambda s: s.hint)
    check_sound(blocks, found.offsets, found.arena)
    assert place(blocks, found.order) == (found.offsets, found.arena) == in_c(blocks, found.order)
    assert found.arena <= plan(graph, buffers, epochs, effort=0).arena and found.bound == lower_bound(blocks)


def test_parts_of_a_concatenation_share_an_epoch() -> None:
    program = pp.export.lower(
        pp.export.export(lambda x: pp.cat([F.relu(x), x * 2, x.softmax(1)], 0) + 1, (tensor(2, 3),))
    )
    assert program.methods[0].epochs == [0, 0, 0, 1]


def test_overlapping_writes_do_not_share_an_epoch() -> None:
    buffer = Buffer("ARENA", 64, "b")
    graph = Graph("g")
    for offset in (0, 0):
        value = Value(f"v{len(graph.nodes)}", dtypes.float32, (4,), memory=Memory(buffer, offset, (1,)))
        graph.nodes.append(Node("k.move", ((), ()), {}, [value]))
    assert mark_epochs(graph) == [0, 1]


def addresses(value: Value) -> set[int]:
    """The elements that a view of concrete sizes touches."""
    assert value.memory is not None
    found = {value.memory.offset}
    for size, stride in zip(value.shape, value.memory.strides, strict=True):
        found = {at + i * stride for at in found for i in range(size)}
    return found


@st.composite
def boxes(draw: st.DrawFn) -> tuple[Value, Value]:
    """Two boxes in one frame, row-major or channels last with a pitch."""
    rank = draw(st.integers(1, 4))
    frame = [draw(st.integers(1, 4)) for _ in range(rank)]
    strides = dense_strides(frame)
    if rank == 4 and draw(st.booleans()):
        pitch = frame[1] + draw(st.integers(0, 2))
        strides = channels_last_strides(frame, pitch)
    buffer, made = Buffer("ARENA", 4096, "b"), []
    for name in "ab":
        starts = [draw(st.integers(0, n - 1)) for n in frame]
        shape = tuple(draw(st.integers(0, n - s)) for n, s in zip(frame, starts, strict=True))
        offset = sum(s * t for s, t in zip(starts, strides, strict=True))
        made.append(Value(name, dtypes.float32, shape, memory=Memory(buffer, offset, tuple(strides))))
    return made[0], made[1]


@settings(max_examples=600, deadline=None)
@given(boxes())
def test_what_is_called_disjoint_is(pair: tuple[Value, Value]) -> None:
    a, b = pair
    if _disjoint(a, b):
        empty = 0 in a.shape or 0 in b.shape
        assert empty or not addresses(a) & addresses(b)
        assert _disjoint(b, a)


def test_symbolic_parts_are_proved_disjoint() -> None:
    n = {0: Dim("n", max=8), 1: Dim("m", max=8)}
    for axis in (0, 1, 2):
        f = lambda x, axis=axis: pp.cat([F.relu(x), x * 2, pp.tanh(x)], axis) + 1  # noqa: E731
        ep = pp.export.export(f, (tensor(3, 4, 5),), dynamic_shapes={"x": n})
        assert pp.export.lower(ep).methods[0].epochs == [0, 0, 0, 1], axis


def test_a_pad_waits_for_its_fill() -> None:
    """Fill and copy overlap: with two threads in one epoch the fill of one could overwrite the copy of the other."""
    for f in (lambda x: F.pad(x, (1, 1, 2, 0)), lambda x: F.pad(x, (0, 0, 0, 3)), lambda x: F.pad(x, (0, 3))):
        assert pp.export.lower(pp.export.export(f, (tensor(3, 4),))).methods[0].epochs == [0, 1]

    def write(x: Any) -> Any:
        y = F.relu(x)
        y[1] = 5.0
        y[:, ::2] = 1.0
        return y + 0

    epochs = pp.export.lower(pp.export.export(write, (tensor(3, 4),))).methods[0].epochs
    assert epochs == list(range(len(epochs)))


def test_plans_do_not_change_from_run_to_run() -> None:
    method = dict(METHODS)["encoder"]
    a, b = (plan(method.kernel, method.buffers, method.epochs, 200) for _ in range(2))
    assert a == b


def test_the_runtime_plans_the_same_arena() -> None:
    ep = pp.export.export(
        lambda x: F.softmax(F.softmax(x, 1).t().softmax(0), 1),
        (tensor(40, 30),),
        dynamic_shapes={"x": {0: Dim("n", max=64)}},
    )
    program = pp.export.lower(ep)
    method = program.methods[0]
    alive = lifetimes(method.kernel, method.buffers, method.epochs)
    with pp.runtime.load(program.to_bytes(), threads=1) as session:
        run = session.method("forward")
        sizes = {}
        for n in (1, 40, 64):
            run(array(n, 30))
            sizes[n] = run.arena_bytes - place(blocks_at(method.buffers, alive, lambda s, n=n: n), method.plan.order)[1]
    assert len(set(sizes.values())) == 1, f"what is left is the kernels' scratch, which does not depend on n: {sizes}"


def test_effort_is_an_option() -> None:
    ep = pp.export.export(models.MLP(), (tensor(3, 4, 5),))
    assert (
        pp.export.lower(ep, plan_effort=0).methods[0].plan.arena
        >= pp.export.lower(ep, plan_effort=500).methods[0].plan.arena
    )
