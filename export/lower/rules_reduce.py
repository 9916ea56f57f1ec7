"""Reductions, softmax and norms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pappus.export.ir.graph import Value
from pappus.export.lower.fuse import Unit
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.frontend import dtypes
from pappus.frontend.dtypes import DType
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
    dim = node.attrs.get("dim")
    keepdim = bool(node.attrs.get("keepdim", False))
    output = unit.result
    if node.op in ("argmax", "argmin"):
        source = m.cast(m.view(x), _wide(x.dtype))
        if dim is None and len(x.shape) != 1:
            source = m.reshape(source, (_count(x.shape),))
            m.emit("REDUCE", [source], [m.alias(m.result(output), (1,), (0,))], (_KIND[node.op], 1))
            return
        kind = output.dtype
    elif node.op in ("any", "all"):
        source, kind = m.cast(m.view(x), dtypes.bool_), dtypes.bool_
    else:
        kind = _wide(output.dtype)
        source = m.cast(m.view(x), kind)
    if source.dtype.name not in ("float32", "float64", "int32", "int64", "bool"):
        raise Unsupported(f"{node.op} of {x.dtype.name} is not supported yet; convert to float32 first")
    axes = _axes(dim, len(x.shape))
    if kind is output.dtype:
        result = m.result(output)
    else:  # narrow types are reduced in a wider one
        result = m.temporary(output.name, kind, output.shape)
    if axes:
        m.emit("REDUCE", [source], [_kept(m, result, axes, keepdim)], (_KIND[node.op], sum(1 << a for a in axes)))
    elif node.op in ("argmax", "argmin"):
        m.fill(result, 0)
    else:
        m.move(source, result, "reduction over no dimension")
    if kind is not output.dtype:
        m.convert(result, m.result(output))


def _wide(dtype: DType) -> DType:
    """The type in which a reduction of `dtype` runs."""
    if dtype.name in ("float16", "bfloat16"):
        return dtypes.float32
    if dtype.name in ("bool", "int8", "uint8", "int16", "uint16"):
        return dtypes.int32
    return dtypes.int64 if dtype.name == "uint32" else dtype


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
