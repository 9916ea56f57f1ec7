"""Importing ONNX: names, sizes, checks of types, errors; what the operators compute is tests/conformance' subject."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import pappus as pp

onnx = pytest.importorskip("onnx")
from onnx import TensorProto, helper, numpy_helper  # noqa: E402

F, I = TensorProto.FLOAT, TensorProto.INT64


def model(nodes: list[Any], inputs: Any, outputs: Any, constants: Any = (), opset: int = 18, **more: Any) -> Any:
    made = helper.make_model(
        helper.make_graph(
            nodes, "net", [helper.make_tensor_value_info(*i) for i in inputs],
            [helper.make_tensor_value_info(o, F, None) for o in outputs],
            [numpy_helper.from_array(v, k) for k, v in dict(constants).items()],
        ),
        opset_imports=[helper.make_opsetid("", opset)], **more,
    )  # fmt: skip
    made.ir_version = 8
    return made


def node(kind: str, inputs: str, outputs: str, **attrs: Any) -> Any:
    return helper.make_node(kind, inputs.split(), outputs.split(), name=f"{kind}_1", **attrs)


def mlp() -> Any:
    rng = np.random.default_rng(0)
    constants = {"net.w": rng.standard_normal((5, 4)).astype("f4"), "net.b": rng.standard_normal(5).astype("f4")}
    return model(
        [node("Gemm", "x net.w net.b", "h", transB=1), node("Relu", "h", "y")],
        [("x", F, ["batch", 4])], ["y"], constants,
    )  # fmt: skip


def test_path_bytes_and_proto_give_the_same(tmp_path: Path) -> None:
    proto = mlp()
    onnx.save(proto, tmp_path / "mlp.onnx")
    x = pp.randn(3, 4)
    runs = [pp.export.from_onnx(s)(x) for s in (proto, proto.SerializeToString(), tmp_path / "mlp.onnx")]
    w, b = (numpy_helper.to_array(t) for t in proto.graph.initializer)
    for y in runs:
        assert np.allclose(y.numpy(), np.maximum(x.numpy() @ w.T + b, 0), atol=1e-6)


def test_external_data(tmp_path: Path) -> None:
    onnx.save(mlp(), tmp_path / "m.onnx", save_as_external_data=True, location="m.bin", size_threshold=0)
    assert (tmp_path / "m.bin").stat().st_size >= 80
    assert pp.export.from_onnx(tmp_path / "m.onnx")(pp.ones(2, 4)).shape == (2, 5)


def test_dim_params_become_dims_and_names_survive() -> None:
    net = pp.export.from_onnx(mlp())
    captured = pp.export.export(net, net.example_inputs(), dynamic_shapes=net.dynamic_shapes)
    text = str(captured.graph)
    assert "batch" in text and "net:Relu_1 (Relu)" in text and "net_w" in text
    session = pp.runtime.load(pp.export.lower(captured).to_bytes())
    for n in (1, 7):
        x = pp.randn(n, 4)
        assert np.allclose(session(x.numpy()), net(x).numpy(), atol=1e-5)


def test_dims_can_be_fixed_and_bounded() -> None:
    assert pp.export.from_onnx(mlp(), dims={"batch": 3}).dynamic_shapes is None
    bounded = pp.export.from_onnx(mlp(), dims={"batch": pp.export.Dim("batch", min=4, max=8)})
    assert bounded.dynamic_shapes["x"][0].max == 8 and bounded.example_inputs()[0].shape == (4, 4)


def test_shape_arithmetic_folds() -> None:
    """Flattening as torch.onnx writes it: Shape, Gather, Mul, Concat, Reshape with a symbolic batch."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Gather", "s one", "c"),
        node("Gather", "s two", "t"), node("Mul", "c t", "ct"), node("Unsqueeze", "n axes", "n1"),
        node("Unsqueeze", "ct axes", "ct1"), node("Concat", "n1 ct1", "shape", axis=0),
        node("Reshape", "x shape", "y"),
    ]  # fmt: skip
    constants = {k: np.array(v, "i8") for k, v in {"zero": 0, "one": 1, "two": 2, "axes": [0]}.items()}
    net = pp.export.from_onnx(model(nodes, [("x", F, ["n", 3, "t"])], ["y"], constants))
    captured = pp.export.export(net, net.example_inputs(), dynamic_shapes=net.dynamic_shapes)
    assert [n.op for n in captured.graph.nodes] in (["reshape"], ["view"])
    assert net(pp.zeros(5, 3, 4)).shape == (5, 12)


def test_the_pattern_of_expand_folds() -> None:
    """torch.onnx guards -1 in Expand by ConstantOfShape, Equal, Where."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Unsqueeze", "n zeros", "n1"),
        node("Concat", "n1 minus", "want", axis=0), node("ConstantOfShape", "two", "ones",
                                                         value=numpy_helper.from_array(np.array([1], "i8"))),
        node("Equal", "want minus1", "hit"), node("Where", "hit ones want", "shape"), node("Expand", "w shape", "y"),
    ]  # fmt: skip
    constants = {"zero": np.array(0), "zeros": np.array([0]), "minus": np.array([-1]), "two": np.array([2]),
                 "minus1": np.array([-1]), "w": np.ones((1, 6), "f4")}  # fmt: skip
    net = pp.export.from_onnx(model(nodes, [("x", F, ["n", 2])], ["y"], constants))
    captured = pp.export.export(net, net.example_inputs(), dynamic_shapes=net.dynamic_shapes)
    assert [n.op for n in captured.graph.nodes] == ["expand"]
    assert net(pp.zeros(4, 2)).shape == (4, 6)


def test_all_unsupported_operators_are_listed_before_anything_runs() -> None:
    nodes = [
        node("StringNormalizer", "x", "a"), node("Relu", "a", "b"),
        helper.make_node("Magic", ["b"], ["y"], domain="com.example"),
    ]  # fmt: skip
    with pytest.raises(pp.UnsupportedError) as error:
        pp.export.from_onnx(model(nodes, [("x", F, [1])], ["y"]))
    text = str(error.value)
    assert "2 node(s)" in text and "StringNormalizer_1: StringNormalizer (domain ai.onnx, opset 18)" in text
    assert "#2: Magic (domain com.example" in text and "Relu" not in text


@pytest.mark.parametrize(
    ("x", "kind", "said"),
    [
        (np.zeros((2, 3), "f4"), pp.ShapeError, "input 'x' is declared as [batch, 4], got [2, 3]"),
        (np.zeros((2, 4), "f8"), pp.DTypeError, "input 'x' must be"),
        ("no", pp.ArgumentError, "must be a tensor"),
    ],
)
def test_inputs_are_checked(x: Any, kind: Any, said: str) -> None:
    with pytest.raises(kind) as error:
        pp.export.from_onnx(mlp())(x)
    assert said in str(error.value)


def test_an_error_names_the_node() -> None:
    net = pp.export.from_onnx(model([node("MatMul", "x w", "y")], [("x", F, ["a", "b"])], ["y"],
                                    {"w": np.ones((3, 2), "f4")}))  # fmt: skip
    with pytest.raises(pp.PappusError, match=r"net:MatMul_1 \(MatMul\)"):
        net(pp.ones(2, 4))


def test_a_shape_that_depends_on_numbers_is_refused_under_capture_only() -> None:
    net = pp.export.from_onnx(model([node("Reshape", "x s", "y")], [("x", F, [4]), ("s", I, [2])], ["y"]))
    args = (pp.arange(4.0), pp.tensor([2, 2]))
    assert net(*args).shape == (2, 2)
    with pytest.raises(pp.CaptureError, match="Reshape_1"):
        pp.export.export(net, args)


@pytest.mark.parametrize("junk", [b"", b"no model", b"\x08\xff\xff"])
def test_no_model(junk: bytes) -> None:
    with pytest.raises((pp.FormatError, pp.ArgumentError)):
        pp.export.from_onnx(junk)


def test_functions_of_the_model() -> None:
    body = helper.make_function(
        "own", "Twice", ["a"], ["b"],
        [helper.make_node("Constant", [], ["k"], value_float=2.0), helper.make_node("Mul", ["a", "k"], ["b"])],
        [helper.make_opsetid("", 18)],
    )  # fmt: skip
    made = model([helper.make_node("Twice", ["x"], ["y"], domain="own")], [("x", F, [3])], ["y"], functions=[body])
    made.opset_import.append(helper.make_opsetid("own", 1))
    assert pp.export.from_onnx(made)(pp.ones(3)).tolist() == [2, 2, 2]


@pytest.mark.parametrize("opset", [12, 13])
def test_softmax_changed_its_meaning(opset: int) -> None:
    net = pp.export.from_onnx(model([node("Softmax", "x", "y", axis=1)], [("x", F, [2, 3, 4])], ["y"], opset=opset))
    x = pp.randn(2, 3, 4)
    want = pp.softmax(x.reshape(2, 12), 1).reshape(2, 3, 4) if opset == 12 else pp.softmax(x, 1)
    assert pp.allclose(net(x), want)


@pytest.mark.parametrize(
    ("start", "end", "step", "want"),
    [(-9, -(2**62), -1, [0]), (-1, -(2**62), -2, [5, 3, 1]), (4, 1, -1, [4, 3, 2]), (-9, -9, -1, [0]), (2, 0, 3, [])],
)
def test_slices_are_clamped(start: int, end: int, step: int, want: list[int]) -> None:
    """As the standard says: a start below the first element is the first one, for steps backwards too."""
    constants = {k: np.array([v]) for k, v in (("start", start), ("end", end), ("axis", 0), ("step", step))}
    net = pp.export.from_onnx(model([node("Slice", "x start end axis step", "y")], [("x", F, [6])], ["y"], constants))
    assert net(pp.arange(6.0)).tolist() == want


def test_a_loop_is_unrolled() -> None:
    body = helper.make_graph(
        [helper.make_node("Add", ["v", "v"], ["v2"]), helper.make_node("Identity", ["c"], ["c2"])], "body",
        [helper.make_tensor_value_info(*i) for i in (("i", I, []), ("c", TensorProto.BOOL, []), ("v", F, [2]))],
        [helper.make_tensor_value_info(*i) for i in (("c2", TensorProto.BOOL, []), ("v2", F, [2]))],
    )  # fmt: skip
    loop = helper.make_node("Loop", ["n", "", "x"], ["y"], body=body)
    net = pp.export.from_onnx(model([loop], [("x", F, [2])], ["y"], {"n": np.array(3)}))
    assert net(pp.ones(2)).tolist() == [8, 8]
    assert [n.op for n in pp.export.export(net, (pp.ones(2),)).graph.nodes] == ["add"] * 3
