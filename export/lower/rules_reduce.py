"""Reductions, softmax and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pappus.export.ir.graph import Value
from pappus.export.lower.fuse import Unit
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.frontend import dtypes
from pappus.frontend.symbolic import Size

_KIND = {
    "sum": 0, "mean": 1, "prod": 2, "amax": 3, "amin": 4, "any": 5, "all": 6, "argmax": 7, "argmin": 8,
}  # fmt: skip


def _axes(dim: Any, rank: int) -> tuple[int, ...]:
    if dim is None or (isinstance(dim, (list, tuple)) and not dim):
        return tuple(range(rank))
    dims = [dim] if isinstance(dim, int) else list(dim)
    return tuple(sorted({d % rank for d in dims})) if rank else ()


def _kept(m: MethodLowering, result: Value, axes: Sequence[int], keepdim: bool) -> Value:
    """The result seen with its reduced dimensions of size 1."""
    if keepdim:
        return result
    for axis in axes:
        result = m.unsqueeze(result, axis)
    return result


@rule(*_KIND)
def reduce(m: MethodLowering, unit: Unit) -> None:
    """Sums, products, extrema, any/all and arg-extrema over any set of axes -> REDUCE."""
    node = unit.node
    assert node is not None
    x = node.inputs[0]
    source = m.view(x)
    dim = node.attrs.get("dim")
    keepdim = bool(node.attrs.get("keepdim", False))
    output = unit.result
    if node.op in ("argmax", "argmin"):
        if dim is None and len(x.shape) != 1:
            source = m.reshape(source, (_count(x.shape),))
            axes: tuple[int, ...] = (0,)
            result = m.result(output)
            m.emit("REDUCE", [source], [m.alias(result, (1,), (0,))], (_KIND[node.op], 1))
            return
        axes = _axes(dim, len(x.shape))
    elif node.op in ("any", "all"):
        axes = _axes(dim, len(x.shape))
        source = m.cast(source, dtypes.bool_)
    else:
        axes = _axes(dim, len(x.shape))
        source = m.cast(source, output.dtype)
    if source.dtype.name not in ("float32", "float64", "int32", "int64", "bool"):
        raise Unsupported(f"{node.op} of {source.dtype.name} is not supported yet; convert to float32 first")
    if source.dtype is dtypes.bool_ and node.op not in ("any", "all"):
        source = m.cast(source, dtypes.int32)
    result = m.result(output)
    if not axes:
        m.move(source, result, "reduction over no dimension")
        return
    m.emit("REDUCE", [source], [_kept(m, result, axes, keepdim)], (_KIND[node.op], sum(1 << a for a in axes)))


def _count(shape: Sequence[Size]) -> Size:
    total: Size = 1
    for size in shape:
        total = total * size
    return total


@rule("softmax", "log_softmax")
def softmax(m: MethodLowering, unit: Unit) -> None:
    """-> SOFTMAX."""
    node = unit.node
    assert node is not None
    source = m.cast(m.view(node.inputs[0]), unit.result.dtype)
    if source.dtype is not dtypes.float32:
        raise Unsupported(f"{node.op} of {source.dtype.name} is not supported yet; convert to float32 first")
    axis = int(node.attrs["dim"]) % max(len(source.shape), 1)
    m.emit("SOFTMAX", [source], [m.result(unit.result)], (axis, int(node.op == "log_softmax")))


@rule("layer_norm", "rms_norm")
def norm(m: MethodLowering, unit: Unit) -> None:
    """-> NORM over the trailing dimensions."""
    node = unit.node
    assert node is not None
    x = node.args[0]
    weight = node.args[1] if len(node.args) > 1 else None
    bias = node.args[2] if len(node.args) > 2 else None
    assert isinstance(x, Value)
    if x.dtype is not dtypes.float32:
        raise Unsupported(f"{node.op} of {x.dtype.name} is not supported yet; convert to float32 first")
    eps = node.attrs.get("eps")
    eps = float(dtypes.finfo(dtypes.float32).eps) if eps is None else float(eps)
    w = m.view(weight) if isinstance(weight, Value) else None
    b = m.view(bias) if isinstance(bias, Value) else None
    attrs = (int(node.op == "rms_norm"), len(node.attrs["normalized_shape"]))
    m.emit("NORM", [m.view(x), w, b], [m.result(unit.result)], attrs, (eps,))
