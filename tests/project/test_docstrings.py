"""Everything public says what it does: modules, classes, functions, methods, properties, and the C header."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("frontend", "export", "quantize", "runtime_c/python/runtime", "src/pappus", "examples", "benchmarks")
# Nested functions and methods that a protocol defines need no text of their own.
Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def files() -> list[Path]:
    """Every Python file of the product, generated ones left out."""
    return sorted(
        path
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*.py")
        if "__pycache__" not in path.parts and "_generated" not in path.name
        and not any(parent.is_symlink() for parent in path.parents)
    )  # fmt: skip


def undocumented(tree: ast.Module) -> Iterator[str]:
    """`line: name` of every public definition at module or class level without a docstring."""
    if ast.get_docstring(tree) is None and tree.body:
        yield "1: the module"
    stack: list[tuple[str, ast.AST]] = [("", tree)]
    while stack:
        prefix, parent = stack.pop()
        public = [n for n in ast.iter_child_nodes(parent) if isinstance(n, Definition) and not n.name.startswith("_")]
        for node in public:
            # A setter or overload belongs to the definition that has the text; an override means what its base says.
            marks = {ast.unparse(d) for d in node.decorator_list}
            if any(m.endswith((".setter", "overload", "override")) for m in marks):
                continue
            if ast.get_docstring(node) is None and not _only_overrides(parent, node):
                yield f"{node.lineno}: {prefix}{node.name}"
            if isinstance(node, ast.ClassDef):
                stack.append((f"{prefix}{node.name}.", node))


def _only_overrides(parent: ast.AST, node: Definition) -> bool:
    """Methods whose meaning is fixed by the base class: a layer's forward, an optimizer's step ..."""
    fixed = {"forward", "backward", "step", "extra_repr", "reset_parameters", "get_lr", "convert", "call", "assign"}
    fixed |= {"location", "module", "concretize", "scalar", "setup_context", "format_message"}
    fixed |= {"sample", "rsample", "log_prob", "entropy", "cdf", "icdf", "mean", "mode", "variance", "stddev"}
    fixed |= {"expand", "log_abs_det_jacobian", "find_spec", "create_module", "exec_module"}
    return isinstance(parent, ast.ClassDef) and bool(parent.bases) and node.name in fixed


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_python(path: Path) -> None:
    found = list(undocumented(ast.parse(path.read_text())))
    assert not found, "\n".join(f"{path.relative_to(ROOT)}:{f} has no docstring" for f in found)


def test_header() -> None:
    """Every function of pappus.h has a comment above it, or shares one with its neighbours."""
    text = (ROOT / "runtime_c" / "include" / "pappus.h").read_text()
    blocks = re.split(r"\n\s*\n", text)
    bare = [b for b in blocks if "PP_API" in b and "(" in b and "#define PP_API" not in b and "/*" not in b]
    assert not bare, bare
    for word in ("Lifetimes.", "Threads.", "Memory.", "Errors."):
        assert word in text
