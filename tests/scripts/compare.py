"""The same script under torch and under pappus: from the same weights and batches, the losses of every step.

    python tests/scripts/compare.py                     # a table for all scripts, 50 steps
    python tests/scripts/compare.py gpt --steps 10
    python tests/scripts/compare.py --write             # docs/scripts.md

The scripts beside this file say `import torch` and nothing of pappus. pappus makes the weights (a .pt file), which
torch then loads; batches, noise and chosen actions come from a file of numpy's. Dropout is off, since random streams
differ.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
# name: (script, arguments)
SCRIPTS: dict[str, tuple[str, list[str]]] = {
    "mnist_cnn": ("mnist_cnn.py", ["--dropout", "0"]),
    "vae": ("vae.py", []),
    "language_lstm": ("word_language_model.py", ["--dropout", "0"]),
    "language_transformer": ("word_language_model.py", ["--model", "Transformer", "--dropout", "0", "--lr", "0.1"]),
    "time_sequence": ("time_sequence_prediction.py", []),
    "reinforce": ("reinforce.py", []),
    "gpt": ("gpt.py", []),
    "gpt_bfloat16": ("gpt.py", ["--dtype", "bfloat16"]),
    "cifar_resnet": ("cifar_resnet.py", []),
}
TOLERANCE = 1e-4
# In bfloat16 a rounding that falls the other way moves a loss by more than float32's tolerance.
TOLERANCES = {"gpt_bfloat16": 2e-2}


def write_data(path: Path) -> None:
    """Images with a pattern for each class, a Markov chain of words, sine waves, and random numbers."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 10, 256)
    patterns = rng.standard_normal((10, 3, 28, 28))
    words = [0]
    follow = rng.integers(0, 50, (50, 3))
    while len(words) < 3000:
        words.append(int(follow[words[-1], rng.integers(0, 3)]))
    places = np.arange(24) + rng.integers(-40, 40, (6, 1))
    np.savez(
        path, images=(patterns[labels] + 0.5 * rng.standard_normal((256, 3, 28, 28))).astype(np.float32),
        labels=labels, words=np.array(words), waves=np.sin(places / 4.0),
        noise=rng.standard_normal((64, 32, 8)).astype(np.float32), choices=rng.random((64, 80)),
    )  # fmt: skip


def run(prefix: list[str], out: Path, commands: list[str]) -> dict[str, Any]:
    """What the scripts printed, by command."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    every = [sys.executable, *prefix, str(HERE / "every.py"), str(out), *commands]
    done = subprocess.run(every, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(every[:4])} failed:\n{done.stderr}")
    found: dict[str, Any] = json.loads(out.read_text())
    return found


def losses(printed: str) -> list[float]:
    """The numbers behind the word loss, line by line."""
    return [float(line.split(" loss ")[1].split()[0]) for line in printed.splitlines() if " loss " in line]


def compare(names: list[str], steps: int) -> list[dict[str, Any]]:
    """One row a script: steps, first and last loss, largest difference."""
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.npz"
        write_data(data)
        commands: dict[str, list[str]] = {}
        for name in names:
            script, arguments = SCRIPTS[name]
            weights = str(Path(folder) / f"{name}.pt")
            first = [str(HERE / script), "--data", str(data), *arguments]
            commands[name] = [
                "\t".join([*first, "--save", weights, "--steps", "0"]),
                "\t".join([*first, "--weights", weights, "--steps", str(steps)]),
            ]
        pairs = [command for pair in commands.values() for command in pair]
        ours = run(["-m", "pappus.torch"], Path(folder) / "pappus.json", pairs)
        theirs = run([], Path(folder) / "torch.json", [pair[1] for pair in commands.values()])
    rows = []
    for name, (made, command) in commands.items():
        mine, other = ours[command], theirs[command]
        error = ours[made]["error"] or mine["error"] or other["error"]
        one, two = losses(mine["printed"]), losses(other["printed"])
        same = len(one) == len(two) > 0
        row = {
            "script": name, "steps": sum("test" not in line and "future" not in line
                                         for line in other["printed"].splitlines() if " loss " in line),
            "difference": max(abs(a - b) for a, b in zip(one, two, strict=True)) if same else float("nan"),
            "first": two[0] if two else float("nan"), "last": two[-1] if two else float("nan"),
            "torch": other["torch"], "error": error,
            "text": [line for line in mine["printed"].splitlines() if line.startswith("text")]
            == [line for line in other["printed"].splitlines() if line.startswith("text")],
        }  # fmt: skip
        rows.append(row)
    return rows


def passes(row: dict[str, Any]) -> bool:
    """Whether the losses are equal to the tolerance, at every step."""
    return not row["error"] and row["difference"] <= TOLERANCES.get(row["script"], TOLERANCE)


def table(rows: list[dict[str, Any]]) -> str:
    """The rows as a table in Markdown."""
    lines = ["| script | steps | first loss | last loss | largest difference | held to |", "|---|---|---|---|---|---|"]
    for r in rows:
        bound = f"{TOLERANCES.get(r['script'], TOLERANCE):.0e}" + ("" if passes(r) else ", **which it is not**")
        ends = f"{r['first']:.4f} | {r['last']:.4f}"
        lines.append(f"| {r['script']} | {r['steps']} | {ends} | {r['difference']:.1e} | {bound} |")
    return "\n".join(lines) + "\n"


HEAD = """# Scripts that import torch, run by both

Written by `make scripts`, which runs each script of `tests/scripts/` under PyTorch {version} and under
`python -m pappus.torch`, from the same weights (a .pt file that pappus writes and torch reads) and the same batches.
The difference is the largest of all steps, between the losses that the script prints. Learning rates are so
small that rounding does not grow from step to step.

"""


def main() -> int:
    """The command line; see the module's text."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[[], *SCRIPTS], default=[])
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--write", action="store_true", help="write docs/scripts.md")
    args = parser.parse_args()
    rows = compare(args.names or list(SCRIPTS), args.steps)
    for row in rows:
        if row["error"]:
            print(f"{row['script']}:\n{row['error']}", file=sys.stderr)
    print(table(rows))
    if args.write:
        (ROOT / "docs" / "scripts.md").write_text(HEAD.format(version=rows[0]["torch"]) + table(rows))
    return 0 if all(map(passes, rows)) else 1


if __name__ == "__main__":
    sys.exit(main())
