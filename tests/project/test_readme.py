"""The README's example runs and prints what it says; what it links to exists."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "ARCHITECTURE.md", "CONTRIBUTING.md")]


def test_example(tmp_path: Path) -> None:
    block = re.search(r"```python\n(.+?)```", (ROOT / "README.md").read_text(), re.S)
    assert block is not None
    code = tmp_path / "example.py"
    code.write_text(block[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, str(code)],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    wanted = re.search(r"print\(.*\)  # (.+)", block[1])
    assert wanted is not None and done.stdout.strip() == wanted[1]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_links(path: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", path.read_text())
    assert all((path.parent / link).exists() for link in links), [k for k in links if not (path.parent / k).exists()]


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda p: p.name)
def test_make_targets(path: Path) -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = set(re.findall(r"\bmake ([a-z][a-z-]+)", path.read_text()))
    assert targets and all(re.search(rf"^{t}:", makefile, re.M) for t in targets), targets
