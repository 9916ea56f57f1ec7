"""`pappus ops`: the matrix of operators.

Nothing in it is written down anywhere: each row is found by exporting and lowering the operator's own samples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from pappus.frontend.opdef import OpDef, Sample

DTYPES = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
_SHORT = {"float32": "f32", "float64": "f64", "float16": "f16", "bfloat16": "bf16", "int64": "i64", "int32": "i32",
          "uint8": "u8", "bool": "bool"}  # fmt: skip
_COLUMNS = ("operator", "kind", "gradient", "on a device", "dtypes there", "not there")


@dataclass(frozen=True)
class Row:
    """One operator.

    `kind` is primitive, composite or shorthand (graphs only see what it is short for); `gradient` is own, composed (of
    the decomposition's) or none; `families` are the kernels its samples become, `missing` the first reason why a sample
    cannot.
    """

    name: str
    kind: str
    gradient: str
    families: tuple[str, ...]
    dtypes: tuple[str, ...]
    missing: str

    @property
    def status(self) -> str:
        """yes, partly or no: whether all, some or none of the samples can be lowered."""
        return "no" if not self.families else "partly" if self.missing else "yes"


@click.command("ops", short_help="List the operators and how each runs on a device.")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--markdown", is_flag=True, help="Print a Markdown table.")
def command(names: Sequence[str], markdown: bool) -> None:
    """Print every operator (or the named ones): primitive or composite, its gradient, the kernel families it becomes,
    and the dtypes it takes there.
    """
    from pappus.frontend.opdef import OPS

    _load()
    for name in names:
        if name not in OPS:
            import difflib

            from pappus.cli.errors import DataError

            near = difflib.get_close_matches(name, OPS, 3)
            raise DataError(f"no operator {name!r}" + (f"; near it: {', '.join(near)}" if near else ""))
    rows = matrix(names)
    cells = [_cells(row) for row in rows]
    primitive = sum(r.kind == "primitive" for r in rows)
    summary = (
        f"{len(rows)} operators: {primitive} primitive, {len(rows) - primitive} made of others; on a device "
        f"{sum(r.status == 'yes' for r in rows)} run, {sum(r.status == 'partly' for r in rows)} partly, "
        f"{sum(r.status == 'no' for r in rows)} do not"
    )
    if markdown:
        click.echo("| " + " | ".join(_COLUMNS) + " |\n|" + "---|" * len(_COLUMNS))
        for cell in cells:
            click.echo("| " + " | ".join(text.replace("|", "\\|") for text in cell) + " |")
        click.echo(f"\n{summary}")
        return
    from pappus.cli.console import table

    table(_COLUMNS, cells)
    click.echo(summary)


def _cells(row: Row) -> tuple[str, ...]:
    return (row.name, row.kind, row.gradient, " + ".join(row.families) or "-", " ".join(row.dtypes) or "-", row.missing)


def matrix(names: Sequence[str] = ()) -> list[Row]:
    """The rows of all operators, or of the named ones, in order of declaration."""
    from pappus.frontend.opdef import OPS

    _load()
    return [_row(op) for name, op in OPS.items() if not names or name in names]


def _load() -> None:
    import pappus.frontend.ops  # noqa: F401 - declares the operators


def _row(op: OpDef) -> Row:
    kind = "shorthand" if op.inline else "primitive" if op.is_primitive else "composite"
    gradient = "none" if not op.differentiable else "own" if op.vjp is not None else "composed"
    samples = list(op.samples()) if op.samples is not None else []
    families: dict[str, None] = {}
    missing, good = "", None
    for sample in samples:
        found = _lower(op, sample, "float32")
        if isinstance(found, str):
            missing = missing or found
        else:
            families.update(dict.fromkeys(found))
            good = good or sample
    if not samples:
        missing = "no sample to try"
    dtypes = [d for d in DTYPES if good is not None and not isinstance(_lower(op, good, d), str)]
    return Row(op.name, kind, gradient, tuple(sorted(families)), tuple(_SHORT[d] for d in dtypes), missing)


def _lower(op: OpDef, sample: Sample, dtype: str) -> list[str] | str:
    """The kernel families of one sample, or the reason why there are none."""
    from pappus.export import UnsupportedOperators, export, lower
    from pappus.export.ir.verifier import GraphError
    from pappus.frontend.errors import PappusError

    def call(*args: Any, **kwargs: Any) -> Any:
        return op(*args, **kwargs)

    try:
        captured = export(call, _cast(sample.args, dtype), _cast(sample.kwargs, dtype), check="off")
        program = lower(captured, plan_effort=0)
    except UnsupportedOperators as error:
        inner = error.problems[0].partition(": ")[2]
        name = inner.partition("(")[0]
        reason = inner.rpartition("): ")[2].partition(": ")[2] or inner.rpartition(": ")[2]
        return reason if name == op.name else f"{name}: {reason}"
    except (PappusError, GraphError) as error:
        return str(error).splitlines()[0]
    return [node.op.removeprefix("k.") for node in program.graph.nodes]


def _cast(value: Any, dtype: str) -> Any:
    """Samples are float64: those tensors get `dtype`, others (indices, masks) stay."""
    from pappus.frontend import dtypes
    from pappus.frontend.tensor import Tensor

    if isinstance(value, Tensor):
        return value.to(dtypes.as_dtype(dtype)) if value.dtype is dtypes.float64 else value
    if isinstance(value, (list, tuple)):
        return type(value)(_cast(v, dtype) for v in value)
    if isinstance(value, dict):
        return {k: _cast(v, dtype) for k, v in value.items()}
    return value
