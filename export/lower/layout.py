"""Physical layout: which values are stored channels last, and with what pixel pitch.

Seeded at convolutions and pools, carried through elementwise groups, concatenations and reductions.
Inputs and outputs of a method stay dense in the eager order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.lower.fuse import Unit, same_shape
from pappus.export.lower.memory import dense_strides
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import Size, is_symbolic

_SEEDS = {"convolution", "max_pool2d", "avg_pool2d", "upsample_nearest2d"}
_CARRIERS = {"cat", "softmax", "log_softmax", "mean", "sum", "amax", "amin", "constant_pad_nd", "batch_norm"}
_STENCILS = {"convolution", "max_pool2d", "avg_pool2d"}


def is_view(value: Value) -> bool:
    """Whether a value is another one's memory seen differently."""
    node = value.producer
    return node is not None and node.op in OPS and OPS[node.op].view and node.op != "to_dtype"


def channels_last_values(graph: Graph, units: Iterable[Unit]) -> set[Value]:
    """The values to be stored channels last (rank 3 or 4, dimension 1 innermost)."""
    chosen: set[Value] = set()
    outputs = set(graph.outputs)
    for unit in units:
        if not unit.results:
            continue
        result = unit.result
        if len(result.shape) not in (3, 4) or result in outputs or is_view(result):
            continue
        seeded = unit.node is not None and unit.node.op in _SEEDS
        carried = (unit.node is None or unit.node.op in _CARRIERS) and any(
            v in chosen and len(v.shape) == len(result.shape) for v in unit.inputs
        )
        if unit.node is None and carried:
            carried = any(v in chosen and same_shape(v, result) for v in unit.inputs)
        if seeded or carried:
            chosen.add(result)
    return chosen


def strides_for_reader(value: Value, uses: Mapping[Value, list[Node | None]]) -> tuple[Size, ...] | None:
    """Strides with which the permuted form of `value` is row-major, if a permute is its only reader and a view reads
    that.

    The heads of an attention are joined by permute and view: computed into the right places they need no copy. The last
    dimension must stay the last, because kernels write rows.
    """
    readers = uses.get(value, [])
    if len(readers) != 1 or readers[0] is None or readers[0].op != "permute" or len(value.shape) < 3:
        return None
    rank = len(value.shape)
    dims = [d % rank for d in readers[0].attrs["dims"]]
    turned = readers[0].output
    later = uses.get(turned, [])
    if dims[-1] != rank - 1 or not later or any(node is None or node.op != "view" for node in later):
        return None
    strides: list[Size] = [0] * rank
    for dim, stride in zip(dims, dense_strides(turned.shape), strict=True):
        strides[dim] = stride
    return tuple(strides)


def pixel_pitch(value: Value, readers: Iterable[str], aligned: Callable[[int], int] | None = None) -> Size:
    """Elements from one pixel to the next: C rounded up to 8, and +16 where a stencil would hit cache-set aliasing.

    A value that is flattened later keeps the exact C, so that the flattening is free.
    """
    channels = value.shape[1]
    names = set(readers)
    if is_symbolic(channels) or "view" in names or value.dtype.itemsize != 4:
        return channels
    pitch = -(-int(channels) // 8) * 8
    if names & _STENCILS and pitch % 128 == 0:
        pitch += 16
    return pitch
