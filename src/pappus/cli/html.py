"""Single-file HTML pages: a title, a navigation line and sections; no scripts, readable in light and dark."""

from __future__ import annotations

import html
import os
from collections.abc import Sequence
from typing import Any

from pappus.cli.errors import DataError

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --soft: #8881; --accent: #b8860b; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 78rem; margin: 2rem auto; padding: 0 1.5rem; }
h1 { font-size: 1.5rem; margin-bottom: .2rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
nav a { color: var(--accent); margin-right: 1rem; text-decoration: none; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .87rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; border-bottom: 1px solid var(--line); vertical-align: top; }
th { font-weight: 600; border-bottom-width: 2px; } tr:hover td { background: var(--soft); }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
pre, code { font: .82rem/1.45 ui-monospace, monospace; }
pre { background: var(--soft); padding: 1rem; overflow-x: auto; }
"""


def escape(text: Any) -> str:
    """Text made safe for HTML."""
    return html.escape(str(text))


def preformatted(text: str) -> str:
    """A block of text as it is."""
    return f"<pre>{escape(text)}</pre>"


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]], right: Sequence[str] = ()) -> str:
    """A table; columns named in `right` hold numbers."""
    classes = [' class="n"' if c in right else "" for c in columns]
    head = "".join(f"<th{k}>{escape(c)}</th>" for c, k in zip(columns, classes, strict=True))
    body = "\n".join(
        "<tr>" + "".join(f"<td{k}>{escape(cell)}</td>" for cell, k in zip(row, classes, strict=True)) + "</tr>"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>'


def page(title: str, sections: Sequence[tuple[str, str]], lead: str = "") -> str:
    """A whole page; `sections` are headings with HTML bodies."""
    links = "".join(f'<a href="#s{i}">{escape(name)}</a>' for i, (name, _) in enumerate(sections))
    parts = "\n".join(f'<h2 id="s{i}">{escape(name)}</h2>\n{body}' for i, (name, body) in enumerate(sections))
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{_STYLE}</style></head>\n'
        f"<body><h1>{escape(title)}</h1>\n<p>{escape(lead)}</p>\n<nav>{links}</nav>\n{parts}\n</body></html>\n"
    )


def write(path: str, text: str) -> None:
    """Write a text file; DataError if that fails."""
    try:
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        if os.path.isdir(path):
            raise DataError(f"cannot write {path}: it is a folder") from None
        raise DataError(f"cannot write {path}: {error.strerror or error}") from None
