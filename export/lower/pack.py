"""Weights in the arrangement the kernels read: 16-column panels (docs/format.md, PackKind)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
PANEL = 16


def gemm_panels(weight: Array) -> Array:
    """`[K, N]` -> `[ceil(N/16), K, 16]`, zero filled."""
    k, n = weight.shape
    panels = -(-n // PANEL)
    padded = np.zeros((k, panels * PANEL), weight.dtype)
    padded[:, :n] = weight
    return np.ascontiguousarray(padded.reshape(k, panels, PANEL).transpose(1, 0, 2))


def conv_panels(weight: Array, groups: int) -> Array:
    """`[O, C, KH, KW]` -> `[groups, ceil(O/groups/16), KH*KW*C, 16]`, zero filled."""
    o, c, kh, kw = weight.shape
    per_group = o // groups
    matrix = (
        weight.reshape(groups, per_group, c, kh, kw).transpose(0, 3, 4, 2, 1).reshape(groups, kh * kw * c, per_group)
    )
    return np.stack([gemm_panels(m) for m in matrix])


def depthwise_panels(weight: Array) -> Array:
    """`[C, 1, KH, KW]` -> `[ceil(C/16), KH*KW, 16]`, zero filled."""
    c, _, kh, kw = weight.shape
    return gemm_panels(weight.reshape(c, kh * kw).T)
