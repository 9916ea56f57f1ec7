"""The program as a whole: help, version, exit status, interruption."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from lines import ENVIRONMENT, process

from pappus.cli.main import _COMMANDS, group

LOADED = "import sys; from pappus.cli.main import run; run(['--help']); print(*sys.modules, file=sys.stderr)"


def test_help_lists_every_command_and_loads_nothing_heavy() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, timeout=60, env=ENVIRONMENT)
    assert done.returncode == 0
    for name in _COMMANDS:
        assert f"\n  {name} " in done.stdout
    heavy = {"numpy", "rich", "pappus.frontend", "pappus.export", "pappus.runtime", "matplotlib"}
    assert not heavy & set(done.stderr.split())


@pytest.mark.parametrize("name", _COMMANDS)
def test_every_command_has_help(name: str) -> None:
    shown = CliRunner().invoke(group, [name, "--help"])
    assert shown.exit_code == 0 and "Usage:" in shown.output


def test_version() -> None:
    import pappus

    done = process("--version")
    assert (done.status, done.out) == (0, f"pappus {pappus.__version__}\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"], ["run"], ["run", "a.pap", "--wrong"], ["bench", "a.pap", "--threads", "0"],
        ["run", "a.pap", "--input", "x"], ["run", "a.pap", "--size", "n=many"],
        ["run", "a.pap", "-i", "x=a", "-i", "x=b"],
        ["bench", "a.pap", "--threads", "one"], ["compare", "a.pap", "b.py:c", "--data", "d.npz", "--size", "n=1"],
        ["export", "net.py:make"],
    ],
)  # fmt: skip
def test_wrong_usage_is_status_two(arguments: list[str], cli: object) -> None:
    done = cli(*arguments)  # type: ignore[operator]
    assert done.status == 2 and "Error:" in done.err


def test_debug_shows_the_traceback_before_and_after_the_command() -> None:
    for arguments in (["--debug", "run", "no.pap"], ["run", "no.pap", "--debug"]):
        done = process(*arguments)
        assert done.status == 1 and "Traceback" in done.err and "FileNotFoundError" in done.err
    done = process("run", "no.pap")
    assert done.status == 1 and done.err == "pappus run: no.pap: No such file or directory\n"


def test_interrupting_is_clean(net: Path) -> None:
    command = [sys.executable, "-m", "pappus", "bench", str(net), "--seconds", "60"]
    pipe = subprocess.PIPE
    running = subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True, env=ENVIRONMENT)
    end = time.monotonic() + 60
    maps = Path(f"/proc/{running.pid}/maps")
    # Until it has loaded the program.
    while running.poll() is None and "net.pap" not in maps.read_text() and time.monotonic() < end:
        time.sleep(0.05)
    time.sleep(0.3)
    running.send_signal(signal.SIGINT)
    _, err = running.communicate(timeout=60)
    assert running.returncode == 130
    assert err.strip() == "pappus: interrupted"


def test_a_closed_pipe_is_no_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as out:
        command = [sys.executable, "-m", "pappus", "ops", "neg"]
        done = subprocess.run(command, stdout=out, stderr=subprocess.PIPE, text=True, timeout=60, env=ENVIRONMENT)
    assert "Traceback" not in done.stderr
