"""`pappus run`: run a program on arrays from files."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pappus.runtime import Method, Session
    from pappus.runtime.native import Array


@click.command("run", short_help="Run a .pap program on .npy inputs.")
@click.argument("model", metavar="MODEL.pap")
@click.option("--input", "-i", "inputs", multiple=True, metavar="NAME=FILE.npy",
              help="An input: a .npy file, FILE.npz:KEY, or the word random or zeros (repeatable).")  # fmt: skip
@click.option("--size", "sizes", multiple=True, metavar="DIM=N", help="Size of a named dimension of made inputs.")
@click.option("--method", metavar="NAME", help="The method to run (default: forward, or the only one).")
@click.option("--output", "-o", metavar="FILE.npz", help="Write the outputs: .npz, or .npy if there is only one.")
@click.option("--threads", type=click.IntRange(1), help="Threads (default: one per CPU); results are the same.")
@click.option("--repeat", type=click.IntRange(1), default=1, help="Run so many times and print the times.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of random inputs.")
@click.option("--profile", metavar="TRACE.json", help="Write a trace for chrome://tracing or Perfetto.")
def command(
    model: str, inputs: Sequence[str], sizes: Sequence[str], method: str | None, output: str | None,
    threads: int | None, repeat: int, seed: int, profile: str | None,
) -> None:  # fmt: skip
    """Run a method of MODEL.pap in the C runtime and print what comes out.

    \b
    pappus run model.pap --input x=digits.npy
    pappus run model.pap --input x=random --size batch=4 --repeat 100
    """
    from pappus.cli import arrays, papfile
    from pappus.cli.program import open_program, pick

    named = arrays.parse_pairs(inputs, "--input", "NAME=FILE.npy")
    wanted = arrays.parse_sizes(sizes)
    with open_program(model, threads) as session:
        called = pick(session, method)
        if output is not None:
            check_output(output, len(called.outputs))
        file = papfile.read_method(model, called.name)
        given = arrays.gather(called.info, file, named, wanted, seed=seed)
        results, times = _run(session, called, given, repeat, profile)
        _print(called, results, times)
    if output is not None:
        write_outputs(output, dict(zip((p.name for p in called.outputs), results, strict=True)))
        click.echo(f"wrote {output}")
    if profile is not None:
        click.echo(f"wrote {profile}")


def _run(
    session: Session, method: Method, given: Mapping[str, Any], repeat: int, profile: str | None
) -> tuple[tuple[Array, ...], list[float]]:
    from pappus.runtime.profile import Profile

    times: list[float] = []
    found = Profile()

    def once() -> Any:
        start = time.perf_counter()
        result = method(**given)
        times.append(time.perf_counter() - start)
        return result

    outputs: Any = ()
    if profile is None:
        for _ in range(repeat):
            outputs = once()
    else:
        with session.observe(found.add, results=False):
            for _ in range(repeat):
                outputs = once()
        found.save_chrome_trace(profile)
    return (outputs if isinstance(outputs, tuple) else (outputs,)), times


def check_output(path: str, count: int) -> None:
    """Refuse what `write_outputs` cannot write, before anything is run."""
    suffix = os.path.splitext(path)[1]
    if suffix not in (".npz", ".npy"):
        raise click.UsageError(f"--output {path}: expected a name ending in .npz or .npy")
    if suffix == ".npy" and count != 1:
        raise click.UsageError(f"--output {path}: there are {count} outputs; use a name ending in .npz")


def write_outputs(path: str, arrays: Mapping[str, Array]) -> None:
    """Write .npz or .npy; an existing file is replaced only when the new one is complete."""
    import numpy as np

    temporary = f"{path}.tmp"
    try:
        with open(temporary, "wb") as file:
            if path.endswith(".npy"):
                np.save(file, next(iter(arrays.values())))
            else:
                np.savez(file, **arrays)  # type: ignore[arg-type]
        os.replace(temporary, path)
    except OSError as error:
        if os.path.exists(temporary):
            os.unlink(temporary)
        from pappus.cli.errors import DataError

        raise DataError(f"cannot write {path}: {error.strerror or error}") from None


def _print(method: Method, results: Sequence[Array], times: Sequence[float]) -> None:
    from pappus.cli.console import seconds, table

    rows = [(port.name, port.dtype, list(array.shape), *summary(array)) for port, array in
            zip(method.outputs, results, strict=True)]  # fmt: skip
    table(("output", "dtype", "shape", "min", "max", "mean", "first values"), rows, right=("min", "max", "mean"))
    best, middle = min(times), sorted(times)[len(times) // 2]
    text = f"ran in {seconds(times[0])}" if len(times) == 1 else (
        f"{len(times)} runs: fastest {seconds(best)}, median {seconds(middle)}"
    )  # fmt: skip
    click.echo(f"{text}; arena {method.arena_bytes} bytes")


def summary(array: Array) -> tuple[str, str, str, str]:
    """Smallest, largest, mean and the first values, as text."""
    import numpy as np

    flat = array.reshape(-1)
    if not flat.size:
        return "-", "-", "-", "(empty)"
    first = " ".join(_value(v) for v in flat[:6]) + (" ..." if flat.size > 6 else "")
    if flat.dtype == np.bool_:
        return str(bool(flat.min())), str(bool(flat.max())), f"{flat.mean():.3g}", first
    wide = flat.astype(np.float64)
    with np.errstate(all="ignore"):
        return _value(flat.min()), _value(flat.max()), f"{wide.mean():.6g}", first


def _value(value: Any) -> str:
    import numpy as np

    return str(value) if isinstance(value, (np.integer, np.bool_, bool)) else f"{float(value):.6g}"
