"""Discrete Fourier transforms under the names of torch.fft.

Every transform takes a size (`n`, or `s` per dimension: longer signals are cut, shorter ones padded with zeros),
dimensions and `norm`: "backward" (the default: 1/n on the inverse), "ortho" (1/sqrt(n) both ways) or "forward" (1/n on
the transform). Integers are taken as the default floating-point type.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from . import dtypes
from . import ops as _ops  # noqa: F401 - loads every family
from .errors import ArgumentError, DimError, DTypeError
from .ops._shapes import numel, wrap_dims
from .ops.complex_numbers import conj
from .ops.pointwise import to_dtype
from .ops.shape import constant_pad_nd, roll, slice_
from .ops.spectral import fft_c2c, fft_c2r, fft_r2c
from .tensor import Tensor

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "hfft2", "hfftn", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "ihfft2", "ihfftn", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

# -- what the transforms share --------------------------------------------------------------------


def _scale(name: str, norm: str | None, count: Any, forward: bool) -> float:
    if norm not in (None, "backward", "ortho", "forward"):
        raise ArgumentError(f"fft.{name}: norm must be 'backward', 'ortho' or 'forward', got {norm!r}")
    if norm == "ortho":
        return 1 / math.sqrt(count)
    return 1 / count if (norm == "forward") == forward else 1.0


def _floating(name: str, x: Any) -> Any:
    if not isinstance(x, Tensor):
        raise ArgumentError(f"fft.{name}: expected a Tensor, got {type(x).__name__}; wrap it with pappus.tensor(...)")
    found = dtypes.float_of(x.dtype)
    if found.itemsize < 4:
        raise DTypeError(f"fft.{name} of {x.dtype}: transforms are computed in float32 and float64; use .float()")
    return x if found is x.dtype else to_dtype(x, found)


def _as_complex(name: str, x: Any) -> Any:
    x = _floating(name, x)
    return x if x.dtype.is_complex else to_dtype(x, x.dtype.to_complex())


def _as_real(name: str, x: Any) -> Any:
    x = _floating(name, x)
    if x.dtype.is_complex:
        raise DTypeError(f"fft.{name} expects a real tensor, got {x.dtype}; use x.real, or a complex transform")
    return x


def _resized(name: str, x: Any, dim: int, size: Any) -> Any:
    """`x` cut, or padded with zeros at the end, to `size` along a dimension."""
    if size < 1:
        raise ArgumentError(f"fft.{name}: a transform needs at least 1 point, got {size} along dimension {dim}")
    have = x.shape[dim]
    if size == have:
        return x
    if size < have:
        return slice_(x, dim, 0, size)
    return constant_pad_nd(x, [0, 0] * (len(x.shape) - 1 - dim) + [0, size - have])


def _several(name: str, x: Any, s: Any, dim: Any, last: Any = None) -> tuple[Any, tuple[int, ...], tuple[Any, ...]]:
    """`x` resized, the dimensions, and the sizes there. `last` gives the size of the last one in `x` from that asked
    for, for transforms of a half."""
    rank = len(x.shape)
    s = None if s is None else [s] if isinstance(s, int) else list(s)
    if dim is None:
        if s is not None and len(s) > rank:
            raise ArgumentError(f"fft.{name}: {len(s)} sizes for a tensor of {rank} dimensions")
        dims = tuple(range(rank)) if s is None else tuple(range(rank - len(s), rank))
    else:
        given = [dim] if isinstance(dim, int) else list(dim)
        if given and not rank:
            raise DimError(f"fft.{name}: a 0-d tensor has no dimension to transform")
        dims = wrap_dims(given, rank) if given else ()
    if s is not None and len(s) != len(dims):
        raise ArgumentError(f"fft.{name}: {len(s)} sizes for {len(dims)} dimensions; give one per dimension")
    sizes = [x.shape[d] if s is None or s[at] == -1 else s[at] for at, d in enumerate(dims)]
    if last is not None:
        if not dims:
            raise ArgumentError(f"fft.{name} needs at least one dimension to transform")
        if s is None or s[-1] == -1:
            sizes[-1] = 2 * (x.shape[dims[-1]] - 1)
        if sizes[-1] < 1:
            raise ArgumentError(f"fft.{name}: a transform needs at least 1 point, got {sizes[-1]}")
    for at, d in enumerate(dims):
        x = _resized(name, x, d, last(sizes[at]) if last is not None and at == len(dims) - 1 else sizes[at])
    return x, dims, tuple(sizes)


def _halved(size: Any) -> Any:
    return size // 2 + 1


# -- over several dimensions ----------------------------------------------------------------------


def fftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The Fourier transform over dimensions `dim` (all of them, or as many last ones as `s` has sizes).

    >>> import pappus as pp
    >>> pp.fft.fftn(pp.ones(2, 2)).real
    tensor([[4., 0.],
            [0., 0.]])
    """
    return _all("fftn", input, s, dim, norm, True)


def _all(name: str, input: Any, s: Any, dim: Any, norm: str | None, forward: bool) -> Any:
    x = _floating(name, input)
    x, dims, sizes = _several(name, x, s, dim)
    scale = _scale(name, norm, numel(sizes), forward)
    if forward and dims and not x.dtype.is_complex:
        return fft_r2c(x, dims, scale, False)
    return fft_c2c(_as_complex(name, x), dims, forward, scale)


def ifftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `fftn`."""
    return _all("ifftn", input, s, dim, norm, False)


def rfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """`fftn` of a real tensor, without the half of the last dimension that follows from the other."""
    return _real_all("rfftn", input, s, dim, norm)


def _real_all(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    x, dims, sizes = _several(name, _as_real(name, input), s, dim)
    if not dims:
        raise ArgumentError(f"fft.{name} needs at least one dimension to transform")
    return fft_r2c(x, dims, _scale(name, norm, numel(sizes), True))


def irfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `rfftn`: a real tensor. The size of the last dimension is 2 * (m - 1) unless `s` gives it."""
    return _half_all("irfftn", input, s, dim, norm)


def _half_all(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    x, dims, sizes = _several(name, _as_complex(name, input), s, dim, _halved)
    return fft_c2r(x, dims, sizes[-1], _scale(name, norm, numel(sizes), False))


def hfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The Fourier transform, which is real, of a Hermitian signal of which the last dimension holds one half."""
    return _hermitian("hfftn", input, s, dim, norm)


def _hermitian(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    x, dims, sizes = _several(name, _as_complex(name, input), s, dim, _halved)
    x = fft_c2c(x, dims[:-1], True) if len(dims) > 1 else x
    return fft_c2r(conj(x), dims[-1:], sizes[-1], _scale(name, norm, numel(sizes), True))


def ihfftn(input: Any, s: Any = None, dim: Any = None, norm: str | None = None) -> Any:
    """The inverse of `hfftn`: one half of a Hermitian signal."""
    return _inverse_hermitian("ihfftn", input, s, dim, norm)


def _inverse_hermitian(name: str, input: Any, s: Any, dim: Any, norm: str | None) -> Any:
    x, dims, sizes = _several(name, _as_real(name, input), s, dim)
    if not dims:
        raise ArgumentError(f"fft.{name} needs at least one dimension to transform")
    x = conj(fft_r2c(x, dims[-1:], _scale(name, norm, numel(sizes), False)))
    return fft_c2c(x, dims[:-1], False) if len(dims) > 1 else x


# -- over two, and over one -----------------------------------------------------------------------


def fft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`fftn` over two dimensions, the last two unless given."""
    return _all("fft2", input, s, dim, norm, True)


def ifft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`ifftn` over two dimensions, the last two unless given."""
    return _all("ifft2", input, s, dim, norm, False)


def rfft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`rfftn` over two dimensions, the last two unless given."""
    return _real_all("rfft2", input, s, dim, norm)


def irfft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`irfftn` over two dimensions, the last two unless given."""
    return _half_all("irfft2", input, s, dim, norm)


def hfft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`hfftn` over two dimensions, the last two unless given."""
    return _hermitian("hfft2", input, s, dim, norm)


def ihfft2(input: Any, s: Any = None, dim: Sequence[int] = (-2, -1), norm: str | None = None) -> Any:
    """`ihfftn` over two dimensions, the last two unless given."""
    return _inverse_hermitian("ihfft2", input, s, dim, norm)


def _single(name: str, x: Any, n: Any, dim: int) -> tuple[Any, Any, Any]:
    """What the transforms of one dimension hand to those of several: the tensor, its sizes and its dimensions."""
    if isinstance(x, Tensor) and not x.shape:
        raise DimError(f"fft.{name}: a 0-d tensor has no dimension to transform")
    if n is not None and n < 1:
        raise ArgumentError(f"fft.{name}: a transform needs at least 1 point, got n={n}")
    return x, None if n is None else (n,), (dim,)


def fft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The Fourier transform along one dimension: out[k] = sum over j of x[j] * exp(-2 pi i j k / n).

    >>> import pappus as pp
    >>> pp.fft.fft(pp.tensor([1.0, 0.0, 0.0, 0.0])).real
    tensor([1., 1., 1., 1.])
    """
    return _all("fft", *_single("fft", input, n, dim), norm, True)


def ifft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `fft`."""
    return _all("ifft", *_single("ifft", input, n, dim), norm, False)


def rfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """`fft` of a real tensor: the first n // 2 + 1 elements, from which the others follow.

    >>> import pappus as pp
    >>> pp.fft.rfft(pp.ones(5)).shape
    pappus.Size([3])
    """
    return _real_all("rfft", *_single("rfft", input, n, dim), norm)


def irfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `rfft`: n real numbers, 2 * (m - 1) unless given; give n where it was odd."""
    return _half_all("irfft", *_single("irfft", input, n, dim), norm)


def hfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The Fourier transform, n real numbers, of a Hermitian signal given by its first half."""
    return _hermitian("hfft", *_single("hfft", input, n, dim), norm)


def ihfft(input: Any, n: Any = None, dim: int = -1, norm: str | None = None) -> Any:
    """The inverse of `hfft`: one half of a Hermitian signal."""
    return _inverse_hermitian("ihfft", *_single("ihfft", input, n, dim), norm)


# -- frequencies and shifts -----------------------------------------------------------------------


def _numbers(array: Any, dtype: Any, requires_grad: bool) -> Any:
    out = to_dtype(Tensor._from_data(array), dtypes.as_dtype(dtype or dtypes.get_default_dtype()))
    out.requires_grad = requires_grad
    return out


def fftfreq(n: int, d: float = 1.0, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """The frequencies of the elements of `fft` of n samples that are `d` apart.

    >>> import pappus as pp
    >>> pp.fft.fftfreq(4)
    tensor([ 0.0000,  0.2500, -0.5000, -0.2500])
    """
    return _numbers(np.fft.fftfreq(n, d), dtype, requires_grad)


def rfftfreq(n: int, d: float = 1.0, *, dtype: Any = None, requires_grad: bool = False, device: Any = None) -> Any:
    """The frequencies of the elements of `rfft` of n samples that are `d` apart."""
    return _numbers(np.fft.rfftfreq(n, d), dtype, requires_grad)


def fftshift(input: Any, dim: Any = None) -> Any:
    """The zero frequency moved to the middle, along all dimensions unless given."""
    dims = wrap_dims([dim] if isinstance(dim, int) else dim, len(input.shape))
    return roll(input, tuple(input.shape[d] // 2 for d in dims), dims) if dims else input


def ifftshift(input: Any, dim: Any = None) -> Any:
    """The inverse of `fftshift`."""
    dims = wrap_dims([dim] if isinstance(dim, int) else dim, len(input.shape))
    return roll(input, tuple((input.shape[d] + 1) // 2 for d in dims), dims) if dims else input
