"""The printed graph: readable, complete, with the user's lines."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
from road import line_of, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.ir.graph import Node, Value
from pappus.export.ir.printer import format_node, format_type
from pappus.frontend import dtypes
from pappus.frontend.symbolic import symbol
from pappus.frontend.tensor import Tensor


def model(x: Tensor) -> Any:
    h = pp.nn.functional.linear(x, WEIGHT)
    h = h.to(pp.float64)
    if x.shape[0] < 100:
        h = h * 2.0
    return pp.cat([h, h], 1)


WEIGHT = tensor(4, 3)


def test_whole_graph() -> None:
    graph = pp.export.export(
        model, (tensor(2, 3),), dynamic_shapes={"x": {0: Dim("batch", max=64, multiple_of=2)}}
    ).graph
    lines = str(graph).splitlines()
    assert lines[0] == "graph forward(%x: float32[batch, 3]) {"
    assert lines[1] == "  dim batch in [1, 64] multiple of 2, 2 in the example"
    assert not [line for line in lines if "guard" in line], "batch <= 64 needs no guard"
    assert "  constant %const: float32[4, 3]" in lines
    text = "\n".join(lines)
    assert re.search(
        rf"%linear: float32\[batch, 4\] = linear\(%x, %const, none\) +# \S*test_printer\.py:{line_of(model, 'linear')}",
        text,
    )
    assert re.search(r"%to_dtype: float64\[batch, 4\] = to_dtype\(%linear, dtype=float64\)", text)
    assert re.search(r"%mul: float64\[batch, 4\] = mul\(%to_dtype, 2\.0\)", text)
    assert re.search(r"%cat: float64\[batch, 8\] = cat\(\(%mul, %mul\), dim=1\)", text)
    assert lines[-2:] == ["  return %cat", "}"]


def test_guards_and_states_are_shown() -> None:
    def f(x: Tensor) -> Tensor:
        return x * 2 if x.shape[0] < 6 else x

    graph = pp.export.export(f, (tensor(2, 3),), dynamic_shapes={"x": {0: Dim("n")}}).graph
    assert re.search(r"  guard n < 6 \(assumed at \S*test_printer\.py:\d+\)", str(graph))
    buffer = pp.zeros(2)

    def counts(x: Tensor) -> Tensor:
        buffer.add_(x)
        return buffer * 1

    text = str(pp.export.export(counts, (tensor(2),)).graph)
    assert "  state const: float32[2]" in text and "%const: float32[2] = state_read(name=const)" in text
    assert re.search(r"\n  state_write\(%\w+, name=const\)", text)


def test_nodes_of_several_and_no_results() -> None:
    a, n = Value("a", dtypes.int64, ()), symbol("n", 3)
    node = Node(
        "sort",
        (a, None),
        {"dim": (0, n + 1), "none": None},
        [Value("v", dtypes.float32, (n, 2)), Value("i", dtypes.bool_, ())],
    )
    assert format_node(node) == "%v: float32[n, 2], %i: bool[] = sort(%a, none, dim=[0, n + 1])"
    node.location, node.module = "model.py:3", "head.0"
    assert format_node(node).endswith("  # model.py:3 in head.0")
    assert format_node(Node("state_write", (a,), {"name": "s"})) == "state_write(%a, name=s)"
    scalar = Value("c", dtypes.float32, (), constant=np.array(0.5, "f4"))
    assert format_node(Node("mul", (a, scalar), {}, [Value("y", dtypes.float32, ())])) == "%y: float32[] = mul(%a, 0.5)"
    assert format_type(Value("w", dtypes.bfloat16, (n // 2, 4))) == "bfloat16[(n)//(2), 4]"


def test_kernel_graph_prints() -> None:
    program = pp.export.lower(pp.export.export(model, (tensor(2, 3),)))
    text = str(program.graph)
    assert "k.gemm" in text and "test_printer.py" in text
