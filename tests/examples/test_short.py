"""The short examples run, and do what they say."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from lines import ENVIRONMENT
from native import ROOT, build_folder, pappus_run

EXAMPLES = ROOT / "examples"


def python(script: Path, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run a script in a folder."""
    return subprocess.run(
        [sys.executable, script], cwd=folder, capture_output=True, text=True, timeout=170, env=ENVIRONMENT
    )


def test_the_readme_shows_the_perceptron_word_for_word() -> None:
    (shown,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.S)
    assert (EXAMPLES / "mlp.py").read_text().endswith("\n\n" + shown)
    assert len([line for line in shown.splitlines() if line.strip()]) <= 22


def test_the_perceptron(tmp_path: Path) -> None:
    done = python(EXAMPLES / "mlp.py", tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "[1 0 1]\n" and (tmp_path / "signs.pap").stat().st_size > 1000


def test_the_commands_in_the_readmes_work(tmp_path: Path) -> None:
    assert python(EXAMPLES / "mlp.py", tmp_path).returncode == 0
    np.save(tmp_path / "points.npy", np.ones((3, 2), np.float32))
    readme = (ROOT / "README.md").read_text()
    shell = readme[readme.index("From the shell") :].split("\n\n")[0]
    lines = [(line, tmp_path) for line in re.findall(r"`((?:pappus|build/c/runtime_c/pappus-run) [^`]+)`", shell)]
    assert len(lines) == 4
    examples = re.findall(r"^    (pappus .+)$", (EXAMPLES / "README.md").read_text(), re.M)
    assert len(examples) == 3
    for line, folder in [*lines, *((e.replace("m.pap", str(tmp_path / "m.pap")), ROOT) for e in examples)]:
        program, *arguments = shlex.split(line)
        command = [sys.executable, "-m", "pappus"] if program == "pappus" else [str(pappus_run())]
        done = subprocess.run(
            [*command, *arguments], cwd=folder, capture_output=True, text=True, env=ENVIRONMENT, timeout=120
        )
        assert done.returncode == 0 and done.stdout, f"{line}\n{done.stderr}"


def test_the_transformer_recites(tmp_path: Path) -> None:
    done = python(EXAMPLES / "transformer.py", tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.startswith("A pappus carries a dandelion's seed away;")


def compile_example(tmp_path: Path) -> Path:
    """read_digit, linked with the library that the repository's own build made."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("there is no C compiler")
    library = build_folder("pappus") / "runtime_c" / "libpappus.a"
    program = tmp_path / "read_digit"
    flags = ["-std=c11", "-Wall", "-Wextra", "-Werror", f"-I{ROOT / 'runtime_c' / 'include'}"]
    source = EXAMPLES / "c" / "read_digit.c"
    command = [compiler, *flags, source, library, "-lm", "-lpthread", "-o", program]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return program


@pytest.fixture
def digits_program(tmp_path: Path) -> Path:
    """The untrained digits network."""
    done = subprocess.run(
        [sys.executable, "-m", "pappus", "export", str(EXAMPLES / "mnist" / "model.py:make"), "-o", "m.pap", "-q"],
        cwd=tmp_path, capture_output=True, text=True, env={**ENVIRONMENT, "MNIST_WEIGHTS": "none"}, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return tmp_path / "m.pap"


def test_the_runtime_inside_a_c_program(tmp_path: Path, digits_program: Path) -> None:
    program = compile_example(tmp_path)
    image = np.random.default_rng(0).random((1, 1, 28, 28), dtype=np.float32)
    np.save(tmp_path / "digit.npy", image)
    done = subprocess.run([program, digits_program, tmp_path / "digit.npy"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    from pappus import runtime

    scores = runtime.load(digits_program)(image)[0]
    printed = [float(line.split()[1]) for line in done.stdout.splitlines()[14:24]]
    assert np.allclose(printed, scores, atol=6e-5)
    assert done.stdout.endswith(f"this is a {scores.argmax()}\n")


def test_the_c_program_refuses_what_it_cannot_use(tmp_path: Path, digits_program: Path) -> None:
    program = compile_example(tmp_path)
    np.save(tmp_path / "wide.npy", np.zeros((2, 784), np.float64))
    np.save(tmp_path / "digit.npy", np.zeros((28, 28), np.float32))
    for arguments, said in (
        ([digits_program, tmp_path / "wide.npy"], "is not a .npy file of 28 x 28 float32"),
        ([tmp_path / "digit.npy", tmp_path / "digit.npy"], "signature"),
        ([tmp_path / "no.pap", tmp_path / "digit.npy"], "cannot be opened"),
    ):
        done = subprocess.run([program, *arguments], capture_output=True, text=True)
        assert done.returncode == 1 and said in done.stderr
    assert subprocess.run([program], capture_output=True).returncode == 2


@pytest.mark.slow
def test_the_c_example_builds_with_its_own_cmake(tmp_path: Path) -> None:
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    debug = "-DCMAKE_BUILD_TYPE=Debug"  # builds in a fraction of the time
    jobs = ["-j", str(os.cpu_count() or 1)]
    for command in (["-S", EXAMPLES / "c", "-B", tmp_path, debug], ["--build", tmp_path, *jobs]):
        done = subprocess.run(["cmake", *map(str, command)], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "read_digit").exists() and not list(tmp_path.rglob("pappus-run"))
