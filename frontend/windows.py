"""Windows that fade a piece of a signal in and out, under the names of torch.signal.windows.

A window has M elements at n = 0 .. M - 1; N is M - 1 for a symmetric one (`sym`, the default) and M for a periodic one,
which is the start of a symmetric window of one element more. A window of one element is 1.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from . import ops as _ops  # noqa: F401 - loads every family
from .errors import ArgumentError
from .ops._names import placed
from .ops.windows import cosines, kaiser_window, positions, window

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine", "general_hamming", "hamming", "hann",
    "kaiser", "nuttall",
]  # fmt: skip


def _above_zero(name: str, what: str, value: float) -> None:
    if value <= 0:
        raise ArgumentError(f"windows.{name}: {what} must be above 0, got {value}")


def _offsets(name: str, M: int, sym: bool) -> tuple[Any, float]:
    """n = 0 .. M - 1 and the middle N / 2."""
    if M < 0:
        raise ArgumentError(f"windows.{name}: the length must not be negative, got {M}")
    return np.arange(M, dtype=np.float64), (M - 1 if sym else M) / 2


def _cosine_window(name: str, M: int, a: tuple[float, ...], sym: bool, dtype: Any, requires_grad: bool) -> Any:
    return window(f"windows.{name}", cosines(positions(f"windows.{name}", M, not sym), a), dtype, requires_grad)


@placed
def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """A triangle: 1 - |2 n / N - 1|."""
    x = positions("windows.bartlett", M, not sym)
    return window("windows.bartlett", 1 - np.abs(2 * x - 1), dtype, requires_grad)


@placed
def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return _cosine_window("blackman", M, (0.42, 0.5, 0.08), sym, dtype, requires_grad)


@placed
def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Half a wave: sin(pi (n + 1/2) / (N + 1)).

    >>> import pappus as pp
    >>> pp.signal.windows.cosine(3)
    tensor([0.5000, 1.0000, 0.5000])
    """
    n, middle = _offsets("cosine", M, sym)
    return window("windows.cosine", np.sin(np.pi * (n + 0.5) / (2 * middle + 1)), dtype, requires_grad)


@placed
def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Any:  # fmt: skip
    """exp(-|n - center| / tau); `center` is N / 2 unless a periodic window names another."""
    n, middle = _offsets("exponential", M, sym)
    _above_zero("exponential", "tau", tau)
    if sym and center is not None:
        raise ArgumentError("windows.exponential: a symmetric window has its center in the middle; pass sym=False")
    values = np.exp(-np.abs(n - (middle if center is None else center)) / tau)
    return window("windows.exponential", values, dtype, requires_grad)


@placed
def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """exp(-((n - N / 2) / std)^2 / 2)."""
    n, middle = _offsets("gaussian", M, sym)
    _above_zero("gaussian", "std", std)
    return window("windows.gaussian", np.exp(-(((n - middle) / std) ** 2) / 2), dtype, requires_grad)


@placed
def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """a[0] - a[1] cos(2 pi n / N) + a[2] cos(4 pi n / N) - ..."""
    weights = tuple(a) if isinstance(a, Iterable) else ()
    if not weights:
        raise ArgumentError(f"windows.general_cosine: a holds the weights, at least one, got {a!r}")
    return _cosine_window("general_cosine", M, weights, sym, dtype, requires_grad)


@placed
def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """alpha - (1 - alpha) cos(2 pi n / N)."""
    return _cosine_window("general_hamming", M, (alpha, 1 - alpha), sym, dtype, requires_grad)


@placed
def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """0.54 - 0.46 cos(2 pi n / N)."""
    return _cosine_window("hamming", M, (0.54, 0.46), sym, dtype, requires_grad)


@placed
def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """sin(pi n / N)^2."""
    return _cosine_window("hann", M, (0.5, 0.5), sym, dtype, requires_grad)


@placed
def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Any:  # fmt: skip
    """I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta), with I0 the modified Bessel function of order 0."""
    if beta < 0:
        raise ArgumentError(f"windows.kaiser: beta must not be negative, got {beta}")
    return kaiser_window(M, not sym, beta, dtype=dtype, requires_grad=requires_grad)


@placed
def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False
) -> Any:
    """Four cosines whose weights make the side lobes lowest: 0.3635819, 0.4891775, 0.1365995, 0.0106411 (A. H. Nuttall,
    1981)."""
    return _cosine_window("nuttall", M, (0.3635819, 0.4891775, 0.1365995, 0.0106411), sym, dtype, requires_grad)
