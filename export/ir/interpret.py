"""Run a core graph with the eager operators: the oracle every lowering is compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from pappus.export.ir.graph import Arg, Graph, Node, Value
from pappus.frontend import dispatch
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import PappusError
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import Symbol, SymInt, evaluate
from pappus.frontend.tensor import Tensor

Array = np.ndarray[Any, Any]


def evaluate_attr(attr: Any, lookup: Callable[[Symbol], int]) -> Any:
    """An attribute with every symbolic size replaced by its value."""
    if isinstance(attr, SymInt):
        return evaluate(attr, lookup)
    if isinstance(attr, (tuple, list)):
        return type(attr)(evaluate_attr(a, lookup) for a in attr)
    return attr


def bind_symbols(graph: Graph, inputs: Sequence[Array]) -> dict[str, int]:
    """The symbols' values that these inputs imply; ArgumentError-like PappusError if they cannot be."""
    values: dict[str, int] = {}
    if len(inputs) != len(graph.inputs):
        raise PappusError(f"{graph.name} takes {len(graph.inputs)} inputs, got {len(inputs)}")
    for port, array in zip(graph.inputs, inputs, strict=True):
        if array.ndim != len(port.shape):
            raise PappusError(f"input {port.name!r}: expected {len(port.shape)} dimensions, got shape {array.shape}")
        for size, actual in zip(port.shape, array.shape, strict=True):
            symbol = size.as_symbol() if isinstance(size, SymInt) else None
            if symbol is not None:
                values.setdefault(symbol.name, actual)
    for port, array in zip(graph.inputs, inputs, strict=True):
        for axis, (size, actual) in enumerate(zip(port.shape, array.shape, strict=True)):
            symbol = size.as_symbol() if isinstance(size, SymInt) else None
            if symbol is not None and not symbol.min <= actual <= symbol.max:
                raise PappusError(
                    f"input {port.name!r}: dim {axis} ({symbol.name}) is {actual}, "
                    f"the program allows {symbol.min}..{symbol.max}"
                )
            if symbol is not None and actual % symbol.multiple_of:
                raise PappusError(
                    f"input {port.name!r}: dim {axis} ({symbol.name}) is {actual}, "
                    f"the program takes multiples of {symbol.multiple_of}"
                )
            wanted = evaluate(size, lambda s: values[s.name])
            if wanted != actual:
                raise PappusError(f"input {port.name!r}: dim {axis} is {actual}, the program needs {wanted} ({size})")
    for guard in graph.guards:
        left = evaluate(guard.left, lambda s: values[s.name])
        right = evaluate(guard.right, lambda s: values[s.name])
        if not {"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right}[guard.relation]:
            raise PappusError(f"the program was captured assuming {guard}, here {left} and {right}")
    return values


def run_node(node: Node, args: list[Any], lookup: Callable[[Symbol], int]) -> list[Array]:
    """One node on numpy arrays."""
    attrs = {k: evaluate_attr(v, lookup) for k, v in node.attrs.items()}
    with no_grad():
        result = dispatch.call(OPS[node.op], tuple(args), attrs)
    results = result if isinstance(result, (tuple, list)) else (result,)
    return [np.asarray(r._data) for r in results]


def to_tensor(value: Value, array: Array) -> Tensor:
    """A tensor for an operator's argument, keeping the 'Python number' mark of its value."""
    tensor = Tensor._from_data(array)
    if value.wrapped:
        tensor._wrapped = True
    return tensor


def interpret(
    graph: Graph,
    inputs: Sequence[Array],
    state: dict[str, Array] | None = None,
    watch: Callable[[Value, Array], None] | None = None,
) -> list[Array]:
    """Run `graph`; `state` is updated in place; `watch(value, array)` sees every result.

    Raises PappusError if the inputs do not fit the graph's sizes, ranges or guards.
    """
    symbols = bind_symbols(graph, inputs)
    lookup = lambda s: symbols[s.name]  # noqa: E731 - a one-line function that is passed on
    env: dict[Value, Array] = dict(zip(graph.inputs, inputs, strict=True))
    stored = {name: info.init.copy() for name, info in graph.states.items()}
    if state is not None:
        stored.update(state)
    written: dict[str, Array] = {}

    def array_of(value: Value) -> Array:
        return value.constant if value.constant is not None else env[value]

    def tensor_of(arg: Arg) -> Any:
        if arg is None:
            return None
        if isinstance(arg, tuple):
            return [tensor_of(a) for a in arg]
        return to_tensor(arg, array_of(arg))

    for node in graph.nodes:
        if node.op == "state_read":
            results = [stored[node.attrs["name"]].copy()]
        elif node.op == "state_write":
            written[node.attrs["name"]] = np.array(array_of(node.inputs[0]))
            results = []
        else:
            results = run_node(node, [tensor_of(a) for a in node.args], lookup)
        for value, array in zip(node.outputs, results, strict=True):
            env[value] = array
            if watch is not None:
                watch(value, array)
    if state is not None:
        state.update(written)
    return [array_of(v) for v in graph.outputs]
