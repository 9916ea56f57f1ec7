"""`export`: capture a model, then prove on inputs that the graph computes what the Python did."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from pappus.export.capture import CaptureMode
from pappus.export.dims import Dim, dims_of, spread_specs
from pappus.export.ir.graph import Graph, Value
from pappus.export.ir.interpret import interpret
from pappus.export.ir.verifier import verify
from pappus.export.program import ExportedProgram
from pappus.export.structure import Structure, flatten_outputs
from pappus.frontend import dtypes
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import ArgumentError, CaptureError, PappusError
from pappus.frontend.opdef import OPS
from pappus.frontend.random import default_generator
from pappus.frontend.symbolic import INF, ShapeEnv, Symbol, SymbolicArray, SymInt, symbol
from pappus.frontend.tensor import Tensor

Array = np.ndarray[Any, Any]
CHECKS = ("full", "once", "off")


def export(
    model: Callable[..., Any],
    args: Sequence[Any] = (),
    kwargs: Mapping[str, Any] | None = None,
    *,
    dynamic_shapes: Any = None,
    check: str = "full",
    name: str = "forward",
) -> ExportedProgram:
    """Capture `model(*args, **kwargs)` as a graph.

    `model` is a Module or a function. Tensors (also inside lists, tuples and dicts) in `args` become
    inputs named after the parameters they are passed to; everything else is fixed in the graph.
    `dynamic_shapes` maps an input's name to `{axis: Dim}` (or is a sequence in the order of `args`).
    `check="full"` runs graph and Python side by side twice on the example and once on other sizes,
    `"once"` once on the example, `"off"` never.

    Raises CaptureError, with the user's file and line, for branches on values, for a named dimension
    that the code fixes to one size, and when graph and Python disagree (state kept in Python).

    >>> import pappus as pp
    >>> ep = pp.export.export(lambda x: pp.relu(x) + 1, (pp.ones(2, 3),), dynamic_shapes={"x": {0: pp.export.Dim("n")}})
    >>> ep.range_constraints["n"][0]
    1
    """
    if check not in CHECKS:
        raise ArgumentError(f"export(check={check!r}): expected one of {', '.join(CHECKS)}")
    if isinstance(args, Tensor) or not isinstance(args, (tuple, list)):
        raise ArgumentError(
            f"export: args must be a tuple or list of example arguments, got {type(args).__name__}; write (x,)"
        )
    call = _Call(model, tuple(args), dict(kwargs or {}))
    symbols, sizes = _symbols(call, dynamic_shapes)
    with _generator_kept() as rewind:
        graph, structure = _capture(call, symbols, sizes, name)
        verify(graph)
        program = ExportedProgram(graph, [np.array(t._data) for t in call.tensors.values()], structure)
        if check != "off":
            _check(program, call, symbols, sizes, check, rewind)
    return program


class _Call:
    """The user's call with its tensors pulled out by name, so that it can be repeated on others."""

    def __init__(self, model: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.model, self.args, self.kwargs = model, args, kwargs
        self.tensors: dict[str, Tensor] = {}
        self.arguments = self._bind()
        for name, value in self.arguments.items():
            self._collect(name, value)

    def _bind(self) -> dict[str, Any]:
        """Every argument by the name of its parameter; `**kwargs` by their own names."""
        target = getattr(self.model, "forward", self.model)
        try:
            signature = inspect.signature(target)
        except (TypeError, ValueError):
            return {f"arg{i}": value for i, value in enumerate(self.args)} | self.kwargs
        try:
            bound = signature.bind(*self.args, **self.kwargs)
        except TypeError as error:
            raise ArgumentError(f"export: the example arguments do not fit {_name_of(self.model)}: {error}") from None
        found: dict[str, Any] = {}
        for parameter, value in bound.arguments.items():
            if signature.parameters[parameter].kind is inspect.Parameter.VAR_KEYWORD:
                found.update(value)
            else:
                found[parameter] = value
        return found

    def _collect(self, name: str, value: Any) -> None:
        if isinstance(value, np.ndarray):
            value = Tensor._from_data(value)
        if isinstance(value, Tensor):
            self.tensors[name] = value
        elif isinstance(value, (list, tuple)):
            for i, item in enumerate(value):
                self._collect(f"{name}.{i}", item)
        elif isinstance(value, dict):
            for key, item in value.items():
                self._collect(f"{name}.{key}", item)

    def run(self, tensors: Mapping[str, Any]) -> Any:
        """Call the model with `tensors` in place of the example's."""

        def swap(name: str, value: Any) -> Any:
            if name in tensors:
                return tensors[name]
            if isinstance(value, (list, tuple)):
                items = [swap(f"{name}.{i}", v) for i, v in enumerate(value)]
                return type(value)(*items) if hasattr(value, "_fields") else type(value)(items)
            if isinstance(value, dict):
                return {k: swap(f"{name}.{k}", v) for k, v in value.items()}
            return value

        args, kwargs = self._unbind({name: swap(name, value) for name, value in self.arguments.items()})
        with no_grad():
            return self.model(*args, **kwargs)

    def _unbind(self, arguments: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
        """Arguments by name as the user gave them: by position or by keyword."""
        kwargs = {k: arguments[k] for k in self.kwargs}
        args: list[Any] = []
        for name, value in arguments.items():
            if name in kwargs:
                continue
            if isinstance(value, tuple) and self._is_varargs(name):
                args.extend(value)
            else:
                args.append(value)
        return args, kwargs

    def _is_varargs(self, name: str) -> bool:
        target = getattr(self.model, "forward", self.model)
        try:
            parameter = inspect.signature(target).parameters.get(name)
        except (TypeError, ValueError):
            return False
        return parameter is not None and parameter.kind is inspect.Parameter.VAR_POSITIONAL


def _name_of(model: Any) -> str:
    return getattr(model, "__qualname__", None) or type(model).__name__


@contextmanager
def _generator_kept() -> Iterator[Callable[[], None]]:
    """Leave the default random generator as it was; the value given rewinds it, so that every run draws the same
    numbers.
    """
    before = default_generator.get_state()

    def rewind() -> None:
        default_generator.set_state(before)

    try:
        yield rewind
    finally:
        rewind()


def _symbols(call: _Call, dynamic_shapes: Any) -> tuple[dict[str, Dim], dict[str, list[Dim | None]]]:
    specs = spread_specs(dynamic_shapes, call.arguments, call.tensors)
    dims: dict[str, Dim] = {}
    sizes: dict[str, list[Dim | None]] = {}
    for input_name, tensor in call.tensors.items():
        axes = dims_of(specs.get(input_name), len(tensor.shape), input_name)
        sizes[input_name] = axes
        for axis, dim in enumerate(axes):
            if dim is None:
                continue
            size = int(tensor.shape[axis])
            if dims.setdefault(dim.name, dim) is not dim and repr(dims[dim.name]) != repr(dim):
                raise ArgumentError(f"dynamic_shapes: two different dims are named {dim.name}")
            if not dim.min <= size <= dim.max or size % dim.multiple_of:
                raise ArgumentError(
                    f"the example's {input_name} has size {size} in dim {axis}, outside {dim!r}; give an example inside"
                )
    return dims, sizes


def _capture(
    call: _Call, dims: dict[str, Dim], sizes: dict[str, list[Dim | None]], name: str
) -> tuple[Graph, Structure]:
    graph = Graph(name)

    def fixed(expr: SymInt, value: int, location: str) -> None:
        named = sorted(s.name for s in expr.symbols())
        raise CaptureError(
            f"{location}: dimension {', '.join(named)} became the constant {value} here (an int was made of the size "
            f"{expr}: range(), int(), a comparison that needs the exact size, or a shape that fits only {value}). The "
            f"program would work for that size alone. Keep the size symbolic, or remove {', '.join(named)} from "
            "dynamic_shapes."
        )

    env = ShapeEnv(fixed)
    hints: dict[str, int] = {}
    for input_name, tensor in call.tensors.items():
        for axis, dim in enumerate(sizes[input_name]):
            if dim is not None and hints.setdefault(dim.name, int(tensor.shape[axis])) != int(tensor.shape[axis]):
                raise ArgumentError(
                    f"the example gives dimension {dim.name} two sizes: {hints[dim.name]} and {tensor.shape[axis]} "
                    f"({input_name})"
                )
    table = {
        n: symbol(n, hints[n], dim.min, dim.max if dim.max != INF else INF, dim.multiple_of, env)
        for n, dim in dims.items()
    }
    for size in table.values():
        found = size.as_symbol()
        assert found is not None
        graph.symbols.append(found)
    inputs: dict[str, Tensor] = {}
    for input_name, tensor in call.tensors.items():
        shape = tuple(
            table[d.name] if d is not None else int(s) for d, s in zip(sizes[input_name], tensor.shape, strict=True)
        )
        value = Value(graph.fresh_name(input_name), tensor.dtype, shape)
        graph.inputs.append(value)
        inputs[input_name] = Tensor._from_data(SymbolicArray(shape, tensor.dtype, value))
    mode = CaptureMode(graph, env, names_of(call.model))
    with mode:
        result = call.run(inputs)
        outputs, structure = flatten_outputs(result, _name_of(call.model))
        if not outputs:
            raise CaptureError(f"export: {_name_of(call.model)} returned no tensor, so there is nothing to compute")
        mode.finish(outputs)
    return graph, structure


def names_of(model: Any) -> dict[int, str]:
    """id(array) -> qualified name, for the parameters and buffers of a Module (or of a bound method's)."""
    owner = model if hasattr(model, "named_parameters") else getattr(model, "__self__", None)
    names: dict[int, str] = {}
    if owner is not None and hasattr(owner, "named_parameters"):
        for name, tensor in [*owner.named_parameters(), *owner.named_buffers()]:
            names.setdefault(id(tensor._data), name)
    return names


def _is_random(graph: Graph) -> bool:
    return any("random" in OPS[n.op].tags for n in graph.nodes if n.op in OPS)


def _check(
    program: ExportedProgram,
    call: _Call,
    dims: dict[str, Dim],
    sizes: dict[str, list[Dim | None]],
    check: str,
    rewind: Callable[[], None],
) -> None:
    state = {name: info.init.copy() for name, info in program.graph.states.items()}
    originals = {name: np.array(info.tensor._data) for name, info in program.graph.states.items()}
    rounds = [program.example_inputs] * (2 if check == "full" else 1)
    # What a random operator draws depends on the sizes before it, so other sizes are no proof there.
    if check == "full" and dims and not _is_random(program.graph):
        other = _other_sizes(program, sizes)
        if other is not None:
            rounds.append(other)
    def recapture() -> Graph:
        rewind()
        return _capture(call, dims, sizes, program.graph.name)[0]

    try:
        for i, arrays in enumerate(rounds):
            rewind()
            what = f"run {i + 1} on the example" if arrays is program.example_inputs else "a run on other sizes"
            _compare_once(program, call, arrays, state, what, recapture)
    finally:
        for name, info in program.graph.states.items():
            info.tensor._data[...] = originals[name]


def _compare_once(
    program: ExportedProgram,
    call: _Call,
    arrays: list[Array],
    state: dict[str, Array],
    what: str,
    recapture: Callable[[], Graph],
) -> None:
    got = interpret(program.graph, arrays, state)
    result = call.run({n: Tensor._from_data(np.array(a)) for n, a in zip(call.tensors, arrays, strict=True)})
    wanted = [np.asarray(t._data) for _, t in flatten_outputs(result)[0]]
    pairs = list(zip(program.graph.output_names, got, wanted, strict=False))
    pairs += [(f"state {n}", state[n], np.asarray(i.tensor._data)) for n, i in program.graph.states.items()]
    for name, g, w in pairs:
        if g.shape != w.shape or not np.allclose(g, w, rtol=1e-5, atol=1e-6, equal_nan=True):
            difference = "" if g.shape != w.shape else f" by up to {np.abs(g.astype('f8') - w.astype('f8')).max():.3g}"
            raise CaptureError(
                f"{_first_difference(program.graph, recapture)}{what}: {name} of the captured graph differs from the "
                "Python code"
                f"{difference} (shape {g.shape} and {w.shape}). The model depends on something that is neither an "
                "argument nor a tensor "
                "it owns, such as a Python attribute, a counter or a random number. Make it an argument, or a buffer "
                "(self.register_buffer) changed in place."
            )


def _first_difference(graph: Graph, recapture: Callable[[], Graph]) -> str:
    """`model.py:12: ` of the first operator that a second capture records differently, if there is one."""
    try:
        again = recapture()
    except PappusError:
        return ""
    for a, b in zip(graph.nodes, again.nodes, strict=False):
        same_attrs = {k: str(v) for k, v in a.attrs.items()} == {k: str(v) for k, v in b.attrs.items()}
        if a.op != b.op or not same_attrs:
            return f"{b.location}: "
        for x, y in zip(a.inputs, b.inputs, strict=False):
            if x.constant is not None and y.constant is not None and not np.array_equal(x.constant, y.constant):
                return f"{b.location}: "
    return ""


def _other_sizes(program: ExportedProgram, sizes: dict[str, list[Dim | None]]) -> list[Array] | None:
    """The example's inputs repeated to other sizes that the ranges and guards allow."""
    graph = program.graph
    for direction in (1, -1, 2, 3):
        values = {}
        for s in graph.symbols:
            wanted = s.hint + direction * s.multiple_of
            values[s.name] = wanted if s.min <= wanted <= s.max else s.hint
        if all(values[s.name] == s.hint for s in graph.symbols):
            continue
        if all(_holds(g, values) for g in graph.guards):
            return [_resize(a, v, values) for a, v in zip(program.example_inputs, graph.inputs, strict=True)]
    return None


def _holds(guard: Any, values: dict[str, int]) -> bool:
    def lookup(s: Symbol) -> int:
        return values[s.name]

    left, right = (x.evaluate(lookup) if isinstance(x, SymInt) else x for x in (guard.left, guard.right))
    return bool({"==": left == right, "!=": left != right, "<": left < right, "<=": left <= right}[guard.relation])


def _resize(array: Array, value: Value, values: dict[str, int]) -> Array:
    for axis, size in enumerate(value.shape):
        if isinstance(size, SymInt):
            wanted = size.evaluate(lambda s: values[s.name])
            if array.shape[axis] == 0:
                array = np.zeros((*array.shape[:axis], 1, *array.shape[axis + 1 :]), array.dtype)
            array = np.take(array, np.arange(wanted) % array.shape[axis], axis=axis)
    return np.array(array, order="C")  # ascontiguousarray would give a scalar a dimension


def dtype_name(array: Array) -> str:
    """The Pappus name of an array's dtype."""
    return dtypes.from_numpy_dtype(array.dtype).name
