"""Compare a program in the C runtime with the eager operators: per output, and per instruction."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from pappus.export.exporting import export
from pappus.export.ir.graph import Value
from pappus.export.ir.interpret import interpret
from pappus.export.program import ExportedProgram
from pappus.export.structure import flatten_outputs
from pappus.frontend import native
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor

if TYPE_CHECKING:
    from pappus.runtime.observe import Observation

Array = np.ndarray[Any, Any]
Inputs = Sequence[Any] | Mapping[str, Any]

# Differences are given relative to the largest eager number; below this floor that number says nothing.
FLOOR = 1e-6


@dataclass(frozen=True)
class Difference:
    """How far a runtime value is from the eager one.

    `max_abs` is the largest absolute difference (inf where only one side is NaN or infinite, or the shapes differ),
    `max_rel` is it divided by the largest eager magnitude, `scale`.
    """

    max_abs: float
    max_rel: float
    scale: float


@dataclass(frozen=True)
class OutputRow:
    """One output. `argmax` is the share of rows (along the last axis) whose largest element is the same one."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    difference: Difference
    argmax: float | None


@dataclass(frozen=True)
class LayerRow:
    """One instruction whose final value has an eager counterpart. `name` is the core value, `source` the user's
    line.
    """

    instruction: int
    op: str
    name: str
    source: str
    kernel: str
    shape: tuple[int, ...]
    difference: Difference


@dataclass(frozen=True)
class Comparison:
    """What `compare_program` found. `rows` is empty unless layers were asked for.

    `unmatched` counts instructions that compute a part of an operator, or something that passes made, and so have no
    eager value to be compared with.
    """

    method: str
    outputs: list[OutputRow]
    rows: list[LayerRow] = field(default_factory=list)
    unmatched: int = 0

    @property
    def max_abs(self) -> float:
        """The largest absolute difference of any output."""
        return max((o.difference.max_abs for o in self.outputs), default=0.0)

    @property
    def max_rel(self) -> float:
        """The largest difference of any output relative to its range."""
        return max((o.difference.max_rel for o in self.outputs), default=0.0)

    def text(self) -> str:
        """Two tables: outputs, then layers in the order in which they ran."""
        lines = [f"method {self.method}: runtime against eager"]
        lines += _table(
            ("output", "shape", "dtype", "max abs", "max rel", "argmax"),
            [
                (o.name, _shape(o.shape), o.dtype, _number(o.difference.max_abs), _number(o.difference.max_rel),
                 "-" if o.argmax is None else f"{100 * o.argmax:.2f} %")
                for o in self.outputs
            ],
        )  # fmt: skip
        if self.rows:
            lines += ["", "layers"]
            lines += _table(
                ("#", "operators", "value", "shape", "max abs", "max rel", "source"),
                [
                    (str(r.instruction), r.op, r.name, _shape(r.shape), _number(r.difference.max_abs),
                     _number(r.difference.max_rel), r.source)
                    for r in self.rows
                ],
            )  # fmt: skip
        if self.unmatched:
            lines.append(
                f"{self.unmatched} more instructions compute parts of operators and have no eager value of their own"
            )
        return "\n".join(lines)


def compare_program(
    program: str | Path | bytes,
    reference: Callable[..., Any] | ExportedProgram,
    inputs: Inputs,
    per_layer: bool = False,
    *,
    method: str | None = None,
    threads: int | None = None,
) -> Comparison:
    """Run `program` (a .pap file or its bytes) and `reference` on the same inputs and measure the differences.

    `reference` is the model, a function, or its ExportedProgram; `inputs` are arrays or Tensors in the order of the
    method's inputs, or by name. With `per_layer` the value that every instruction leaves behind is compared with the
    value that the captured graph has there, run by the eager operators; the program needs its debug section for that.

    Raises ArgumentError if the reference has other inputs or outputs, or the program was stripped; runtime errors pass.

    >>> import pappus as pp
    >>> ep = pp.export.export(lambda x: pp.relu(x) + 1, (pp.ones(2, 3),))
    >>> compare_program(pp.export.lower(ep).to_bytes(), ep, [np.ones((2, 3), np.float32)]).max_abs
    0.0
    """
    from pappus.runtime import load

    with load(program, threads=threads) as session:
        names = [m.name for m in session.program.methods]
        chosen = method if method is not None else ("forward" if "forward" in names else names[0])
        runner = session.method(chosen)
        arrays = _arrays(inputs, [port.name for port in runner.inputs])
        if per_layer and not any(i.op for i in runner.info.instructions):
            raise ArgumentError(
                "compare: the program was stripped of names, so its layers cannot be compared; save it with debug=True"
            )
        if per_layer and not isinstance(reference, ExportedProgram):
            reference = export(reference, [Tensor._from_data(a) for a in arrays.values()], check="off")
        seen: list[Observation] = []
        if per_layer:
            with session.observe(seen.append):
                results = runner(*arrays.values())
        else:
            results = runner(*arrays.values())
        found = results if isinstance(results, tuple) else (results,)
        wanted, layers = _eager(reference, arrays)
    if len(found) != len(wanted):
        raise ArgumentError(f"compare: {chosen} has {len(found)} outputs, the reference returns {len(wanted)} tensors")
    outputs = [
        OutputRow(port.name, w.shape, w.dtype.name, difference(f, w), _argmax_agreement(f, w))
        for port, f, w in zip(runner.outputs, found, wanted, strict=True)
    ]
    if not per_layer:
        return Comparison(chosen, outputs)
    rows = [row for o in seen if (row := _layer(o, layers)) is not None]
    return Comparison(chosen, outputs, rows, len(seen) - len(rows))


def _arrays(inputs: Inputs, names: Sequence[str]) -> dict[str, Array]:
    if isinstance(inputs, Mapping):
        missing = [n for n in names if n not in inputs]
        unknown = [n for n in inputs if n not in names]
        if missing or unknown:
            wrong = (
                f"no input {', '.join(map(repr, unknown))}"
                if unknown
                else f"missing input {', '.join(map(repr, missing))}"
            )
            raise ArgumentError(f"compare: {wrong}; the program's inputs are: {', '.join(names) or 'none'}")
        values = [inputs[n] for n in names]
    else:
        values = list(inputs)
        if len(values) != len(names):
            raise ArgumentError(
                f"compare: {len(values)} inputs given, the program takes {len(names)}: {', '.join(names)}"
            )
    return {n: np.asarray(v._data if isinstance(v, Tensor) else v) for n, v in zip(names, values, strict=True)}


def _eager(
    reference: Callable[..., Any] | ExportedProgram, arrays: Mapping[str, Array]
) -> tuple[list[Array], dict[str, Array]]:
    """The reference's outputs, and the value of every operator by its name if there is a graph.

    By numpy's kernels: those of the runtime are what is judged.
    """
    if not isinstance(reference, ExportedProgram):
        with no_grad(), native.engine("numpy"):
            result = reference(*(Tensor._from_data(a.copy()) for a in arrays.values()))
        return [np.asarray(t._data) for _, t in flatten_outputs(result)[0]], {}
    graph = reference.graph
    layers: dict[str, Array] = {}

    def watch(value: Value, array: Array) -> None:
        layers[value.name] = array

    if len(graph.inputs) != len(arrays):
        raise ArgumentError(f"compare: the program takes {len(arrays)} inputs, the reference {len(graph.inputs)}")
    state: dict[str, Array] = {}
    with native.engine("numpy"):
        return interpret(graph, [a.copy() for a in arrays.values()], state, watch), layers


def _layer(seen: Observation, layers: Mapping[str, Array]) -> LayerRow | None:
    wanted = layers.get(seen.name) if seen.name else None
    if wanted is None or len(seen.results) != 1 or seen.results[0].size != wanted.size:
        return None
    found = seen.results[0].reshape(wanted.shape)
    return LayerRow(
        seen.instruction, seen.op, seen.name, seen.source, seen.kernel, wanted.shape, difference(found, wanted)
    )


def difference(found: Array, wanted: Array) -> Difference:
    """How far `found` is from `wanted`; equal infinities and NaNs at equal places count as equal."""
    wide = [_wide(a, wanted.dtype) for a in (found, wanted)]
    if found.shape != wanted.shape:
        return Difference(float("inf"), float("inf"), 0.0)
    if not wanted.size:
        return Difference(0.0, 0.0, 0.0)
    f, w = wide
    finite = w[np.isfinite(w)]
    scale = float(np.abs(finite).max()) if finite.size else 0.0
    with np.errstate(invalid="ignore"):
        gap = np.where((f == w) | (np.isnan(f) & np.isnan(w)), 0.0, np.abs(f - w))
    largest = float(np.where(np.isnan(gap), np.inf, gap).max())
    return Difference(largest, largest / max(scale, FLOOR), scale)


def _wide(array: Array, dtype: np.dtype[Any]) -> Array:
    if array.dtype == np.uint16 and dtype.name == "bfloat16":  # the runtime has no name for bfloat16 in numpy
        array = array.view(dtype)
    return array.astype(np.float64)


def _argmax_agreement(found: Array, wanted: Array) -> float | None:
    if wanted.ndim < 1 or wanted.shape[-1] < 2 or not wanted.size or found.shape != wanted.shape:
        return None
    if wanted.dtype.kind not in "fV":
        return None
    f, w = _wide(found, wanted.dtype), _wide(wanted, wanted.dtype)
    return float(np.mean(f.argmax(-1) == w.argmax(-1)))


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "scalar"


def _number(value: float) -> str:
    return "0" if value == 0 else f"{value:.3g}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(r[i]) for r in (head, *rows)) for i in range(len(head))]
    return ["  ".join(cell.ljust(w) for cell, w in zip(r, widths, strict=True)).rstrip() for r in (head, *rows)]
