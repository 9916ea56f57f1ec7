"""The C programs that tests compare with: taken from a build that is there, else built."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


def build_folder(target: str) -> Path:
    """A CMake build folder in which `target` is up to date. Skips the test where CMake is missing."""
    if shutil.which("cmake") is None:
        pytest.skip("cmake is not installed")
    # `make test` builds build/c; a checkout in use often has build/dev.
    known = [ROOT / "build" / name for name in ("c", "dev")]
    folder = next((f for f in known if (f / "CMakeCache.txt").exists()), known[0])
    if not (folder / "CMakeCache.txt").exists():
        ninja = ["-G", "Ninja"] if shutil.which("ninja") else []
        subprocess.run(["cmake", "-S", ROOT, "-B", folder, *ninja], check=True, capture_output=True)
    lock = folder / ".pappus-tests.lock"
    with lock.open("w") as held:  # two test processes must not build at once
        if os.name == "posix":
            import fcntl

            fcntl.flock(held, fcntl.LOCK_EX)
        done = subprocess.run(["cmake", "--build", folder, "--target", target], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def pappus_run() -> Path:
    """The program pappus-run."""
    return build_folder("pappus-run") / "runtime_c" / "pappus-run"
