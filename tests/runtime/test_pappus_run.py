"""pappus-run, the C program: the same bits as the Python binding, and one clear message for what goes wrong."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import compiled
import exported
import numpy as np
import programs
import pytest

from pappus import runtime

F32 = np.float32


@pytest.fixture(scope="module")
def tool() -> Path:
    """The compiled program."""
    return compiled.pappus_run()


Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def run(tool: Path, tmp_path: Path) -> Run:
    """Run it in a fresh folder that holds m.pap ("dynamic") and x.npy."""
    (tmp_path / "m.pap").write_bytes(programs.dynamic().build())
    np.save(tmp_path / "x.npy", np.arange(18, dtype=F32).reshape(3, 6))

    def call(*args: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([str(tool), *args], cwd=tmp_path, capture_output=True, text=True, check=False)

    return call


def expect(done: subprocess.CompletedProcess[str], code: int, *parts: str) -> None:
    """One message with these parts, nothing on stdout, and this exit status."""
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    first = done.stderr.splitlines()[0]
    assert first.startswith("pappus-run: ") or code == 2
    for part in parts:
        assert part in done.stderr, done.stderr


# -- results -------------------------------------------------------------------------------------------------------


def inputs_of(file: bytes) -> dict[str, Any]:
    """Legal inputs of the program's first method."""
    rng = np.random.default_rng(5)
    method = runtime.load(file).method(runtime.load(file).methods[0])
    found: dict[str, Any] = {}
    for port in method.inputs:
        sizes = {s.name: -(-max(s.min, 4) // s.multiple_of) * s.multiple_of for s in method.info.symbols}
        shape = [d if isinstance(d, int) else sizes.get(d, 2) for d in port.shape]
        integer = port.dtype.startswith("int")
        found[port.name] = np.ones(shape, port.dtype) if integer else rng.standard_normal(shape).astype(port.dtype)
    return found


def made(name: str) -> bytes:
    """A file by its name in programs.py or exported.py."""
    return programs.ALL[name]().build() if name in programs.ALL else exported.ALL[name]()


@pytest.mark.parametrize("name", [*programs.ALL, *exported.ALL])
def test_same_bits_as_the_python_binding(name: str, tool: Path, tmp_path: Path) -> None:
    file = made(name)
    (tmp_path / "m.pap").write_bytes(file)
    inputs = inputs_of(file)
    arguments: list[str] = []
    for i, (key, value) in enumerate(inputs.items()):
        np.save(tmp_path / f"in{i}.npy", value)
        arguments += ["--input", f"{key}=in{i}.npy"]
    for threads in (1, 2):
        session = runtime.load(file, threads=threads)
        method = session.method(session.methods[0])
        wanted = method(**inputs)
        out = tmp_path / f"out{threads}"
        out.mkdir()
        done = subprocess.run(
            [str(tool), "m.pap", *arguments, "--output", out.name, "--threads", str(threads)],
            cwd=tmp_path, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0 and done.stderr == "", done.stderr
        for port, want in zip(method.outputs, wanted if isinstance(wanted, tuple) else (wanted,), strict=True):
            found = np.load(out / f"{port.name}.npy")
            assert found.shape == want.shape
            assert found.tobytes() == want.tobytes(), f"{port.name} with {threads} threads"
            assert f"{port.name}: {port.dtype} [" in done.stdout


def test_output_and_repeat(run: Run, tmp_path: Path) -> None:
    done = run("m.pap", "--input", "x=x.npy", "--output", "nowhere")
    assert done.returncode == 1 and "nowhere/y.npy: the file cannot be created" in done.stderr
    done = run("m.pap", "--input", "x=x.npy", "--output", "y=a.npy", "--repeat", "4")
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].startswith("4 runs: fastest ") and " ms, median " in lines[0]
    assert lines[1] == "y: float32 [3, 6] = 0 4 8 12 16 20 12 16 ..."
    assert run("m.pap", "--input", "x=x.npy", "--output", "y=b.raw").returncode == 0
    assert (tmp_path / "b.raw").read_bytes() == np.load(tmp_path / "a.npy").tobytes()


def test_raw_inputs(run: Run, tmp_path: Path) -> None:
    x = np.arange(12, dtype=F32).reshape(2, 6)
    (tmp_path / "x.raw").write_bytes(x.tobytes())
    want = "y: float32 [2, 6] = "
    assert run("m.pap", "--input", "x=x.raw").stdout.startswith(want)  # the open size follows from the file's
    assert run("m.pap", "--input", "x=x.raw", "--shape", "x=2x6").stdout.startswith(want)
    expect(run("m.pap", "--input", "x=x.raw", "--shape", "x=3x6"), 1, "x.raw", "it would have 72 bytes, it has 48")
    expect(run("m.pap", "--input", "x=x.raw", "--shape", "x=2x"), 1, "not like 2x3")
    (tmp_path / "x.raw").write_bytes(x.tobytes()[:-1])
    expect(run("m.pap", "--input", "x=x.raw"), 1, "x.raw", "it has 47")
    (tmp_path / "c.pap").write_bytes(programs.convolution().build())
    expect(run("c.pap", "--input", "x=x.raw"), 1, "x.raw", "give --shape")


def test_methods(run: Run, tmp_path: Path) -> None:
    (tmp_path / "t.pap").write_bytes(programs.two_methods().build())
    np.save(tmp_path / "h.npy", np.full((1, 2), 8, F32))
    assert run("t.pap", "--input", "x=h.npy").stdout == "y: float32 [1, 2] = 16 16\n"
    assert run("t.pap", "--method", "half", "--input", "x=h.npy").stdout == (
        "a: float32 [1, 2] = 4 4\nb: float32 [2, 1] = 16 16\n"
    )
    expect(run("t.pap", "--method", "quarter"), 1, "no method quarter", "  forward", "  half")


def test_help(run: Run) -> None:
    done = run("--help")
    assert done.returncode == 0 and done.stdout.startswith("usage: pappus-run FILE.pap") and done.stderr == ""


# -- errors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "array, parts",
    [
        (np.ones((3, 5), F32), ("input 'x'", "dim 1 is 5, the program takes 6")),
        (np.ones((65, 6), F32), ("input 'x'", "dim 0 (batch) is 65, the program allows 1..64")),
        (np.ones((0, 6), F32), ("input 'x'", "dim 0 (batch) is 0")),
        (np.ones(6, F32), ("input 'x'", "expected 2 dimensions, got 1")),
        (np.ones((3, 6)), ("input 'x'", "expected float32, got float64")),
        (np.ones((3, 6), np.int32), ("expected float32, got int32",)),
        (np.ones((3, 6), ">f4"), ("x.npy", "big-endian")),
        (np.asfortranarray(np.ones((3, 6), F32)), ("x.npy", "Fortran order")),
        (np.ones((3, 6), "c8"), ("x.npy", "dtype is not supported")),
        (np.ones(3, [("a", "f4")]), ("x.npy", "structured")),
    ],
)
def test_wrong_arrays(run: Run, tmp_path: Path, array: Any, parts: tuple[str, ...]) -> None:
    np.save(tmp_path / "x.npy", array)
    expect(run("m.pap", "--input", "x=x.npy"), 1, *parts)


def test_damaged_arrays(run: Run, tmp_path: Path) -> None:
    whole = (tmp_path / "x.npy").read_bytes()
    for content, part in [
        (whole[:-1], "its length does not agree with its shape"),
        (whole + b"\0", "its length does not agree with its shape"),
        (whole[:40], "ends inside its header"),
        (whole[:8], "not a .npy file"),
        (b"", "not a .npy file"),
        (b"PK\3\4 a zip file", "not a .npy file"),
        (whole.replace(b"(3, 6)", b"(3, a)"), "not a list of numbers"),
        (whole.replace(b"(3, 6)", b"(9999999999, 6)"), "larger than 2^31 - 1"),
        (whole.replace(b"\x93NUMPY\1", b"\x93NUMPY\3"), "version"),
    ]:
        (tmp_path / "bad.npy").write_bytes(content)
        expect(run("m.pap", "--input", "x=bad.npy"), 1, "bad.npy", part)
    expect(run("m.pap", "--input", "x=none.npy"), 1, "none.npy", "cannot be opened")


def test_wrong_names(run: Run) -> None:
    expect(run("m.pap", "--input", "z=x.npy"), 1, "method 'forward' has no input 'z'", "x: float32 [batch, 6]")
    expect(run("m.pap", "--shape", "z=3", "--input", "x=x.npy"), 1, "has no input 'z'")
    expect(run("m.pap"), 1, "input 'x' is missing: give --input x=FILE", "x: float32 [batch, 6]")
    expect(run("m.pap", "--input", "x=x.npy", "--output", "q=q.npy"), 1, "no output 'q'", "y: float32 [batch, 6]")
    expect(run("m.pap", "--input", "x=x.npy", "--input", "x=x.npy"), 2, "input 'x' is given twice")


def test_programs_that_are_none(run: Run, tmp_path: Path) -> None:
    whole = (tmp_path / "m.pap").read_bytes()
    damaged = bytearray(whole)
    damaged[4096] ^= 1  # a weight
    for content, part in [
        (whole[: len(whole) // 2], "was it copied completely?"),
        (whole[:10], "less than the 48 of a header"),
        (b"", "less than the 48 of a header"),
        (b"\x7fELF" + bytes(100), "it is no Pappus program"),
        (bytes(damaged), "checksum of section 1 is wrong"),
    ]:
        (tmp_path / "bad.pap").write_bytes(content)
        expect(run("bad.pap", "--input", "x=x.npy"), 1, "bad.pap: ", part)
    expect(run("none.pap"), 1, "none.pap: the file cannot be opened")


def test_failing_runs(run: Run, tmp_path: Path) -> None:
    (tmp_path / "g.pap").write_bytes(programs.gather().build())
    np.save(tmp_path / "i.npy", np.array([0, 10]))
    np.save(tmp_path / "p.npy", np.zeros((2, 2), np.int32))
    done = run("g.pap", "--input", "index=i.npy", "--input", "pick=p.npy")
    place = "g.pap: method 'forward', instruction 0 (gather, test.py:1)"
    expect(done, 1, f"{place}: an index is 10, allowed are -10 to 10 - 1")


@pytest.mark.parametrize(
    "args, part",
    [
        ((), "usage: pappus-run"),
        (("m.pap", "n.pap"), "more than one program file"),
        (("m.pap", "--input"), "--input needs a value"),
        (("m.pap", "--input", "x"), "--input x: expected NAME=FILE"),
        (("m.pap", "--input", "=x.npy"), "expected NAME=FILE"),
        (("m.pap", "--shape", "x"), "expected NAME=2x3"),
        (("m.pap", "--threads", "-1"), "--threads -1: expected a number"),
        (("m.pap", "--threads", "two"), "--threads two"),
        (("m.pap", "--repeat", "0"), "a number of at least 1"),
        (("m.pap", "--frobnicate", "1"), "unknown option --frobnicate"),
    ],
)
def test_wrong_usage(run: Run, args: tuple[str, ...], part: str) -> None:
    expect(run(*args), 2, part)


def test_unknown_instruction_sets(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAPPUS_ISA", "abacus")
    expect(run("m.pap", "--input", "x=x.npy"), 1, "PAPPUS_ISA=abacus is unknown")
    with pytest.raises(runtime.ArgumentError, match="PAPPUS_ISA=abacus"):
        runtime.load(programs.dynamic().build())
    monkeypatch.setenv("PAPPUS_ISA", "reference")
    assert run("m.pap", "--input", "x=x.npy").returncode == 0
