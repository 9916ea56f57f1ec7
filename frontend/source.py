"""Where the user is: the innermost frame outside this package."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

# The package is reached through links, so both the link and its target are "inside".
_HERE = os.path.dirname(os.path.abspath(__file__))
_ROOTS = tuple(
    {
        root + os.sep
        for base in (_HERE, os.path.realpath(_HERE))
        for root in (
            base,
            os.path.join(os.path.dirname(base), "export"),
            os.path.join(os.path.dirname(base), "quantize"),
            os.path.join(os.path.dirname(base), "runtime"),
            os.path.join(os.path.dirname(base), "cli"),
            os.path.join(os.path.dirname(base), "nn"),
            os.path.join(os.path.dirname(base), "runtime_c"),
            os.path.join(os.path.dirname(base), "src", "pappus"),
        )
    }
)
inside: set[str] = set()  # the files that `is_inside` has found to be ours,
outside: set[str] = set()  # and the user's


def is_inside(filename: str) -> bool:
    """Whether a source file belongs to this package."""
    if filename in inside:
        return True
    if filename in outside:
        return False
    ours = (
        filename.startswith("<pappus ") or os.path.abspath(filename).startswith(_ROOTS) or "contextlib" in filename
    )
    (inside if ours else outside).add(filename)
    return ours


def user_frame() -> FrameType | None:
    """The innermost frame that is not this package's, or None."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and is_inside(frame.f_code.co_filename):
        frame = frame.f_back
    return frame


class _Origin(threading.local):
    place: str | None = None


_origin = _Origin()


@contextmanager
def located(place: str) -> Iterator[None]:
    """Operators called in this block come from `place`, such as a node of a model file, and not from a line of Python.

    >>> with located("model.onnx:Conv_3"):
    ...     user_location()
    'model.onnx:Conv_3'
    """
    before, _origin.place = _origin.place, place
    try:
        yield
    finally:
        _origin.place = before


def user_location() -> str:
    """`file.py:12` of the user's current line, relative to the working directory where possible.

    >>> user_location().split(":")[-1].isdigit()
    True
    """
    if _origin.place is not None:
        return _origin.place
    frame = user_frame()
    if frame is None:
        return "<unknown>:0"
    return format_location(frame.f_code.co_filename, frame.f_lineno)


def warn_user(message: str, category: type[Warning] = UserWarning) -> None:
    """`warnings.warn` at the user's current line."""
    frame = user_frame()
    name, line = ("<unknown>", 0) if frame is None else (frame.f_code.co_filename, frame.f_lineno)
    warnings.warn_explicit(message, category, name, line)


def format_location(filename: str, line: int) -> str:
    """`filename:line`, with the path made relative to the working directory when it lies below it."""
    if filename.startswith("<"):
        return f"{filename}:{line}"
    path = os.path.abspath(filename)
    here = os.getcwd() + os.sep
    return f"{path[len(here):] if path.startswith(here) else path}:{line}"
