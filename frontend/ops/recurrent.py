"""Recurrent layers: one operator runs one direction of one layer over all steps.

The products with the input are one matrix product for all steps; what depends on the step before runs in a loop over
arrays. The gradient is the same loop backwards, one operator too, and sums the weights' gradients in one product over
all steps. Under create_graph the gradient is that of the decomposition instead, which is made of core operators.

Sequences of different lengths are padded to (T, N, *) with the longest first, and `batch_sizes` says how many of them
still run at each step; the others keep their state, and their outputs are zero.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from ..errors import ArgumentError, CaptureError, DTypeError, ShapeError
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from ..tape import state
from ._samples import floats
from ._shapes import step_in_float32

__all__ = ["gru_layer", "gru_layer_backward", "lstm_layer", "lstm_layer_backward", "rnn_layer", "rnn_layer_backward"]

_WEIGHTS = "Tensor w_ih, Tensor w_hh, Tensor? b_ih=None, Tensor? b_hh=None"


# -- what the three kinds share -------------------------------------------------------------------


def _check(name: str, gates: int, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any) -> Any:
    """The hidden size (that of the cell, where the output is projected)."""
    if input.ndim != 3 or hx.ndim != 2:
        raise ShapeError(f"{name}: expected input (T, N, I) and hx (N, H), got {list(input.shape)}, {list(hx.shape)}")
    if any(t is not None and t.dtype is not input.dtype for t in (hx, w_ih, w_hh, b_ih, b_hh)):
        raise DTypeError(
            f"{name}: input, state and weights must have one type, got {input.dtype}, {hx.dtype} and {w_ih.dtype}"
        )
    if not input.dtype.is_floating_point:
        raise DTypeError(f"{name}: expected floating-point numbers, got {input.dtype}")
    rows = w_ih.shape[0]
    if w_ih.ndim != 2 or rows % gates or not sym_eq(w_ih.shape[1], input.shape[2]):
        raise ShapeError(f"{name}: w_ih must be ({gates} * hidden, {input.shape[2]}), got {list(w_ih.shape)}")
    if not sym_eq(w_hh.shape[0], rows) or not sym_eq(w_hh.shape[1], hx.shape[1]):
        raise ShapeError(f"{name}: w_hh must be ({rows}, {hx.shape[1]}), got {list(w_hh.shape)}")
    if not sym_eq(hx.shape[0], input.shape[1]):
        raise ShapeError(f"{name}: hx has {hx.shape[0]} rows, the batch {input.shape[1]}")
    for bias in (b_ih, b_hh):
        if bias is not None and tuple(bias.shape) != (rows,):
            raise ShapeError(f"{name}: biases must have {rows} elements, got {list(bias.shape)}")
    return rows // gates


def _steps(shape: Any, batch_sizes: Any, reverse: bool) -> list[tuple[int, int, int, int]]:
    """In the order in which they run: (step, sequences that run, the step before, sequences that ran there too).

    The step before the first is -1, where none ran: there the state is the initial one.
    """
    count, batch = shape[:2]
    sizes = [batch] * count if batch_sizes is None else list(batch_sizes)
    order = range(count - 1, -1, -1) if reverse else range(count)
    found = []
    before, ran = -1, 0
    for t in order:
        found.append((t, sizes[t], before, min(ran, sizes[t])))
        before, ran = t, sizes[t]
    return found


def _before(past: Any, first: Any, step: tuple[int, int, int, int]) -> Any:
    """The state (n, H) that a step starts from: rows of the step before, and initial ones for those that begin."""
    _, n, before, ran = step
    if ran == n:
        return past[before, :n]
    return first[:n] if not ran else np.concatenate([past[before, :ran], first[ran:n]])


def _all_before(past: Any, first: Any, steps: list[tuple[int, int, int, int]]) -> Any:
    """`_before` of every step, as (T, N, H), zero where a sequence does not run."""
    out = np.zeros_like(past)
    for step in steps:
        out[step[0], : step[1]] = _before(past, first, step)
    return out


def _rows_of(x: Any) -> Any:
    """(T, N, H) as (T * N, H)."""
    return x.reshape(-1, x.shape[-1])


def _sigmoid(x: Any) -> None:
    """In place, without overflow."""
    x *= x.dtype.type(0.5)
    np.tanh(x, out=x)
    x *= x.dtype.type(0.5)
    x += x.dtype.type(0.5)


def _weight_grads(d_in: Any, d_hidden: Any, x: Any, past: Any) -> tuple[Any, Any, Any, Any]:
    """Gradients of w_ih, w_hh, b_ih, b_hh from those of both products before the gates, (T, N, G * H) each."""
    d_in, d_hidden = _rows_of(d_in), _rows_of(d_hidden)
    bias = d_in.sum(0)
    other = bias if d_hidden is d_in else d_hidden.sum(0)
    return d_in.T @ _rows_of(x), d_hidden.T @ _rows_of(past), bias, other


def _length(name: str, x: Any) -> int:
    if is_symbolic(x.shape[0]):
        raise CaptureError(
            f"{name}: the loop has as many steps as the sequence, so a device needs its length: export with a fixed one"
        )
    return int(x.shape[0])


def _scan(name: str, x: Any, states: list[Any], reverse: bool, batch_sizes: Any, advance: Callable[..., Any]) -> Any:
    """Run `advance(x_t, *states) -> (new states, results of the step)` over all steps in core operators.

    Returns the last states and each result stacked (T, N, *), zero where a sequence does not run.
    """
    from . import cat, constant_pad_nd, narrow, select, stack

    batch = x.shape[1]
    steps = _steps((_length(name, x), batch), batch_sizes, reverse)
    results: list[Any] = [None] * len(steps)
    for t, n, _, _ in steps:
        whole = n is batch or sym_eq(n, batch)
        x_t = select(x, 0, t)
        if whole:
            states, results[t] = advance(x_t, *states)
            continue
        new, found = advance(narrow(x_t, 0, 0, n), *[narrow(s, 0, 0, n) for s in states])
        states = [cat([a, narrow(s, 0, n, batch - n)]) for a, s in zip(new, states, strict=True)]
        results[t] = [constant_pad_nd(f, (0, 0, 0, batch - n)) for f in found]
    return states, [stack(list(column), 0) for column in zip(*results, strict=True)]


def _product(x: Any, weight: Any, bias: Any) -> Any:
    from . import linear

    return linear(x, weight, bias)


def _twice(decompose: Callable[..., Any], g: Any, inputs: tuple[Any, ...], attrs: dict[str, Any]) -> list[Any]:
    """Gradients that can be differentiated again: those of the decomposition."""
    from ..autograd import grad
    from . import alias

    proxies = [alias(x) if x is not None and x.requires_grad else x for x in inputs]
    outs = decompose(*proxies, **attrs)
    wanted = [p for p in proxies if p is not None and p.requires_grad]
    pairs = [(o, seed) for o, seed in zip(outs, g, strict=True) if o.requires_grad]
    found = grad([o for o, _ in pairs], wanted, [s for _, s in pairs], create_graph=True, allow_unused=True)
    by_proxy = {id(p): f for p, f in zip(wanted, found, strict=True)}
    return [by_proxy.get(id(p)) for p in proxies]


def _layer_shape(name: str, gates: int, input: Any, hx: Any, *weights: Any) -> tuple[Spec, Spec, Any]:
    hidden = _check(name, gates, input, hx, *weights)
    steps, batch, kind = input.shape[0], input.shape[1], input.dtype
    return Spec((steps, batch, hx.shape[1]), kind), Spec((batch, hx.shape[1]), kind), hidden


# -- rnn ------------------------------------------------------------------------------------------


def _rnn_shape(input: Spec, hx: Spec, *weights: Any, nonlinearity: str, reverse: bool, batch_sizes: Any) -> Any:
    if nonlinearity not in ("tanh", "relu"):
        raise ArgumentError(f"rnn_layer: nonlinearity must be 'tanh' or 'relu', got {nonlinearity!r}")
    return _layer_shape("rnn_layer", 1, input, hx, *weights)[:2]


@step_in_float32
def _rnn_eager(
    xp: Any, x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, *, nonlinearity: str, reverse: bool,
    batch_sizes: Any,
) -> Any:  # fmt: skip
    out = (_rows_of(x) @ w_ih.T).reshape(*x.shape[:2], -1)
    for bias in (b_ih, b_hh):
        if bias is not None:
            out += bias
    h = hx.copy()
    weight = xp.ascontiguousarray(w_hh.T)
    for t, n, _, _ in _steps(x.shape, batch_sizes, reverse):
        a = out[t, :n]
        a += h[:n] @ weight
        if nonlinearity == "tanh":
            xp.tanh(a, out=a)
        else:
            xp.maximum(a, 0, out=a)
        h[:n] = a
        out[t, n:] = 0
    return out, h


def _rnn_decompose(
    x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, *, nonlinearity: str, reverse: bool, batch_sizes: Any
) -> Any:
    def advance(x_t: Any, h: Any) -> Any:
        a = _product(x_t, w_ih, b_ih) + _product(h, w_hh, b_hh)
        h = a.tanh() if nonlinearity == "tanh" else a.relu()
        return [h], [h]

    (h,), (out,) = _scan("rnn_layer", x, [hx], reverse, batch_sizes, advance)
    return out, h


@step_in_float32
def _rnn_backward_eager(
    xp: Any, g_out: Any, g_h: Any, x: Any, hx: Any, w_ih: Any, w_hh: Any, out: Any, *, nonlinearity: str,
    reverse: bool, batch_sizes: Any,
) -> Any:  # fmt: skip
    steps = _steps(x.shape, batch_sizes, reverse)
    d_pre = xp.zeros_like(out)
    dh = g_h.copy()
    for t, n, _, _ in reversed(steps):
        y = out[t, :n]
        d = dh[:n] + g_out[t, :n]
        d *= 1 - y * y if nonlinearity == "tanh" else y > 0
        d_pre[t, :n] = d
        dh[:n] = d @ w_hh
    grads = _weight_grads(d_pre, d_pre, x, _all_before(out, hx, steps))
    return ((_rows_of(d_pre) @ w_ih).reshape(x.shape), dh, *grads)


def _rnn_vjp(g: Any, out: Any, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, **attrs: Any) -> Any:
    if state.grad:
        return _twice(_rnn_decompose, g, (input, hx, w_ih, w_hh, b_ih, b_hh), attrs)
    return rnn_layer_backward(*g, input, hx, w_ih, w_hh, out[0], **attrs)


def _samples(gates: int, states: int, extra: tuple[dict[str, Any], ...] = ({},)) -> Iterator[Sample]:
    hidden = 3
    weights = [floats(gates * hidden, 2, seed=5), floats(gates * hidden, hidden, seed=6)]
    biases = [floats(gates * hidden, seed=7), floats(gates * hidden, seed=8)]
    start = [floats(2, hidden, seed=9 + i) for i in range(states)]
    runs: list[dict[str, Any]] = [
        {}, {"reverse": True}, {"batch_sizes": (2, 2, 1)}, {"batch_sizes": (2, 1, 1), "reverse": True}
    ]  # fmt: skip
    for number, more in enumerate(runs):
        options = {**extra[number % len(extra)], **more}
        yield Sample((floats(3, 2, 2), *start, *weights, *(biases if number % 2 == 0 else (None, None))), options)


def _backward_samples(layer: Callable[..., Any], forward: Any, states: int, saved: tuple[int, ...]) -> Any:
    """Samples of a gradient operator: seeds, operands without biases, and the results that the layer saves."""
    for sample in forward():
        operands = sample.args[: 3 + states]
        outs = layer(*operands, **sample.kwargs)
        seeds = [floats(*o.shape, seed=20 + i) for i, o in enumerate(outs)]
        yield Sample((*seeds, *operands, *(outs[i] for i in saved)), sample.kwargs)


rnn_layer = operator(
    f"rnn_layer(Tensor input, Tensor hx, {_WEIGHTS}, str nonlinearity='tanh', bool reverse=False, "
    "any batch_sizes=None) -> (Tensor output, Tensor h_n)",
    """One direction of a plain recurrent layer: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu.

    input is (T, N, I) and hx (N, H); the results are all h_t, (T, N, H), and the last, (N, H). `reverse` begins at the
    last step. See the module's text for `batch_sizes`.
    """,
    shape=_rnn_shape, eager=_rnn_eager, vjp=_rnn_vjp, decompose=_rnn_decompose,
    samples=lambda: _samples(1, 1, ({"nonlinearity": "tanh"}, {"nonlinearity": "relu"})),
)  # fmt: skip


def _grads_shape(name: str, operands: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Like the operands (the last two are the weights), and two biases."""
    kind = operands[0].dtype
    if not kind.is_floating_point:
        raise DTypeError(f"{name}: expected floating-point numbers, got {kind}")
    bias = Spec((operands[-1].shape[0],), kind)
    return (*(Spec(tuple(s.shape), kind) for s in operands), bias, bias)


def _rnn_backward_shape(
    g_out: Spec, g_h: Spec, input: Spec, hx: Spec, w_ih: Spec, w_hh: Spec, *_: Any, **__: Any
) -> Any:
    return _grads_shape("rnn_layer_backward", (input, hx, w_ih, w_hh))


rnn_layer_backward = operator(
    "rnn_layer_backward(Tensor grad_output, Tensor grad_h, Tensor input, Tensor hx, Tensor w_ih, Tensor w_hh, "
    "Tensor output, str nonlinearity='tanh', bool reverse=False, any batch_sizes=None) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    "Gradients of `rnn_layer` to its six operands, given those of its results.",
    shape=_rnn_backward_shape, eager=_rnn_backward_eager, differentiable=False,
    samples=lambda: _backward_samples(
        rnn_layer, lambda: _samples(1, 1, ({"nonlinearity": "tanh"}, {"nonlinearity": "relu"})), 1, (0,)
    ),
)  # fmt: skip

# -- gru ------------------------------------------------------------------------------------------


def _gru_shape(input: Spec, hx: Spec, *weights: Any, reverse: bool, batch_sizes: Any) -> Any:
    output, last, hidden = _layer_shape("gru_layer", 3, input, hx, *weights)
    return output, last, Spec((*input.shape[:2], 4 * hidden), input.dtype)


@step_in_float32
def _gru_eager(
    xp: Any, x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, *, reverse: bool, batch_sizes: Any
) -> Any:
    size = hx.shape[1]
    of_input = (_rows_of(x) @ w_ih.T).reshape(*x.shape[:2], -1)
    if b_ih is not None:
        of_input += b_ih
    out = xp.zeros((*x.shape[:2], size), x.dtype)
    gates = xp.zeros((*x.shape[:2], 4 * size), x.dtype)
    h = hx.copy()
    weight = xp.ascontiguousarray(w_hh.T)
    for t, n, _, _ in _steps(x.shape, batch_sizes, reverse):
        a, gate = h[:n] @ weight, gates[t, :n]
        if b_hh is not None:
            a += b_hh
        xp.add(of_input[t, :n, : 2 * size], a[:, : 2 * size], out=gate[:, : 2 * size])
        _sigmoid(gate[:, : 2 * size])
        reset, update, new = (gate[:, i * size : (i + 1) * size] for i in range(3))
        gate[:, 3 * size :] = a[:, 2 * size :]
        xp.multiply(reset, a[:, 2 * size :], out=new)
        new += of_input[t, :n, 2 * size :]
        xp.tanh(new, out=new)
        h[:n] = new + update * (h[:n] - new)
        out[t, :n] = h[:n]
    return out, h, gates


def _gru_decompose(
    x: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, *, reverse: bool, batch_sizes: Any
) -> Any:
    from . import cat

    def advance(x_t: Any, h: Any) -> Any:
        in_reset, in_update, in_new = _product(x_t, w_ih, b_ih).chunk(3, -1)
        reset, update, hidden = _product(h, w_hh, b_hh).chunk(3, -1)
        reset, update = (in_reset + reset).sigmoid(), (in_update + update).sigmoid()
        new = (in_new + reset * hidden).tanh()
        h = new + update * (h - new)
        return [h], [h, cat([reset, update, new, hidden], -1)]

    (h,), (out, gates) = _scan("gru_layer", x, [hx], reverse, batch_sizes, advance)
    return out, h, gates


@step_in_float32
def _gru_backward_eager(
    xp: Any, g_out: Any, g_h: Any, g_gates: Any, x: Any, hx: Any, w_ih: Any, w_hh: Any, out: Any, gates: Any, *,
    reverse: bool, batch_sizes: Any,
) -> Any:  # fmt: skip
    size = hx.shape[1]
    steps = _steps(x.shape, batch_sizes, reverse)
    d_in = xp.zeros((*x.shape[:2], 3 * size), x.dtype)
    d_hidden = xp.zeros_like(d_in)
    dh = g_h.copy()
    for step in reversed(steps):
        t, n = step[:2]
        reset, update, new, hidden = (gates[t, :n, i * size : (i + 1) * size] for i in range(4))
        g_reset, g_update, g_new, g_hidden = (g_gates[t, :n, i * size : (i + 1) * size] for i in range(4))
        d = dh[:n] + g_out[t, :n]
        d_new = (d * (1 - update) + g_new) * (1 - new * new)
        d_update = (d * (_before(out, hx, step) - new) + g_update) * update * (1 - update)
        d_reset = (d_new * hidden + g_reset) * reset * (1 - reset)
        for into in (d_in[t, :n], d_hidden[t, :n]):
            into[:, :size] = d_reset
            into[:, size : 2 * size] = d_update
        d_in[t, :n, 2 * size :] = d_new
        d_hidden[t, :n, 2 * size :] = d_new * reset + g_hidden
        dh[:n] = d * update + d_hidden[t, :n] @ w_hh
    grads = _weight_grads(d_in, d_hidden, x, _all_before(out, hx, steps))
    return ((_rows_of(d_in) @ w_ih).reshape(x.shape), dh, *grads)


def _gru_vjp(g: Any, out: Any, input: Any, hx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, **attrs: Any) -> Any:
    if state.grad:
        return _twice(_gru_decompose, g, (input, hx, w_ih, w_hh, b_ih, b_hh), attrs)
    return gru_layer_backward(*g, input, hx, w_ih, w_hh, out[0], out[2], **attrs)


gru_layer = operator(
    f"gru_layer(Tensor input, Tensor hx, {_WEIGHTS}, bool reverse=False, any batch_sizes=None) -> "
    "(Tensor output, Tensor h_n, Tensor gates)",
    """One direction of a gated recurrent layer: h_t = (1 - z) n + z h_{t-1}, with n = tanh(i_n + r h_n).

    r, z and n are the gates; i = W_ih x_t + b_ih and h = W_hh h_{t-1} + b_hh have a third for each, and r and z are
    sigmoid(i + h). input is (T, N, I), hx (N, H); the results are all h_t, the last, and (r, z, n, h_n) of every step.
    """,
    shape=_gru_shape, eager=_gru_eager, vjp=_gru_vjp, decompose=_gru_decompose, samples=lambda: _samples(3, 1),
)  # fmt: skip


def _gru_backward_shape(
    g_out: Spec, g_h: Spec, g_gates: Spec, input: Spec, hx: Spec, w_ih: Spec, w_hh: Spec, *_: Any, **__: Any
) -> Any:
    return _grads_shape("gru_layer_backward", (input, hx, w_ih, w_hh))


gru_layer_backward = operator(
    "gru_layer_backward(Tensor grad_output, Tensor grad_h, Tensor grad_gates, Tensor input, Tensor hx, Tensor w_ih, "
    "Tensor w_hh, Tensor output, Tensor gates, bool reverse=False, any batch_sizes=None) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    "Gradients of `gru_layer` to its six operands, given those of its results.",
    shape=_gru_backward_shape, eager=_gru_backward_eager, differentiable=False,
    samples=lambda: _backward_samples(gru_layer, lambda: _samples(3, 1), 1, (0, 2)),
)  # fmt: skip

# -- lstm -----------------------------------------------------------------------------------------


def _lstm_shape(
    input: Spec, hx: Spec, cx: Spec, w_ih: Spec, w_hh: Spec, b_ih: Any, b_hh: Any, w_hr: Any, *, reverse: bool,
    batch_sizes: Any,
) -> Any:  # fmt: skip
    output, last, hidden = _layer_shape("lstm_layer", 4, input, hx, w_ih, w_hh, b_ih, b_hh)
    if cx.ndim != 2 or not sym_eq(cx.shape[0], input.shape[1]) or not sym_eq(cx.shape[1], hidden):
        raise ShapeError(f"lstm_layer: cx must be ({input.shape[1]}, {hidden}), got {list(cx.shape)}")
    if tuple((hx.shape[1], hidden) if w_hr is None else w_hr.shape) != (hx.shape[1], hidden) or (
        w_hr is None and not sym_eq(hx.shape[1], hidden)
    ):
        projection = "no projection" if w_hr is None else f"a projection {list(w_hr.shape)}"
        raise ShapeError(f"lstm_layer: a cell of {hidden} with {projection} does not give states of {hx.shape[1]}")
    cells = Spec((*input.shape[:2], hidden), input.dtype)
    return output, last, Spec(tuple(cx.shape), cx.dtype), Spec((*input.shape[:2], 4 * hidden), input.dtype), cells


@step_in_float32
def _lstm_eager(
    xp: Any, x: Any, hx: Any, cx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *, reverse: bool,
    batch_sizes: Any,
) -> Any:  # fmt: skip
    size = cx.shape[1]
    gates = (_rows_of(x) @ w_ih.T).reshape(*x.shape[:2], -1)
    for bias in (b_ih, b_hh):
        if bias is not None:
            gates += bias
    out = xp.zeros((*x.shape[:2], hx.shape[1]), x.dtype)
    cells = xp.zeros((*x.shape[:2], size), x.dtype)
    h, c = hx.copy(), cx.copy()
    weight = xp.ascontiguousarray(w_hh.T)
    for t, n, _, _ in _steps(x.shape, batch_sizes, reverse):
        gate = gates[t, :n]
        gate += h[:n] @ weight
        _sigmoid(gate[:, : 2 * size])
        xp.tanh(gate[:, 2 * size : 3 * size], out=gate[:, 2 * size : 3 * size])
        _sigmoid(gate[:, 3 * size :])
        enter, keep, new, leave = (gate[:, i * size : (i + 1) * size] for i in range(4))
        cell = xp.multiply(keep, c[:n], out=cells[t, :n])
        cell += enter * new
        c[:n] = cell
        h[:n] = leave * xp.tanh(cell) if w_hr is None else (leave * xp.tanh(cell)) @ w_hr.T
        out[t, :n] = h[:n]
        gates[t, n:] = 0
    return out, h, c, gates, cells


def _lstm_decompose(
    x: Any, hx: Any, cx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any, *, reverse: bool,
    batch_sizes: Any,
) -> Any:  # fmt: skip
    from . import cat

    def advance(x_t: Any, h: Any, c: Any) -> Any:
        enter, keep, new, leave = (_product(x_t, w_ih, b_ih) + _product(h, w_hh, b_hh)).chunk(4, -1)
        enter, keep, new, leave = enter.sigmoid(), keep.sigmoid(), new.tanh(), leave.sigmoid()
        c = keep * c + enter * new
        h = leave * c.tanh()
        if w_hr is not None:
            h = _product(h, w_hr, None)
        return [h, c], [h, cat([enter, keep, new, leave], -1), c]

    (h, c), (out, gates, cells) = _scan("lstm_layer", x, [hx, cx], reverse, batch_sizes, advance)
    return out, h, c, gates, cells


@step_in_float32
def _lstm_backward_eager(
    xp: Any, g_out: Any, g_h: Any, g_c: Any, g_gates: Any, g_cells: Any, x: Any, hx: Any, cx: Any, w_ih: Any,
    w_hh: Any, w_hr: Any, out: Any, gates: Any, cells: Any, *, reverse: bool, batch_sizes: Any,
) -> Any:  # fmt: skip
    size = cx.shape[1]
    steps = _steps(x.shape, batch_sizes, reverse)
    d_pre = xp.zeros_like(gates)
    d_out = xp.zeros_like(out) if w_hr is not None else None
    dh, dc = g_h.copy(), g_c.copy()
    for step in reversed(steps):
        t, n = step[:2]
        enter, keep, new, leave = (gates[t, :n, i * size : (i + 1) * size] for i in range(4))
        d_enter, d_keep, d_new, d_leave = (d_pre[t, :n, i * size : (i + 1) * size] for i in range(4))
        d = dh[:n] + g_out[t, :n]
        if d_out is not None:
            d_out[t, :n] = d
            d = d @ w_hr
        squashed = xp.tanh(cells[t, :n])
        xp.multiply(d, squashed, out=d_leave)
        d *= leave
        d *= 1 - squashed * squashed
        d += dc[:n]
        d += g_cells[t, :n]
        xp.multiply(d, new, out=d_enter)
        xp.multiply(d, _before(cells, cx, step), out=d_keep)
        xp.multiply(d, enter, out=d_new)
        whole, gate = d_pre[t, :n], gates[t, :n]
        whole += g_gates[t, :n]
        d_new *= 1 - new * new
        for part in (slice(0, 2 * size), slice(3 * size, 4 * size)):  # the gates that are sigmoids
            whole[:, part] *= gate[:, part] * (1 - gate[:, part])
        xp.multiply(d, keep, out=dc[:n])
        dh[:n] = whole @ w_hh
    grads = _weight_grads(d_pre, d_pre, x, _all_before(out, hx, steps))
    raw = xp.zeros((0, 0), x.dtype)
    if d_out is not None:
        raw = _rows_of(d_out).T @ _rows_of(gates[..., 3 * size :] * xp.tanh(cells))
    return ((_rows_of(d_pre) @ w_ih).reshape(x.shape), dh, dc, *grads, raw)


def _lstm_vjp(
    g: Any, out: Any, input: Any, hx: Any, cx: Any, w_ih: Any, w_hh: Any, b_ih: Any, b_hh: Any, w_hr: Any,
    **attrs: Any,
) -> Any:  # fmt: skip
    if state.grad:
        return _twice(_lstm_decompose, g, (input, hx, cx, w_ih, w_hh, b_ih, b_hh, w_hr), attrs)
    return lstm_layer_backward(*g, input, hx, cx, w_ih, w_hh, w_hr, out[0], out[3], out[4], **attrs)


def _lstm_samples() -> Iterator[Sample]:
    yield from _samples(4, 2)
    for sample in list(_samples(4, 2))[::3]:
        x, _, cx, w_ih, _, b_ih, b_hh = sample.args
        projected = (x, floats(2, 2, seed=12), cx, w_ih, floats(12, 2, seed=13), b_ih, b_hh, floats(2, 3, seed=14))
        yield Sample(projected, sample.kwargs)


def _lstm_backward_samples() -> Iterator[Sample]:
    for sample in _lstm_samples():
        x, hx, cx, w_ih, w_hh = sample.args[:5]
        w_hr = sample.args[7] if len(sample.args) > 7 else None
        outs = lstm_layer(x, hx, cx, w_ih, w_hh, None, None, w_hr, **sample.kwargs)
        seeds = [floats(*o.shape, seed=20 + i) for i, o in enumerate(outs)]
        yield Sample((*seeds, x, hx, cx, w_ih, w_hh, w_hr, outs[0], outs[3], outs[4]), sample.kwargs)


lstm_layer = operator(
    f"lstm_layer(Tensor input, Tensor hx, Tensor cx, {_WEIGHTS}, Tensor? w_hr=None, bool reverse=False, "
    "any batch_sizes=None) -> (Tensor output, Tensor h_n, Tensor c_n, Tensor gates, Tensor cells)",
    """One direction of a long short-term memory: c_t = f c_{t-1} + i g, h_t = o tanh(c_t), times W_hr where given.

    i, f, g and o are the quarters of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, under sigmoid, g under tanh. input is
    (T, N, I), hx (N, P), cx (N, H); the results are all h_t (T, N, P), the last h and c, and all gates and cells.
    """,
    shape=_lstm_shape, eager=_lstm_eager, vjp=_lstm_vjp, decompose=_lstm_decompose, samples=_lstm_samples,
)  # fmt: skip


def _lstm_backward_shape(
    g_out: Spec, g_h: Spec, g_c: Spec, g_gates: Spec, g_cells: Spec, input: Spec, hx: Spec, cx: Spec, w_ih: Spec,
    w_hh: Spec, w_hr: Any, *_: Any, **__: Any,
) -> Any:  # fmt: skip
    grads = _grads_shape("lstm_layer_backward", (input, hx, cx, w_ih, w_hh))
    return (*grads, Spec((0, 0) if w_hr is None else tuple(w_hr.shape), input.dtype))


lstm_layer_backward = operator(
    "lstm_layer_backward(Tensor grad_output, Tensor grad_h, Tensor grad_c, Tensor grad_gates, Tensor grad_cells, "
    "Tensor input, Tensor hx, Tensor cx, Tensor w_ih, Tensor w_hh, Tensor? w_hr, Tensor output, Tensor gates, "
    "Tensor cells, bool reverse=False, any batch_sizes=None) -> "
    "(Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)",
    "Gradients of `lstm_layer` to its eight operands, given those of its results; without W_hr the last is empty.",
    shape=_lstm_backward_shape, eager=_lstm_backward_eager, differentiable=False, samples=_lstm_backward_samples,
)  # fmt: skip
