"""fold_constants and fold_batch_norm: where they apply, where they must not, same numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from road import array, close, ops_of, run, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.ir.interpret import interpret
from pappus.export.ir.verifier import verify
from pappus.export.passes.fold_batch_norm import fold_batch_norm
from pappus.export.passes.fold_constants import GROWTH_LIMIT, fold_constants
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


def folded(f: Any, *args: Tensor, **options: Any) -> Any:
    """The graph after fold_constants, checked."""
    graph = pp.export.export(f, args, **options).graph
    wanted = interpret(graph, [t._data for t in args])
    after = fold_constants(graph.copy())
    verify(after, "fold_constants")
    close(interpret(after, [t._data for t in args]), wanted, 1e-6)
    return after


def test_what_depends_on_constants_alone_is_computed() -> None:
    w = tensor(3, 4)
    after = folded(lambda x: x @ pp.softmax(w * 2 + 1, 0) + pp.arange(4) * 0.5, tensor(2, 3))
    assert ops_of(after) == ["matmul", "add"] and len(after.constants()) == 2


def test_a_constant_output() -> None:
    after = folded(lambda x: (x, pp.arange(3) + 1), tensor(2))
    assert ops_of(after) == [] and after.outputs[1].constant.tolist() == [1, 2, 3]
    program = pp.export.lower(pp.export.export(lambda x: (x, pp.arange(3) + 1), (tensor(2),)))
    assert run(program, [array(2)])[1].tolist() == [1, 2, 3]


def test_dynamic_sizes_and_random_numbers_are_not_folded() -> None:
    def f(x: Tensor) -> Any:
        return pp.arange(x.shape[0]) + 1, pp.rand(2) + 1

    after = folded(f, tensor(3), dynamic_shapes={"x": {0: Dim("n")}})
    assert ops_of(after) == ["arange", "add", "rand", "add"]


def test_results_that_would_blow_up_the_file_are_not_folded() -> None:
    side = int((GROWTH_LIMIT / 4) ** 0.5)
    assert ops_of(folded(lambda x: x + pp.zeros(side, side), tensor(side, side))) == ["add"]
    large = lambda x: x + pp.full((4 * side, side), 0.5)  # noqa: E731
    assert ops_of(folded(large, tensor(4 * side, side))) == ["full", "add"]
    program = pp.export.lower(pp.export.export(large, (tensor(4 * side, side),)))
    assert len(program.to_bytes()) < 20000 and ops_of(program.graph) == ["pointwise"]


def test_views_of_large_shared_weights_are_not_copied() -> None:
    table = tensor(300, 100)

    def tied(x: Tensor, tokens: Tensor) -> Any:
        return (F.embedding(tokens, table) + x) @ table.t()

    args = (tensor(5, 100), pp.tensor([1, 2, 3, 299, 0]))
    assert ops_of(folded(tied, *args)) == ["embedding", "add", "permute", "matmul"]
    program = pp.export.lower(pp.export.export(tied, args))
    close(run(program, [t._data for t in args]), [tied(*args)._data], 1e-5)
    # One dense for the lookup, one packed for the product, and the report says so.
    sizes = sorted(a.nbytes for a in program.pool.arrays)
    assert sizes == [300 * 100 * 4, 304 * 100 * 4]
    used_alone = folded(lambda x: x @ table.t(), tensor(5, 100))
    assert ops_of(used_alone) == ["matmul"]


def test_one_weight_in_two_arrangements_is_reported() -> None:
    table = tensor(40, 24)
    ep = pp.export.export(
        lambda x, i: F.linear(x, table) + F.embedding(i, table).sum(), (tensor(2, 24), pp.tensor([1]))
    )
    assert "stored in several arrangements: const (DENSE, GEMM_PANEL16)" in pp.export.lower(ep).report()


def test_a_shared_weight_is_stored_once() -> None:
    w = tensor(64, 64)
    program = pp.export.lower(
        pp.export.export(lambda x: F.linear(pp.relu(F.linear(F.linear(x, w), w)), w), (tensor(2, 64),))
    )
    assert [a.nbytes for a in program.pool.arrays] == [64 * 64 * 4]


# -- batch norm -----------------------------------------------------------------------------------

STATS = {
    "mean": tensor(8, seed=1),
    "var": tensor(8, seed=2).abs() + 0.3,
    "gamma": tensor(8, seed=3),
    "beta": tensor(8, seed=4),
}


def norm(x: Tensor, training: bool = False, affine: bool = True) -> Tensor:
    return F.batch_norm(
        x, STATS["mean"], STATS["var"], *((STATS["gamma"], STATS["beta"]) if affine else (None, None)), training
    )


CONV, GROUPED, DEPTH, LINE = tensor(8, 3, 3, 3), tensor(8, 2, 3, 3), tensor(8, 1, 3, 3), tensor(8, 3, 3)
UP, UP_GROUPED, DENSE = tensor(3, 8, 2, 2), tensor(4, 4, 3, 3), tensor(8, 5)
BIAS = tensor(8, seed=9)


@pytest.mark.parametrize("f, shape", [
    (lambda x: norm(F.conv2d(x, CONV, BIAS)), (2, 3, 6, 6)), (lambda x: norm(F.conv2d(x, CONV)), (2, 3, 6, 6)),
    (lambda x: norm(F.conv2d(x, CONV), affine=False), (2, 3, 6, 6)),
    (lambda x: norm(F.conv2d(x, GROUPED, BIAS, groups=4)), (2, 8, 6, 6)),
    (lambda x: norm(F.conv2d(x, DEPTH, groups=8)), (2, 8, 6, 6)), (lambda x: norm(F.conv1d(x, LINE)), (2, 3, 6)),
    (lambda x: norm(F.conv_transpose2d(x, UP, BIAS, 2)), (2, 3, 4, 5)),
    (lambda x: norm(F.conv_transpose2d(x, UP_GROUPED, None, 1, 1, groups=2)), (2, 4, 4, 5)),
    (lambda x: norm(F.linear(x, DENSE, BIAS)), (3, 5)), (lambda x: norm(F.linear(x, DENSE)), (3, 5)),
])  # fmt: skip
def test_batch_norms_are_folded(f: Any, shape: tuple[int, ...]) -> None:
    graph = pp.export.export(f, (tensor(*shape),)).graph
    wanted = interpret(graph, [array(*shape)])
    name = graph.outputs[0].name
    after = fold_batch_norm(graph.copy())
    verify(after, "fold_batch_norm")
    assert "batch_norm" not in ops_of(after) and len(after.nodes) == len(graph.nodes) - 1
    close(interpret(after, [array(*shape)]), wanted, 1e-5)
    assert after.outputs[0].name == name, "compare finds the value by the batch norm's name"
    close(run(pp.export.lower(pp.export.export(f, (tensor(*shape),))), [array(*shape)]), wanted, 1e-5)


def two_readers(x: Tensor) -> Any:
    y = F.conv2d(x, CONV)
    return norm(y), y


@pytest.mark.parametrize("f, args", [
    (two_readers, (tensor(2, 3, 6, 6),)), (lambda x: norm(pp.relu(F.conv2d(x, CONV))), (tensor(2, 3, 6, 6),)),
    (lambda x: norm(x), (tensor(2, 8, 6, 6),)), (lambda x, w: norm(F.conv2d(x, w)), (tensor(2, 3, 6, 6), CONV)),
    (lambda x: norm(F.linear(x, DENSE)), (tensor(2, 8, 5),)),
    (lambda x: F.batch_norm(F.conv2d(x, CONV), None, None, training=True), (tensor(2, 3, 6, 6),)),
])  # fmt: skip
def test_other_batch_norms_stay_and_compute(f: Any, args: Any) -> None:
    graph = pp.export.export(f, args).graph
    assert ops_of(fold_batch_norm(graph.copy())) == ops_of(graph)
    wanted = interpret(graph, [t._data for t in args])
    close(run(pp.export.lower(pp.export.export(f, args)), [t._data for t in args]), wanted, 1e-5)


def test_fold_is_computed_in_float64() -> None:
    small = {"mean": pp.full((8,), 1000.0), "var": pp.full((8,), 1e-6)}
    f = lambda x: F.batch_norm(F.conv2d(x, CONV), small["mean"], small["var"])  # noqa: E731
    graph = fold_batch_norm(pp.export.export(f, (tensor(1, 3, 4, 4),)).graph.copy())
    bias = graph.nodes[0].inputs[2].constant
    exact = -1000.0 / np.sqrt(np.float64(np.float32(1e-6)) + 1e-5)
    assert np.allclose(bias, exact, rtol=1e-7)
