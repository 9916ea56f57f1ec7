"""linear and matmul -> GEMM."""

from __future__ import annotations

import numpy as np

from pappus.export.ir.graph import Value
from pappus.export.lower import pack
from pappus.export.lower.fuse import Unit
from pappus.export.lower.memory import is_one, view_strides
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.frontend.symbolic import Size, is_symbolic, same_size


def _check_dtype(*values: Value | None) -> None:
    for value in values:
        if value is not None and value.dtype.name not in ("float32", "float64"):
            raise Unsupported(f"matrix products of {value.dtype.name} are not supported yet; convert to float32 first")


def gemm(m: MethodLowering, unit: Unit, a: Value, b: Value, bias: Value | None, accumulator: Value) -> None:
    """Emit one GEMM with the unit's epilogue; `a` and `b` are kernel values of rank >= 2."""
    epilogue = m.epilogue(unit, accumulator)
    result = m.result(unit.result)
    target, residual, operands = result, epilogue.residual, list(epilogue.operands)
    if len(result.shape) == len(a.shape) - 1:  # a vector times a matrix
        axis = len(result.shape) - 1 if is_one(a.shape[-2]) else len(result.shape)
        target = m.unsqueeze(result, axis)
        residual = m.unsqueeze(residual, axis) if residual is not None else None
        operands = [m.unsqueeze(o, axis) for o in operands]
    m.emit("GEMM", [a, b, bias, residual], [target], (), epilogue.clamp, epilogue.program, operands)


@rule("linear")
def linear(m: MethodLowering, unit: Unit) -> None:
    """`x @ w.T + b`, weights packed when they are constant."""
    assert unit.node is not None
    x, w, *rest = unit.node.args
    bias = rest[0] if rest else None
    assert isinstance(x, Value) and isinstance(w, Value)
    _check_dtype(x, w)
    b = m.view(bias) if isinstance(bias, Value) else None
    if b is not None and len(b.shape) != 1:
        raise Unsupported(f"linear with a bias of rank {len(b.shape)}")
    accumulator = unit.node.output
    array = m.constant_of(w) if w.dtype.name == "float32" else None
    flattened = _flattened_channels_last(m, x) if array is not None else None
    if flattened is not None:
        a, order = flattened
        assert array is not None
        c, h, wd = order
        permuted = array.reshape(-1, c, h, wd).transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
        weight = _packed(m, w.name + "_nhwc", permuted.T, w)
    else:
        a = m.view(x)
        if len(a.shape) == 1:
            a = m.unsqueeze(a, 0)
        if array is not None:
            weight = _packed(m, w.name, array.T, w)
        else:
            dense = m.view(w)
            weight = m.alias(dense, dense.shape[::-1], m.strides(dense)[::-1])
    gemm(m, unit, a, weight, b, accumulator)


def _packed(m: MethodLowering, name: str, matrix: np.ndarray, like: Value) -> Value:
    return m.constant(name, pack.gemm_panels(np.ascontiguousarray(matrix)), like.dtype, "GEMM_PANEL16", matrix.shape)


def _flattened_channels_last(m: MethodLowering, x: Value) -> tuple[Value, tuple[int, int, int]] | None:
    """`[N, C*H*W]` made by flattening a channels-last tensor: its memory as `[N, H*W*C]`, and C, H, W."""
    node = x.producer
    if node is None or node.op != "view" or len(x.shape) != 2:
        return None
    base = node.inputs[0]
    if base not in m.channels_last or len(base.shape) != 4 or any(is_symbolic(s) for s in base.shape[1:]):
        return None
    if not same_size(base.shape[0], x.shape[0]):
        return None
    source = m.view(base)
    n, c, h, w = base.shape
    s = m.strides(source)
    nhwc = m.alias(source, (n, h, w, c), (s[0], s[2], s[3], s[1]))
    strides = view_strides(nhwc.shape, m.strides(nhwc), x.shape)
    if strides is None:
        return None
    return m.alias(nhwc, x.shape, strides), (int(c), int(h), int(w))


@rule("matmul", "mm", "bmm")
def matmul(m: MethodLowering, unit: Unit) -> None:
    """Matrix products of every rank; a constant rank-2 right side is packed."""
    assert unit.node is not None
    x, y = unit.node.inputs
    _check_dtype(x, y)
    accumulator = unit.node.output
    a = m.view(x)
    if len(x.shape) == 1:
        a = m.unsqueeze(a, 0)
    array = m.constant_of(y) if len(y.shape) == 2 and y.dtype.name == "float32" else None
    if array is not None:
        b = _packed(m, y.name, array, y)
    else:
        b = m.view(y)
        if len(y.shape) == 1:
            b = m.unsqueeze(b, 1)
    if len(b.shape) > 2 or (
        len(a.shape) > 2 and b.memory is not None and b.memory.pack == "DENSE" and len(b.shape) != 2
    ):
        batch = _broadcast(a.shape[:-2], b.shape[:-2])
        a = m.expand(a, (*batch, *a.shape[-2:]))
        b = m.expand(b, (*batch, *b.shape[-2:]))
    if len(x.shape) == 1 and len(y.shape) == 1:
        _dot(m, unit, a, b, accumulator)
        return
    gemm(m, unit, a, b, None, accumulator)


def _dot(m: MethodLowering, unit: Unit, a: Value, b: Value, accumulator: Value) -> None:
    epilogue = m.epilogue(unit, accumulator)
    result = m.result(unit.result)
    square = m.alias(result, (1, 1), (0, 0))
    operands = [m.alias(o, (1, 1), (0, 0)) for o in epilogue.operands]
    residual = m.alias(epilogue.residual, (1, 1), (0, 0)) if epilogue.residual is not None else None
    m.emit("GEMM", [a, b, None, residual], [square], (), epilogue.clamp, epilogue.program, operands)


def _broadcast(a: tuple[Size, ...], b: tuple[Size, ...]) -> tuple[Size, ...]:
    rank = max(len(a), len(b))
    left, right = (1,) * (rank - len(a)) + a, (1,) * (rank - len(b)) + b
    return tuple(y if is_one(x) else x for x, y in zip(left, right, strict=True))


