"""`pappus inspect`, `pappus bench`, `pappus ops`."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import programs
import pytest
from lines import Cli, Write

from pappus import runtime
from pappus.cli import papfile
from pappus.cli.ops import matrix
from pappus.frontend.opdef import OPS


def test_inspect_says_what_is_inside(net: Path, cli: Cli) -> None:
    done = cli("inspect", net)
    assert done.status == 0
    assert ".pap version 0.1" in done.out and f"{net.stat().st_size:,} bytes" in done.out
    shapes = ("[batch, 6]", "[batch, 3]")
    for text in ("metadata", "data", "debug", "Method forward", *shapes, "2 gemm", "arena at batch=1"):
        assert text in done.out
    assert re.search(r"batch +1 +64", done.out)


def test_sizes_change_arena_and_flops(net: Path, cli: Cli) -> None:
    bytes_ = {}
    for n in (1, 64):
        out = cli("inspect", net, "--size", f"batch={n}").out
        found = re.search(rf"arena at batch={n}, one thread +([\d,]+) bytes", out)
        flops = re.search(rf"at batch={n} +([\d.]+) MFLOP", out)
        assert found and flops and float(flops[1]) == pytest.approx(n * 2 * (6 * 16 + 16 * 3) / 1e6, abs=6e-4)
        bytes_[n] = int(found[1].replace(",", ""))
        assert bytes_[n] == runtime.load(net, threads=1).method("forward").bind((n, 6))
    assert bytes_[64] > bytes_[1]
    done = cli("inspect", net, "--size", "height=3")
    assert done.status == 1 and "--size height: no method has a dimension 'height'; dimensions: batch" in done.err


def test_instructions_and_weights(net: Path, cli: Cli) -> None:
    out = cli("inspect", net, "--instructions", "--weights").out
    assert "linear+relu" in out and "net.py:14 (drop)" not in out and "gemm_panel16" in out and "float32[6, 16]" in out
    assert "Instructions" not in cli("inspect", net).out


class _Balanced(HTMLParser):
    """Counts open tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: set[str] = set()

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.seen.add(tag)
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_html_is_one_well_formed_page(write: Write, cli: Cli) -> None:
    write("odd.py", "import pappus as pp\ndef make():\n    return (lambda x: {'<b>&': x + 1}), pp.ones(3)\n")
    assert cli("export", "odd.py:make", "-o", "odd.pap").status == 0
    assert cli("inspect", "odd.pap", "--html", "odd.html").status == 0
    page = Path("odd.html").read_text()
    parser = _Balanced()
    parser.feed(page)
    assert not parser.open and {"table", "nav", "h2"} <= parser.seen and "b" not in parser.seen
    assert "&lt;b&gt;&amp;" in page
    assert "cannot write" in cli("inspect", "odd.pap", "--html", "no/where.html").err


@pytest.mark.parametrize("name", sorted(programs.ALL))
def test_the_reader_agrees_with_the_runtime(name: str) -> None:
    data = programs.ALL[name]().build()
    file, session = papfile.read(data), runtime.load(data)
    assert [m.name for m in file.methods] == list(session.methods)
    for mine, info in zip(file.methods, session.program.methods, strict=True):
        assert len(mine.instructions) == len(info.instructions)
        assert max((i.epoch for i in mine.instructions), default=-1) + 1 == info.epochs
        for operand, port in zip((*mine.inputs, *mine.outputs), (*info.inputs, *info.outputs), strict=True):
            assert operand.dtype == port.dtype
            for size, seen in zip(operand.shape, port.shape, strict=True):
                assert str(size) == str(seen) or seen == "?"


def test_expressions_as_text_and_numbers(write: Write, cli: Cli) -> None:
    text = "import pappus as pp\nD = pp.export.Dim\ndef make():\n"
    text += "    return (lambda x: x.reshape(-1)[: x.shape[0] * 2 + 1]), pp.ones(4, 8), {'x': {0: D('n', 2)}}\n"
    write("flat.py", text)
    assert cli("export", "flat.py:make", "-o", "flat.pap").status == 0
    file = papfile.read(Path("flat.pap").read_bytes())
    (size,) = file.methods[0].outputs[0].shape
    assert size.evaluate({"n": 5}) == 11 and "n" in str(size)
    assert runtime.load("flat.pap").method("forward").bind((5, 8)) >= 0


def test_smallest_sizes_that_break_an_assumption(cli: Cli) -> None:
    Path("g.pap").write_bytes(programs.ALL["guarded"]().build())
    done = cli("inspect", "g.pap")
    assert done.status == 0 and "Assumptions" in done.out


def test_bench(net: Path, cli: Cli) -> None:
    done = cli("bench", net, "--threads", "1,2", "--size", "batch=8", "--seconds", "0.02", "--layers")
    assert done.status == 0 and "net.pap forward batch=8" in done.out
    assert "Instructions, 1 thread(s)" in done.out and "Instructions, 2 thread(s)" in done.out
    assert "gemm" in done.out and "linear+relu" in done.out and "100.0 %" not in done.out
    assert len(re.findall(r"\d (?:us|ms) ", done.out)) >= 2 * 3 + 2 * 2


def test_bench_with_an_input_file(net: Path, cli: Cli) -> None:
    import numpy as np

    np.save("x.npy", np.ones((3, 6), np.float32))
    assert "batch=3" in cli("bench", net, "-i", "x=x.npy", "--seconds", "0.01").out


def test_ops_is_measured(cli: Cli) -> None:
    done = cli("ops", "relu", "matmul", "softmax", "--markdown")
    assert done.status == 0
    assert "| relu | composite | own | pointwise | f32" in done.out
    assert "| matmul | primitive | own | gemm | f32 f64 |" in done.out
    done = cli("ops", "relo")
    assert done.status == 1 and "no operator 'relo'; near it: " in done.err


def test_ops_lists_every_operator(cli: Cli) -> None:
    rows = matrix()
    assert [r.name for r in rows] == list(OPS)
    by_name = {r.name: r for r in rows}
    assert by_name["sort"].status == "no" and "no kernel" in by_name["sort"].missing
    assert by_name["embedding"].families == ("gather",) and by_name["isnan"].gradient == "none"
    assert by_name["mm"].kind == "shorthand" and by_name["convolution"].dtypes == ("f32",)
    assert sum(r.status != "no" for r in rows) > 150
