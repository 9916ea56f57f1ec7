"""Fold an inference batch norm into the convolution or linear before it."""

from __future__ import annotations

import numpy as np

from pappus.export.ir.graph import Graph, Node, Value

_PRODUCERS = ("convolution", "linear")


def fold_batch_norm(graph: Graph) -> Graph:
    """`batch_norm(convolution(x, w, b))` with constant statistics becomes `convolution(x, w', b')`.

    `w' = w * s` and `b' = (b - mean) * s + beta` per output channel, `s = gamma / sqrt(var + eps)`, computed in
    float64.
    Transposed convolutions and `linear` of two dimensions likewise. Applies where the result has no other reader.
    """
    uses = graph.uses()
    mapping: dict[Value, Value] = {}
    kept: list[Node] = []
    for node in graph.nodes:
        producer = node.args[0].producer if node.op == "batch_norm" and isinstance(node.args[0], Value) else None
        if producer is None or not _foldable(node, producer, uses):
            kept.append(node)
            continue
        _fold(graph, producer, node)
        mapping[node.output] = producer.output
        producer.output.name, node.output.name = node.output.name, producer.output.name
    graph.nodes = kept
    graph.replace(mapping)
    return graph


def _foldable(norm: Node, producer: Node, uses: dict[Value, list[Node | None]]) -> bool:
    if producer.op not in _PRODUCERS or norm.attrs.get("training") or len(uses[producer.output]) != 1:
        return False
    if producer.op == "linear" and len(producer.output.shape) != 2:
        return False
    statistics = norm.args[1:5]
    if any(isinstance(v, Value) and not v.is_constant for v in (*statistics, *producer.args[1:])):
        return False
    return isinstance(norm.args[3], Value) and isinstance(norm.args[4], Value)


def _array(arg: object, default: float, count: int) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    if isinstance(arg, Value) and arg.constant is not None:
        return np.asarray(arg.constant, dtype=np.float64)
    return np.full(count, default)


def _fold(graph: Graph, producer: Node, norm: Node) -> None:
    weight = producer.args[1]
    assert isinstance(weight, Value) and weight.constant is not None
    transposed = producer.op == "convolution" and bool(producer.attrs.get("transposed"))
    groups = int(producer.attrs.get("groups", 1))
    channels = weight.constant.shape[1] * groups if transposed else weight.constant.shape[0]
    gamma, beta = _array(norm.args[1], 1.0, channels), _array(norm.args[2], 0.0, channels)
    mean, var = _array(norm.args[3], 0.0, channels), _array(norm.args[4], 1.0, channels)
    scale = gamma / np.sqrt(var + norm.attrs["eps"])
    wide = weight.constant.astype(np.float64)
    rest = (1,) * (wide.ndim - 2)
    if transposed:  # [C, O / groups, ...]: the rows of group g make the output channels of group g
        inside = wide.shape[0] // groups
        per_row = np.repeat(scale.reshape(groups, -1), inside, axis=0)
        folded = (wide * per_row.reshape(*wide.shape[:2], *rest)).astype(weight.constant.dtype)
    else:
        folded = (wide * scale.reshape(channels, 1, *rest)).astype(weight.constant.dtype)
    bias = ((_array(producer.args[2], 0.0, channels) - mean) * scale + beta).astype(weight.constant.dtype)
    new_weight = Value(graph.fresh_name(weight.name + "_folded"), weight.dtype, folded.shape, None, folded)
    new_bias = Value(graph.fresh_name(producer.output.name + "_bias"), weight.dtype, bias.shape, None, bias)
    producer.args = (producer.args[0], new_weight, new_bias, *producer.args[3:])
