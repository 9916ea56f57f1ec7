"""Loading the families: each file registers its operators in the table when it is imported."""

from __future__ import annotations

import importlib

FAMILIES = (
    "elementwise", "indexing", "making", "norms", "products", "quantized", "rearranging", "recurrence", "reductions",
    "resizing", "windows",
)  # fmt: skip


def load() -> None:
    """Fill the table."""
    for family in FAMILIES:
        importlib.import_module(f"pappus.export.onnx.{family}")
