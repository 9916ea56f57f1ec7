"""A small convolutional network for handwritten digits, and `make`, which `pappus export` and `pappus compare` call."""

from __future__ import annotations

import os
from pathlib import Path

import digits

import pappus as pp
from pappus import nn

# Where the demo leaves the trained weights; without them `make` gives an untrained network, always the same one.
WEIGHTS = Path(os.environ.get("MNIST_WEIGHTS", Path(__file__).resolve().parents[2] / "out" / "mnist.safetensors"))


class Net(nn.Module):
    """Two blocks of convolution, batch norm, ReLU and pooling, then one linear layer: 15,000 parameters.

    x: float32 [batch, 1, 28, 28] from 0 to 1; the result: float32 [batch, 10], one score (logit) per digit.
    """

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1, bias=False), nn.BatchNorm2d(12), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1, bias=False), nn.BatchNorm2d(24), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.classifier = nn.Linear(24 * 7 * 7, 10)

    def forward(self, x: pp.Tensor) -> pp.Tensor:
        return self.classifier(pp.flatten(self.features(x), 1))


def make() -> tuple[nn.Module, tuple[pp.Tensor], dict]:
    """The network, an example input (one digit), and which sizes may change: any number of images at once."""
    pp.manual_seed(0)
    net = Net().eval()
    if WEIGHTS.exists():
        net.load_state_dict(pp.load(WEIGHTS))
    images, _ = digits.load()
    return net, (pp.tensor(images[:1]),), {"x": {0: pp.export.Dim("batch", min=1, max=4096)}}
