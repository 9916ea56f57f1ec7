"""The graph classes: names, uses, replacement, copies, interpretation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from road import array, close, eager, ops_of, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.ir.graph import Graph, Node, Value, map_args
from pappus.export.ir.interpret import bind_symbols, evaluate_attr, interpret
from pappus.export.ir.verifier import verify
from pappus.frontend import dtypes
from pappus.frontend.errors import PappusError
from pappus.frontend.symbolic import symbol
from pappus.frontend.tensor import Tensor

F32 = dtypes.float32


def small() -> Graph:
    def f(x: Tensor, y: Tensor) -> Any:
        h = pp.relu(x) + y
        return pp.cat([h, x], 0) * 2, h

    return pp.export.export(f, (tensor(2, 3), tensor(3))).graph


def test_names_are_fresh_even_against_given_ones() -> None:
    graph = Graph("g")
    assert [graph.fresh_name(n) for n in ("a", "a", "a_1", "a", "a_1_1")] == ["a", "a_1", "a_1_1", "a_2", "a_1_1_1"]


def test_inputs_of_a_node_are_flat_without_gaps() -> None:
    a, b = Value("a", F32, (1,)), Value("b", F32, (1,))
    node = Node("cat", ((a, None, b), None, a), {})
    assert node.inputs == [a, b, a]
    doubled = map_args(node.args, lambda v: b if v is a else v)
    assert doubled == ((b, None, b), None, b)
    with pytest.raises(ValueError):
        _ = Node("sort", (), {}, [a, b]).output


def test_uses_count_every_reading_and_outputs() -> None:
    graph = small()
    uses = graph.uses()
    x = graph.inputs[0]
    assert [n.op if n else None for n in uses[x]] == ["relu", "cat"]
    h = next(n for n in graph.nodes if n.op == "add").output
    assert [n.op if n else None for n in uses[h]] == ["cat", None]


def test_replace_follows_chains_into_lists_and_outputs() -> None:
    graph = small()
    x, h = graph.inputs[0], next(n for n in graph.nodes if n.op == "add").output
    other = graph.add("neg", (x,), {}, [(F32, h.shape)]).output
    third = graph.add("neg", (x,), {}, [(F32, h.shape)]).output
    graph.replace({h: other, other: third})
    assert graph.outputs[1] is third
    assert next(n for n in graph.nodes if n.op == "cat").inputs[0] is third


def test_copy_is_independent_and_equal() -> None:
    graph = small()
    before, twin = str(graph), graph.copy()
    assert str(twin) == before
    verify(twin)
    twin.nodes[0].attrs["new"] = 1
    twin.nodes.pop()
    twin.fresh_name("relu")
    assert str(graph) == before and not {id(n) for n in twin.nodes} & {id(n) for n in graph.nodes}
    assert all(v.producer is n for n in twin.nodes for v in n.outputs)


def test_constants_are_listed_once_in_order_of_use() -> None:
    a, b = tensor(3), tensor(3, seed=1)
    graph = pp.export.export(lambda x: (x * b + a) * b, (tensor(3),)).graph
    assert [np.array_equal(c.constant, t._data) for c, t in zip(graph.constants(), (b, a), strict=True)] == [True, True]


def test_interpret_equals_eager_and_shows_every_value() -> None:
    def f(x: Tensor, y: Tensor) -> Any:
        return pp.softmax(pp.relu(x) @ y, -1)

    graph = pp.export.export(f, (tensor(4, 3), tensor(3, 2))).graph
    seen: dict[str, Any] = {}
    found = interpret(graph, [array(4, 3), array(3, 2)], watch=lambda v, a: seen.update({v.name: a}))
    close(found, eager(f, [array(4, 3), array(3, 2)]))
    assert list(seen) == ["relu", "matmul", "softmax"] and np.array_equal(seen["relu"], np.maximum(array(4, 3), 0))


def test_binding_refuses_what_does_not_fit() -> None:
    n = Dim("n", max=9)
    graph = pp.export.export(
        lambda x, y: (x + 1, y), (tensor(4, 2), tensor(4)), dynamic_shapes={"x": {0: n}, "y": {0: n}}
    ).graph
    assert bind_symbols(graph, [array(7, 2), array(7)]) == {"n": 7}
    for arrays, text in [
        ([array(7, 2)], "takes 2 inputs, got 1"),
        ([array(7), array(7)], r"input 'x': expected 2 dimensions, got shape \(7,\)"),
        ([array(7, 3), array(7)], "input 'x': dim 1 is 3, the program needs 2"),
        ([array(7, 2), array(6)], r"input 'y': dim 0 is 6, the program needs 7 \(n\)"),
        ([array(10, 2), array(10)], r"dim 0 \(n\) is 10, the program allows 1..9"),
    ]:
        with pytest.raises(PappusError, match=text):
            bind_symbols(graph, arrays)


def test_attributes_are_evaluated_inside_lists() -> None:
    n = symbol("n", 3)
    assert evaluate_attr([n * 2, (n, "x"), None], lambda s: 5) == [10, (5, "x"), None]


def test_state_is_read_before_and_written_after() -> None:
    graph = Graph("g")
    from pappus.export.ir.graph import StateInfo

    graph.states["s"] = StateInfo("s", F32, (2,), np.zeros(2, "f4"))
    read = Node("state_read", (), {"name": "s"}, [Value("old", F32, (2,))])
    read.output.producer = read
    graph.nodes.append(read)
    one = Value("one", F32, (2,), constant=np.ones(2, "f4"))
    new = graph.add("add", (read.output, one), {}, [(F32, (2,))])
    graph.nodes.append(Node("state_write", (new.output,), {"name": "s"}))
    graph.outputs, graph.output_names = [read.output], ["old"]
    verify(graph)
    state = {"s": np.zeros(2, "f4")}
    assert [interpret(graph, [], state)[0].tolist() for _ in range(3)] == [[0, 0], [1, 1], [2, 2]]
    assert interpret(graph, [])[0].tolist() == [0, 0], "without a state dict every run starts at the initial value"


def test_signature_and_state_dict() -> None:
    w = tensor(3)
    ep = pp.export.export(lambda x: x * w, (tensor(3),))
    signature = ep.graph_signature
    assert (signature.user_inputs, signature.user_outputs, signature.parameters, signature.states) == (
        ("x",),
        ("output",),
        (),
        (),
    )
    assert list(ep.state_dict) == ["const"] and ops_of(ep.graph) == ["mul"]
