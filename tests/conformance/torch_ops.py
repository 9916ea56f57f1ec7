"""Measure pappus by PyTorch's own operator database (OpInfo), which torch's maintainers test torch with.

    python tests/conformance/torch_ops.py                       # every operator, float32: outputs and gradients
    python tests/conformance/torch_ops.py --users 2             # only what at least 2 of 30 public code bases use
    python tests/conformance/torch_ops.py --ops '^(add|nn.functional.conv2d)$' --verbose
    python tests/conformance/torch_ops.py --dtype int64 --json out.json
    python tests/conformance/torch_ops.py --errors              # calls that must raise
    python tests/conformance/torch_ops.py --update              # rewrite clean.txt, what the test-suite holds on to

Needs torch 2.13, expecttest and scipy (the extra `conformance`). The database is a private module of torch: its
version is pinned, and so are the numbers below.
"""

from __future__ import annotations

import argparse
import collections
import itertools
import json
import re
import sys
import time
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from replay import Missing, Outcome, Tally, accepts, function_of, refuses, replay
from torch.testing._internal.common_methods_invocations import op_db

HERE = Path(__file__).parent
CLEAN, CLEAN_TYPES = HERE / "clean.txt", HERE / "clean_types.txt"
KINDS = ("float32", "float64", "int64", "bool", "float16", "bfloat16")
BAD = (Outcome.MISSING, Outcome.REFUSED, Outcome.ERROR, Outcome.FORWARD, Outcome.GRAD)
LIMIT_S = 30.0  # per operator
SHORT = 3  # samples per operator in the test-suite


def users_of_names() -> dict[str, int]:
    """How many of the 30 code bases use each public name of torch (names.tsv)."""
    lines = (HERE / "names.tsv").read_text().splitlines()
    rows = (line.split("\t") for line in lines if line and not line.startswith("#"))
    return {name: int(count) for name, count in rows}


def users(op: Any, counts: dict[str, int]) -> int:
    """The largest count of the names an operator goes by: function, method, in-place method, aliases."""
    names = [f"torch.{name}" for name in (op.name, *(a.name for a in op.aliases))]
    methods = [n.replace("torch.", "Tensor.") for n in names if n.count(".") == 1]
    return max(counts.get(n, 0) for n in [*names, *methods, *(f"{m}_" for m in methods)])


def chosen(dtype: torch.dtype, pattern: str | None, least: int) -> Iterator[Any]:
    """The entries of the database for a type, a pattern of names, and a least number of users."""
    counts = users_of_names()
    for op in op_db:
        named = not pattern or re.search(pattern, op.name)
        if named and dtype in op.supported_dtypes("cpu") and users(op, counts) >= least:
            yield op


def measure(op: Any, dtype: torch.dtype, most: int | None = None) -> dict[str, Any]:
    """One row: how many samples of `op` (the first `most`) had each outcome, and the first note for each."""
    torch.manual_seed(0)
    rng = np.random.default_rng(0)
    tally, started = Tally(), time.perf_counter()
    try:
        function, why = function_of(op), ""
    except Missing as error:
        function, why = None, str(error)
    wants_grad = op.supports_autograd and (dtype.is_floating_point or dtype.is_complex)
    samples: Iterable[Any] = op.sample_inputs("cpu", dtype, requires_grad=wants_grad)
    try:
        for at, sample in enumerate(itertools.islice(samples, most)):
            if time.perf_counter() - started > LIMIT_S:
                tally.add(Outcome.SKIP, "out of time", f"sample {at}")
                break
            if function is None:
                outcome, note = Outcome.MISSING, why
            else:
                outcome, note = replay(op, sample, function, dtype, rng)
            tally.add(outcome, note, f"sample {at}")
    except Exception as error:  # the generator of samples itself, in torch
        tally.add(Outcome.SKIP, f"{type(error).__name__}: {error}"[:151], "samples")
    return tally.row(op.name, op.formatted_name, started)


def is_clean(row: dict[str, Any]) -> bool:
    """Whether something passed and nothing failed."""
    return bool(row.get(Outcome.PASS) or row.get(Outcome.SKIP)) and not any(row.get(k) for k in BAD)


def wrong_calls(op: Any) -> dict[str, Any]:
    """One row: how many of the calls that torch refuses pappus refuses too."""
    tally: collections.Counter[str] = collections.Counter()
    notes: list[str] = []
    try:
        function = function_of(op)
    except Missing:
        function = None
    samples = list(op.error_inputs("cpu")) if op.error_inputs_func else []
    for at, wrong in enumerate(samples):
        if accepts(op, wrong.sample_input):
            tally["torch accepts"] += 1
            continue
        found, note = (None, "missing") if function is None else refuses(wrong.sample_input, function)
        tally["missing" if found is None else "raises" if found else "accepts"] += 1
        if not found:
            notes.append(f"sample {at}: {note} (torch: {wrong.error_type}: {wrong.error_regex})"[:200])
    return {"op": op.name, "entry": op.formatted_name, "samples": len(samples), **tally, "notes": notes}


# -- reporting ------------------------------------------------------------------------------------


def line(row: dict[str, Any]) -> str:
    """A row as text: name, counts, and the first note of each failure."""
    counts = " ".join(f"{k}={row[k]}" for k in Outcome if row.get(k))
    notes = "; ".join(f"{k}: {v}" for k, v in row["notes"].items() if k != Outcome.SKIP)
    return f"{row['entry']:42} {counts:40} {notes}".rstrip()


def totals(rows: list[dict[str, Any]]) -> str:
    """The sums over rows, as two lines."""
    sums = {k: sum(r.get(k, 0) for r in rows) for k in ("samples", "graded", *Outcome)}
    clean = sum(map(is_clean, rows))
    return (
        f"operators {len(rows)}  clean {clean}  seconds {sum(r['seconds'] for r in rows):.0f}\n"
        + "samples " + "  ".join(f"{k} {v}" for k, v in sums.items() if v or k in ("samples", "pass"))[8:]
    )  # fmt: skip


def never_accepts(row: dict[str, Any]) -> bool:
    """Whether every wrong call of an operator raises."""
    return not (row.get("accepts") or row.get("missing"))


def update_clean(rows: list[dict[str, Any]], kind: str, measured: set[str] | None = None) -> None:
    """Rewrite the ratchet for an element type (or for wrong calls, "errors"): what is clean now. Says what left it."""
    known = all_clean()
    before = known.get(kind, set())
    clean = rows if kind == "errors" else filter(is_clean, rows)
    known[kind] = (before - (measured or {r["entry"] for r in rows})) | {r["entry"] for r in clean}
    head = (
        "# Operators that are clean: every float32 sample of torch's database passes, forward and gradient.\n"
        "# Rewritten by `python tests/conformance/torch_ops.py --update`; a name leaves only with a reason.\n"
    )
    CLEAN.write_text(head + "".join(f"{name}\n" for name in sorted(known["float32"])))
    head = (
        "# The same for other element types, of operators in use; `errors` are operators whose wrong calls all raise.\n"
        "# Rewritten by `python tests/conformance/table.py --update`.\n"
    )
    others = {k: names for k, names in known.items() if k != "float32"}
    CLEAN_TYPES.write_text(head + "".join(f"{k} {name}\n" for k in sorted(others) for name in sorted(others[k])))
    print(f"{kind}: {len(known[kind])} clean names, {len(known[kind] - before)} new")
    for name in sorted(before - known[kind]):
        print(f"  no longer clean: {name}")


def _lines(path: Path) -> list[str]:
    text = path.read_text() if path.exists() else ""
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def all_clean() -> dict[str, set[str]]:
    """The names in clean.txt ("float32") and clean_types.txt, by element type."""
    found = {"float32": set(_lines(CLEAN))}
    for text in _lines(CLEAN_TYPES):
        kind, name = text.split()
        found.setdefault(kind, set()).add(name)
    return found


def main(argv: list[str] | None = None) -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--ops", metavar="REGEX", help="only operators whose name it is found in")
    parser.add_argument("--users", type=int, default=0, metavar="N", help="only operators that N of 30 code bases use")
    parser.add_argument("--samples", type=int, metavar="N", help="only the first N samples of each operator")
    parser.add_argument("--errors", action="store_true", help="replay calls that must raise")
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--verbose", action="store_true", help="a line for clean operators too")
    parser.add_argument("--update", action="store_true", help="rewrite clean.txt")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    dtype = getattr(torch, args.dtype)
    ops = list(chosen(dtype, args.ops, args.users))
    if args.errors:
        found = [r for r in map(wrong_calls, ops) if r["samples"]]
        for row in found:
            print("\n".join(f"{row['entry']:42} {note}" for note in row["notes"]), end="\n" if row["notes"] else "")
        names = ("samples", "raises", "accepts", "missing", "torch accepts")
        print("wrong calls: " + "  ".join(f"{k} {sum(r.get(k, 0) for r in found)}" for k in names))
        rows = found
    else:
        rows = []
        for op in ops:
            rows.append(measure(op, dtype, args.samples))
            if args.verbose:
                print(line(rows[-1]), flush=True)
        if not args.verbose:
            print("\n".join(line(r) for r in rows if not is_clean(r)))
        print(totals(rows))
        counts = users_of_names()
        used = [r for op, r in zip(ops, rows, strict=True) if users(op, counts) >= 2]
        if args.users < 2 and used:
            print(f"used by 2 or more of 30 code bases: {totals(used)}")
            print("of these not clean: " + ", ".join(r["entry"] for r in used if not is_clean(r)))
    if args.json:
        Path(args.json).write_text(json.dumps(rows, indent=1))
    if args.update and not args.errors:
        if args.samples:
            parser.error("--update needs all samples")
        update_clean(rows, args.dtype)
    return 0


if __name__ == "__main__":
    sys.exit(main())
