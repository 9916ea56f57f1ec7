"""Lowering: core graph -> kernel graph -> program."""

from pappus.export.lower.lowering import Program, UnsupportedOperators, lower

__all__ = ["Program", "UnsupportedOperators", "lower"]
