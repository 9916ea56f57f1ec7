"""The one door: every operator call goes through here, and every in-place write through `inplace.assign`.

`call(op, args, attrs)` hands the call to the innermost `Mode` of this thread (capture, fake-quantize, profile ...), or,
when there is none, runs it: take the arrays, run the kernel, wrap the result, and write a tape node if a gradient is
wanted. Nothing else intercepts operators.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes
from .device import as_array, operands, using
from .errors import ArgumentError, CaptureError, DTypeError, PappusError, UnsupportedError
from .inplace import assign, show, touch
from .out_argument import into
from .saved_tensors import Packed, pack_tensor
from .schema import REQUIRED, check_call, describe, respell
from .source import user_frame, user_location
from .symbolic import SymbolicArray, SymInt
from .tape import Ghost, Node, Storage, caller, entered, history_of, inferring, state
from .tensor import Tensor

if TYPE_CHECKING:
    from .opdef import OpDef

__all__ = [
    "SILENT",
    "Mode",
    "call",
    "call_into",
    "current_mode",
    "eager_call",
    "errors",
    "infer",
    "record",
    "user_frame",
    "user_location",
]

KINDS = frozenset(d.numpy for d in dtypes.ALL if d.differentiable)  # numpy's types that have gradients
Result = Any  # Tensor | tuple[Tensor, ...]; Any because operators are called dynamically


class Mode:
    """Something that sees operator calls before they run; `with mode:` puts it on top of this thread's stack.

    While one of its methods runs, the modes below it are current, so that calling an operator there reaches them (and
    in the end the eager engine); `with self:` inside a method sends nested calls to this mode again.
    """

    sees_inline = False  # whether shorthand operators come to `call` too, and not only what they decompose into
    _outer: list[Any]

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Result:
        """An operator was called with tensors `args` (None or lists where the schema says so)."""
        return call(op, args, attrs)

    def assign(self, target: Tensor, value: Tensor) -> None:
        """The elements of `target` are to become those of `value`, which has the same shape and type."""
        assign(target, value)

    def concretize(self, tensor: Tensor, what: str) -> Any:
        """Python asked for the numbers of a symbolic tensor; `what` says how ("item()", "bool()")."""
        raise UnsupportedError(f"{what}: {type(self).__name__} has no numbers to give")

    def scalar(self, value: Any, dtype: dtypes.DType) -> Tensor:
        """A size (SymInt) was used as a number in tensor arithmetic: the 0-d tensor that stands for it."""
        return Tensor._from_data(np.array(int(value), dtype.numpy))

    def __enter__(self) -> Any:
        if "_outer" not in self.__dict__:
            self._outer = []
        self._outer.append(state.mode)
        entered.append(self)
        state.mode = _Level(self, state.mode)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.mode = self._outer.pop()
        entered.remove(self)


class _Level:
    """One entry of the mode stack: a mode and the entry below it."""

    __slots__ = ("below", "mode")

    def __init__(self, mode: Mode, below: _Level | None) -> None:
        self.mode, self.below = mode, below

    def run(self, method: Callable[..., Any], *args: Any) -> Any:
        state.mode = self.below
        try:
            return method(*args)
        finally:
            state.mode = self

    def concretize(self, tensor: Tensor, what: str) -> Any:
        return self.run(self.mode.concretize, tensor, what)


def current_mode() -> Mode | None:
    """The innermost mode of this thread, None when operators simply run."""
    level = state.mode
    return None if level is None else level.mode


def call(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Result:
    """Call an operator on tensors: through the innermost mode, or eagerly."""
    level = state.mode
    if level is None:
        return eager_call(op, args, attrs)
    if op.inline and not level.mode.sees_inline:
        return _compose(op, args, attrs)
    return level.run(level.mode.call, op, args, attrs)


def _compose(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Result:
    """Run an operator by its decomposition. Errors inside it name the operator that the user called, too."""
    try:
        if op.check and op.shape_rule is not None:
            op.shape_rule(*args, **attrs)
        return op.decompose(*args, **attrs)  # type: ignore[misc]
    except PappusError as error:
        located(error, op, args)
        raise


def located(error: PappusError, op: OpDef, args: tuple[Any, ...]) -> None:
    """Add to an error the operator that was called, the user's line and the operands."""
    error.at(op.name, user_location(), describe(args))


# -- floating-point warnings ----------------------------------------------------------------------
# Division by zero and overflow give inf and nan, as IEEE says, without numpy's warnings. Entering np.errstate costs 0.7
# us per call; setting its context variable to a prepared value costs a tenth of that.

try:
    from numpy._core.umath import _extobj_contextvar as errors

    with np.errstate(all="ignore"):
        SILENT = errors.get()
except ImportError:  # pragma: no cover - numpy without this private name: warnings stay on
    import contextvars

    errors: Any = contextvars.ContextVar("unused")  # type: ignore[no-redef]
    SILENT: Any = None  # type: ignore[no-redef]


def add_in_place(array: Any, other: Any) -> None:
    """Add to the numbers of an array that only the engine knows."""
    token = errors.set(SILENT)
    try:
        np.add(array, other, out=array)
    finally:
        errors.reset(token)


def learn(seen: set[Any], key: Any) -> None:
    """Note that a shape rule accepted `key`; forget everything when that has become much."""
    if len(seen) >= 1024:
        seen.clear()
    seen.add(key)


def check(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> None:
    """Run the shape rule of `op`, once for the same shapes, types and attributes."""
    key: Any = None
    if not op.has_list:
        key = (
            *[None if a is None else (a._data.shape, a._data.dtype) for a in args], *attrs.values(),
            *map(type, attrs.values()),
        )  # fmt: skip
        try:
            if key in op.accepted:
                return
        except TypeError:  # an attribute without a hash
            key = None
    op.shape(*args, **attrs)
    if key is not None:
        learn(op.accepted, key)


def eager_call(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Result:
    """Run an operator on numpy arrays and write a tape node if one of its operands wants a gradient."""
    kernel = op.eager
    if kernel is None:
        return _compose(op, args, attrs)
    token = errors.set(SILENT)
    try:
        if op.check:
            check(op, args, attrs)
        arrays = [_arrays(a) for a in args] if op.has_list else [None if a is None else a._data for a in args]
        if using.library is None:
            found = kernel(np, *arrays, **attrs)
        else:
            xp, arrays = operands(op.name, arrays)
            found = kernel(xp, *arrays, **attrs)
    except Exception as error:
        explain(error, op, args, attrs)
        raise
    finally:
        errors.reset(token)
    if op.multi:
        outs = tuple([wrap(array) for array in found])
        if state.grad and op.differentiable:
            _record_if_wanted(op, args, attrs, outs)
        return outs
    out = Tensor.__new__(Tensor)
    out._data = found if type(found) is np.ndarray else as_array(found)
    if inferring:
        out._storage = state.block
    if op.view:
        shown(args[0], out, op, attrs)
    if state.grad and op.differentiable:
        for arg in args:
            if arg is not None and (type(arg) is list or arg._requires_grad):
                _record_if_wanted(op, args, attrs, (out,))
                break
    return out


def shown(base: Tensor, view: Tensor, op: OpDef, attrs: dict[str, Any]) -> None:
    """Note that `view`, which `op` made of `base`, shows the same memory, if it does."""
    array, owner = view._data, base._data
    memory = array.base
    known = memory is owner or (memory is not None and memory is owner.base)
    if known or not array.size or np.may_share_memory(array, owner):
        show(base, view, op, attrs)


def _arrays(arg: Any) -> Any:
    if type(arg) is list:
        return [None if a is None else a._data for a in arg]
    return None if arg is None else arg._data


def wrap(array: Any) -> Tensor:
    """A tensor around an array, or around the number that a kernel gave in its place."""
    out = Tensor.__new__(Tensor)
    out._data = array if type(array) is np.ndarray else as_array(array)
    if inferring:
        out._storage = state.block
    return out


def explain(error: Exception, op: OpDef, args: Sequence[Any], attrs: dict[str, Any]) -> None:
    """Raise the error the user should see: the shape rule's if it has one, else the kernel's, with operands and
    line."""
    if any(
        isinstance(a._data, SymbolicArray)
        for arg in args
        for a in (arg if type(arg) is list else [arg])
        if a is not None
    ):
        raise CaptureError(
            f"{op.name}: an operand was kept from an export, which ended before its value was computed. forward "
            "must not keep "
            "tensors in attributes; return them, or copy them into a buffer (self.register_buffer)"
        ).at(op.name, user_location()) from None
    if not isinstance(error, PappusError):
        known = (ValueError, TypeError, IndexError, OverflowError)
        if not isinstance(error, known):
            return
        try:
            for arg in args:
                for a in arg if type(arg) is list else [arg]:
                    if a is not None:
                        op.check_type(a.dtype)
            op.shape(*args, **attrs)
        except PappusError as better:
            raise better.at(op.name, user_location(), describe(args)) from None
        except Exception:
            pass
        raise ArgumentError(f"{op.name}: {error}").at(op.name, user_location(), describe(args)) from error
    error.at(op.name, user_location(), describe(args))


# -- recording ------------------------------------------------------------------------------------


def _record_if_wanted(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any], outs: tuple[Tensor, ...]) -> None:
    for arg in args:
        if arg is None:
            continue
        if any(a is not None and a._requires_grad for a in arg) if type(arg) is list else arg._requires_grad:
            record(op, args, attrs, outs)
            return


def record(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any], outs: tuple[Tensor, ...]) -> Node | None:
    """Write the tape node for a call whose results are `outs`, and mark them as requiring grad.

    For modes that make the results themselves; eager calls do this on their own. Returns None if no result is floating
    point or complex.
    """
    edges: list[Any] = []
    versions: list[int] = []
    keeps = op.keeps
    kept: list[Any] = []
    for at, arg in enumerate(args):
        if type(arg) is list:
            kept.append([_keep(a, keeps[at], edges, versions) for a in arg])
        elif arg is None:
            kept.append(None)
        else:
            kept.append(_keep(arg, keeps[at], edges, versions))
    node = Node(op, kept, attrs, edges, versions)
    node.place = caller()
    some = False
    for index, out in enumerate(outs):
        if out.dtype.differentiable:
            some = True
            out._requires_grad = True
            out._node = node
            out._index = index
    if not some:
        return None
    if op.keeps_out:
        node.outs = tuple([Packed(out, history=False) if state.saving else out._data for out in outs])
        storages = []
        for out in outs:
            if out._storage is None:
                out._storage = Storage()
            storages.append(out._storage)
        node.out_storages = tuple(storages)
        node.out_versions = tuple([s.version for s in storages])
    if len(outs) > 1:
        node.metas = tuple([(out._data.shape, out.dtype) for out in outs])
    return node


def _keep(arg: Tensor | None, wanted: bool, edges: list[Any], versions: list[int]) -> Any:
    if arg is None:  # an entry of a list: no index for this dimension
        edges.append(None)
        versions.append(-1)
        return None
    if arg._requires_grad:
        node = arg._node if arg._base is None else history_of(arg)
        edges.append((arg, 0) if node is None else (node, arg._index))
    else:
        edges.append(None)
    if wanted:
        if state.saving:
            return pack_tensor(arg, versions)
        storage = arg._storage
        versions.append(0 if storage is None else storage.version)
        return arg
    versions.append(-1)
    return ghost_of(arg)


def edge_of(arg: Tensor) -> tuple[Any, int] | None:
    """Where a gradient of `arg` goes: (node, number of its result), (leaf, 0), or None if none is wanted."""
    if not arg._requires_grad:
        return None
    node = arg._node if arg._base is None else history_of(arg)
    return (arg, 0) if node is None else (node, arg._index)


def ghost_of(arg: Tensor) -> Ghost:
    """The shape and type of `arg`, and whether it requires grad."""
    return Ghost(arg._data.shape, arg.dtype, arg._requires_grad)


def call_into(op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any], targets: Sequence[Tensor | None]) -> None:
    """`call`, and `assign` each result to its target (None: not wanted), which may be an operand.

    Where nobody watches and the kernel can (tag "into": it takes `out=`), it writes there itself, without new memory.
    """
    if state.mode is not None or state.grad or "into" not in op.tags:
        for target, value in zip(targets, call(op, args, attrs), strict=True):
            if target is not None:
                assign(target, value, op.name, update=True)
        return
    token = errors.set(SILENT)
    try:
        if op.check:
            check(op, args, attrs)
        out = [None if t is None else t._data for t in targets]
        arrays = [None if a is None else a._data for a in args]
        xp, arrays = (np, arrays) if using.library is None else operands(op.name, arrays)
        op.eager(xp, *arrays, out=out, **attrs)  # type: ignore[misc]
    except Exception as error:
        explain(error, op, args, attrs)
        raise
    finally:
        errors.reset(token)
    for target in targets:
        if target is not None:
            touch(target, op.name)


# -- shapes without numbers -----------------------------------------------------------------------


class _Infer(Mode):
    """Runs operators on shapes and types only; inner operators are inferred too."""

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Result:
        with self:
            specs = op.shape(*args, **attrs)
        if op.multi:
            return tuple(Tensor._from_data(SymbolicArray(tuple(s.shape), s.dtype)) for s in specs)
        return Tensor._from_data(SymbolicArray(tuple(specs.shape), specs.dtype))


def infer_by_decomposition(op: OpDef, specs: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """The result's Spec from running the decomposition on shapes only."""
    from .opdef import Spec

    def lift(spec: Any) -> Any:
        if spec is None:
            return None
        if isinstance(spec, (list, tuple)):
            return [lift(s) for s in spec]
        return Tensor._from_data(SymbolicArray(tuple(spec.shape), spec.dtype))

    if op.decompose is None:
        raise UnsupportedError(f"operator {op.name} has neither a shape rule nor a decomposition")
    saved, state.grad = state.grad, False
    below, state.mode = state.mode, None
    try:
        with _Infer():
            out = op.decompose(*[lift(s) for s in specs], **attrs)
    finally:
        state.grad, state.mode = saved, below
    if isinstance(out, tuple):
        return tuple(Spec(tuple(o.shape), o.dtype) for o in out)
    return Spec(tuple(out.shape), out.dtype)


def infer(op: OpDef, args: Sequence[Any], attrs: dict[str, Any]) -> Any:
    """The Spec (or tuple of Specs) of a call's results, from its arguments' shapes and types."""
    try:
        return op.shape(*args, **attrs)
    except PappusError as error:
        error.at(op.name, user_location(), describe(args))
        raise


# -- the checking front of every operator ---------------------------------------------------------


def tensor_arg(op: OpDef, name: str, value: Any) -> Tensor:
    """Refuse what is not a tensor, naming the way out."""
    numbers = (int, float, complex, list, tuple, np.ndarray)
    hint = "; wrap it with pappus.tensor(...)" if isinstance(value, numbers) else ""
    raise ArgumentError(f"{op.name}: argument '{name}' must be a Tensor, got {type(value).__name__}{hint}").at(
        op.name, user_location()
    )


def list_arg(op: OpDef, name: str, value: Any) -> list[Any]:
    """A list of tensors from any sequence of them."""
    if isinstance(value, Tensor) or not hasattr(value, "__iter__"):
        raise ArgumentError(f"{op.name}: argument '{name}' must be a list of Tensors, got {type(value).__name__}").at(
            op.name, user_location()
        )
    items = list(value)
    for item in items:
        if item is not None and not isinstance(item, Tensor):
            tensor_arg(op, name, item)
    return items


def misuse(op: OpDef, extra: tuple[Any, ...], unknown: dict[str, Any], known: dict[str, Any]) -> Any:
    """A call whose arguments do not fit the schema: with `out=`, or under other spellings, else refused with the
    signature."""
    schema = op.schema
    if "out" in unknown:
        rest = {n: v for n, v in unknown.items() if n != "out"}
        out = unknown["out"]
        if out is None:
            return misuse(op, extra, rest, known)

        def again(**more: Any) -> Any:
            return misuse(op, extra, rest, {**known, **more})

        return into(op.name, again, known.values(), out, {}, known.get("dtype", ...) is None)
    names = [p.name for p in schema.params]
    positional = [p.name for p in schema.params if not p.kw_only]
    given = {n: v for n, v in known.items() if v is not schema.params[names.index(n)].default}
    words = respell([n for n in names if n not in given], unknown)
    try:
        params = [(p.name, p.default is REQUIRED) for p in schema.params if not p.kw_only]
        params += [("*", False), *((p.name, p.default is REQUIRED) for p in schema.params if p.kw_only)]
        count = len(positional) + len(extra) if extra else 0
        check_call(op.name, schema.text, params, count, list(words) if extra else [*given, *words])
    except PappusError as error:
        error.at(op.name, user_location())
        raise
    return op.front(**given, **words)  # type: ignore[misc]


def number_args(op: OpDef, args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Turn Python numbers among the operands into 0-d tensors of the type they take next to the others."""
    params = op.schema.tensors
    operands = []
    for param, value in zip(params, args, strict=True):
        if value is None or not ("Scalar" in param.type or param.name == "self"):
            continue
        if isinstance(value, Tensor):
            operands.append((value.dtype, value.ndim, value._wrapped))
        elif isinstance(value, (bool, int, float, complex, np.number, np.bool_, SymInt)):
            operands.append((dtypes.of_value(value), 0, True))
        else:
            tensor_arg(op, param.name, value)
    tensors = [o for o in operands if not o[2]]
    if not tensors and not any(isinstance(value, (Tensor, list)) for value in args):
        raise ArgumentError(
            f"{op.name}: at least one operand must be a Tensor; wrap a number with pappus.tensor(...)"
        ).at(op.name, user_location())
    out: list[Any] = []
    for param, value in zip(params, args, strict=True):
        if value is None or isinstance(value, Tensor) or "Scalar" not in param.type:
            out.append(value)
            continue
        dtype = dtypes.result_type([*tensors, (dtypes.of_value(value), 0, True)] if tensors else operands)
        if "like_self" in op.tags:  # the result has the first operand's type whatever the number is
            dtype = args[0].dtype
        try:
            out.append(number(value, dtype))
        except PappusError as error:
            error.at(op.name, user_location())
            raise
    return tuple(out)


def number(value: Any, dtype: dtypes.DType) -> Tensor:
    """A Python number as a 0-d tensor that takes no part in choosing the result's type."""
    if isinstance(value, SymInt):
        level = state.mode
        found: Tensor = level.run(level.mode.scalar, value, dtype) if level else Tensor._from_data(np.array(int(value)))
        return found
    out = Tensor.__new__(Tensor)
    if dtype.category == 1 and isinstance(value, int):
        bits = 8 * dtype.itemsize
        value &= (1 << bits) - 1  # wraps around like C
        if dtype.is_signed and value >> (bits - 1):
            value -= 1 << bits
    if isinstance(value, complex) and not dtype.is_complex:
        raise DTypeError(f"the complex number {value} is not a value of {dtype}; convert the tensor to complex first")
    token = errors.set(SILENT)
    try:
        out._data = np.array(value, dtype.values).view(dtype.numpy)
    except (OverflowError, ValueError):  # inf and nan
        raise ArgumentError(f"{value} is not a value of {dtype}; convert the tensor to floating point first") from None
    finally:
        errors.reset(token)
    out._wrapped = True
    return out
