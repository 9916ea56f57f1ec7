"""Additions at positions given by integers."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import direct, plain, suits

__all__ = ["add_at", "add_rows"]

SCATTER_ADD = 72  # kernels/eager.h


def add_rows(out: Any, index: Any, values: Any) -> bool:
    """out[index[i]] += values[i] for all i in order, on (rows, d) arrays; False where numpy should do it.

    Indices must be in range: that is the caller's to check.
    """
    if not suits(out, values):
        return False
    index = np.ascontiguousarray(index, dtype=np.int64)
    return bool(direct().run(SCATTER_ADD, (plain(values), index), (out,)))


def add_at(out: Any, at: tuple[Any, ...], dim: int, values: Any) -> bool:
    """np.add.at(out, at, values) for one array of integers per dimension, which broadcast; `out` is in row-major order.

    `at[dim]` has the shape of values; where it names whole rows of `out`, rows are added. False where numpy should do
    it.
    """
    if not suits(out, values):
        return False
    index = at[dim]
    rows = all(n == 1 or s == 0 for n, s in zip(index.shape[1:], index.strides[1:], strict=True))
    if dim == 0 and rows and values.shape[1:] == out.shape[1:]:
        first = index[(slice(None), *(0,) * (index.ndim - 1))]
        return add_rows(out.reshape(len(out), -1), first, values.reshape(len(values), -1))
    flat: Any = 0
    for i, n in zip(at, out.shape, strict=True):
        flat = flat * n + i
    flat = np.broadcast_to(flat, values.shape).reshape(-1)
    return add_rows(out.reshape(-1, 1), flat, values.reshape(-1, 1))
