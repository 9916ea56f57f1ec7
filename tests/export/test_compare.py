"""compare_program: differences per output and per layer, and that it would notice."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import test_models as models
from road import array, tensor

import pappus as pp
from pappus.export import Dim
from pappus.export.compare import compare_program, difference
from pappus.export.ir.graph import Graph
from pappus.frontend.errors import ArgumentError
from pappus.frontend.nn.module import Module
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


def cnn() -> Any:
    return pp.export.export(models.CNN(), (tensor(2, 3, 32, 32),), dynamic_shapes={"x": {0: Dim("batch", max=8)}})


def test_outputs_and_every_layer_of_a_cnn(tmp_path: Path) -> None:
    ep = cnn()
    program = pp.export.lower(ep)
    program.save(tmp_path / "m.pap")
    found = compare_program(tmp_path / "m.pap", ep, {"x": array(5, 3, 32, 32)}, per_layer=True)
    (output,) = found.outputs
    assert (output.name, output.shape, output.dtype, output.argmax) == ("output", (5, 10), "float32", 1.0)
    assert 0 < found.max_rel < 1e-5 and found.max_abs == output.difference.max_abs
    # Every instruction ends at an operator of the user's: batch norms are found under their own name.
    assert [r.op for r in found.rows] == [
        "+".join(n.attrs["fused"]) for n in program.graph.nodes
    ] and found.unmatched == 0
    assert all(
        0 <= r.difference.max_rel < 1e-5 and r.difference.scale > 0 and "test_models.py" in r.source for r in found.rows
    )
    assert found.rows[0].shape == (5, 16, 32, 32) and found.rows[0].kernel.startswith("conv2d")
    text = found.text()
    assert text.splitlines()[0] == "method forward: runtime against eager" and "100.00 %" in text
    assert all(r.name in text for r in found.rows)


def test_references_may_be_models_functions_and_programs() -> None:
    model = models.MLP()
    x = array(3, 4, 5)
    ep = pp.export.export(model, (Tensor._from_data(x),))
    data = pp.export.lower(ep).to_bytes()
    for reference in (model, lambda t: model(t), ep):
        plain = compare_program(data, reference, [x])
        layers = compare_program(data, reference, [Tensor._from_data(x)], per_layer=True)
        assert plain.outputs == layers.outputs and not plain.rows and len(layers.rows) == 4


def test_layers_of_a_transformer() -> None:
    x = models.tokens(2, 9)
    ep = pp.export.export(models.Encoder(), (pp.tensor(x),))
    found = compare_program(pp.export.lower(ep).to_bytes(), ep, [x], per_layer=True, threads=2)
    assert found.max_rel < 1e-5 and all(r.difference.max_rel < 1e-4 for r in found.rows)
    names = {r.name for r in found.rows}
    assert {"embedding", "layer_norm", "scaled_dot_product_attention"} <= {
        n.rsplit("_1", 1)[0] if n.endswith("_1") else n for n in names
    } | names
    assert found.unmatched and f"{found.unmatched} more instructions" in found.text()


def test_one_dimensional_convolutions_and_reductions_are_matched() -> None:
    def f(x: Tensor) -> Any:
        return F.relu(F.conv1d(x, tensor(4, 3, 3))).amax(2)

    ep = pp.export.export(f, (tensor(2, 3, 8),))
    found = compare_program(pp.export.lower(ep).to_bytes(), ep, [array(2, 3, 8)], per_layer=True)
    assert [(r.name, r.shape) for r in found.rows] == [("relu", (2, 4, 6)), ("amax", (2, 4))] and found.max_abs < 1e-5


def test_parts_and_copies_are_not_matched_as_wholes() -> None:
    def f(x: Tensor) -> Any:
        return F.softmax(pp.cat([x, x * 2], 1).t().reshape(3, -1), -1)

    ep = pp.export.export(f, (tensor(3, 4),))
    found = compare_program(pp.export.lower(ep).to_bytes(), ep, [array(3, 4)], per_layer=True)
    assert all(r.difference.max_rel < 1e-6 for r in found.rows) and found.rows[-1].name == "softmax"


def test_a_wrong_program_is_noticed_where_it_goes_wrong() -> None:
    def right(x: Tensor) -> Tensor:
        return F.softmax(F.linear(F.relu(F.linear(x, W1)), W2), -1)

    def wrong(x: Tensor) -> Tensor:
        return F.softmax(F.linear(F.relu(F.linear(x, W1)), W2 + 0.5 * pp.eye(5, 6)), -1)

    W1, W2 = tensor(6, 4), tensor(5, 6)
    data = pp.export.lower(pp.export.export(wrong, (tensor(8, 4),))).to_bytes()
    found = compare_program(data, pp.export.export(right, (tensor(8, 4),)), [array(8, 4)], per_layer=True)
    assert found.max_abs > 1e-3 and found.outputs[0].argmax is not None and found.outputs[0].argmax < 1
    assert found.rows[0].difference.max_rel < 1e-6 and found.rows[1].difference.max_rel > 1e-2


def test_differences() -> None:
    nan, inf = np.nan, np.inf
    a = np.array([1.0, nan, inf, -4.0], "f4")
    assert difference(a, a.copy()).max_abs == 0 and difference(a, a).scale == 4
    assert difference(np.array([1.0, 2.5], "f4"), np.array([1.0, 2.0], "f4")) == difference(
        np.array([1.0, 1.5], "f4"), np.array([1.0, 2.0], "f4")
    )
    assert difference(np.array([nan], "f4"), np.array([1.0], "f4")).max_abs == inf
    assert difference(np.array([1.0], "f4"), np.array([inf], "f4")).max_abs == inf
    assert difference(np.zeros((2, 1)), np.zeros(2)).max_abs == inf
    assert difference(np.zeros(0), np.zeros(0)).max_abs == 0
    assert difference(np.array([1e-9]), np.array([0.0])).max_rel == pytest.approx(1e-3), "an absolute floor of 1e-6"


def test_several_outputs_and_integers() -> None:
    def f(x: Tensor) -> Any:
        return {"best": x.argmax(1), "half": x.bfloat16(), "scalar": x.sum()}

    ep = pp.export.export(f, (tensor(3, 4),))
    found = compare_program(pp.export.lower(ep).to_bytes(), f, [array(3, 4)])
    assert [(o.name, o.dtype, o.argmax) for o in found.outputs] == [
        ("best", "int64", None),
        ("half", "bfloat16", 1.0),
        ("scalar", "float32", None),
    ]
    assert found.max_abs < 1e-5


def test_methods_and_state() -> None:
    class Sum(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", pp.ones(3))

        def forward(self, x: Tensor) -> Tensor:
            self.total += x
            return self.total * 2

        def other(self, x: Tensor) -> Tensor:
            return x - self.total

    model = Sum()
    methods = {n: pp.export.export(getattr(model, n), (tensor(3),)) for n in ("forward", "other")}
    data = pp.export.lower(methods).to_bytes()
    for name, ep in methods.items():
        found = compare_program(data, ep, [array(3)], per_layer=True, method=name)
        assert found.method == name and found.max_abs == 0
    assert compare_program(data, methods["forward"], [array(3)]).method == "forward"


def test_mistakes_are_named() -> None:
    ep = pp.export.export(lambda x, y: x + y, (tensor(3), tensor(3)))
    program = pp.export.lower(ep)
    data, x = program.to_bytes(), array(3)
    with pytest.raises(ArgumentError, match="1 inputs given, the program takes 2: x, y"):
        compare_program(data, ep, [x])
    with pytest.raises(ArgumentError, match="no input 'z'; the program's inputs are: x, y"):
        compare_program(data, ep, {"x": x, "z": x})
    with pytest.raises(ArgumentError, match="missing input 'y'"):
        compare_program(data, ep, {"x": x})
    with pytest.raises(ArgumentError, match=r"stripped of names.*debug=True"):
        compare_program(program.to_bytes(debug=False), ep, [x, x], per_layer=True)
    with pytest.raises(ArgumentError, match="has 1 outputs, the reference returns 2 tensors"):
        compare_program(data, lambda x, y: (x + y, x), [x, x])
    with pytest.raises(ArgumentError, match="takes 2 inputs, the reference 1"):
        compare_program(data, pp.export.export(lambda x: x, (tensor(3),)), [x, x])
    with pytest.raises(pp.runtime.InputError, match="float64"):
        compare_program(data, ep, [x, x.astype("f8")])
    assert isinstance(ep.graph, Graph)
