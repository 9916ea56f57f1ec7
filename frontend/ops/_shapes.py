"""What shape rules share: broadcasting, dimension numbers, exact division, on sizes that may be symbolic."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import DType, float32, float_of, get_default_dtype, result_type, stores_only
from ..dtypes import from_numpy_dtype as dtype_of
from ..errors import DimError, DTypeError, ShapeError
from ..native import pointwise as native_pointwise
from ..opdef import Spec
from ..symbolic import SymInt, same_size, sym_eq

Shape = tuple[Any, ...]


def broadcast(*shapes: Sequence[Any]) -> Shape:
    """The shape that all of `shapes` broadcast to. Raises ShapeError naming the first dimension that does not fit.

    A size fits an equal one and the literal 1; a symbolic size is never taken to be 1.
    """
    first = tuple(shapes[0])
    # Only plain ints are compared: a symbolic size would note as an assumption what the comparison gave.
    if all(type(n) is int for s in shapes for n in s) and all(tuple(s) == first for s in shapes[1:]):
        return first
    rank = max(len(s) for s in shapes)
    out: list[Any] = []
    for at in range(rank):
        size: Any = 1
        for shape in shapes:
            where = at - rank + len(shape)
            if where < 0:
                continue
            n = shape[where]
            if (type(n) is int and n == 1) or same_size(n, size):
                continue
            if type(size) is int and size == 1:
                size = n
            elif not sym_eq(n, size):
                listed = " and ".join(str(list(s)) for s in shapes)
                raise ShapeError(
                    f"shapes {listed} do not broadcast: dimension {at - rank} has sizes {size} and {n}, "
                    "which must be equal or 1; use unsqueeze, view or transpose to line them up"
                )
        out.append(size)
    return tuple(out)


def wrap_dim(dim: Any, rank: int) -> int:
    """A dimension number in 0..rank-1 from one that may be negative; a 0-d tensor has dimension 0."""
    limit = max(rank, 1)
    if not -limit <= dim < limit:
        raise DimError(
            f"dimension {dim} is out of range for a tensor of {rank} dimensions (expected {-limit}..{limit - 1})"
        )
    return int(dim) % limit


def wrap_dims(dims: Sequence[int] | None, rank: int) -> tuple[int, ...]:
    """Dimension numbers in 0..rank-1, each at most once; None and () mean all. A 0-d tensor has none, though 0 is
    accepted."""
    if dims is None or len(dims) == 0:
        return tuple(range(rank))
    found = tuple(wrap_dim(d, rank) for d in dims)
    if len(set(found)) != len(found):
        raise DimError(f"dimension named twice in {list(dims)} for a tensor of {rank} dimensions")
    return found if rank else ()


def numel(shape: Sequence[Any]) -> Any:
    """The product of the sizes."""
    count: Any = 1
    for n in shape:
        count = count * n
    return count


def is_plain(shape: Sequence[Any]) -> bool:
    """Whether no size is symbolic."""
    return not any(isinstance(n, SymInt) for n in shape)


def promoted(*specs: Any) -> DType:
    """The common type of operands."""
    first = specs[0].dtype
    if all(s.dtype is first for s in specs):
        return first  # type: ignore[no-any-return]
    return result_type((s.dtype, len(s.shape), s.wrapped) for s in specs)


def pointwise(*specs: Any, **attrs: Any) -> Spec:
    """Shape rule: broadcast and promote."""
    return Spec(broadcast(*[s.shape for s in specs]), promoted(*specs))


def pointwise_float(*specs: Any, **attrs: Any) -> Spec:
    """Shape rule: broadcast and promote, to the default floating-point type from integers."""
    return Spec(broadcast(*[s.shape for s in specs]), float_of(promoted(*specs)))


def same(spec: Any, *others: Any, **attrs: Any) -> Spec:
    """Shape rule: like the first operand."""
    return Spec(tuple(spec.shape), spec.dtype)


def same_float(spec: Any, *others: Any, **attrs: Any) -> Spec:
    """Shape rule: like the first operand, floating point."""
    return Spec(tuple(spec.shape), float_of(spec.dtype))


# -- kernels ------------------------------------------------------------------------------------


def ordered(name: str, tensor: Any) -> Any:
    """The array of a tensor whose elements are to be compared by size. Raises DTypeError for types without an order."""
    dtype = tensor.dtype
    if dtype.is_complex:
        raise DTypeError(f"{name} of {dtype}: complex numbers have no order; use x.real, x.imag or x.abs()")
    if dtype.is_storage:
        raise DTypeError(f"{name} of {dtype}: {stores_only(dtype)}")
    return tensor.detach().numpy()


def as_float(array: Any) -> Any:
    """Integers and bools as the default floating-point type; floats as they are."""
    return array.astype(get_default_dtype().numpy) if array.dtype.kind in "iub" else array


def in_float32(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """Compute float16 and bfloat16 operands in float32 and round the result once."""

    def run(xp: Any, array: Any, *rest: Any, **attrs: Any) -> Any:
        if array.dtype.itemsize == 2 and array.dtype.kind in "fV":
            rest = tuple(r.astype(np.float32) if hasattr(r, "astype") and r.dtype == array.dtype else r for r in rest)
            return np.asarray(kernel(xp, array.astype(np.float32), *rest, **attrs)).astype(array.dtype)
        return kernel(xp, array, *rest, **attrs)

    return run


def step_in_float32(kernel: Callable[..., Any]) -> Callable[..., Any]:
    """The same for kernels of several arrays, None among them, and several results."""

    def run(xp: Any, *arrays: Any, **attrs: Any) -> Any:
        short = arrays[0].dtype
        if short.itemsize != 2:
            return kernel(xp, *arrays, **attrs)
        wide = [a if a is None else a.astype(np.float32) for a in arrays]
        return tuple(np.asarray(out).astype(short) for out in kernel(xp, *wide, **attrs))

    return run


_F32, _F64 = np.dtype(np.float32), np.dtype(np.float64)


_HALVES = {_F32: np.array(0.5, _F32), _F64: np.array(0.5, _F64)}


def sigmoid_array(x: Any) -> Any:
    """1 / (1 + exp(-x)) of a floating-point or complex array, as (1 + tanh(x / 2)) / 2."""
    if x.size >= 1024 and (found := native_pointwise.sigmoid(x)) is not None:
        return found
    half: Any = _HALVES.get(x.dtype, 0.5) if type(x) is np.ndarray else 0.5
    out = np.multiply(x, half) if x.shape else np.multiply(x, half, np.empty_like(x))
    np.tanh(out, out)
    np.multiply(out, half, out)
    return np.add(out, half, out)


def add_up(array: Any, axes: Any = None, keepdims: bool = False) -> Any:
    """The sum of a float32 or float64 array along `axes` (None: all).

    numpy adds contiguous numbers in pairs of halves, which is exact and slow; here rows of 1024 are added by einsum,
    three times faster, and the sums of the rows by numpy.
    """
    if array.size >= 4096 and array.flags.c_contiguous:
        last = array.shape[-1]
        if axes is None or len(axes) == array.ndim:
            whole = array.size // 1024 * 1024
            flat = array.reshape(-1)
            found = np.add.reduce(np.einsum("ij->i", flat[:whole].reshape(-1, 1024)), 0)
            if whole < array.size:
                found = found + np.add.reduce(flat[whole:], 0)
            return found.reshape((1,) * array.ndim) if keepdims else found
        if last <= 1024 and (axes == (array.ndim - 1,) or axes == (-1,)):
            found = np.einsum("...i->...", array)
            return found[..., None] if keepdims else found
    return np.add.reduce(array, axes, None, None, keepdims)  # type: ignore[call-overload]


def row_major(array: Any) -> Any:
    """A copy in row-major order; of a transposed matrix eight columns at a time, which caches like 5 times better."""
    if (
        array.size >= 1 << 16
        and array.ndim > 1
        and array.strides[-2] == array.itemsize
        and array.shape[-1] >= 64 <= array.shape[-2]
    ):
        out = np.empty(array.shape, array.dtype)
        for at in range(0, array.shape[-1], 8):
            out[..., at : at + 8] = array[..., at : at + 8]
        return out
    return array.copy()


def through_float32(compose: Callable[..., Any]) -> Callable[..., Any]:
    """The same for a function of tensors in operators: float16 and bfloat16 ones are float32 inside, the result short
    again."""

    @functools.wraps(compose)
    def run(*args: Any, **attrs: Any) -> Any:
        short = (args[0] if args else next(iter(attrs.values()))).dtype
        if short.itemsize != 2 or not short.is_floating_point:
            return compose(*args, **attrs)
        from .pointwise import to_dtype

        def widen(value: Any) -> Any:
            return to_dtype(value, float32) if getattr(value, "dtype", None) is short else value

        out = compose(*map(widen, args), **{name: widen(value) for name, value in attrs.items()})
        return to_dtype(out, short) if out.dtype is float32 else out

    return run


def promote_arrays(*arrays: Any) -> tuple[Any, ...]:
    """Arrays cast to their common type (numpy would widen int64 with float32 to float64)."""
    dtype = arrays[0].dtype
    if all(a.dtype == dtype for a in arrays):
        return arrays
    target = result_type((dtype_of(a.dtype), a.ndim, False) for a in arrays).numpy
    return tuple(a if a.dtype == target else a.astype(target) for a in arrays)
