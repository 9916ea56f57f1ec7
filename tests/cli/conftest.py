"""Running the command line inside the test process, on model files in a temporary folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from lines import NET, Cli, Outcome, Write

from pappus.cli import errors
from pappus.cli.main import run


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Commands change the process they run in: the folder, sys.path, loaded modules, the environment."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PAPPUS_EAGER", os.environ.get("PAPPUS_EAGER", ""))
    path, modules, roots = list(sys.path), set(sys.modules), set(errors.user_roots)
    yield
    sys.path[:] = path
    errors.user_roots.clear()
    errors.user_roots.update(roots)
    for name in set(sys.modules) - modules:
        if str(tmp_path) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    """`cli("run", "model.pap")` as an Outcome."""

    def call(*arguments: object) -> Outcome:
        capsys.readouterr()
        status = run([str(a) for a in arguments])
        seen = capsys.readouterr()
        return Outcome(status, seen.out, seen.err)

    return call


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write a file into the temporary folder, which is the working directory."""

    def put(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text)
        return Path(name)

    return put


@pytest.fixture
def net(write: Write, cli: Cli) -> Path:
    """net.py and the program exported from it, net.pap."""
    write("net.py", NET)
    assert cli("export", "net.py:make", "-o", "net.pap").status == 0
    return Path("net.pap")
