"""`x[...]` and `x[...] = v`: basic indexing through views, advanced indexing through the operators index and
index_put."""

from __future__ import annotations

from typing import Any

import numpy as np

from .dispatch import SILENT, errors
from .errors import ArgumentError, DimError
from .inplace import assign, touch
from .opdef import OPS
from .symbolic import SymInt
from .tape import entered, state
from .tensor import Tensor

__all__ = ["get_item", "set_item"]

_FULL = slice(None)


def _normalise(x: Tensor, index: Any) -> list[Any]:
    """The index as a list with one entry per dimension (plus None entries), bool masks expanded, ellipsis filled."""
    items = list(index) if isinstance(index, tuple) else [index]
    if isinstance(index, list) and any(isinstance(i, (slice, type(None), type(Ellipsis), list, Tensor)) for i in index):
        items = list(index) if not any(isinstance(i, list) for i in index) else [index]
    out: list[Any] = []
    used = 0
    for item in items:
        if isinstance(item, (list, np.ndarray, tuple, range)):
            item = _as_tensor(item)
        if isinstance(item, np.integer):
            item = int(item)
        if isinstance(item, Tensor) and item.ndim == 0 and item.dtype.category < 2 and not item.is_symbolic:
            item = item.item()
        if isinstance(item, (bool, np.bool_)):  # a new dimension: of size 1, or of size 0
            out.append(bool(item))
            continue
        if isinstance(item, Tensor):
            if item.dtype.is_floating_point:
                raise DimError(f"tensors used as indices must be integer or bool, got {item.dtype}; use .long()")
            used += max(item.ndim, 1) if item.dtype.category == 0 else 1
        elif item is not None and item is not Ellipsis:
            if not isinstance(item, (int, slice, SymInt)):
                if not hasattr(item, "__index__"):
                    raise ArgumentError(
                        f"cannot index with {type(item).__name__}; use ints, slices, None, ..., lists or "
                        "integer/bool tensors"
                    )
                item = item.__index__()
            used += 1
        out.append(item)
    rank = x.ndim
    if used > rank:
        raise DimError(f"too many indices: {used} for a tensor of {rank} dimensions, shape {list(x.shape)}")
    at = next((i for i, item in enumerate(out) if item is Ellipsis), None)
    if at is None:
        return out
    return out[:at] + [_FULL] * (rank - used) + [i for i in out[at + 1 :] if i is not Ellipsis]


def _as_tensor(item: Any) -> Tensor:
    from . import ops

    array = np.asarray(
        [int(i) if isinstance(i, Tensor) else i for i in item] if isinstance(item, (list, tuple)) else item
    )
    if array.size == 0:
        array = array.astype(np.int64)
    return ops.tensor(array)  # type: ignore[no-any-return]


def _basic(x: Tensor, items: list[Any]) -> tuple[Tensor, list[Any]]:
    """Apply ints, slices and None. Returns the view, and the tensor indices by dimension of it (None where none is)."""
    from . import ops

    dim = 0
    advanced: list[Any] = []
    for item in items:
        if isinstance(item, slice):
            step = 1 if item.step is None else item.step
            if not (item.start is None and item.stop is None and step == 1):
                x = ops.slice(x, dim, item.start, item.stop, step)
            advanced.append(None)
            dim += 1
        elif item is None or isinstance(item, bool):
            x = ops.unsqueeze(x, dim)
            if item is False:
                x = ops.slice(x, dim, 0, 0)
            advanced.append(None)
            dim += 1
        elif isinstance(item, Tensor):
            if item.dtype.category == 0 and item.ndim:
                for d in range(item.ndim):
                    if not item.is_symbolic and item.shape[d] != x.shape[dim + d]:
                        raise DimError(
                            f"bool index of shape {list(item.shape)} does not fit dimensions {dim}.. of shape "
                            f"{list(x.shape)}"
                        )
                for part in ops.unbind(ops.nonzero(item), 1):
                    advanced.append(part)
                dim += item.ndim
            else:
                advanced.append(item)
                dim += 1
        else:
            x = ops.select(x, dim, item)
    return x, advanced


_PLAIN = frozenset((int, slice))


def _of_plain(x: Tensor, items: tuple[Any, ...]) -> Tensor | None:
    """The view for ints and slices that are not the whole tensor, which need no normalising; None for others."""
    if len(items) > len(x._data.shape):
        return None
    view, dim = x, 0
    for item in items:
        if type(item) is int:
            view = OPS["select"].front(view, dim, item)  # type: ignore[misc]
            continue
        start, stop, step = item.start, item.stop, item.step
        if start is not None or stop is not None or step is not None:
            view = OPS["slice"].front(view, dim, start, stop, 1 if step is None else step)  # type: ignore[misc]
        dim += 1
    return None if view is x else view


def get_item(x: Tensor, index: Any) -> Tensor:
    """`x[index]`: a view for ints, slices, None and `...`; a copy for lists and integer or bool tensors."""
    if all([type(item) in _PLAIN for item in (index if type(index) is tuple else (index,))]):
        quick = _of_plain(x, index if type(index) is tuple else (index,))
        if quick is not None:
            return quick
    from . import ops

    view, advanced = _basic(x, _normalise(x, index))
    if any(a is not None for a in advanced):
        return ops.index(view, advanced)  # type: ignore[no-any-return]
    return ops.alias(view) if view is x else view


def _written(x: Tensor, index: Any, value: Any) -> bool:
    """Whether numpy could write at ints and slices of floats at once: nobody watches, and no gradient is concerned."""
    if entered or not all([_is_plain(i) for i in (index if type(index) is tuple else (index,))]):
        return False
    if state.grad and (x._requires_grad or (x._base is not None and x._base._requires_grad)):
        return False
    array = x._data
    if type(value) is float or type(value) is int:
        if type(array) is not np.ndarray or array.dtype.kind != "f" or array.dtype.itemsize < 4:
            return False
    elif isinstance(value, Tensor) and value._data.dtype is array.dtype and not (state.grad and value._requires_grad):
        value = value._data
    else:
        return False
    if x._storage is not None:
        x._storage.version  # noqa: B018 - one of inference mode refuses to be counted
    token = errors.set(SILENT)
    try:
        array[index] = value
    except (ValueError, IndexError, TypeError, OverflowError):
        return False  # the general way explains
    finally:
        errors.reset(token)
    touch(x, "__setitem__")
    return True


def _is_plain(item: Any) -> bool:
    kind = type(item)
    if kind is slice:
        step = item.step
        return (
            (step is None or (type(step) is int and step > 0))
            and (item.start is None or type(item.start) is int)
            and (item.stop is None or type(item.stop) is int)
        )
    return kind is int or item is None or item is Ellipsis


def set_item(x: Tensor, index: Any, value: Any) -> None:
    """`x[index] = value`: writes into x's memory through a view of it, so that x's history has the change."""
    from . import ops

    if _written(x, index, value):
        return
    if not isinstance(value, Tensor):
        value = ops.tensor(value, dtype=x.dtype)
    elif value.dtype is not x.dtype:
        value = ops.to_dtype(value, x.dtype)
    items = _normalise(x, index)
    if len(items) == 1 and isinstance(items[0], Tensor) and items[0].dtype.category == 0 and value.ndim == 0:
        mask = items[0]
        while mask.ndim < x.ndim:
            mask = ops.unsqueeze(mask, -1)
        assign(x, ops.where(mask, value, x), "__setitem__", update=True)
        return
    target, advanced = _basic(x, items)
    if any(a is not None for a in advanced):
        assign(target, ops.index_put(target, advanced, value), "__setitem__", update=True)
    else:
        assign(target, _shaped(value, target), "__setitem__")


def _shaped(value: Tensor, target: Tensor) -> Tensor:
    """`value` broadcast to the shape of `target`; leading sizes of 1 that it has too many are dropped, as numpy
    does."""
    from . import ops

    while value.ndim > target.ndim and value.shape[0] == 1:
        value = ops.select(value, 0, 0)
    return value if value._data.shape == target._data.shape else ops.expand(value, tuple(target.shape))
