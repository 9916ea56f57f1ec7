"""ONNX operators that move elements: reshape, transpose, slice, concatenate, pad ..."""

from __future__ import annotations

from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op

F = pp.nn.functional


def _reshaped(node: Node, x: Any, target: list[Any]) -> Any:
    if not node.attr("allowzero", 0):
        target = [x.shape[i] if isinstance(t, int) and t == 0 else t for i, t in enumerate(target)]
    return x.reshape(target)


@onnx_op("Reshape")
def _reshape_1(node: Node, x: Any) -> Any:
    return _reshaped(node, x, list(node.attr("shape")))


@onnx_op("Reshape", since=5, host=(1,))
def _reshape(node: Node, x: Any, shape: Any) -> Any:
    return _reshaped(node, x, shape.tolist())


@onnx_op("Flatten")
def _flatten(node: Node, x: Any) -> Any:
    axis = node.attr("axis", 1)
    axis = axis + x.ndim if axis < 0 else axis
    rows: Any = 1
    columns: Any = 1
    for i, size in enumerate(x.shape):
        rows, columns = (rows * size, columns) if i < axis else (rows, columns * size)
    return x.reshape((rows, columns))


@onnx_op("Transpose")
def _transpose(node: Node, x: Any) -> Any:
    return x.permute(node.attr("perm", list(range(x.ndim))[::-1]))


@onnx_op("Squeeze", host=(1,))
def _squeeze(node: Node, x: Any, axes: Any = None) -> Any:
    found = node.attr("axes") if axes is None else [int(a) for a in axes.reshape(-1)]
    if found is None:
        return pp.squeeze(x)
    for axis in found:
        if isinstance(x.shape[axis], int) and x.shape[axis] != 1:
            node.refuse(f"removing axis {axis} of size {x.shape[axis]}")
    gone = {a % x.ndim for a in found}
    return x.reshape([s for i, s in enumerate(x.shape) if i not in gone])


@onnx_op("Unsqueeze", host=(1,))
def _unsqueeze(node: Node, x: Any, axes: Any = None) -> Any:
    found = node.attr("axes") if axes is None else [int(a) for a in axes.reshape(-1)]
    rank = x.ndim + len(found)
    for axis in sorted(a % rank for a in found):
        x = x.unsqueeze(axis)
    return x


@onnx_op("Concat")
def _concat(node: Node, *parts: Any) -> Any:
    return pp.cat(list(parts), node.attr("axis", 1))


def _split(node: Node, x: Any, sizes: list[Any] | None) -> Any:
    axis = node.attr("axis", 0)
    if sizes is None:
        count = node.attr("num_outputs") or len(node.outputs)
        whole = x.shape[axis]
        each = -(-whole // count)
        sizes = [each] * (count - 1) + [whole - each * (count - 1)]
    return pp.split(x, sizes, axis)


@onnx_op("Split")
def _split_1(node: Node, x: Any) -> Any:
    return _split(node, x, node.attr("split"))


@onnx_op("Split", since=13, host=(1,))
def _split_op(node: Node, x: Any, sizes: Any = None) -> Any:
    return _split(node, x, None if sizes is None else sizes.tolist())


@onnx_op("Slice")
def _slice_1(node: Node, x: Any) -> Any:
    starts = node.attr("starts")
    return _sliced(x, starts, node.attr("ends"), node.attr("axes", list(range(len(starts)))), [1] * len(starts))


@onnx_op("Slice", since=10, rest_host=True)
def _slice_10(node: Node, x: Any, starts: Any, ends: Any, axes: Any = None, steps: Any = None) -> Any:
    count = len(starts)
    return _sliced(
        x, starts.tolist(), ends.tolist(), list(range(count)) if axes is None else axes.tolist(),
        [1] * count if steps is None else steps.tolist(),
    )  # fmt: skip


def _sliced(x: Any, starts: list[Any], ends: list[Any], axes: list[int], steps: list[int]) -> Any:
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        if step > 0:
            x = pp.slice(x, axis, start, end, step)
            continue
        # A negative step: the same elements forwards, then turned round.
        size = int(x.shape[axis])
        first = min(max(start + size if start < 0 else start, 0), size - 1)
        last = min(max(end + size if end < 0 else end, -1), size - 1)
        places = range(first, last, step)
        index = pp.tensor(list(places), dtype=pp.int64)
        x = pp.index_select(x, axis, index)
    return x


@onnx_op("Expand", since=8, host=(1,))
def _expand(node: Node, x: Any, shape: Any) -> Any:
    target = shape.tolist()
    have = [1] * (len(target) - x.ndim) + list(x.shape)
    target = [1] * (x.ndim - len(target)) + target
    return x.expand([h if isinstance(t, int) and t == 1 else t for h, t in zip(have, target, strict=True)])


@onnx_op("Tile", since=6, host=(1,))
def _tile(node: Node, x: Any, repeats: Any) -> Any:
    return x.repeat(*repeats.tolist()) if x.ndim else x


_MODES = {"reflect": "reflect", "edge": "replicate", "wrap": "circular"}


def _padded(node: Node, x: Any, pads: list[Any], value: Any, axes: list[int]) -> Any:
    mode, count = node.attr("mode", "constant"), len(axes)
    for i, axis in enumerate(axes):
        before, after = pads[i], pads[i + count]
        for place, amount in ((0, before), (-1, after)):
            if isinstance(amount, int) and amount < 0:
                size = x.shape[axis]
                x = x.narrow(axis, -amount if place == 0 else 0, size + amount)
    amounts = [max(p, 0) if isinstance(p, int) else p for p in pads]
    flat: list[Any] = [0] * (2 * x.ndim)
    for i, axis in enumerate(axes):
        at = 2 * (x.ndim - 1 - axis % x.ndim)
        flat[at], flat[at + 1] = amounts[i], amounts[i + count]
    if mode == "constant":
        return pp.constant_pad_nd(x, flat, value)
    for axis in range(x.ndim):
        at = 2 * (x.ndim - 1 - axis)
        before, after = flat[at], flat[at + 1]
        if before == 0 and after == 0:
            continue
        size = int(x.shape[axis])
        places = _padded_places(node, size, int(before), int(after), mode)
        x = pp.index_select(x, axis, pp.tensor(places, dtype=pp.int64))
    return x


def _padded_places(node: Node, size: int, before: int, after: int, mode: str) -> list[int]:
    raw = range(-before, size + after)
    if mode == "edge":
        return [min(max(p, 0), size - 1) for p in raw]
    if mode == "wrap":
        return [p % size for p in raw]
    if mode == "reflect":
        period = max(2 * (size - 1), 1)
        return [p if p < size else period - p for p in (q % period for q in raw)]
    return node.refuse(f"mode={mode!r}")


@onnx_op("Pad")
def _pad_2(node: Node, x: Any) -> Any:
    return _padded(node, x, node.attr("pads", node.attr("paddings")), node.attr("value", 0.0), list(range(x.ndim)))


@onnx_op("Pad", since=11, rest_host=True)
def _pad(node: Node, x: Any, pads: Any, value: Any = None, axes: Any = None) -> Any:
    fill = 0 if value is None else value.reshape(-1)[0].item() if value.dtype != object else value.reshape(-1)[0]
    where = list(range(x.ndim)) if axes is None else [int(a) % x.ndim for a in axes]
    return _padded(node, x, pads.tolist(), fill, where)


@onnx_op("DepthToSpace")
def _depth_to_space(node: Node, x: Any) -> Any:
    n, c, h, w = x.shape
    b = node.attr("blocksize")
    if node.attr("mode", "DCR") == "CRD":
        return pp.pixel_shuffle(x, b)
    return x.reshape((n, b, b, c // (b * b), h, w)).permute((0, 3, 4, 1, 5, 2)).reshape((n, c // (b * b), h * b, w * b))


@onnx_op("SpaceToDepth")
def _space_to_depth(node: Node, x: Any) -> Any:
    n, c, h, w = x.shape
    b = node.attr("blocksize")
    return x.reshape((n, c, h // b, b, w // b, b)).permute((0, 3, 5, 1, 2, 4)).reshape((n, c * b * b, h // b, w // b))


@onnx_op("Trilu", since=14, host=(1,))
def _trilu(node: Node, x: Any, k: Any = None) -> Any:
    at = 0 if k is None else int(k.reshape(-1)[0])
    return pp.triu(x, at) if node.attr("upper", 1) else pp.tril(x, at)
