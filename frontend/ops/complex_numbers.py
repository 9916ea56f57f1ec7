"""Complex numbers: made of two real tensors, taken apart again as views, conjugated; angles and signs.

Gradients follow PyTorch's convention: that of a real loss L by z = x + iy is dL/dx + i dL/dy, the direction of steepest
ascent.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from .. import dtypes
from ..errors import DeviceError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import sym_eq
from ..tensor import Tensor
from ._names import function
from ._samples import complexes, floats
from ._shapes import broadcast
from .pointwise import abs as absolute
from .pointwise import cos, eq, isnan, lt, mul, sign, sin, to_dtype, where

# -- putting together -----------------------------------------------------------------------------


def _parts(name: str) -> Callable[..., Spec]:
    def shape(a: Any, b: Any) -> Spec:
        if a.dtype is not b.dtype or a.dtype not in (dtypes.float32, dtypes.float64):
            raise DTypeError(
                f"{name} of {a.dtype} and {b.dtype}: only float32 and float64 tensors, both of one type; use .float()"
            )
        return Spec(broadcast(a.shape, b.shape), a.dtype.to_complex())

    return shape


def _complex_kernel(xp: Any, a: Any, b: Any) -> Any:
    out = xp.empty(np.broadcast_shapes(a.shape, b.shape), dtypes.from_numpy_dtype(a.dtype).to_complex().numpy)
    out.real, out.imag = a, b
    return out


complex_: Callable[..., Any] = operator(
    "complex(Tensor real, Tensor imag) -> Tensor", "real + i * imag, of two tensors of float32 or float64.",
    shape=_parts("complex"), eager=_complex_kernel, complex="own", tags=("wide", "exact_out"),
    vjp=lambda g, _out, _a, _b: (_real(g), imag(g)),
    samples=lambda: [Sample((floats(2, 3), floats(2, 3, seed=2))), Sample((floats(2, 1), floats(3, seed=2)))],
)  # fmt: skip
polar = operator(
    "polar(Tensor abs, Tensor angle) -> Tensor", "abs * (cos(angle) + i * sin(angle)), of float32 or float64.",
    shape=_parts("polar"), tags=("wide",), decompose=lambda size, angle: complex_(size * cos(angle), size * sin(angle)),
    samples=lambda: [
        Sample((floats(2, 3, low=0.5), floats(2, 3, seed=2))), Sample((floats(2, 1, low=0.5), floats(3, seed=2))),
    ],
)  # fmt: skip


def _need_complex(name: str, x: Any) -> None:
    if not x.dtype.is_complex:
        raise DTypeError(f"{name} of {x.dtype}: only complex tensors; make one with pappus.complex(real, imag)")


def _pairs_spec(x: Any) -> Spec:
    _need_complex("view_as_real", x)
    return Spec((*x.shape, 2), x.dtype.to_real())


def _same_memory(x: Any) -> Any:
    """An array of another library, whose memory can be seen as another type only in row-major order."""
    if not x.flags.c_contiguous:
        raise DeviceError("on a GPU only a contiguous tensor can be seen as another type; call .contiguous() first")
    return x


def _pairs_kernel(xp: Any, x: Any) -> Any:
    step = x.dtype.itemsize // 2
    if xp is not np:
        return _same_memory(x).reshape(-1).view(x.real.dtype).reshape(*x.shape, 2)
    return np.lib.stride_tricks.as_strided(x.real, (*x.shape, 2), (*x.strides, step), writeable=x.flags.writeable)


view_as_real: Callable[..., Any] = operator(
    "view_as_real(Tensor self) -> Tensor", "Real and imaginary parts as a last dimension of size 2; same memory.",
    shape=_pairs_spec, eager=_pairs_kernel, view=True, complex="own",
    write=lambda base, new: view_as_complex(new.contiguous()),
    vjp=lambda g, _out, _x: (view_as_complex(g.contiguous()),),
    samples=lambda: [Sample((complexes(2, 3),)), Sample((complexes(),))],
)  # fmt: skip


def _joined_spec(x: Any) -> Spec:
    if x.dtype not in (dtypes.float32, dtypes.float64):
        raise DTypeError(f"view_as_complex of {x.dtype}: only float32 and float64 tensors; convert with .float()")
    if not x.shape or not sym_eq(x.shape[-1], 2):
        raise ShapeError(f"view_as_complex: the last dimension must have size 2 (real, imaginary), got {list(x.shape)}")
    return Spec(tuple(x.shape[:-1]), x.dtype.to_complex())


def _joined_kernel(xp: Any, x: Any) -> Any:
    step = x.dtype.itemsize
    if x.strides[-1] != step or any(s % (2 * step) for s in x.strides[:-1]):
        raise ShapeError(
            "view_as_complex: real and imaginary parts must be neighbours in memory, and the steps between them even; "
            "call .contiguous() first"
        )
    dtype = dtypes.from_numpy_dtype(x.dtype).to_complex().numpy
    if not x.size:
        return np.empty(x.shape[:-1], dtype)
    if xp is not np:
        return _same_memory(x).reshape(-1).view(dtype).reshape(x.shape[:-1])
    # One element as an array of its own type, which then is stepped through as the pairs are.
    one = x[(0,) * (x.ndim - 1)].view(dtype)
    return np.lib.stride_tricks.as_strided(one, x.shape[:-1], x.strides[:-1], writeable=x.flags.writeable)


view_as_complex: Callable[..., Any] = operator(
    "view_as_complex(Tensor self) -> Tensor", "Pairs in the last dimension as complex numbers, in the same memory.",
    shape=_joined_spec, eager=_joined_kernel, view=True, complex="own", tags=("wide",),
    write=lambda base, new: view_as_real(new),
    vjp=lambda g, _out, _x: (view_as_real(g),), samples=lambda: [Sample((floats(3, 2),)), Sample((floats(2, 2, 2),))],
)  # fmt: skip


# -- taking apart ---------------------------------------------------------------------------------


def _part_spec(name: str) -> Callable[..., Spec]:
    def shape(x: Any) -> Spec:
        _need_complex(name, x)
        return Spec(tuple(x.shape), x.dtype.to_real())

    return shape


_real: Callable[..., Any] = operator(
    "real(Tensor self) -> Tensor", "The real parts of complex numbers, in the same memory.", shape=_part_spec("real"),
    eager=lambda xp, x: x.real, view=True, complex="own",
    write=lambda base, new: complex_(new, imag(base)), vjp=lambda g, _out, _x: (to_dtype(g, _x.dtype),),
    samples=lambda: [Sample((complexes(2, 3),))],
)  # fmt: skip
imag: Callable[..., Any] = operator(
    "imag(Tensor self) -> Tensor", "The imaginary parts, in the same memory. Raises DTypeError for a real tensor.",
    shape=_part_spec("imag"), eager=lambda xp, x: x.imag, view=True, complex="own",
    write=lambda base, new: complex_(_real(base), new),
    vjp=lambda g, _out, _x: (mul(g, 1j),), samples=lambda: [Sample((complexes(2, 3),))],
)  # fmt: skip


@function()
def real(self: Any) -> Any:
    """The real parts of a complex tensor, in the same memory; a real tensor itself.

    >>> import pappus as pp
    >>> pp.real(pp.tensor([1 + 2j, 3j]))
    tensor([1., 0.])
    """
    return _real(self) if self.dtype.is_complex else self


# -- conjugates, angles, signs --------------------------------------------------------------------


def _same_spec(name: str) -> Callable[..., Spec]:
    def shape(x: Any) -> Spec:
        _need_complex(name, x)
        return Spec(tuple(x.shape), x.dtype)

    return shape


_conj: Callable[..., Any] = operator(
    "conj_physical(Tensor self) -> Tensor", "The conjugates of complex numbers, in memory of their own.",
    shape=_same_spec("conj_physical"), eager=lambda xp, x: np.conjugate(x), vjp=lambda g, _out, _x: (_conj(g),),
    tags=("pointwise",), complex="own", samples=lambda: [Sample((complexes(2, 3),))],
)  # fmt: skip


@function(method=True, inplace=True)
def conj_physical(self: Any) -> Any:
    """The complex conjugates; a real tensor itself."""
    return conj(self)


@function(method=True)
def conj(self: Any) -> Any:
    """The complex conjugates, computed at once (PyTorch's are a view with a mark); a real tensor itself.

    >>> import pappus as pp
    >>> pp.conj(pp.tensor([1 + 2j]))
    tensor([1.-2.j])
    """
    return _conj(self) if self.dtype.is_complex else self


@function(method=True)
def resolve_conj(self: Any) -> Any:
    """The tensor itself: conjugates are computed at once here."""
    return self


@function(method=True)
def resolve_neg(self: Any) -> Any:
    """The tensor itself: imaginary parts of conjugates are computed at once here."""
    return self


def squared(x: Any) -> Any:
    """|x|^2, whose gradient at 0 is 0."""
    return _real(x) * _real(x) + imag(x) * imag(x) if x.dtype.is_complex else x * x


def _angle_vjp(g: Any, _out: Any, x: Any) -> Any:
    size = absolute(x)
    zero = eq(size, 0)
    return where(zero, 0.0, mul(mul(sgn(x), 1j), g / where(zero, 1.0, size)))


_angle = operator(
    "angle(Tensor self) -> Tensor", "The angles of complex numbers, in radians.", shape=_part_spec("angle"),
    eager=lambda xp, x: np.angle(x), vjp=_angle_vjp, complex="own", samples=lambda: [Sample((complexes(2, 3),))],
)  # fmt: skip


@function(method=True)
def angle(self: Any) -> Any:
    """The angles of complex numbers, in radians; of real ones 0, or pi where they are negative.

    >>> import pappus as pp
    >>> pp.angle(pp.tensor([1.0, -1.0, 1j]))
    tensor([0.0000, 3.1416, 1.5708])
    """
    if self.dtype.is_complex:
        return _angle(self)
    return where(isnan(self), self * 1.0, where(lt(self, 0), math.pi, 0.0))


def _sgn_kernel(xp: Any, x: Any) -> Any:
    size = np.abs(x)
    return np.where(size == 0, x.dtype.type(0), x / np.where(size == 0, size.dtype.type(1), size))


def _sgn_vjp(g: Any, out: Any, x: Any) -> Any:
    """(g - sgn(x) * real(conj(g) * sgn(x))) / |x|: what of g does not point along x; 0 where x is."""
    size = absolute(x)
    zero = eq(size, 0)
    along = mul(out, real(mul(conj(g), out)))
    return where(zero, 0.0, (g - along) / where(zero, 1.0, size))


_sgn: Callable[..., Any] = operator(
    "sgn(Tensor self) -> Tensor", "x / |x| of complex numbers, and 0 where x is 0.", shape=_same_spec("sgn"),
    eager=_sgn_kernel, vjp=_sgn_vjp, complex="own", tags=("pointwise",), samples=lambda: [Sample((complexes(2, 3),))],
)  # fmt: skip


@function(method=True, inplace=True)
def sgn(self: Any) -> Any:
    """x / |x|, and 0 where x is 0: the sign of complex numbers, and of real ones.

    >>> import pappus as pp
    >>> pp.sgn(pp.tensor([-2.0, 0.0, 3j]))
    tensor([-1.+0.j,  0.+0.j,  0.+1.j])
    """
    return _sgn(self) if self.dtype.is_complex else sign(self)


# -- questions ------------------------------------------------------------------------------------


@function()
def is_complex(input: Any) -> bool:
    """Whether the elements of a tensor are complex numbers."""
    return bool(input.dtype.is_complex)


@function()
def is_conj(input: Any) -> bool:
    """Always false: `conj` computes its result at once."""
    return False


@function(method=True)
def isreal(self: Any) -> Any:
    """True where an element has no imaginary part."""
    return eq(imag(self), 0) if self.dtype.is_complex else Tensor._from_data(np.ones(tuple(self.shape), np.bool_))

