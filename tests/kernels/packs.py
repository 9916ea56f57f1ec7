"""The packed weight layouts of docs/format.md, written for the tests independently of the exporter."""

from __future__ import annotations

import numpy as np


def gemm_panel16(b: np.ndarray) -> np.ndarray:
    """[K, N] -> [ceil(N/16)][K][16]."""
    k, n = b.shape
    padded = np.zeros((k, -(-n // 16) * 16), np.float32)
    padded[:, :n] = b
    return np.ascontiguousarray(padded.reshape(k, -(-n // 16), 16).transpose(1, 0, 2))


def conv_panel16(w: np.ndarray, groups: int) -> np.ndarray:
    """[O, C, KH, KW] -> [groups][ceil(O/groups/16)][KH*KW*C][16]."""
    o, c, kh, kw = w.shape
    per = o // groups
    panels = -(-per // 16)
    out = np.zeros((groups, panels * 16, kh * kw * c), np.float32)
    out[:, :per] = w.transpose(0, 2, 3, 1).reshape(groups, per, kh * kw * c)
    return np.ascontiguousarray(out.reshape(groups, panels, 16, kh * kw * c).transpose(0, 1, 3, 2))


def depthwise16(w: np.ndarray) -> np.ndarray:
    """[C, 1, KH, KW] -> [ceil(C/16)][KH*KW][16]."""
    c = w.shape[0]
    panels = -(-c // 16)
    out = np.zeros((panels * 16, w.shape[2] * w.shape[3]), np.float32)
    out[:c] = w.reshape(c, -1)
    return np.ascontiguousarray(out.reshape(panels, 16, -1).transpose(0, 2, 1))
