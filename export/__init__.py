"""From Python to a file: capture, passes, lowering, writing."""

from pappus.export.dims import Dim
from pappus.export.exporting import export
from pappus.export.lower import Program, UnsupportedOperators, lower
from pappus.export.picture import graph_svg
from pappus.export.program import ExportedProgram

__all__ = ["Dim", "ExportedProgram", "Program", "UnsupportedOperators", "export", "graph_svg", "lower"]
