"""The backward pass: walk the tape from the newest node to the oldest and add up gradients.

Nodes are numbered in the order they were made, and a node is always newer than the ones that made its operands, so
taking the newest first is a topological order: when a node's turn comes, its gradient is complete.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from . import vjps
from .anomaly import check_gradients, name_forward
from .device import library_of
from .dispatch import add_in_place
from .errors import ArgumentError, AutogradError, InplaceError, ShapeError
from .grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)  # fmt: skip
from .saved_tensors import PACKED, Packed
from .source import user_location
from .symbolic import SymbolicArray
from .tape import POST_HOOKS, PRE_HOOKS, Ghost, Key, Node, anomaly, caller, entered, history_of, line_of, state
from .tensor import Tensor

__all__ = [
    "backward", "enable_grad", "grad", "inference_mode", "is_grad_enabled", "no_grad", "set_grad_enabled",
]  # fmt: skip

# -- backward -------------------------------------------------------------------------------------


def _ones_like(tensor: Tensor) -> Tensor:
    if isinstance(tensor._data, SymbolicArray):
        from . import ops

        return ops.full(tensor.shape, 1.0, dtype=tensor.dtype)  # type: ignore[no-any-return]
    return Tensor._from_data(library_of(tensor._data).ones(tensor._data.shape, tensor._data.dtype))


def _seed(output: Tensor, gradient: Tensor | None, what: str) -> Tensor:
    if gradient is None:
        if output.dtype.is_complex:
            raise AutogradError(
                f"{what}: the gradient can be left out only for a real tensor, this one is {output.dtype}; take a real "
                "number as the loss, e.g. out.abs().sum(), or pass gradient="
            ).at(None, user_location())
        if any(n != 1 for n in output._data.shape):
            raise AutogradError(
                f"{what}: the gradient can be left out only for a tensor with one element, this one has shape "
                f"{list(output.shape)}; reduce it first, e.g. loss.mean(), or pass gradient="
            ).at(None, user_location())
        return _ones_like(output)
    if not isinstance(gradient, Tensor):
        raise ArgumentError(f"{what}: gradient must be a Tensor, got {type(gradient).__name__}")
    if tuple(gradient._data.shape) != tuple(output._data.shape):
        raise ShapeError(
            f"{what}: gradient has shape {list(gradient.shape)} but the tensor has {list(output.shape)}; they "
            "must be equal"
        ).at(None, user_location())
    return gradient if gradient.dtype is output.dtype else gradient.to(output.dtype)


def _require(output: Tensor, what: str) -> None:
    if output._requires_grad:
        history_of(output)
        return
    if not isinstance(output, Tensor):
        raise ArgumentError(f"{what}: expected a Tensor, got {type(output).__name__}")
    reason = (
        f"its type is {output.dtype}, and only floating-point and complex tensors have gradients"
        if not output.dtype.differentiable
        else "no operand required grad, or it was computed under no_grad() or from detach()ed tensors"
    )
    if output.dtype.differentiable and state.cuts:
        reason += " (in this thread, most recently: " + ", ".join(
            f"{what} at {line_of(place)}" for what, place in state.cuts.items()
        ) + ")"
    raise AutogradError(
        f"{what}: this tensor does not require grad: {reason}. Set requires_grad=True on the inputs you want "
        "gradients for"
    ).at(None, user_location())


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of `tensors` (each a scalar unless `grad_tensors` gives its gradient) to `.grad` of the leaves.

    With `inputs`, only of those. `create_graph` records the backward pass itself, for gradients of gradients.
    Raises AutogradError when nothing requires grad, when the tape was used up by an earlier backward, or when a tensor
    the gradient needs was changed in place.

    >>> import pappus as pp
    >>> x = pp.tensor([3.0], requires_grad=True)
    >>> pp.autograd.backward((x**2).sum())
    >>> x.grad
    tensor([6.])
    """
    roots = [tensors] if isinstance(tensors, Tensor) else list(tensors)
    seeds = list(grad_tensors) if isinstance(grad_tensors, (list, tuple)) else [grad_tensors] * len(roots)
    for root in roots:
        _require(root, "backward()")
    seeds = [_seed(r, s, "backward()") for r, s in zip(roots, seeds, strict=True)]
    keep = create_graph if retain_graph is None else retain_graph
    if inputs is not None:
        wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
        for leaf, found in zip(wanted, _walk(roots, seeds, keep, create_graph, wanted), strict=True):
            if found is not None:
                _accumulate(leaf, [found], create_graph)
        return
    _walk(roots, seeds, keep, create_graph, None)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of `outputs` with respect to `inputs`, without touching `.grad`.

    An input that the outputs do not depend on raises AutogradError, unless `allow_unused` (it gets None) or
    `materialize_grads` (it gets zeros). With `is_grads_batched` the first dimension of every `grad_outputs` is a batch,
    and so is the first of every gradient: one pass backward under vmap.

    >>> import pappus as pp
    >>> x = pp.tensor(2.0, requires_grad=True)
    >>> (dx,) = pp.autograd.grad(x**3, x, create_graph=True)
    >>> pp.autograd.grad(dx, x)[0]
    tensor(12.)
    """
    if materialize_grads and allow_unused is False:
        raise ArgumentError("grad(): materialize_grads=True gives unused inputs zeros, so allow_unused cannot be False")
    roots = [outputs] if isinstance(outputs, Tensor) else list(outputs)
    wanted = [inputs] if isinstance(inputs, Tensor) else list(inputs)
    seeds = list(grad_outputs) if isinstance(grad_outputs, (list, tuple)) else [grad_outputs] * len(roots)
    for root in roots:
        _require(root, "grad()")
    for tensor in wanted:
        _require(tensor, "grad() input")
    if is_grads_batched:
        return _batched_grad(roots, wanted, seeds, create_graph, allow_unused, materialize_grads)
    seeds = [_seed(r, s, "grad()") for r, s in zip(roots, seeds, strict=True)]
    found = _walk(roots, seeds, create_graph if retain_graph is None else retain_graph, create_graph, wanted)
    for at, (one, tensor) in enumerate(zip(found, wanted, strict=True)):
        if one is None:
            if materialize_grads:
                found[at] = _ones_like(tensor) * 0
            elif not allow_unused:
                raise AutogradError(
                    f"grad(): the outputs do not depend on input {at} of shape {list(tensor.shape)}; "
                    "pass allow_unused=True to get None for it"
                ).at(None, user_location())
    return tuple(found)


def _batched_grad(
    roots: list[Tensor], wanted: list[Tensor], seeds: list[Any], create_graph: bool, unused: Any, zeros: bool
) -> tuple[Tensor | None, ...]:
    from .func.vmap import vmap

    places: list[int] = []

    def pull(*seeds: Tensor) -> tuple[Tensor, ...]:
        found = grad(roots, wanted, seeds, True, create_graph, unused, materialize_grads=zeros)
        places[:] = [at for at, one in enumerate(found) if one is not None]
        return tuple([one for one in found if one is not None])

    batched: list[Tensor | None] = [None] * len(wanted)
    found = vmap(pull)(*seeds)
    for at, one in zip(places, found, strict=True):
        batched[at] = one
    return tuple(batched)


def _references(holder: list[Any]) -> int:
    return sys.getrefcount(holder[0])


_ALONE = _references([object()])  # what `_references` says of an object that nothing but the list refers to


def _own(holder: list[Any]) -> Tensor:
    """The gradient in `holder`, copied unless it is certain that nobody else has it or its memory.

    The same gradient may have gone to another leaf, or be a view of one, or be what a user passed.
    """
    if _references(holder) == _ALONE and _references([holder[0]._data]) == _ALONE + 1:
        array = holder[0]._data
        if array.base is None and array.flags.carray:
            return holder[0]  # type: ignore[no-any-return]
    return Tensor._from_data(np.array(holder[0]._data, order="C"))


def _accumulate(leaf: Tensor, holder: list[Any], create_graph: bool) -> None:
    known = leaf._grad
    if known is not None:
        leaf._grad = known + holder[0]
    elif create_graph or type(holder[0]._data) is not np.ndarray:
        leaf._grad = holder[0]
    else:
        leaf._grad = _own(holder)
    if leaf._post_hooks:
        for hook in list(leaf._post_hooks):
            hook(leaf)


def _run_hooks(hooks: Sequence[Any] | None, gradient: Tensor) -> Tensor:
    for hook in list(hooks or ()):
        changed = hook(gradient)
        if changed is not None:
            if not isinstance(changed, Tensor):
                raise ArgumentError(f"a gradient hook must return a Tensor or None, got {type(changed).__name__}")
            gradient = changed
    return gradient


def sweep(
    roots: Sequence[Tensor],
    seeds: Sequence[Tensor],
    create_graph: bool,
    free: Callable[[Node], None] | None,
    catch: Callable[[Node, dict[int, Tensor]], bool] | None = None,
    start: int = 0,
) -> dict[Key, list[Any]]:
    """Propagate `seeds` from `roots` through the nodes from number `start` on, the newest first.

    Returns by key what arrived at leaves and older nodes: [gradient, target, whether the gradient is a sum made here].
    `catch(node, gradients of its results)` says True of a node that is to be left alone; the others are given to
    `free` once they are done. Sums and vjps are recorded where `state.grad` says so.
    """
    pending: dict[Node, dict[int, Tensor]] = {}
    queue: list[tuple[int, Node]] = []
    arrived: dict[Key, list[Any]] = {}

    def send(target: Any, index: int, gradient: Tensor) -> None:
        if isinstance(target, Node) and target.seq >= start:
            slots = pending.get(target)
            if slots is None:
                pending[target] = {index: gradient}
                heappush(queue, (-target.seq, target))
            else:
                slots[index] = slots[index] + gradient if index in slots else gradient
            return
        entry = arrived.get((id(target), index))
        if entry is None:
            arrived[id(target), index] = [gradient, target, False]
        elif entry[2]:  # the third and later gradients of a leaf are added in place
            add_in_place(entry[0]._data, gradient._data)
        else:
            entry[0] = entry[0] + gradient
            entry[2] = not create_graph and not entered

    for root, seed in zip(roots, seeds, strict=True):
        send(root if root._node is None else root._node, root._index, seed)
    while queue:
        node = heappop(queue)[1]
        slots = pending.pop(node)
        if node.hooks is not None:
            for index in slots:
                if index in node.hooks:
                    slots[index] = _run_hooks(node.hooks[index], slots[index])
        if catch is not None and catch(node, slots):
            continue
        for edge, gradient in zip(node.edges, node_gradients(node, slots, create_graph), strict=True):
            if edge is not None and gradient is not None:
                send(edge[0], edge[1], gradient)
        if free is not None:
            free(node)
    return arrived


def _walk(
    roots: Sequence[Tensor], seeds: Sequence[Tensor], keep: bool, create_graph: bool, wanted: Sequence[Tensor] | None
) -> list[Tensor | None]:
    """Propagate `seeds` from `roots`. Returns the gradients of `wanted`, or, for None, adds to every leaf's `.grad`."""
    place = None if keep else caller()
    free = None if keep else lambda node: node.free(place)
    saved, state.grad = state.grad, create_graph
    try:
        if wanted is None:
            leaves = sweep(roots, seeds, create_graph, free)
            del seeds  # so that _own sees who else has a gradient
            for found in leaves.values():
                if found[1]._hooks:
                    found[0] = _run_hooks(found[1]._hooks, found[0])
                _accumulate(found[1], found, create_graph)
            return []
        stops = {(id(t if t._node is None else t._node), t._index) for t in wanted}
        useful = _reach([r._node for r in roots if r._node is not None], wanted)
        capture: dict[Key, Tensor] = {}

        def catch(node: Node, slots: dict[int, Tensor]) -> bool:
            for index in slots:
                if (id(node), index) in stops:
                    capture[id(node), index] = slots[index]
            return node not in useful

        leaves = sweep(roots, seeds, create_graph, free, catch)
        result: list[Tensor | None] = []
        for tensor in wanted:
            if tensor._node is None:
                entry = leaves.get((id(tensor), 0))
                result.append(None if entry is None else _run_hooks(tensor._hooks, entry[0]))
            else:
                result.append(capture.get((id(tensor._node), tensor._index)))
        return result
    finally:
        state.grad = saved


def _reach(roots: Sequence[Node], wanted: Sequence[Tensor]) -> set[Node]:
    """The nodes whose own gradients must be computed to reach `wanted`."""
    targets = {id(t if t._node is None else t._node) for t in wanted}
    oldest = min((t._node.seq for t in wanted if t._node is not None), default=-1)
    has_leaf = any(t._node is None for t in wanted)
    order: list[Node] = []
    seen: set[Node] = set()
    stack = list(roots)
    while stack:
        node = stack.pop()
        if node in seen or (not has_leaf and node.seq < oldest):
            continue
        seen.add(node)
        order.append(node)
        stack.extend(edge[0] for edge in node.edges if edge is not None and isinstance(edge[0], Node))
    useful: set[Node] = set()
    for node in sorted(order, key=lambda n: n.seq):
        for edge in node.edges:
            if edge is not None and (id(edge[0]) in targets or edge[0] in useful):
                useful.add(node)
                break
    return useful


# -- one node -------------------------------------------------------------------------------------


class _Changed(Tensor):
    """Stands for a saved tensor that was changed since: it has a shape and a type, and raises when its numbers are
    used."""

    _why: InplaceError
    _meta: Any

    @property
    def _data(self) -> Any:
        raise self._why

    @property
    def shape(self) -> Any:
        return self._meta.shape

    @property
    def ndim(self) -> int:
        return len(self._meta.shape)

    @property
    def dtype(self) -> Any:
        return self._meta.dtype


def _changed(node: Node, what: str, meta: Any, storage: Any, requires_grad: bool) -> Tensor:
    out = Tensor.__new__(_Changed)
    by, place = (storage.by, line_of(storage.place)) if storage is not None else ("an in-place operator", "<unknown>:0")
    out._meta = meta
    out._requires_grad = requires_grad
    out._why = InplaceError(
        f"{node.op.name}() at {node.location} saved {what} for the gradient; {by}() at {place} then changed "
        "it in place. "
        "Use the out-of-place operator there (y = y + 1 instead of y += 1), or clone() the tensor first"
    ).at(None, user_location())  # type: ignore[assignment]
    return out


def _inputs(node: Node) -> Any:
    """The operands of a node as its gradient sees them: those that were changed since raise when they are read."""
    args, at = node.args, 0
    for place, arg in enumerate(args):
        if arg is None:
            continue
        found: Any
        if type(arg) is list:
            versions = node.versions[at : at + len(arg)]
            found = [None if a is None else _saved(node, a, v) for a, v in zip(arg, versions, strict=True)]
            at += len(arg)
            if all(f is a for f, a in zip(found, arg, strict=True)):
                continue
        else:
            found = arg if type(arg) is Ghost else _saved(node, arg, node.versions[at])
            at += 1
            if found is arg:
                continue
        args = [*args[:place], found, *args[place + 1 :]]
    return args


def _saved(node: Node, arg: Any, version: int) -> Any:
    if version < 0:
        return arg.unpacked() if version == PACKED else arg
    storage = arg._storage
    if (0 if storage is None else storage.version) == version:
        return arg
    return _changed(node, "its operand", Ghost(arg.shape, arg.dtype, False), storage, arg._requires_grad)


def node_gradients(node: Node, slots: dict[int, Tensor], create_graph: bool) -> Sequence[Tensor | None]:
    """The gradient of every tensor operand of `node`, given those of its results, summed and cast to the operands."""
    if not anomaly and node.hooks is None:
        return _gradients(node, slots, create_graph)
    hooks = node.hooks or {}
    several = type(node) is not Node or node.op.multi
    count = max([*slots, len(node.metas) - 1 if several else 0]) + 1
    given = tuple([slots.get(i) for i in range(count)])
    for hook in list(hooks.get(PRE_HOOKS, ())):
        changed = hook(given)
        if changed is not None:
            given = tuple(changed) if isinstance(changed, (tuple, list)) else (changed,)
            slots = {i: g for i, g in enumerate(given) if g is not None}
    try:
        found = _gradients(node, slots, create_graph)
    except Exception as error:
        name_forward(error, node)
        raise
    check_gradients(node, given, found)
    for hook in list(hooks.get(POST_HOOKS, ())):
        changed = hook(tuple(found), given)
        if changed is not None:
            found = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    return found


def _gradients(node: Node, slots: dict[int, Tensor], create_graph: bool) -> Sequence[Tensor | None]:
    op = node.op
    if node.freed:
        first = f" by the backward at {line_of(node.freed)}" if isinstance(node.freed, tuple) else ""
        raise AutogradError(
            f"backward a second time through {op.name}() from {node.location}: what it saved was released{first}. "
            "Pass retain_graph=True to the first backward, or compute the loss again; if the loop carries a "
            "tensor from "
            "one step to the next, detach() it"
        ).at(None, user_location())
    if type(node) is not Node:  # a Function: the user's own backward
        return node.gradients(slots, create_graph)  # type: ignore[attr-defined,no-any-return]
    special = op.gradients
    if special is None:
        special = op.gradients = op.complex != "forward" and (vjps.write(op, _SCOPE) or False)
    if special and (op.complex != "holomorphic" or slots[0]._data.dtype.kind[0] != "c"):
        return special(node, slots[0], create_graph)  # type: ignore[no-any-return]
    inputs = _inputs(node)
    if op.multi:
        g: Any = tuple(
            slots[i] if i in slots else _zeros(shape, dtype, slots)
            for i, (shape, dtype) in enumerate(node.metas or [_meta(slots)])
        )
    else:
        g = slots[0]
    if op.complex == "forward":
        _refuse_complex(node, inputs)
    if op.vjp is None:
        found = _by_decomposition(node, g, inputs, create_graph)
    elif op.complex == "holomorphic" and (g[0] if op.multi else g)._data.dtype.kind[0] == "c":
        found = _holomorphic(node, g, inputs, create_graph)
    else:
        found = op.vjp(g, _results(node, g, create_graph), *inputs, **node.attrs)
    if type(found) is not tuple and type(found) is not list:
        found = (found,)
    if len(found) != len(inputs):
        raise AutogradError(f"the vjp of {op.name} gave {len(found)} gradients for {len(inputs)} operands")
    fitted: list[Tensor | None] = []
    for gradient, arg in zip(found, inputs, strict=True):
        if type(arg) is list:
            parts = [None] * len(arg) if gradient is None else gradient
            fitted += [None if g is None or a is None else _fit(g, a) for g, a in zip(parts, arg, strict=True)]
        elif arg is not None:
            fitted.append(None if gradient is None else _fit(gradient, arg))
    return fitted


def _refuse_complex(node: Node, inputs: Sequence[Any]) -> None:
    """Raise AutogradError for complex operands of an operator whose vjp is for real numbers alone."""
    if any(a is not None and a.dtype.is_complex for arg in inputs for a in (arg if isinstance(arg, list) else [arg])):
        raise AutogradError(
            f"{node.op.name}() at {node.location} has no gradient for complex numbers; detach() its operand if none "
            "should flow, or compute it on view_as_real(x)"
        ).at(None, user_location())


def _holomorphic(node: Node, g: Any, inputs: Sequence[Any], create_graph: bool) -> Any:
    """The gradient of a holomorphic operator on complex numbers, from a vjp written as for real ones.

    By PyTorch's convention the gradient points to steepest ascent, that is g * conj(f'(z)) where f has a derivative;
    the vjp computes g * f'(z), so it is taken at conj(g) and its result conjugated.
    """
    from . import ops

    vjp: Any = node.op.vjp
    turned = tuple(ops.conj(x) for x in g) if isinstance(g, tuple) else ops.conj(g)
    found = vjp(turned, _results(node, g, create_graph), *inputs, **node.attrs)

    def turn(x: Any) -> Any:
        return [turn(part) for part in x] if isinstance(x, (list, tuple)) else None if x is None else ops.conj(x)

    return turn(found if isinstance(found, (tuple, list)) else (found,))


_SCOPE: dict[str, Any] = {}  # what the functions of `vjps` call; filled below


def _meta(slots: dict[int, Tensor]) -> Any:
    return slots[0].shape, slots[0].dtype


def _zeros(shape: Any, dtype: Any, slots: dict[int, Tensor]) -> Tensor:
    from . import ops

    device = next((t.device for t in slots.values()), None)
    return ops.full(shape, 0, dtype=dtype, device=device)  # type: ignore[no-any-return]


def _results(node: Node, g: Any, create_graph: bool) -> Any:
    """The node's results for its vjp; where they were not saved, the gradients, which have the same shapes and
    types."""
    if node.outs is None:
        return g
    outs = []
    for index, array in enumerate(node.outs):
        if type(array) is Packed:
            array = array.unpacked()._data
        storage = node.out_storages[index]
        meta = Tensor._from_data(array)
        floating = meta.dtype.differentiable
        if storage.version != node.out_versions[index]:
            outs.append(_changed(node, "its result", Ghost(meta.shape, meta.dtype, False), storage, floating))
            continue
        out = Tensor._from_data(array, requires_grad=floating)
        if floating:
            out._node, out._index = node, index
        outs.append(out)
    return tuple(outs) if node.op.multi else outs[0]


def _by_decomposition(node: Node, g: Any, inputs: Sequence[Any], create_graph: bool) -> Any:
    """The gradient of an operator without vjp: differentiate its decomposition at the saved operands."""
    from . import ops

    if node.op.decompose is None:
        raise AutogradError(
            f"{node.op.name}() at {node.location} has no gradient; detach() its operand if none should flow"
        ).at(None, user_location())

    def stand_in(arg: Any) -> Any:
        if arg is None or isinstance(arg, (list, tuple)):
            return None if arg is None else [stand_in(a) for a in arg]
        if not arg._requires_grad:
            return arg
        if create_graph:
            return ops.alias(arg)
        return Tensor._from_data(arg._data, requires_grad=True)

    with enable_grad():
        proxies = [stand_in(a) for a in inputs]
        out = node.op.decompose(*proxies, **node.attrs)
    flat = [p for proxy in proxies for p in (proxy if isinstance(proxy, list) else [proxy])]
    wanted = [p for p in flat if p is not None and p._requires_grad]
    outs = list(out) if isinstance(out, (tuple, list)) else [out]
    seeds = list(g) if isinstance(g, tuple) else [g]
    some = [(o, s) for o, s in zip(outs, seeds, strict=True) if o._requires_grad]
    found = iter(
        grad([o for o, _ in some], wanted, [s for _, s in some], create_graph=create_graph, allow_unused=True)
        if some
        else ()
    )
    given = {id(p): f for p, f in zip(wanted, found, strict=False)}
    return [
        [given.get(id(p)) for p in proxy] if isinstance(proxy, list) else given.get(id(proxy)) for proxy in proxies
    ]


def _fit(gradient: Tensor, arg: Any) -> Tensor | None:
    """Sum a gradient over broadcast dimensions and cast it to the operand's type."""
    data = gradient._data
    if type(arg) is Ghost:
        if not arg.requires_grad:
            return None
        shape, kind = arg.shape, arg.type
    else:
        if not arg._requires_grad:
            return None
        like = arg._meta if type(arg) is _Changed else arg._data
        shape, kind = like.shape, like.dtype
    if data.shape != shape:
        gradient = sum_to_size(gradient, tuple(shape))
    if data.dtype is not kind and gradient.dtype is not arg.dtype:
        from . import ops

        gradient = ops.to_dtype(gradient, arg.dtype)
    return gradient


def sum_to_size(tensor: Tensor, shape: tuple[Any, ...]) -> Tensor:
    """Sum over the dimensions along which `shape` was broadcast to the tensor's shape."""
    from . import ops
    from .symbolic import same_size

    have = tuple(tensor._data.shape)
    lead = len(have) - len(shape)
    dims = list(range(lead))
    for at, (n, m) in enumerate(zip(have[lead:], shape, strict=True)):
        if not same_size(n, m):
            if isinstance(m, int) and m == 1:
                dims.append(at + lead)
            elif n != m:
                raise ShapeError(f"a gradient of shape {list(have)} does not fit an operand of shape {list(shape)}")
    if dims:
        tensor = ops.sum(tensor, tuple(dims), keepdim=True)
    return ops.view(tensor, shape) if lead else tensor


_SCOPE.update(saved=_saved, results=_results, fit=_fit, tensor=Tensor._from_data, Packed=Packed)
