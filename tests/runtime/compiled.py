"""The C tools for tests, built in build/c as `make build-c` does."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / "build" / "c"


def _cmake() -> str:
    beside = Path(sys.executable).with_name("cmake")
    return str(beside) if beside.exists() else shutil.which("cmake") or "cmake"


def build(target: str) -> None:
    """Build one target; processes that want this at the same time wait for each other."""
    BUILD.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with open(BUILD / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (BUILD / "CMakeCache.txt").exists():
            generator = ["-G", "Ninja"] if shutil.which("ninja", path=environment["PATH"]) else []
            command = [_cmake(), "-S", str(ROOT), "-B", str(BUILD), *generator, "-DPAPPUS_WERROR=ON"]
            subprocess.run(command, check=True, capture_output=True, env=environment)
        command = [_cmake(), "--build", str(BUILD), "--target", target]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]


def pappus_run() -> Path:
    """The pappus-run program."""
    build("pappus-run")
    return BUILD / "runtime_c" / "pappus-run"
