"""Errors of the eager engine.

    PappusError
    |-- ShapeError        sizes that do not fit together            (RuntimeError)
    |-- DimError          a dimension or index out of range         (IndexError)
    |-- DTypeError        types that do not fit together            (RuntimeError, TypeError)
    |-- ArgumentError     an argument that is missing or not valid  (RuntimeError, ValueError, TypeError)
    |-- AutogradError     a gradient that cannot be computed        (RuntimeError)
    |   `-- InplaceError  an in-place change that would break one   (RuntimeError)
    |-- UnsupportedError  a feature that is absent                  (NotImplementedError)
    |-- FormatError       a file that `load` does not read          (RuntimeError, ValueError)
    `-- CaptureError      Python that cannot become a graph         (RuntimeError)

Each also inherits from the builtin that PyTorch raises in the same place, so `except RuntimeError` keeps working.
A message says what was attempted, on which shapes and types, which rule was broken and the way out; the operator and
the user's line are put in front when the error leaves `dispatch.call`.
"""

from __future__ import annotations

__all__ = [
    "ArgumentError", "AutogradError", "CaptureError", "DTypeError", "DimError", "FormatError", "InplaceError",
    "PappusError", "ShapeError", "UnsupportedError",
]  # fmt: skip


class PappusError(Exception):
    """Base of every error Pappus raises; `op` and `location` name the operator and the user's line when known."""

    op: str | None = None
    operands: str | None = None
    location: str | None = None
    outer: tuple[str, str | None] | None = None

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def at(self, op: str | None, location: str | None, operands: str | None = None) -> PappusError:
        """Add the operator, its operands and the user's line; where an inner call has done so, the outer operator."""
        if self.location is None:
            self.op, self.location, self.operands = op, location, operands
        elif op and op != self.op:
            self.outer = op, operands
        return self

    def __str__(self) -> str:
        text = self.message
        if self.op and not text.startswith(self.op):
            text = f"{self.op}: {text}"
        if self.operands:
            text += f"\n  operands: {self.operands}"
        if self.outer:
            text += f"\n  inside {self.outer[0]} of {self.outer[1]}" if self.outer[1] else f"\n  inside {self.outer[0]}"
        if self.location:
            text += f"\n  at {self.location}"
        return text


class ShapeError(PappusError, RuntimeError, ValueError):
    """Sizes do not fit: the message names the dimensions that differ. Reshape, broadcast or transpose an operand."""


class DimError(PappusError, IndexError, RuntimeError):
    """A dimension or an index is out of range: the message gives the range."""


class DTypeError(PappusError, RuntimeError, TypeError):
    """Types do not fit: convert an operand, e.g. with `x.to(pp.float32)` or `x.long()`."""


class ArgumentError(PappusError, RuntimeError, ValueError, TypeError):
    """An argument is missing, unknown or has a value the operator does not accept."""


class DeviceError(PappusError, RuntimeError):
    """A device that is not there, or operands on different ones."""


class AutogradError(PappusError, RuntimeError):
    """A gradient cannot be computed: nothing requires one, the graph is used up, or a tensor was changed."""


class InplaceError(AutogradError):
    """An in-place change would break a gradient. Use the out-of-place operator, `clone()` first, or `no_grad()`."""


class UnsupportedError(PappusError, NotImplementedError):
    """A feature that Pappus does not have; the message names the nearest thing that it has."""


class FormatError(PappusError, RuntimeError, ValueError):
    """A file is not what `load` reads: another format, cut off or damaged. The message says what was expected."""


class CaptureError(PappusError, RuntimeError):
    """Python code that depends on a tensor's value cannot become a graph; the message lists the ways out."""
