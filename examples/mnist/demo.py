"""The whole road, on real handwritten digits: train, export, run in C, compare. `make demo`, or `pappus demo`."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# The matrices here are small: several BLAS threads only wait for each other. It must be set before numpy is loaded.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
os.environ.setdefault("OMP_NUM_THREADS", "1")
HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import digits  # noqa: E402
import numpy as np  # noqa: E402
from model import Net  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402
from train import EPOCHS, predict, train  # noqa: E402

import pappus as pp  # noqa: E402
from pappus.export.compare import Comparison, compare_program  # noqa: E402
from pappus.export.plan import blocks_at, lifetimes, lower_bound, place  # noqa: E402

ACCURACY, DIFFERENCE = 0.97, 1e-4


@dataclass
class Result:
    """What was measured on the held-back images."""

    images: np.ndarray
    labels: np.ndarray
    eager: np.ndarray  # scores [n, 10]
    runtime: np.ndarray
    comparison: Comparison

    @property
    def equal(self) -> int:
        """How many predictions are the same."""
        return int((self.eager.argmax(1) == self.runtime.argmax(1)).sum())

    @property
    def difference(self) -> float:
        """The largest difference of any score."""
        return float(np.abs(self.eager - self.runtime).max())

    def accuracy(self, scores: np.ndarray) -> float:
        """Share of images whose largest score is that of their label."""
        return float((scores.argmax(1) == self.labels).mean())


def demo(out: Path = Path("out"), epochs: int = EPOCHS) -> int:
    """Run everything, write the files into `out`, print the table; 0 if the promises hold, else 1."""
    console = Console(highlight=False, emoji=False)
    console = console if console.is_terminal else Console(highlight=False, emoji=False, width=110)
    out.mkdir(parents=True, exist_ok=True)
    start = time.perf_counter()

    images, labels = digits.load()
    rows, held_back = digits.split(labels)
    console.print(f"[bold]1[/] training on {len(rows):,} digits, {epochs} epochs; {len(held_back):,} are held back")
    pp.manual_seed(0)
    net = Net()
    train(net, images[rows], labels[rows], epochs)
    pp.save(net.state_dict(), out / "mnist.safetensors")
    trained = time.perf_counter()

    console.print(f"[bold]2[/] exporting (trained in {trained - start:.1f} s)")
    x = pp.tensor(images[held_back[:1]])
    exported = pp.export.export(net, (x,), dynamic_shapes={"x": {0: pp.export.Dim("batch", min=1, max=4096)}})
    program = pp.export.lower(exported)
    program.save(out / "mnist.pap")
    np.save(out / "digit.npy", images[held_back[labels[held_back] == 7][:1]])

    console.print(f"[bold]3[/] running {len(held_back):,} digits through the C runtime")
    session = pp.runtime.load(out / "mnist.pap")
    test = images[held_back]
    comparison = compare_program(out / "mnist.pap", exported, [test[:100]], per_layer=True)
    result = Result(test, labels[held_back], predict(net, test), session(test), comparison)
    console.print(_table(result, net, program, out))
    wrong = _draw(result, out / "mnist.png")
    console.print(f"{wrong} of {len(test):,} digits are misread, {out / 'mnist.png'} shows them")
    console.print(f"the whole demo took {time.perf_counter() - start:.1f} s")
    failures = _failures(result)
    for failure in failures:
        console.print(f"[red]FAILED[/] {failure}")
    if not failures:
        console.print("\n[bold]What to type next[/]")
        for command in next_commands(out):
            console.print("  " + command, markup=False, soft_wrap=True)
    return 1 if failures else 0


def next_commands(out: Path) -> list[str]:
    """Three commands on the files that the demo has written."""
    weights = "" if out == Path("out") else f"MNIST_WEIGHTS={out / 'mnist.safetensors'} "
    model = os.path.relpath(HERE / "model.py")
    return [
        f"pappus run {out / 'mnist.pap'} --input x={out / 'digit.npy'}",
        f"{weights}pappus compare {out / 'mnist.pap'} {model}:make --per-layer",
        f"pappus bench {out / 'mnist.pap'} --threads 1,2 --size batch=32 --layers",
    ]


def _failures(result: Result) -> list[str]:
    n = len(result.labels)
    found = []
    if (accuracy := result.accuracy(result.runtime)) < ACCURACY:
        found.append(f"accuracy {100 * accuracy:.1f} % is below {100 * ACCURACY:.0f} %")
    if not result.difference <= DIFFERENCE:
        found.append(f"a score differs by {result.difference:.3g}, more than {DIFFERENCE:g}")
    if result.equal != n:
        found.append(f"{n - result.equal} of {n} predictions differ")
    return found


def _table(result: Result, net: Any, program: Any, out: Path) -> Table:
    n = len(result.labels)
    table = Table(title="\nEager Python and the C runtime, on digits that training never saw", title_justify="left")
    for column, justify in (("", "left"), ("eager", "right"), ("C runtime", "right")):
        table.add_column(column, justify=justify)  # type: ignore[arg-type]
    percent = [f"{100 * result.accuracy(scores):.1f} %" for scores in (result.eager, result.runtime)]
    table.add_row("accuracy", *percent)
    table.add_row("predictions that are equal", "", f"{result.equal:,} of {n:,}")
    table.add_row("largest difference of a score", "", f"{result.difference:.2g}")
    for row in sorted(result.comparison.rows, key=lambda r: -r.difference.max_rel)[:1]:
        table.add_row("worst layer, relative to its range", "", f"{row.difference.max_rel:.2g}  ({row.op})")
    compared = len(result.comparison.rows)
    table.add_row("layers compared one by one", "", f"{compared} of {compared + result.comparison.unmatched}")
    table.add_section()
    table.add_row(
        "file", f"{(out / 'mnist.safetensors').stat().st_size:,} bytes", f"{(out / 'mnist.pap').stat().st_size:,} bytes"
    )
    for batch in (1, 32):
        arena, bound = _arena(program, batch)
        best = "optimal" if arena == bound else f"at least {bound:,}"
        table.add_row(f"working memory, batch {batch}", "", f"{arena:,} bytes ({best})")
    table.add_section()
    for batch in (1, 32):
        images = result.images[:batch]
        eager = _per_image(lambda images=images: predict(net, images), batch)
        table.add_row(f"time per image, batch {batch}, 1 thread", eager, _runtime(out, images, 1))
        table.add_row(f"time per image, batch {batch}, 2 threads", "", _runtime(out, images, 2))
    return table


def _arena(program: Any, batch: int) -> tuple[int, int]:
    """Bytes of the planned arena and the least that any plan needs."""
    method = program.methods[0]
    blocks = blocks_at(method.buffers, lifetimes(method.kernel, method.buffers, method.epochs), lambda _: batch)
    return place(blocks, method.plan.order)[1], lower_bound(blocks)


def _runtime(out: Path, images: np.ndarray, threads: int) -> str:
    with pp.runtime.load(out / "mnist.pap", threads=threads) as session:
        return _per_image(lambda: session(images), len(images))


def _per_image(run: Callable[[], Any], batch: int) -> str:
    run()
    times = []
    end = time.perf_counter() + 0.3
    while len(times) < 5 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return f"{1e3 * float(np.median(times)) / batch:.3f} ms"


def _draw(result: Result, path: Path, rows: int = 5, columns: int = 12) -> int:
    """A picture of the misread digits, then of others, each with both predictions; returns how many are misread."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    eager, runtime = result.eager.argmax(1), result.runtime.argmax(1)
    wrong = np.flatnonzero((eager != result.labels) | (runtime != result.labels))
    others = np.random.default_rng(0).permutation(np.setdiff1d(np.arange(len(eager)), wrong))
    shown = np.concatenate([wrong, others])[: rows * columns]
    figure, axes = pyplot.subplots(rows, columns, figsize=(columns * 0.95, rows * 1.18 + 0.75), facecolor="white")
    for axis, i in zip(axes.flat, shown, strict=True):
        good = eager[i] == runtime[i] == result.labels[i]
        color = "#2a7f4f" if good else "#c0392b"
        axis.imshow(1 - result.images[i, 0], cmap="gray", vmin=0, vmax=1, interpolation="nearest")
        text = f"{eager[i]} | {runtime[i]}" + ("" if good else f"  is {result.labels[i]}")
        axis.set_title(text, fontsize=9, color=color, pad=3, fontweight="normal" if good else "bold")
        axis.set_xticks([])
        axis.set_yticks([])
        for spine in axis.spines.values():
            spine.set(color="#dddddd" if good else color, linewidth=0.8 if good else 2)
    title = "Above each digit: what eager Python read | what the C runtime read"
    figure.text(0.02, 0.975, title, fontsize=13, fontweight="bold", va="top")
    every = "the misread ones" if len(wrong) <= rows * columns else f"{rows * columns} of {len(wrong)} misread ones"
    line = (
        f"{100 * result.accuracy(result.runtime):.1f} % of {len(eager):,} held-back digits read correctly; "
        f"both agree on {result.equal:,}. Framed in red: {every}."
    )
    figure.text(0.02, 0.925, line, fontsize=10, color="#444444", va="top")
    figure.subplots_adjust(left=0.02, right=0.98, top=0.84, bottom=0.02, wspace=0.12, hspace=0.32)
    figure.savefig(path, dpi=150)
    pyplot.close(figure)
    return len(wrong)


if __name__ == "__main__":
    sys.exit(demo())
