"""`pappus run` and the C program `pappus-run` give the same bits, with one thread and with two."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from lines import Cli
from native import ROOT, pappus_run

EXAMPLES = ROOT / "examples"


@pytest.fixture(scope="module")
def program() -> Path:
    """pappus-run."""
    return pappus_run()


def in_c(program: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run pappus-run."""
    return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def test_the_digits_network_bit_for_bit(program: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MNIST_WEIGHTS", "none")
    assert cli("export", EXAMPLES / "mnist" / "model.py:make", "-o", "m.pap").status == 0
    for n in (1, 5):
        np.save("x.npy", np.random.default_rng(n).random((n, 1, 28, 28), dtype=np.float32))
        found = []
        for threads in (1, 2):
            done = cli("run", "m.pap", "--input", "x=x.npy", "--output", f"py{threads}.npy", "--threads", threads)
            assert done.status == 0, done.err
            files = ["--input", "x=x.npy", "--output", f"output=c{threads}.npy"]
            ran = in_c(program, "m.pap", *files, "--threads", threads)
            assert ran.returncode == 0, ran.stderr
            found += [np.load(f"py{threads}.npy"), np.load(f"c{threads}.npy")]
        assert all(f.shape == (n, 10) and f.tobytes() == found[0].tobytes() for f in found)


def test_both_methods_of_the_transformer_bit_for_bit(program: Path, cli: Cli) -> None:
    assert cli("export", EXAMPLES / "transformer.py:make", "-o", "t.pap", "-q").status == 0
    np.save("tokens.npy", np.arange(7)[None])
    np.save("start.npy", np.array(3))
    given = ["--method", "read", "--input", "tokens=tokens.npy", "--input", "start=start.npy"]
    assert cli("run", "t.pap", *given, "--output", "py.npy").status == 0
    ran = in_c(program, "t.pap", *given, "--output", "output=c.npy", "--threads", 2)
    assert ran.returncode == 0, ran.stderr
    assert np.load("py.npy").shape == (1, 7, 21) and np.load("py.npy").tobytes() == np.load("c.npy").tobytes()


def test_wrong_inputs_read_alike(program: Path, net: Path, cli: Cli) -> None:
    np.save("x.npy", np.zeros((2, 5), np.float32))
    mine, c = cli("run", net, "-i", "x=x.npy"), in_c(program, net, "--input", "x=x.npy")
    assert mine.status == c.returncode == 1
    assert mine.err.removeprefix("pappus run: ") == c.stderr.removeprefix("pappus-run: net.pap: ")
