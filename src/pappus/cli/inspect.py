"""`pappus inspect`: everything a .pap file says about itself."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pappus.cli.papfile import Instruction, Method, PapFile
    from pappus.runtime import Session

Row = Sequence[Any]


@dataclass
class _Part:
    """One titled table or text of the output; `slug` is its place in HTML's navigation."""

    title: str
    columns: Sequence[str] = ()
    rows: Sequence[Row] = ()
    right: Sequence[str] = ()
    text: str = ""


@click.command("inspect", short_help="Show what is inside a .pap file.")
@click.argument("model", metavar="MODEL.pap")
@click.option("--instructions", is_flag=True, help="List every instruction with kernel family, epoch and source line.")
@click.option("--weights", is_flag=True, help="List every constant with its size and packing.")
@click.option("--size", "sizes", multiple=True, metavar="DIM=N", help="Size of a named dimension, for arena and FLOPs.")
@click.option("--html", "html_file", metavar="FILE.html", help="Write one page with all of it instead.")
def command(model: str, instructions: bool, weights: bool, sizes: Sequence[str], html_file: str | None) -> None:
    """Print version, sections, methods, inputs, outputs, states, sizes and memory of MODEL.pap."""
    from pappus.cli import arrays, papfile
    from pappus.cli.program import open_program

    wanted = arrays.parse_sizes(sizes)
    everything = html_file is not None
    with open_program(model, 1, verify=True) as session:
        arrays.check_sizes(wanted, session.program.methods)
        with open(model, "rb") as opened:
            file = papfile.read(opened.read())
        parts = list(_parts(session, file, wanted, instructions or everything, weights or everything))
    if html_file is None:
        _print(parts)
        return
    from pappus.cli import html

    sections = [
        (p.title, html.preformatted(p.text) if p.text else html.table(p.columns, p.rows, p.right)) for p in parts[1:]
    ]
    html.write(html_file, html.page(os.path.basename(model), sections, parts[0].text.replace("\n", " · ")))
    click.echo(f"wrote {html_file}")


def _print(parts: Sequence[_Part]) -> None:
    from pappus.cli.console import table

    for part in parts:
        if part.text:
            click.echo(f"{part.title}\n{part.text}" if part.title else part.text)
        elif part.rows:
            table(part.columns, part.rows, title=part.title, right=part.right)


def _parts(session: Session, file: PapFile, wanted: Mapping[str, int], instructions: bool, weights: bool) -> Any:
    from pappus.cli.console import number

    version = ".".join(map(str, file.version))
    features = f", features {file.features:#x}" if file.features else ""
    total = number(session.program.file_bytes)
    yield _Part(
        "",
        text=f"{session.program.path}: .pap version {version}{features}, {total} bytes, "
        f"written by {file.producer or '?'}\n"
        f"{len(file.methods)} method(s), {len(session.program.states)} state(s), "
        f"{len(file.constants)} constant(s) of {number(sum(file.constants))} bytes",
    )
    yield _Part(
        "Sections", ("section", "offset", "bytes"), [(s.name, number(s.offset), number(s.size)) for s in file.sections],
        ("offset", "bytes"),
    )  # fmt: skip
    for method in file.methods:
        yield from _method(session, method, wanted, instructions)
    if session.program.states:
        rows = [(p.name, p.dtype, list(p.shape)) for p in session.program.states]
        yield _Part("States (kept between runs)", ("state", "dtype", "shape"), rows)
    if weights:
        yield _Part("Constants", ("constant", "bytes", "used as", "by"), _weights(file), ("bytes",))
    if not file.report:
        yield _Part("Debug section", text="stripped: no names and source lines")
    elif instructions:
        yield _Part("Export report", text=file.report)


def _method(session: Session, method: Method, wanted: Mapping[str, int], instructions: bool) -> Any:
    from pappus.cli.arrays import sizes_for
    from pappus.cli.console import number
    from pappus.runtime import PappusRuntimeError

    called = session.method(method.name)
    info = called.info
    ports = [("input", p.name, p.dtype, _shape(o)) for p, o in zip(info.inputs, method.inputs, strict=True)]
    ports += [("output", p.name, p.dtype, _shape(o)) for p, o in zip(info.outputs, method.outputs, strict=True)]
    yield _Part(f"Method {method.name}", ("", "name", "dtype", "shape"), ports)
    if info.symbols:
        from pappus.frontend.symbolic import INF

        dims = [(s.name, s.min, "any" if s.max >= INF else s.max, s.multiple_of) for s in info.symbols]
        yield _Part(f"Dimensions of {method.name}", ("dimension", "smallest", "largest", "multiple of"), dims)
    if method.guards:
        yield _Part(f"Assumptions of {method.name}", ("checked in every call",), [(g,) for g in method.guards])
    mine = {n: v for n, v in wanted.items() if n in {s.name for s in info.symbols}}
    sizes = sizes_for(info, mine, {})
    try:
        arena = f"{number(called.bind(*(o.at(sizes) for o in method.inputs)))} bytes"
    except PappusRuntimeError as error:  # the smallest sizes may break an assumption, or there is no kernel here
        arena = f"unknown: {error}"
    families = Counter(i.family for i in method.instructions)
    flops = sum(i.flops(sizes) for i in method.instructions)
    at = ", ".join(f"{n}={v}" for n, v in sizes.items())
    work: list[Row] = [
        ("instructions", ", ".join(f"{n} {f}" for f, n in families.most_common()) or "none"),
        ("epochs", info.epochs),
        (f"arena{' at ' + at if at else ''}, one thread", arena),
        (f"products and convolutions{' at ' + at if at else ''}", f"{flops / 1e6:.3f} MFLOP"),
    ]
    yield _Part(f"Work of {method.name}", ("", "value"), work)
    if instructions:
        yield _Part(
            f"Instructions of {method.name}", ("#", "epoch", "family", "operators", "result", "from", "source"),
            [_instruction(i, info.instructions[i.index]) for i in method.instructions], ("#", "epoch"),
        )  # fmt: skip


def _shape(operand: Any) -> str:
    return "[" + ", ".join(map(str, operand.shape)) + "]"


def _instruction(instruction: Instruction, names: Any) -> Row:
    results = ", ".join(map(str, instruction.results))
    operators = names.op or "-"
    if instruction.program and operators == "-":
        operators = f"({instruction.program})"
    sources = [_operand(o) for o in (*instruction.args, *instruction.operands) if o is not None]
    return (
        instruction.index, instruction.epoch, instruction.family, operators, results, ", ".join(sources), names.source,
    )  # fmt: skip


def _operand(operand: Any) -> str:
    from pappus.runtime.enums import PackKind, Storage

    kind = operand.storage.name.lower()
    if operand.storage is Storage.ARENA:
        return f"buffer {operand.index}" if operand.index else "arena"
    packed = f" {operand.pack.name.lower()}" if operand.pack is not PackKind.DENSE else ""
    return f"{kind} {operand.index}{packed}"


def _weights(file: PapFile) -> list[Row]:
    from pappus.cli.console import number
    from pappus.runtime.enums import Storage

    uses: dict[int, list[tuple[str, str]]] = {}
    for method in file.methods:
        for instruction in method.instructions:
            for operand in (*instruction.args, *instruction.operands):
                if operand is not None and operand.storage is Storage.CONSTANT:
                    what = f"{operand} {operand.pack.name.lower()}"
                    uses.setdefault(operand.index, []).append((what, f"{method.name} #{instruction.index}"))
    rows: list[Row] = []
    for i, size in enumerate(file.constants):
        found = uses.get(i, [])
        shapes = ", ".join(dict.fromkeys(what for what, _ in found)) or "initial state"
        rows.append((i, number(size), shapes, ", ".join(by for _, by in found)))
    return rows
