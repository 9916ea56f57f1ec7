"""Deploying needs only NumPy and cffi: what importing pappus.runtime loads, and what importing pappus costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import programs

SOURCE = Path(__file__).resolve().parents[2] / "src"


def run(code: str, *args: str) -> str:
    """The output of a fresh interpreter."""
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run(
        [sys.executable, "-c", code, *args], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


LOADED = """
import sys, json
before = set(sys.modules)
import numpy, cffi
with_numpy = set(sys.modules)
import pappus.runtime
if len(sys.argv) > 1:
    session = pappus.runtime.load(sys.argv[1])
    with session.observe(lambda seen: None):
        y = session(numpy.ones(7, numpy.float16))
    session.profile(numpy.ones(7, numpy.float16), runs=1)
    assert y.dtype == numpy.uint16 and y.tolist() == [0xBF80] * 7, y  # bfloat16 bits: ml_dtypes is not imported
print(json.dumps([sorted(set(sys.modules) - before - with_numpy), sorted(set(sys.modules) - before)]))
"""


def test_runtime_loads_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "m.pap"
    path.write_bytes(programs.halves().build())
    new, _ = json.loads(run(LOADED, str(path)))
    ours = [name for name in new if name.split(".")[0] == "pappus"]
    assert all(name == "pappus" or name.startswith("pappus.runtime") for name in ours), ours
    third = {name.split(".")[0] for name in new} - {"pappus", "_cffi_backend", "numpy", "cffi"}
    assert third <= set(sys.stdlib_module_names), third


def test_runtime_package_alone_needs_no_compiled_part() -> None:
    code = "import sys, pappus.runtime.enums; print([n for n in ('numpy', '_cffi_backend') if n in sys.modules])"
    assert run(code).strip() == "[]"


def test_import_pappus_is_cheap() -> None:
    code = "import time; t = time.perf_counter(); import pappus; print(time.perf_counter() - t)"
    assert min(float(run(code)) for _ in range(3)) < 0.150


def test_unknown_attribute() -> None:
    assert "no attribute 'loda'" in run("import pappus.runtime as r\ntry: r.loda\nexcept AttributeError as e: print(e)")
