"""The runtime's kernels behind the eager engine beside the numpy kernels, and PyTorch where it is installed.

    make bench-native                                    # writes docs/native-kernels.md
    python benchmarks/native.py [--only conv] [--rounds 7] [--small] [--write FILE]

Every row is one function, forward or with its gradient, run by pappus on either kind of kernels and by PyTorch. Rounds
of the three take turns; a figure is the least processor time of all rounds, one thread each. Sizes go from a few
elements, where the call is what costs, to layers of real networks. `--small` leaves out what takes long.
"""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from timing import Run, least, one_thread

one_thread()  # before numpy is imported

import numpy as np  # noqa: E402 - after the threads are set

import pappus as pp  # noqa: E402
from pappus.frontend import native  # noqa: E402

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


@dataclass
class Case:
    """`function(F, *tensors)`, with F the library's nn.functional; arrays of integers are indices."""

    name: str
    size: str
    function: Callable[..., Any]
    arrays: list[Any]


def draw(*shape: int) -> Any:
    """Normal numbers."""
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def _rows() -> Iterator[Case]:
    for shape in ((2, 3), (32, 10), (64, 1000), (8, 8, 128, 128), (16, 100, 49)):
        size = " x ".join(map(str, shape))
        yield Case("softmax", size, lambda F, x: F.softmax(x, -1), [draw(*shape)])
        yield Case("log_softmax, first dimension", size, lambda F, x: F.log_softmax(x, 0), [draw(*shape)])
        yield Case("gelu", size, lambda F, x: F.gelu(x), [draw(*shape)])
        n = shape[-1:]
        arrays = [draw(*shape), draw(*n), draw(*n)]
        yield Case("layer_norm", size, lambda F, x, w, b, n=n: F.layer_norm(x, n, w, b), arrays)
        yield Case("rms_norm", size, lambda F, x, w, n=n: F.rms_norm(x, n, w), [draw(*shape), draw(*n)])
    for shape in ((4, 3, 2, 2), (64, 128), (16, 32, 16, 16), (8, 64, 56, 56), (8, 512, 7, 7)):
        c = shape[1:2]
        size = " x ".join(map(str, shape))
        yield Case("batch_norm", size, lambda F, x, w, b: F.batch_norm(x, None, None, w, b, True),
                   [draw(*shape), draw(*c), draw(*c)])  # fmt: skip


# batch, channels, size, outputs, kernel, stride, padding, groups
CONVOLUTIONS = (
    (1, 1, 5, 2, 3, 1, 1, 1), (64, 1, 28, 6, 5, 1, 2, 1), (64, 6, 14, 16, 5, 1, 0, 1), (64, 32, 13, 64, 3, 1, 0, 1),
    (16, 3, 32, 32, 3, 1, 1, 1), (16, 32, 32, 64, 3, 2, 1, 1), (8, 64, 32, 64, 3, 1, 1, 1), (2, 3, 224, 64, 7, 2, 3, 1),
    (8, 128, 28, 128, 3, 2, 1, 1), (8, 256, 14, 256, 3, 1, 1, 1), (4, 512, 7, 512, 3, 1, 1, 1),
    (1, 512, 7, 512, 3, 1, 1, 1), (8, 64, 56, 64, 1, 1, 0, 1), (8, 64, 32, 64, 3, 1, 1, 4), (1, 8, 8, 8, 3, 1, 1, 8),
    (8, 64, 32, 64, 3, 1, 1, 64), (8, 144, 28, 144, 3, 2, 1, 144), (4, 240, 14, 240, 5, 1, 2, 240),
)  # fmt: skip
POOLS = (
    (1, 2, 4, 2, 2, 0), (64, 6, 28, 2, 2, 0), (64, 64, 32, 2, 2, 0), (8, 64, 56, 3, 2, 1), (8, 64, 28, 3, 1, 1),
    (4, 512, 7, 3, 1, 1), (8, 16, 32, 5, 1, 2),
)  # fmt: skip


def _images() -> Iterator[Case]:
    for n, c, size, o, k, s, p, g in CONVOLUTIONS:
        text = f"{n} x {c} x {size} x {size}, {o} of {k} x {k}, stride {s}" + (f", {g} groups" if 1 < g < c else "")
        yield Case("depthwise" if g == c > 1 else "conv2d", text,
                   lambda F, x, w, s=s, p=p, g=g: F.conv2d(x, w, None, s, p, 1, g),
                   [draw(n, c, size, size), draw(o, c // g, k, k)])  # fmt: skip
    for n, c, size, k, s, p in POOLS:
        text = f"{n} x {c} x {size} x {size}, {k} x {k}, stride {s}"
        yield Case("max_pool2d", text, lambda F, x, k=k, s=s, p=p: F.max_pool2d(x, k, s, p), [draw(n, c, size, size)])
        yield Case("avg_pool2d", text, lambda F, x, k=k, s=s, p=p: F.avg_pool2d(x, k, s, p), [draw(n, c, size, size)])


def _indices() -> Iterator[Case]:
    rng = np.random.default_rng(0)
    for m, rows, d in ((4, 10, 8), (512, 1000, 64), (4096, 50000, 256), (20000, 65, 384)):
        yield Case("embedding", f"{m} of {rows} x {d}", lambda F, w, i: F.embedding(i, w),
                   [draw(rows, d), rng.integers(0, rows, size=m)])  # fmt: skip


def _lenet(nn: Any) -> Any:
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _block(nn: Any, c: int, o: int, stride: int = 1, groups: int = 1, size: int = 3) -> list[Any]:
    conv = nn.Conv2d(c, o, size, stride=stride, padding=size // 2, groups=groups, bias=False)
    return [conv, nn.BatchNorm2d(o), nn.ReLU()]


def _plain_resnet(nn: Any) -> Any:
    blocks = [*_block(nn, 3, 32), *_block(nn, 32, 32), *_block(nn, 32, 64, 2), *_block(nn, 64, 64)]
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def _separable(nn: Any) -> Any:
    blocks = [*_block(nn, 3, 32, 2), *_block(nn, 32, 32, 1, 32), *_block(nn, 32, 64, size=1),
              *_block(nn, 64, 64, 2, 64), *_block(nn, 64, 128, size=1)]  # fmt: skip
    return nn.Sequential(*blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def _feed_forward(nn: Any) -> Any:
    layers = [nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 128), nn.LayerNorm(128)]
    return nn.Sequential(*layers, nn.Linear(128, 512), nn.GELU(), nn.Linear(512, 10))


STEPS: tuple[tuple[str, Callable[..., Any], tuple[int, ...]], ...] = (
    ("LeNet", _lenet, (64, 1, 28, 28)), ("3 x 3 convolutions and batch norms", _plain_resnet, (16, 3, 32, 32)),
    ("depthwise and 1 x 1 convolutions", _separable, (16, 3, 32, 32)),
    ("linear, gelu, layer norm", _feed_forward, (512, 128)),
)  # fmt: skip


def _step(library: Any, make: Callable[..., Any], shape: tuple[int, ...]) -> Callable[[], Any]:
    """Forward, backward and SGD of a classifier of ten classes."""
    model = make(library.nn)
    optimizer = library.optim.SGD(model.parameters(), lr=0.01)
    x = library.tensor(draw(*shape))
    target = library.tensor(np.random.default_rng(1).integers(0, 10, size=shape[0]))

    def run() -> None:
        optimizer.zero_grad()
        library.nn.functional.cross_entropy(model(x), target).backward()
        optimizer.step()

    return run


def _runs(case: Case, library: Any, gradient: bool) -> Callable[[], Any]:
    functional = library.nn.functional
    make = library.tensor if library is not torch else torch.tensor
    tensors = [make(a) for a in case.arrays]
    floats = [t for t, a in zip(tensors, case.arrays, strict=True) if a.dtype == np.float32]
    if not gradient:
        return lambda: case.function(functional, *tensors)
    for t in floats:
        t.requires_grad_()
    direction = library.ones_like(case.function(functional, *tensors).detach())
    grad = library.autograd.grad
    return lambda: grad(case.function(functional, *tensors), floats, direction)


def measure(make: Callable[[Any], Run], rounds: int) -> list[float]:
    """Milliseconds of what `make` makes of a library: by numpy, by the runtime's kernels and by PyTorch, if there."""
    ours = make(pp)
    runs = {"numpy": ours, "native": ours}
    if torch is not None:
        runs["torch"] = make(torch)
    return [1e3 * value for value in least(runs, rounds, 0.02, within=native.engine).values()]


def figures(found: list[float]) -> list[str]:
    """The cells of a measurement, and how many times as fast as numpy."""
    return [*(f"{t:.3g}" for t in found), *[""] * (3 - len(found)), f"{found[0] / found[1]:.2f}"]


def main() -> int:
    """Measure, print, and write the document where asked to."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", default="", help="measure only cases whose name contains this")
    parser.add_argument("--small", action="store_true", help="leave out operands of more than 100 000 elements")
    parser.add_argument("--write", type=Path, help="write the table to this file")
    args = parser.parse_args()
    if not native.available():
        print("native.py: the runtime is not compiled here, or PAPPUS_EAGER=numpy is set", file=sys.stderr)
        return 1
    if torch is not None:
        torch.set_num_threads(1)
    lines = [
        "# Kernels of the runtime behind the eager engine", "",
        "Written by `make bench-native`; not typed. Milliseconds of processor time of numpy's kernels, of the",
        f"runtime's and of PyTorch's, the least of {args.rounds} interleaved rounds, one thread each. `x` is how many",
        "times as fast as numpy the runtime's kernels are; where it is about 1 the operator may stay with numpy at",
        "that size (frontend/native/). The gradient includes the forward pass.", "",
        "| operator | size | numpy | native | torch | x | gradient: numpy | native | torch | x |",
        "|---|---|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]  # fmt: skip
    print("\n".join(lines[-2:]))
    for case in (*_rows(), *_images(), *_indices()):
        if args.only not in case.name or (args.small and max(a.size for a in case.arrays) > 100_000):
            continue
        cells = [case.name, case.size]
        for gradient in (False, True):
            cells += figures(measure(functools.partial(_runs, case, gradient=gradient), args.rounds))
        lines.append("| " + " | ".join(cells) + " |")
        print(lines[-1], flush=True)
    lines += ["", "Training steps: forward, backward, SGD.", "", "| model | input | numpy | native | torch | x |",
              "|---|---|--:|--:|--:|--:|"]  # fmt: skip
    for name, make, shape in STEPS:
        if args.only in name and not args.small:
            cells = figures(measure(functools.partial(_step, make=make, shape=shape), args.rounds))
            lines.append(f"| {name} | {' x '.join(map(str, shape))} | " + " | ".join(cells) + " |")
            print(lines[-1], flush=True)
    if args.write:
        args.write.write_text("\n".join(lines) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
