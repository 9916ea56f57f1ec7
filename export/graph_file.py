"""The core graph as a file: safetensors with the arrays, and the graph as JSON in its metadata.

`ExportedProgram.save` and `load` use it. Nothing in it is executed when it is read: operators are looked up by name,
and the graph is verified, so that a foreign, truncated or damaged file gives one PappusError.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from pappus.export.atomic_file import write_file
from pappus.export.ir.graph import Arg, Graph, Node, StateInfo, Value
from pappus.export.ir.verifier import GRAPH_OPS, GraphError, verify
from pappus.export.program import ExportedProgram
from pappus.export.structure import Structure
from pappus.frontend.dtypes import DType, as_dtype
from pappus.frontend.errors import PappusError
from pappus.frontend.opdef import OPS
from pappus.frontend.symbolic import Call, Guard, ShapeEnv, Size, SymInt, is_symbolic, sym_max, sym_min, symbol

Array = np.ndarray[Any, Any]
VERSION = 1
KEY = "pappus_graph"
# What reading a damaged description can raise in plain Python; each becomes the same PappusError.
_DAMAGE = (
    KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, OverflowError, ZeroDivisionError,
    RecursionError, ArithmeticError,
)  # fmt: skip


# -- sizes and attributes ---------------------------------------------------------------------------


def _encode_size(size: Size) -> Any:
    if not isinstance(size, SymInt):
        return int(size)
    terms: list[Any] = []
    for monomial, coefficient in size.terms:
        factors: list[Any] = []
        for key in monomial:
            atom = size.atoms[key]
            if isinstance(atom, Call):
                factors.append([atom.op, _encode_size(atom.left), _encode_size(atom.right)])
            else:
                factors.append(atom.name)
        terms.append([coefficient, factors])
    return {"sum": terms}


def _decode_size(data: Any, symbols: dict[str, SymInt]) -> Size:
    if isinstance(data, int) and not isinstance(data, bool):
        return data
    total: Size = 0
    for coefficient, factors in data["sum"]:
        if not isinstance(coefficient, int):
            raise TypeError("a coefficient is no integer")
        term: Size = coefficient
        for factor in factors:
            term = term * (symbols[factor] if isinstance(factor, str) else _decode_call(factor, symbols))
        total = total + term
    return total


def _decode_call(data: Any, symbols: dict[str, SymInt]) -> Size:
    op, left, right = data[0], _decode_size(data[1], symbols), _decode_size(data[2], symbols)
    if op == "//":
        return left // right
    if op == "%":
        return left % right
    if op not in ("min", "max"):
        raise ValueError(f"unknown size operator {op!r}")
    return sym_min(left, right) if op == "min" else sym_max(left, right)


def _encode_attr(value: Any, where: str) -> Any:
    if isinstance(value, (bool, int, float, str)) or value is None:
        return value
    if isinstance(value, DType):
        return {"dtype": value.name}
    if is_symbolic(value):
        return {"size": _encode_size(value)}
    if isinstance(value, (list, tuple)):
        return {"list" if isinstance(value, list) else "tuple": [_encode_attr(v, where) for v in value]}
    if isinstance(value, np.generic):
        return value.item()
    raise PappusError(f"{where}: an attribute of type {type(value).__name__} cannot be saved")


def _decode_attr(data: Any, symbols: dict[str, SymInt]) -> Any:
    if not isinstance(data, dict):
        return data
    ((kind, value),) = data.items()
    if kind == "dtype":
        return as_dtype(value)
    if kind == "size":
        return _decode_size(value, symbols)
    items = [_decode_attr(v, symbols) for v in value]
    if kind not in ("list", "tuple"):
        raise ValueError(f"unknown attribute kind {kind!r}")
    return items if kind == "list" else tuple(items)


# -- writing ----------------------------------------------------------------------------------------


class _Writer:
    """Numbers values and collects arrays."""

    def __init__(self) -> None:
        self.values: list[dict[str, Any]] = []
        self.numbers: dict[Value, int] = {}
        self.arrays: dict[str, Array] = {}

    def value(self, value: Value | None) -> int | None:
        if value is None:
            return None
        if value not in self.numbers:
            self.numbers[value] = len(self.values)
            item: dict[str, Any] = {
                "name": value.name, "dtype": value.dtype.name, "shape": [_encode_size(s) for s in value.shape],
            }  # fmt: skip
            if value.wrapped:
                item["wrapped"] = True
            if value.constant is not None:
                item["constant"] = self.array(f"constant.{value.name}", value.constant)
            self.values.append(item)
        return self.numbers[value]

    def array(self, key: str, array: Array) -> dict[str, Any]:
        """Store an array; types that safetensors does not know are stored as their bits."""
        data = np.ascontiguousarray(array).reshape(array.shape)
        if data.dtype.kind == "V" or data.dtype.name == "bfloat16":
            data = data.view(np.uint16 if data.dtype.itemsize == 2 else np.uint8)
        self.arrays[key] = data
        return {"key": key, "dtype": array.dtype.name}

    def arg(self, arg: Arg) -> Any:
        return [self.value(v) for v in arg] if isinstance(arg, tuple) else self.value(arg)


def _structure_to_json(structure: Any) -> Any:
    if not isinstance(structure, Structure):
        return None
    items = [_structure_to_json(i) for i in structure.items]
    return {"kind": structure.kind, "items": items, "keys": list(structure.keys), "value": structure.value}


def _structure_from_json(data: Any, outputs: int) -> Structure:
    if data is None:
        return Structure("tuple", tuple(Structure("tensor", value=i) for i in range(outputs)))
    kind, value = data["kind"], data["value"]
    if kind not in ("tensor", "plain", "dict", "list", "tuple"):
        raise ValueError(f"unknown structure {kind!r}")
    if kind == "tensor" and not (isinstance(value, int) and 0 <= value < outputs):
        raise ValueError("the structure names an output that does not exist")
    items = tuple(_structure_from_json(i, outputs) for i in data["items"])
    keys = tuple(str(k) for k in data["keys"])
    if kind == "dict" and len(keys) != len(items):
        raise ValueError("a dict has keys without values")
    return Structure(kind, items, keys, value)


def write_graph_file(program: ExportedProgram, path: str | Path) -> None:
    """Write an exported program, all or nothing. Raises ArgumentError if the file cannot be written."""
    from safetensors.numpy import save

    graph, w = program.graph, _Writer()
    nodes = [
        {
            "op": n.op, "args": [w.arg(a) for a in n.args], "outputs": [w.value(v) for v in n.outputs],
            "attrs": {k: _encode_attr(v, n.where()) for k, v in n.attrs.items()}, "location": n.location,
            "module": n.module,
        }
        for n in graph.nodes
    ]  # fmt: skip
    description = {
        "version": VERSION,
        "name": graph.name,
        "symbols": [
            {"name": s.name, "hint": s.hint, "min": s.min, "max": s.max, "multiple_of": s.multiple_of}
            for s in graph.symbols
        ],
        "inputs": [w.value(v) for v in graph.inputs],
        "outputs": [w.value(v) for v in graph.outputs],
        "output_names": graph.output_names,
        "nodes": nodes,
        "guards": [
            {
                "left": _encode_size(g.left),
                "relation": g.relation,
                "right": _encode_size(g.right),
                "location": g.location,
            }
            for g in graph.guards
        ],
        "states": [
            {"name": s.name, "dtype": s.dtype.name, "init": w.array(f"state.{s.name}", s.init)}
            for s in graph.states.values()
        ],
        "examples": [w.array(f"example.{i}", a) for i, a in enumerate(program.example_inputs)],
        "structure": _structure_to_json(program.output_structure),
        "values": w.values,
    }
    write_file(path, save(w.arrays, {KEY: json.dumps(description)}))


# -- reading ----------------------------------------------------------------------------------------


def read_graph_file(path: str | Path) -> ExportedProgram:
    """Read what `write_graph_file` wrote. Raises PappusError for a file that is missing, foreign, truncated or
    damaged.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise PappusError(f"cannot read {path}: {error.strerror or error}") from None
    return parse_graph_file(data, str(path))


def parse_graph_file(data: bytes, name: str = "<bytes>") -> ExportedProgram:
    """The exported program in the bytes of a file; `name` is for messages. Raises PappusError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays = load(data)
        size = int.from_bytes(data[:8], "little")
        text = json.loads(data[8 : 8 + size])["__metadata__"][KEY]
    except (SafetensorError, *_DAMAGE, KeyError):
        raise PappusError(
            f"{name} is not an exported program: it is truncated, damaged, or was not written by ExportedProgram.save"
        ) from None
    try:
        description = json.loads(text)
        version = description["version"]
    except _DAMAGE:
        raise PappusError(f"{name} is damaged: its description of the graph cannot be read") from None
    if version != VERSION:
        raise PappusError(f"{name} has graph format {version}, this Pappus reads {VERSION}; export the model again")
    try:
        return _program(description, arrays)
    except (PappusError, GraphError) as error:
        raise PappusError(f"{name} is damaged or of another version: {error}") from None
    except _DAMAGE as error:
        raise PappusError(
            f"{name} is damaged: its description of the graph is not valid ({type(error).__name__})"
        ) from None


def _program(d: Any, arrays: dict[str, Array]) -> ExportedProgram:
    env = ShapeEnv()
    symbols: dict[str, SymInt] = {}
    graph = Graph(str(d["name"]))
    for s in d["symbols"]:
        hint, low, high, multiple = (int(s[k]) for k in ("hint", "min", "max", "multiple_of"))
        if multiple < 1 or str(s["name"]) in symbols:
            raise ValueError("bad symbol")
        made = symbol(str(s["name"]), hint, low, high, multiple, env)
        symbols[made.as_symbol().name] = made  # type: ignore[union-attr]
        graph.symbols.append(made.as_symbol())  # type: ignore[arg-type]
    values = [_value(v, arrays, symbols) for v in d["values"]]

    def at(number: Any) -> Value:
        if not isinstance(number, int) or not 0 <= number < len(values):
            raise IndexError("value number out of range")
        return values[number]

    def arg(data: Any) -> Arg:
        if isinstance(data, list):
            return tuple(at(i) if i is not None else None for i in data)
        return at(data) if data is not None else None

    graph.inputs = [at(i) for i in d["inputs"]]
    for n in d["nodes"]:
        attrs = {str(k): _decode_attr(v, symbols) for k, v in n["attrs"].items()}
        node = Node(str(n["op"]), tuple(arg(a) for a in n["args"]), attrs, [at(i) for i in n["outputs"]])
        node.location, node.module = str(n["location"]), str(n["module"])
        _check_node(node)
        for value in node.outputs:
            value.producer = node
        graph.nodes.append(node)
    graph.outputs = [at(i) for i in d["outputs"]]
    graph.output_names = [str(n) for n in d["output_names"]]
    for g in d["guards"]:
        if g["relation"] not in ("==", "!=", "<", "<="):
            raise ValueError("unknown relation")
        graph.guards.append(
            Guard(
                _decode_size(g["left"], symbols), g["relation"], _decode_size(g["right"], symbols), str(g["location"])
            )
        )
    for s in d["states"]:
        init = _array(s["init"], arrays)
        info = StateInfo(str(s["name"]), as_dtype(s["dtype"]), tuple(init.shape), init)
        if init.dtype != info.dtype.numpy:
            raise ValueError("a state has the wrong type")
        graph.states[info.name] = info
    for value in values:
        graph.fresh_name(value.name)
    verify(graph, after="load")
    examples = [_array(e, arrays) for e in d["examples"]]
    return ExportedProgram(graph, examples, _structure_from_json(d["structure"], len(graph.outputs)))


def _value(v: Any, arrays: dict[str, Array], symbols: dict[str, SymInt]) -> Value:
    dtype = as_dtype(v["dtype"])
    shape = tuple(_decode_size(s, symbols) for s in v["shape"])
    constant = _array(v["constant"], arrays) if "constant" in v else None
    if constant is not None and constant.dtype != dtype.numpy:
        raise ValueError("a constant has the wrong type")
    return Value(str(v["name"]), dtype, shape, None, constant, None, bool(v.get("wrapped", False)))


def _array(data: Any, arrays: dict[str, Array]) -> Array:
    array = arrays[data["key"]]
    dtype = as_dtype(data["dtype"]).numpy
    if array.dtype == dtype:
        return array
    if array.dtype.itemsize != dtype.itemsize or array.dtype.kind != "u":
        raise ValueError("an array has the wrong type")
    return array.view(dtype)


def _check_node(node: Node) -> None:
    """The operator exists and is called as its signature says."""
    if node.op in GRAPH_OPS:
        if not isinstance(node.attrs.get("name"), str) or len(node.inputs) != (node.op == "state_write"):
            raise ValueError("bad state access")
        if len(node.outputs) != (node.op == "state_read"):
            raise ValueError("bad state access")
        return
    op = OPS.get(node.op)
    if op is None:
        raise PappusError(f"the graph uses an operator {node.op!r} that this Pappus does not have (at {node.location})")
    params = op.schema.tensors
    if len(node.args) != len(params) or not set(node.attrs) <= {p.name for p in op.schema.attrs}:
        raise ValueError(f"{node.op} is not called as its signature says")
    for param, arg in zip(params, node.args, strict=True):
        if isinstance(arg, tuple) != (param.type == "Tensor[]") or (arg is None and "?" not in param.type):
            raise ValueError(f"{node.op} is not called as its signature says")
