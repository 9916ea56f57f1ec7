"""Functions of a model and of the ONNX standard: bodies of nodes that stand for one node."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pappus.export.onnx.reader import attributes, elem_type_of, onnx_module
from pappus.export.onnx.table import STANDARD, Node, find
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.symbolic import SymInt

Key = tuple[str, str]


def _key(domain: str, op_type: str) -> Key:
    return ("" if domain in STANDARD else domain, op_type)


def local(proto: Any) -> dict[Key, Any]:
    """The functions that a model brings along."""
    return {_key(f.domain, f.name): f for f in proto.functions}


def graphs_of(node: Any) -> Iterator[Any]:
    """The graphs in a node's attributes: branches and bodies."""
    for item in node.attribute:
        if item.HasField("g"):
            yield item.g


def reads(node: Any) -> list[str]:
    """The names a node reads, those inside its branches and bodies included, each once."""
    found = dict.fromkeys(n for n in node.input if n)
    for graph in graphs_of(node):
        for inner in graph.node:
            found.update(dict.fromkeys(reads(inner)))
        found.update(dict.fromkeys(o.name for o in graph.output))
    return list(found)


def _schema(domain: str, op_type: str, opset: int) -> Any:
    defs = onnx_module().defs
    try:
        return defs.get_schema(op_type, opset, domain)
    except defs.SchemaError:
        return None


def body_of(proto: Any, node: Node, operands: list[Any], known: dict[Key, Any]) -> tuple[Any, dict[str, Any]]:
    """The FunctionProto that a node stands for, and its attributes with their defaults."""
    onnx = onnx_module()
    own = known.get(_key(node.domain, node.op_type))
    if own is not None:
        defaults = attributes(onnx.NodeProto(attribute=list(own.attribute_proto)))
        return own, defaults | node.attrs
    schema = _schema(node.domain, node.op_type, node.opset)
    if schema is None:
        raise UnsupportedError(f"{node.op_type} of {node.domain or 'ai.onnx'} (opset {node.opset}) is not supported")
    defaults = {}
    for name, attribute in schema.attributes.items():
        if attribute.default_value.name:
            defaults |= attributes(onnx.NodeProto(attribute=[attribute.default_value]))
            defaults.setdefault(name, None)
    body = onnx.FunctionProto()
    if schema.has_function:
        body.CopyFrom(schema.function_body)
    else:
        proto = _resolved(proto, node)
        types = [_type_of(v).SerializeToString() for v in operands]
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= node.opset]
        text = schema.get_context_dependent_function_with_opset_version(
            max(versions, default=node.opset), proto.SerializeToString(), types
        )
        body.ParseFromString(text)
    return body, {k: v for k, v in (defaults | node.attrs).items() if v is not None}


def _resolved(proto: Any, node: Node) -> Any:
    """The node with the values of the attributes that it takes from the function around it."""
    onnx = onnx_module()
    made = onnx.NodeProto()
    made.CopyFrom(proto)
    del made.attribute[:]
    for item in proto.attribute:
        if not item.ref_attr_name:
            made.attribute.append(item)
        elif item.name in node.attrs:
            made.attribute.append(onnx.helper.make_attribute(item.name, node.attrs[item.name]))
    return made


def _type_of(value: Any) -> Any:
    onnx = onnx_module()
    if value is None:
        return onnx.TypeProto()
    shape = [None if isinstance(s, SymInt) else int(s) for s in value.shape]
    return onnx.helper.make_tensor_type_proto(elem_type_of(value.dtype), shape)


def unsupported(proto: Any, opsets: dict[str, int], known: dict[Key, Any], handled: set[str]) -> list[str]:
    """Every node that nothing computes, as `name: operator (domain, opset)`."""
    return _missing(proto.graph.node, opsets, known, handled, "")


def unsupported_in(body: Any, known: dict[Key, Any], handled: set[str]) -> list[str]:
    """The same for the nodes of a function."""
    opsets = {o.domain: int(o.version) for o in body.opset_import}
    return _missing(body.node, opsets, known, handled, "")


def _missing(nodes: Any, opsets: dict[str, int], known: dict[Key, Any], handled: set[str], inside: str) -> list[str]:
    problems: list[str] = []
    for number, node in enumerate(nodes):
        domain, op_type = _key(node.domain, node.op_type)
        opset = opsets.get(node.domain, opsets.get("", 1))
        label = f"{inside}{node.name or f'#{number}'}"
        for graph in graphs_of(node):
            problems += _missing(graph.node, opsets, known, handled, f"{label}/")
        if (not domain and op_type in handled) or find(domain, op_type, opset) is not None:
            continue
        own = known.get((domain, op_type))
        if own is not None:
            inner = {o.domain: int(o.version) for o in own.opset_import}
            rest = {k: v for k, v in known.items() if v is not own}  # a function that calls itself is no function
            problems += _missing(own.node, inner, rest, handled, f"{label}/")
            continue
        schema = _schema(domain, op_type, opset)
        if schema is not None and schema.has_function:
            problems += _missing(schema.function_body.node, opsets, known, handled, f"{label}/")
        elif schema is None or not schema.has_context_dependent_function:
            problems.append(f"{label}: {op_type} (domain {domain or 'ai.onnx'}, opset {opset})")
    return problems
