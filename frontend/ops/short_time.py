"""The short-time Fourier transform: spectra of the windows of a signal, and the signal back from them."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..tensor import Tensor
from ._names import function
from .complex_numbers import view_as_real
from .create import ones, zeros
from .index import index_add
from .rearrange import unfold
from .shape import constant_pad_nd, expand, reshape, transpose
from .spectral import fft_c2c, fft_c2r, fft_r2c


def _settings(name: str, n_fft: int, hop_length: int | None, win_length: int | None) -> tuple[int, int]:
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    if n_fft < 1:
        raise ArgumentError(f"{name}: n_fft must be positive, got {n_fft}")
    if hop < 1:
        raise ArgumentError(f"{name}: hop_length must be positive, got {hop}")
    if not 0 < width <= n_fft:
        raise ArgumentError(f"{name}: win_length must be in 1..n_fft={n_fft}, got {width}")
    return hop, width


def _window(name: str, window: Any, width: int, n_fft: int, like: Any) -> Any:
    """The window with zeros on both sides up to n_fft."""
    if window is None:
        warnings.warn(f"{name}: no window was given, so every sample of one counts the same", stacklevel=4)
        window = ones(width, dtype=like.dtype.to_real())
    elif len(window.shape) != 1 or window.shape[0] != width:
        raise ShapeError(f"{name}: the window must have shape [win_length] = [{width}], got {list(window.shape)}")
    left = (n_fft - width) // 2
    return constant_pad_nd(window, (left, n_fft - width - left)) if width < n_fft else window


@function(method=True)
def stft(
    self: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, pad_mode: str = "reflect", normalized: bool = False, onesided: bool | None = None,
    return_complex: bool | None = None, align_to_window: bool | None = None,
) -> Any:  # fmt: skip
    """Fourier transforms of windows of a signal (*, L) that are `hop_length` apart: (*, frequencies, windows).

    Windows of `n_fft` samples are multiplied by `window` (of `win_length`, in the middle). With `center` the signal is
    padded so that window t is around sample t * hop_length. `onesided` (the default for real signals and windows) gives
    n_fft // 2 + 1 frequencies; `normalized` divides by sqrt(n_fft); `align_to_window`, without `center`, lets the first
    window (not the zeros before it) start at the first sample. A real signal needs `return_complex`.

    >>> import pappus as pp
    >>> pp.stft(pp.ones(16), 8, window=pp.hann_window(8), return_complex=True).shape
    pappus.Size([5, 9])
    """
    x = self
    if x.dtype.category < 2:
        raise DTypeError(f"stft of {x.dtype}: only floating-point and complex signals; use x.float()")
    if len(x.shape) not in (1, 2):
        raise ShapeError(f"stft: expected a signal of shape [L] or [batch, L], got {list(x.shape)}")
    hop, width = _settings("stft", n_fft, hop_length, win_length)
    plain = not x.dtype.is_complex and (window is None or not window.dtype.is_complex)
    if return_complex is None and plain:
        raise ArgumentError("stft: return_complex must be given for real signals; give return_complex=True")
    if onesided and not plain:
        raise ArgumentError("stft: the spectrum of a complex signal or window has no mirrored half; use onesided=False")
    if center and align_to_window is not None:
        raise ArgumentError("stft: align_to_window is for center=False")
    rows = x if len(x.shape) == 2 else reshape(x, (1, x.shape[0]))
    if center:
        from ..nn.functional_image import pad

        wide = pad(reshape(rows, (1, *rows.shape)), (n_fft // 2, n_fft // 2), mode=pad_mode)
        rows = reshape(wide, tuple(wide.shape[1:]))
    elif align_to_window:
        left = (n_fft - width) // 2
        rows = constant_pad_nd(rows, (left, n_fft - width - left))
    if rows.shape[-1] < n_fft:
        raise ShapeError(f"stft: windows of n_fft={n_fft} samples do not fit a signal of {rows.shape[-1]}")
    frames = unfold(rows, 1, n_fft, hop) * _window("stft", window, width, n_fft, x)
    scale = 1 / math.sqrt(n_fft) if normalized else 1.0
    if plain:
        out = fft_r2c(frames, (2,), scale, onesided is not False)
    else:
        out = fft_c2c(frames, (2,), True, scale)
    out = transpose(out, 1, 2)
    out = out if len(x.shape) == 2 else reshape(out, tuple(out.shape[1:]))
    return view_as_real(out) if return_complex is False else out


@function(method=True)
def istft(
    self: Any, n_fft: int, hop_length: int | None = None, win_length: int | None = None, window: Any = None,
    center: bool = True, normalized: bool = False, onesided: bool | None = None, length: int | None = None,
    return_complex: bool = False,
) -> Any:  # fmt: skip
    """The signal whose `stft` with the same settings is closest to the given one (the inverse, where there is one).

    Windows are transformed back, multiplied by `window` once more, added where they overlap, and divided by the sum of
    the squared windows there; where that is 0 nothing is known of the signal, which raises ArgumentError. `length` is
    the signal's length, which the spectrum does not tell.

    >>> import pappus as pp
    >>> w = pp.hann_window(8)
    >>> pp.istft(pp.stft(pp.ones(16), 8, window=w, return_complex=True), 8, window=w).shape
    pappus.Size([16])
    """
    x = self
    if not x.dtype.is_complex:
        raise DTypeError(f"istft of {x.dtype}: only complex spectra, as stft gives with return_complex=True")
    if len(x.shape) not in (2, 3) or 0 in x.shape:
        raise ShapeError(
            f"istft: expected a spectrum [frequencies, windows] or [batch, frequencies, windows], got {list(x.shape)}"
        )
    hop, width = _settings("istft", n_fft, hop_length, win_length)
    if hop > width:
        raise ArgumentError(f"istft: hop_length {hop} is larger than win_length {width}: samples between are unknown")
    half = onesided if onesided is not None else x.shape[-2] != n_fft
    if x.shape[-2] != (n_fft // 2 + 1 if half else n_fft):
        raise ShapeError(
            f"istft: a spectrum of n_fft={n_fft} with onesided={half} has {n_fft // 2 + 1 if half else n_fft} "
            f"frequencies, this one {x.shape[-2]}"
        )
    if half and (return_complex or (window is not None and window.dtype.is_complex)):
        raise ArgumentError("istft: half a spectrum is that of a real signal; use onesided=False, or a real result")
    rows = transpose(x if len(x.shape) == 3 else reshape(x, (1, *x.shape)), 1, 2)
    weight = _window("istft", window, width, n_fft, x)
    scale = 1 / math.sqrt(n_fft) if normalized else 1 / n_fft
    if half or not return_complex:
        frames = fft_c2r(rows if half else rows[..., : n_fft // 2 + 1], (2,), n_fft, scale)
    else:
        frames = fft_c2c(rows, (2,), False, scale)
    batch, count = frames.shape[0], frames.shape[1]
    total = n_fft + hop * (count - 1)
    places = Tensor._from_data((np.arange(count)[:, None] * hop + np.arange(n_fft)).reshape(-1))
    signal = index_add(zeros(batch, total, dtype=frames.dtype), 1, places, reshape(frames * weight, (batch, -1)))
    squares = reshape(expand(weight * weight, (count, n_fft)), (-1,))
    envelope = index_add(zeros(total, dtype=weight.dtype), 0, places, squares)
    start = n_fft // 2 if center else 0
    end = total - (n_fft // 2 if center else 0) if length is None else start + length
    signal, envelope = signal[:, start : min(end, total)], envelope[start : min(end, total)]
    if float(envelope.detach().abs().min()) < 1e-11:
        raise ArgumentError(
            "istft: the windows leave samples uncovered (their squares add to 0 there); use a smaller hop_length, "
            "center=True, or a window without zeros at its ends"
        )
    signal = signal / envelope
    if end > total:
        warnings.warn(f"istft: length {length} of a spectrum of {total - start} samples: zeros follow", stacklevel=3)
        signal = constant_pad_nd(signal, (0, end - total))
    return signal if len(x.shape) == 3 else reshape(signal, (-1,))
