"""`from_onnx`: an ONNX graph as a Module that runs node by node with the eager operators.

There is no translation besides running: called with tensors the model computes, called under `export` it is captured as
every other function is. Integers that come from shapes stay in Python (`sizes.py`).
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import pappus as pp
from pappus.export.dims import Dim
from pappus.export.onnx import functions
from pappus.export.onnx.reader import array_of, attributes, dtype_of, read
from pappus.export.onnx.sizes import Sizes, fold, host_array, shape_of
from pappus.export.onnx.table import STANDARD, Node, find
from pappus.frontend.errors import ArgumentError, DTypeError, FormatError, PappusError, ShapeError, UnsupportedError
from pappus.frontend.nn import Module
from pappus.frontend.source import located
from pappus.frontend.tensor import Tensor

_HANDLED = {"Constant", "Shape", "Size", "If", "Loop"}


class OnnxModel(Module):
    """A model read from ONNX; call it with the graph's inputs in order, or by name.

    `input_names`, `output_names` are those of the file; `dynamic_shapes` has a `Dim` for every `dim_param` and
    unknown size; `example_inputs()` makes inputs of the declared types.
    """

    def __init__(self, proto: Any, source: str, dims: Mapping[str, Any]) -> None:
        super().__init__()
        self.source = source
        self.proto = proto
        self.opsets = {o.domain: int(o.version) for o in proto.opset_import}
        self.opsets[""] = self.opsets.get("", self.opsets.get("ai.onnx", 1))
        self.functions = functions.local(proto)
        graph = proto.graph
        if not graph.output:
            raise FormatError(f"{source}: not an ONNX model, or one without outputs")
        self._constants: dict[str, Tensor] = {}
        self._read_initializers(graph)
        declared = [i for i in graph.input if i.name not in self._constants]
        self.input_names = [i.name for i in declared]
        self.output_names = [o.name for o in graph.output]
        self._types = {i.name: _Declared(i, dims) for i in declared}
        self.dynamic_shapes = {
            _identifier(name): found for name, t in self._types.items() if (found := t.dynamic())
        } or None
        problems = functions.unsupported(proto, self.opsets, self.functions, _HANDLED)
        if problems:
            raise UnsupportedError(
                f"{source}: {len(problems)} node(s) have operators that the ONNX importer does not support:\n  "
                + "\n  ".join(problems)
            )
        names = [_identifier(n) for n in self.input_names]
        if len(set(names)) < len(names):
            raise FormatError(f"{source}: two inputs have the same name but for punctuation: {', '.join(names)}")
        kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
        signature = inspect.Signature([inspect.Parameter(n, kind) for n in names])

        def forward(*args: Any, **kwargs: Any) -> Any:
            try:
                bound = signature.bind(*args, **kwargs)
            except TypeError as error:
                raise ArgumentError(f"{source}: {error}; the inputs are: {', '.join(names) or 'none'}") from None
            return self._forward(list(bound.arguments.values()))

        forward.__signature__ = signature  # type: ignore[attr-defined]
        self.forward = forward  # type: ignore[method-assign]

    def _read_initializers(self, graph: Any) -> None:
        """Numbers with a dimension are buffers under their own names, so that they keep them in the program."""
        taken: set[str] = set()
        for tensor in graph.initializer:
            made = pp.tensor(array_of(tensor))
            self._constants[tensor.name] = made
            name = _identifier(tensor.name)
            if made.dtype.is_floating_point and made.ndim > 1 and name not in taken and not hasattr(self, name):
                taken.add(name)
                self.register_buffer(name, made)
                self._constants[tensor.name] = getattr(self, name)
        if graph.sparse_initializer:
            raise UnsupportedError(f"{self.source}: sparse initializers are not supported by the ONNX importer")

    def example_inputs(self) -> tuple[Tensor, ...]:
        """Inputs of the declared types: small random numbers, zeros for integers, 2 for every unknown size."""
        return tuple(t.example(i) for i, t in enumerate(self._types.values()))

    def _forward(self, inputs: Sequence[Any]) -> Any:
        values: dict[str, Any] = dict(self._constants)
        for name, given in zip(self.input_names, inputs, strict=True):
            if isinstance(given, np.ndarray):
                given = pp.tensor(given)
            self._types[name].check(given, self.source)
            values[name] = given
        results = [_as_tensor(v) for v in self._run(self.proto.graph, values, self.opsets, None)]
        return results[0] if len(results) == 1 else tuple(results)

    # -- running a graph ----------------------------------------------------------------------------

    def _run(self, graph: Any, values: dict[str, Any], opsets: dict[str, int], outer: dict[str, Any] | None) -> Any:
        """The outputs of a graph or function whose inputs are in `values`; names are dropped after their last use."""
        names = [o if isinstance(o, str) else o.name for o in graph.output]
        uses = Counter(i for n in graph.node for i in functions.reads(n)) + Counter(names)
        for number, proto in enumerate(graph.node):
            node = Node(
                proto.name or f"#{number}", proto.op_type, "" if proto.domain in STANDARD else proto.domain,
                opsets.get(proto.domain, opsets.get("", 1)), attributes(proto, outer), list(proto.input),
                list(proto.output),
            )  # fmt: skip
            place = f"{self.source}:{node.name} ({node.op_type})"
            with located(place):
                try:
                    results = self._node(proto, node, values, opsets, outer)
                except PappusError as error:
                    raise error.at(None, place) from None
                except (IndexError, KeyError, TypeError, ValueError, ZeroDivisionError, AttributeError) as error:
                    raise FormatError(f"{place}: {type(error).__name__}: {error}") from error
            for name, value in zip(node.outputs, results, strict=False):
                if name:
                    values[name] = value
            for name in functions.reads(proto):
                uses[name] -= 1
                if uses[name] <= 0 and name in values:
                    del values[name]
        return [self._lookup(values, name) for name in names]

    def _lookup(self, values: dict[str, Any], name: str) -> Any:
        if name not in values:
            raise FormatError(f"{self.source}: the value {name!r} is read before anything makes it")
        return values[name]

    def _node(
        self, proto: Any, node: Node, values: dict[str, Any], opsets: dict[str, int], outer: dict[str, Any] | None
    ) -> Sequence[Any]:
        operands = [self._lookup(values, name) if name else None for name in node.inputs]
        if not node.domain:
            if node.op_type == "Constant":
                return [_constant(node)]
            if node.op_type in ("Shape", "Size"):
                return [shape_of(node, operands[0])]
            if node.op_type == "If":
                branch = node.attrs["then_branch" if bool(host_array(operands[0])) else "else_branch"]
                found: Sequence[Any] = self._run(branch, self._scope(branch, values), opsets, outer)
                return found
            if node.op_type == "Loop":
                return self._loop(node, operands, values, opsets, outer)
            folded = fold(node, operands)
            if folded is not None:
                return [folded]
        entry = find(node.domain, node.op_type, node.opset)
        if entry is None:
            return self._call(proto, node, operands)
        ready = [host_array(v) if entry.on_host(i) else _as_tensor(v) for i, v in enumerate(operands)]
        made = entry.run(node, *ready)
        return made if isinstance(made, (tuple, list)) else [made]

    def _call(self, proto: Any, node: Node, operands: list[Any]) -> Sequence[Any]:
        """A function of the model or of the standard: its own nodes, with this node's attributes."""
        operands = [_as_tensor(v) for v in operands]
        body, attrs = functions.body_of(proto, node, operands, self.functions)
        problems = functions.unsupported_in(body, self.functions, _HANDLED)
        if problems:
            raise UnsupportedError(f"{node.op_type} node {node.name!r} needs {'; '.join(problems)}")
        inner = dict(zip(body.input, operands, strict=False))
        for missing in list(body.input)[len(operands) :]:
            inner[missing] = None
        opsets = {o.domain: int(o.version) for o in body.opset_import}
        opsets.setdefault("", node.opset)
        for position, unused in enumerate(body.output):
            if not node.wants(position):
                inner.setdefault(unused, None)  # a body leaves out what its node does not ask for
        found: Sequence[Any] = self._run(body, inner, opsets, attrs)
        return found

    def _scope(self, graph: Any, values: dict[str, Any]) -> dict[str, Any]:
        inner = dict(values)
        for tensor in graph.initializer:
            inner[tensor.name] = pp.tensor(array_of(tensor))
        return inner

    def _loop(
        self, node: Node, operands: list[Any], values: dict[str, Any], opsets: dict[str, int],
        outer: dict[str, Any] | None,
    ) -> Sequence[Any]:  # fmt: skip
        """A loop whose count is known while it runs; capture unrolls it."""
        body = node.attrs["body"]
        trips = host_array(operands[0])
        limit = None if trips is None else int(trips)
        going = operands[1] is None or bool(host_array(operands[1]))
        carried = list(operands[2:])
        scans: list[list[Any]] = [[] for _ in range(len(body.output) - 1 - len(carried))]
        names = [i.name for i in body.input]
        step = 0
        while going and (limit is None or step < limit):
            scope = self._scope(body, values)
            scope.update(zip(names, [pp.tensor(step, dtype=pp.int64), pp.tensor(True), *carried], strict=True))
            results = self._run(body, scope, opsets, outer)
            going = bool(host_array(results[0]))
            carried = list(results[1 : 1 + len(carried)])
            for rows, value in zip(scans, results[1 + len(carried) :], strict=True):
                rows.append(_as_tensor(value))
            step += 1
        if scans and not step:
            node.refuse("a loop with scan outputs that does not run once")
        return [*carried, *(pp.stack(rows) for rows in scans)]


class _Declared:
    """The declared type of an input: what the values given are checked against, and what examples are made from."""

    def __init__(self, info: Any, dims: Mapping[str, Any]) -> None:
        self.name = info.name
        kind = info.type.WhichOneof("value")
        if kind != "tensor_type":
            raise UnsupportedError(f"input {info.name!r} is a {kind or 'value without a type'}; only tensors are taken")
        tensor = info.type.tensor_type
        self.dtype = dtype_of(tensor.elem_type)
        self.shape: list[Any] | None = None
        if tensor.HasField("shape"):
            self.shape = [self._size(axis, d, dims) for axis, d in enumerate(tensor.shape.dim)]

    def _size(self, axis: int, dim: Any, dims: Mapping[str, Any]) -> Any:
        if dim.WhichOneof("value") == "dim_value":
            return int(dim.dim_value)
        name = dim.dim_param or f"{self.name}_{axis}"
        return dims.get(name, Dim(_identifier(name)))

    def dynamic(self) -> dict[int, Dim]:
        """The Dims by axis."""
        return {i: d for i, d in enumerate(self.shape or []) if isinstance(d, Dim)}

    def example(self, seed: int) -> Tensor:
        """Numbers of this type."""
        if self.shape is None:
            raise ArgumentError(f"input {self.name!r} has no declared rank, so give example inputs of your own")
        sizes = []
        for d in self.shape:
            if isinstance(d, Dim):
                low = -(-max(d.min, 1) // d.multiple_of) * d.multiple_of
                d = low if low > 1 or d.max < 2 else max(2, d.multiple_of)
            sizes.append(d)
        made = np.zeros(sizes, self.dtype.numpy)
        if self.dtype.is_floating_point:
            made = np.random.default_rng(seed).standard_normal(sizes).astype(self.dtype.numpy)
        example: Tensor = pp.tensor(made)
        return example

    def check(self, given: Any, source: str) -> None:
        """Raise where a value does not have the declared type, rank or fixed sizes."""
        if not isinstance(given, Tensor):
            raise ArgumentError(f"{source}: input {self.name!r} must be a tensor, got {type(given).__name__}")
        if given.dtype is not self.dtype:
            raise DTypeError(f"{source}: input {self.name!r} must be {self.dtype}, got {given.dtype}")
        if self.shape is None:
            return
        fits = len(self.shape) == given.ndim and all(
            not isinstance(want, int) or want == size for want, size in zip(self.shape, given.shape, strict=True)
        )
        if not fits:
            wanted = ", ".join(d.name if isinstance(d, Dim) else str(d) for d in self.shape)
            raise ShapeError(f"{source}: input {self.name!r} is declared as [{wanted}], got {list(given.shape)}")


def _as_tensor(value: Any) -> Any:
    return value.tensor() if isinstance(value, Sizes) else value


def _constant(node: Node) -> Any:
    for name, dtype in (("value_int", np.int64), ("value_ints", np.int64), ("value_float", np.float32),
                        ("value_floats", np.float32)):  # fmt: skip
        if name in node.attrs:
            return pp.tensor(np.asarray(node.attrs[name], dtype))
    if "value" not in node.attrs:
        node.refuse(f"a constant given as {', '.join(node.attrs) or 'nothing'}")
    return pp.tensor(node.attrs["value"])


def _identifier(name: str) -> str:
    found = re.sub(r"\W", "_", name, flags=re.ASCII) or "_"
    return f"_{found}" if found[0].isdigit() else found


def from_onnx(source: Any, *, dims: Mapping[str, Any] | None = None) -> OnnxModel:
    """A Module that computes what an ONNX model computes.

    `source` is a path (external data is read from beside it), the file's bytes, or an `onnx.ModelProto`. `dims` says
    for a `dim_param` by its text (or `input_axis` where a size has no name) which `Dim`, or which fixed integer, it is.

    Raises ImportError without the `onnx` package, FormatError for what is no model, and UnsupportedError with all
    operators that are not supported, by node.
    """
    proto, name = read(source)
    from pappus.export.onnx import operators

    operators.load()
    return OnnxModel(proto, name, dims or {})
