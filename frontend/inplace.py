"""In-place writes and views: `assign` is the only way the elements of a tensor change.

Like an operator call it goes to the innermost `Mode` of the thread, or, when there is none, is done here: check that no
gradient is lost, write, count the change, and give the tensor its new history.

A view knows its base and the recipe that shows it: the view operators that lead from the base to it. A write through a
view is a change of the base: the base's new node (`CopySlices`) sends a gradient to what the base was, zero where the
view lies, and the view's part of it to what was written. Every view of that base, older or newer, then gets its node
anew by its recipe, when somebody first asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any
from weakref import ref as ref_to

from .device import device_name, using
from .errors import InplaceError, ShapeError
from .source import user_location
from .tape import Node, Storage, caller, history_of, line_of, refresh, state
from .tensor import Tensor

if TYPE_CHECKING:
    from .opdef import OpDef

__all__ = [
    "adopt", "assign", "check_write", "eager_assign", "increment_version", "overlaps_itself",
    "part_of_many", "show", "touch", "written",
]  # fmt: skip

Recipe = tuple[Any, "OpDef", dict[str, Any]]  # (the operand's own recipe or None, view operator, attributes)


# -- views ----------------------------------------------------------------------------------------


def show(base: Tensor, out: Tensor, op: OpDef, attrs: dict[str, Any]) -> None:
    """Note that `out`, which `op` made, shows the memory of `base`."""
    storage = base._storage
    if storage is None:
        storage = base._storage = Storage()
    out._storage = storage
    out._recipe = (base._recipe, op, attrs)
    root = base if base._base is None else base._base
    out._base = root
    if root._node is not None:
        out._seen = root._node
    grad = state.grad
    if not grad:
        out._made = "no_grad"
    elif base._made is not None:
        out._made = base._made
    if not root._requires_grad or not grad:  # a write may give the base a history, and the view then has one too
        views = storage.views
        if views is None:
            views = storage.views = []
        elif len(views) >= storage.sweep:
            views[:] = [ref for ref in views if ref() is not None]
            storage.sweep = 2 * len(views) + 32
        views.append(ref_to(out))


def part_of_many(parts: Iterable[Tensor], by: str) -> tuple[Tensor, ...]:
    """Mark the results of a function that returns several views: writing to one of them loses gradients in PyTorch,
    and is refused."""
    found = tuple(parts)
    for part in found:
        if part._base is not None and part._made is None:
            part._made = by
    return found


def _steps(view: Tensor) -> list[tuple[OpDef, dict[str, Any]]]:
    """The view operators that lead from the base to `view`, first to last."""
    found: list[tuple[OpDef, dict[str, Any]]] = []
    recipe = view._recipe
    while recipe is not None:
        recipe, op, attrs = recipe[0], recipe[1], recipe[2]
        found.append((op, attrs))
    return found[::-1]


def _shown(base: Tensor, steps: Iterable[tuple[OpDef, dict[str, Any]]]) -> Tensor:
    from .dispatch import call

    for op, attrs in steps:
        base = call(op, (base,), attrs)
    return base


def written(base: Tensor, new: Tensor, steps: list[tuple[OpDef, dict[str, Any]]]) -> Tensor:
    """What `base` is once the view that `steps` show of it has become `new`; in operators, out of place."""
    if all(op.write is not None for op, _ in steps):
        wholes = [base]
        for step in steps[:-1]:
            wholes.append(_shown(wholes[-1], [step]))
        for (op, attrs), whole in zip(reversed(steps), reversed(wholes[: len(steps)]), strict=True):
            new = op.write(whole, new, **attrs)
        return new
    from . import ops

    shape = tuple(base.shape)
    positions = _shown(ops.view(ops.arange(base.shape.numel()), shape), steps)
    flat = ops.index_put(ops.view(base, (-1,)), [ops.view(positions, (-1,))], ops.view(new, (-1,)))
    return ops.view(flat, shape)  # type: ignore[no-any-return]


def _refresh(view: Tensor) -> None:
    """Derive the node of a view anew: its base's history was replaced since it was made."""
    base: Tensor = view._base  # type: ignore[assignment]
    if view._made is not None:
        raise InplaceError(
            f"{_origin(view._made)}, and its base, or another view of its base, was then changed in place with grad "
            f"mode enabled (by {_last_write(base)}), so its gradient cannot be told. Make the view again after the "
            "change, or use the out-of-place operator there"
        ).at(None, user_location())
    saved = state.grad, state.mode
    state.grad = True
    if not base.is_symbolic:
        state.mode = None
    try:
        twin = _shown(base, _steps(view))
    finally:
        state.grad, state.mode = saved
    view._seen = base._node
    _set_history(view, twin._node, twin._index)


refresh.append(_refresh)


def _origin(made: str) -> str:
    if made == "no_grad":
        return "a view was created in no_grad mode"
    if made.endswith(".apply"):
        return f"a view was created inside {made}, whose own gradient a change would override"
    return f"this tensor is one of several views that {made}() returned together"


def _way_out(made: str) -> str:
    if made == "no_grad":
        return "make the view and the change both inside no_grad (not tracked) or both outside (tracked)"
    if made.endswith(".apply"):
        return "clone() the result first"
    return "use the out-of-place operator, or take the part by index (x[i], x[a:b]) and change that"


def _last_write(tensor: Tensor) -> str:
    storage = tensor._storage
    return "an in-place operator" if storage is None else f"{storage.by}() at {line_of(storage.place)}"


def _set_history(tensor: Tensor, node: Node | None, index: int) -> None:
    tensor._node, tensor._index, tensor._requires_grad = node, index, True
    if tensor._retain is not None:  # retain_grad() is about the tensor as it is now
        tensor._retain.remove()
        tensor._retain = None
        tensor.retain_grad()


# -- writes ---------------------------------------------------------------------------------------


def assign(target: Tensor, value: Tensor, by: str = "copy_", update: bool = False) -> None:
    """Write the elements of `value` into the memory of `target`: the only way a tensor changes.

    `value` has the shape and type of `target`. With grad mode on, `target` takes over the history of `value`; where it
    is a view, so does its part of the base, and every other view of that sees it. Raises InplaceError where that would
    lose a gradient: on a leaf that requires grad or a view of one, on one of several views made together, and on a view
    made under no_grad. `update` says that the value was computed from the target itself, for this write: its history
    then stands for the target's, which else is kept and gets a gradient of zero.
    """
    level = state.mode
    if level is not None:
        level.run(level.mode.assign, target, value)
    else:
        eager_assign(target, value, by, update)


def _copy(target: Tensor, value: Tensor) -> None:
    target._data[...] = value._data


def eager_assign(
    target: Tensor,
    value: Tensor,
    by: str = "copy_",
    update: bool = False,
    write: Callable[[Tensor, Tensor], None] = _copy,
) -> None:
    """`assign` without modes; `write` is for modes whose tensors have their numbers elsewhere."""
    if target._data.shape != value._data.shape:
        raise ShapeError(
            f"{by}: the result has shape {list(value.shape)}, which does not fit in place into {list(target.shape)}; "
            "use the out-of-place operator"
        ).at(by, user_location())
    tracked = state.grad and (
        target._requires_grad or value._requires_grad or (target._base is not None and target._base._requires_grad)
    )
    if tracked and target.dtype.differentiable:
        check_write(target, by)
    array = target._data
    if using.library is not None:
        value = moved_to(value, array)
    if write is _copy and (0 in array.strides or not getattr(array.flags, "writeable", True)):
        _make_writeable(array, by)
    if target._storage is not None:
        target._storage.version  # noqa: B018 - one of inference mode refuses to be counted, before it is written
    write(target, value)
    touch(target, by)
    if not tracked:
        return
    if update and target._base is None and value._requires_grad and value._node is not None:
        adopt(target, value._node, value._index, by)
    else:
        node = CopySlices(target, value, by)
        adopt(target, node, 0, by, whole=True)


def moved_to(value: Tensor, array: Any) -> Tensor:
    """`value` on the device of `array`."""
    device = device_name(array)
    if device_name(value._data) == device:
        return value
    from . import ops

    return ops.to_device(value, device, device_name(value._data))  # type: ignore[no-any-return]


def overlaps_itself(array: Any) -> bool:
    """Whether several elements share one location: a dimension is repeated without copying."""
    return bool(array.size) and any(step == 0 and n > 1 for step, n in zip(array.strides, array.shape, strict=True))


def _make_writeable(array: Any, by: str) -> None:
    """Let a part of an expanded tensor be written if no two of its elements share a location; raise otherwise."""
    repeated = overlaps_itself(array)
    if not repeated:
        try:
            array.flags.writeable = True
            return
        except ValueError:
            pass
    reason = (
        "several elements of this tensor share one memory location (it was made by expand)"
        if repeated
        else "this tensor wraps a read-only array"
    )
    raise InplaceError(f"{by}: {reason}; call .clone() first").at(by, user_location())


def touch(target: Tensor, by: str) -> None:
    """Note that the memory of `target` has changed, and the user's line that changed it."""
    storage = target._storage
    if storage is None:
        storage = target._storage = Storage()
    storage.version += 1
    if storage.owner is not None:
        storage.owner.hidden += 1
    storage.by = by
    storage.place = caller()


def increment_version(tensors: Tensor | Iterable[Tensor]) -> None:
    """Say that the numbers of tensors were changed by other means: what saved them for a gradient then refuses them.

    >>> import pappus as pp
    >>> x = pp.ones(2)
    >>> pp.autograd.graph.increment_version(x)
    >>> x._version
    1
    """
    for tensor in [tensors] if isinstance(tensors, Tensor) else tensors:
        touch(tensor, "increment_version")


def check_write(target: Tensor, by: str) -> None:
    """Refuse a write, in grad mode, that would lose a gradient."""
    base = target._base
    if target._requires_grad and (target._node is None if base is None else history_of(target) is None):
        kind = "a leaf tensor" if base is None else "a view of a leaf tensor"
        raise InplaceError(
            f"{by}: {kind} that requires grad cannot be changed in place, its gradient would belong to the old "
            "numbers; do it under `with pp.no_grad():`, or use the out-of-place operator"
        ).at(by, user_location())
    if base is None:
        return
    if base._requires_grad and base._node is None:
        raise InplaceError(
            f"{by}: a view of a leaf tensor that requires grad cannot be changed in place, the leaf's gradient would "
            "belong to the old numbers; do it under `with pp.no_grad():`, or clone() the leaf first"
        ).at(by, user_location())
    if target._made is not None:
        raise InplaceError(
            f"{by}: {_origin(target._made)}, and is being changed in place with grad mode enabled; "
            f"{_way_out(target._made)}"
        ).at(by, user_location())


def adopt(target: Tensor, node: Node, index: int, by: str, whole: bool = False) -> None:
    """Give `target`, whose memory has been written, the history `(node, index)`.

    Where it is a view, its base gets a node that has that history in the view's place; with `whole`, `node` is that
    node of the base already.
    """
    base = target._base
    if base is None:
        base = target
    elif not whole:
        value = Tensor._from_data(target._data, requires_grad=True)
        value._node, value._index = node, index
        node, index = CopySlices(target, value, by), 0
    _set_history(base, node, index)
    storage = base._storage
    if storage is not None and storage.views is not None:
        others = []  # views of detached tensors, which share the storage and no history
        for ref in storage.views:
            view = ref()
            if view is not None and view._base is base:
                view._requires_grad = True
            elif view is not None:
                others.append(ref)
        storage.views = others or None


class _Written:
    """Stands in the node where an operator would: the name of the in-place operator, for messages."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class CopySlices(Node):
    """The node of a base after a write to the part of it that a view shows (all of it, if it was written itself).

        base' = base, except recipe(base') = value;   d base = g, zero in the view's place;   d value = recipe(g)
    """

    __slots__ = ("ghosts", "steps")

    def __init__(self, target: Tensor, value: Tensor, by: str) -> None:
        from .dispatch import edge_of, ghost_of

        base = target if target._base is None else target._base
        self.ghosts = [ghost_of(base), ghost_of(value)]
        edges = [edge_of(base), edge_of(value)]
        super().__init__(_Written(by), (), {}, edges, [])
        self.steps = _steps(target)
        self.place = caller()

    def name(self) -> str:
        """As PyTorch calls it."""
        return "CopySlices"

    def operands(self) -> list[Any]:
        """Shape and type of the base and of what was written."""
        return list(self.ghosts)

    def gradients(self, slots: dict[int, Tensor], create_graph: bool) -> list[Tensor | None]:
        """The gradients of what the base was and of what was written."""
        from . import ops

        g = slots[0]
        before, value = self.edges
        like = self.ghosts[1]  # its type is not g's where the view shows real parts of complex numbers
        zeros: Callable[[], Tensor] = lambda: ops.full(like.shape, 0, dtype=like.dtype)  # noqa: E731 - used once
        return [
            None if before is None else written(g, zeros(), self.steps),
            None if value is None else _shown(g, self.steps),
        ]
