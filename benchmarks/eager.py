"""What one eager operator costs, beside PyTorch in the same process where it is installed.

    make bench-eager                                    # writes docs/eager-speed.md
    python benchmarks/eager.py [--only add] [--rounds 80] [--kernels] [--steps] [--write FILE]

Every case is one piece of code that runs on either library. Rounds of the two are interleaved; a figure is the least
processor time of all rounds, in microseconds, one thread each. Where PyTorch is absent our figures stand alone.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from timing import Run, least, one_thread

one_thread()  # before numpy is imported

import numpy as np  # noqa: E402 - after the threads are set
from eager_cases import FEATURES, KERNELS, OPERATORS, STEPS, TRAINING, Case  # noqa: E402

import pappus as pp  # noqa: E402

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]

SWEEPS = 4


def timed(runs: dict[str, Run], rounds: int) -> dict[str, float]:
    """Microseconds per call of each of `runs`."""
    return {name: 1e6 * value for name, value in least(runs, rounds, 0.001).items()}


def _libraries() -> dict[str, Any]:
    return {"pappus": pp} if torch is None else {"pappus": pp, "torch": torch}


def _cell(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.2f}" if value < 100 else f"{value:,.0f}"


def _ratio(found: dict[str, float], kind: str) -> str:
    ours, theirs = found.get(f"pappus {kind}"), found.get(f"torch {kind}")
    return "" if ours is None or theirs is None else f"{ours / theirs:.2f}"


def compare(cases: Iterable[Case], rounds: int, kinds: tuple[str, ...] = ("plain", "grad")) -> list[str]:
    """Rows of a table: each case without and with a gradient, ours, PyTorch's, and the ratio."""
    rows = []
    made: list[tuple[Case, dict[str, Run], dict[str, float]]] = []
    for case in cases:
        runs: dict[str, Run] = {}
        for kind in kinds:
            if kind == "grad" and not case.grad:
                continue
            for name, library in _libraries().items():
                runs[f"{name} {kind}"] = case.make(library, kind == "grad")
        made.append((case, runs, {}))
    for _ in range(SWEEPS):  # far apart, because other work slows the machine for seconds
        for _, runs, best in made:
            for key, value in timed(runs, max(rounds // SWEEPS, 1)).items():
                best[key] = min(best.get(key, value), value)
    for case, _, found in made:
        row = [case.name]
        for kind in kinds:
            row += [_cell(found.get(f"pappus {kind}")), _cell(found.get(f"torch {kind}")), _ratio(found, kind)]
        rows.append("| " + " | ".join(row) + " |")
        print(rows[-1], flush=True)
    return rows


def features(rounds: int) -> list[str]:
    """Rows of the table of the door's parts: microseconds, and as a multiple of numpy's addition."""
    runs = {name: make() for name, make in FEATURES}
    found = timed(runs, rounds)
    unit = next(iter(found.values()))
    rows = [f"| {name} | {value:.3f} | {value / unit:.2f} |" for name, value in found.items()]
    print("\n".join(rows), flush=True)
    return rows


def _table(title: str, text: str, head: str, rows: list[str]) -> list[str]:
    columns = head.count("|") - 1
    return ["", f"## {title}", "", text, "", head, "|---" + "|---:" * (columns - 1) + "|", *rows]


PAIR = "| | pappus | torch | ratio | with gradient: pappus | torch | ratio |"
ONE = "| | pappus | torch | ratio |"


def main() -> int:
    """Measure, print, and write the document where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=80)
    parser.add_argument("--only", default="", help="measure only cases whose name contains this")
    parser.add_argument("--kernels", action="store_true", help="only operators on large tensors")
    parser.add_argument("--steps", action="store_true", help="only whole training steps")
    parser.add_argument("--write", type=Path, help="write the tables to this file")
    args = parser.parse_args()
    if torch is not None:
        torch.set_num_threads(1)

    def chosen(cases: Iterable[Case]) -> list[Case]:
        return [case for case in cases if args.only in case.name]

    everything = not (args.kernels or args.steps)
    lines = [
        "# Speed of the eager engine",
        "",
        "Written by `make bench-eager`; not typed. Microseconds of processor time, the least of "
        f"{args.rounds} interleaved rounds in {SWEEPS} sweeps, one thread each.",
        f"Python {sys.version.split()[0]}, numpy {np.__version__}, "
        + (f"torch {torch.__version__}." if torch is not None else "PyTorch not installed."),
    ]
    if everything:
        text = "10 elements where nothing else is said; a call, and the same call recorded for a gradient."
        lines += _table("Small operators", text, PAIR, compare(chosen(OPERATORS), args.rounds))
        text = "What a training loop pays besides its operators."
        lines += _table("Around the operators", text, ONE, compare(chosen(TRAINING), args.rounds, ("plain",)))
        if not args.only:
            text = "What parts of a call cost by themselves, and as multiples of numpy's own addition of 10 numbers."
            lines += _table("Parts of a call", text, "| | us | ratio |", features(args.rounds))
    if everything or args.kernels:
        text = "Where arithmetic is the cost."
        lines += _table("Large operators", text, PAIR, compare(chosen(KERNELS), max(args.rounds // 8, 4)))
    if everything or args.steps:
        text = "Forward, backward and optimizer."
        lines += _table("Training steps", text, ONE, compare(chosen(STEPS), max(args.rounds // 8, 4), ("plain",)))
    if args.write:
        args.write.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
