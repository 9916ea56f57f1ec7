"""One broken graph per rule of the verifier, refused by that rule."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from pappus.export.ir.graph import Graph, Node, StateInfo, Value
from pappus.export.ir.verifier import GraphError, verify
from pappus.frontend import dtypes
from pappus.frontend.symbolic import symbol

F32 = dtypes.float32


def good() -> Graph:
    """x -> relu -> add a constant; one state."""
    graph = Graph("g")
    n = symbol("n", 4)
    graph.symbols.append(n.as_symbol())  # type: ignore[arg-type]
    graph.inputs.append(Value(graph.fresh_name("x"), F32, (n, 3)))
    relu = graph.add("relu", (graph.inputs[0],), {}, [(F32, (n, 3))], "model.py:7")
    c = Value(graph.fresh_name("c"), F32, (3,), constant=np.ones(3, "f4"))
    add = graph.add("add", (relu.output, c), {}, [(F32, (n, 3))], "model.py:8")
    graph.states["s"] = StateInfo("s", F32, (3,), np.zeros(3, "f4"))
    graph.nodes.append(Node("state_write", (c,), {"name": "s"}))
    graph.outputs, graph.output_names = [add.output], ["output"]
    return graph


def test_the_good_graph_passes() -> None:
    verify(good())


def twice_named(g: Graph) -> None:
    g.nodes[1].output.name = "relu"


def constant_shape(g: Graph) -> None:
    g.nodes[1].inputs[1].shape = (4,)


def undeclared_symbol(g: Graph) -> None:
    g.symbols.clear()


def produced_input(g: Graph) -> None:
    g.inputs[0].producer = g.nodes[0]


def unknown_operator(g: Graph) -> None:
    g.nodes[0].op = "frobnicate"


def read_before(g: Graph) -> None:
    g.nodes[0], g.nodes[1] = g.nodes[1], g.nodes[0]


def undeclared_state(g: Graph) -> None:
    g.states.clear()


def written_twice(g: Graph) -> None:
    g.nodes.append(Node("state_write", g.nodes[2].args, {"name": "s"}))


def defined_twice(g: Graph) -> None:
    g.nodes[1].outputs = g.nodes[0].outputs


def no_back_pointer(g: Graph) -> None:
    g.nodes[0].output.producer = None


def constant_result(g: Graph) -> None:
    value = Value("k", F32, (3,), g.nodes[0], np.ones(3, "f4"))
    g.nodes[0].outputs = [value]
    g.nodes[1].args = (value, value)


def undefined_output(g: Graph) -> None:
    g.outputs = [Value("ghost", F32, (3,))]


def unnamed_output(g: Graph) -> None:
    g.output_names = []


@pytest.mark.parametrize("break_it, text", [
    (twice_named, "two values are named %relu"), (constant_shape, "constant %c has shape"),
    (undeclared_symbol, "%x uses undeclared dimension n"), (produced_input, "input %x has a producer"),
    (unknown_operator, r"unknown operator frobnicate \[frobnicate at model.py:7\]"),
    (read_before, "%relu is read before it is defined"),
    (undeclared_state, "state s is not declared"), (written_twice, "state s is written twice"),
    (defined_twice, "%relu is defined twice"), (no_back_pointer, "%relu does not point back"),
    (constant_result, "%k is a constant and has a producer"), (undefined_output, "output %ghost is not defined"),
    (unnamed_output, "outputs and their names differ in number"),
])  # fmt: skip
def test_rule(break_it: Callable[[Graph], None], text: str) -> None:
    graph = good()
    break_it(graph)
    with pytest.raises(GraphError, match="after my_pass: " + text):
        verify(graph, after="my_pass")
