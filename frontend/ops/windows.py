"""Windows that fade a piece of a signal in and out: bartlett, blackman, hamming, hann, kaiser."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dtypes import DType, as_dtype, get_default_dtype
from ..errors import ArgumentError, DTypeError
from ..tensor import Tensor
from ._names import function


def positions(name: str, window_length: int, periodic: bool) -> Any:
    """n / N for n = 0, 1, ...; N is the length of a periodic window, one less than that of a symmetric one."""
    if window_length < 0:
        raise ArgumentError(f"{name}: the length must not be negative, got {window_length}")
    return np.arange(window_length) / max(window_length if periodic else window_length - 1, 1)


def window(name: str, values: Any, dtype: Any, requires_grad: bool) -> Any:
    """A tensor of the elements of a window; the only one of a window of length 1 is 1."""
    found: DType = as_dtype(dtype or get_default_dtype())
    if not found.is_floating_point or found.is_storage:
        raise DTypeError(f"{name}: a window has a floating-point type, got {found}")
    if values.size == 1:
        values = np.ones(1)
    out = Tensor._from_data(values.astype(found.numpy))
    out.requires_grad = requires_grad
    return out


def cosines(x: Any, coefficients: tuple[float, ...]) -> Any:
    """a0 - a1 cos(2 pi x) + a2 cos(4 pi x) - ..."""
    return sum((-1) ** k * a * np.cos(2 * np.pi * k * x) for k, a in enumerate(coefficients)) + 0 * x


@function()
def bartlett_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """A triangle: 1 - |2 n / N - 1|. `periodic` windows have N = length, symmetric ones N = length - 1."""
    x = positions("bartlett_window", window_length, periodic)
    return window("bartlett_window", 1 - np.abs(2 * x - 1), dtype, requires_grad)


@function()
def blackman_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    x = positions("blackman_window", window_length, periodic)
    return window("blackman_window", cosines(x, (0.42, 0.5, 0.08)), dtype, requires_grad)


@function()
def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46, *, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """alpha - beta cos(2 pi n / N)."""
    x = positions("hamming_window", window_length, periodic)
    return window("hamming_window", cosines(x, (alpha, beta)), dtype, requires_grad)


@function()
def hann_window(
    window_length: int, periodic: bool = True, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """sin(pi n / N)^2. `periodic` windows have N = length, as windows that follow each other need, others length - 1.

    >>> import pappus as pp
    >>> pp.hann_window(4)
    tensor([0.0000, 0.5000, 1.0000, 0.5000])
    """
    x = positions("hann_window", window_length, periodic)
    return window("hann_window", cosines(x, (0.5, 0.5)), dtype, requires_grad)


@function()
def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta), with I0 the modified Bessel function of order 0."""
    x = positions("kaiser_window", window_length, periodic)
    values = np.i0(beta * np.sqrt(np.maximum(1 - (2 * x - 1) ** 2, 0))) / np.i0(beta)
    return window("kaiser_window", values, dtype, requires_grad)
