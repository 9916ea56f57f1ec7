"""Operators that move elements without computing: views, joins, padding, flips. Most only rename positions in
memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from ..dtypes import stores_only
from ..errors import ArgumentError, DimError, DTypeError, ShapeError
from ..memory_format import laid_out
from ..opdef import Sample, Spec, operator
from ..symbolic import SymInt, same_size, sym_eq, sym_max, sym_min
from ._names import function
from ._samples import floats
from ._shapes import numel, promote_arrays, promoted, row_major, wrap_dim, wrap_dims

# -- primitives -----------------------------------------------------------------------------------


def resolve_view(have: Sequence[Any], want: Sequence[Any]) -> tuple[Any, ...]:
    """The shape `want` with its -1 replaced. Raises ShapeError unless the element counts are equal."""
    shape = tuple(want)
    unknown = [i for i, n in enumerate(shape) if type(n) is int and n < 0]
    if len(unknown) > 1 or any(shape[i] != -1 for i in unknown):
        raise ShapeError(f"view to {list(shape)}: one size may be -1, the others must not be negative")
    total = numel(have)
    if unknown:
        at = unknown[0]
        rest = numel(shape[:at] + shape[at + 1 :])
        if type(rest) is int and rest == 0:
            raise ShapeError(
                f"view of {list(have)} to {list(shape)}: -1 is ambiguous next to a size of 0; write the size"
            )
        found = total // rest
        if not same_size(found * rest, total) and not sym_eq(total % rest, 0):
            raise ShapeError(
                f"view of {list(have)} to {list(shape)}: {total} elements do not divide into rows of {rest}"
            )
        return (*shape[:at], found, *shape[at + 1 :])
    count = numel(shape)
    if not same_size(count, total) and not sym_eq(count, total):
        raise ShapeError(
            f"view of {list(have)} to {list(shape)}: {total} elements do not fill {count} places; the products "
            "of the sizes "
            "must be equal (one size may be -1)"
        )
    return shape


def _view_kernel(xp: Any, x: Any, shape: Any) -> Any:
    try:
        return x.reshape(shape)
    except ValueError:
        resolve_view(x.shape, shape)
        raise


view: Callable[..., Any] = operator(
    "view(Tensor self, int[] shape) -> Tensor",
    "The same elements in row-major order under another shape; one size may be -1.",
    shape=lambda x, shape: Spec(resolve_view(x.shape, shape), x.dtype),
    eager=_view_kernel,
    view=True,
    write=lambda base, new, shape: view(new, tuple(base.shape)),
    check=False,
    vjp=lambda g, _out, _x, shape: (view(g, tuple(_x.shape)),),
    tags=("movement", "varargs"),
    samples=lambda: [Sample((floats(2, 6), (3, 4))), Sample((floats(2, 6), (-1,))), Sample((floats(), (1, 1)))],
)


def _permute_dims(dims: Sequence[int], rank: int) -> tuple[int, ...]:
    found = tuple(wrap_dim(d, rank) for d in dims) if rank or dims else ()
    if sorted(found) != list(range(rank)):
        raise DimError(f"permute: {list(dims)} is not an order of the {rank} dimensions")
    return found


def _permute_back(_base: Any, new: Any, dims: Any) -> Any:
    rank = len(dims)
    order = [0] * rank
    for at, d in enumerate(dims):
        order[d % rank] = at
    return permute(new, tuple(order))


permute = operator(
    "permute(Tensor self, int[] dims) -> Tensor", "The dimensions in another order.",
    shape=lambda x, dims: Spec(tuple(x.shape[d] for d in _permute_dims(dims, len(x.shape))), x.dtype),
    eager=lambda xp, x, dims: x.transpose(dims), view=True, write=_permute_back, check=False,
    vjp=lambda g, _out, _x, dims: (_permute_back(_x, g, dims),), tags=("movement", "varargs"),
    samples=lambda: [Sample((floats(2, 3, 4), (2, 0, 1))), Sample((floats(2, 3), (-1, 0)))],
)  # fmt: skip


def _expand_shape(have: Sequence[Any], want: Sequence[Any]) -> tuple[Any, ...]:
    lead = len(want) - len(have)
    if lead < 0:
        raise ShapeError(
            f"expand of {list(have)} to {list(want)}: the target has fewer dimensions; it may only add some in front"
        )
    out: list[Any] = []
    for at, n in enumerate(want):
        m: Any = have[at - lead] if at >= lead else 1
        if type(n) is int and n == -1:
            if at < lead:
                raise ShapeError(f"expand of {list(have)} to {list(want)}: -1 cannot stand for a new dimension")
            out.append(m)
        elif same_size(m, n) or (type(m) is int and m == 1) or sym_eq(m, n):
            out.append(n)
        else:
            raise ShapeError(
                f"expand of {list(have)} to {list(want)}: dimension {at} has size {m} and cannot become {n}; only "
                "sizes of 1 expand"
            )
    return tuple(out)


expand = operator(
    "expand(Tensor self, int[] shape) -> Tensor", "Dimensions of size 1 repeated without copying; -1 keeps a size.",
    shape=lambda x, shape: Spec(_expand_shape(x.shape, shape), x.dtype), view=True, check=False,
    eager=lambda xp, x, shape: np.broadcast_to(x, _expand_shape(x.shape, shape)),
    vjp=lambda g, _out, _x, shape: (g,), tags=("movement", "varargs"),
    samples=lambda: [Sample((floats(2, 1), (2, 3))), Sample((floats(3), (2, -1))), Sample((floats(1, 3), (4, 2, 3)))],
)  # fmt: skip


def slice_range(size: Any, start: Any, end: Any, step: Any) -> tuple[Any, Any]:
    """First index and number of elements of `start:end:step` on a dimension of `size`, clipped as Python does."""

    def clip(at: Any) -> Any:
        if (type(at) is int and at < 0) or (isinstance(at, SymInt) and at < 0):
            at = sym_max(at + size, 0)
        return at if same_size(at, size) else sym_min(at, size)

    first = 0 if start is None else clip(start)
    last = size if end is None or (type(end) is int and end >= 2**62) else clip(end)
    return first, sym_max((last - first + step - 1) // step, 0)


def _slice_shape(x: Any, dim: Any = 0, start: Any = None, end: Any = None, step: Any = 1) -> Spec:
    if not x.shape:
        raise DimError("slice of a 0-d tensor; it has no dimension to slice")
    at = wrap_dim(dim, len(x.shape))
    if step < 1:
        raise ArgumentError(f"slice step must be positive, got {step}; use flip for the reverse order")
    _, count = slice_range(x.shape[at], start, end, step)
    return Spec((*x.shape[:at], count, *x.shape[at + 1 :]), x.dtype)


def _slice_kernel(xp: Any, x: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    if step < 1:
        raise ArgumentError(f"slice step must be positive, got {step}; use flip for the reverse order")
    return x[(slice(None),) * wrap_dim(dim, x.ndim) + (slice(start, end, step),)]


def _slice_vjp(g: Any, _out: Any, _x: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    size = _x.shape[dim]
    first, count = slice_range(size, start, end, step)
    return (_spread(g, dim, first, count, step, size),)


def _spread(g: Any, dim: int, first: Any, count: Any, step: Any, size: Any) -> Any:
    """Put `count` slices at first, first + step ... into zeros of `size`."""
    rank = len(g.shape)
    dim %= rank
    if step != 1:  # widen every slice to `step` slices, the others zero, then cut the overhang
        wide = constant_pad_nd(unsqueeze(g, dim + 1), [0, 0] * (rank - dim - 1) + [0, step - 1])
        g = view(wide, (*g.shape[:dim], count * step, *g.shape[dim + 1 :]))
        count = count * step
    after = size - first - count
    if type(after) is int and after < 0:
        g, after = slice_(g, dim, 0, size - first), 0
    if type(after) is int and type(first) is int and after == 0 and first == 0:
        return g
    return constant_pad_nd(g, [0, 0] * (rank - dim - 1) + [first, after])


def _slice_write(base: Any, new: Any, dim: Any, start: Any, end: Any, step: Any) -> Any:
    from .update import slice_scatter

    return slice_scatter(base, new, dim, start, end, step)


slice_ = operator(
    "slice(Tensor self, int dim=0, int? start=None, int? end=None, int step=1) -> Tensor",
    "Elements start, start + step ... before end, along one dimension.",
    shape=_slice_shape, eager=_slice_kernel, view=True, write=_slice_write, check=False, vjp=_slice_vjp,
    tags=("movement",),
    samples=lambda: [
        Sample((floats(2, 5), 1, 1, 4)), Sample((floats(5, 2), 0, -4, -1, 2)), Sample((floats(5), 0, 1, None, 3)),
        Sample((floats(2, 3), -1, 0, 100)),
    ],
)  # fmt: skip


def entries(name: str, tensors: Any) -> list[Any]:
    """The tensors that an operator joins: at least one, and nothing else among them."""
    found = list(tensors)
    if not found:
        raise ArgumentError(f"{name} needs at least one tensor")
    for n, t in enumerate(found):
        if not hasattr(t, "shape"):
            given = "None" if t is None else f"of type {type(t).__name__}"
            raise ArgumentError(f"{name}: every entry must be a Tensor, entry {n} is {given}")
    return found


def _cat_parts(tensors: Sequence[Any]) -> list[Any]:
    tensors = entries("cat", tensors)
    # torch skips 1-d empty tensors; a size that is not known yet is not taken for 0
    parts = [t for t in tensors if len(t.shape) != 1 or type(t.shape[0]) is not int or t.shape[0] != 0]
    return parts or list(tensors[:1])


def _cat_shape(tensors: Sequence[Any], dim: Any = 0) -> Spec:
    parts = _cat_parts(tensors)
    first = parts[0]
    if not first.shape:
        raise ShapeError("cat of 0-d tensors; use stack, which adds a dimension")
    at = wrap_dim(dim, len(first.shape))
    total: Any = 0
    for n, part in enumerate(parts):
        if len(part.shape) != len(first.shape):
            raise ShapeError(f"cat: tensor {n} has {len(part.shape)} dimensions, tensor 0 has {len(first.shape)}")
        for d, (a, b) in enumerate(zip(first.shape, part.shape, strict=True)):
            if d != at and not sym_eq(a, b):
                raise ShapeError(
                    f"cat along dimension {at}: sizes of dimension {d} differ, {a} in tensor 0 and {b} in tensor {n}; "
                    "all other dimensions must be equal"
                )
        total = total + part.shape[at]
    return Spec((*first.shape[:at], total, *first.shape[at + 1 :]), promoted(*tensors))


def _cat_vjp(g: Any, _out: Any, _tensors: Any, dim: Any) -> Any:
    grads: list[Any] = []
    start: Any = 0
    for t in _tensors:
        if tuple(t.shape) == (0,) and len(g.shape) != 1:
            grads.append(None)
            continue
        end = start + t.shape[dim]
        grads.append(slice_(g, dim, start, end) if t.requires_grad else None)
        start = end
    return (grads,)


cat = operator(
    "cat(Tensor[] tensors, int dim=0) -> Tensor",
    "Tensors joined along an existing dimension.",
    shape=_cat_shape,
    eager=lambda xp, tensors, dim: np.concatenate(promote_arrays(*_cat_parts(tensors)), axis=dim),
    vjp=_cat_vjp,
    tags=("movement",),
    samples=lambda: [
        Sample(([floats(2, 3), floats(1, 3, seed=2)],)),
        Sample(([floats(2, 3), floats(2, 2, seed=2)], -1)),
    ],
)


def _pads(pad: Sequence[Any], rank: int) -> list[tuple[Any, Any]]:
    if len(pad) % 2 or len(pad) > 2 * rank:
        raise ArgumentError(
            f"pad {list(pad)} for a tensor of {rank} dimensions; expected (before, after) pairs from the last "
            "dimension backwards"
        )
    pairs: list[tuple[Any, Any]] = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return [(0, 0)] * (rank - len(pairs)) + pairs[::-1]


def _pad_shape(x: Any, pad: Any, value: Any = 0) -> Spec:
    if x.dtype.is_storage and value:
        raise DTypeError(f"pad of {x.dtype} with {value}: {stores_only(x.dtype)}")
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, _pads(pad, len(x.shape)), strict=True))
    if any(type(n) is int and n < 0 for n in shape):
        raise ShapeError(f"pad {list(pad)} cuts more than there is from shape {list(x.shape)}")
    return Spec(shape, x.dtype)


def _pad_kernel(xp: Any, x: Any, pad: Any, value: Any) -> Any:
    pairs = _pads(pad, x.ndim)
    keep = tuple(slice(max(-a, 0), n - max(-b, 0)) for n, (a, b) in zip(x.shape, pairs, strict=True))
    x = x[keep]
    pairs = [(max(a, 0), max(b, 0)) for a, b in pairs]
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pairs, strict=True))
    out = xp.full(shape, value, x.dtype) if value else xp.zeros(shape, x.dtype)
    out[tuple(slice(a, a + n) for n, (a, _) in zip(x.shape, pairs, strict=True))] = x
    return out


constant_pad_nd: Callable[..., Any] = operator(
    "constant_pad_nd(Tensor self, int[] pad, Scalar value=0) -> Tensor",
    "A constant border; `pad` holds (before, after) pairs from the last dimension backwards, negative ones cut.",
    shape=_pad_shape, eager=_pad_kernel, tags=("movement",),
    vjp=lambda g, _out, _x, pad, value: (constant_pad_nd(g, tuple(-p for p in pad)),),
    samples=lambda: [
        Sample((floats(2, 3), (1, 2))), Sample((floats(2, 3), (1, -1, 0, 2), 0.5)), Sample((floats(3), (-1, 0))),
    ],
)  # fmt: skip


def _flip_shape(x: Any, dims: Any) -> Spec:
    wrap_dims(dims, len(x.shape))
    return Spec(tuple(x.shape), x.dtype)


flip: Callable[..., Any] = operator(
    "flip(Tensor self, int[] dims) -> Tensor",
    "The order of the elements reversed along dimensions.",
    shape=_flip_shape,
    eager=lambda xp, x, dims: np.flip(x, dims).copy() if dims else x.copy(),
    tags=("movement", "varargs"),
    vjp=lambda g, _out, _x, dims: (flip(g, dims) if dims else g,),
    samples=lambda: [Sample((floats(2, 3), (1,))), Sample((floats(2, 3), (0, -1)))],
)
clone = operator(
    "clone(Tensor self, *, any memory_format=None) -> Tensor",
    "A copy in memory of its own.",
    shape=lambda x, memory_format=None: Spec(tuple(x.shape), x.dtype),
    eager=lambda xp, x, memory_format: row_major(x) if memory_format is None else laid_out(x, memory_format),
    check=False,
    tags=("movement",),
    vjp=lambda g, _out, _x, memory_format: (g,),
    samples=lambda: [Sample((floats(2, 3),))],
)
alias = operator(
    "alias(Tensor self) -> Tensor",
    "The same tensor under another name.",
    shape=lambda x: Spec(tuple(x.shape), x.dtype), eager=lambda xp, x: x[...], view=True, write=lambda base, new: new,
    tags=("movement",), check=False, vjp=lambda g, _out, _x: (g,), samples=lambda: [Sample((floats(2),))],
)  # fmt: skip

# -- shorthand: these reach modes only as the primitives above ------------------------------------


def _shorthand(schema: str, doc: str, decompose: Any, *samples: Any, tags: tuple[str, ...] = (), **hooks: Any) -> Any:
    return operator(
        schema, doc, decompose=decompose, inline=True, tags=("movement", *tags), samples=lambda: list(samples), **hooks
    )


def _short_view(kernel: Any, back: Any = None) -> dict[str, Any]:
    """Hooks of a shorthand that is one view: `back(new, base, **attrs)` takes its result to the shape of the base."""
    back = back or (lambda new, base, **attrs: view(new, tuple(base.shape)))
    return {
        "eager": kernel,
        "vjp": lambda g, _out, _x, **attrs: (back(g, _x, **attrs),),
        "write": lambda base, new, **attrs: back(new, base, **attrs),
        "view": True,
        "check": False,
    }


def _transpose(x: Any, dim0: int, dim1: int) -> Any:
    rank = len(x.shape)
    a, b = wrap_dim(dim0, rank), wrap_dim(dim1, rank)
    order = list(range(rank))
    if rank:
        order[a], order[b] = order[b], order[a]
    return permute(x, tuple(order))


def _t(x: Any) -> Any:
    if len(x.shape) > 2:
        raise ShapeError(
            f"t() is for tensors of at most 2 dimensions, got shape {list(x.shape)}; use transpose(a, b) or mT"
        )
    return permute(x, (1, 0)) if len(x.shape) == 2 else alias(x)


def _select(x: Any, dim: int, index: Any) -> Any:
    rank = len(x.shape)
    if rank == 0:
        raise DimError("select on a 0-d tensor; it has no dimension to index")
    at = wrap_dim(dim, rank)
    size = x.shape[at]
    if type(index) is int and type(size) is int and not -size <= index < size:
        raise DimError(f"index {index} is out of range for dimension {at} of size {size}")
    if type(index) is int and index < 0:
        index = index + size
    part = slice_(x, at, index, index + 1)
    return view(part, (*x.shape[:at], *x.shape[at + 1 :]))


def _select_kernel(xp: Any, x: Any, dim: int, index: int) -> Any:
    return x[index, ...] if dim == 0 else x[(*(slice(None),) * (dim if dim >= 0 else dim + x.ndim), index, ...)]


def _select_vjp(g: Any, _out: Any, _x: Any, dim: int, index: int) -> Any:
    size = _x.shape[dim]
    at = dim % len(_x.shape)
    return (_spread(unsqueeze(g, at), at, index if index >= 0 else index + size, 1, 1, size),)


def _select_write(base: Any, new: Any, dim: int, index: int) -> Any:
    size = base.shape[dim]
    at, first = dim % len(base.shape), index if index >= 0 else index + size
    return _slice_write(base, unsqueeze(new, at), at, first, first + 1, 1)


def _squeeze(x: Any, dim: Any = None) -> Any:
    rank = len(x.shape)
    dims = range(rank) if dim is None else [wrap_dim(d, rank) for d in dim]
    drop = {d for d in dims if rank and type(x.shape[d]) is int and x.shape[d] == 1}
    return view(x, tuple(n for d, n in enumerate(x.shape) if d not in drop)) if drop else alias(x)


def _unsqueeze(x: Any, dim: int) -> Any:
    at = wrap_dim(dim, len(x.shape) + 1)
    return view(x, (*x.shape[:at], 1, *x.shape[at:]))


def _flatten(x: Any, start_dim: int = 0, end_dim: int = -1) -> Any:
    rank = len(x.shape)
    a, b = wrap_dim(start_dim, rank), wrap_dim(end_dim, rank)
    if a > b:
        raise DimError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    if rank == 0:
        return view(x, (1,))
    return alias(x) if a == b else view(x, (*x.shape[:a], numel(x.shape[a : b + 1]), *x.shape[b + 1 :]))


def _flatten_kernel(x: Any, start_dim: int, end_dim: int) -> Any:
    a, b = wrap_dim(start_dim, x.ndim), wrap_dim(end_dim, x.ndim)
    if a > b:
        raise DimError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    return x.reshape((*x.shape[:a], numel(x.shape[a : b + 1]), *x.shape[b + 1 :])) if x.ndim else x.reshape(1)


def _unflatten(x: Any, dim: int, sizes: Any) -> Any:
    at = wrap_dim(dim, len(x.shape))
    return view(x, (*x.shape[:at], *resolve_view(x.shape[at : at + 1], sizes), *x.shape[at + 1 :]))


def _stack(tensors: Any, dim: int = 0) -> Any:
    tensors = entries("stack", tensors)
    for n, t in enumerate(tensors[1:], 1):
        if len(t.shape) != len(tensors[0].shape) or not all(map(sym_eq, t.shape, tensors[0].shape)):
            raise ShapeError(
                f"stack: tensor {n} has shape {list(t.shape)}, tensor 0 has {list(tensors[0].shape)}; "
                "they must be equal"
            )
    at = wrap_dim(dim, len(tensors[0].shape) + 1)
    return cat([unsqueeze(t, at) for t in tensors], at)


def _narrow(x: Any, dim: int, start: Any, length: Any) -> Any:
    size = x.shape[dim]
    if type(length) is int and length < 0:
        raise ShapeError(f"narrow: the length must not be negative, got {length}")
    if type(start) is int and type(size) is int and not -size <= start <= size:
        raise DimError(f"narrow: start {start} is out of range for a dimension of size {size}")
    if type(start) is int and start < 0:
        start = start + size
    if start + length > size:
        raise DimError(f"narrow: start {start} + length {length} exceeds size {size} of dimension {dim}")
    return slice_(x, dim, start, start + length)


def _repeat(x: Any, repeats: Any) -> Any:
    lead = len(repeats) - len(x.shape)
    if lead < 0:
        raise ShapeError(
            f"repeat: {len(repeats)} counts for a tensor of {len(x.shape)} dimensions; give one per dimension"
        )
    shape = (1,) * lead + tuple(x.shape)
    if all(type(r) is int and r == 1 for r in repeats):
        return clone(view(x, shape))
    inner = [n for pair in zip([1] * len(shape), shape, strict=True) for n in pair]
    outer = [n for pair in zip(repeats, shape, strict=True) for n in pair]
    return view(expand(view(x, inner), outer), tuple(r * n for r, n in zip(repeats, shape, strict=True)))


def _tile(x: Any, dims: Any) -> Any:
    return repeat(x, (1,) * (len(x.shape) - len(dims)) + tuple(dims))


def _repeat_interleave(x: Any, repeats: int, dim: Any = None) -> Any:
    if dim is None:
        x, dim = flatten(x), 0
    at = wrap_dim(dim, len(x.shape))
    wide = expand(unsqueeze(x, at + 1), (*x.shape[: at + 1], repeats, *x.shape[at + 1 :]))
    return view(wide, (*x.shape[:at], x.shape[at] * repeats, *x.shape[at + 1 :]))


def _roll(x: Any, shifts: Any, dims: Any = ()) -> Any:
    if not dims:
        return view(_roll(flatten(x), shifts, (0,)), tuple(x.shape))
    if len(shifts) != len(dims):
        raise ArgumentError(f"roll: {len(shifts)} shifts for {len(dims)} dimensions; give one per dimension")
    for shift, dim in zip(shifts, dims, strict=True):
        size = x.shape[dim]
        cut = (size - shift) % size if type(size) is not int or size else 0
        if type(cut) is not int or cut:
            x = cat([slice_(x, dim, cut, None), slice_(x, dim, 0, cut)], dim)
    return x


def _movedim(x: Any, source: Any, destination: Any) -> Any:
    rank = len(x.shape)
    if len(source) != len(destination):
        raise ArgumentError(f"movedim: {len(source)} source and {len(destination)} destination dimensions")
    src, dst = wrap_dims(source, rank), wrap_dims(destination, rank)
    rest = iter(d for d in range(rank) if d not in src)
    at = dict(zip(dst, src, strict=True))
    return permute(x, tuple(at[d] if d in at else next(rest) for d in range(rank)))


reshape = _shorthand(
    "reshape(Tensor self, int[] shape) -> Tensor", "The same elements under another shape, a view where memory allows.",
    lambda x, shape: view(x, shape), Sample((floats(2, 6), (4, -1))), tags=("varargs",),
    **_short_view(_view_kernel),
)  # fmt: skip
transpose: Callable[..., Any] = _shorthand(
    "transpose(Tensor self, int dim0, int dim1) -> Tensor", "Two dimensions exchanged.", _transpose,
    Sample((floats(2, 3, 4), 0, -1)),
    **_short_view(lambda xp, x, dim0, dim1: x.swapaxes(dim0, dim1) if x.ndim else x[...],
                  lambda new, base, dim0, dim1: transpose(new, dim0, dim1)),
)  # fmt: skip
t = _shorthand("t(Tensor self) -> Tensor", "A matrix transposed.", _t, Sample((floats(2, 3),)))
select = _shorthand(
    "select(Tensor self, int dim, int index) -> Tensor", "One index along a dimension, which disappears.", _select,
    Sample((floats(2, 3), 1, -1)), view=True, write=_select_write, check=False, vjp=_select_vjp,
    eager=_select_kernel,
)  # fmt: skip
squeeze = _shorthand(
    "squeeze(Tensor self, int[]? dim=None) -> Tensor",
    "Dimensions of size 1 removed (only the named ones, if any).",
    _squeeze,
    Sample((floats(2, 1, 3, 1),)),
    Sample((floats(2, 1, 3, 1), (1, 0))),
)
unsqueeze = _shorthand(
    "unsqueeze(Tensor self, int dim) -> Tensor", "A new dimension of size 1.", _unsqueeze, Sample((floats(2, 3), -1)),
    **_short_view(lambda xp, x, dim: np.expand_dims(x, dim)),
)  # fmt: skip
flatten = _shorthand(
    "flatten(Tensor self, int start_dim=0, int end_dim=-1) -> Tensor",
    "Neighbouring dimensions joined into one.",
    _flatten,
    Sample((floats(2, 3, 2), 1)),
    Sample((floats(2, 3),)),
    **_short_view(lambda xp, x, start_dim, end_dim: _flatten_kernel(x, start_dim, end_dim)),
)
unflatten = _shorthand(
    "unflatten(Tensor self, int dim, int[] sizes) -> Tensor", "One dimension split into several.", _unflatten,
    Sample((floats(2, 6), 1, (2, -1))),
)  # fmt: skip
stack = _shorthand(
    "stack(Tensor[] tensors, int dim=0) -> Tensor", "Tensors of one shape joined along a new dimension.", _stack,
    Sample(([floats(2, 3), floats(2, 3, seed=2)], 1)),
)  # fmt: skip
_narrow_by_ints = _shorthand(
    "narrow(Tensor self, int dim, int start, int length) -> Tensor",
    "`length` elements from `start` along a dimension.",
    _narrow,
    Sample((floats(2, 5), 1, 1, 3)),
)


@function(method=True)
def narrow(self: Any, dim: int, start: Any, length: int) -> Any:
    """`length` elements from `start`, an int or a 0-d integer tensor, along a dimension; a view."""
    if hasattr(start, "_data") and (len(start.shape) or start.dtype.category != 1):
        raise ArgumentError(
            f"narrow: start must be an int or a 0-d integer tensor, got {start.dtype} {list(start.shape)}"
        )
    return _narrow_by_ints(self, dim, start, length)


repeat = _shorthand(
    "repeat(Tensor self, int[] repeats) -> Tensor",
    "Copies laid side by side, as many as given per dimension.",
    _repeat,
    Sample((floats(2, 3), (2, 1, 2))),
    tags=("varargs",),
)
tile = _shorthand(
    "tile(Tensor self, int[] dims) -> Tensor",
    "Like repeat, missing counts being 1.",
    _tile,
    Sample((floats(2, 3), (2,))),
    tags=("varargs",),
)
repeat_interleave = _shorthand(
    "repeat_interleave(Tensor self, int repeats, int? dim=None) -> Tensor", "Every element repeated in place.",
    _repeat_interleave, Sample((floats(2, 3), 2, 1)), Sample((floats(2, 3), 2)),
)  # fmt: skip
roll = _shorthand(
    "roll(Tensor self, int[] shifts, int[] dims=[]) -> Tensor",
    "Elements moved along dimensions, what leaves at the end returns in front.",
    _roll,
    Sample((floats(2, 3), (1, -1), (0, 1))),
    Sample((floats(2, 3), 2)),
)
movedim = _shorthand(
    "movedim(Tensor self, int[] source, int[] destination) -> Tensor", "Dimensions moved to other places.", _movedim,
    Sample((floats(2, 3, 4), 0, -1)),
)  # fmt: skip
broadcast_to = _shorthand(
    "broadcast_to(Tensor self, int[] size) -> Tensor", "The same as expand.", lambda x, size: expand(x, size),
    Sample((floats(2, 1), (2, 3))), tags=("varargs",),
)  # fmt: skip


def _triangle(upper: bool) -> Any:
    def run(x: Any, diagonal: int = 0) -> Any:
        from .create import arange
        from .pointwise import ge, le, where

        if len(x.shape) < 2:
            raise ShapeError(f"needs at least 2 dimensions, got shape {list(x.shape)}")
        row = view(arange(x.shape[-2]), (x.shape[-2], 1)) + diagonal
        column = arange(x.shape[-1])
        return where(ge(column, row) if upper else le(column, row), x, False)  # a bool takes any type

    return run


def _triangle_shape(x: Any, diagonal: Any = 0) -> Spec:
    if len(x.shape) < 2:
        raise ShapeError(f"needs at least 2 dimensions, got shape {list(x.shape)}; use view or unsqueeze first")
    return Spec(tuple(x.shape), x.dtype)


def _triangle_op(name: str, upper: bool, doc: str) -> Any:
    def vjp(g: Any, _out: Any, _x: Any, diagonal: int) -> Any:
        return ((triu if upper else tril)(g, diagonal),)

    def eager(xp: Any, x: Any, diagonal: int) -> Any:
        keep = xp.tri(x.shape[-2], x.shape[-1], diagonal - 1 if upper else diagonal, dtype=bool)
        return xp.where(keep, xp.zeros(1, x.dtype), x) if upper else xp.where(keep, x, xp.zeros(1, x.dtype))

    return operator(
        f"{name}(Tensor self, int diagonal=0) -> Tensor", doc, shape=_triangle_shape, eager=eager, vjp=vjp,
        decompose=_triangle(upper), tags=("inplace", "movement"),
        samples=lambda: [Sample((floats(3, 4),)), Sample((floats(2, 3, 3), 1)), Sample((floats(3, 3), -1))],
    )  # fmt: skip


tril = _triangle_op("tril", False, "The part on and below a diagonal, zeros elsewhere.")
triu = _triangle_op("triu", True, "The part on and above a diagonal, zeros elsewhere.")
