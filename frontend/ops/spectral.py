"""Fourier transforms: the three primitives that every transform of `pappus.fft` is made of.

A transform over several dimensions at once, `out[k] = scale * sum over n of x[n] * exp(-2 pi i k n / N)`, or with +i
when not `forward`. Each is linear, so its gradient is the transform backwards.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ..dtypes import float32, float64
from ..errors import DTypeError
from ..opdef import Sample, Spec, operator
from ._samples import complexes, floats
from .complex_numbers import real
from .pointwise import mul
from .shape import cat, constant_pad_nd, slice_


def _scaled(x: Any, scale: float) -> Any:
    if scale != 1:
        x *= x.real.dtype.type(scale)
    return x


def _complex_spec(name: str, x: Any) -> None:
    if not x.dtype.is_complex:
        raise DTypeError(f"{name} of {x.dtype}: only complex tensors; use .to(pappus.complex64)")


# -- complex to complex ---------------------------------------------------------------------------


def _c2c_spec(x: Any, dim: Any, forward: Any = True, scale: Any = 1.0) -> Spec:
    _complex_spec("fft_c2c", x)
    return Spec(tuple(x.shape), x.dtype)


def _c2c_kernel(xp: Any, x: Any, dim: Any, forward: Any, scale: Any) -> Any:
    if not dim or not x.size:
        return _scaled(x.copy(), scale)
    run = np.fft.fftn(x, axes=dim) if forward else np.fft.ifftn(x, axes=dim, norm="forward")
    return _scaled(run, scale)


fft_c2c: Callable[..., Any] = operator(
    "fft_c2c(Tensor self, int[] dim, bool forward=True, float scale=1.0) -> Tensor",
    "The Fourier transform of complex numbers over dimensions, times `scale`.",
    shape=_c2c_spec, eager=_c2c_kernel, complex="own",
    vjp=lambda g, _out, _x, dim, forward, scale: (fft_c2c(g, dim, not forward, scale),),
    samples=lambda: [Sample((complexes(2, 3), (1,))), Sample((complexes(3, 4), (0, 1), False, 0.5))],
)  # fmt: skip

# -- real to complex ------------------------------------------------------------------------------


def _half(shape: Any, dim: int) -> tuple[Any, ...]:
    return (*shape[:dim], shape[dim] // 2 + 1, *shape[dim + 1 :])


def _r2c_spec(x: Any, dim: Any, scale: Any = 1.0, onesided: Any = True) -> Spec:
    if x.dtype not in (float32, float64):
        raise DTypeError(f"fft_r2c of {x.dtype}: only float32 and float64 tensors; use .float()")
    return Spec(_half(tuple(x.shape), dim[-1]) if onesided else tuple(x.shape), x.dtype.to_complex())


def _r2c_kernel(xp: Any, x: Any, dim: Any, scale: Any, onesided: Any) -> Any:
    if not x.size:
        spec = _r2c_spec(_Meta(x), dim, scale, onesided)
        return np.zeros(spec.shape, spec.dtype.numpy)
    return _scaled(np.fft.rfftn(x, axes=dim) if onesided else np.fft.fftn(x, axes=dim), scale)


class _Meta:
    """An array's shape and type, as shape rules see them."""

    def __init__(self, array: Any) -> None:
        self.shape, self.dtype = array.shape, float32 if array.dtype == np.float32 else float64


def _r2c_vjp(g: Any, _out: Any, _x: Any, dim: Any, scale: Any, onesided: Any) -> Any:
    if onesided:  # the half that was left out has no part in the result
        last = dim[-1] % len(_x.shape)
        pads = [0, 0] * (len(_x.shape) - 1 - last) + [0, _x.shape[last] - g.shape[last]]
        g = constant_pad_nd(g, pads)
    return (real(fft_c2c(g, dim, False, scale)),)


fft_r2c: Callable[..., Any] = operator(
    "fft_r2c(Tensor self, int[] dim, float scale=1.0, bool onesided=True) -> Tensor",
    "The Fourier transform of real numbers; `onesided` leaves out the half of the last of `dim` that mirrors one.",
    shape=_r2c_spec, eager=_r2c_kernel, complex="own", vjp=_r2c_vjp, tags=("wide",),
    samples=lambda: [
        Sample((floats(2, 4), (1,))), Sample((floats(3, 5), (0, 1), 0.5)), Sample((floats(3, 5), (0,), 1.0, False)),
    ],
)  # fmt: skip

# -- complex to real ------------------------------------------------------------------------------


def _c2r_spec(x: Any, dim: Any, size: Any, scale: Any = 1.0) -> Spec:
    _complex_spec("fft_c2r", x)
    last = dim[-1]
    return Spec((*x.shape[:last], size, *x.shape[last + 1 :]), x.dtype.to_real())


def _c2r_kernel(xp: Any, x: Any, dim: Any, size: Any, scale: Any) -> Any:
    if not x.size:
        return np.zeros((*x.shape[: dim[-1]], size, *x.shape[dim[-1] + 1 :]), x.real.dtype)
    sizes = [*(x.shape[d] for d in dim[:-1]), size]
    return _scaled(np.fft.irfftn(x, s=sizes, axes=dim, norm="forward"), scale)


def _c2r_vjp(g: Any, _out: Any, _x: Any, dim: Any, size: Any, scale: Any) -> Any:
    """The transform of g, twice where an element stood for its mirror image too: not the first, nor the middle."""
    last = dim[-1]
    back = fft_r2c(g, dim, scale)
    count = back.shape[last]
    twice = size - count
    if twice > 0:
        middle = mul(slice_(back, last, 1, 1 + twice), 2)
        parts = [slice_(back, last, 0, 1), middle, slice_(back, last, 1 + twice, count)]
        back = cat([p for p in parts if p.shape[last]], last)
    return (back,)


fft_c2r = operator(
    "fft_c2r(Tensor self, int[] dim, int size, float scale=1.0) -> Tensor",
    "The Fourier transform, with +i, of half a Hermitian tensor; `size` is that of the last of `dim` in the result.",
    shape=_c2r_spec, eager=_c2r_kernel, complex="own", vjp=_c2r_vjp,
    samples=lambda: [Sample((complexes(2, 3), (1,), 4)), Sample((complexes(3, 3), (0, 1), 5, 0.5))],
)  # fmt: skip
