"""Capture: run the user's Python once on symbolic tensors and record every operator that passes the door."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from pappus.export.ir.graph import Arg, Graph, Node, StateInfo, Value
from pappus.export.ir.interpret import run_node, to_tensor
from pappus.frontend import dtypes
from pappus.frontend.dispatch import Mode
from pappus.frontend.errors import CaptureError, PappusError
from pappus.frontend.opdef import OPS, OpDef, Spec
from pappus.frontend.source import user_location
from pappus.frontend.symbolic import ShapeEnv, SymbolicArray, same_size
from pappus.frontend.tensor import Tensor

_WAYS_OUT = (
    "A graph cannot depend on a tensor's value. Ways out: compute both sides and choose with pp.where(condition, a, "
    "b); "
    "pass the deciding value as a plain Python argument of forward; or take the decision outside the exported function."
)


class CaptureMode(Mode):
    """The dispatch mode that records a Graph instead of computing.

    `names` maps the id of a tensor's array to the qualified name of the parameter or buffer. Concrete tensors that are
    read become constants; concrete tensors that are written become state. Tensors that share an array (`detach()`,
    `data`) are one value.
    """

    def __init__(self, graph: Graph, env: ShapeEnv, names: dict[int, str]) -> None:
        self.graph = graph
        self.env = env
        self.names = names
        self.values: dict[int, Value] = {}  # id(concrete array) -> constant
        self.keep: list[Any] = []  # ids stay unique while their arrays live
        self.recorded: set[Node] = set()
        self.forward: dict[Value, Value] = {}  # what an in-place write replaced -> by what
        self.regenerated: dict[tuple[Value, Value], Value] = {}
        self.states: dict[Value, Tensor] = {}  # constants that were written, by their value

    def location(self) -> str:
        """The source line recorded with the next node."""
        return user_location()

    def module(self) -> str:
        """The module path recorded with the next node."""
        return module_path()

    # -- values ---------------------------------------------------------------------------------

    def value_of(self, tensor: Tensor) -> Value:
        """The graph value a tensor stands for now, after every in-place write so far."""
        data = tensor._data
        if isinstance(data, SymbolicArray):
            if not self.owns(data.value):
                raise CaptureError(
                    f"{self.location()}: a tensor was kept from an earlier export, which ended before its value was "
                    "computed. forward "
                    "must not keep tensors in attributes; return them, or copy them into a buffer "
                    "(self.register_buffer)"
                )
            return self.resolve(data.value)
        known = self.values.get(id(data))
        if known is None:
            wrapped = bool(getattr(tensor, "_wrapped", False))
            name = self.names.get(id(data), "const")
            array = np.asarray(data)
            known = Value(
                self.graph.fresh_name(name), tensor.dtype, tuple(array.shape), None, array, tensor, wrapped
            )
            self.values[id(data)] = known
            self.keep.append(data)
        return self.resolve(known)

    def owns(self, value: Any) -> bool:
        """Whether a symbolic tensor's value belongs to this capture."""
        if not isinstance(value, Value):
            return False
        return value in self.graph.inputs if value.producer is None else value.producer in self.recorded

    def resolve(self, value: Value) -> Value:
        """Follow in-place writes, also those to the tensor that `value` is a view of."""
        while value in self.forward:
            value = self.forward[value]
        node = value.producer
        if node is None or node.op not in OPS or not OPS[node.op].view or not node.inputs:
            return value
        base = node.inputs[0]
        now = self.resolve(base)
        if now is base:
            return value
        if (value, now) not in self.regenerated:
            twin = self.graph.add(
                node.op, (now, *node.args[1:]), node.attrs, [(value.dtype, value.shape)], node.location, node.module
            )
            self.recorded.add(twin)
            self.regenerated[(value, now)] = twin.output
        return self.regenerated[(value, now)]

    def _arg(self, arg: Any) -> Arg:
        if arg is None:
            return None
        if isinstance(arg, (list, tuple)):
            return tuple(self.value_of(a) if a is not None else None for a in arg)
        return self.value_of(arg)

    # -- the door -------------------------------------------------------------------------------

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Record one operator call; the result is symbolic."""
        location = self.location()
        values = tuple(self._arg(a) for a in args)
        try:
            specs = op.shape(*(_spec(v) for v in values), **attrs)
        except PappusError as error:
            raise error.at(op.name, location) from None
        results = specs if isinstance(specs, (tuple, list)) else (specs,)
        node = self.graph.add(
            op.name, values, dict(attrs), [(s.dtype, tuple(s.shape)) for s in results], location, self.module()
        )
        self.recorded.add(node)
        tensors = [_tensor(v) for v in node.outputs]
        return tuple(tensors) if op.multi else tensors[0]

    def assign(self, target: Tensor, value: Tensor) -> None:
        """An in-place write: later reads of the tensor, and of views of it, see the new value."""
        old, new = self.value_of(target), self.value_of(value)
        new = self._fit(new, old)
        self._write(old, new)

    def _fit(self, new: Value, old: Value) -> Value:
        if new.dtype is not old.dtype:
            new = self._record("to_dtype", (new,), {"dtype": old.dtype}, old.dtype, new.shape)
        same = len(new.shape) == len(old.shape) and all(map(same_size, new.shape, old.shape))
        return new if same else self._record("expand", (new,), {"shape": old.shape}, old.dtype, old.shape)

    def _record(self, op: str, args: tuple[Arg, ...], attrs: dict[str, Any], dtype: Any, shape: Any) -> Value:
        full = {p.name: p.default for p in OPS[op].schema.attrs} | attrs
        node = self.graph.add(op, args, full, [(dtype, tuple(shape))], self.location(), self.module())
        self.recorded.add(node)
        return node.output

    def _write(self, old: Value, new: Value) -> None:
        if old.is_constant:
            if old.tensor is None:
                raise CaptureError("in-place write to a constant")
            self.states.setdefault(old, old.tensor)
            self._become(old, new)
            return
        node = old.producer
        if node is not None and node.op in OPS and OPS[node.op].view:
            base = node.inputs[0]
            self._write(base, self._through_view(node, self.resolve(base), new))
            return
        self._become(old, new)

    def _become(self, old: Value, new: Value) -> None:
        if old in self.graph.inputs:
            self.graph.written_inputs.append(f"{self.location()}: {old.name}")
        # A value of its own: the tensor that was copied from must not see later writes to this one.
        self.forward[old] = self._record("clone", (new,), {}, new.dtype, new.shape)

    def _through_view(self, node: Node, base: Value, new: Value) -> Value:
        """The base tensor after its view (made by `node`) became `new`."""
        write = OPS[node.op].write
        if write is not None:
            with self:
                return self.value_of(write(_tensor(base), _tensor(new), **node.attrs))
        raise CaptureError(
            f"{user_location()}: an in-place change through {node.op} (made at {node.location}) cannot be captured; "
            "write to the tensor itself, or to a slice of it"
        )

    def concretize(self, tensor: Tensor, what: str) -> Any:
        """Somebody asked for numbers: give them if they are constants, else say whose line asked."""
        value = self.value_of(tensor)
        array = self._constant_array(value)
        if array is not None:
            return array
        shape = ", ".join(map(str, value.shape))
        if value.producer is not None:
            origin = f"result of {value.producer.where()}"
        else:
            origin = f"{'parameter or buffer' if value.is_constant else 'input'} {value.name}"
        raise CaptureError(
            f"{user_location()}: {what} needs the value of a tensor ({value.dtype.name}[{shape}], {origin}) while the "
            "model is "
            f"being exported. {_WAYS_OUT}"
        )

    def scalar(self, value: Any, dtype: dtypes.DType) -> Tensor:
        """A size used as a number: the sum of that many ones, because graphs have sizes only in shapes."""
        if value.bounds()[0] < 0:
            raise CaptureError(
                f"{user_location()}: the size {value}, which may be negative, is used as a number; use it in shapes, "
                "slices and arange, "
                "or give its dimensions a range for which it is not negative"
            )
        ones = self._record(
            "full", (), {"size": (value,), "fill_value": 1, "dtype": dtypes.int64}, dtypes.int64, (value,)
        )
        total = self._record("sum", (ones,), {}, dtypes.int64, ())
        if dtype is not dtypes.int64:
            total = self._record("to_dtype", (total,), {"dtype": dtype}, dtype, ())
        total.wrapped = True
        tensor = Tensor._from_data(SymbolicArray((), dtype, total))
        tensor._wrapped = True
        return tensor

    def _constant_array(self, value: Value) -> np.ndarray[Any, Any] | None:
        if value.constant is not None:
            return None if value in self.states or value.name in self.names.values() else value.constant
        node = value.producer
        if node is None or "random" in getattr(OPS.get(node.op), "tags", ()):
            return None
        arrays: dict[Value, np.ndarray[Any, Any]] = {}
        for operand in node.inputs:
            array = self._constant_array(operand)
            if array is None:
                return None
            arrays[operand] = array

        def tensor_of(arg: Arg) -> Any:
            if isinstance(arg, tuple):
                return [tensor_of(a) for a in arg]
            return None if arg is None else to_tensor(arg, arrays[arg])

        def no_symbol(symbol: Any) -> int:
            raise KeyError(symbol.name)

        try:
            results = run_node(node, [tensor_of(a) for a in node.args], no_symbol)
        except KeyError:
            return None
        return results[node.outputs.index(value)]

    # -- the end --------------------------------------------------------------------------------

    def finish(self, outputs: Iterable[tuple[str, Tensor]]) -> Graph:
        """Add state reads and writes, and the outputs."""
        graph = self.graph
        finals = [(name, self.value_of(t)) for name, t in outputs]
        writes = [(value, tensor, self.resolve(value)) for value, tensor in self.states.items()]
        for value, tensor, final in writes:
            name = self.names.get(id(tensor._data), value.name)
            array = np.array(value.constant)
            graph.states[name] = StateInfo(name, value.dtype, tuple(array.shape), array, tensor)
            make_state_read(graph, value, name)
            graph.nodes.append(Node("state_write", (final,), {"name": name}, [], "", ""))
        graph.outputs = [v for _, v in finals]
        graph.output_names = [name for name, _ in finals]
        graph.guards = list(self.env.guards)
        return graph


def _tensor(value: Value) -> Tensor:
    if value.is_constant and value.tensor is not None:
        constant: Tensor = value.tensor
        return constant
    return Tensor._from_data(SymbolicArray(value.shape, value.dtype, value))


def make_state_read(graph: Graph, value: Value, name: str) -> None:
    """Turn a constant into what a `state_read` node at the top of the graph returns."""
    node = Node("state_read", (), {"name": name}, [value])
    value.producer, value.constant = node, None
    graph.nodes.insert(0, node)


def module_path() -> str:
    """The path of the module whose forward is running, or an empty string."""
    from pappus.frontend.nn import module

    return str(module.current_module_path() or "")


def _spec(value: Arg) -> Any:
    if value is None:
        return None
    if isinstance(value, tuple):
        return [_spec(v) for v in value]
    return Spec(value.shape, value.dtype, value.wrapped)


def dtype_of(array: np.ndarray[Any, Any]) -> dtypes.DType:
    """The Pappus dtype of a numpy array."""
    return dtypes.from_numpy_dtype(array.dtype)
