"""The tape: what a forward pass leaves behind for the backward pass, and the per-thread state that says whether it
does.

Nothing here knows operators or tensors; `dispatch` writes nodes and `autograd` walks them.
"""

from __future__ import annotations

import itertools
import sys
import threading
from collections.abc import Callable
from types import CodeType
from typing import Any

from .dtypes import DType, from_numpy_dtype
from .source import format_location, inside, is_inside, outside

__all__ = [
    "AccumulateGrad", "Ghost", "HookHandle", "Key", "Node", "State", "Storage", "caller", "entered", "history_of",
    "inferring", "line_of", "state",
]  # fmt: skip


Place = tuple[CodeType, int]


class State(threading.local):
    """Per thread: `grad` (record nodes?) and `mode` (the top of the stack of dispatch modes, or None for eager).

    `inference` says whether inference mode is on, and `block` is then the storage of all that operators make; `saving`
    are the hooks for saved tensors and `forbidden` why there may be none; `cuts` is where this thread last cut a
    history, by what.
    """

    grad: bool = True
    mode: Any = None
    inference: bool = False
    block: Any = None

    def __init__(self) -> None:
        self.saving: list[Any] = []
        self.forbidden: list[str] = []
        self.cuts: dict[str, Place | None] = {}


state = State()
entered: list[Any] = []  # the modes entered in any thread: while there are none, nobody needs to look at state.mode
inferring: list[Any] = []  # the blocks of inference mode entered in any thread, see `State.block`
anomaly: list[bool] = []  # while anomaly mode is on (in any thread): whether gradients are checked for nan
_sequence = itertools.count()


def caller() -> Place | None:
    """The user's current (code, instruction offset): the cheap form of a source line, see `line_of`."""
    try:
        frame = sys._getframe(2)
        while True:
            code = frame.f_code
            name = code.co_filename
            if name in outside or (name not in inside and not is_inside(name)):
                return code, frame.f_lasti
            if frame.f_back is None:
                return None
            frame = frame.f_back
    except ValueError:
        return None


def line_of(place: Place | None) -> str:
    """`file.py:12` for what `caller` returned."""
    if place is None:
        return "<unknown>:0"
    code, lasti = place
    line = code.co_firstlineno
    for start, end, number in code.co_lines():
        if start <= lasti < end and number is not None:
            line = number
            break
    return format_location(code.co_filename, line)


class Storage:
    """What the views of one piece of memory share: how often it was changed in place, and by whom last.

    `views` are weak references to those that would begin to require grad if their base did (see `inplace.show`);
    `sweep` is their number at which the dead ones are dropped. Writes through `tensor.data` are not counted in
    `version` but in `hidden`, of the storage `owner` from which that was taken.
    """

    # Defaults of the class, so that making one runs no Python: every result that a gradient needs has one.
    version: int = 0
    by: str = ""
    place: Place | None = None
    views: list[Any] | None = None
    sweep: int = 32
    hidden: int = 0
    owner: Storage | None = None


class Ghost:
    """Shape and type of an operand whose numbers the gradient does not need."""

    __slots__ = ("requires_grad", "shape", "type")

    def __init__(self, shape: tuple[Any, ...], dtype: Any, requires_grad: bool) -> None:
        self.shape = shape
        self.type = dtype  # ours or numpy's
        self.requires_grad = requires_grad

    @property
    def dtype(self) -> DType:
        """The type of the elements."""
        return self.type if type(self.type) is DType else from_numpy_dtype(self.type)

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)


class HookHandle:
    """What registering a hook returns: `remove()` takes the hook away again; also a context manager."""

    def __init__(self, hooks: list[Any], hook: Any) -> None:
        self._hooks, self._hook = hooks, hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        if self._hook in self._hooks:
            self._hooks.remove(self._hook)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


class AccumulateGrad:
    """Stands for a leaf among a node's `next_functions`: its gradient is added to `variable.grad`."""

    __slots__ = ("variable",)

    def __init__(self, variable: Any) -> None:
        self.variable = variable

    def name(self) -> str:
        """As PyTorch calls it."""
        return "AccumulateGrad"

    @property
    def next_functions(self) -> tuple[Any, ...]:
        """Nothing comes after a leaf."""
        return ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, AccumulateGrad) and self.variable is other.variable

    def __hash__(self) -> int:
        return id(self.variable)

    def __repr__(self) -> str:
        return f"<AccumulateGrad of {list(self.variable.shape)}>"


Key = tuple[int, int]  # the id of a node or leaf, and which result of the node

PRE_HOOKS, POST_HOOKS = -1, -2  # where `Node.hooks` has those of the node itself, beside the numbers of its results


class Node:
    """One recorded operator call.

    `args` are the operands as given (tensors, ghosts, None, or lists of them), `edges` one `(Node or leaf, index)` or
    None per tensor of the flattened operands, `versions` the storage versions at the time. `outs` are the arrays of the
    results (None if the gradient does not need them), never the tensors, so that the tape holds no reference cycle.
    Fronts leave what else is about results unset: `out_storages` and `out_versions` without `outs`, `metas` of one.
    """

    __slots__ = (
        "__weakref__",
        "args",
        "attrs",
        "edges",
        "freed",
        "hooks",
        "metas",
        "op",
        "out_storages",
        "out_versions",
        "outs",
        "place",
        "seq",
        "versions",
    )

    def __init__(self, op: Any, args: Any, attrs: dict[str, Any], edges: list[Any], versions: list[int]) -> None:
        self.op = op
        self.args = args
        self.attrs = attrs
        self.edges = edges
        self.versions = versions
        self.outs: tuple[Any, ...] | None = None
        self.out_storages: tuple[Storage, ...] = ()
        self.out_versions: tuple[int, ...] = ()
        self.metas: tuple[Any, ...] = ()
        self.hooks: dict[int, list[Any]] | None = None
        self.freed: Place | bool | None = None
        self.seq = next(_sequence)
        self.place: Place | None = None

    @property
    def location(self) -> str:
        """`file.py:12` of the user's line that made this node."""
        return line_of(self.place)

    def name(self) -> str:
        """The operator's name, in the style of PyTorch's `grad_fn.name()`: `MulBackward0`."""
        return "".join(part.capitalize() for part in self.op.name.split("_")) + "Backward0"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """Where this node's gradients go: `(Node or AccumulateGrad, output number)`, (None, 0) where none is wanted."""
        return tuple(
            (None, 0) if e is None else e if isinstance(e[0], Node) else (AccumulateGrad(e[0]), 0) for e in self.edges
        )

    def register_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(grad_inputs, grad_outputs)` after this node's gradient; what it returns replaces grad_inputs."""
        return self._hook(POST_HOOKS, hook)

    def register_prehook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call `hook(grad_outputs)` before this node's gradient; what it returns replaces grad_outputs."""
        return self._hook(PRE_HOOKS, hook)

    def _hook(self, place: int, hook: Callable[..., Any]) -> HookHandle:
        if self.hooks is None:
            self.hooks = {}
        hooks = self.hooks.setdefault(place, [])
        hooks.append(hook)
        return HookHandle(hooks, hook)

    def operands(self) -> list[Any]:
        """The tensors or ghosts (None where there is none) that the edges belong to, one per edge."""
        flat: list[Any] = []
        for arg in self.args:
            if isinstance(arg, list):
                flat.extend(arg)
            elif arg is not None:
                flat.append(arg)
        return flat

    def free(self, place: Place | None) -> None:
        """Drop what was saved; a later backward through this node says where the first one was.

        A node that keeps no numbers has nothing to drop, and may be gone through again, as in PyTorch.
        """
        if self.outs is None and all(
            arg is None or type(arg) is Ghost or (type(arg) is list and all(a is None or type(a) is Ghost for a in arg))
            for arg in self.args
        ):
            return
        self.args, self.outs, self.attrs = (), None, {}
        self.freed = place or True

    def __repr__(self) -> str:
        return f"<{self.name()} from {self.op.name} at {self.location}>"


def history_of(tensor: Any) -> Node | None:
    """The node of a tensor, derived anew first where it is a view whose base was written to since.

    Who reads a tensor's `_node` to hang something on it asks here.
    """
    base = tensor._base
    if base is not None and base._node is not tensor._seen and base._node is not None:
        refresh[0](tensor)
    node: Node | None = tensor._node
    return node


refresh: list[Any] = []  # inplace's function that derives the node of a view anew: it is above tensors
