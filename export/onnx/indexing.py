"""ONNX operators that read or write by index."""

from __future__ import annotations

from typing import Any

import numpy as np

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op


def _positive(index: Any, size: Any) -> Any:
    """Indices below zero count from the end."""
    index = index.to(pp.int64)
    return pp.where(index < 0, index + size, index)


@onnx_op("Gather")
def _gather(node: Node, x: Any, index: Any) -> Any:
    axis = node.attr("axis", 0) % x.ndim
    flat = _positive(index, x.shape[axis]).reshape((-1,))
    taken = pp.index_select(x, axis, flat)
    return taken.reshape((*x.shape[:axis], *index.shape, *x.shape[axis + 1 :]))


@onnx_op("GatherElements", since=11)
def _gather_elements(node: Node, x: Any, index: Any) -> Any:
    axis = node.attr("axis", 0)
    return pp.gather(x, axis, _positive(index, x.shape[axis]))


def _rows(x: Any, index: Any, batch: int) -> tuple[Any, int]:
    """Positions in the flattened leading dimensions that the last dimension of `index` names, and how many it names."""
    depth = int(index.shape[-1])
    place: Any = 0
    for i in range(depth):
        size = x.shape[batch + i]
        place = place * size + _positive(index.select(-1, i), size)
    return place, depth


def _product(sizes: Any) -> Any:
    total: Any = 1
    for size in sizes:
        total = total * size
    return total


@onnx_op("GatherND", since=11)
def _gather_nd(node: Node, x: Any, index: Any) -> Any:
    batch = node.attr("batch_dims", 0)
    place, depth = _rows(x, index, batch)
    lead, named = tuple(x.shape[:batch]), x.shape[batch : batch + depth]
    rest = tuple(x.shape[batch + depth :])
    if batch:
        each = pp.arange(_product(lead), dtype=pp.int64).reshape(lead + (1,) * (place.ndim - batch))
        place = place + each * _product(named)
    flat = x.reshape((_product(lead) * _product(named), *rest))
    return pp.index_select(flat, 0, place.reshape((-1,))).reshape((*index.shape[:-1], *rest))


_REDUCTIONS = {"add": "sum", "mul": "prod", "max": "amax", "min": "amin"}


@onnx_op("Scatter", "ScatterElements")
def _scatter_elements(node: Node, x: Any, index: Any, updates: Any) -> Any:
    axis, how = node.attr("axis", 0), node.attr("reduction", "none")
    where = _positive(index, x.shape[axis])
    if how == "none":
        return pp.scatter(x, axis, where, updates)
    return pp.scatter_reduce(x, axis, where, updates, _REDUCTIONS[how], include_self=True)


@onnx_op("ScatterND", since=11)
def _scatter_nd(node: Node, x: Any, index: Any, updates: Any) -> Any:
    place, depth = _rows(x, index, 0)
    how = node.attr("reduction", "none")
    rest = x.shape[depth:]
    width = _product(rest)
    flat = x.reshape((-1, width)) if depth else x.reshape((1, width))
    rows = place.reshape((-1, 1)).expand((_product(index.shape[:-1]), width))
    values = updates.reshape((_product(index.shape[:-1]), width))
    if how == "none":
        return pp.scatter(flat, 0, rows, values).reshape(x.shape)
    return pp.scatter_reduce(flat, 0, rows, values, _REDUCTIONS[how], include_self=True).reshape(x.shape)


@onnx_op("OneHot", since=9, host=(1,))
def _one_hot(node: Node, index: Any, depth: Any, values: Any) -> Any:
    count = int(depth.reshape(-1)[0])
    axis = node.attr("axis", -1)
    axis = axis + index.ndim + 1 if axis < 0 else axis
    steps = pp.arange(count, dtype=pp.int64).reshape([-1 if i == axis else 1 for i in range(index.ndim + 1)])
    hit = pp.eq(_positive(index, count).unsqueeze(axis), steps)
    return pp.where(hit, values[1], values[0])


@onnx_op("NonZero", since=9)
def _non_zero(node: Node, x: Any) -> Any:
    return pp.nonzero(x).t() if x.ndim else pp.nonzero(x.reshape((1,)))[:, :0].t()


@onnx_op("Compress", since=9, host=(1,))
def _compress(node: Node, x: Any, condition: Any) -> Any:
    places = [i for i, c in enumerate(condition.tolist()) if c]
    axis = node.attr("axis")
    source = x.reshape((-1,)) if axis is None else x
    return pp.index_select(source, 0 if axis is None else axis, pp.tensor(places, dtype=pp.int64))


@onnx_op("ReverseSequence", since=10, host=(1,))
def _reverse_sequence(node: Node, x: Any, lengths: Any) -> Any:
    batch, time = node.attr("batch_axis", 1), node.attr("time_axis", 0)
    rows = []
    for i, length in enumerate(lengths.tolist()):
        row = x.narrow(batch, i, 1)
        size = int(x.shape[time])
        order = [*reversed(range(length)), *range(length, size)]
        rows.append(pp.index_select(row, time, pp.tensor(order, dtype=pp.int64)))
    return pp.cat(rows, batch)


@onnx_op("GridSample", since=16)
def _grid_sample(node: Node, x: Any, grid: Any) -> Any:
    mode = {"linear": "bilinear", "cubic": "bicubic"}.get(node.attr("mode", "bilinear"), node.attr("mode", "bilinear"))
    if mode == "bicubic" and x.ndim != 4:
        node.refuse("mode='cubic' on volumes")
    padding, corners = node.attr("padding_mode", "zeros"), bool(node.attr("align_corners", 0))
    return pp.nn.functional.grid_sample(x, grid, mode, padding, corners)


@onnx_op("NonMaxSuppression", since=10, host=(0, 1, 2, 3, 4))
def _non_max_suppression(
    node: Node, boxes: Any, scores: Any, most: Any = None, overlap: Any = None, least: Any = None
) -> Any:
    """Boxes of every class by falling score, less those that overlap a box already taken: known numbers only."""
    count = 0 if most is None else int(most.reshape(-1)[0])
    allowed = 0.0 if overlap is None else float(overlap.reshape(-1)[0])
    floor = None if least is None else float(least.reshape(-1)[0])
    taken: list[list[int]] = []
    for batch, per_class in enumerate(scores):
        corners = _corners(boxes[batch], bool(node.attr("center_point_box", 0)))
        for label, values in enumerate(per_class):
            kept: list[int] = []
            for i in np.argsort(-values, kind="stable").tolist():
                if len(kept) >= count or (floor is not None and values[i] <= floor):
                    break
                if all(_overlap(corners[i], corners[k]) <= allowed for k in kept):
                    kept.append(i)
            taken += [[batch, label, i] for i in kept]
    return pp.tensor(np.array(taken, np.int64).reshape(-1, 3))


def _corners(boxes: Any, centred: bool) -> Any:
    if centred:
        x, y, w, h = boxes.T
        return np.stack([y - h / 2, x - w / 2, y + h / 2, x + w / 2], 1)
    a, b = boxes[:, :2], boxes[:, 2:]
    return np.concatenate([np.minimum(a, b), np.maximum(a, b)], 1)


def _overlap(a: Any, b: Any) -> float:
    sides = np.maximum(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0)
    both = float(sides.prod())
    union = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - both
    return both / union if union > 0 else 0.0
