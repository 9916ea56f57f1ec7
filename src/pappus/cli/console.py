"""Printing: one console for tables and text, readable in a terminal, a pipe and a log."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

_WIDE = 200  # where nobody sees the width (a pipe, a log), nothing is cut or wrapped


def console() -> Console:
    """A console on stdout; text is printed as it is, without markup."""
    from rich.console import Console

    made = Console(highlight=False, markup=False, emoji=False, soft_wrap=False)
    return made if made.is_terminal else Console(highlight=False, markup=False, emoji=False, width=_WIDE)


def table(
    columns: Sequence[str], rows: Sequence[Sequence[Any]], *, title: str | None = None, right: Sequence[str] = ()
) -> None:
    """Print rows under headings; columns named in `right` are aligned to the right."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    made = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="right" if column in right else "left", overflow="fold")
    for row in rows:
        made.add_row(*(Text(str(cell)) for cell in row))
    console().print(made)


def number(value: int) -> str:
    """An integer with thousands separated: 1,234,567."""
    return f"{value:,}"


def seconds(value: float) -> str:
    """A time in a fitting unit: `1.23 s`, `4.56 ms`, `7.89 us`."""
    for unit, scale in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if value >= scale or unit == "us":
            return f"{value / scale:.3g} {unit}"
    raise AssertionError
