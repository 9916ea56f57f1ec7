"""LSTM, GRU and RNN: ONNX's layout of weights and gates, put into that of `frontend/ops/recurrent.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pappus as pp
from pappus.export.onnx.table import Node, onnx_op

_GATES = {"LSTM": (0, 2, 3, 1), "GRU": (1, 0, 2), "RNN": (0,)}  # where ONNX keeps our gates: iofc, zrh
_DEFAULTS = {"LSTM": ["Sigmoid", "Tanh", "Tanh"], "GRU": ["Sigmoid", "Tanh"], "RNN": ["Tanh"]}


def _reordered(rows: Any, op_type: str) -> Any:
    order = _GATES[op_type]
    parts = pp.split(rows, int(rows.shape[0]) // len(order), 0)
    return pp.cat([parts[i] for i in order], 0)


def _layer(node: Node, states: int, run: Callable[..., tuple[Any, ...]], operands: tuple[Any, ...]) -> Any:
    """All directions of one layer; `run` computes one."""
    given: list[Any] = [*operands, *(None,) * (8 - len(operands))]
    x, w, r, b, lengths, *rest = given
    direction, kind = node.attr("direction", "forward"), node.op_type
    count = 2 if direction == "bidirectional" else 1
    activations = node.attr("activations", _DEFAULTS[kind] * count)
    allowed = [_DEFAULTS[kind] * count] + ([["Relu"] * count] if kind == "RNN" else [])
    if [a.lower() for a in activations] not in [[a.lower() for a in each] for each in allowed]:
        node.refuse(f"activations {activations}")
    if node.attr("clip") or node.attr("input_forget", 0) or (kind == "LSTM" and rest[2] is not None):
        node.refuse("clip, input_forget or peepholes")
    if lengths is not None:
        node.refuse("sequence_lens")
    batch_first = node.attr("layout", 0)
    if batch_first:
        x = x.transpose(0, 1)
        rest = [None if v is None else v.transpose(0, 1) for v in rest[:states]]
    hidden = int(r.shape[-1])
    outputs, finals = [], []
    for i in range(count):
        biases = (None, None) if b is None else tuple(
            _reordered(p, kind) for p in pp.split(b[i], len(_GATES[kind]) * hidden, 0)
        )
        starts = [
            pp.zeros((x.shape[1], hidden), dtype=x.dtype) if rest[k] is None else rest[k][i] for k in range(states)
        ]
        weights = (_reordered(w[i], kind), _reordered(r[i], kind))
        found = run(x, starts, *weights, *biases, i == 1 or direction == "reverse", activations)
        outputs.append(found[0])
        finals.append(found[1 : 1 + states])
    y = pp.stack(outputs, 1)
    ends = [pp.stack([f[k] for f in finals], 0) for k in range(states)]
    if batch_first:
        y, ends = y.permute((2, 0, 1, 3)), [e.transpose(0, 1) for e in ends]
    return (y, *ends)


@onnx_op("LSTM", since=7)
def _lstm(node: Node, *operands: Any) -> Any:
    def run(x: Any, starts: Any, w: Any, r: Any, wb: Any, rb: Any, back: bool, _: Any) -> tuple[Any, ...]:
        found: tuple[Any, ...] = pp.lstm_layer(x, *starts, w, r, wb, rb, reverse=back)
        return found[:3]

    return _layer(node, 2, run, operands)


@onnx_op("GRU", since=7)
def _gru(node: Node, *operands: Any) -> Any:
    def run(x: Any, starts: Any, w: Any, r: Any, wb: Any, rb: Any, back: bool, _: Any) -> tuple[Any, ...]:
        if node.attr("linear_before_reset", 0):
            found: tuple[Any, ...] = pp.gru_layer(x, *starts, w, r, wb, rb, reverse=back)
            return found[:2]
        return _gru_reset_first(x, starts[0], w, r, wb, rb, back)

    return _layer(node, 1, run, operands)


def _gru_reset_first(x: Any, h: Any, w: Any, r: Any, wb: Any, rb: Any, back: bool) -> tuple[Any, ...]:
    """The state is reset before its product, which our operator (as cuDNN) does after: a loop over the steps."""
    size = int(r.shape[-1])
    of_input = pp.matmul(x, w.t())
    if wb is not None:
        of_input = of_input + wb + rb
    steps: list[Any] = [None] * int(x.shape[0])
    for t in range(len(steps))[:: -1 if back else 1]:
        gates = pp.sigmoid(of_input[t][:, : 2 * size] + pp.matmul(h, r[: 2 * size].t()))
        reset, update = gates[:, :size], gates[:, size:]
        new = pp.tanh(of_input[t][:, 2 * size :] + pp.matmul(reset * h, r[2 * size :].t()))
        h = new + update * (h - new)
        steps[t] = h
    return pp.stack(steps, 0), h


@onnx_op("RNN", since=7)
def _rnn(node: Node, *operands: Any) -> Any:
    def run(x: Any, starts: Any, w: Any, r: Any, wb: Any, rb: Any, back: bool, kinds: Any) -> tuple[Any, ...]:
        kind = "relu" if kinds[0].lower() == "relu" else "tanh"
        found: tuple[Any, ...] = pp.rnn_layer(x, *starts, w, r, wb, rb, nonlinearity=kind, reverse=back)
        return found[:2]

    return _layer(node, 1, run, operands)
