"""`pappus compare`: a program in the C runtime against the eager model it was exported from."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pappus.cli.errors import FAILED, DataError

if TYPE_CHECKING:
    from pappus.cli.source import Method
    from pappus.export.compare import Comparison

TOLERANCE = 1e-4


@click.command("compare", short_help="Compare a .pap program with the eager model.")
@click.argument("model", metavar="MODEL.pap")
@click.argument("source", metavar="FILE.py:CALLABLE")
@click.option("--data", metavar="FILE", help="Inputs: an .npz with arrays named like them, or a .npy if there is one.")
@click.option("--size", "sizes", multiple=True, metavar="DIM=N", help="Random inputs of this size, not the example.")
@click.option("--method", "wanted", metavar="NAME", help="Compare only this method.")
@click.option("--dynamic", multiple=True, metavar="INPUT:AXIS=NAME(MIN,MAX)", help="As given to export.")
@click.option("--per-layer", is_flag=True, help="Compare what every instruction computes.")
@click.option("--tolerance", type=click.FloatRange(min=0), default=TOLERANCE, show_default=True,
              help="Largest difference allowed, relative to an output's largest magnitude.")  # fmt: skip
@click.option("--threads", type=click.IntRange(1), help="Threads of the runtime.")
@click.option("--html", "html_file", metavar="REPORT.html", help="Write one page with all tables.")
def command(
    model: str, source: str, data: str | None, sizes: Sequence[str], wanted: str | None, dynamic: Sequence[str],
    per_layer: bool, tolerance: float, threads: int | None, html_file: str | None,
) -> int:  # fmt: skip
    """Run MODEL.pap and the Python model that CALLABLE returns on the same inputs and print how far they are apart.

    CALLABLE is what `pappus export` takes; it must build the same weights every time. Exit status 1 if any output
    differs by more than the tolerance.
    """
    if data is not None and sizes:
        raise click.UsageError("--data and --size exclude each other: the data has its sizes")
    # The oracle is numpy, never the kernels that are being judged.
    os.environ["PAPPUS_EAGER"] = "numpy"
    from pappus.cli.arrays import check_sizes, parse_sizes
    from pappus.cli.export import apply_dynamic, parse_dynamic
    from pappus.cli.program import open_program
    from pappus.cli.source import load

    dims = [parse_dynamic(text) for text in dynamic]
    with open_program(model, 1) as session:
        infos = {m.name: m for m in session.program.methods}
    methods = load(source)
    apply_dynamic(methods, dims)
    names = _common(list(infos), list(methods), wanted, model, source)
    comparisons = []
    wanted_sizes = parse_sizes(sizes)
    check_sizes(wanted_sizes, [infos[name] for name in names])
    for name in names:
        inputs = _inputs(model, infos[name], data, wanted_sizes)
        comparison = compare_method(Path(model), name, methods[name], inputs, per_layer=per_layer, threads=threads)
        click.echo(comparison.text())
        comparisons.append(comparison)
    if html_file is not None:
        _write_html(html_file, f"{model} against {source}", comparisons)
        click.echo(f"wrote {html_file}")
    bad = [c for c in comparisons if not judge(c, tolerance)]
    for comparison in bad:
        for output in comparison.outputs:
            if not output.difference.max_rel <= tolerance:
                click.echo(
                    f"pappus compare: {model}: output {output.name!r} of method {comparison.method!r} differs from "
                    f"{source} by {output.difference.max_abs:.3g} ({output.difference.max_rel:.3g} of its range, "
                    f"{tolerance:g} allowed). Does the callable build the same weights every time (pp.manual_seed, or "
                    "load them)? --per-layer shows where the difference begins.",
                    err=True,
                )
    if not bad:
        click.echo(f"equal within {tolerance:g} of the range")
    return FAILED if bad else 0


def judge(comparison: Comparison, tolerance: float = TOLERANCE) -> bool:
    """Whether every output is within the tolerance (a NaN on one side never is)."""
    return all(output.difference.max_rel <= tolerance for output in comparison.outputs)


def compare_method(
    path: Path,
    name: str,
    method: Method,
    inputs: Mapping[str, Any] | None,
    *,
    per_layer: bool,
    threads: int | None = None,
) -> Comparison:
    """Compare one method on `inputs`, or on the example inputs of its source."""
    from pappus.export import export
    from pappus.export.compare import compare_program

    reference: Any = method.captured or method.model
    if per_layer and method.captured is None:
        # The same capture as at export, so that values have the same names.
        reference = export(method.model, method.args, dynamic_shapes=method.dynamic_shapes, check="off", name=name)
    if inputs is None:
        inputs = method.inputs()
    with _unchanged(method.model):
        return compare_program(path, reference, inputs, per_layer, method=name, threads=threads)


@contextmanager
def _unchanged(model: Any) -> Iterator[None]:
    """Give a Module its state back afterwards: the runtime starts each method from the initial one."""
    owner: Any = model if hasattr(model, "named_buffers") else getattr(model, "__self__", None)
    if not hasattr(owner, "named_buffers"):
        yield
        return
    saved = [(tensor, tensor.clone()) for _, tensor in [*owner.named_buffers(), *owner.named_parameters()]]
    try:
        yield
    finally:
        from pappus.frontend.autograd import no_grad

        with no_grad():
            for tensor, before in saved:
                tensor.copy_(before)


def _common(have: Sequence[str], made: Sequence[str], wanted: str | None, model: str, source: str) -> list[str]:
    if wanted is not None:
        for names, where in ((have, model), (made, source)):
            if wanted not in names:
                raise DataError(f"--method {wanted}: {where} has no such method; it has: {', '.join(names)}")
        return [wanted]
    names = [name for name in have if name in made]
    if not names:
        raise DataError(f"{model} has methods {', '.join(have)}, {source} makes {', '.join(made)}: none in common")
    return names


def _inputs(model: str, info: Any, data: str | None, sizes: Mapping[str, int]) -> dict[str, Any] | None:
    from pappus.cli import arrays, papfile

    if data is None:
        if not sizes:
            return None
        mine = {s.name: sizes[s.name] for s in info.symbols if s.name in sizes}
        return arrays.gather(info, papfile.read_method(model, info.name), {}, mine, fill="random")
    if data.endswith(".npy"):
        if len(info.inputs) != 1:
            names = ", ".join(p.name for p in info.inputs)
            raise DataError(
                f"--data {data}: method {info.name!r} has {len(info.inputs)} inputs ({names}); use an .npz file"
            )
        return {info.inputs[0].name: arrays.read_array(data)}
    return {port.name: arrays.read_array(f"{data}:{port.name}") for port in info.inputs}


def _write_html(path: str, title: str, comparisons: Sequence[Comparison]) -> None:
    from pappus.cli import html

    sections = []
    for c in comparisons:
        rows = [
            (o.name, list(o.shape), o.dtype, f"{o.difference.max_abs:.3g}", f"{o.difference.max_rel:.3g}",
             "-" if o.argmax is None else f"{100 * o.argmax:.2f} %") for o in c.outputs
        ]  # fmt: skip
        right = ("max abs", "max rel", "same largest")
        columns = ("output", "shape", "dtype", *right)
        sections.append((f"Outputs of {c.method}", html.table(columns, rows, right)))
        if c.rows:
            layers = [
                (r.instruction, r.op, r.name, list(r.shape), r.kernel, f"{r.difference.max_abs:.3g}",
                 f"{r.difference.max_rel:.3g}", r.source) for r in c.rows
            ]  # fmt: skip
            head = ("#", "operators", "value", "shape", "kernel", "max abs", "max rel", "source")
            sections.append((f"Layers of {c.method}", html.table(head, layers, ("#", "max abs", "max rel"))))
    lead = "Largest differences between the C runtime and eager Python; max rel is divided by the largest magnitude."
    html.write(path, html.page(title, sections, lead))
