"""The committed program tests/vectors/small.pap with an input and what it has to compute, for tests without Python.

    python tests/runtime/vectors.py      # writes small.pap, small.x.npy, small.x.raw, small.p.raw, small.digit.raw

Method "forward": a convolution with packed weights, max pooling, a packed matrix product with a tanh epilogue, softmax,
argmax and a lookup by the result. Method "count": a state that adds up its inputs. Expected values are NumPy's, in
float64.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from builder import Program, gemm_panels, load_store
from programs import CLAMP, NONE, constant_value

from pappus.runtime.enums import DType, Family, GatherKind, PackKind, PoolKind, PwOp, ReduceKind, Storage

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
F32, I64 = DType.F32, DType.I64
ROWS = 3


def weights() -> dict[str, Any]:
    """The parameters, repeatable on every version of NumPy: sums of the bits of a counter."""

    def values(seed: int, *shape: int) -> Any:
        n = np.arange(int(np.prod(shape)), dtype=np.uint64) * np.uint64(2654435761) + np.uint64(seed * 40503)
        return (((n % np.uint64(1 << 20)) / np.float64(1 << 19)) - 1).astype(np.float32).reshape(shape)

    return {
        "kernel": values(1, 5, 1, 3, 3), "bias": values(2, 5), "w": values(3, 80, 6) / np.float32(4),
        "b": values(4, 6), "names": values(5, 6, 3), "x": values(6, ROWS, 1, 8, 8),
    }  # fmt: skip


def conv_panels(w: Any) -> Any:
    """[O, C, KH, KW] as CONV_PANEL16 of one group."""
    o, c, h, k = w.shape
    padded = np.zeros((-(-o // 16) * 16, c, h, k), w.dtype)
    padded[:o] = w
    return np.ascontiguousarray(padded.reshape(-1, 16, c, h * k).transpose(0, 3, 2, 1))


def small() -> Program:
    """The program."""
    v = weights()
    p = Program()
    m = p.method()
    n = m.symbol("n", 1, 4)
    x = m.input("x", F32, [n, 1, 8, 8])
    out, digit, name = m.output("p", F32, [n, 6]), m.output("digit", I64, [n, 1]), m.output("name", F32, [n, 1, 3])
    packed = conv_panels(v["kernel"])
    size, pack = packed.nbytes, PackKind.CONV_PANEL16
    kernel = m.value(F32, [5, 1, 3, 3], Storage.CONSTANT, p.constant(packed), pack=pack, size=size)
    h = m.value(F32, [n, 5, 8, 8])
    attrs = [1, 1, 1, 1, 1, 1, 1, 1, 1]
    m.emit(Family.CONV2D, [x, kernel, constant_value(p, m, v["bias"]), NONE], [h], attrs=attrs, floats=(0.0, CLAMP[1]))
    pooled = m.value(F32, [n, 5, 4, 4])
    m.emit(Family.POOL2D, [h], [pooled], attrs=[PoolKind.MAX, 2, 2, 2, 2, 0, 0, 0, 0, 1, 1, 0, 0])
    flat = m.value(F32, [n, 80], buffer=m.values[pooled].buffer)
    panels = gemm_panels(v["w"])
    w = m.value(F32, [80, 6], Storage.CONSTANT, p.constant(panels), pack=PackKind.GEMM_PANEL16, size=panels.nbytes)
    logits = m.value(F32, [n, 6])
    epilogue = m.program(load_store(PwOp.TANH), 1)
    m.emit(Family.GEMM, [flat, w, constant_value(p, m, v["b"]), NONE], [logits], floats=CLAMP, program=epilogue)
    m.emit(Family.SOFTMAX, [logits], [out], attrs=[1, 0])
    m.emit(Family.REDUCE, [logits], [digit], attrs=[ReduceKind.ARGMAX, 2], barrier=0)
    m.emit(Family.GATHER, [constant_value(p, m, v["names"]), digit], [name], attrs=[GatherKind.SELECT, 0])
    state = p.state("sum", F32, [3], p.constant(np.array([1, 2, 3], np.float32)))
    m = p.method("count")
    x, y = m.input("x", F32, [3]), m.output("y", F32, [3])
    total = m.value(F32, [3], Storage.STATE, state)
    m.map(load_store(PwOp.ADD, operands=2), [total, x], [total])
    m.emit(Family.MOVE, [total], [y])
    return p


def expected() -> tuple[Any, Any]:
    """p and digit for weights()["x"]."""
    v = {name: array.astype(np.float64) for name, array in weights().items()}
    padded = np.pad(v["x"], ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
    h = np.einsum("ncyxhw,ochw->noyx", windows, v["kernel"]) + v["bias"][:, None, None]
    h = np.maximum(h, 0).reshape(ROWS, 5, 4, 2, 4, 2).max((3, 5)).reshape(ROWS, 80)
    logits = np.tanh(h @ v["w"] + v["b"])
    e = np.exp(logits - logits.max(1, keepdims=True))
    return (e / e.sum(1, keepdims=True)).astype(np.float32), logits.argmax(1).astype(np.int64)[:, None]


def files() -> dict[str, bytes]:
    """Name and bytes of every file but the .npy, whose header is NumPy's affair."""
    p, digit = expected()
    x = weights()["x"]
    raw = {"x": x, "p": p, "digit": digit}
    return {"small.pap": small().build(), **{f"small.{name}.raw": array.tobytes() for name, array in raw.items()}}


def main() -> None:
    """Write them."""
    for name, content in files().items():
        (VECTORS / name).write_bytes(content)
    np.save(VECTORS / "small.x.npy", weights()["x"])


if __name__ == "__main__":
    main()
