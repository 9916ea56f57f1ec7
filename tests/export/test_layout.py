"""Where values lie: channels last, pitches, concatenation and flattening without copies, bound inputs and outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from road import Array, array, close, eager, ops_of, same, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.ir.graph import Value
from pappus.export.lower.layout import pixel_pitch
from pappus.export.lower.memory import channels_last_strides, dense_strides, is_dense, same_strides, view_strides
from pappus.frontend import dtypes
from pappus.frontend.symbolic import symbol
from pappus.frontend.tensor import Tensor

F = pp.nn.functional
FIRST, NEXT = tensor(8, 3, 3, 3), tensor(8, 8, 3, 3, seed=1)


def lowered(f: Any, *shapes: tuple[int, ...], **options: Any) -> Any:
    return same(f, [array(*s, seed=i) for i, s in enumerate(shapes)], 1e-5, **options)


def moves(program: Any) -> list[str]:
    return program.notes["forward"].moves


def last(value: Value) -> bool:
    """Whether a kernel value lies channels last."""
    assert value.memory is not None
    return value.memory.strides[1] == 1


def test_seeded_at_convolutions_and_carried_along() -> None:
    def f(x: Tensor) -> Any:
        y = F.relu(F.conv2d(x, FIRST, padding=1))
        y = y * y.mean((2, 3), keepdim=True) + 1
        y = F.max_pool2d(y, 2)
        y = pp.cat([y, pp.tanh(y)], 1)
        y = F.softmax(y, 1)
        return F.conv2d(y, tensor(4, 16, 1, 1))

    program = lowered(f, (2, 3, 8, 8))
    for node in program.graph.nodes[:-1]:
        assert all(last(v) for v in node.outputs if len(v.shape) == 4 and v.memory.buffer.storage == "ARENA"), node
    first, final = program.graph.nodes[0], program.graph.nodes[-1]
    assert not last(first.args[0][0]), "the first convolution reads the planar input"
    assert final.outputs[0].memory.buffer.storage == "OUTPUT" and is_dense(
        (2, 4, 4, 4), final.outputs[0].memory.strides
    )
    assert not moves(program)


def test_purely_elementwise_models_stay_row_major() -> None:
    program = lowered(lambda x: F.softmax(pp.tanh(x) * 2, 1).sum(2), (2, 3, 4, 5))
    assert all(is_dense(v.shape, v.memory.strides) for n in program.graph.nodes for v in n.outputs if len(v.shape) == 4)


def test_pixel_pitch() -> None:
    def pitch(channels: Any, readers: list[str], dtype: Any = dtypes.float32) -> Any:
        return pixel_pitch(Value("v", dtype, (1, channels, 4, 4)), readers)

    assert [pitch(c, ["relu"]) for c in (1, 8, 9, 128)] == [8, 8, 16, 128]
    assert [pitch(c, ["convolution"]) for c in (3, 127, 128, 1024)] == [8, 144, 144, 1040]
    assert pitch(9, ["view"]) == 9 and pitch(9, ["view", "convolution"]) == 9, "flattening must be free"
    assert pitch(9, ["relu"], dtypes.float64) == 9
    n = symbol("c", 9)
    assert pitch(n, ["convolution"]) is n


def test_a_linear_after_a_flatten_permutes_its_weights_instead_of_the_data() -> None:
    weight = tensor(5, 9 * 3 * 2, seed=3)

    def f(x: Tensor) -> Tensor:
        y = F.relu(F.conv2d(x, tensor(9, 3, 3, 3)))
        return F.linear(y.flatten(1), weight)

    program = lowered(f, (2, 3, 5, 4), sizes=[[array(7, 3, 5, 4)]], dynamic_shapes={"x": {0: Dim("n", max=9)}})
    assert ops_of(program.graph) == ["conv2d", "gemm"] and not moves(program)
    permuted = weight._data.reshape(5, 9, 3, 2).transpose(0, 2, 3, 1).reshape(5, -1)
    from pappus.export.lower.pack import gemm_panels

    assert any(np.array_equal(a, gemm_panels(permuted.T)) for a in program.pool.arrays if a.ndim == 3)


def test_a_flatten_that_is_read_otherwise_is_a_listed_move() -> None:
    def f(x: Tensor) -> Tensor:
        return F.softmax(F.conv2d(x, FIRST).flatten(1), -1)

    program = lowered(f, (2, 3, 5, 4))
    assert len(moves(program)) == 1 and "reshape" in moves(program)[0] and ops_of(program.graph).count("move") == 1
    assert f"  move: {moves(program)[0]}" in program.report()


def test_concatenation_is_placement() -> None:
    def f(x: Tensor) -> Tensor:
        a, b = F.conv2d(x, FIRST, padding=1), F.relu(F.conv2d(x, tensor(5, 3, 1, 1)))
        return F.conv2d(pp.cat([a, b, F.max_pool2d(a, 3, 1, 1)], 1), tensor(2, 21, 1, 1))

    program = lowered(f, (2, 3, 6, 6))
    assert ops_of(program.graph) == ["conv2d", "conv2d", "pool2d", "conv2d"] and not moves(program)
    assert len({n.outputs[0].memory.buffer for n in program.graph.nodes[:3]}) == 1

    def rows(x: Tensor, y: Tensor) -> Tensor:
        return pp.cat([F.relu(x), F.softmax(y, -1)], 0) + 1

    assert ops_of(lowered(rows, (2, 4), (3, 4)).graph) == ["pointwise", "softmax", "pointwise"]


def test_what_cannot_be_placed_is_moved() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        a = F.relu(x)
        return pp.cat([x, a, a, y[:, :2], a.to(pp.float64)], 1)

    program = lowered(f, (2, 4), (2, 5))
    assert all("concatenation" in m for m in moves(program)) and len(moves(program)) >= 3
    nested = lowered(lambda x: pp.cat([pp.cat([F.relu(x), x * 2], 1), x + 1], 1), (2, 4))
    assert ops_of(nested.graph).count("pointwise") == 3


def test_a_part_that_is_another_part_rewritten() -> None:
    def f(x: Tensor) -> Tensor:
        a = F.pad(x, (1, 1))
        b = a.clone()
        b[:, 2] = 0.25
        return pp.cat([a, b], 1) * 2  # both are placed in one buffer: b must still begin as a copy of a

    lowered(f, (3, 4))


def test_views_are_metadata() -> None:
    def f(x: Tensor) -> Any:
        y = pp.tanh(x)
        return (
            y.view(6, 4).t()[1:3] + 1,
            y.permute(2, 0, 1)[..., 1] * 2,
            y[:, ::2, 1:].unsqueeze(1).expand(2, 5, 2, 3).sum(1),
        )

    program = lowered(f, (2, 3, 4))
    assert not moves(program) and "move" not in ops_of(program.graph)


def test_views_of_outputs_and_inputs_are_copied_once() -> None:
    program = lowered(lambda x: (x.t(), x, x.view(-1)), (3, 4))
    assert ops_of(program.graph) == ["move"] * 3 and all("(output)" in m for m in moves(program))


def test_heads_are_joined_without_a_copy() -> None:
    def f(q: Tensor, v: Tensor) -> Tensor:
        return (F.softmax(q @ q.transpose(2, 3), -1) @ v).transpose(1, 2).reshape(2, 5, 12) * 2

    program = lowered(f, (2, 3, 5, 4), (2, 3, 5, 4))
    assert not moves(program)

    def turned(q: Tensor) -> Tensor:  # the last dimension does not stay the last: a copy
        return (q @ q.transpose(2, 3)).permute(0, 2, 3, 1).reshape(2, 5, 15) * 2

    assert len(moves(lowered(turned, (2, 3, 5, 4)))) == 1


@pytest.mark.parametrize("threads", [1, 2])
def test_inputs_are_bound_and_outputs_go_to_the_callers_buffer(threads: int) -> None:
    program = pp.export.lower(pp.export.export(lambda x: F.softmax(x * 2, -1), (tensor(3, 4),)))
    (node, final) = program.graph.nodes
    assert node.args[1][0].memory.buffer.storage == "INPUT" and final.outputs[0].memory.buffer.storage == "OUTPUT"
    with pp.runtime.load(program.to_bytes(), threads=threads) as session:
        x, out = array(3, 4), np.empty((3, 4), "f4")
        assert session.method("forward")(x, out=out) is out
        close([out], eager(lambda t: F.softmax(t * 2, -1), [x]))


def test_an_output_that_is_read_again_and_one_returned_twice() -> None:
    def f(x: Tensor) -> Any:
        y = pp.exp(x)
        return y, y.sum(1), y, y * 2

    program = lowered(f, (3, 4))
    assert ops_of(program.graph).count("move") == 1, "the second time it is copied"


# -- stride arithmetic ------------------------------------------------------------------------------


def addresses(shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    found = np.zeros(shape, int)
    for axis, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        found = found + (np.arange(size) * stride).reshape([-1 if i == axis else 1 for i in range(len(shape))])
    return found


@pytest.mark.parametrize("shape, strides, new, possible", [
    ((2, 3, 4), (12, 4, 1), (6, 4), True), ((2, 3, 4), (12, 4, 1), (2, 12), True),
    ((2, 3, 4), (12, 4, 1), (3, 2, 4), True),
    ((2, 3, 4), (16, 4, 1), (2, 12), True), ((2, 3, 4), (16, 4, 1), (6, 4), False), ((3, 4), (1, 3), (12,), False),
    ((4, 3), (1, 4), (2, 2, 3), True), ((1, 4), (99, 2), (4, 1, 1), True), ((2, 2), (0, 0), (4,), True),
    ((2, 6), (6, 1), (2, 2, 3), True),
    ((2, 1, 3), (3, 7, 1), (6,), True), ((4,), (2,), (2, 2), True), ((1, 1), (1, 1), (), True),
    ((), (), (1, 1), True), ((8, 3), (6, 2), (4, 6), True),
])  # fmt: skip
def test_view_strides(shape: Any, strides: Any, new: Any, possible: bool) -> None:
    found = view_strides(shape, strides, new)
    assert (found is not None) is possible
    if found is not None:
        assert np.array_equal(addresses(new, found).reshape(-1), addresses(shape, strides).reshape(-1))


def test_view_strides_with_symbols() -> None:
    n, m = symbol("n", 4), symbol("m", 6)
    assert view_strides((n, m, 4), dense_strides((n, m, 4)), (n * m, 4)) == (4, 1)
    found = view_strides((n, 4 * m), dense_strides((n, 4 * m)), (n, m, 4))
    assert found is not None and same_strides((n, m, 4), found, (4 * m, 4, 1))
    assert view_strides((n, 4), (8, 1), (4 * n,)) is None


def test_channels_last_strides() -> None:
    assert channels_last_strides((2, 3, 4, 5), 8) == (160, 1, 40, 8)
    assert is_dense((1, 5), (77, 1)) and not is_dense((2, 5), (77, 1)) and is_dense((), ())
