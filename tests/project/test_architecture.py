"""Who imports whom: the arrows of ARCHITECTURE.md, read from every import statement of the tree."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = {
    "frontend": ROOT / "frontend",
    "export": ROOT / "export",
    "quantize": ROOT / "quantize",
    "runtime": ROOT / "runtime_c" / "python" / "runtime",
}
# Every package may import itself.
ALLOWED = {
    "frontend": set(),
    "runtime": set(),
    "export": {"frontend", "runtime"},
    "quantize": {"export", "frontend"},
}
# Exceptions, each with its reason: (file, imported package).
EXCEPTIONS: dict[tuple[str, str], str] = {
    ("frontend/native/__init__.py", "runtime"): "the runtime's kernels behind eager operators, where it is compiled: "
    "imported when the first is wanted, and nothing else of the frontend depends on it",
}
RUNTIME_NEEDS = {"numpy", "cffi", "_cffi_backend"}
LONGEST = 700


def sources(folder: Path) -> Iterator[Path]:
    """The Python files below a folder."""
    return (p for p in folder.rglob("*.py") if "__pycache__" not in p.parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, absolute module name) of every import of a file; relative ones stay inside their package."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            if node.module == "pappus":
                yield from ((node.lineno, f"pappus.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, node.module


@pytest.mark.parametrize("package", FOLDERS)
def test_arrows(package: str) -> None:
    wrong = []
    used = set()
    for path in sources(FOLDERS[package]):
        name = str(path.relative_to(ROOT))
        for line, module in imports(path):
            parts = module.split(".")
            if parts[0] in FOLDERS and parts[0] != "export":
                wrong.append(f"{name}:{line} imports {module}: a bare package name makes a second copy of it")
            if parts[0] != "pappus" or len(parts) < 2 or parts[1] not in FOLDERS or parts[1] == package:
                continue
            if parts[1] in ALLOWED[package]:
                continue
            used.add((name, parts[1]))
            if (name, parts[1]) not in EXCEPTIONS:
                wrong.append(f"{name}:{line} imports {module}: {package} may not import {parts[1]}")
    assert not wrong, "\n".join(wrong)
    listed = {key for key in EXCEPTIONS if key[0].startswith(str(FOLDERS[package].relative_to(ROOT)))}
    assert listed <= used, f"exceptions that nobody uses any more: {listed - used}"


def test_runtime_needs_numpy_and_cffi_only() -> None:
    import sys

    found = {
        (str(path.relative_to(ROOT)), module.split(".")[0])
        for path in sources(FOLDERS["runtime"])
        for _, module in imports(path)
    }
    foreign = {f for f in found if f[1] not in {"pappus", *RUNTIME_NEEDS} and f[1] not in sys.stdlib_module_names}
    # The DLPack and bfloat16 conveniences look for ml_dtypes only if the caller has loaded it.
    assert not foreign, foreign


def test_files_are_short() -> None:
    """One job a file: 700 lines at most, generated files aside."""
    others = ("src", "tests", "examples", "benchmarks", "runtime_c")
    folders = [*FOLDERS.values(), *(ROOT / name for name in others)]
    long = []
    for folder in folders:
        for pattern in ("*.py", "*.c", "*.h"):
            for path in folder.rglob(pattern):
                generated = "_generated" in path.name or path.name == "schema_gen.h"
                if path.is_symlink() or "__pycache__" in path.parts or generated:
                    continue
                count = len(path.read_text().splitlines())
                if count > LONGEST:
                    long.append(f"{path.relative_to(ROOT)}: {count}")
    assert not long, long


def test_no_module_is_a_drawer() -> None:
    """Folder and file names say what is inside; `utils` appears only where torch's public names need it."""
    drawers = {"utils", "helpers", "misc", "common"}
    found = [
        str(path.relative_to(ROOT))
        for folder in FOLDERS.values()
        for path in sources(folder)
        if drawers & {path.stem, *path.relative_to(folder).parts}
    ]
    assert not found, found
