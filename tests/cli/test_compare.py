"""`pappus compare`: the runtime against eager Python."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lines import NET, Cli, Write


def test_equal(net: Path, cli: Cli) -> None:
    done = cli("compare", net, "net.py:make")
    assert done.status == 0 and "output" in done.out and "equal within 0.0001 of the range" in done.out
    assert "2x3" in done.out  # the example's size


def test_sizes_and_data(net: Path, cli: Cli) -> None:
    assert "9x3" in cli("compare", net, "net.py:make", "--size", "batch=9").out
    x = np.random.default_rng(0).standard_normal((4, 6), dtype=np.float32)
    np.savez("data.npz", x=x, unused=x)
    np.save("x.npy", x)
    for name in ("data.npz", "x.npy"):
        done = cli("compare", net, "net.py:make", "--data", name)
        assert done.status == 0 and "4x3" in done.out
    np.savez("other.npz", image=x)
    done = cli("compare", net, "net.py:make", "--data", "other.npz")
    assert done.status == 1 and "other.npz has no array 'x'; its arrays are: image" in done.err


def test_per_layer(net: Path, cli: Cli) -> None:
    done = cli("compare", net, "net.py:make", "--per-layer", "--html", "report.html", "--threads", 2)
    assert done.status == 0 and "linear+relu" in done.out and "net.py:14" in done.out
    page = Path("report.html").read_text()
    assert "Layers of forward" in page and "linear+relu" in page and "net.py:14" in page


def test_per_layer_of_dynamic_given_on_the_command_line(write: Write, cli: Cli) -> None:
    write("net.py", NET.replace(', {"x": {0: pp.export.Dim("batch", min=1, max=64)}}', ""))
    assert cli("export", "net.py:make", "-o", "net.pap", "--dynamic", "x:0=n").status == 0
    done = cli("compare", "net.pap", "net.py:make", "--dynamic", "x:0=n", "--per-layer", "--size", "n=5")
    assert done.status == 0 and "5x16" in done.out


def test_a_difference_is_status_one(net: Path, cli: Cli, write: Write) -> None:
    write("other.py", NET.replace("manual_seed(0)", "manual_seed(1)"))
    done = cli("compare", net, "other.py:make")
    assert done.status == 1
    assert "output 'output' of method 'forward' differs from other.py:make by" in done.err and "manual_seed" in done.err
    assert cli("compare", net, "other.py:make", "--tolerance", "1000").status == 0


def test_nan_is_a_difference(net: Path, cli: Cli, write: Write) -> None:
    write("nan.py", NET.replace("return self.out", "return float('nan') * self.out"))
    assert cli("compare", net, "nan.py:make").status == 1


def test_methods(write: Write, cli: Cli, net: Path) -> None:
    text = NET + "\ndef both():\n    net, args, dims = make()\n"
    text += "    return {'forward': (net, args, dims), 'hidden': (net.hidden, args)}\n"
    write("both.py", text)
    assert cli("export", "both.py:both", "-o", "both.pap").status == 0
    done = cli("compare", "both.pap", "both.py:both")
    assert done.status == 0 and "method forward" in done.out and "method hidden" in done.out
    done = cli("compare", "both.pap", "both.py:both", "--method", "hidden")
    assert "method forward" not in done.out and done.status == 0
    done = cli("compare", net, "both.py:both", "--method", "hidden")
    assert done.status == 1 and "--method hidden: net.pap has no such method; it has: forward" in done.err
    write("far.py", NET + "\ndef far():\n    return {'far': make()}\n")
    done = cli("compare", net, "far.py:far")
    assert done.status == 1 and "none in common" in done.err


COUNTER = """
import pappus as pp
from pappus import nn


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("count", pp.zeros(1))

    def forward(self, x):
        self.count += 1
        return x * self.count

    def again(self, x):
        self.count += 10
        return x - self.count


def make():
    counter = Counter()
    x = pp.ones(3)
    return {"forward": (counter, x), "again": (counter.again, x)}
"""


def test_state_is_the_initial_one_for_every_method(write: Write, cli: Cli) -> None:
    write("counter.py", COUNTER)
    assert cli("export", "counter.py:make", "-o", "counter.pap", "--verify").status == 0
    for extra in ([], ["--per-layer"]):
        done = cli("compare", "counter.pap", "counter.py:make", *extra)
        assert done.status == 0, done.out + done.err


def test_stripped_programs_have_no_layers(net: Path, cli: Cli) -> None:
    assert cli("export", "net.py:make", "-o", "bare.pap", "--no-debug").status == 0
    assert cli("compare", "bare.pap", "net.py:make").status == 0
    done = cli("compare", "bare.pap", "net.py:make", "--per-layer")
    assert done.status == 1 and "stripped" in done.err


@pytest.mark.parametrize("name", ["model.tflite", "model.gguf"])
def test_other_sources_are_refused_by_name(name: str, net: Path, cli: Cli) -> None:
    done = cli("compare", net, name)
    assert done.status == 2 and f"not built yet: {name}" in done.err


def test_a_foreign_file_is_named(net: Path, cli: Cli) -> None:
    Path("bad.pap").write_bytes(b"no")
    done = cli("compare", "bad.pap", "net.py:make")
    assert done.status == 1 and done.err.startswith("pappus: bad.pap: ")
