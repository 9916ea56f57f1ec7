"""Methods of tensors about their memory: who shares it, where it is, and what tensors that are not dense would have."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .errors import ArgumentError, InplaceError, UnsupportedError
from .source import user_location
from .tape import state
from .tensor import Tensor

__all__ = ["METHODS", "UntypedStorage", "reshaped_in_place"]


class UntypedStorage:
    """The memory that a tensor and its views share, as bytes.

    >>> import pappus as pp
    >>> x = pp.zeros(2, 3)
    >>> x.untyped_storage().data_ptr() == x[1].untyped_storage().data_ptr(), x[1].untyped_storage().nbytes()
    (True, 24)
    """

    def __init__(self, array: Any) -> None:
        while isinstance(array.base, np.ndarray):
            array = array.base
        self._array = array

    def data_ptr(self) -> int:
        """The address of the first byte."""
        return int(self._array.__array_interface__["data"][0])

    def nbytes(self) -> int:
        """The number of bytes."""
        return int(self._array.nbytes)

    size = __len__ = nbytes

    def tolist(self) -> list[int]:
        """The bytes."""
        return list(self._array.tobytes())

    def __eq__(self, other: object) -> bool:
        return isinstance(other, UntypedStorage) and self.data_ptr() == other.data_ptr()

    def __hash__(self) -> int:
        return self.data_ptr()


class TypedStorage(UntypedStorage):
    """The memory that a tensor and its views share, as elements of its type."""

    def size(self) -> int:
        """The number of elements."""
        return int(self._array.size)

    __len__ = size

    def tolist(self) -> list[Any]:
        """The elements."""
        return self._array.reshape(-1).tolist()  # type: ignore[no-any-return]


def _storage(self: Tensor) -> TypedStorage:
    """The memory this tensor shares with its views, as elements."""
    return TypedStorage(self.detach().numpy())


def _untyped_storage(self: Tensor) -> UntypedStorage:
    """The memory this tensor shares with its views, as bytes."""
    return UntypedStorage(self.detach().numpy())


def _new(self: Tensor, *items: Any, device: Any = None) -> Tensor:
    """A tensor of this one's type: of a size (`x.new(2, 3)`) or of data (`x.new([1.0])`)."""
    from . import ops as loaded

    ops: Any = loaded
    if len(items) == 1 and isinstance(items[0], (list, tuple, np.ndarray)) and not hasattr(items[0], "numel"):
        return ops.tensor(items[0], dtype=self.dtype)  # type: ignore[no-any-return]
    if len(items) == 1 and isinstance(items[0], Tensor):
        return items[0].to(self.dtype)  # type: ignore[no-any-return]
    shape = tuple(items[0]) if len(items) == 1 and isinstance(items[0], tuple) else (items or (0,))
    return ops.empty(shape, dtype=self.dtype)  # type: ignore[no-any-return]


def _same(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor itself."""
    return self


def _get_device(self: Tensor) -> int:
    """The number of the GPU, -1 on the CPU."""
    return -1 if self.device.type == "cpu" else self.device.index or 0


def _is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: memory is pinned for a GPU."""
    return False


def _is_shared(self: Tensor) -> bool:
    """False: memory belongs to one process."""
    return False


def _nothing(self: Tensor, *args: Any) -> None:
    """Nothing: there are no streams to tell."""


def _as_subclass(self: Tensor, cls: type[Tensor]) -> Tensor:
    """The same memory and history as a tensor of a class of one's own."""
    made = cls._from_data(self._data)
    _history(made, self)
    return made


def _is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both show the same memory in the same way."""
    mine, theirs = self.detach().numpy(), tensor.detach().numpy()
    same = self.data_ptr() == tensor.data_ptr() and mine.shape == theirs.shape
    return same and mine.strides == theirs.strides and mine.dtype == theirs.dtype


def _is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether both have the same shape."""
    return tuple(self.shape) == tuple(other.shape)


def _fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """The elements whose indices are all equal set to `fill_value`; with `wrap` again and again below in a tall
    matrix.

    >>> import pappus as pp
    >>> pp.zeros(2, 2).fill_diagonal_(3.0)
    tensor([[3., 0.],
            [0., 3.]])
    """
    if self.ndim < 2 or (self.ndim > 2 and len(set(self.shape)) > 1):
        raise ArgumentError(
            f"fill_diagonal_: a shape of two dimensions, or of equal sizes, is needed, got {list(self.shape)}"
        ).at("fill_diagonal_", user_location())
    mask = np.zeros(tuple(self.shape), np.bool_)
    np.fill_diagonal(mask, True, wrap=wrap)
    return self.masked_fill_(Tensor._from_data(mask), fill_value)  # type: ignore[no-any-return]


def _sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """Summed over the dimensions that broadcasting would expand to this shape.

    >>> import pappus as pp
    >>> pp.ones(2, 3).sum_to_size(1, 3)
    tensor([[2., 2., 2.]])
    """
    shape = tuple(size[0]) if len(size) == 1 and isinstance(size[0], (tuple, list)) else size
    extra = self.ndim - len(shape)
    wrong = extra < 0 or any(b not in (1, a) for a, b in zip(self.shape[max(extra, 0) :], shape, strict=False))
    if wrong:
        raise ArgumentError(f"size {list(shape)} does not expand to {list(self.shape)}").at(
            "sum_to_size", user_location()
        )
    dims = [*range(extra), *(i + extra for i, n in enumerate(shape) if n == 1 and self.shape[i + extra] != 1)]
    return (self.sum(dims) if dims else self).reshape(shape)  # type: ignore[no-any-return]


def _apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Every element replaced by what a Python function makes of it; slow."""
    values = [callable(item) for item in self.detach().reshape(-1).tolist()]
    return self.copy_(Tensor._from_data(np.array(values, self.dtype.numpy).reshape(tuple(self.shape))))  # type: ignore[no-any-return]


def _map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Every element replaced by what a Python function makes of it and of the other tensor's; slow."""
    other = iter(tensor.detach().expand(tuple(self.shape)).reshape(-1).tolist())
    return _apply_(self, lambda value: callable(value, next(other)))


# -- in place, but not a write: the tensor becomes a view of what it was ---------------------------


def _history(target: Tensor, source: Tensor) -> None:
    """Give `target` the memory and the history of `source`."""
    for key in ("_data", "_storage", "_base", "_node", "_index", "_requires_grad", "_recipe", "_seen", "_made"):
        setattr(target, key, getattr(source, key))


def reshaped_in_place(front: Callable[..., Any], name: str) -> Callable[..., Tensor]:
    """The method `name` that makes a tensor the view which `front` gives of it: `x.unsqueeze_(0)`."""

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if state.grad and self._requires_grad and self._node is None:
            raise InplaceError(
                f"{name}: a leaf that requires grad cannot become another shape in place; use {name[:-1]}, or no_grad()"
            ).at(name, user_location())
        if not self._requires_grad and self._base is None:
            self._data = front(self.detach(), *args, **kwargs)._data
            return self
        before = Tensor._from_data(self._data)
        _history(before, self)
        _history(self, front(before, *args, **kwargs))
        return self

    method.__name__ = name
    method.__doc__ = f"{name[:-1]} in place: this tensor becomes that view of its memory."
    return method


# -- what dense tensors do not have ---------------------------------------------------------------


def _refused(name: str, reason: str) -> Callable[..., Any]:
    def method(self: Tensor, *args: Any, **kwargs: Any) -> Any:
        raise UnsupportedError(f"{name}: {reason}").at(name, user_location())

    method.__name__, method.__doc__ = name, f"Refused: {reason}."
    return method


_SPARSE = "this tensor is dense, as all tensors of Pappus are; use its elements as they are"
_QUANTIZED = "this tensor is not quantized; it has its numbers already"
METHODS: dict[str, Any] = {
    "storage": _storage, "untyped_storage": _untyped_storage, "new": _new, "pin_memory": _same, "to_dense": _same,
    "share_memory_": _same, "is_shared": _is_shared, "is_pinned": _is_pinned, "get_device": _get_device,
    "record_stream": _nothing, "as_subclass": _as_subclass, "is_set_to": _is_set_to, "is_same_size": _is_same_size,
    "fill_diagonal_": _fill_diagonal_, "sum_to_size": _sum_to_size, "apply_": _apply_, "map_": _map_,
    "is_cpu": property(lambda self: self.device.type == "cpu"), "name": None,
    "is_mps": False, "is_xpu": False, "is_sparse_csr": False, "is_mkldnn": False,
    "is_coalesced": _refused("is_coalesced", _SPARSE),
    **{name: _refused(name, _SPARSE) for name in (
        "to_sparse", "to_sparse_csr", "to_sparse_csc", "to_sparse_coo", "coalesce", "indices", "values", "_indices",
        "_values", "_nnz", "crow_indices", "col_indices", "sparse_mask", "sparse_dim", "dense_dim")},
    **{name: _refused(name, _QUANTIZED) for name in ("dequantize", "int_repr", "q_scale", "q_zero_point")},
    "resize": _refused("resize", "it changed the tensor it was called on; use reshape, or resize_"),
}  # fmt: skip
