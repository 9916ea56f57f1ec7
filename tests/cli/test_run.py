"""`pappus run`: inputs from files and made ones, outputs, times, traces, and wrong inputs."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import programs
import pytest
from lines import Cli, Write

from pappus import runtime

F32 = np.float32


def x_of(n: int) -> np.ndarray:
    """Inputs for net.pap."""
    return np.random.default_rng(n).standard_normal((n, 6), dtype=F32)


def test_run_prints_what_came_out(net: Path, cli: Cli) -> None:
    x = x_of(5)
    np.save("x.npy", x)
    done = cli("run", net, "--input", "x=x.npy", "--output", "out.npz", "--threads", "1")
    assert done.status == 0 and "[5, 3]" in done.out and "float32" in done.out and "ran in" in done.out
    wanted = runtime.load(net)(x)
    with np.load("out.npz") as found:
        assert found.files == ["output"] and np.array_equal(found["output"], wanted)
    assert f"{wanted[0, 0]:.6g}" in done.out and f"{wanted.max():.6g}" in done.out


def test_npy_output_and_npz_input(net: Path, cli: Cli) -> None:
    np.savez("in.npz", x=x_of(2), other=x_of(1))
    assert cli("run", net, "-i", "x=in.npz:x", "-o", "y.npy").status == 0
    assert np.array_equal(np.load("y.npy"), runtime.load(net)(x_of(2)))
    done = cli("run", net, "-i", "x=in.npz")
    assert done.status == 1 and "in.npz holds 2 arrays; name one as in.npz:NAME; its arrays are: x, other" in done.err
    done = cli("run", net, "-i", "x=in.npz:z")
    assert done.status == 1 and "has no array 'z'" in done.err
    np.savez("one.npz", x_of(4))
    assert "[4, 3]" in cli("run", net, "-i", "x=one.npz").out


def test_made_inputs_and_sizes(net: Path, cli: Cli) -> None:
    assert "[1, 3]" in cli("run", net, "-i", "x=random").out
    a, b = (cli("run", net, "-i", "x=random", "--size", "batch=7", "--seed", 3, "-o", f"{i}.npy") for i in "ab")
    assert a.status == b.status == 0
    assert np.array_equal(np.load("a.npy"), np.load("b.npy")) and np.load("a.npy").shape == (7, 3)
    cli("run", net, "-i", "x=zeros", "--size", "batch=2", "-o", "z.npy")
    rows = np.load("z.npy")
    assert np.array_equal(rows[0], rows[1]) and np.array_equal(rows, runtime.load(net)(np.zeros((2, 6), F32)))


def test_wrong_sizes(net: Path, cli: Cli) -> None:
    done = cli("run", net, "-i", "x=random", "--size", "batch=65")
    assert done.status == 1 and "--size batch=65: the program allows 1..64" in done.err
    done = cli("run", net, "-i", "x=random", "--size", "height=2")
    assert done.status == 1 and "has no dimension 'height'; its dimensions are: batch" in done.err


def test_a_size_that_a_file_contradicts(net: Path, cli: Cli) -> None:
    np.save("x.npy", x_of(2))
    assert cli("run", net, "-i", "x=x.npy", "--size", "batch=2").status == 0
    done = cli("run", net, "-i", "x=x.npy", "--size", "batch=9")
    assert done.status == 1 and "--size batch=9: the file of input 'x' has batch=2" in done.err


def test_repeat_and_profile(net: Path, cli: Cli) -> None:
    done = cli("run", net, "-i", "x=random", "--repeat", 5, "--profile", "trace.json")
    assert done.status == 0 and "5 runs: fastest" in done.out and "wrote trace.json" in done.out
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    assert len(events) == 5 * len(runtime.load(net).program.methods[0].instructions)
    assert all(e["ph"] == "X" and e["dur"] >= 0 for e in events) and "net.py:" in events[0]["args"]["source"]


def test_methods_are_named(cli: Cli) -> None:
    Path("two.pap").write_bytes(programs.ALL["two_methods"]().build())
    methods = runtime.load("two.pap").methods
    made = [text for p in runtime.load("two.pap").method(methods[1]).inputs for text in ("-i", f"{p.name}=random")]
    assert cli("run", "two.pap", "--method", methods[1], *made).status == 0
    done = cli("run", "two.pap", "--method", "nope", *made)
    assert done.status == 1 and f"no method 'nope'; methods are: {', '.join(methods)}" in done.err
    if "forward" not in methods:
        done = cli("run", "two.pap", *made)
        assert done.status == 1 and "name one with --method" in done.err


@pytest.mark.parametrize("name", sorted(programs.ALL))
def test_every_kind_of_program_runs_on_made_inputs(name: str, cli: Cli) -> None:
    Path("p.pap").write_bytes(programs.ALL[name]().build())
    session = runtime.load("p.pap")
    for method in session.methods:
        made = [text for p in session.method(method).inputs for text in ("-i", f"{p.name}=zeros")]
        done = cli("run", "p.pap", "--method", method, *made)
        assert done.status == 0 or re.search("assuming|zero", done.err), done.err
        assert cli("inspect", "p.pap", "--instructions", "--weights").status == 0


def test_outputs_cannot_be_written(net: Path, cli: Cli) -> None:
    done = cli("run", net, "-i", "x=random", "-o", "out.csv")
    assert done.status == 2 and "expected a name ending in .npz or .npy" in done.err
    done = cli("run", net, "-i", "x=random", "-o", "no/where.npz")
    assert done.status == 1 and "cannot write no/where.npz" in done.err


def test_several_outputs_need_npz(write: Write, cli: Cli) -> None:
    write("pair.py", "import pappus as pp\ndef make():\n    return (lambda x: (x + 1, {'half': x / 2})), pp.ones(3)\n")
    assert cli("export", "pair.py:make", "-o", "pair.pap").status == 0
    done = cli("run", "pair.pap", "-i", "x=random", "-o", "y.npy")
    assert done.status == 2 and "there are 2 outputs" in done.err
    assert cli("run", "pair.pap", "-i", "x=random", "-o", "y.npz").status == 0
    with np.load("y.npz") as found:
        names = list(found.files)
    assert names == [p.name for p in runtime.load("pair.pap").outputs]


@pytest.mark.parametrize(
    ("array", "said"),
    [
        (np.zeros((2, 5), F32), r"x"),
        (np.zeros((2, 6)), "input 'x': expected float32, got float64"),
        (np.zeros((2, 6), np.int64), "input 'x': expected float32, got int64"),
        (np.zeros(6, F32), "input 'x': expected rank 2 [batch, 6], got rank 1 [6]"),
        (np.zeros((65, 6), F32), "x"),
        (np.zeros((0, 6), F32), "x"),
    ],
)
def test_wrong_arrays_are_named(array: np.ndarray, said: str, net: Path, cli: Cli) -> None:
    np.save("x.npy", array)
    done = cli("run", net, "-i", "x=x.npy")
    assert done.status == 1 and said in done.err and done.err.startswith("pappus run: ")


def test_unknown_missing_and_unreadable_inputs(net: Path, cli: Cli) -> None:
    np.save("x.npy", x_of(1))
    done = cli("run", net, "-i", "image=x.npy")
    assert done.status == 1
    assert done.err == (
        "pappus: --input image: method 'forward' has no input 'image'; it takes\n  x: float32[batch, 6]\n"
    )
    done = cli("run", net)
    assert done.status == 1 and "input 'x' of method 'forward' is missing: give --input x=FILE.npy" in done.err
    done = cli("run", net, "-i", "x=no.npy")
    assert (done.status, done.err) == (1, "pappus: no.npy: No such file or directory\n")
    Path("bad.npy").write_text("not an array")
    done = cli("run", net, "-i", "x=bad.npy")
    assert done.status == 1 and "bad.npy: not a whole .npy or .npz file\n" in done.err
    np.savez("x.npz", x=x_of(9))
    for name in ("x.npy", "x.npz"):
        Path(name).write_bytes(Path(name).read_bytes()[:-30])
        done = cli("run", net, "-i", f"x={name}")
        assert done.status == 1 and f"{name}: not a whole .npy or .npz file (" in done.err


def test_bfloat16_files(cli: Cli) -> None:
    import ml_dtypes

    from pappus.cli.arrays import _as_port, make_array
    from pappus.runtime.info import PortInfo

    port = PortInfo("x", "bfloat16", (3,))
    made = make_array(port, "random", (3,), np.random.default_rng(0))
    assert made.dtype == ml_dtypes.bfloat16
    np.save("b.npy", made)
    assert np.array_equal(_as_port(np.load("b.npy"), port), made)


@pytest.mark.parametrize("command", ["run", "inspect", "bench"])
@pytest.mark.parametrize("what", ["empty", "foreign", "truncated", "changed", "missing", "folder"])
def test_files_that_are_no_program(command: str, what: str, net: Path, cli: Cli) -> None:
    data = bytearray(net.read_bytes())
    if what == "folder":
        Path("bad.pap").mkdir()
    elif what != "missing":
        data[200] ^= 0xFF
        contents = {"empty": b"", "foreign": b"\x89PNG\r\n\x1a\n" + bytes(500), "truncated": net.read_bytes()[:-100]}
        Path("bad.pap").write_bytes(contents.get(what, bytes(data)))
    done = cli(command, "bad.pap", *(["-i", "x=random"] if command == "run" else []))
    assert done.status == 1 and "bad.pap" in done.err and "Traceback" not in done.err and "internal" not in done.err
    assert done.out == ""
