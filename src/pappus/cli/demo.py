"""`pappus demo`: the whole road on real handwritten digits; the work is in examples/mnist/demo.py."""

from __future__ import annotations

import runpy
from pathlib import Path

import click

from pappus.cli.errors import DataError

REPOSITORY = Path(__file__).resolve().parents[3]


@click.command("demo", short_help="Train, export, run and compare on handwritten digits.")
@click.option("--out", default="out", show_default=True, metavar="FOLDER", help="Where the files go.")
def command(out: str) -> int:
    """Train a small network on handwritten digits, export it, run it in the C runtime and compare the two.

    Exit status 1 if the accuracy is below 97 %, a logit differs by more than 1e-4 or any prediction differs.
    """
    script = REPOSITORY / "examples" / "mnist" / "demo.py"
    if not script.is_file():
        raise DataError(
            "the demo needs the repository: examples/mnist and its data are not part of the installed package. Clone "
            "it and run `make demo` there"
        )
    status: int = runpy.run_path(str(script))["demo"](Path(out))
    return status
