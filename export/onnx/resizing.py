"""Resize and Upsample: per axis a choice of elements (nearest) or a matrix of weights (linear, cubic)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op

F = pp.nn.functional
Array = np.ndarray[Any, Any]


@onnx_op("Upsample", since=7)
def _upsample_7(node: Node, x: Any) -> Any:
    return _by_scales(node, x, [float(s) for s in node.attr("scales")])


@onnx_op("Upsample", since=9, host=(1,))
def _upsample(node: Node, x: Any, scales: Any) -> Any:
    return _by_scales(node, x, [float(s) for s in scales])


@onnx_op("Resize", since=10, host=(1,))
def _resize_10(node: Node, x: Any, scales: Any) -> Any:
    return _by_scales(node, x, [float(s) for s in scales])


def _by_scales(node: Node, x: Any, scales: list[float]) -> Any:
    """The first definitions: asymmetric coordinates, nearest takes the floor."""
    node.attrs.update(coordinate_transformation_mode="asymmetric", nearest_mode="floor")
    return _resized(node, x, scales, None, None, list(range(x.ndim)))


@onnx_op("Resize", since=11, rest_host=True)
def _resize(node: Node, x: Any, roi: Any = None, scales: Any = None, sizes: Any = None) -> Any:
    axes = [a % x.ndim for a in node.attr("axes", list(range(x.ndim)))]
    factors = [float(s) for s in scales] if scales is not None and scales.size else None
    wanted = [int(s) for s in sizes] if sizes is not None and sizes.size else None
    if (factors is None) == (wanted is None):
        node.refuse("a form with not exactly one of scales and sizes")
    return _resized(node, x, factors, wanted, roi, axes)


def _resized(node: Node, x: Any, scales: Any, sizes: Any, roi: Any, axes: list[int]) -> Any:
    policy = node.attr("keep_aspect_ratio_policy", "stretch")
    have = [x.shape[a] for a in axes]
    if sizes is not None and policy != "stretch":
        factor = (min if policy == "not_larger" else max)(w / int(h) for w, h in zip(sizes, have, strict=True))
        scales, sizes = [factor] * len(axes), [math.floor(factor * int(h) + 0.5) for h in have]
    coordinates = node.attr("coordinate_transformation_mode", "half_pixel")
    kind = node.attr("mode", "nearest")
    for i, axis in enumerate(axes):
        if scales is not None and sizes is None and scales[i] == 1.0 and coordinates != "tf_crop_and_resize":
            continue
        if (
            sizes is None and kind == "nearest" and coordinates == "asymmetric" and scales[i] == int(scales[i])
            and node.attr("nearest_mode", "round_prefer_floor") == "floor"
        ):  # fmt: skip
            x = pp.repeat_interleave(x, int(scales[i]), axis)  # keeps symbolic sizes
            continue
        size = int(x.shape[axis])
        out = math.floor(size * scales[i]) if sizes is None else sizes[i]
        scale = out / size if scales is None else scales[i]
        part = None if roi is None or not roi.size else (float(roi[i]), float(roi[i + len(axes)]))
        if out == size and scale == 1.0 and coordinates != "tf_crop_and_resize":
            continue
        places = _places(node, coordinates, size, out, scale, part)
        outside = (places < 0) | (places > size - 1) if coordinates == "tf_crop_and_resize" else None
        x = _along(node, x, axis, places, scale, kind)
        if outside is not None and outside.any():
            shape = [-1 if a == axis else 1 for a in range(x.ndim)]
            fill = pp.full((), node.attr("extrapolation_value", 0.0), dtype=x.dtype)
            x = pp.where(pp.tensor(outside).reshape(shape), fill, x)
    return x


def _places(node: Node, how: str, size: int, out: int, scale: Any, part: tuple[float, float] | None) -> Any:
    """Where each element of the result lies in the operand."""
    at: Array = np.arange(out, dtype=np.float32)
    scale = np.float32(scale)  # where halves fall is decided in float32
    if how == "asymmetric":
        return at / scale
    if how == "half_pixel" or (how == "pytorch_half_pixel" and out > 1):
        return (at + 0.5) / scale - 0.5
    if how == "pytorch_half_pixel":
        return np.zeros(out)
    if how == "half_pixel_symmetric":
        adjustment = out / (scale * size)
        return size / 2 * (1 - adjustment) + (at + 0.5) / scale - 0.5
    if how == "align_corners":
        return at * (size - 1) / (scale * size - 1) if scale * size != 1 else np.zeros(out)
    if how == "tf_crop_and_resize" and part is not None:
        start, end = part
        if out > 1:
            return start * (size - 1) + at * (end - start) * (size - 1) / (out - 1)
        return np.full(out, 0.5 * (start + end) * (size - 1))
    return node.refuse(f"coordinate_transformation_mode={how!r}")


def _along(node: Node, x: Any, axis: int, places: Array, scale: float, kind: str) -> Any:
    size = int(x.shape[axis])
    if kind == "nearest":
        how = node.attr("nearest_mode", "round_prefer_floor")
        rounding: dict[str, Any] = {
            "round_prefer_floor": lambda p: np.ceil(p - 0.5), "round_prefer_ceil": lambda p: np.floor(p + 0.5),
            "floor": np.floor, "ceil": np.ceil,
        }  # fmt: skip
        if how not in rounding:
            node.refuse(f"nearest_mode={how!r}")
        index = np.clip(rounding[how](places), 0, size - 1).astype(np.int64)
        return pp.index_select(x, axis, pp.tensor(index))
    if kind not in ("linear", "cubic"):
        node.refuse(f"mode={kind!r}")
    weights = _weights(node, kind, places, size, min(scale, 1.0) if node.attr("antialias", 0) else 1.0)
    if not x.dtype.is_floating_point:
        node.refuse(f"mode={kind!r} on {x.dtype}")
    matrix = pp.tensor(weights).to(x.dtype)
    return pp.matmul(x.transpose(axis, -1), matrix.t()).transpose(axis, -1)


def _weights(node: Node, kind: str, places: Array, size: int, shrink: float) -> Array:
    """(out, size): how much of each element goes into each result."""
    reach = (1.0 if kind == "linear" else 2.0) / shrink
    first = np.floor(places - reach).astype(np.int64)
    taps = first[:, None] + np.arange(math.ceil(2 * reach) + 3)
    distance = np.abs(places[:, None] - taps) * shrink
    if kind == "linear":
        share = np.maximum(1 - distance, 0)
    else:
        a = node.attr("cubic_coeff_a", -0.75)
        near = ((a + 2) * distance - (a + 3)) * distance**2 + 1
        far = ((a * distance - 5 * a) * distance + 8 * a) * distance - 4 * a
        share = np.where(distance <= 1, near, np.where(distance < 2, far, 0))
    if node.attr("exclude_outside", 0) or shrink != 1.0:
        if node.attr("exclude_outside", 0):
            share = np.where((taps < 0) | (taps >= size), 0, share)
        share = share / share.sum(1, keepdims=True)
    matrix = np.zeros((len(places), size))
    np.add.at(matrix, (np.arange(len(places))[:, None], np.clip(taps, 0, size - 1)), share)
    return matrix
