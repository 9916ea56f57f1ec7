"""Every layer of nn through the whole road, with a fixed and with a dynamic batch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from road import array, same

import pappus as pp
from pappus.export import Dim, UnsupportedOperators
from pappus.frontend.tensor import Tensor

nn = pp.nn
Shapes = tuple[int, ...] | list[tuple[int, ...]]
IMAGE = (2, 3, 8, 7)

LAYERS: dict[str, tuple[Callable[[], Any], Shapes]] = {
    "Linear": (lambda: nn.Linear(6, 4), (3, 6)),
    "Bilinear": (lambda: nn.Bilinear(3, 4, 5), [(2, 3), (2, 4)]),
    "Conv1d": (lambda: nn.Conv1d(3, 4, 3, padding=1, stride=2), (2, 3, 9)),
    "Conv2d same": (lambda: nn.Conv2d(3, 4, 4, padding="same"), IMAGE),
    "Conv2d reflect": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="reflect"), IMAGE),
    "Conv2d circular": (lambda: nn.Conv2d(3, 4, 3, padding=1, padding_mode="circular"), IMAGE),
    "ConvTranspose2d": (lambda: nn.ConvTranspose2d(3, 4, 3, 2, 1, 1), (2, 3, 5, 4)),
    "BatchNorm1d": (lambda: nn.BatchNorm1d(3).eval(), (5, 3)),
    "BatchNorm2d": (lambda: nn.BatchNorm2d(3).eval(), IMAGE),
    "GroupNorm": (lambda: nn.GroupNorm(2, 4), (2, 4, 3, 3)),
    "InstanceNorm2d": (lambda: nn.InstanceNorm2d(4, affine=True), (2, 4, 5, 5)),
    "LayerNorm": (lambda: nn.LayerNorm((3, 4)), (2, 3, 4)),
    "RMSNorm": (lambda: nn.RMSNorm(4), (2, 4)),
    "MultiheadAttention": (lambda: nn.MultiheadAttention(8, 2, batch_first=True), [(2, 5, 8)] * 3),
    "TransformerEncoder": (lambda: encoder(), (2, 5, 8)),
    "MaxPool1d": (lambda: nn.MaxPool1d(2), (2, 3, 8)),
    "MaxPool2d": (lambda: nn.MaxPool2d(3, 2, 1, ceil_mode=True), IMAGE),
    "AvgPool1d": (lambda: nn.AvgPool1d(2), (2, 3, 8)),
    "AvgPool2d": (lambda: nn.AvgPool2d(3, 2, 1, count_include_pad=False), IMAGE),
    "AdaptiveAvgPool1d": (lambda: nn.AdaptiveAvgPool1d(2), (2, 3, 8)),
    "AdaptiveAvgPool2d": (lambda: nn.AdaptiveAvgPool2d(3), IMAGE),
    "AdaptiveMaxPool2d": (lambda: nn.AdaptiveMaxPool2d(2), IMAGE),
    "Upsample nearest": (lambda: nn.Upsample(scale_factor=2), IMAGE),
    "Upsample bilinear": (lambda: nn.Upsample(scale_factor=2, mode="bilinear"), IMAGE),
    "PixelShuffle": (lambda: nn.PixelShuffle(2), (2, 8, 3, 3)),
    "ReflectionPad2d": (lambda: nn.ReflectionPad2d(1), IMAGE),
    "ReplicationPad2d": (lambda: nn.ReplicationPad2d(2), IMAGE),
    "ConstantPad1d": (lambda: nn.ConstantPad1d(1, 3.0), (2, 3, 4)),
    "PReLU": (lambda: nn.PReLU(3), (2, 3, 4)),
    "GLU": (lambda: nn.GLU(1), (2, 4)),
    "Flatten": (lambda: nn.Flatten(), (2, 3, 4)),
    "Unflatten": (lambda: nn.Unflatten(1, (2, 2)), (2, 4)),
    "Dropout": (lambda: nn.Dropout(0.5).eval(), (2, 4)),
    "Softmax": (lambda: nn.Softmax(1), (2, 4)),
} | {
    name: (lambda name=name: getattr(nn, name)(), (2, 3, 4))
    for name in (
        "CELU", "ELU", "GELU", "Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid", "Mish",
        "ReLU", "ReLU6", "SELU", "SiLU", "Sigmoid", "Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink",
    )
}  # fmt: skip


def encoder() -> Any:
    return nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, dropout=0.0), 2).eval()


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name: str) -> None:
    pp.manual_seed(1)
    make, shapes = LAYERS[name]
    inputs = [array(*s, seed=i) for i, s in enumerate(shapes if isinstance(shapes, list) else [shapes])]
    model = make()
    same(model, inputs, 1e-4)
    other = [np.ascontiguousarray(np.take(a, [0] * 3, axis=0)) for a in inputs]
    same(model, inputs, 1e-4, [other], dynamic_shapes=[{0: Dim("n", max=9)}] * len(inputs))


def test_layers_that_have_no_kernel_say_so() -> None:
    ep = pp.export.export(nn.Conv3d(2, 3, 2), (Tensor._from_data(array(1, 2, 3, 3, 3)),))
    with pytest.raises(UnsupportedOperators, match="three-dimensional convolutions have no kernel yet"):
        pp.export.lower(ep)
    ep = pp.export.export(nn.Dropout(0.5), (Tensor._from_data(array(2, 3)),))
    with pytest.raises(UnsupportedOperators, match=r"dropout_seeded\(float32\[2, 3\]\).*call model\.eval\(\)"):
        pp.export.lower(ep)
