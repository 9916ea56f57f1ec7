"""dead_code, common_subexpressions, remove_identities, fold_pad: where they apply, where they must not, same
numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
from road import Array, array, close, ops_of, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.ir.graph import Graph
from pappus.export.ir.interpret import interpret
from pappus.export.ir.verifier import verify
from pappus.export.passes.common_subexpressions import common_subexpressions
from pappus.export.passes.dead_code import dead_code
from pappus.export.passes.fold_pad import fold_pad, pads_of
from pappus.export.passes.remove_identities import remove_identities
from pappus.frontend.tensor import Tensor


def passed(run: Callable[[Graph], Graph], f: Callable[..., Any], inputs: Sequence[Array], **options: Any) -> list[str]:
    """The operators after the pass, having checked the graph and its numbers."""
    graph = pp.export.export(f, [Tensor._from_data(a) for a in inputs], **options).graph
    wanted = interpret(graph, inputs)
    after = run(graph.copy())
    verify(after, run.__name__)
    close(interpret(after, inputs), wanted, 1e-6)
    return ops_of(after)


def dead(x: Tensor) -> Any:
    pp.sort(x)
    y = pp.relu(x)
    z = y + 1
    _ = z * pp.exp(x)
    values, _ = pp.sort(y)
    return y, values


def test_dead_code() -> None:
    assert passed(dead_code, dead, [array(3, 4)]) == ["relu", "sort"]


def test_dead_code_keeps_state_writes_and_what_they_need() -> None:
    total = pp.zeros(3)

    def f(x: Tensor) -> Tensor:
        total.add_(x * 2)
        return x * 1

    graph = dead_code(pp.export.export(f, (tensor(3),)).graph.copy())
    verify(graph)
    assert [n.op for n in graph.nodes if n.op != "clone"] == ["state_read", "mul", "add", "mul", "state_write"]


# -- common subexpressions ------------------------------------------------------------------------


def equal(x: Tensor) -> Any:
    a, b = pp.exp(x) * 2.0, pp.exp(x) * 2.0
    return a + b, pp.sum(x, 1) - pp.sum(x, 1), pp.zeros(3) + x[0], pp.zeros(3) * x[0]


def test_equal_things_are_computed_once() -> None:
    found = passed(lambda g: dead_code(common_subexpressions(g)), equal, [array(2, 3)])
    assert found.count("exp") == 1 and found.count("sum") == 1 and found.count("full") == 1 and found.count("mul") == 2


def different(x: Tensor) -> Any:
    return (
        pp.sum(x, 0, True), pp.sum(x, 0, False), x * 2, x * 2.5, x + 1, x + 1.5,
        x.to(pp.int32) + 1, x.to(pp.int64) + 1, pp.sort(x)[0], pp.sort(x, 0)[0],
    )  # fmt: skip


def test_things_that_differ_are_kept() -> None:
    before = ops_of(pp.export.export(different, (tensor(3, 3),)).graph)
    assert passed(common_subexpressions, different, [array(3, 3)]) == before


def test_random_numbers_are_drawn_each_time() -> None:
    graph = pp.export.export(lambda x: x + pp.rand(3) + pp.rand(3), (tensor(3),)).graph
    node = next(n for n in graph.nodes if n.op == "rand")
    twin = graph.add("rand", (), dict(node.attrs), [(node.output.dtype, node.output.shape)])
    graph.nodes.remove(twin)
    graph.nodes.insert(0, twin)
    graph.outputs, graph.output_names = [*graph.outputs, twin.output], ["output", "twin"]
    assert ops_of(common_subexpressions(graph)).count("rand") == 3


def test_large_constants_with_equal_bytes_are_not_compared() -> None:
    a, b = pp.ones(100), pp.ones(100)  # two tensors: they are stored once anyway, by the constant pool
    assert passed(common_subexpressions, lambda x: (x * a, x * b), [array(100)]) == ["mul", "mul"]
    assert passed(common_subexpressions, lambda x: (x * a, x * a), [array(100)]) == ["mul"]


def test_symbolic_attributes_are_compared_by_value() -> None:
    def f(x: Tensor) -> Any:
        n = x.shape[0]
        return x.reshape(n * 6), x.reshape(6 * n), x.view(n, 3, 2)

    found = passed(common_subexpressions, f, [array(2, 6)], dynamic_shapes={"x": {0: Dim("n")}})
    assert found == ["view", "view"]


# -- identities -----------------------------------------------------------------------------------


def identities(x: Tensor) -> Any:
    y = x.clone().contiguous().view(2, 3).expand(2, 3).permute(0, 1)
    return pp.relu(y), y.t().permute(1, 0).clone() + 0


def test_identities_go() -> None:
    assert passed(remove_identities, identities, [array(2, 3)]) == ["relu", "permute", "permute", "add"]


def kept(x: Tensor) -> Any:
    return x.view(3, 2), x.expand(4, 2, 3), x.permute(1, 0), x.to(pp.float64), x.view(1, 2, 3)


def test_what_changes_anything_stays() -> None:
    assert passed(remove_identities, kept, [array(2, 3)]) == ["view", "expand", "permute", "to_dtype", "view"]


def test_a_removed_result_may_be_an_output() -> None:
    assert passed(remove_identities, lambda x: (x.clone(), x.view(2, 3)), [array(2, 3)]) == []


# -- pads -----------------------------------------------------------------------------------------

WEIGHT, LINE = tensor(4, 3, 3, 3), tensor(4, 3, 3)
F = pp.nn.functional


@pytest.mark.parametrize("pad, padding, wanted", [
    ((1, 1, 1, 1), 0, (1, 1, 1, 1)), ((0, 1, 2, 0), 0, (2, 0, 0, 1)), ((1, 0, 0, 0), (2, 1), (2, 2, 2, 1)),
    ((2, 2), 1, (1, 1, 3, 3)),
])  # fmt: skip
def test_zero_pads_move_into_the_convolution(pad: tuple[int, ...], padding: Any, wanted: tuple[int, ...]) -> None:
    graph = fold_pad(
        pp.export.export(
            lambda x: F.conv2d(F.pad(x, pad), WEIGHT, None, 1, padding), (tensor(1, 3, 6, 7),)
        ).graph.copy()
    )
    graph = dead_code(graph)
    verify(graph)
    (node,) = graph.nodes
    assert node.attrs["padding"] == wanted
    program = pp.export.lower(
        pp.export.export(lambda x: F.conv2d(F.pad(x, pad), WEIGHT, None, 1, padding), (tensor(1, 3, 6, 7),))
    )
    assert ops_of(program.graph) == ["conv2d"]


def test_one_dimensional_pads() -> None:
    graph = dead_code(
        fold_pad(pp.export.export(lambda x: F.conv1d(F.pad(x, (2, 0)), LINE), (tensor(1, 3, 6),)).graph.copy())
    )
    assert graph.nodes[0].attrs["padding"] == (2, 0) and ops_of(graph) == ["convolution"]
    assert (
        pads_of((2, 0), 1) == [(2, 0)] and pads_of(3, 2) == [(3, 3), (3, 3)] and pads_of((1, 2), 2) == [(1, 1), (2, 2)]
    )


@pytest.mark.parametrize("f", [
    lambda x: F.conv2d(F.pad(x, (1, 1), value=1.0), WEIGHT), lambda x: F.conv2d(F.pad(x, (-1, 1)), WEIGHT),
    lambda x: F.conv2d(F.pad(x, (0, 0, 0, 0, 0, 1)), tensor(4, 4, 3, 3)), lambda x: pp.relu(F.pad(x, (1, 1))),
    lambda x: F.conv2d(F.pad(x, (1, 1), mode="reflect"), WEIGHT),
])  # fmt: skip
def test_other_pads_stay(f: Any) -> None:
    before = ops_of(pp.export.export(f, (tensor(1, 3, 6, 7),)).graph)
    assert passed(lambda g: dead_code(fold_pad(g)), f, [array(1, 3, 6, 7)]) == before


def test_a_pad_with_other_readers_stays_for_them() -> None:
    def f(x: Tensor) -> Any:
        y = F.pad(x, (1, 1, 1, 1))
        return F.conv2d(y, WEIGHT), y

    graph = dead_code(fold_pad(pp.export.export(f, (tensor(1, 3, 6, 7),)).graph.copy()))
    assert ops_of(graph) == ["constant_pad_nd", "convolution"] and graph.nodes[1].inputs[0] is graph.inputs[0]


def test_passes_leave_the_exported_program_alone() -> None:
    ep = pp.export.export(equal, (tensor(2, 3),))
    before = str(ep.graph)
    pp.export.lower(ep)
    assert str(ep.graph) == before and np.array_equal(interpret(ep.graph, [array(2, 3)])[1], np.zeros(2))
