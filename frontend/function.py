"""`autograd.Function`: an operation whose gradient the user writes.

`apply` runs `forward` without recording and puts one node on the tape in place of everything that forward did; in the
backward pass that node calls the user's `backward`. The operators inside both go through the door as any others.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import numpy as np

from .dispatch import edge_of, ghost_of
from .errors import ArgumentError, AutogradError, InplaceError
from .inplace import adopt, check_write
from .saved_tensors import Packed
from .source import user_location
from .tape import Ghost, Node, Storage, caller, line_of, state
from .tensor import Tensor

__all__ = ["Function", "FunctionCtx", "once_differentiable"]


class FunctionCtx:
    """What `forward` leaves for `backward`: tensors by `save_for_backward`, anything else as attributes.

    `needs_input_grad` has one bool per argument of forward: whether its gradient is wanted at all.
    """

    needs_input_grad: tuple[bool, ...] = ()

    def __init__(self) -> None:
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: list[_Saved | None] = []
        self._dirty: tuple[Tensor, ...] = ()
        self._constant: tuple[Tensor, ...] = ()
        self._materialize = True
        self._node: weakref.ref[FunctionNode] | None = None

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep tensors (operands, results, or others) for `saved_tensors`; a later in-place change of one is an error.

        Raises ArgumentError for what is not a tensor: keep such things as attributes (`ctx.scale = 2.0`).
        """
        for tensor in tensors:
            _need_tensor("save_for_backward", tensor, none=True)
        self._to_save = tensors

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What `save_for_backward` kept. Raises InplaceError if it was changed in place since."""
        if self._node is None:
            return self._to_save
        node = self._node()
        if node is None or node.freed:
            raise AutogradError(
                "saved_tensors: they were released by the first backward; pass retain_graph=True to it"
            ).at(None, user_location())
        return tuple([None if s is None else s.unpack(node) for s in self._saved])

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say that forward changed these arguments in place; it must also return them."""
        for tensor in tensors:
            _need_tensor("mark_dirty", tensor)
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say that these results have no gradient: backward gets zeros for them."""
        for tensor in tensors:
            _need_tensor("mark_non_differentiable", tensor)
        self._constant = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """With False, backward gets None instead of zeros for the results that no gradient came from."""
        self._materialize = bool(value)


def _need_tensor(what: str, value: Any, none: bool = False) -> None:
    if not isinstance(value, Tensor) and not (none and value is None):
        raise ArgumentError(
            f"ctx.{what} takes tensors, got {type(value).__name__}; keep anything else as an attribute of ctx"
        ).at(None, user_location())


class _Saved:
    """One saved tensor with the version it had; of a result only the numbers, so that the tape holds no cycle."""

    __slots__ = ("data", "index", "packed", "storage", "tensor", "version")

    def __init__(self, tensor: Tensor, index: int | None) -> None:
        if tensor._storage is None:
            tensor._storage = Storage()
        self.storage = tensor._storage
        self.version = self.storage.version
        self.index = index
        self.tensor = tensor if index is None else None
        self.data = tensor._data
        self.packed: Packed | None = None
        if state.saving:
            self.packed, self.tensor = Packed(tensor, history=index is None), None
            self.data = np.empty(())  # its numbers wait where the hooks keep them

    def unpack(self, node: FunctionNode) -> Tensor:
        if self.packed is not None:
            found = self.packed.unpacked()
            if self.index is None:
                return found
            self.data = found._data
        elif self.storage.version != self.version:
            raise InplaceError(
                f"{node.op.name} at {node.location} saved a tensor of shape {list(self.data.shape)} for its backward; "
                f"{self.storage.by}() at {line_of(self.storage.place)} then changed it in place. Use the out-of-place "
                "operator there, or clone() the tensor before saving it"
            ).at(None, user_location())
        if self.tensor is not None:
            return self.tensor
        out = Tensor._from_data(self.data)
        out._storage = self.storage
        if out.dtype.differentiable and self.index is not None and node.differentiable[self.index]:
            out._requires_grad, out._node, out._index = True, node, self.index
        return out


class _Named:
    """Stands in a node where an operator would: a name for messages."""

    __slots__ = ("name",)

    def __init__(self, name: str) -> None:
        self.name = name


class FunctionNode(Node):
    """The tape node of a Function: `ctx`, and what is needed to check the gradients that `backward` returns."""

    __slots__ = ("backward", "ctx", "differentiable", "ghosts", "given")

    def __init__(self, name: str, backward: Callable[..., Any], ctx: Any, args: Sequence[Any]) -> None:
        edges: list[Any] = []
        self.ghosts: list[Ghost | None] = []
        for arg in args:
            if not isinstance(arg, Tensor):
                self.ghosts.append(None)
                continue
            self.ghosts.append(ghost_of(arg))
            edges.append(edge_of(arg))
        super().__init__(_Named(name), (), {}, edges, [])
        self.backward = backward
        self.ctx = ctx
        self.given: list[Any] = []  # (shape, dtype) of each result, None for what is not a tensor
        self.differentiable: list[bool] = []

    def name(self) -> str:
        """The class's name and "Backward"."""
        return f"{self.op.name}Backward"

    def operands(self) -> list[Any]:
        """The shape and type of each tensor argument."""
        return [ghost for ghost in self.ghosts if ghost is not None]

    def free(self, place: Any) -> None:
        """Drop what was saved, if anything was."""
        if self.ctx._saved:
            self.ctx._saved = []
            self.freed = place or True

    def gradients(self, slots: dict[int, Tensor], create_graph: bool) -> list[Tensor | None]:
        """Call the user's backward with the gradients of the results; check and fit what it returns."""
        from .autograd import _fit, _zeros

        grads = [
            slots[i]
            if i in slots
            else (None if meta is None or not self.ctx._materialize else _zeros(meta[0], meta[1], slots))
            for i, meta in enumerate(self.given)
        ]
        found = self.backward(self.ctx, *grads)
        found = list(found) if isinstance(found, (tuple, list)) else [found]
        if len(found) < len(self.ghosts) or any(f is not None for f in found[len(self.ghosts) :]):
            raise AutogradError(
                f"{self.op.name}.backward returned {len(found)} gradients for the {len(self.ghosts)} arguments of "
                f"forward at {self.location}; return one for each, None for those without"
            ).at(None, user_location())
        out: list[Tensor | None] = []
        for at, (gradient, ghost) in enumerate(zip(found, self.ghosts, strict=False)):
            if gradient is not None and not isinstance(gradient, Tensor):
                raise AutogradError(
                    f"{self.op.name}.backward returned {type(gradient).__name__} as gradient {at}; it must be a Tensor "
                    "or None"
                ).at(None, user_location())
            if ghost is None:
                if gradient is not None:
                    raise AutogradError(
                        f"{self.op.name}.backward returned a gradient for argument {at} of forward, which is not a "
                        "tensor; return None there"
                    ).at(None, user_location())
                continue
            out.append(None if gradient is None else _fit(gradient, ghost))
        return out


def _no_setup(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    raise NotImplementedError


class Function:
    """An operation with a gradient of your own: subclass, write static `forward` and `backward`, call `apply`.

    `forward(ctx, *args)` gets the arguments of `apply`; or `forward(*args)` together with `setup_context(ctx, inputs,
    output)`, which saves things afterwards. `backward(ctx, *grads)` gets one gradient per result and returns one per
    argument of forward (None for those without). If it is written in operators, gradients of gradients work too.

    >>> import pappus as pp
    >>> class Exp(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         y = x.exp()
    ...         ctx.save_for_backward(y)
    ...         return y
    ...     @staticmethod
    ...     def backward(ctx, grad):
    ...         (y,) = ctx.saved_tensors
    ...         return grad * y
    >>> x = pp.tensor([0.0, 1.0], requires_grad=True)
    >>> Exp.apply(x).sum().backward()
    >>> x.grad
    tensor([1.0000, 2.7183])
    """

    setup_context: Callable[..., None] = staticmethod(_no_setup)

    def __init__(self) -> None:
        name = type(self).__name__
        raise AutogradError(
            f"{name} is not instantiated: call {name}.apply(...), with forward and backward static methods"
        ).at(None, user_location())

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """The operation itself; to be written by the subclass."""
        raise NotImplementedError("a Function needs a static method forward")

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        """The gradients of forward's arguments; to be written by the subclass."""
        raise NotImplementedError("this Function has no static method backward, so it has no gradient")

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Run `forward`; the results take part in the backward pass through `backward`."""
        ctx = FunctionCtx()
        ctx.needs_input_grad = tuple([isinstance(a, Tensor) and a._requires_grad for a in args])
        node = None
        if state.grad and any(ctx.needs_input_grad):
            node = FunctionNode(cls.__name__, cls.backward, ctx, args)
            node.place = caller()
        saved, state.grad = state.grad, False
        try:
            if cls.setup_context is _no_setup:
                result = cls.forward(ctx, *args)
            else:
                result = cls.forward(*args)
                cls.setup_context(ctx, args, result)
        finally:
            state.grad = saved
        outs = list(result) if isinstance(result, (tuple, list)) else [result]
        _check_dirty(cls.__name__, ctx, outs, args)
        if node is not None:
            outs = _attach(node, ctx, outs)
        return tuple(outs) if isinstance(result, (tuple, list)) else outs[0]


def _check_dirty(name: str, ctx: FunctionCtx, outs: list[Any], args: Sequence[Any]) -> None:
    for tensor in ctx._dirty:
        if not any(tensor is a for a in args):
            raise AutogradError(f"{name}: a tensor marked dirty is no argument of forward").at(None, user_location())
        if not any(tensor is out for out in outs):
            raise AutogradError(f"{name}: an argument marked dirty must also be returned").at(None, user_location())
        if state.grad:
            check_write(tensor, name)


def _attach(node: FunctionNode, ctx: FunctionCtx, outs: list[Any]) -> list[Any]:
    """Make the results require grad through `node`, and save what forward asked to save."""
    own: dict[int, int] = {}  # id of a result -> its number
    made: list[Any] = []
    for index, out in enumerate(outs):
        if not isinstance(out, Tensor):
            node.given.append(None)
            node.differentiable.append(False)
            made.append(out)
            continue
        constant = any(out is c for c in ctx._constant) or not out.dtype.differentiable
        dirty = any(out is d for d in ctx._dirty)
        if not dirty and (out._node is not None or out._requires_grad or id(out) in own):
            out = out.detach()  # an argument, or the same result again: a tensor of its own over the same memory
        elif not constant:
            own[id(out)] = index
        node.given.append((out._data.shape, out.dtype))
        node.differentiable.append(not constant)
        if not constant:
            if dirty:
                adopt(out, node, index, node.op.name)
            else:
                out._requires_grad, out._node, out._index = True, node, index
        if not dirty and out._base is not None:
            out._made, out._seen = f"{node.op.name}.apply", out._base._node
        made.append(out)
    ctx._saved = [None if t is None else _Saved(t, own.get(id(t))) for t in ctx._to_save]
    ctx._to_save = ()
    ctx._node = weakref.ref(node)
    return made


# -- a backward that cannot be differentiated again -----------------------------------------------


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a `backward` that is not written in operators: it runs unrecorded, and differentiating it is an error.

    >>> import pappus as pp
    >>> class Double(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         return x * 2
    ...     @staticmethod
    ...     @once_differentiable
    ...     def backward(ctx, grad):
    ...         return pp.from_numpy(grad.numpy() * 2)
    >>> x = pp.ones(1, requires_grad=True)
    >>> pp.autograd.grad(Double.apply(x), x)
    (tensor([2.]),)
    """

    @wraps(backward)
    def run(ctx: Any, *grads: Any) -> Any:
        recording, state.grad = state.grad, False
        try:
            found = backward(ctx, *grads)
        finally:
            state.grad = recording
        if not recording:
            return found
        many = isinstance(found, (tuple, list))
        given = list(found) if many else [found]
        node = ctx._node() if ctx._node is not None else None
        name = "this Function" if node is None else node.op.name

        def refuse(_: Any, *__: Any) -> Any:
            raise AutogradError(
                f"{name}: its backward is marked once_differentiable, so there is no gradient of its gradient; "
                "write backward in Pappus operators and drop the decorator"
            ).at(None, user_location())

        wanted = [g for g in grads if isinstance(g, Tensor) and g._requires_grad]
        sources = wanted or [Tensor._from_data(g._data, True) for g in given if isinstance(g, Tensor)][:1]
        barrier = FunctionNode(f"{name}Gradient", refuse, FunctionCtx(), sources)
        outs = _attach(barrier, barrier.ctx, [g.detach() if isinstance(g, Tensor) else g for g in given])
        return tuple(outs) if many else outs[0]

    return run
