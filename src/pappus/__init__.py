"""Pappus: write and train a model in eager Python, export it to one small program that runs anywhere.

    import pappus as pp

    x = pp.randn(4, 8, requires_grad=True)
    loss = (x @ x.T).softmax(-1).sum()
    loss.backward()

Everything is loaded on first use: `import pappus` alone is cheap, and `pappus.runtime` never loads the training side.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'pappus' has no attribute {name!r}", name=name)
    value = importlib.import_module("pappus._names").find(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("pappus._names").public()})
