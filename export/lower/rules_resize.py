"""Nearest-neighbour resizing -> one MOVE where the factor is whole, else two GATHERs."""

from __future__ import annotations

from typing import Any

import numpy as np

from pappus.export.ir.graph import Value
from pappus.export.lower.fuse import Unit
from pappus.export.lower.method import MethodLowering
from pappus.export.lower.rules import Unsupported, rule
from pappus.frontend import dtypes
from pappus.frontend.ops.resize import _nearest as nearest_index
from pappus.frontend.symbolic import Size, is_symbolic


@rule("upsample_nearest2d")
def upsample_nearest2d(m: MethodLowering, unit: Unit) -> None:
    """Every output element copies one input element."""
    node = unit.node
    assert node is not None
    x = node.inputs[0]
    sizes = node.attrs["output_size"]
    scales = (node.attrs.get("scales_h"), node.attrs.get("scales_w"))
    source = m.view(x)
    factors = [_factor(size, out, scale) for size, out, scale in zip(x.shape[2:], sizes, scales, strict=True)]
    if factors[0] and factors[1]:
        _repeat(m, source, m.result(unit.result), factors[0], factors[1])
        return
    if any(is_symbolic(s) for s in (*x.shape[2:], *sizes)):
        raise Unsupported(
            "nearest resizing of images of dynamic size needs a whole factor; make height and width static"
        )
    rows = _index(m, int(x.shape[2]), int(sizes[0]), scales[0])
    columns = _index(m, int(x.shape[3]), int(sizes[1]), scales[1])
    between = m.temporary("upsample_rows", x.dtype, (*x.shape[:2], sizes[0], x.shape[3]))
    m.emit("GATHER", [source, rows], [between], (0, 2))
    m.emit("GATHER", [between, columns], [m.result(unit.result)], (0, 3))


def _factor(size: Size, out: Size, scale: Any) -> int | None:
    """out / size where it is a whole number that needs no rounding."""
    factor = out // size
    if is_symbolic(factor) or factor < 1 or is_symbolic(out - size * factor) or out - size * factor != 0:
        return None
    return int(factor) if scale is None or scale == factor else None


def _repeat(m: MethodLowering, source: Value, result: Value, rows: int, columns: int) -> None:
    """One strided copy of [N, C, H, 1, W, 1], broadcast to [N, C, H, rows, W, columns]."""
    n, c, h, w = source.shape
    shape = (n, c, h, rows, w, columns)
    s, t = m.strides(source), m.strides(result)
    wide = m.alias(source, shape, (s[0], s[1], s[2], 0, s[3], 0))
    m.emit("MOVE", [wide], [m.alias(result, shape, (t[0], t[1], t[2] * rows, t[2], t[3] * columns, t[3]))])


def _index(m: MethodLowering, size: int, out: int, scale: Any) -> Value:
    return m.constant("nearest", np.asarray(nearest_index(size, out, scale), np.int64), dtypes.int64)
