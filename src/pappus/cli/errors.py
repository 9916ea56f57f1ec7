"""Errors as a user sees them: one message that names the file and line, the input, and the way out."""

from __future__ import annotations

import os
import sys
import sysconfig
from types import TracebackType
from typing import Any

import click

FAILED, USAGE, INTERRUPTED = 1, 2, 130

# Folders of the files that `pappus` was asked to load: a frame in them is the user's.
user_roots: set[str] = set()


class DataError(click.ClickException):
    """A problem with the model or the data: exit status 1."""

    exit_code = FAILED

    def show(self, file: Any = None) -> None:
        """Print `pappus: message` to stderr."""
        click.echo(f"pappus: {self.format_message()}", file=file, err=True)


class NotBuilt(DataError):
    """Something that Pappus will do one day, refused by name: exit status 2."""

    exit_code = USAGE

    def __init__(self, what: str, instead: str = "") -> None:
        super().__init__(f"not built yet: {what}" + (f". {instead}" if instead else ""))


def report(error: Exception, command: str | None = None) -> int:
    """Print what went wrong and return the exit status."""
    text = describe(error)
    if command is not None:  # functions put their own name in front, and it is often the command's
        text = text.removeprefix(f"{command}: ")
    click.echo(f"pappus{' ' + command if command else ''}: {text}", err=True)
    return FAILED


def describe(error: BaseException) -> str:
    """The message for an exception, with the user's file and line where one of the user's frames is involved.

    Errors of Pappus say everything themselves; errors of the user's code get their place and type; anything else is a
    mistake in Pappus and says so.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_place(error.filename, error.lineno or 0)}: {type(error).__name__}: {error.msg}"
    where = user_line(error.__traceback__)
    text = str(error).strip()
    if _is_ours(error):
        known = where is None or where in text or where.rpartition(":")[0] in text
        return text if known else f"{text}\n  at {where}"
    if where is not None:
        return f"{where}: {type(error).__name__}{': ' + text if text else ''}"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename}: {error.strerror}" if error.filename else error.strerror
    if isinstance(error, MemoryError):
        return f"out of memory{': ' + text if text else ''}"
    place = _innermost(error.__traceback__)
    what = f"{type(error).__name__}: {text}"
    return f"internal error at {place}: {what}\nThis is a mistake in Pappus; --debug shows the traceback."


def _is_ours(error: BaseException) -> bool:
    # Looked up, not imported: an error of a module that was never loaded cannot have been raised.
    for module, name in (("pappus.frontend.errors", "PappusError"), ("pappus.runtime.errors", "PappusRuntimeError")):
        kind = getattr(sys.modules.get(module), name, None)
        if kind is not None and isinstance(error, kind):
            return True
    return False


def user_line(trace: TracebackType | None) -> str | None:
    """`model.py:12` of the innermost frame in a file the user handed us, or beside it; None if there is none."""
    found = None
    while trace is not None:
        filename = trace.tb_frame.f_code.co_filename
        if _is_user(filename):
            found = _place(filename, trace.tb_lineno)
        trace = trace.tb_next
    return found


_FOREIGN = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_user(filename: str) -> bool:
    path = os.path.abspath(filename)
    if path.startswith(_FOREIGN) or f"{os.sep}site-packages{os.sep}" in path or filename.startswith("<"):
        return False
    if not any(path.startswith(root + os.sep) for root in user_roots):
        return False
    from pappus.frontend.source import is_inside

    return not is_inside(path)


def _place(filename: str, line: int) -> str:
    from pappus.frontend.source import format_location

    return format_location(filename, line)


def _innermost(trace: TracebackType | None) -> str:
    place = "an unknown place"
    while trace is not None:
        place = f"{os.path.basename(trace.tb_frame.f_code.co_filename)}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place
