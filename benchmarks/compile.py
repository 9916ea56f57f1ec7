"""What `pp.compile` gains: inference at batch 1, eager and compiled, beside PyTorch's eager where it is installed.

    make bench-compile
    python benchmarks/compile.py [--rounds 9] [--threads 1]

The runs of a model take turns; a figure is the least processor time of all rounds, in microseconds, one thread each;
with more `--threads` it is the time of the clock. The first call (capture, lowering, planning) is given by itself.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

from timing import least, one_thread

one_thread()  # before numpy is imported

import pappus as pp  # noqa: E402 - after the threads are set

try:
    import torch
except ImportError:
    torch = None  # type: ignore[assignment]


def mlp(nn: Any, width: int) -> Any:
    """Three linear layers."""
    return nn.Sequential(nn.Linear(784, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 10))


def mobile(nn: Any) -> Any:
    """Inverted residual blocks at the sizes of MobileNetV2, width 1, for 224 x 224 pixels."""

    class Block(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self, inside: int, outside: int, stride: int, factor: int) -> None:
            super().__init__()
            wide = inside * factor
            expand = [nn.Conv2d(inside, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()] if factor != 1 else []
            self.conv = nn.Sequential(
                *expand,
                nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
                nn.Conv2d(wide, outside, 1, bias=False), nn.BatchNorm2d(outside),
            )  # fmt: skip
            self.add = stride == 1 and inside == outside

        def forward(self, x: Any) -> Any:
            return x + self.conv(x) if self.add else self.conv(x)

    layers = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
    inside = 32
    for factor, outside, count, stride in (
        (1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1)
    ):  # fmt: skip
        for i in range(count):
            layers.append(Block(inside, outside, stride if i == 0 else 1, factor))
            inside = outside
    layers += [nn.Conv2d(inside, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


MODELS: tuple[tuple[str, Callable[[Any], Any], tuple[int, ...]], ...] = (
    ("MLP 784-64-64-10", lambda nn: mlp(nn, 64), (1, 784)),
    ("MLP 784-512-512-10", lambda nn: mlp(nn, 512), (1, 784)),
    ("MLP 784-2048-2048-10", lambda nn: mlp(nn, 2048), (1, 784)),
    ("MobileNetV2-like 96 x 96", mobile, (1, 3, 96, 96)),
    ("MobileNetV2-like 224 x 224", mobile, (1, 3, 224, 224)),
)


def main() -> int:
    """Print the table; fails if a compiled model does not run compiled or differs from eager."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])  # type: ignore[union-attr]
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    print("| batch 1 | eager us | compiled us | gain | first call ms | torch eager us | torch / compiled |")
    print("|---|---|---|---|---|---|---|")
    for title, make, shape in MODELS:
        model, x = make(pp.nn).eval(), pp.randn(*shape)
        fast = pp.compile(model, fullgraph=True, options={"threads": args.threads})
        runs: dict[str, Callable[[], Any]] = {"eager": lambda m=model, x=x: m(x), "compiled": lambda f=fast, x=x: f(x)}
        with pp.no_grad():
            start = perf_counter()
            found = fast(x)
            first = 1e3 * (perf_counter() - start)
            if not pp.allclose(found, model(x), rtol=1e-3, atol=1e-4):
                raise SystemExit(f"{title}: compiled and eager differ")
            if torch is not None:
                torch.set_num_threads(args.threads)
                other, y = make(torch.nn).eval(), torch.randn(*shape)

                def run(other: Any = other, y: Any = y) -> Any:
                    with torch.inference_mode():
                        return other(y)

                runs["torch"] = run
            t = least(runs, args.rounds, 0.03, process_time if args.threads == 1 else perf_counter)
        t = {name: 1e6 * value for name, value in t.items()}
        more = f"{t['torch']:,.0f} | {t['torch'] / t['compiled']:.2f}" if "torch" in t else " | "
        row = f"{t['eager']:,.0f} | {t['compiled']:,.0f} | {t['eager'] / t['compiled']:.2f} | {first:,.0f} | {more}"
        print(f"| {title} | {row} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
