"""Programs as the exporter writes them, small: more seeds for the fuzzer, and programs for pappus-run's test."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pappus as pp
from pappus import nn
from pappus.export import Dim


class _Perceptron(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(12, 20), nn.GELU(), nn.LayerNorm(20), nn.Linear(20, 5))

    def forward(self, x: Any) -> Any:
        return pp.softmax(self.layers(x), dim=-1)


class _Convolutions(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Embedding(7, 4)
        self.first, self.norm, self.pool = nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.MaxPool2d(2)
        self.depthwise = nn.Conv2d(6, 6, 3, padding=1, groups=6)
        self.last = nn.Linear(6 * 4 * 4 + 4, 10)

    def forward(self, x: Any, i: Any) -> Any:
        h = self.pool(pp.relu(self.norm(self.first(x))))
        h = nn.functional.hardswish(self.depthwise(h)) + h
        h = pp.cat([h.flatten(1), self.table(i)], dim=1)
        return pp.softmax(self.last(h), dim=-1)


class _Counter(nn.Module):
    """State: a window of the last rows, and how many there were."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("window", pp.zeros(6, 4))
        self.register_buffer("total", pp.zeros(4))

    def forward(self, x: Any, position: Any) -> Any:
        self.window[position] = x
        self.total.copy_(self.total + x)
        return self.window.mean(0) + self.total


def mlp() -> bytes:
    """Linear, gelu, layer norm, softmax, with any batch up to 16."""
    pp.manual_seed(1)
    batch = {"x": {0: Dim("n", max=16)}}
    return _bytes(pp.export.lower(pp.export.export(_Perceptron().eval(), (pp.randn(2, 12),), dynamic_shapes=batch)))


def cnn() -> bytes:
    """Convolution, batch norm, pooling, depthwise convolution, embedding, concatenation, linear, softmax."""
    pp.manual_seed(2)
    n = Dim("n", min=1, max=8)
    args = (pp.randn(2, 1, 8, 8), pp.tensor([1, 2]))
    return _bytes(
        pp.export.lower(pp.export.export(_Convolutions().eval(), args, dynamic_shapes={"x": {0: n}, "i": {0: n}}))
    )


def counter() -> bytes:
    """Two states, one written at a position that is an input."""
    return _bytes(pp.export.lower(pp.export.export(_Counter(), (pp.ones(4), pp.tensor(2)))))


def _bytes(program: Any) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "m.pap"
        program.save(path)
        return path.read_bytes()


ALL: dict[str, Callable[[], bytes]] = {"mlp": mlp, "cnn": cnn, "counter": counter}

if __name__ == "__main__":
    for made in ALL:
        sys.stdout.write(f"{made}: {len(ALL[made]())} bytes\n")
