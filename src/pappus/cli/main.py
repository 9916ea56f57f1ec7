"""The entry point: finds the command, runs it, and turns whatever happens into one message and an exit status."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

import click

from pappus.cli.errors import INTERRUPTED, report

_COMMANDS = ("export", "run", "compare", "inspect", "bench", "ops", "demo")


class _Group(click.Group):
    """Commands live in modules of their own name, imported when they are needed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        found: click.Command = importlib.import_module(f"pappus.cli.{cmd_name}").command
        return found


def _version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    if wanted and not ctx.resilient_parsing:
        from pappus import __version__

        click.echo(f"pappus {__version__}")
        ctx.exit()


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_version, help="Print the version."
)
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def group() -> None:
    """Turn Python models into small programs, run them, and check that they compute the same.

    \b
    pappus export model.py:make -o model.pap     make() returns (model, example inputs)
    pappus run model.pap --input x=x.npy         run it in the C runtime
    pappus compare model.pap model.py:make       runtime against eager Python

    Exit status: 0 done, 1 a problem with the model or the data, 2 wrong usage or something not built yet.
    """


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's) and return its exit status; errors are printed to stderr."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    # --debug belongs to the whole line: it is accepted before and after the command.
    head = arguments[: arguments.index("--")] if "--" in arguments else arguments
    debug = "--debug" in head
    arguments = [a for i, a in enumerate(arguments) if a != "--debug" or i >= len(head)]
    try:
        result: Any = group.main(args=arguments, prog_name="pappus", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        if debug and not isinstance(error, click.UsageError):
            raise
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("pappus: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:
        if debug:
            raise
        command = next((a for a in arguments if a in _COMMANDS), None)
        return report(error, command)


def main() -> NoReturn:
    """The `pappus` program."""
    sys.exit(run())
