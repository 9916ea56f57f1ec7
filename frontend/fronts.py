"""The functions that users call: one per operator, written as Python source from its schema when it is first called.

A front checks and converts its arguments. Then, where a mode is entered in any thread, it goes through `dispatch.call`;
where none is, it does what `dispatch.eager_call` does, written out for this one operator: no argument lists, no loops
over operands, and the shape rule only for shapes, types and attributes that it has not yet accepted. Where numpy has
the operator as one ufunc (`OpDef.ufunc`), float32 and float64 operands go to it before anything is checked: what does
not fit makes numpy raise, and the call starts again on the general way, which explains.

`source` shows what was written:

>>> import pappus as pp
>>> print(source(pp.frontend.opdef.OPS["neg"]).splitlines()[0])
def neg(self=REQUIRED, *extra, **unknown):
"""

from __future__ import annotations

import inspect
import linecache
import sys
from collections.abc import Callable
from textwrap import indent
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dispatch, dtypes
from .dispatch import errors
from .errors import PappusError
from .inplace import show, touch
from .schema import REQUIRED, Param, converter
from .source import outside
from .symbolic import SymbolicArray
from .tape import Ghost, Node, Storage, _sequence, caller, entered, history_of, inferring, state
from .tensor import Tensor

if TYPE_CHECKING:
    from .opdef import OpDef

__all__ = ["NUMBERS", "bind_function", "bind_inplace", "bind_method", "bind_operator", "make_front", "source"]

# -- numbers among operands -----------------------------------------------------------------------

NUMBERS: dict[Any, dict[Any, Tensor]] = {np.dtype(np.float32): {}, np.dtype(np.float64): {}}
"""By numpy dtype: Python numbers that met such tensors, as the 0-d tensors that stand for them. Zeros, which have signs
that == does not see, are kept by their text."""


def weak(tensor: Any, value: Any) -> Any:
    """The 0-d tensor for a Python number next to `tensor`, from now on kept; the number where that is not simple."""
    table = NUMBERS.get(tensor._data.dtype) if isinstance(tensor, Tensor) else None
    if table is None or isinstance(tensor._data, SymbolicArray):
        return value
    if len(table) > 4096:
        table.clear()
    try:
        found = table[value or repr(value)] = dispatch.number(value, tensor.dtype)
    except PappusError:
        return value
    found._data.flags.writeable = False
    return found


GHOSTS: dict[bool, dict[Any, dict[Any, Ghost]]] = {True: {}, False: {}}
"""By whether a gradient is wanted, numpy dtype and shape: what stands on the tape for operands whose numbers no
gradient needs. Nothing changes one, so that all nodes share them."""


def ghost(tensor: Tensor) -> Ghost:
    """What stands for `tensor` on the tape, from now on kept."""
    array, wants = tensor._data, tensor._requires_grad
    table = GHOSTS[wants].setdefault(array.dtype, {})
    if len(table) > 4096:
        table.clear()
    found = table[array.shape] = Ghost(array.shape, array.dtype, wants)
    return found


# -- pieces of source -----------------------------------------------------------------------------

MAKE = """\
{pad}_out = new(Tensor)
{pad}_out._data = _found
{pad}_out._node = _out._base = _out._recipe = _out._seen = _out._made = None
{pad}_out._storage = state.block if inferring else None
{pad}_out._requires_grad = False
{pad}_out._index = 0
"""

NODE = """\
{pad}    _node = new(Node)
{pad}    _node.op, _node.attrs, _node.args = op_{op}, {attrs}, ({args})
{pad}    _node.edges, _node.versions = ({edges}), ({versions})
{pad}    _node.outs = _node.hooks = _node.freed = None
{pad}    _node.seq = next(sequence)
{pad}    _frame = getframe(1)
{pad}    _code = _frame.f_code
{pad}    _node.place = (_code, _frame.f_lasti) if _code.co_filename in outside else caller()
{pad}    _out._requires_grad = True
{pad}    _out._node = _node
"""

OUTS = """\
{pad}    _out._storage = _storage = Storage()
{pad}    _node.outs, _node.out_storages, _node.out_versions = (_found,), (_storage,), (0,)
"""

GHOST = """\
{pad}    try:
{pad}        _ghost{at} = GHOSTS[{wants}][{kind}][_x{at}.shape]
{pad}    except KeyError:
{pad}        _ghost{at} = ghost({name})
"""

UFUNC = """\
    if not entered:
{numbers}        if {tensors}:
            {take}
            _kind = _x0.dtype
            if (_kind is float32 or _kind is float64){same}:
{run}                if _found is not None:
                    if type(_found) is not ndarray:
                        _found = asarray(_found)
{make}{record}                    return _out
"""

RUN = """\
                _token = silence(SILENT)
                try:
                    _found = ufunc_{op}({arrays})
                except Exception:
                    _found = None
                finally:
                    unsilence(_token)
"""

RUN_QUIET = """\
                try:
                    _found = ufunc_{op}({arrays})
                except Exception:
                    _found = None
"""

NUMBER = """\
    _kind = type({number})
    if _kind is float or _kind is int:
        try:
            {number} = NUMBERS[{tensor}._data.dtype][{number} or repr({number})]
        except (KeyError, AttributeError):
            {number} = weak({tensor}, {number})
"""

EAGER_QUIET = """\
    try:
        {take}
{check}        _found = kernel_{op}(np, {arrays})
    except Exception as _error:
        explain(_error, op_{op}, {args}, {attrs})
        raise
"""

SHOWN = """\
    _attrs = {attrs}
    _memory = _found.base
    if _memory is not None and (_memory is _x0 or _memory is _x0.base):
        show({base}, _out, op_{op}, _attrs)
    else:
        shown({base}, _out, op_{op}, _attrs)
"""

EAGER = """\
    _token = silence(SILENT)
    try:
        {take}
{check}        _found = kernel_{op}(np, {arrays})
    except Exception as _error:
        explain(_error, op_{op}, {args}, {attrs})
        raise
    finally:
        unsilence(_token)
"""

INPLACE = """\
def {dunder}(self, other):
    if not entered:
{numbers}        if (type(other) is Tensor or isinstance(other, Tensor)) and not (state.grad and (
            self._requires_grad or other._requires_grad or (self._base is not None and self._base._requires_grad)
        )):
            _x0, _x1, _storage = self._data, other._data, self._storage
            _kind = _x0.dtype
            if (_kind is float32 or _kind is float64) and _kind is _x1.dtype:
                if _storage is not None:
                    _storage.version  # one of inference mode refuses to be counted
                _token = silence(SILENT)
                try:
                    _found = ufunc_{op}(_x0, _x1, _x0)
                except Exception:
                    _found = None
                finally:
                    unsilence(_token)
                if _found is not None:
                    touch(self, {dunder!r})
                    return self
    return {dunder}_otherwise(self, other)
"""

CHECK = """\
        _key = ({key})
        if _key not in seen_{op}:
            op_{op}.shape({call})
            learn(seen_{op}, _key)
"""

COMPOSE = """\
    try:
{check}        return decompose_{op}({call})
    except PappusError as _error:
        located(_error, op_{op}, {args})
        raise
"""


SCOPE: dict[str, Any] = {
    "DType": dtypes.DType, "GHOSTS": GHOSTS, "NONE": {}, "NUMBERS": NUMBERS, "Node": Node, "PappusError": PappusError,
    "REQUIRED": REQUIRED, "SILENT": dispatch.SILENT, "Storage": Storage, "Tensor": Tensor, "asarray": np.asarray,
    "call": dispatch.call, "check": dispatch.check, "caller": caller, "entered": entered, "explain": dispatch.explain,
    "inferring": inferring,
    "float32": dtypes.float32.numpy, "float64": dtypes.float64.numpy, "getframe": sys._getframe,
    "ghost": ghost, "history_of": history_of,
    "kinds": dispatch.KINDS, "learn": dispatch.learn, "list_arg": dispatch.list_arg, "located": dispatch.located,
    "misuse": dispatch.misuse, "ndarray": np.ndarray, "new": object.__new__, "np": np,
    "number_args": dispatch.number_args, "outside": outside, "record": dispatch.record, "sequence": _sequence,
    "show": show, "shown": dispatch.shown, "silence": errors.set, "state": state, "tensor_arg": dispatch.tensor_arg,
    "touch": touch, "unsilence": errors.reset, "weak": weak, "wrap": dispatch.wrap,
}  # fmt: skip
"""The globals of every front."""


def _tuple(items: list[str]) -> str:
    return "(" + "".join(f"{item}, " for item in items) + ")"


class _Writer:
    """Writes the source of one operator's front."""

    def __init__(self, op: OpDef) -> None:
        self.op, self.name, self.schema = op, op.name, op.schema
        self.tensors = [p.name for p in op.schema.tensors]
        self.args = _tuple(self.tensors)
        items = ", ".join(f"{p.name!r}: {p.name}" for p in op.schema.attrs)
        self.attrs = f"{{{items}}}" if items else "NONE"
        self.plain = not any(p.type in ("Tensor?", "Tensor|Scalar?", "Tensor[]") for p in op.schema.tensors)

    def record(self, pad: str, checked: bool) -> str:
        """The tape node where an operand wants a gradient; `checked`: the result is known to be floating point."""
        op = self.op
        if not op.differentiable:
            return ""
        operands = zip(self.schema.tensors, self.tensors, strict=True)
        wants = " or ".join(self._wants(param, name) for param, name in operands)
        if not wants:
            return ""
        if not self.plain or op.multi:
            outs = "_out" if op.multi else "(_out,)"
            call = f"record(op_{self.name}, {self.args}, {self.attrs}, {outs})"
            return f"{pad}if ({wants}) and state.grad:\n{pad}    {call}\n"
        floating = "" if checked else " and _found.dtype in kinds"
        text = f"{pad}if ({wants}) and state.grad{floating}:\n"
        args, edges, versions = [], [], []
        for at, (name, kept) in enumerate(zip(self.tensors, op.keeps, strict=True)):
            if kept:
                args.append(name)
                versions.append(f"0 if {name}._storage is None else {name}._storage.version")
            else:
                text += GHOST.format(
                    pad=pad, at=at, name=name, kind="_kind" if checked else f"_x{at}.dtype",
                    wants=f"{name}._requires_grad" if len(self.tensors) > 1 else "True",
                )  # fmt: skip
                args.append(f"_ghost{at}")
                versions.append("-1")
            history = f"_past := {name}._node if {name}._base is None else history_of({name})"
            edges.append(
                f"None if not {name}._requires_grad else ({name}, 0) if ({history}) is None else (_past, {name}._index)"
            )
        text += NODE.format(
            pad=pad, op=self.name, attrs=self.attrs,
            args="".join(f"{a}, " for a in args), edges="".join(f"{e}, " for e in edges),
            versions="".join(f"{v}, " for v in versions),
        )  # fmt: skip
        return text + (OUTS.format(pad=pad) if op.keeps_out else "")

    @staticmethod
    def _wants(param: Param, name: str) -> str:
        if param.type == "Tensor[]":
            return f"any([t is not None and t._requires_grad for t in {name}])"
        some = f"{name}._requires_grad"
        return f"({name} is not None and {some})" if param.type.endswith("?") else some

    def _numbers(self, known: str = "") -> str:
        """Python numbers next to float32 and float64 tensors that decide the type."""
        params = list(zip(self.schema.tensors, self.tensors, strict=True))
        own = [n for p, n in params if "Scalar" in p.type]
        deciding = [n for p, n in params if "Scalar" in p.type or p.name == "self"]
        if "like_self" in self.op.tags and len(own) == 1:
            pairs = [(own[0], self.tensors[0])]
        elif len(deciding) == 2:
            pairs = [(n, deciding[n == deciding[0]]) for n in own]
        else:
            pairs = []
        return "".join(NUMBER.format(number=number, tensor=tensor) for number, tensor in pairs if number != known)

    def ufunc(self, known: str = "") -> str:
        """The way for float32 and float64; `known` is an operand that is certainly a tensor."""
        names = self.tensors
        pad = " " * 20
        tensors = " and ".join(f"(type({n}) is Tensor or isinstance({n}, Tensor))" for n in names if n != known)
        arrays = [f"_x{at}" for at in range(len(names))]
        return UFUNC.format(
            op=self.name, numbers=indent(self._numbers(known), "    "), tensors=tensors or "True",
            take="; ".join(f"{x} = {n}._data" for x, n in zip(arrays, names, strict=True)),
            same="".join(f" and _kind is {x}.dtype" for x in arrays[1:]),
            run=(RUN_QUIET if self.op.quiet else RUN).format(op=self.name, arrays=", ".join(arrays)),
            make=MAKE.format(pad=pad), record=self.record(pad, True),
        )  # fmt: skip

    def front(self) -> str:
        """The whole function."""
        signature: list[str] = []
        for param in self.schema.params:
            if param.kw_only and "*extra" not in signature:
                signature.append("*extra")
            default = "REQUIRED" if param.default is REQUIRED else f"default_{param.name}"
            signature.append(f"{param.name}={default}")
        if "*extra" not in signature:
            signature.append("*extra")
        wrong = "".join(f" or {p.name} is REQUIRED" for p in self.schema.params if p.default is REQUIRED)
        known = ", ".join(f"{p.name}={p.name}" for p in self.schema.params)
        text = f"def {self.name}({', '.join(signature)}, **unknown):\n"
        text += f"    if unknown or extra{wrong}:\n"
        text += f"        return misuse(op_{self.name}, extra, unknown, dict({known}))\n"
        return text + self.body()

    def body(self) -> str:
        """What follows when there is an argument for every parameter."""
        lines: list[str] = []
        numbers: list[tuple[str, str]] = []
        for param in self.schema.params:
            name = param.name
            guard = f"{name} is not None and " if param.type.endswith("?") else ""
            if param.type in ("Tensor", "Tensor?"):
                lines.append(
                    f"    if {guard}type({name}) is not Tensor and not isinstance({name}, Tensor): "
                    f"{name} = tensor_arg(op_{self.name}, {name!r}, {name})"
                )
            elif param.type == "Tensor[]":
                lines.append(f"    {name} = list_arg(op_{self.name}, {name!r}, {name})")
            elif param.is_tensor:
                numbers.append((name, guard))
            else:
                convert, test, extra = converter(param)
                if convert is not None:
                    SCOPE[convert.__name__] = convert
                    condition = (guard + test.format(name)).removesuffix(" and ") or "True"
                    given = f"{self.name!r}, {name!r}, {name}{extra}"
                    lines.append(f"    if {condition}: {name} = {convert.__name__}({given})")
        text = ""
        if self.op.ufunc is not None:
            text += self.ufunc()
        if self.op.ufunc is None and (weak_numbers := self._numbers()):
            text += "    if not entered:\n" + indent(weak_numbers, "    ")
        if numbers:
            tests = " or ".join(f"({guard}not isinstance({name}, Tensor))" for name, guard in numbers)
            lines.append(f"    if {tests}: {self.args} = number_args(op_{self.name}, {self.args})")
        text += "".join(f"{line}\n" for line in lines)
        text += f"    if entered: return call(op_{self.name}, {self.args}, {self.attrs})\n"
        return text + (self._compose() if self.op.eager is None else self._eager())

    def _check(self) -> str:
        op = self.op
        if not op.check or (op.eager is None and op.shape_rule is None):
            return ""
        call = ", ".join([*self.tensors, *(f"{p.name}={p.name}" for p in self.schema.attrs)])
        if op.eager is None or any(p.type in ("any", "Generator") for p in self.schema.attrs):
            return f"        check(op_{self.name}, {self.args}, {self.attrs})\n"
        key = []
        for at, param in enumerate(self.schema.tensors):
            if param.type == "Tensor[]":
                key.append(f"tuple([x is None or (x.shape, x.dtype) for x in _x{at}])")
            elif param.type.endswith("?"):
                key.append(f"_x{at} is None or (_x{at}.shape, _x{at}.dtype)")
            else:
                key.append(f"_x{at}.shape, _x{at}.dtype")
        for param in self.schema.attrs:
            key.append(param.name)
            if "Scalar" in param.type:  # 1 and 1.0 are equal and have different types
                key.append(f"type({param.name})")
        return CHECK.format(op=self.name, key="".join(f"{k}, " for k in key), call=call)

    def _eager(self) -> str:
        op = self.op
        take, arrays = [], []
        for at, param in enumerate(self.schema.tensors):
            name = param.name
            arrays.append(f"_x{at}")
            if param.type == "Tensor[]":
                take.append(f"_x{at} = [None if t is None else t._data for t in {name}]")
            elif param.type.endswith("?"):
                take.append(f"_x{at} = None if {name} is None else {name}._data")
            else:
                take.append(f"_x{at} = {name}._data")
        text = (EAGER_QUIET if op.view or op.quiet else EAGER).format(
            op=self.name, take="; ".join(take) or "pass", check=self._check(), args=self.args, attrs=self.attrs,
            arrays=", ".join([*arrays, *(f"{p.name}={p.name}" for p in self.schema.attrs)]),
        )  # fmt: skip
        if op.multi:
            text += "    _out = tuple([wrap(array) for array in _found])\n"
            return text + self.record("    ", False) + "    return _out\n"
        text += "    if type(_found) is not ndarray: _found = asarray(_found)\n" + MAKE.format(pad="    ")
        if op.view:
            text += f"    shown({self.tensors[0]}, _out, op_{self.name}, {self.attrs})\n"
        return text + self.record("    ", False) + "    return _out\n"

    def _compose(self) -> str:
        call = ", ".join([*self.tensors, *(f"{p.name}={p.name}" for p in self.schema.attrs)])
        return COMPOSE.format(op=self.name, check=self._check(), call=call, args=self.args)


def source(op: OpDef) -> str:
    """The Python source of an operator's front."""
    return _Writer(op).front()


# -- functions ------------------------------------------------------------------------------------


def _bind(op: OpDef) -> None:
    """Make what the front of `op` names reachable from its source."""
    name = op.name
    SCOPE[f"op_{name}"], SCOPE[f"kernel_{name}"], SCOPE[f"decompose_{name}"] = op, op.eager, op.decompose
    SCOPE[f"ufunc_{name}"] = op.ufunc
    SCOPE.setdefault(f"seen_{name}", set())


def _write(front: Any, op: OpDef, text: str, defaults: dict[str, Any]) -> None:
    """Give the function `front` the body that `text` defines under its name."""
    _bind(op)
    made: dict[str, Any] = dict(defaults)
    file = f"<pappus {front.__qualname__}>"
    linecache.cache[file] = len(text), None, text.splitlines(keepends=True), file  # tracebacks show the lines
    exec(compile(text, file, "exec"), SCOPE, made)
    written = made[front.__name__]
    front.__defaults__ = written.__defaults__
    front.__kwdefaults__ = {**(written.__kwdefaults__ or {}), "_write": front.__kwdefaults__["_write"]}
    front.__code__ = written.__code__  # last: until then the placeholder's runs, in other threads too


def _placeholder(*args: Any, _write: Any, **kwargs: Any) -> Any:
    return _write()(*args, **kwargs)


def _lazily(name: str, write: Callable[[Any], None]) -> Any:
    """A function that `write` gives its body when it is first called."""
    made: Any = FunctionType(_placeholder.__code__, SCOPE, name)

    def now() -> Any:
        write(made)
        return made

    made.__kwdefaults__ = {"_write": now}
    made.__qualname__ = name
    return made


def make_front(op: OpDef) -> Any:
    """The public function of an operator. Its body is written when it is first called."""
    defaults = {f"default_{p.name}": p.default for p in op.schema.params}
    front = _lazily(op.name, lambda made: _write(made, op, source(op), defaults))
    kinds = inspect.Parameter
    front.__signature__ = inspect.Signature([
        kinds(
            p.name, kinds.KEYWORD_ONLY if p.kw_only else kinds.POSITIONAL_OR_KEYWORD,
            default=kinds.empty if p.default is REQUIRED else p.default,
        )
        for p in sorted(op.schema.params, key=lambda p: (p.kw_only, p.default is not REQUIRED and not p.kw_only))
    ])  # fmt: skip
    return front


def bind_operator(op: OpDef, dunder: str, other: Callable[..., Any], reflected: bool = False) -> Any:
    """Python's method `dunder` (such as "__add__") for an operator of one or two tensors that is a ufunc.

    What is not two float32 or two float64 tensors, or one and a number, goes to `other(self, ...)`.
    """

    def write(made: Any) -> None:
        names = ["self", "other"][: len(op.schema.tensors)]
        writer = _Writer(op)
        writer.tensors = names[::-1] if reflected else names
        text = f"def {dunder}({', '.join(names)}):\n{writer.ufunc('self')}"
        SCOPE[f"{dunder}_otherwise"] = other
        text += f"    return {dunder}_otherwise({', '.join(names)})\n"
        _write(made, op, text, {})

    return _lazily(dunder, write)


def bind_method(op: OpDef, name: str, parameters: str, lines: str, other: Callable[..., Any]) -> Any:
    """The method `name` of Tensor that is an operator: `lines`, in which `other` is `otherwise`, make of the method's
    parameters those of the operator, and the rest is its front. One function, so that a call costs one call."""

    def write(made: Any) -> None:
        SCOPE[f"{name}_otherwise"] = other
        text = f"def {name}({parameters}):\n" + indent(lines.replace("otherwise", f"{name}_otherwise"), "    ")
        _write(made, op, text + _Writer(op).body(), {})

    made = _lazily(name, write)
    made.__qualname__, made.__doc__ = f"Tensor.{name}", other.__doc__
    return made


_PAIR = """\
if unknown or extra or self is REQUIRED or other is REQUIRED:
    if extra: return otherwise(self, other, *extra, **unknown)
    given = {name: value for name, value in (("self", self), ("other", other)) if value is not REQUIRED}
    return otherwise(**given, **unknown)
"""


def bind_function(op: OpDef, other: Callable[..., Any]) -> Any:
    """The public function `other(self, other, *, options)`, which without options is the operator `op`."""
    made = bind_method(op, other.__name__, "self=REQUIRED, other=REQUIRED, *extra, **unknown", _PAIR, other)
    made.__qualname__ = f"{other.__name__} with options"  # its file, beside the operator's own
    made.__signature__ = inspect.signature(other)
    return made


def bind_inplace(op: OpDef, dunder: str, other: Callable[..., Any]) -> Any:
    """The same for an in-place operator such as "__iadd__": numpy writes where no gradient can be lost."""

    def write(made: Any) -> None:
        writer = _Writer(op)
        writer.tensors = ["self", "other"]
        SCOPE[f"{dunder}_otherwise"] = other
        numbers = indent(writer._numbers("self"), "    ")
        _write(made, op, INPLACE.format(op=op.name, dunder=dunder, numbers=numbers), {})

    return _lazily(dunder, write)
