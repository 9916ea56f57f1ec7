"""A pickle machine that builds data and nothing else.

A pickle is a program for a stack machine; Python's own runs whatever callable the file names. This one knows the
instructions that checkpoints are made of, looks every name up in a closed table (`names.py`), and calls only what
stands there. It never recurses, and what it allocates is bounded by the length of the file.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from typing import Any

from pappus.frontend.errors import FormatError

__all__ = ["Damaged", "Known", "Machine", "check_result", "safe_key"]

DEEPEST = 500  # levels of containers in one another; more would overflow the C stack of whoever walks the result


class Damaged(Exception):
    """The bytes are not a pickle that a checkpoint would hold; the reader adds the name of the file."""


class Known:
    """A name of a file that the table has: `call` builds what it stands for; `new`, where that differs, an instance
    that has not been initialized."""

    __slots__ = ("call", "name", "new")

    def __init__(self, name: str, call: Callable[..., Any] | None, new: Callable[..., Any] | None = None) -> None:
        self.name, self.call, self.new = name, call, new or call


class Machine:
    """Runs one pickle of `data`, from `at` on.

    `find(module, name)` gives what a name stands for, `persistent(id)` what an id outside the pickle does,
    `fill(object, state)` takes a state over. `run()` returns the object; `at` is then behind the pickle.
    Raises Damaged for anything else than a pickle made of the known instructions.
    """

    def __init__(
        self, data: Any, at: int, find: Callable[[str, str], Any], persistent: Callable[[Any], Any],
        fill: Callable[[Any, Any], None],
    ) -> None:  # fmt: skip
        self.data, self.at, self.size = data, at, len(data)
        self.find, self.persistent, self.fill = find, persistent, fill
        self.stack: list[Any] = []
        self.outer: list[list[Any]] = []  # the stacks below each open mark
        self.memo: dict[int, Any] = {}
        self.work = 0  # elements copied by calls: one copied thing may be named any number of times
        self.most = 64 * self.size + 100_000

    def run(self) -> Any:
        """Execute up to STOP."""
        steps = _STEPS
        data, size = self.data, self.size
        try:
            while self.at < size:
                code = data[self.at]
                self.at += 1
                if code == 0x2E:  # STOP
                    return self.stack.pop()
                step = steps.get(code)
                if step is None:
                    raise Damaged(f"instruction {_instruction(code)} is not one that checkpoints need")
                step(self)
        except FormatError:
            raise
        except (IndexError, KeyError, TypeError, ValueError, OverflowError, AttributeError, struct.error) as error:
            raise Damaged(f"its pickle makes no sense at byte {self.at} ({type(error).__name__}: {error})") from None
        raise Damaged("its pickle has no end")

    # -- reading the stream ---------------------------------------------------------------------

    def take(self, count: int) -> Any:
        """The next `count` bytes."""
        end = self.at + count
        if count < 0 or end > self.size:
            raise Damaged(f"its pickle ends inside a value of {count} bytes")
        found = bytes(self.data[self.at : end])
        self.at = end
        return found

    def skip(self, count: int) -> None:
        """Pass over `count` bytes that say nothing about the value."""
        self.take(count)

    def number(self, width: int) -> int:
        """The next `width` bytes as a number without sign."""
        return int.from_bytes(self.take(width), "little")

    def line(self) -> str:
        """Text up to the next newline."""
        longest = 1000
        piece = bytes(self.data[self.at : self.at + longest])
        length = piece.find(b"\n")
        if length < 0:
            raise Damaged("its pickle holds a name without an end")
        self.at += length + 1
        return piece[:length].decode()

    # -- the stack ------------------------------------------------------------------------------

    def mark(self) -> None:
        """Open a mark: what follows belongs to it."""
        self.outer.append(self.stack)
        self.stack = []

    def pop_mark(self) -> list[Any]:
        """Everything since the last mark."""
        items = self.stack
        self.stack = self.outer.pop()
        return items

    def put(self, number: int) -> None:
        """Remember the top of the stack under a number."""
        self.memo[number] = self.stack[-1]

    def spend(self, count: int) -> None:
        """Account for elements that a call copies. Raises Damaged for more than a file of this length can mean."""
        self.work += count
        if self.work > self.most:
            raise Damaged("its pickle copies one value over and over, as no checkpoint does")

    # -- building -------------------------------------------------------------------------------

    def push_global(self, module: Any, name: Any) -> None:
        """Look a name up."""
        if type(module) is not str or type(name) is not str:
            raise Damaged("its pickle holds a name that is not text")
        self.stack.append(self.find(module, name))

    def call(self, known: Any, args: Any, new: bool = False) -> None:
        """Build what a known name stands for."""
        made = (known.new if new else known.call) if type(known) is Known else None
        if made is None or type(args) is not tuple:
            what = known.name if type(known) is Known else type(known).__name__
            raise Damaged(f"its pickle calls {what}, which builds nothing")
        for value in args:
            if isinstance(value, (list, dict, set, str, bytes, bytearray)):
                self.spend(len(value))
        self.stack.append(made(*args))

    def set_items(self, target: Any, items: list[Any]) -> None:
        """Store keys and values that stand in turn."""
        if not isinstance(target, dict) or len(items) % 2:
            raise Damaged(f"its pickle sets items of a {type(target).__name__}")
        for key, value in zip(items[::2], items[1::2], strict=True):
            target[safe_key(key)] = value

    def append(self, target: Any, items: list[Any]) -> None:
        """Append to a list."""
        if type(target) is not list:
            raise Damaged(f"its pickle appends to a {type(target).__name__}")
        target.extend(items)


def safe_key(key: Any) -> Any:
    """A key, if it is one whose hash does not recurse without bound."""
    if isinstance(key, tuple) and any(isinstance(part, (tuple, frozenset)) for part in key):
        raise Damaged("a key of a dict is a tuple of tuples")
    if isinstance(key, frozenset):
        raise Damaged("a key of a dict is a set")
    return key


def check_result(value: Any) -> None:
    """Raise Damaged where containers stand in one another deeper than anything that walks them can follow, and where
    a name itself is a value."""
    depth, level, seen = 0, [value], set()
    while level:
        inner: list[Any] = []
        for item in level:
            if type(item) is Known:
                raise Damaged(f"it holds {item.name} itself, which is no value here")
            if isinstance(item, (dict, list, tuple, set)) and id(item) not in seen:
                seen.add(id(item))
                inner += [*item.values(), *item] if isinstance(item, dict) else item
        depth, level = depth + 1, inner
        if depth > DEEPEST:
            raise Damaged(f"containers stand in one another more than {DEEPEST} deep")


def _instruction(code: int) -> str:
    names = {getattr(pickle, name): name for name in pickle.__all__ if isinstance(getattr(pickle, name), bytes)}
    return names.get(bytes([code]), f"{code:#04x}")


# -- the instructions -----------------------------------------------------------------------------

_STEPS: dict[int, Callable[[Machine], None]] = {}


def _step(code: bytes) -> Callable[[Callable[[Machine], None]], Callable[[Machine], None]]:
    def declare(run: Callable[[Machine], None]) -> Callable[[Machine], None]:
        _STEPS[code[0]] = run
        return run

    return declare


def _push(code: bytes, make: Callable[[Machine], Any]) -> None:
    def run(m: Machine) -> None:
        value = make(m)  # may close a mark, which changes the stack
        m.stack.append(value)

    _STEPS[code[0]] = run


def _integer(m: Machine, width: int) -> int:
    return int.from_bytes(m.take(m.number(width)), "little", signed=True)


_push(pickle.NONE, lambda m: None)
_push(pickle.NEWTRUE, lambda m: True)
_push(pickle.NEWFALSE, lambda m: False)
_push(pickle.BININT, lambda m: struct.unpack("<i", m.take(4))[0])
_push(pickle.BININT1, lambda m: m.number(1))
_push(pickle.BININT2, lambda m: m.number(2))
_push(pickle.LONG1, lambda m: _integer(m, 1))
_push(pickle.LONG4, lambda m: _integer(m, 4))
_push(pickle.BINFLOAT, lambda m: struct.unpack(">d", m.take(8))[0])
_push(pickle.BINUNICODE, lambda m: m.take(m.number(4)).decode("utf-8", "surrogatepass"))
_push(pickle.SHORT_BINUNICODE, lambda m: m.take(m.number(1)).decode("utf-8", "surrogatepass"))
_push(pickle.BINUNICODE8, lambda m: m.take(m.number(8)).decode("utf-8", "surrogatepass"))
# Text of Python 2, in which the first checkpoints were written.
_push(pickle.BINSTRING, lambda m: m.take(m.number(4)).decode("latin1"))
_push(pickle.SHORT_BINSTRING, lambda m: m.take(m.number(1)).decode("latin1"))
_push(pickle.BINBYTES, lambda m: m.take(m.number(4)))
_push(pickle.SHORT_BINBYTES, lambda m: m.take(m.number(1)))
_push(pickle.BINBYTES8, lambda m: m.take(m.number(8)))
_push(pickle.BYTEARRAY8, lambda m: bytearray(m.take(m.number(8))))
_push(pickle.EMPTY_TUPLE, lambda m: ())
_push(pickle.EMPTY_LIST, lambda m: [])
_push(pickle.EMPTY_DICT, lambda m: {})
_push(pickle.EMPTY_SET, lambda m: set())
_push(pickle.TUPLE, lambda m: tuple(m.pop_mark()))
_push(pickle.LIST, lambda m: m.pop_mark())
_push(pickle.FROZENSET, lambda m: frozenset(map(safe_key, m.pop_mark())))
_push(pickle.BINGET, lambda m: m.memo[m.number(1)])
_push(pickle.LONG_BINGET, lambda m: m.memo[m.number(4)])
_push(pickle.BINPERSID, lambda m: m.persistent(m.stack.pop()))
_push(pickle.DUP, lambda m: m.stack[-1])

_step(pickle.PROTO)(lambda m: m.skip(1))
_step(pickle.FRAME)(lambda m: m.skip(8))
_step(pickle.MARK)(Machine.mark)
_step(pickle.BINPUT)(lambda m: m.put(m.number(1)))
_step(pickle.LONG_BINPUT)(lambda m: m.put(m.number(4)))
_step(pickle.MEMOIZE)(lambda m: m.put(len(m.memo)))
_step(pickle.GLOBAL)(lambda m: m.push_global(m.line(), m.line()))


@_step(pickle.POP)
def _pop(m: Machine) -> None:
    if m.stack:
        m.stack.pop()
    else:
        m.pop_mark()


@_step(pickle.POP_MARK)
def _pop_mark(m: Machine) -> None:
    m.pop_mark()


def _tuple_of(count: int) -> Callable[[Machine], None]:
    def run(m: Machine) -> None:
        if len(m.stack) < count:
            raise Damaged("its pickle makes a tuple of more than there is")
        m.stack[-count:] = [tuple(m.stack[-count:])]

    return run


for _count, _code in enumerate((pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3), 1):
    _step(_code)(_tuple_of(_count))


@_step(pickle.DICT)
def _dict(m: Machine) -> None:
    items = m.pop_mark()
    m.stack.append({})
    m.set_items(m.stack[-1], items)


@_step(pickle.SETITEM)
def _set_item(m: Machine) -> None:
    value, key = m.stack.pop(), m.stack.pop()
    m.set_items(m.stack[-1], [key, value])


@_step(pickle.SETITEMS)
def _set_items(m: Machine) -> None:
    items = m.pop_mark()
    m.set_items(m.stack[-1], items)


@_step(pickle.APPEND)
def _append(m: Machine) -> None:
    value = m.stack.pop()
    m.append(m.stack[-1], [value])


@_step(pickle.APPENDS)
def _appends(m: Machine) -> None:
    items = m.pop_mark()
    m.append(m.stack[-1], items)


@_step(pickle.ADDITEMS)
def _add_items(m: Machine) -> None:
    items = m.pop_mark()
    if type(m.stack[-1]) is not set:
        raise Damaged("its pickle adds elements to what is no set")
    m.stack[-1].update(map(safe_key, items))


@_step(pickle.STACK_GLOBAL)
def _stack_global(m: Machine) -> None:
    name, module = m.stack.pop(), m.stack.pop()
    m.push_global(module, name)


@_step(pickle.REDUCE)
def _reduce(m: Machine) -> None:
    args, known = m.stack.pop(), m.stack.pop()
    m.call(known, args)


@_step(pickle.NEWOBJ)
def _new(m: Machine) -> None:
    args, known = m.stack.pop(), m.stack.pop()
    m.call(known, args, new=True)


@_step(pickle.BUILD)
def _build(m: Machine) -> None:
    state = m.stack.pop()
    m.fill(m.stack[-1], state)
