"""Array kernels of the convolution family: im2col and BLAS, written against the array namespace `xp`.

All kernels are written for any number of spatial dimensions and for groups. `x` is (N, C, *spatial), the weight of a
plain convolution is (O, C / groups, *kernel), and the three kernels are each other's gradients:

    forward          y  = conv(x, w)
    grad of input    gx = conv_transpose(gy, w)
    grad of weight   gw = correlate(x, gy)

The columns of im2col are filled for a few samples at a time, so that they stay in the second-level cache.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, TypeAlias

Array: TypeAlias = Any

_COLUMN_BYTES = 1 << 20


def _pad(xp: Any, x: Array, padding: tuple[int, ...]) -> Array:
    """Zero-pad the spatial dimensions of `x` by `padding` on both sides."""
    if not any(padding):
        return x
    spatial = x.shape[2:]
    out = xp.zeros(x.shape[:2] + tuple(s + 2 * p for s, p in zip(spatial, padding, strict=True)), dtype=x.dtype)
    inner = tuple(slice(p, p + s) for s, p in zip(spatial, padding, strict=True))
    out[(slice(None), slice(None), *inner)] = x
    return out


def _taps(
    kernel: tuple[int, ...], out: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> list[tuple[tuple[int, ...], tuple[slice, ...]]]:
    """For each kernel position: its index and the slices of the padded input that it meets."""
    result = []
    for index in itertools.product(*(range(k) for k in kernel)):
        slices = tuple(
            slice(i * d, i * d + s * (o - 1) + 1, s) for i, d, s, o in zip(index, dilation, stride, out, strict=True)
        )
        result.append((index, slices))
    return result


def _chunk(per_sample_bytes: int, samples: int) -> int:
    return max(1, min(samples, _COLUMN_BYTES // max(1, per_sample_bytes)))


def _compute_dtype(xp: Any, dtype: Any) -> Any:
    """The type to accumulate in: half-width floats are widened, everything else stays."""
    if dtype.itemsize <= 2 and dtype.kind not in "iub":
        return xp.dtype("float32")
    return dtype


def conv_forward(
    xp: Any,
    x: Array,
    w: Array,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """Cross-correlate `x` (N, C, *S) with `w` (O, C / groups, *K); return (N, O, *out)."""
    storage = x.dtype
    x, w = _widen(xp, x), _widen(xp, w)
    n, c = x.shape[:2]
    o, cg = w.shape[:2]
    kernel = w.shape[2:]
    x = _pad(xp, x, padding)
    out_size = tuple(
        (s - d * (k - 1) - 1) // t + 1 for s, k, t, d in zip(x.shape[2:], kernel, stride, dilation, strict=True)
    )
    out = xp.empty((n, o, *out_size), dtype=x.dtype)
    if out.size == 0 or x.size == 0:
        out[...] = 0
        return out.astype(storage, copy=False)
    points = math.prod(out_size)
    taps = math.prod(kernel)
    if cg == 1 and groups == c and groups > 1:
        _depthwise_forward(xp, x, w, out, _taps(kernel, out_size, stride, dilation))
        return out.astype(storage, copy=False)
    w_rows = w.reshape(groups, o // groups, cg * taps)
    if groups == 1:
        w_rows = w_rows[0]
    if taps == 1:
        slices = _taps(kernel, out_size, stride, dilation)[0][1]
        columns = x[(slice(None), slice(None), *slices)]
        _grouped_matmul(xp, w_rows, xp.ascontiguousarray(columns), out, groups, points)
        return out.astype(storage, copy=False)
    step = _chunk(c * taps * points * x.dtype.itemsize, n)
    columns = xp.empty((step, c, *kernel, *out_size), dtype=x.dtype)
    all_taps = _taps(kernel, out_size, stride, dilation)
    for start in range(0, n, step):
        count = min(step, n - start)
        _fill_columns(columns, x[start : start + count], all_taps)
        _grouped_matmul(xp, w_rows, columns[:count], out[start : start + count], groups, points)
    return out.astype(storage, copy=False)


def conv_transpose(
    xp: Any,
    x: Array,
    w: Array,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    out_size: tuple[int, ...],
) -> Array:
    """Scatter `x` (N, O, *S) through `w` (O, C / groups, *K) into (N, C, *out_size): the adjoint of `conv_forward`."""
    storage = x.dtype
    x, w = _widen(xp, x), _widen(xp, w)
    n, o = x.shape[:2]
    cg = w.shape[1]
    kernel = w.shape[2:]
    c = cg * groups
    in_size = x.shape[2:]
    if all(s == 1 for s in stride) and not (cg == 1 and groups == o):
        full = tuple(d * (k - 1) - p for k, d, p in zip(kernel, dilation, padding, strict=True))
        plain = tuple(
            s - 1 + d * (k - 1) + 1 - 2 * p for s, k, d, p in zip(in_size, kernel, dilation, padding, strict=True)
        )
        if min(full) >= 0 and plain == tuple(out_size):
            flipped = w[(slice(None), slice(None), *(slice(None, None, -1) for _ in kernel))]
            flipped = flipped.reshape(groups, o // groups, cg, *kernel).swapaxes(1, 2)
            flipped = xp.ascontiguousarray(flipped).reshape(c, o // groups, *kernel)
            return conv_forward(xp, x, flipped, stride, full, dilation, groups).astype(storage, copy=False)
    # `reach` is where the taps can write: it may end before the padded output does (output_padding), or after it.
    reach = tuple(
        t * (s - 1) + d * (k - 1) + 1 for s, k, t, d in zip(in_size, kernel, stride, dilation, strict=True)
    )
    buffer_size = tuple(max(r, s + 2 * p) for r, s, p in zip(reach, out_size, padding, strict=True))
    buffer = xp.zeros((n, c, *buffer_size), dtype=x.dtype)
    if x.size and buffer.size:
        all_taps = _taps(kernel, in_size, stride, dilation)
        points, taps = math.prod(in_size), math.prod(kernel)
        if cg == 1 and groups == o:
            _depthwise_scatter(xp, x, w, buffer, all_taps)
        else:
            rows = xp.ascontiguousarray(w.reshape(groups, o // groups, cg * taps).swapaxes(1, 2))
            if groups == 1:
                rows = rows[0]
            x = xp.ascontiguousarray(x)
            step = _chunk(c * taps * points * x.dtype.itemsize, n)
            columns = xp.empty((step, c, *kernel, *in_size), dtype=x.dtype)
            for start in range(0, n, step):
                count = min(step, n - start)
                _grouped_matmul(xp, rows, x[start : start + count], columns[:count], groups, points)
                part = buffer[start : start + count]
                for index, slices in all_taps:
                    part[(slice(None), slice(None), *slices)] += columns[(slice(0, count), slice(None), *index)]
    inner = tuple(slice(p, p + s) for s, p in zip(out_size, padding, strict=True))
    return xp.ascontiguousarray(buffer[(slice(None), slice(None), *inner)]).astype(storage, copy=False)


def conv_weight_grad(
    xp: Any,
    x: Array,
    g: Array,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Array:
    """Sum over samples and positions of g[n, o, p] * x[n, c, p * stride + k * dilation]; return (O, C / groups, *K)."""
    storage = x.dtype
    x, g = _widen(xp, x), _widen(xp, g)
    x = _pad(xp, x, padding)
    n, c = x.shape[:2]
    o = g.shape[1]
    out_size = g.shape[2:]
    cg, og = c // groups, o // groups
    all_taps = _taps(kernel, out_size, stride, dilation)
    taps, points = math.prod(kernel), math.prod(out_size)
    if cg == 1 and og == 1 and groups > 1:
        result = xp.empty((o, 1, *kernel), dtype=x.dtype)
        letters = "".join(chr(ord("p") + i) for i in range(len(kernel)))
        for index, slices in all_taps:
            window = x[(slice(None), slice(None), *slices)]
            result[(slice(None), 0, *index)] = xp.einsum(f"nc{letters},nc{letters}->c", window, g)
        return result.astype(storage, copy=False)
    total = xp.zeros((groups, og, cg * taps), dtype=x.dtype)
    if x.size and g.size:
        g_rows = xp.ascontiguousarray(g).reshape(n, groups, og, points)
        step = _chunk(c * taps * points * x.dtype.itemsize, n)
        columns = xp.empty((step, c, *kernel, *out_size), dtype=x.dtype)
        for start in range(0, n, step):
            count = min(step, n - start)
            _fill_columns(columns, x[start : start + count], all_taps)
            block = columns[:count].reshape(count, groups, cg * taps, points)
            total += xp.matmul(g_rows[start : start + count], block.swapaxes(2, 3)).sum(axis=0)
    return total.reshape(o, cg, *kernel).astype(storage, copy=False)


def _widen(xp: Any, x: Array) -> Array:
    dtype = _compute_dtype(xp, x.dtype)
    return x if dtype == x.dtype else x.astype(dtype)


def _fill_columns(columns: Array, x: Array, taps: list[tuple[tuple[int, ...], tuple[slice, ...]]]) -> None:
    count = x.shape[0]
    for index, slices in taps:
        columns[(slice(0, count), slice(None), *index)] = x[(slice(None), slice(None), *slices)]


def _grouped_matmul(xp: Any, rows: Array, columns: Array, out: Array, groups: int, points: int) -> None:
    """out[n] = rows @ columns[n], for each group apart; all blocks are seen as matrices with `points` columns."""
    n = columns.shape[0]
    if groups == 1:
        xp.matmul(rows, columns.reshape(n, -1, points), out=out.reshape(n, -1, points))
        return
    xp.matmul(rows, columns.reshape(n, groups, -1, points), out=out.reshape(n, groups, -1, points))


def _depthwise_forward(
    xp: Any, x: Array, w: Array, out: Array, taps: list[tuple[tuple[int, ...], tuple[slice, ...]]]
) -> None:
    """One input channel per group: multiply and add whole slices, no matrix product."""
    n, o = out.shape[:2]
    c = x.shape[1]
    m = o // c
    ones = (1,) * (x.ndim - 2)
    out5 = out.reshape(n, c, m, *out.shape[2:])
    first = True
    scratch = xp.empty_like(out5)
    for index, slices in taps:
        window = x[(slice(None), slice(None), *slices)][:, :, None]
        factor = w[(slice(None), 0, *index)].reshape(1, c, m, *ones)
        if first:
            xp.multiply(window, factor, out=out5)
            first = False
        else:
            xp.multiply(window, factor, out=scratch)
            out5 += scratch


def _depthwise_scatter(
    xp: Any, x: Array, w: Array, buffer: Array, taps: list[tuple[tuple[int, ...], tuple[slice, ...]]]
) -> None:
    ones = (1,) * (x.ndim - 2)
    scratch = xp.empty_like(x)
    for index, slices in taps:
        xp.multiply(x, w[(slice(None), 0, *index)].reshape(1, -1, *ones), out=scratch)
        buffer[(slice(None), slice(None), *slices)] += scratch
