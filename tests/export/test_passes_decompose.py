"""decompose: composites become what lowering knows, under the lines of the operators they come from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from road import array, close, ops_of, tensor

import pappus as pp
from pappus.export import Dim, UnsupportedOperators
from pappus.export.ir.graph import Graph
from pappus.export.ir.interpret import interpret
from pappus.export.ir.verifier import GraphError, verify
from pappus.export.passes.decompose import decompose
from pappus.export.passes.expansions import EXPANSIONS
from pappus.frontend.nn.module import Module
from pappus.frontend.opdef import OPS
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


def decomposed(graph: Graph, keep: Any = lambda op: False, expansions: Any = None) -> Graph:
    after = decompose(graph.copy(), keep, expansions)
    verify(after, "decompose")
    return after


def test_everything_becomes_primitives_and_stays_equal() -> None:
    def f(x: Tensor) -> Any:
        y = F.gelu(F.linear(x, tensor(6, 4)))
        return (
            F.layer_norm(y, (6,)),
            pp.softmax(y, -1),
            pp.logsumexp(y, 1),
            F.scaled_dot_product_attention(*(y.view(1, 1, 3, 6),) * 3),
        )

    graph = pp.export.export(f, (tensor(3, 4),)).graph
    after = decomposed(graph)
    assert all(OPS[n.op].decompose is None for n in after.nodes)
    close(interpret(after, [array(3, 4)]), interpret(graph, [array(3, 4)]), 1e-5)
    assert [v.name for v in after.outputs] == [v.name for v in graph.outputs]


def test_nested_composites_and_what_is_kept() -> None:
    graph = pp.export.export(lambda x: F.cross_entropy(x, pp.tensor([1, 0])), (tensor(2, 3),)).graph
    assert ops_of(graph) == ["cross_entropy"]
    some = ops_of(decomposed(graph, lambda op: op == "log_softmax"))
    assert "log_softmax" in some and "exp" not in some
    assert "log_softmax" not in ops_of(decomposed(graph))


def test_lines_and_modules_are_those_of_the_composite() -> None:
    class Block(Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.gelu(x)

    class Net(Module):
        def __init__(self) -> None:
            super().__init__()
            self.block = Block()

        def forward(self, x: Tensor) -> Tensor:
            return self.block(x)

    graph = pp.export.export(Net(), (tensor(3),)).graph
    (node,) = graph.nodes
    after = decomposed(graph)
    assert len(after.nodes) > 3 and {(n.location, n.module) for n in after.nodes} == {(node.location, "block")}


def test_dynamic_sizes_survive() -> None:
    graph = pp.export.export(
        lambda x: (F.layer_norm(x, (4,)), x.var(0)), (tensor(3, 4),), dynamic_shapes={"x": {0: Dim("n", max=9)}}
    ).graph
    after = decomposed(graph)
    for n in (1, 2, 7):
        with np.errstate(all="ignore"):
            close(interpret(after, [array(n, 4)]), interpret(graph, [array(n, 4)]), 1e-5)


def test_an_identity_decomposition_maps_to_its_operand() -> None:
    op = OPS["adaptive_avg_pool2d"]
    graph = pp.export.export(lambda x: op(x, 4) + x, (tensor(1, 2, 4, 4),)).graph
    close(interpret(decomposed(graph), [array(1, 2, 4, 4)]), [array(1, 2, 4, 4) * 2], 1e-6)


def test_a_wrong_decomposition_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = pp.export.export(lambda x: F.silu(x), (tensor(3),)).graph
    monkeypatch.setattr(OPS["silu"], "decompose", lambda x: x.to(pp.float64))
    with pytest.raises(
        GraphError, match=r"the decomposition of silu at .* gives float64 of rank 1, its shape rule float32"
    ):
        decompose(graph.copy(), lambda op: False)


# -- the exporter's own expansions ------------------------------------------------------------------


@pytest.mark.parametrize("f, shape", [
    (lambda x: x.cumsum(1), (2, 9)), (lambda x: x.cumsum(0), (1, 3)), (lambda x: x.cumprod(-2), (2, 5, 3)),
    (lambda x: x.long().cumsum(0), (7,)),
    (lambda x: F.conv_transpose2d(x, tensor(3, 2, 3, 2), tensor(2), (2, 3), (1, 0), (1, 2)), (2, 3, 4, 5)),
    (lambda x: F.conv_transpose2d(x, tensor(4, 3, 3, 3), None, 2, 1, 1, 2, 2), (1, 4, 3, 4)),
    (lambda x: F.conv_transpose1d(x, tensor(3, 2, 4), None, 2, 3), (1, 3, 6)),
    (lambda x: F.interpolate(x, size=(5, 9), mode="bilinear"), (1, 2, 3, 4)),
    (lambda x: F.interpolate(x, size=(2, 3), mode="bilinear", align_corners=True), (1, 2, 5, 7)),
])  # fmt: skip
def test_expansions_equal_the_operators(f: Any, shape: tuple[int, ...]) -> None:
    graph = pp.export.export(f, (tensor(*shape),)).graph
    after = decomposed(graph, lambda op: True, EXPANSIONS)
    assert not {n.op for n in after.nodes} & {"cumsum", "cumprod", "upsample_bilinear2d"}
    assert not any(n.attrs.get("transposed") for n in after.nodes)
    close(interpret(after, [array(*shape)]), interpret(graph, [array(*shape)]), 1e-5)


@pytest.mark.parametrize("f, why", [
    (lambda x: x.cumsum(0), "a running sum or product along a dynamic dimension"),
    (lambda x: F.interpolate(x.view(1, 1, -1, 4), size=(33, 8), mode="nearest"), "needs a whole factor"),
    (lambda x: F.interpolate(x.view(1, 1, -1, 4), size=(3, 3), mode="bilinear"), "bilinear resizing needs image sizes"),
])  # fmt: skip
def test_what_cannot_be_expanded_says_why(f: Any, why: str) -> None:
    ep = pp.export.export(f, (tensor(8, 4),), dynamic_shapes={"x": {0: Dim("n", min=2)}}, check="off")
    with pytest.raises(UnsupportedOperators, match=rf"test_passes_decompose\.py:\d+: .*{why}"):
        pp.export.lower(ep)


def test_dump_after_sees_every_pass() -> None:
    seen: list[str] = []
    ep = pp.export.export(lambda x: F.gelu(x), (tensor(3),))
    pp.export.lower(ep, dump_after=lambda name, graph: seen.append(name))
    assert seen[0] == "remove_identities" and seen[-1] == "dead_code" and "decompose" in seen
