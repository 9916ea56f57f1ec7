"""`pappus export`: capture, check, lower and write a model."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pappus.cli.errors import DataError, NotBuilt

if TYPE_CHECKING:
    from pappus.cli.source import Method
    from pappus.export import ExportedProgram, Program
    from pappus.export.ir.graph import Graph

_DYNAMIC = re.compile(
    r"^(?P<input>[^:=]+):(?P<axis>-?\d+)=(?P<name>\w+)"
    r"(?:\(\s*(?P<min>\d+)\s*(?:,\s*(?P<max>\d+)?\s*)?(?:,\s*(?:multiple_of=)?(?P<step>\d+)\s*)?\))?$"
)


@click.command("export", short_help="Turn a model into one .pap file.")
@click.argument("source", metavar="FILE.py:CALLABLE")
@click.option("--output", "-o", required=True, metavar="OUT.pap", help="The file to write.")
@click.option("--method", "wanted", multiple=True, metavar="NAME", help="Export only these methods (repeatable).")
@click.option("--dynamic", multiple=True, metavar="INPUT:AXIS=NAME(MIN,MAX)",
              help="Let a dimension vary: 'x:0=batch(1,8)'; the range may be left out (repeatable).")  # fmt: skip
@click.option("--check", type=click.Choice(("full", "once", "off")), default="full", show_default=True,
              help="How often the captured graph is run against the Python code.")  # fmt: skip
@click.option("--verify", is_flag=True, help="Run the written file and compare it with eager Python.")
@click.option("--report", "report_file", metavar="FILE", help="Write the report to a file (.html or text).")
@click.option("--no-debug", is_flag=True, help="Leave names and source lines out of the file.")
@click.option("--no-fuse", is_flag=True, help="One instruction per elementwise operator.")
@click.option("--plan-effort", type=click.IntRange(0), default=200, show_default=True,
              help="Steps of the memory planner's search.")  # fmt: skip
@click.option("--dump-after", multiple=True, metavar="PASS", help="Print the graph after a pass (or 'capture').")
@click.option("--quiet", "-q", is_flag=True, help="Print one line instead of the report.")
@click.option("--emit", default="pap", metavar="KIND", help="What to write: pap.")
@click.option("--target", default="generic", metavar="NAME", help="What to tune the file for: generic.")
@click.option("--quantize", metavar="CONFIG", help="Not built yet.")
@click.option("--calibrate", metavar="DATA", help="Not built yet.")
@click.option("--delegate", multiple=True, metavar="NAME", help="Not built yet.")
def command(
    source: str, output: str, wanted: Sequence[str], dynamic: Sequence[str], check: str, verify: bool,
    report_file: str | None, no_debug: bool, no_fuse: bool, plan_effort: int, dump_after: Sequence[str], quiet: bool,
    emit: str, target: str, quantize: str | None, calibrate: str | None, delegate: Sequence[str],
) -> None:  # fmt: skip
    """Export the model that CALLABLE in FILE.py returns, and print what became of it.

    \b
    CALLABLE takes no arguments and returns one of
      model, args                    a Module or function and a tuple of example inputs
      model, args, dynamic_shapes    with {input: {axis: pp.export.Dim(name, min, max)}}
      {method: one of these}         several methods that share weights and state
      an object with example_inputs  (and dynamic_shapes)

    \b
    pappus export model.py:make -o model.pap --dynamic 'x:0=batch(1,64)' --verify
    """
    _refuse(emit, target, quantize, calibrate, delegate)
    _check_output(output)
    dims = [parse_dynamic(text) for text in dynamic]
    start = time.perf_counter()
    from pappus.cli.source import load

    methods = _select(load(source), wanted, source)
    apply_dynamic(methods, dims)
    _check_passes(dump_after)
    program = build(methods, check, not no_fuse, plan_effort, dump_after)
    program.save(output, debug=not no_debug)
    took = time.perf_counter() - start
    _print(program, methods, source, output, took, quiet)
    if report_file is not None:
        _write_report(report_file, f"{source} -> {output}", program.report())
    if verify:
        _verify(output, methods)


def build(
    methods: Mapping[str, Method],
    check: str = "full",
    fuse: bool = True,
    effort: int = 200,
    dump_after: Sequence[str] = (),
) -> Program:
    """Capture and lower loaded methods."""
    from pappus.export import export, lower

    captured: dict[str, ExportedProgram] = {}
    for name, method in methods.items():
        captured[name] = method.captured or export(
            method.model, method.args, dynamic_shapes=method.dynamic_shapes, check=check, name=name
        )
        if "capture" in dump_after:
            click.echo(f"# {name} after capture\n{captured[name].graph}")
    return lower(captured, fuse_pointwise=fuse, plan_effort=effort, dump_after=_dumper(dump_after))


def _refuse(emit: str, target: str, quantize: str | None, calibrate: str | None, delegate: Sequence[str]) -> None:
    if quantize is not None:
        raise NotBuilt(f"--quantize {quantize}: quantized programs", "Export without it")
    if calibrate is not None:
        raise NotBuilt(f"--calibrate {calibrate}: quantization by calibration", "Export without it")
    if delegate:
        raise NotBuilt(f"--delegate {delegate[0]}: delegates", "Export without it; the program runs on the CPU")
    if emit in ("c", "onnx", "tflite"):
        raise NotBuilt(f"--emit {emit}", "Only --emit pap is")
    if emit != "pap":
        raise click.UsageError(f"--emit {emit}: expected pap")
    if target != "generic":
        raise NotBuilt(f"--target {target}: other targets than generic", "A generic file runs on every CPU")


def _check_output(output: str) -> None:
    folder = os.path.dirname(output) or "."
    if not os.path.isdir(folder):
        raise DataError(f"--output {output}: there is no folder {folder}")
    if os.path.isdir(output):
        raise DataError(f"--output {output} is a folder; name a file")


def parse_dynamic(text: str) -> tuple[str, int, Any]:
    """`INPUT:AXIS=NAME(MIN,MAX)` as (input, axis, Dim); click.UsageError for any other form."""
    found = _DYNAMIC.match(text)
    if found is None:
        raise click.UsageError(
            f"--dynamic {text!r}: expected INPUT:AXIS=NAME or INPUT:AXIS=NAME(MIN,MAX), for example 'x:0=batch(1,8)'"
        )
    from pappus.export import Dim
    from pappus.frontend.symbolic import INF

    least, most, step = found["min"], found["max"], found["step"]
    try:
        dim = Dim(found["name"], int(least or 1), int(most) if most else INF, multiple_of=int(step or 1))
    except ValueError as error:
        raise click.UsageError(f"--dynamic {text!r}: {error}") from None
    return found["input"], int(found["axis"]), dim


def apply_dynamic(methods: Mapping[str, Method], dims: Sequence[tuple[str, int, Any]]) -> None:
    """Add --dynamic to the methods that have an input of that name; DataError if none has."""
    used: set[str] = set()
    for method in methods.values():
        if not dims or method.captured is not None:
            continue
        names = list(method.inputs())
        given = method.dynamic_shapes
        if given is None or isinstance(given, Mapping):
            shapes = dict(given or {})
        else:
            shapes = dict(zip(names, given, strict=False))
        for name, axis, dim in dims:
            if name in names:
                old = shapes.get(name) or {}
                axes = dict(old.items() if isinstance(old, Mapping) else enumerate(old))
                shapes[name] = {**axes, axis: dim}
                used.add(name)
        method.dynamic_shapes = shapes
    for name, axis, dim in dims:
        if name not in used:
            known = sorted({n for m in methods.values() if m.captured is None for n in m.inputs()})
            raise DataError(
                f"--dynamic {name}:{axis}={dim.name}: no method has an input {name!r}; "
                f"inputs: {', '.join(known) or 'none'}"
            )


def _select(methods: dict[str, Method], wanted: Sequence[str], source: str) -> dict[str, Method]:
    for name in wanted:
        if name not in methods:
            raise DataError(f"--method {name}: {source} makes no such method; it makes: {', '.join(methods)}")
    return {name: m for name, m in methods.items() if not wanted or name in wanted}


def _check_passes(names: Sequence[str]) -> None:
    if names:
        from pappus.export.lower.lowering import PASSES

        known = ["capture", *dict.fromkeys(name for name, _ in PASSES)]
        for name in names:
            if name not in known:
                raise click.UsageError(f"--dump-after {name}: no such pass; passes are: {', '.join(known)}")


def _dumper(names: Sequence[str]) -> Callable[[str, Graph], None] | None:
    if not names:
        return None

    def dump(name: str, graph: Graph) -> None:
        if name in names:
            click.echo(f"# {graph.name} after {name}\n{graph}")

    return dump


def _print(program: Program, methods: Mapping[str, Method], source: str, output: str, took: float, quiet: bool) -> None:
    from pappus.cli.console import number, seconds

    size = number(os.path.getsize(output))
    names = ", ".join(methods)
    click.secho(f"exported {source} -> {output}: {size} bytes, methods {names}, {seconds(took)}", bold=True)
    for name, method in methods.items():
        for note in method.notes:
            click.echo(f"note: {name}: {note}")
    if not quiet:
        click.echo(program.report())


def _write_report(path: str, title: str, text: str) -> None:
    from pappus.cli.html import page, preformatted, write

    if path.endswith((".html", ".htm")):
        write(path, page(title, [("Report", preformatted(text))]))
    else:
        write(path, text + "\n")
    click.echo(f"wrote {path}")


def _verify(output: str, methods: Mapping[str, Method]) -> None:
    from pappus.cli.compare import compare_method, judge

    failed = []
    for name, method in methods.items():
        comparison = compare_method(Path(output), name, method, None, per_layer=False)
        click.echo(f"verify {name}: {comparison.text()}")
        if not judge(comparison):
            failed.append(name)
    if failed:
        names = ", ".join(failed)
        raise DataError(f"{output} does not compute what eager Python does (method {names}); it was written")
