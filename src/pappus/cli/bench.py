"""`pappus bench`: how long a program takes."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pappus.cli.papfile import Method as FileMethod
    from pappus.runtime import Method, Session

_WARMUP = 3


@click.command("bench", short_help="Measure how long a .pap program takes.")
@click.argument("model", metavar="MODEL.pap")
@click.option("--threads", default="1", show_default=True, metavar="N,N,...", help="Numbers of threads to measure.")
@click.option("--size", "sizes", multiple=True, metavar="DIM=N", help="Size of a dimension (default: the smallest).")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=FILE.npy", help="An input; others are random.")
@click.option("--method", metavar="NAME", help="The method to measure.")
@click.option("--layers", is_flag=True, help="Also time every instruction.")
@click.option("--seconds", type=click.FloatRange(min=0.01), default=1.0, show_default=True, help="How long to measure.")
def command(
    model: str,
    threads: str,
    sizes: Sequence[str],
    inputs: Sequence[str],
    method: str | None,
    layers: bool,
    seconds: float,
) -> None:
    """Print median, 10th and 90th percentile of the latency of MODEL.pap, for each number of threads.

    \b
    pappus bench model.pap --threads 1,2 --size batch=8 --layers
    """
    from pappus.cli import arrays, console, papfile
    from pappus.cli.program import open_program, pick

    counts = _parse_threads(threads)
    named = arrays.parse_pairs(inputs, "--input", "NAME=FILE.npy")
    wanted = arrays.parse_sizes(sizes)
    rows, tables, title = [], [], ""
    for count in counts:
        with open_program(model, count) as session:
            called = pick(session, method)
            file = papfile.read_method(model, called.name)
            given = arrays.gather(called.info, file, named, wanted, fill="random")
            used = arrays.sizes_for(called.info, wanted, {n: a.shape for n, a in given.items()})
            times = _measure(called, given, seconds)
            flops = sum(i.flops(used) for i in file.instructions)
            rows.append(_row(count, times, flops))
            title = f"{Path(model).name} {called.name}" + "".join(f" {n}={v}" for n, v in used.items())
            if layers:
                tables.append((count, _layers(session, called, file, given, used, seconds)))
    columns = ("threads", "median", "p10", "p90", "runs", "GFLOP/s")
    console.table(columns, rows, title=title, right=columns)
    for count, found in tables:
        names = ("#", "family", "kernel", "operators", "median", "share", "GFLOP/s", "source")
        console.table(names, found, title=f"Instructions, {count} thread(s)", right=("#", "median", "share", "GFLOP/s"))


def _parse_threads(text: str) -> list[int]:
    parts = text.split(",")
    if not all(p.strip().isdecimal() and int(p) > 0 for p in parts):
        raise click.UsageError(f"--threads {text}: expected numbers such as 1,2")
    return [int(p) for p in parts]


def _measure(method: Method, given: Mapping[str, Any], seconds: float) -> list[float]:
    """Times of single runs, sorted; at least five."""
    outputs = method(**given)
    for _ in range(_WARMUP - 1):
        method(**given)
    ports = [p.name for p in method.outputs]
    out = dict(zip(ports, outputs if isinstance(outputs, tuple) else (outputs,), strict=True))
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        method(**given, out=out)
        times.append(time.perf_counter() - start)
    return sorted(times)


def _row(threads: int, times: Sequence[float], flops: int) -> tuple[Any, ...]:
    from pappus.cli.console import seconds

    n = len(times)
    median = times[n // 2]
    rate = f"{flops / median / 1e9:.2f}" if flops else "-"
    return threads, seconds(median), seconds(times[n // 10]), seconds(times[n * 9 // 10]), n, rate


def _layers(
    session: Session,
    method: Method,
    file: FileMethod,
    given: Mapping[str, Any],
    sizes: Mapping[str, int],
    seconds: float,
) -> list[tuple[Any, ...]]:
    from pappus.cli.console import seconds as unit

    times: dict[int, list[int]] = {}
    kernels: dict[int, str] = {}

    def seen(what: Any) -> None:
        times.setdefault(what.instruction, []).append(what.nanoseconds)
        kernels[what.instruction] = what.kernel

    with session.observe(seen, results=False):
        end = time.perf_counter() + seconds
        runs = 0
        while runs < 5 or time.perf_counter() < end:
            method(**given)
            runs += 1
    medians = {i: sorted(found)[len(found) // 2] for i, found in times.items()}
    total = sum(medians.values()) or 1
    rows = []
    for instruction in file.instructions:
        i = instruction.index
        median, flops = medians.get(i, 0), instruction.flops(sizes)
        names = method.info.instructions[i]
        rate = f"{flops / median:.2f}" if flops and median else "-"
        share = f"{100 * median / total:.1f} %"
        kernel = kernels.get(i, "-")
        rows.append((i, instruction.family, kernel, names.op or "-", unit(median / 1e9), share, rate, names.source))
    return rows
