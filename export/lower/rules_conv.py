"""Convolutions and pools. One-dimensional ones are two-dimensional with a height of 1."""

from __future__ import annotations

from typing import Any

import numpy as np

from pappus.export.ir.graph import Value
from pappus.export.lower import pack
from pappus.export.lower.fuse import Unit
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.export.passes.fold_pad import pads_of
from pappus.frontend.symbolic import is_symbolic


def _pair(value: Any, spatial: int, fill: int) -> tuple[int, int]:
    numbers = [value] if isinstance(value, int) else list(value)
    if len(numbers) == 1:
        numbers *= spatial
    return (fill, int(numbers[0])) if spatial == 1 else (int(numbers[0]), int(numbers[1]))


def _four(m: MethodLowering, value: Value) -> Value:
    """A kernel value as [N, C, H, W]."""
    if len(value.shape) == 4:
        return value
    if len(value.shape) == 2:
        value = m.unsqueeze(value, 0)
    return m.unsqueeze(value, 2)


@rule("convolution")
def convolution(m: MethodLowering, unit: Unit) -> None:
    """`convolution` -> CONV2D with packed constant weights."""
    node = unit.node
    assert node is not None
    x, w, *rest = node.args
    assert isinstance(x, Value) and isinstance(w, Value)
    spatial = len(w.shape) - 2
    if spatial > 2:
        raise Unsupported("three-dimensional convolutions have no kernel yet")
    if node.attrs.get("transposed"):
        raise Unsupported("transposed convolutions have no kernel yet; upsample and convolve instead")
    if x.dtype.name != "float32" or w.dtype.name != "float32":
        raise Unsupported(f"convolutions of {x.dtype.name} are not supported yet; convert to float32 first")
    if any(is_symbolic(s) for s in w.shape):
        raise Unsupported("a convolution's weight must have a fixed shape")
    groups = int(node.attrs["groups"])
    source = _four(m, m.view(x))
    bias = rest[0] if rest else None
    b = m.view(bias) if isinstance(bias, Value) else None
    epilogue = m.epilogue(unit, node.output)
    result = m.result(unit.result)
    pads = pads_of(node.attrs["padding"], spatial)
    (top, bottom), (left, right) = pads if spatial == 2 else [(0, 0), pads[0]]
    attrs = (
        *_pair(node.attrs["stride"], spatial, 1), top, left, bottom, right,
        *_pair(node.attrs["dilation"], spatial, 1), groups,
    )  # fmt: skip
    residual = _four(m, epilogue.residual) if epilogue.residual is not None else None
    m.emit(
        "CONV2D", [source, _weight(m, w, groups), b, residual], [_four(m, result)], attrs, epilogue.clamp,
        epilogue.program, [_four(m, o) for o in epilogue.operands],
    )  # fmt: skip


def _weight(m: MethodLowering, w: Value, groups: int) -> Value:
    found = m.constant_of(w)
    if found is None:
        return _four(m, m.view(w))
    array = found if found.ndim == 4 else found[:, :, None, :]
    o, c = array.shape[:2]
    if groups > 1 and c == 1 and o == groups:
        return m.constant(w.name, pack.depthwise_panels(array), w.dtype, "DEPTHWISE16", array.shape)
    return m.constant(w.name, pack.conv_panels(np.asarray(array), groups), w.dtype, "CONV_PANEL16", array.shape)


_POOL_KIND = {"max_pool2d": 0, "avg_pool2d": 1}


@rule("max_pool2d", "avg_pool2d")
def pool(m: MethodLowering, unit: Unit) -> None:
    """Pools with explicit windows -> POOL2D."""
    node = unit.node
    assert node is not None
    x = node.inputs[0]
    if x.dtype.name != "float32":
        raise Unsupported(f"pooling of {x.dtype.name} is not supported yet; convert to float32 first")
    kernel = _pair(node.attrs["kernel_size"], 2, 1)
    stride = _pair(node.attrs.get("stride") or kernel, 2, 1)
    pad = _pair(node.attrs.get("padding", 0), 2, 0)
    dilation = _pair(node.attrs.get("dilation", 1), 2, 1)
    include = int(bool(node.attrs.get("count_include_pad", True)))
    divisor = int(node.attrs.get("divisor_override") or 0)
    source = _four(m, m.view(x))
    result = m.result(unit.result)
    target = result if len(result.shape) == 4 else m.unsqueeze(result, 0)
    if len(x.shape) == 3:
        source = m.unsqueeze(m.view(x), 0)
    attrs = (_POOL_KIND[node.op], *kernel, *stride, pad[0], pad[1], pad[0], pad[1], *dilation, include, divisor)
    m.emit("POOL2D", [source], [target], attrs)
