"""ONNX operators that slide a window: convolutions and pools."""

from __future__ import annotations

from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op

F = pp.nn.functional


def _pads(node: Node, x: Any, kernel: list[int], strides: list[int], dilations: list[int]) -> list[int]:
    """Padding before and after each axis, as ONNX writes `pads`."""
    rank, kind = len(kernel), node.attr("auto_pad", "NOTSET")
    if kind == "NOTSET":
        return list(node.attr("pads", [0] * (2 * rank)))
    if kind == "VALID":
        return [0] * (2 * rank)
    if kind not in ("SAME_UPPER", "SAME_LOWER"):
        node.refuse(f"auto_pad={kind!r}")
    before, after = [], []
    for i in range(rank):
        size = int(x.shape[2 + i])
        reach = (kernel[i] - 1) * dilations[i] + 1
        whole = max((-(-size // strides[i]) - 1) * strides[i] + reach - size, 0)
        low = whole // 2 if kind == "SAME_UPPER" else whole - whole // 2
        before.append(low)
        after.append(whole - low)
    return before + after


def _flat(pads: list[int]) -> list[int]:
    """ONNX's pads in the order of `F.pad`: last axis first, each before and after."""
    rank = len(pads) // 2
    return [pads[i + side * rank] for i in reversed(range(rank)) for side in (0, 1)]


def _window(node: Node, x: Any, kernel: list[int]) -> tuple[list[int], list[int], list[int]]:
    strides = list(node.attr("strides", [1] * len(kernel)))
    dilations = list(node.attr("dilations", [1] * len(kernel)))
    return strides, dilations, _pads(node, x, kernel, strides, dilations)


def _symmetric(pads: list[int]) -> bool:
    return pads[: len(pads) // 2] == pads[len(pads) // 2 :]


def _kernel(node: Node, weight: Any) -> list[int]:
    kernel = [int(s) for s in weight.shape[2:]]
    if list(node.attr("kernel_shape", kernel)) != kernel:
        node.refuse(f"kernel_shape {node.attr('kernel_shape')} beside a weight of {list(weight.shape)}")
    if not 1 <= len(kernel) <= 3:
        node.refuse(f"a convolution over {len(kernel)} dimensions")
    return kernel


@onnx_op("Conv")
def _conv(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    kernel = _kernel(node, weight)
    strides, dilations, pads = _window(node, x, kernel)
    if not _symmetric(pads):
        x, pads = pp.constant_pad_nd(x, _flat(pads), 0), [0] * len(pads)
    function = (F.conv1d, F.conv2d, F.conv3d)[len(kernel) - 1]
    return function(x, weight, bias, strides, pads[: len(kernel)], dilations, node.attr("group", 1))


@onnx_op("ConvTranspose")
def _conv_transpose(node: Node, x: Any, weight: Any, bias: Any = None) -> Any:
    kernel = _kernel(node, weight)
    rank = len(kernel)
    strides = list(node.attr("strides", [1] * rank))
    dilations = list(node.attr("dilations", [1] * rank))
    extra = list(node.attr("output_padding", [0] * rank))
    kind, shape = node.attr("auto_pad", "NOTSET"), node.attr("output_shape")
    pads = list(node.attr("pads", [0] * (2 * rank)))
    if shape is not None or kind in ("SAME_UPPER", "SAME_LOWER"):
        for i in range(rank):
            size = int(x.shape[2 + i])
            wanted = size * strides[i] if shape is None else shape[-rank:][i]
            whole = strides[i] * (size - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 - wanted
            low = whole // 2 if kind == "SAME_UPPER" else whole - whole // 2
            pads[i], pads[i + rank] = low, whole - low
    # The whole result, then what the padding cuts off or adds: ONNX allows different amounts on the two sides.
    function = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    group = node.attr("group", 1)
    short = all(e < max(s, d) for e, s, d in zip(extra, strides, dilations, strict=True))
    if _symmetric(pads) and min(pads) >= 0 and short:
        return function(x, weight, bias, strides, pads[:rank], extra, group, dilations)
    whole_result = function(x, weight, bias, strides, 0, 0, group, dilations)
    longer = any(p - e < 0 for p, e in zip(pads[rank:], extra, strict=True)) or min(pads) < 0
    if longer and bias is not None:
        node.refuse("a bias where the output is longer than the window reaches")
    cut = [-p for p in pads[:rank]] + [e - p for e, p in zip(extra, pads[rank:], strict=True)]
    return pp.constant_pad_nd(whole_result, _flat(cut), 0)


def _ceil_extra(x: Any, kernel: list[int], strides: list[int], dilations: list[int], pads: list[int]) -> list[int]:
    """What ceil_mode adds after each axis so that the last window is whole (below zero: takes away)."""
    extra = []
    for i, size in enumerate(x.shape[2:]):
        reach = (kernel[i] - 1) * dilations[i] + 1
        size = int(size) + pads[i] + pads[i + len(kernel)] - reach
        count = -(-size // strides[i])
        if count * strides[i] >= int(x.shape[2 + i]) + pads[i]:  # a window may not start in the padding behind
            count -= 1
        extra.append(count * strides[i] - size)
    return extra


@onnx_op("MaxPool")
def _max_pool(node: Node, x: Any) -> Any:
    kernel = list(node.attr("kernel_shape"))
    rank = len(kernel)
    strides, dilations, pads = _window(node, x, kernel)
    if not 1 <= rank <= 3:
        node.refuse(f"a pool over {rank} dimensions")
    if node.wants(1) and (node.attr("storage_order", 0) or not _symmetric(pads)):
        node.refuse("indices with storage_order=1 or pads that differ on the two sides")
    ceil = bool(node.attr("ceil_mode", 0))
    function = (F.max_pool1d, F.max_pool2d, F.max_pool3d)[rank - 1]
    if node.wants(1):
        values, places = function(x, kernel, strides, pads[:rank], dilations, ceil, return_indices=True)
        planes: Any = 1
        for size in x.shape[:2]:
            planes = planes * size
        area: Any = 1
        for size in x.shape[2:]:
            area = area * size
        first = pp.arange(planes, dtype=pp.int64).reshape((x.shape[0], x.shape[1], *(1,) * rank)) * area
        return values, places + first
    if _symmetric(pads) and not ceil and all(2 * p <= k for p, k in zip(pads, kernel, strict=False)):
        return function(x, kernel, strides, pads[:rank], dilations)
    if ceil:
        for i, more in enumerate(_ceil_extra(x, kernel, strides, dilations, pads)):
            pads[rank + i] += more
    low = float("-inf") if x.dtype.is_floating_point else pp.iinfo(x.dtype).min
    return function(pp.constant_pad_nd(x, _flat(pads), low), kernel, strides, [0] * rank, dilations)


@onnx_op("AveragePool")
def _average_pool(node: Node, x: Any) -> Any:
    kernel = list(node.attr("kernel_shape"))
    rank = len(kernel)
    strides, dilations, pads = _window(node, x, kernel)
    if not 1 <= rank <= 3:
        node.refuse(f"a pool over {rank} dimensions")
    counted = bool(node.attr("count_include_pad", 0))
    ceil, plain = bool(node.attr("ceil_mode", 0)), all(d == 1 for d in dilations)
    function = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)[rank - 1]
    if plain and not ceil and _symmetric(pads) and all(2 * p <= k for p, k in zip(pads, kernel, strict=False)):
        return function(x, kernel, strides, pads[:rank], False, counted)
    more = _ceil_extra(x, kernel, strides, dilations, pads) if ceil else [0] * rank
    ones = pp.ones_like(x[:1, :1])
    if counted:
        ones = pp.constant_pad_nd(ones, _flat(pads), 1)
        pads, behind = [*pads[:rank], *(p + m for p, m in zip(pads[rank:], more, strict=True))], [0] * rank + more
    else:
        pads = behind = [*pads[:rank], *(p + m for p, m in zip(pads[rank:], more, strict=True))]
    x, ones = pp.constant_pad_nd(x, _flat(pads), 0), pp.constant_pad_nd(ones, _flat(behind), 0)
    return _window_sums(x, kernel, strides, dilations) / _window_sums(ones, kernel, strides, dilations)


def _window_sums(x: Any, kernel: list[int], strides: list[int], dilations: list[int]) -> Any:
    """Sums over each window: a convolution with ones, every plane by itself."""
    rank = len(kernel)
    n, c = x.shape[:2]
    planes = x.reshape((n * c, 1, *x.shape[2:]))
    weight = pp.ones((1, 1, *kernel), dtype=x.dtype)
    sums = (F.conv1d, F.conv2d, F.conv3d)[rank - 1](planes, weight, None, strides, 0, dilations)
    return sums.reshape((n, c, *sums.shape[2:]))


@onnx_op("LpPool", since=2)
def _lp_pool(node: Node, x: Any) -> Any:
    kernel, p = list(node.attr("kernel_shape")), node.attr("p", 2)
    strides, dilations, pads = _window(node, x, kernel)
    if node.attr("ceil_mode", 0):
        for i, more in enumerate(_ceil_extra(x, kernel, strides, dilations, pads)):
            pads[len(kernel) + i] += more
    powers = pp.pow(pp.abs(pp.constant_pad_nd(x, _flat(pads), 0)), float(p))
    return pp.pow(_window_sums(powers, kernel, strides, dilations), 1.0 / p)


def _planes(x: Any) -> list[int]:
    return list(range(2, x.ndim))


@onnx_op("GlobalAveragePool")
def _global_average_pool(node: Node, x: Any) -> Any:
    return pp.mean(x, _planes(x), True)


@onnx_op("GlobalMaxPool")
def _global_max_pool(node: Node, x: Any) -> Any:
    return pp.amax(x, _planes(x), True)


@onnx_op("GlobalLpPool", since=2)
def _global_lp_pool(node: Node, x: Any) -> Any:
    p = node.attr("p", 2)
    return pp.pow(pp.pow(pp.abs(x), float(p)).sum(_planes(x), True), 1.0 / p)
