"""`pappus export`: what a callable may return, the options, and what is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lines import NET, Cli, Write

from pappus import runtime
from pappus.cli.source import load


def test_the_report_is_printed(net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "again.pap")
    assert done.status == 0
    assert "exported net.py:make -> again.pap" in done.out and "instructions" in done.out and "constants" in done.out
    assert "Net was in training mode; it is exported in evaluation mode" in done.out
    assert Path("again.pap").read_bytes() == net.read_bytes()


def test_quiet_prints_one_line_and_its_notes(net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "net.pap", "-q")
    assert len(done.out.splitlines()) == 2


def test_two_values_and_one_tensor(write: Write, cli: Cli) -> None:
    write("two.py", "import pappus as pp\ndef make():\n    return (lambda x: pp.relu(x) - 1), pp.ones(2, 3)\n")
    assert cli("export", "two.py:make", "-o", "two.pap").status == 0
    y = runtime.load("two.pap")(np.full((2, 3), 3, np.float32))
    assert np.array_equal(y, np.full((2, 3), 2, np.float32))


def test_an_object_with_example_inputs(write: Write, cli: Cli) -> None:
    text = NET + "\nclass Own(Net):\n    dynamic_shapes = {'x': {0: pp.export.Dim('n', max=9)}}\n"
    text += "    def example_inputs(self):\n        return (pp.ones(3, 6),)\n"
    write("own.py", text)
    assert cli("export", "own.py:Own", "-o", "own.pap").status == 0
    assert runtime.load("own.pap").inputs[0].shape == ("n", 6)


def test_methods_and_choosing_among_them(write: Write, cli: Cli) -> None:
    text = NET + "\ndef both():\n    net, args, dims = make()\n"
    text += "    return {'scores': (net, args, dims), 'hidden': (net.hidden, args)}\n"
    write("both.py", text)
    assert cli("export", "both.py:both", "-o", "both.pap").status == 0
    assert runtime.load("both.pap").methods == ("scores", "hidden")
    assert cli("export", "both.py:both", "-o", "one.pap", "--method", "hidden").status == 0
    assert runtime.load("one.pap").methods == ("hidden",)
    done = cli("export", "both.py:both", "-o", "no.pap", "--method", "nope")
    assert done.status == 1 and "--method nope: both.py:both makes no such method; it makes: scores, hidden" in done.err
    assert not Path("no.pap").exists()


def test_exported_programs_pass_through(write: Write, cli: Cli) -> None:
    text = NET + "\ndef done():\n    net, args, dims = make()\n"
    write("done.py", text + "    return pp.export.export(net.eval(), args, dynamic_shapes=dims)\n")
    assert cli("export", "done.py:done", "-o", "done.pap", "--verify").status == 0
    assert runtime.load("done.pap").inputs[0].shape == ("batch", 6)


PLAIN = "import pappus as pp\ndef make():\n    return (lambda x, y: (x + y).sum(1)), (pp.ones(4, 2), pp.ones(4, 2))\n"


def test_dynamic(write: Write, cli: Cli) -> None:
    write("plain.py", PLAIN)
    arguments = ["export", "plain.py:make", "-o", "plain.pap"]
    assert cli(*arguments, "--dynamic", "x:0=n(2,8)", "--dynamic", "y:0=n(2,8)").status == 0
    session = runtime.load("plain.pap")
    assert session.inputs[0].ranges == {"n": (2, 8, 1)} and session.inputs[1].shape == ("n", 2)
    assert session(np.ones((7, 2), np.float32), np.ones((7, 2), np.float32)).shape == (7,)
    assert cli(*arguments, "--dynamic", "x:0=n(2,8,2)", "--dynamic", "y:0=n(2,8,multiple_of=2)").status == 0
    assert runtime.load("plain.pap").inputs[0].ranges == {"n": (2, 8, 2)}


@pytest.mark.parametrize("text", ["x", "x:0", "x:a=n", "x:0=n(", "x:0=n(4,2)", "x:0=n(a)", ":0=n"])
def test_dynamic_in_another_form(text: str, net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "net.pap", "--dynamic", text)
    assert done.status == 2 and "--dynamic" in done.err


def test_dynamic_of_an_unknown_input(net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "net.pap", "--dynamic", "image:0=n")
    assert done.status == 1
    assert done.err == "pappus: --dynamic image:0=n: no method has an input 'image'; inputs: x\n"


def test_dynamic_adds_to_what_the_file_says(write: Write, cli: Cli) -> None:
    text = "import pappus as pp\nD = pp.export.Dim('a')\n"
    text += "def make():\n    return (lambda x: x * 2), (pp.ones(4, 2),), ({0: D},)\n"
    write("more.py", text)
    assert cli("export", "more.py:make", "-o", "more.pap", "--dynamic", "x:1=b").status == 0
    assert runtime.load("more.pap").inputs[0].shape == ("a", "b")


def test_no_debug_leaves_names_out(net: Path, cli: Cli) -> None:
    assert cli("export", "net.py:make", "-o", "bare.pap", "--no-debug").status == 0
    assert b"net.py" in net.read_bytes() and b"net.py" not in Path("bare.pap").read_bytes()
    shown = cli("inspect", "bare.pap", "--instructions")
    assert shown.status == 0 and "stripped" in shown.out


def test_no_fuse(write: Write, cli: Cli) -> None:
    write("chain.py", "import pappus as pp\ndef make():\n    return (lambda x: pp.exp(pp.sin(x)) * 3), (pp.ones(9),)\n")
    fused = cli("export", "chain.py:make", "-o", "chain.pap")
    apart = cli("export", "chain.py:make", "-o", "apart.pap", "--no-fuse", "--plan-effort", "0")
    assert "-> 1 instructions" in fused.out and "-> 3 instructions" in apart.out


def test_dump_after(net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "net.pap", "--dump-after", "dead_code", "--dump-after", "capture", "-q")
    assert "# forward after capture\ngraph forward(" in done.out and "# forward after dead_code" in done.out
    assert "after decompose" not in done.out
    wrong = cli("export", "net.py:make", "-o", "net.pap", "--dump-after", "magic")
    assert wrong.status == 2 and "no such pass; passes are: capture, " in wrong.err


def test_reports(net: Path, cli: Cli) -> None:
    for name in ("report.html", "report.txt"):
        assert cli("export", "net.py:make", "-o", "net.pap", "-q", "--report", name).status == 0
    assert "<pre>" in Path("report.html").read_text() and "method forward" in Path("report.txt").read_text()


def test_verify(net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "net.pap", "-q", "--verify")
    assert done.status == 0 and "verify forward" in done.out


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--quantize", "int8"], "--quantize int8"),
        (["--calibrate", "data.npz"], "--calibrate data.npz"),
        (["--delegate", "vulkan"], "--delegate vulkan"),
        (["--target", "cortex-m4"], "--target cortex-m4"),
        (["--emit", "c"], "--emit c"),
        (["--emit", "onnx"], "--emit onnx"),
        (["--emit", "tflite"], "--emit tflite"),
    ],
)
def test_what_comes_later_is_refused_by_name(arguments: list[str], named: str, net: Path, cli: Cli) -> None:
    done = cli("export", "net.py:make", "-o", "later.pap", *arguments)
    assert done.status == 2 and f"not built yet: {named}" in done.err
    assert not Path("later.pap").exists()


@pytest.mark.parametrize("name", ["model.tflite", "model.pt2", "model.gguf"])
def test_importers_are_refused_by_name(name: str, cli: Cli) -> None:
    done = cli("export", name, "-o", "later.pap")
    assert done.status == 2 and f"not built yet: {name}" in done.err


def test_an_onnx_file_is_exported(net: Path, cli: Cli) -> None:
    onnx = pytest.importorskip("onnx")
    one = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["batch", 3])
    graph = onnx.helper.make_graph([onnx.helper.make_node("Relu", ["x"], ["y"], name="act")], "g", [one], [
        onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["batch", 3])])  # fmt: skip
    onnx.save(onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)]), "relu.onnx")
    done = cli("export", "relu.onnx", "-o", "relu.pap", "--verify")
    assert done.status == 0 and "batch" in done.out, done.err
    done = cli("export", "missing.onnx", "-o", "relu2.pap")
    assert done.status == 1 and "missing.onnx: no such file" in done.err


def test_an_unknown_kind_is_wrong_usage(net: Path, cli: Cli) -> None:
    assert cli("export", "net.py:make", "-o", "x.pap", "--emit", "exe").status == 2
    assert cli("export", "net.txt", "-o", "x.pap").status == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("def make(): return 3", "odd.py:make() returned an int; it must return (model, args)"),
        ("def make(): return (1, 2)", "odd.py:make() returned a tuple of 2 that starts with an int"),
        ("def make(): return (print,)", "odd.py:make() returned a tuple of 1; it must"),
        ("def make(): return {}", "odd.py:make() returned an empty dict"),
        ("def make(): return {'a': 1}", "odd.py:make()['a'] returned an int"),
        ("def make(): return print", "without .example_inputs"),
        ("def make(): return {'': (print, ())}", "returned a method without a name"),
        ("import sys\ndef make(): sys.exit(3)", "odd.py:make() ended the program (SystemExit: 3)"),
        ("def make(): return print, 3", "odd.py:make(): example inputs must be a tuple of tensors, got int"),
        ("def make(n): return print, (n,)", "odd.py:make needs arguments (n)"),
        ("make = 3", "odd.py:make is an int, not a callable"),
        ("def other(): pass", "odd.py has no 'make'; its functions are: other"),
    ],
)
def test_a_callable_that_breaks_the_protocol(body: str, said: str, write: Write, cli: Cli) -> None:
    write("odd.py", body + "\n")
    done = cli("export", "odd.py:make", "-o", "odd.pap")
    assert done.status == 1 and said in done.err
    assert "Traceback" not in done.err and not Path("odd.pap").exists()


def test_a_missing_file_and_a_missing_folder(net: Path, cli: Cli) -> None:
    done = cli("export", "nowhere.py:make", "-o", "x.pap")
    assert (done.status, done.err) == (1, "pappus: nowhere.py: no such file\n")
    done = cli("export", "net.py:make", "-o", "no/where.pap")
    assert done.status == 1 and "there is no folder no" in done.err
    Path("folder").mkdir()
    assert "is a folder" in cli("export", "net.py:make", "-o", "folder").err


def test_files_may_import_their_neighbours_and_be_called_like_a_module(write: Write, cli: Cli) -> None:
    write("neighbour.py", NET)
    write("json.py", "import neighbour\nmake = neighbour.make\n")
    assert cli("export", "json.py:make", "-o", "net.pap").status == 0
    import json

    assert json.dumps([1]) == "[1]"


def test_nested_callables(write: Write) -> None:
    write("nest.py", NET + "\nclass Zoo:\n    make = staticmethod(make)\n")
    assert list(load("nest.py:Zoo.make")) == ["forward"]


def test_a_torch_module_is_refused_by_name(write: Write, cli: Cli) -> None:
    pytest.importorskip("torch")
    write("other.py", "import torch\ndef make():\n    return torch.nn.Linear(2, 3), (torch.ones(1, 2),)\n")
    done = cli("export", "other.py:make", "-o", "x.pap")
    assert done.status == 1
    assert "returned a PyTorch module (Linear)" in done.err and "import pappus as torch" in done.err
