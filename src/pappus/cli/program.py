"""Opening a .pap file for a command."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pappus.cli.errors import DataError

if TYPE_CHECKING:
    from pappus.runtime import Method, Session


def open_program(path: str, threads: int | None = None, verify: bool = False) -> Session:
    """`pappus.runtime.load`, with the file's name in front of what is wrong with it."""
    from pappus.runtime import PappusRuntimeError, load

    try:
        return load(path, threads=threads, verify=verify)
    except PappusRuntimeError as error:
        raise DataError(f"{path}: {error}") from error


def pick(session: Session, name: str | None) -> Method:
    """The method of that name, or "forward", or the only one. DataError where the choice is open."""
    if name is None and "forward" not in session.methods and len(session.methods) > 1:
        raise DataError(f"the program has several methods: name one with --method: {', '.join(session.methods)}")
    if name is None:
        name = "forward" if "forward" in session.methods else session.methods[0]
    return session.method(name)
