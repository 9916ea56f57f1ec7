"""Convolution over one or two dimensions and its gradients, as instructions on packed weights.

A transposed convolution with stride s is s plain ones (s * s over two dimensions), one for each position modulo s of
the result: each meets a subset of the taps, and writes every s-th element.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np

from . import direct, plain, suits

__all__ = ["forward", "transposed", "weight_grad"]

CONV2D = 4  # docs/format.md
PACK, CONV_WEIGHT_GRAD = 64, 70  # kernels/eager.h
CONV_PANEL16 = 2  # PackKind
FREE = (-math.inf, math.inf)


def _plane(a: Any) -> Any:
    """(N, C, L) as (N, C, 1, L); images stay."""
    return a[:, :, None, :] if a.ndim == 3 else a


def _pair(values: tuple[int, ...], fill: int) -> tuple[int, int]:
    return values if len(values) == 2 else (fill, *values)  # type: ignore[return-value]


def _forward_strides(a: Any) -> Any:
    """The array, copied where it runs backwards through memory."""
    return a if min(a.strides, default=0) >= 0 and a.flags.aligned else np.ascontiguousarray(a)


def _pack(w: Any, groups: int) -> Any:
    """Weights (O, C, KH, KW) as panels of 16 outputs."""
    o, c, high, wide = w.shape
    array = np.empty(groups * -(-(o // groups) // 16) * high * wide * c * 16, w.dtype)
    packed = direct().Packed(array, w.shape, CONV_PANEL16)
    return packed if direct().run(PACK, (w,), (packed,), (groups,)) else None


def _in_planes(x: Any, w: Any, y: Any, groups: int) -> bool:
    """Whether lanes should be pixels of a line, six outputs at a time, and not 16 outputs of a panel.

    Both numbers are of multiplications with what is lost at the ends; windows of few channels cost more to bring
    together. Planes of many channels leave the cache before the next outputs read them.
    """
    o, c = w.shape[:2]
    outputs = o // groups
    if c == 1 and groups == o:
        return True
    if outputs > 8 and c * x.shape[2] * (x.shape[3] + 16) > 65536:
        return False
    panels = -(-outputs // 16) * 16 * y.shape[3] * (1.15 if c < 8 else 1.0)
    return bool(panels > -(-outputs // 6) * 6 * -(-y.shape[3] // 8) * 8)


def _convolve(x: Any, w: Any, bias: Any, y: Any, attrs: tuple[int, ...]) -> bool:
    """y = conv(x, w) + bias for images; attrs as CONV2D takes them."""
    groups = attrs[8]
    if _in_planes(x, w, y, groups):
        return bool(direct().run(CONV2D, (x, w, bias, None), (y,), attrs, FREE))
    packed = _pack(w, groups)
    return packed is not None and bool(direct().run(CONV2D, (x, packed, bias, None), (y,), attrs, FREE))


def _pays(w: Any, points: int, groups: int, turned: bool, steps: int = 1) -> bool:
    """Whether the kernels beat numpy's matrix products of columns (`make bench-native` measures both).

    They do not where there are no columns to be copied (kernels of size 1), where packing many weights serves few
    points, where a group has a few outputs of several channels, and where each of the `steps` parts of a transposed
    convolution has few outputs of many channels.
    """
    o, c = w.shape[:2]
    if math.prod(w.shape[2:]) == 1 or (w.size > 65536 and points < 160):
        return False
    if c == 1 and groups == o:
        return True
    if not turned:
        return o // groups >= 4 or groups == 1
    return steps == 1 or -c % 16 * (o // groups) <= 105 * c


def _layout(x: Any, w: Any, size: Any) -> Any:
    """Channels last where lines are too short to fill tiles and there are channels to read instead."""
    if size[-1] < 16 and w.shape[1] >= 64 and x.strides[1] != x.itemsize:
        return np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return x


def forward(
    x: Any, w: Any, bias: Any, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...],
    groups: int,
) -> Any:  # fmt: skip
    """conv(x, w) + bias for (N, C, L) or (N, C, H, W); None where numpy should do it."""
    if w.ndim > 4 or not suits(x, w, bias):
        return None
    size = [(n + 2 * p - d * (k - 1) - 1) // s + 1
            for n, k, s, p, d in zip(x.shape[2:], w.shape[2:], stride, padding, dilation, strict=True)]  # fmt: skip
    if not _pays(w, x.shape[0] * math.prod(size), groups, False):
        return None
    y = np.empty((x.shape[0], w.shape[0], *size), x.dtype)
    pads = _pair(padding, 0)
    attrs = (*_pair(stride, 1), *pads, *pads, *_pair(dilation, 1), groups)
    bias = bias if bias is None else plain(bias)
    x, w = _plane(_forward_strides(x)), _plane(w)
    return y if _convolve(_layout(x, w, size), w, bias, _plane(y), attrs) else None


def _phases(size: int, taps: int, out: int, stride: int, padding: int, dilation: int) -> list[Any]:
    """How a transposed convolution falls apart along one dimension: for each position r modulo `stride` of the result,
    None where no tap meets it, or (r, slice of the input, slice of the taps, padding before and after, dilation)."""
    step = stride // math.gcd(stride, dilation)  # taps that meet the same positions are so far apart
    apart = step * dilation // stride
    found: list[Any] = []
    for r in range(min(stride, out)):
        first = next((k for k in range(min(step, taps)) if (r + padding - k * dilation) % stride == 0), None)
        if first is None:
            found.append((r, None))
            continue
        count, windows = -(-(taps - first) // step), -(-(out - r) // stride)
        reach = (count - 1) * apart
        before = reach - (r + padding - first * dilation) // stride
        after = windows + reach - size - before
        start, end = max(-before, 0), size - max(-after, 0)
        if start >= end:
            found.append((r, None))
            continue
        last = first + (count - 1) * step
        flipped = slice(last, first - 1 if first else None, -step)
        found.append((r, slice(start, end), flipped, max(before, 0), max(after, 0), apart))
    return found


def transposed(
    x: Any, w: Any, bias: Any, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...],
    groups: int, out_size: tuple[int, ...],
) -> Any:  # fmt: skip
    """The adjoint of `forward` on x (N, O, *S) with w (O, C / groups, *K), plus bias; None where numpy should do it."""
    if w.ndim > 4 or not suits(x, w, bias):
        return None
    o, cg = w.shape[:2]
    steps = math.prod(stride)
    if not _pays(w, x.shape[0] * math.prod(out_size) // steps, groups, True, steps):
        return None
    y = np.empty((x.shape[0], cg * groups, *out_size), x.dtype)
    x, w, image = _plane(_forward_strides(x)), _plane(w), _plane(y)
    bias = bias if bias is None else plain(bias)
    if groups == 1:
        turned = w.swapaxes(0, 1)
    else:
        turned = w.reshape(groups, o // groups, cg, *w.shape[2:]).swapaxes(1, 2).reshape(-1, o // groups, *w.shape[2:])
    strides, pads, dilations = _pair(stride, 1), _pair(padding, 0), _pair(dilation, 1)
    axes = [
        _phases(n, k, out, s, p, d)
        for n, k, out, s, p, d in zip(x.shape[2:], w.shape[2:], image.shape[2:], strides, pads, dilations, strict=True)
    ]
    x = _layout(x, turned, x.shape[2:])
    for down, right in itertools.product(*axes):
        part = image[:, :, down[0] :: strides[0], right[0] :: strides[1]]
        if down[1] is None or right[1] is None:
            part[...] = 0 if bias is None else bias[:, None, None]
            continue
        attrs = (1, 1, down[3], right[3], down[4], right[4], down[5], right[5], groups)
        taps = turned[:, :, down[2], right[2]]
        if not _convolve(x[:, :, down[1], right[1]], taps, bias, part, attrs):
            return None
    return y


def weight_grad(
    x: Any, g: Any, kernel: tuple[int, ...], stride: tuple[int, ...], padding: tuple[int, ...],
    dilation: tuple[int, ...], groups: int,
) -> Any:  # fmt: skip
    """The gradient of `forward` to its weight; None where numpy should do it."""
    if len(kernel) > 2 or math.prod(kernel) == 1 or not suits(x, g):
        return None
    inputs, outputs = x.shape[1] // groups, g.shape[1] // groups
    if outputs < 4 and groups > 1 and inputs * outputs > 1:  # panels of 16 outputs would be mostly empty
        return None
    out = np.empty((g.shape[1], x.shape[1] // groups, *kernel), x.dtype)
    pads = _pair(padding, 0)
    attrs = (*_pair(stride, 1), *pads, *pads, *_pair(dilation, 1), groups)
    args = (_plane(_forward_strides(x)), _plane(_forward_strides(g)))
    return out if direct().run(CONV_WEIGHT_GRAD, args, (_plane(out),), attrs) else None
