"""Every example in a docstring runs, those of the operators included."""

from __future__ import annotations

import doctest
import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import pytest

import pappus

FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
GENERATED = "pappus.export.schema."


def modules() -> Iterator[str]:
    """The names of all modules of the package."""
    yield "pappus"
    for info in pkgutil.walk_packages(pappus.__path__, "pappus."):
        if not info.name.startswith(GENERATED) and not info.name.endswith(("_capi", "__main__")):
            yield info.name


def run(found: list[doctest.DocTest]) -> int:
    """Run examples that share nothing; how many there were."""
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report: list[str] = []
    for test in found:
        pappus.manual_seed(0)
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)
    return runner.tries


@pytest.mark.parametrize("name", list(modules()))
def test_module(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    module = importlib.import_module(name)
    monkeypatch.chdir(tmp_path)
    run([t for t in doctest.DocTestFinder(exclude_empty=True).find(module) if t.examples])


def test_operators(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    # Their functions are made by the schema, so no module's globals own them.
    monkeypatch.chdir(tmp_path)
    finder = doctest.DocTestFinder(recurse=False)
    fronts = {id(f): f for f in vars(pappus.ops).values() if callable(f)}.values()
    found = [t for f in fronts for t in finder.find(f, getattr(f, "__name__", "?"), globs={})]
    assert run(found) > 20
