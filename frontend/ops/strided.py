"""Tensors by explicit strides: `as_strided` and what it gives, `empty_strided`, and `resize_`.

Strides and offsets count elements of the memory that the tensor is a view of, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .. import inplace
from ..dtypes import get_default_dtype
from ..errors import ArgumentError, AutogradError, DeviceError, ShapeError
from ..opdef import Sample, Spec, operator
from ..tape import Storage
from ..tensor import Tensor, owner_of
from ._names import function
from ._samples import floats
from ._shapes import numel
from .create import empty, sizes, zeros
from .index import index_add, index_select
from .shape import clone, permute, reshape


def _memory(array: Any) -> tuple[Any, int]:
    """The memory of a view as a flat array, and where the view begins in it, in elements."""
    if type(array) is not np.ndarray:
        raise DeviceError("strides can be chosen only for tensors on the CPU; move the tensor with .cpu()")
    owner = owner_of(array)
    first = array.__array_interface__["data"][0] - owner.__array_interface__["data"][0]
    flat = owner.reshape(-1) if owner.flags.c_contiguous else owner.T.reshape(-1)
    return flat, int(first) // int(array.itemsize)


def _places(size: Sequence[int], stride: Sequence[int], offset: int = 0) -> Any:
    """The place in memory of each element of a strided tensor, as an int64 array of its shape."""
    out = np.full(tuple(size), offset, np.int64)
    for d, (n, step) in enumerate(zip(size, stride, strict=True)):
        out += (np.arange(n) * step).reshape([-1 if at == d else 1 for at in range(len(size))])
    return out


def _reach(size: Sequence[int], stride: Sequence[int], offset: int = 0) -> int:
    """How many elements of memory a strided tensor needs."""
    if 0 in size:
        return 0
    return offset + 1 + sum((n - 1) * step for n, step in zip(size, stride, strict=True))


def _strided_shape(x: Any, size: Any, stride: Any, storage_offset: Any = None) -> Spec:
    if len(size) != len(stride):
        raise ShapeError(f"as_strided: {len(size)} sizes {list(size)} but {len(stride)} strides {list(stride)}")
    for what, numbers in (("sizes", size), ("strides", stride), ("the offset", (storage_offset or 0,))):
        if any(n < 0 for n in numbers):
            raise ShapeError(f"as_strided: {what} must not be negative, got {list(numbers)}")
    return Spec(tuple(size), x.dtype)


def _strided_kernel(xp: Any, x: Any, size: Any, stride: Any, storage_offset: Any) -> Any:
    memory, start = _memory(x)
    offset = start if storage_offset is None else storage_offset
    need = _reach(size, stride, offset)
    if need > memory.size:
        raise ShapeError(
            f"as_strided: sizes {list(size)} with strides {list(stride)} from {offset} need {need} elements of memory, "
            f"the tensor's has {memory.size}"
        )
    alone = x.flags.writeable and (numel(size) < 2 or np.unique(_places(size, stride)).size == numel(size))
    steps = [n * memory.itemsize for n in stride]
    return np.lib.stride_tricks.as_strided(memory[offset:], size, steps, writeable=alone)


def _strided_vjp(g: Any, _out: Any, x: Any, size: Any, stride: Any, storage_offset: Any) -> Any:
    """Into memory by the result's places and out of it by the operand's, where each element of memory counts once."""
    own = x.storage_offset()
    offset = own if storage_offset is None else storage_offset
    low = min(own, offset)
    into, out = _places(size, stride, offset - low), _places(x.shape, x.stride(), own - low)
    memory = zeros((max(_reach(size, stride, offset - low), _reach(x.shape, x.stride(), own - low)),), dtype=g.dtype)
    memory = index_add(memory, 0, Tensor._from_data(into.reshape(-1)), reshape(g, (-1,)))
    back = reshape(index_select(memory, 0, Tensor._from_data(out.reshape(-1))), tuple(x.shape))
    times = np.bincount(out.reshape(-1))[out] if out.size else np.ones(out.shape)
    return (back if times.max(initial=1) == 1 else back / Tensor._from_data(times.astype(g.dtype.numpy)),)


def _strided_by_index(x: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """The same for a tensor that lies in memory by itself, in row-major order."""
    places = _places(size, stride, storage_offset or 0)
    return reshape(index_select(reshape(x, (-1,)), 0, Tensor._from_data(places.reshape(-1))), tuple(size))


as_strided = operator(
    "as_strided(Tensor self, int[] size, int[] stride, int? storage_offset=None) -> Tensor",
    """The memory of `self` under other sizes and strides, which count elements; a view.

    Raises ShapeError where that would leave the memory. Elements that share a place cannot be written in place.

    >>> import pappus as pp
    >>> pp.as_strided(pp.arange(6), (2, 3), (1, 2))
    tensor([[0, 2, 4],
            [1, 3, 5]])
    """,
    shape=_strided_shape, eager=_strided_kernel, decompose=_strided_by_index, vjp=_strided_vjp, view=True,
    complex="own", storage=True,
    samples=lambda: [
        Sample((floats(6), (2, 3), (1, 2))), Sample((floats(3, 4), (2, 2), (4, 1), 1)),
        Sample((floats(5), (3, 3), (1, 1))), Sample((floats(2, 2), (), (), 3)),
    ],
)  # fmt: skip


@function(method=True)
def as_strided_scatter(self: Any, src: Any, size: Any, stride: Any, storage_offset: Any = None) -> Any:
    """A copy of `self` in which the elements that `as_strided` would show are those of `src`."""
    spec = _strided_shape(self, size, stride, storage_offset)
    if tuple(src.shape) != spec.shape:
        raise ShapeError(f"as_strided_scatter: src has shape {list(src.shape)}, the sizes are {list(size)}")
    whole = reshape(clone(self), (-1,))
    if _reach(size, stride, storage_offset or 0) > whole.numel():
        raise ShapeError(f"as_strided_scatter: sizes {list(size)}, strides {list(stride)} do not fit {whole.numel()}")
    places = Tensor._from_data(_places(size, stride, storage_offset or 0).reshape(-1))
    return reshape(whole.scatter(0, places, reshape(src, (-1,))), tuple(self.shape))


@function()
def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False,
) -> Any:  # fmt: skip
    """A tensor to be filled (zeros here) whose elements lie in memory by `stride`, counted in elements."""
    memory = zeros((_reach(size, stride),), dtype=dtype or get_default_dtype())
    out = as_strided(memory, tuple(size), tuple(stride)).detach()
    return out.requires_grad_() if requires_grad else out


@function(method=True)
def new_empty_strided(self: Any, size: Any, stride: Any, *, dtype: Any = None, **options: Any) -> Any:
    """`empty_strided` in the type of `self` unless given."""
    return empty_strided(size, stride, dtype=dtype or self.dtype, **options)


@function()
def empty_permuted(size: Any, physical_layout: Any, **options: Any) -> Any:
    """A tensor to be filled (zeros here) whose dimensions lie in memory in the order `physical_layout`, outermost
    first."""
    if sorted(physical_layout) != list(range(len(size))):
        raise ArgumentError(f"empty_permuted: {list(physical_layout)} is no order of {len(size)} dimensions")
    inverse = [int(d) for d in np.argsort(physical_layout)]
    grad = options.pop("requires_grad", False)
    out = permute(empty([size[d] for d in physical_layout], **options), inverse) if len(size) else empty((), **options)
    return out.requires_grad_() if grad else out


@function(method=True)
def resize_(self: Any, *size: Any, memory_format: Any = None) -> Any:
    """Give this tensor another shape in place, over the same memory or, where that is too small, a larger copy of it.

    New elements are zeros. Raises AutogradError for tensors that require grad.
    """
    if self.requires_grad:
        raise AutogradError("resize_: a tensor that requires grad cannot be resized; use reshape, or detach() it first")
    shape = tuple(int(n) for n in sizes(size))
    if any(n < 0 for n in shape):
        raise ShapeError(f"resize_: sizes must not be negative, got {list(shape)}")
    memory, start = _memory(self._data)
    if tuple(self.shape) == shape:
        return self
    end = start + numel(shape)
    if end <= memory.size:
        self._data = memory[start:end].reshape(shape)
    else:
        made = np.zeros(numel(shape), memory.dtype)
        made[: memory.size - start] = memory[start:]
        self._data = made.reshape(shape)
        self._storage, self._base = Storage(), None
    inplace.touch(self, "resize_")
    return self


@function(method=True)
def resize_as_(self: Any, the_template: Any, *, memory_format: Any = None) -> Any:
    """`resize_` to the shape of another tensor."""
    return resize_(self, tuple(the_template.shape))
