"""The tape: what a forward pass leaves behind for the backward pass, and the per-thread state that says whether it
does.

Nothing here knows operators or tensors; `dispatch` writes nodes and `autograd` walks them.
"""

from __future__ import annotations

import itertools
import sys
import threading
from types import CodeType
from typing import Any

from .dtypes import DType, from_numpy_dtype
from .source import format_location, is_inside, outside

__all__ = ["Ghost", "Node", "State", "Storage", "caller", "entered", "history_of", "line_of", "state"]


class State(threading.local):
    """Per thread: `grad` (record nodes?) and `mode` (the top of the stack of dispatch modes, or None for eager)."""

    grad: bool = True
    mode: Any = None


state = State()
entered: list[Any] = []  # the modes entered in any thread: while there are none, nobody needs to look at state.mode
_sequence = itertools.count()
Place = tuple[CodeType, int]


def caller() -> Place | None:
    """The user's current (code, instruction offset): the cheap form of a source line, see `line_of`."""
    try:
        frame = sys._getframe(2)
        while True:
            code = frame.f_code
            if code.co_filename in outside or not is_inside(code.co_filename):
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
    `sweep` is their number at which the dead ones are dropped.
    """

    __slots__ = ("by", "place", "sweep", "version", "views")

    def __init__(self) -> None:
        self.version = 0
        self.by = ""
        self.place: Place | None = None
        self.views: list[Any] | None = None
        self.sweep = 8


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


class Node:
    """One recorded operator call.

    `args` are the operands as given (tensors, ghosts, None, or lists of them), `edges` one `(Node or leaf, index)` or
    None per tensor of the flattened operands, `versions` the storage versions at the time. `outs` are the arrays of the
    results (None if the gradient does not need them), never the tensors, so that the tape holds no reference cycle.
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
        """Where this node's gradients go: `(Node or leaf tensor, output number)` for each operand that wants one."""
        return tuple(edge if edge is not None else (None, 0) for edge in self.edges)

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
        """Drop what was saved; a later backward through this node says where the first one was."""
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
