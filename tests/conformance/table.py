"""One table of what `torch_ops` measures: every element type, wrong calls, and the whole database in float32.

    python tests/conformance/table.py             # print it
    python tests/conformance/table.py --write     # and write docs/conformance.md
    python tests/conformance/table.py --update    # and rewrite clean.txt and clean_types.txt
"""

from __future__ import annotations

import argparse
import platform
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from replay import Outcome
from torch_ops import KINDS, chosen, is_clean, measure, never_accepts, update_clean, users, users_of_names, wrong_calls

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"
LEAST = 2  # the subset: what at least so many of 30 code bases use
FAILED = (Outcome.MISSING, Outcome.REFUSED, Outcome.ERROR, Outcome.FORWARD, Outcome.GRAD)
TEXT = """# PyTorch's own operator tests, run on Pappus

Written by `make conformance-doc`; not typed. The samples are those of torch's operator database (OpInfo). torch and
Pappus compute each from the same numbers; results must agree in structure, shape, type and value, and the gradients of
every differentiable input under random cotangents must agree. An operator is clean if no sample of it fails.

- *passed*: results (and, where *graded*, gradients) agree.
- *skipped*: torch itself fails, the result is random or uninitialised (only its shape is compared), or it is sparse.
- The tolerances are in `tests/conformance/replay.py`. In float16 and bfloat16 a result also passes if it is what torch
  computes in float32, rounded: torch's short kernels on the CPU sometimes lose more digits than Pappus' do.
- Places of equal elements (sort, topk, kthvalue) may differ where the call does not ask for a stable order.
- `complex` and `view_as_complex` of float16 give complex32 in torch, a type that Pappus does not have: no array of
  numpy holds it.
- A wrong call *raises* if Pappus refuses it with any error. Calls that the database lists and torch accepts meanwhile
  are not counted.
"""


def counts(rows: list[dict[str, Any]]) -> list[str]:
    """The cells of one line of the table."""
    total = {k: sum(r.get(k, 0) for r in rows) for k in ("samples", "graded", *Outcome)}
    clean = sum(map(is_clean, rows))
    failed = sum(total[k] for k in FAILED)
    cells = [len(rows), clean, total["samples"], total[Outcome.PASS], total["graded"], total[Outcome.SKIP], failed]
    return [f"{n:,}" for n in cells]


def markdown(head: list[str], lines: list[list[str]]) -> str:
    """A table with its numbers to the right."""
    out = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return "".join("| " + " | ".join(cells) + " |\n" for cells in out)


def main(argv: list[str] | None = None) -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write docs/conformance.md")
    parser.add_argument("--update", action="store_true", help="rewrite clean.txt and clean_types.txt")
    args = parser.parse_args(argv)
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    known = users_of_names()
    lines, failing = [], []
    every: list[dict[str, Any]] = []
    for kind in KINDS:
        dtype = getattr(torch, kind)
        ops = list(chosen(dtype, None, 0 if kind == "float32" else LEAST))
        rows = [measure(op, dtype) for op in ops]
        used = [r for op, r in zip(ops, rows, strict=True) if users(op, known) >= LEAST]
        every = rows if kind == "float32" else every
        lines.append([kind, *counts(used)])
        failing += [f"{r['entry']} ({kind})" for r in used if not is_clean(r)]
        print("  ".join(lines[-1]), flush=True)
        if args.update:
            update_clean(rows, kind)
    wrong = [r for r in map(wrong_calls, chosen(torch.float32, None, LEAST)) if r["samples"]]
    sums = {k: sum(r.get(k, 0) for r in wrong) for k in ("samples", "raises", "accepts", "missing", "torch accepts")}
    if args.update:
        update_clean([r for r in wrong if never_accepts(r)], "errors", {r["entry"] for r in wrong})
    failing += [f"{r['entry']} (wrong calls)" for r in wrong if not never_accepts(r)]
    absent = [r["entry"] for r in every if not is_clean(r)]
    head = ["", "operators", "clean", "samples", "passed", "graded", "skipped", "failed"]
    text = TEXT + (
        f"\nMeasured with torch {torch.__version__.split('+')[0]}, numpy {np.__version__}, Python "
        f"{platform.python_version()}.\n\n## Operators that {LEAST} or more of 30 public code bases use\n\n"
        + markdown(head, lines)
        + f"\nNot clean: {', '.join(failing) or 'none'}.\n\n"
        + markdown(["wrong calls", "raise", "are accepted", "have no function", "torch accepts"],
                   [[f"{sums[k]:,}" for k in ("samples", "raises", "accepts", "missing", "torch accepts")]])
        + "\n## The whole database, float32\n\n" + markdown(head, [["float32", *counts(every)]])
        + f"\nNot clean ({len(absent)}): {', '.join(absent) or 'none'}.\n"
    )  # fmt: skip
    print(text[text.index("## Operators") :])
    if args.write:
        PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
