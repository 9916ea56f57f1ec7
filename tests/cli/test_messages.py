"""What goes wrong in a model: one message with the user's file and line, exit status 1, no traceback."""

from __future__ import annotations

from pathlib import Path

import pytest
from lines import NET, Cli, Write, process

TOP = "import pappus as pp\nfrom pappus import nn\n\n\n"

# Name, model file, what the message must say; {n} stands for the number of the line marked HERE.
CASES = {
    "value-dependent branch": (
        TOP + "def forward(x):\n    if x.sum() > 0:  # HERE\n        return x * 2\n    return x\n\n\n"
        "def make():\n    return forward, pp.ones(3)\n",
        ["model.py:{n}", "value of a tensor", "pp.where"],
    ),
    "a tensor's value as a Python number": (
        TOP + "def forward(x):\n    return x * float(x[0])  # HERE\n\n\ndef make():\n    return forward, pp.ones(3)\n",
        ["model.py:{n}", "value of a tensor"],
    ),
    "Python state": (
        TOP + "class Net(nn.Module):\n    calls = 0\n\n    def forward(self, x):\n        self.calls += 1\n"
        "        return x * self.calls  # HERE\n\n\ndef make():\n    return Net(), pp.ones(3)\n",
        ["model.py:{n}", "register_buffer"],
    ),
    "a size that was fixed": (
        TOP + "def forward(x):\n    return x.reshape(2, 3) * 2  # HERE\n\n\n"
        "def make():\n    return forward, pp.ones(2, 3), {'x': {0: pp.export.Dim('n')}}\n",
        ["model.py:{n}", "dimension n became the constant 2"],
    ),
    "shapes that do not fit": (
        TOP + "class Net(nn.Module):\n    def __init__(self):\n        super().__init__()\n"
        "        self.layer = nn.Linear(5, 2)\n\n    def forward(self, x):\n        return self.layer(x)  # HERE\n\n\n"
        "def make():\n    return Net(), pp.ones(3, 4)\n",
        ["model.py:{n}", "linear", "4", "5"],
    ),
    "an exception in make": (
        TOP + "def make():\n    values = [1]\n    return values[3], ()  # HERE\n",
        ["model.py:{n}: IndexError: list index out of range"],
    ),
    "an exception in forward": (
        TOP + "def forward(x):\n    return x * (1 / 0)  # HERE\n\n\ndef make():\n    return forward, pp.ones(3)\n",
        ["model.py:{n}: ZeroDivisionError: division by zero"],
    ),
    "an unknown name": (
        TOP + "def make():\n    return pp.relo, pp.ones(3)  # HERE\n",
        ["model.py:{n}: AttributeError", "relo"],
    ),
    "an import that fails": (
        "import nothing_like_this  # HERE\n",
        ["model.py:{n}: ModuleNotFoundError", "nothing_like_this"],
    ),
    "a syntax error": (TOP + "def make(:  # HERE\n    pass\n", ["model.py:{n}: SyntaxError"]),
    "a model that returns nothing": (
        TOP + "def make():\n    return (lambda x: None), pp.ones(3)\n",
        ["returned no tensor"],
    ),
    "arguments that do not fit": (
        TOP + "def forward(x, y):\n    return x\n\n\ndef make():\n    return forward, pp.ones(3)\n",
        ["pappus export: the example arguments do not fit forward", "'y'"],
    ),
}  # fmt: skip


def line_of(text: str) -> int:
    """The number of the line marked HERE, 0 if there is none."""
    return next((i for i, line in enumerate(text.splitlines(), 1) if "# HERE" in line), 0)


@pytest.mark.parametrize("name", CASES)
def test_problems_of_a_model(name: str, write: Write, cli: Cli) -> None:
    text, said = CASES[name]
    write("model.py", text)
    done = cli("export", "model.py:make", "-o", "model.pap")
    assert done.status == 1 and done.out == ""
    for part in said:
        assert part.format(n=line_of(text)) in done.err
    assert done.err.startswith("pappus export: ") and "Traceback" not in done.err and "internal error" not in done.err
    assert not Path("model.pap").exists()


def test_unsupported_operators_are_listed_with_their_lines(write: Write, cli: Cli) -> None:
    text = TOP + "def forward(x):\n    a = pp.sort(x)[0]\n    b = pp.relu(a)\n    return pp.topk(b, 2)[0]\n\n\n"
    write("model.py", text + "def make():\n    return forward, pp.ones(2, 3)\n")
    done = cli("export", "model.py:make", "-o", "model.pap")
    assert done.status == 1 and not Path("model.pap").exists()
    assert "model.py:6: sort" in done.err and "model.py:8: " in done.err and "pappus ops" in done.err


def test_the_line_may_be_in_a_file_that_the_model_imports(write: Write, cli: Cli) -> None:
    write("layers.py", TOP + "def scale(x):\n    return x * (1 // len([]))\n")
    write("model.py", TOP + "import layers\ndef make():\n    return layers.scale, pp.ones(3)\n")
    done = cli("export", "model.py:make", "-o", "model.pap")
    assert done.status == 1 and done.err.startswith("pappus export: layers.py:6: ZeroDivisionError")


def test_a_real_process_prints_one_message_and_no_traceback(write: Write) -> None:
    text = CASES["value-dependent branch"][0]
    write("model.py", text)
    done = process("export", "model.py:make", "-o", "model.pap")
    assert done.status == 1 and done.out == "" and f"model.py:{line_of(text)}" in done.err
    assert "Traceback" not in done.err and "File \"" not in done.err


def test_a_mistake_in_pappus_says_so(net: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("pappus.cli.papfile.read", broken)
    done = cli("inspect", net)
    assert done.status == 1
    assert "internal error at test_messages.py" in done.err and "--debug shows the traceback" in done.err


def test_an_existing_file_survives_a_failed_export(net: Path, write: Write, cli: Cli) -> None:
    before = net.read_bytes()
    write("model.py", CASES["Python state"][0])
    assert cli("export", "model.py:make", "-o", net).status == 1
    assert net.read_bytes() == before and NET  # nothing was written
