"""Write a file all or nothing."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from pappus.frontend.errors import ArgumentError


def write_file(path: str | Path, data: bytes) -> None:
    """Write `data` to `path`; an existing file is replaced only when the new one is complete.

    Raises ArgumentError with the system's reason if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        temporary.write_bytes(data)
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise ArgumentError(f"cannot write {path}: {error.strerror or error}") from None
