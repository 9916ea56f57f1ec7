"""Grouping into instructions: epilogues, elementwise groups, what must stay apart."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest
from road import array, close, eager, ops_of, run, same, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.lower.fuse import MAX_GROUP, fuse
from pappus.frontend.tensor import Tensor

F = pp.nn.functional
CONV, SAME, DENSE, BIAS = tensor(8, 3, 3, 3), tensor(8, 8, 3, 3, seed=1), tensor(6, 8, seed=2), tensor(8, seed=3)
STATS = (tensor(8, seed=4), tensor(8, seed=5).abs() + 0.5, tensor(8, seed=6), tensor(8, seed=7))


def norm(x: Tensor) -> Tensor:
    return F.batch_norm(x, *STATS)


def instructions(f: Any, *shapes: tuple[int, ...], **options: Any) -> list[Any]:
    """The instructions of a function, which was compared with eager."""
    return list(same(f, [array(*s, seed=i) for i, s in enumerate(shapes)], 1e-5, **options).graph.nodes)


def test_conv_norm_relu_add_is_one_instruction() -> None:
    (node,) = instructions(lambda x, r: F.relu(norm(F.conv2d(x, CONV, padding=1)) + r), (2, 3, 6, 6), (2, 8, 6, 6))
    assert node.op == "k.conv2d" and node.attrs["fused"] == ("convolution", "add", "relu")
    args, program_args = node.args
    assert args[3] is not None and not program_args and node.attrs["program"] is None, "residual and clamp are native"
    assert node.attrs["floats"] == (0.0, math.inf)


@pytest.mark.parametrize("act, floats, program", [
    (F.relu, (0, math.inf), False), (F.relu6, (0, 6), False), (lambda x: x.clamp(-1, 2), (-1, 2), False),
    (lambda x: x.clamp(max=2), (-math.inf, 2), False), (F.silu, (-math.inf, math.inf), True),
    (F.gelu, (-math.inf, math.inf), True),
    (lambda x: F.hardswish(F.relu(x)), (0, math.inf), True),
    (lambda x: pp.tanh(x) * 2 + 1, (-math.inf, math.inf), True),
    (lambda x: F.relu(F.relu6(x)), (0, 6), True),
])  # fmt: skip
def test_activations_are_epilogues(act: Any, floats: Any, program: bool) -> None:
    for f, shape in ((lambda x: act(F.conv2d(x, CONV)), (1, 3, 5, 5)), (lambda x: act(F.linear(x, DENSE)), (3, 8))):
        (node,) = instructions(f, shape)
        assert node.attrs["floats"] == floats and (node.attrs["program"] is not None) is program


def test_order_of_residual_and_clamp_is_kept() -> None:
    (node,) = instructions(lambda x, r: F.relu(F.linear(x, DENSE)) + r, (3, 8), (3, 6))
    assert node.attrs["floats"] == (0.0, math.inf) and node.args[0][3] is None and node.attrs["program"] is not None
    (node,) = instructions(lambda x, r: r - F.linear(x, DENSE), (3, 8), (3, 6))
    assert node.args[0][3] is None and node.attrs["program"] is not None
    (node,) = instructions(lambda x: F.linear(x, DENSE) + F.linear(x, DENSE, tensor(6)), (3, 8))[1:]
    assert node.args[0][3] is not None


def test_a_product_added_to_itself_is_no_residual() -> None:
    def f(x: Tensor) -> Tensor:
        y = F.linear(x, DENSE)
        return y + y

    (node,) = instructions(f, (3, 8))
    assert node.args[0][3] is None and node.attrs["program"] is not None


def test_broadcast_epilogue_operands() -> None:
    row, column = tensor(6), tensor(3, 1)
    (node,) = instructions(lambda x, s: (F.linear(x, DENSE) * row + column) * s, (3, 8), ())
    assert node.op == "k.gemm" and len(node.args[1]) == 3


def two_readers(x: Tensor) -> Any:
    y = F.linear(x, DENSE)
    return F.relu(y), y


def test_a_result_with_other_readers_is_not_consumed() -> None:
    assert [n.op for n in instructions(two_readers, (3, 8))] == ["k.gemm", "k.pointwise"]
    assert "not fused: relu (" in pp.export.lower(pp.export.export(two_readers, (tensor(3, 8),))).report()


def test_shapes_that_differ_stay_apart() -> None:
    nodes = instructions(lambda x: F.linear(x, DENSE) + pp.zeros(4, 3, 6), (3, 8))
    assert [n.op for n in nodes] == ["k.gemm", "k.pointwise"]


def test_other_types_stay_apart() -> None:
    nodes = instructions(lambda x: F.linear(x, DENSE).to(pp.int32) + 1, (3, 8))
    assert [n.op for n in nodes] == ["k.gemm", "k.pointwise"]
    nodes = instructions(lambda x: F.linear(x, DENSE) > 0, (3, 8))
    assert [n.op for n in nodes] == ["k.gemm", "k.pointwise"]


def test_the_later_of_two_products_takes_the_group() -> None:
    def gate(x: Tensor) -> Tensor:
        return F.silu(F.linear(x, DENSE)) * F.linear(x, DENSE * 2)

    nodes = instructions(gate, (3, 8))
    assert [n.op for n in nodes] == ["k.gemm", "k.gemm"]
    assert nodes[0].attrs["fused"] == ("linear",) and "mul" in nodes[1].attrs["fused"]


def test_elementwise_dags_are_one_instruction() -> None:
    def f(x: Tensor, y: Tensor) -> Tensor:
        a = pp.exp(x) + y
        b = pp.where(a > 1, a * y, a - x)
        return b / (1 + a * a)

    (node,) = instructions(f, (4, 5), (5,))
    assert node.op == "k.pointwise" and len(node.args[1]) == 2


def test_groups_end_where_a_value_is_read_outside() -> None:
    def f(x: Tensor) -> Any:
        a = pp.exp(x) * 2
        return a.sum(0), a + 1

    assert ops_of(same(f, [array(3, 4)]).graph).count("pointwise") == 2


def test_a_group_around_another_instruction_makes_no_cycle() -> None:
    def f(x: Tensor) -> Tensor:
        a = pp.exp(x)
        b = F.softmax(a, -1)
        return a * b + a

    assert ops_of(same(f, [array(3, 4)]).graph) == ["pointwise", "softmax", "pointwise"]

    def g(x: Tensor) -> Tensor:
        y = F.linear(x, tensor(8, 8))
        z = F.softmax(y * 2, -1)
        return y + z

    same(g, [array(3, 8)])


def test_reductions_and_views_separate_groups() -> None:
    assert ops_of(same(lambda x: (x - x.mean(1, keepdim=True)).abs().t() + 1, [array(3, 4)]).graph) == [
        "reduce",
        "pointwise",
        "pointwise",
    ]


def test_fusion_can_be_switched_off() -> None:
    f = lambda x: F.relu(F.linear(x, DENSE)) * 2 + 1  # noqa: E731
    ep = pp.export.export(f, (tensor(3, 8),))
    program = pp.export.lower(ep, fuse_pointwise=False)
    assert ops_of(program.graph) == ["gemm", "pointwise", "pointwise", "pointwise"]
    close(run(program, [array(3, 8)]), eager(f, [array(3, 8)]), 1e-5)
    assert len(fuse(ep.graph, False)) == len(ep.graph.nodes)


def test_vectors_and_batches() -> None:
    w, v = tensor(8, 6), tensor(8)
    for f, shape in [
        (lambda x: F.relu(x @ w), (8,)), (lambda x: x @ v + 1, (3, 8)), (lambda x: (x @ v) * 2, (8,)),
        (lambda x: F.relu(F.linear(x, DENSE)), (8,)),
        (lambda x: F.gelu(x @ w), (2, 3, 8)), (lambda x: F.relu(x @ x.transpose(1, 2)) + 1, (2, 3, 8)),
        (lambda x: w.t() @ x, (2, 8, 3)),
        (lambda x: F.linear(x, DENSE, tensor(6)) + tensor(6), (2, 3, 4, 8)),
    ]:  # fmt: skip
        assert ops_of(same(f, [array(*shape)], 1e-5).graph).count("pointwise") == 0, shape


def test_in_place_groups_are_noted() -> None:
    def f(x: Tensor) -> Tensor:
        y = F.softmax(x, -1)
        return F.softmax(y * 2 + 1, -1)

    program = same(f, [array(3, 4)], sizes=[[array(9, 4)]], dynamic_shapes={"x": {0: Dim("n", max=9)}})
    assert "in place: add over softmax" in program.report()
    assert program.methods[0].plan.arena == 64


def test_long_chains_are_cut_and_lowered_in_time() -> None:
    def f(x: Tensor) -> Tensor:
        for i in range(500):
            x = pp.tanh(x * 1.01 + 0.001 * i)
        return x

    ep = pp.export.export(f, (tensor(4),))
    start = time.perf_counter()
    program = pp.export.lower(ep)
    # Linear growth takes well under a second; trying every prefix took minutes.
    assert time.perf_counter() - start < 20
    assert all(len(n.attrs["fused"]) <= MAX_GROUP for n in program.graph.nodes) and len(program.graph.nodes) == 8
    close(run(program, [array(4)]), eager(f, [array(4)]), 1e-5)
