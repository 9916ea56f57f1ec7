"""From Python to a file: capture, passes, lowering, writing."""

from typing import Any

from pappus.export.dims import Dim
from pappus.export.exporting import export
from pappus.export.lower import Program, UnsupportedOperators, lower
from pappus.export.picture import graph_svg
from pappus.export.program import ExportedProgram

__all__ = ["Dim", "ExportedProgram", "Program", "UnsupportedOperators", "export", "from_onnx", "graph_svg", "lower"]


def __getattr__(name: str) -> Any:
    if name == "from_onnx":  # on first use: the importer is written with pappus' public names
        from pappus.export.onnx import from_onnx

        return from_onnx
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
