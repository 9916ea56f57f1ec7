"""In-place writes: `assign` is the only way the elements of a tensor change.

Like an operator call it goes to the innermost `Mode` of the thread, or, when there is none, is done here: check that no
gradient is lost, write, count the change.
"""

from __future__ import annotations

import numpy as np

from .errors import InplaceError, ShapeError
from .source import user_location
from .tape import Storage, caller, state
from .tensor import Tensor

__all__ = ["assign", "check_assign", "eager_assign", "touch"]


def assign(target: Tensor, value: Tensor, by: str = "copy_") -> None:
    """Write the elements of `value` into the memory of `target`: the only way a tensor changes.

    `value` has the shape and type of `target`. With grad mode on, `target` takes over the history of `value`.
    Raises InplaceError where that would lose a gradient: on a leaf that requires grad, and on a view.
    """
    level = state.mode
    if level is not None:
        level.run(level.mode.assign, target, value)
    else:
        eager_assign(target, value, by)


def eager_assign(target: Tensor, value: Tensor, by: str = "copy_") -> None:
    """`assign` without modes."""
    check_assign(target, value, by)
    array = target._data
    if not array.flags.writeable:
        raise InplaceError(
            f"{by}: several elements of this tensor share one memory location (it was made by expand, or wraps a "
            "read-only array); call .clone() first"
        ).at(by, user_location())
    array[...] = value._data
    touch(target, by)


def touch(target: Tensor, by: str) -> None:
    """Note that the memory of `target` has changed, and the user's line that changed it."""
    storage = target._storage
    if storage is None:
        storage = target._storage = Storage()
    storage.version += 1
    storage.by = by
    storage.place = caller()


def check_assign(target: Tensor, value: Tensor, by: str) -> None:
    """Refuse in-place writes that would lose a gradient; let `target` take over the history of `value`."""
    if target._data.shape != value._data.shape:
        raise ShapeError(
            f"{by}: the result has shape {list(value.shape)}, which does not fit in place into {list(target.shape)}; "
            "use the out-of-place operator"
        ).at(by, user_location())
    if not state.grad or not (target._requires_grad or value._requires_grad):
        return
    if target._requires_grad and target._node is None:
        raise InplaceError(
            f"{by}: a leaf tensor that requires grad cannot be changed in place, its gradient would belong to the old "
            "numbers; do it under `with pp.no_grad():`, or use the out-of-place operator"
        ).at(by, user_location())
    if target._base is not None:
        base = target._base
        kind = "a leaf that requires grad" if base._requires_grad and base._node is None else "another tensor"
        raise InplaceError(
            f"{by}: this tensor is a view of {kind}, and the gradient cannot follow a change through a view; "
            "assign by index on the base (base[i] = value), clone() the view first, or use the out-of-place operator"
        ).at(by, user_location())
    if not value._requires_grad:
        value = _forgotten(target, value)
    target._node, target._index, target._requires_grad = value._node, value._index, value._requires_grad


def _forgotten(target: Tensor, value: Tensor) -> Tensor:
    """`value` with a history that sends a gradient of zero to what `target` was: it keeps requiring grad, as in
    PyTorch."""
    from .opdef import OPS

    return OPS["where"](Tensor._from_data(np.ones((), np.bool_)), value, target)  # type: ignore[no-any-return]
