"""Recurrent layers: RNN, LSTM and GRU over whole sequences, and the cells that make one step."""

from __future__ import annotations

import math
import warnings
from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ShapeError
from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.packed import PackedSequence, pad_rows, spots, whole_numbers
from pappus.frontend.nn.parameter import Parameter, new_parameter
from pappus.frontend.source import user_frame
from pappus.frontend.symbolic import same_size
from pappus.frontend.tensor import Tensor

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters by layer and direction, and running them one after the other.

    `mode` is LSTM, GRU, RNN_TANH or RNN_RELU.
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        if mode not in _GATES:
            raise ValueError(f"Unrecognized RNN mode: {mode}; use one of {', '.join(_GATES)}")
        if isinstance(dropout, bool) or not 0 <= dropout <= 1:
            raise ValueError(f"dropout should be a number in range [0, 1], the probability of a zero, got {dropout}")
        for label, value in (("input_size", input_size), ("hidden_size", hidden_size), ("num_layers", num_layers)):
            if not isinstance(value, int):
                raise TypeError(f"{label} should be of type int, got: {type(value).__name__}")
            if value <= 0 and label != "input_size":
                raise ValueError(f"{label} must be greater than zero")
        if not 0 <= proj_size < hidden_size:
            raise ValueError(f"proj_size has to be from 0 to below hidden_size, got {proj_size} and {hidden_size}")
        if dropout > 0 and num_layers == 1:
            _warn(f"dropout is applied behind all layers but the last, so dropout={dropout} needs num_layers above 1")
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._flat_weights_names: list[str] = []
        rows, width = _GATES[mode] * hidden_size, proj_size or hidden_size
        for layer, suffix in self._directions():
            inputs = input_size if layer == 0 else width * len(self._suffixes())
            shapes: list[tuple[str, tuple[int, ...]]] = [("weight_ih", (rows, inputs)), ("weight_hh", (rows, width))]
            if bias:
                shapes += [("bias_ih", (rows,)), ("bias_hh", (rows,))]
            if proj_size:
                shapes.append(("weight_hr", (proj_size, hidden_size)))
            for name, shape in shapes:
                self.register_parameter(f"{name}_l{layer}{suffix}", new_parameter(shape, device, dtype))
                self._flat_weights_names.append(f"{name}_l{layer}{suffix}")
        self.reset_parameters()

    def _suffixes(self) -> tuple[str, ...]:
        return ("", "_reverse") if self.bidirectional else ("",)

    def _directions(self) -> list[tuple[int, str]]:
        return [(layer, suffix) for layer in range(self.num_layers) for suffix in self._suffixes()]

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform in +- 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Do nothing: it places the weights side by side for a GPU."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [
            [getattr(self, n) for n in self._flat_weights_names if n.endswith(f"_l{layer}{suffix}")]
            for layer, suffix in self._directions()
        ]

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        usual = (
            ("proj_size", 0), ("num_layers", 1), ("bias", True), ("batch_first", False), ("dropout", 0),
            ("bidirectional", False),
        )  # fmt: skip
        return text + "".join(f", {n}={getattr(self, n)}" for n, value in usual if getattr(self, n) != value)

    # -- running --------------------------------------------------------------------------------

    def forward(self, input: Any, hx: Any = None) -> Any:
        """See the class. Returns the output, packed if the input was, and the last states."""
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        if input.ndim not in (2, 3):
            raise ShapeError(f"{type(self).__name__}: expected 2D (no batch) or 3D input, got {input.ndim}D")
        batched = input.ndim == 3
        if not batched:
            input = input.unsqueeze(1)
        elif self.batch_first:
            input = input.transpose(0, 1)
        states = self._states(input, hx, batched)
        out, last = self._run(input, states, None)
        if not batched:
            out, last = out.squeeze(1), [s.squeeze(1) for s in last]
        elif self.batch_first:
            out = out.transpose(0, 1)
        return out, self._joined(last)

    def _forward_packed(self, input: PackedSequence, hx: Any) -> Any:
        sizes = whole_numbers(input.batch_sizes)
        if input.data.ndim != 2:
            raise ShapeError(f"{type(self).__name__}: packed data must be 2D, got {list(input.data.shape)}")
        padded = pad_rows(input.data, sizes)
        states = self._states(padded, hx, True)
        if hx is not None and input.sorted_indices is not None:
            states = [ops.index_select(s, 1, input.sorted_indices) for s in states]
        out, last = self._run(padded, states, tuple(sizes.tolist()))
        if input.unsorted_indices is not None:
            last = [ops.index_select(s, 1, input.unsorted_indices) for s in last]
        data = ops.index_select(out.flatten(0, 1), 0, ops.tensor(spots(sizes)))
        return input._replace(data=data), self._joined(last)

    def _joined(self, last: list[Tensor]) -> Any:
        return tuple(last) if self.mode == "LSTM" else last[0]

    def _states(self, input: Tensor, hx: Any, batched: bool) -> list[Tensor]:
        """The initial states (layers * directions, N, H), zero unless given."""
        name = type(self).__name__
        if not same_size(input.shape[-1], self.input_size):
            raise ShapeError(
                f"{name}: input.size(-1) must be equal to input_size. Expected {self.input_size}, got {input.shape[-1]}"
            )
        count, batch = len(self._directions()), input.shape[1]
        widths = [self.proj_size or self.hidden_size]
        if self.mode == "LSTM":
            widths.append(self.hidden_size)
        if hx is None:
            return [ops.zeros(count, batch, width, dtype=input.dtype) for width in widths]
        given = [hx] if self.mode != "LSTM" else list(hx)
        if len(given) != len(widths):
            raise ShapeError(f"{name}: expected the states (h_0, c_0), got {len(given)} tensors")
        found = []
        for at, (state, width) in enumerate(zip(given, widths, strict=True)):
            wanted = (count, batch, width) if batched else (count, width)
            same = state.ndim == len(wanted) and all(same_size(a, b) for a, b in zip(state.shape, wanted, strict=True))
            if not same:
                which = f"hidden[{at}]" if self.mode == "LSTM" else "hidden"
                raise ShapeError(f"{name}: Expected {which} size {wanted}, got {list(state.shape)}")
            found.append(state if batched else state.unsqueeze(1))
        return found

    def _run(self, x: Tensor, states: list[Tensor], batch_sizes: Any) -> tuple[Tensor, list[Tensor]]:
        """All layers on (T, N, I): the last layer's output and the last states of all."""
        last: list[list[Tensor]] = []
        directions = len(self._suffixes())
        for number, weights in enumerate(self.all_weights):
            if number % directions == 0:
                if number and self.dropout and self.training:
                    x = F.dropout(x, self.dropout)
                outs: list[Tensor] = []
            start = [s[number] for s in states]
            out, *found = _one_direction(
                self.mode, x, start, weights, bool(self.bias), number % directions == 1, batch_sizes
            )
            outs.append(out)
            last.append(found)
            if len(outs) == directions:
                x = outs[0] if directions == 1 else ops.cat(outs, -1)
        return x, [ops.stack(list(column), 0) for column in zip(*last, strict=True)]


def _one_direction(
    mode: str, x: Tensor, start: list[Tensor], weights: Any, bias: bool, reverse: bool, sizes: Any
) -> list[Tensor]:
    """One direction of one layer: its output and its last states."""
    w_ih, w_hh, *rest = weights
    b_ih, b_hh = rest[:2] if bias else (None, None)
    common = (x, *start, w_ih, w_hh, b_ih, b_hh)
    found: Any
    if mode == "LSTM":
        w_hr = rest[-1] if len(rest) in (1, 3) else None
        found = ops.lstm_layer(*common, w_hr, reverse=reverse, batch_sizes=sizes)[:3]
    elif mode == "GRU":
        found = ops.gru_layer(*common, reverse=reverse, batch_sizes=sizes)[:2]
    else:
        kind = "relu" if mode == "RNN_RELU" else "tanh"
        found = ops.rnn_layer(*common, nonlinearity=kind, reverse=reverse, batch_sizes=sizes)
    return list(found)


def _warn(text: str) -> None:
    frame = user_frame()
    if frame is None:
        warnings.warn(text, UserWarning, stacklevel=3)
    else:
        warnings.warn_explicit(text, UserWarning, frame.f_code.co_filename, frame.f_lineno)


class RNN(RNNBase):
    """Plain recurrent layers: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu.

    Input is (T, N, I), (N, T, I) with `batch_first`, (T, I), or a `PackedSequence`; the initial state (layers *
    directions, N, H) is zero unless given. The result is a pair: the last layer's states (T, N, directions * H), and
    the last states of all layers. With `bidirectional` a second set of weights runs from the last step to the first;
    `dropout` acts between layers. Raises ShapeError where sizes do not fit.

    >>> import pappus as pp
    >>> out, last = RNN(3, 5, num_layers=2)(pp.zeros(7, 4, 3))
    >>> out.shape, last.shape
    (pappus.Size([7, 4, 5]), pappus.Size([2, 4, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity {nonlinearity!r}. Select from 'tanh' or 'relu'.")
        super().__init__(
            f"RNN_{nonlinearity.upper()}", input_size, hidden_size, num_layers, bias, batch_first, dropout,
            bidirectional, 0, device, dtype,
        )  # fmt: skip
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memories: c_t = f c_{t-1} + i g and h_t = o tanh(c_t), with i, f, g, o from x_t and h_{t-1}.

    i, f and o are sigmoids and g a tanh of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh, whose quarters they are. With
    `proj_size` h_t is multiplied by W_hr to that size. Inputs and options as for `RNN`; states are pairs (h, c), and
    the result is (output, (h_n, c_n)).

    >>> import pappus as pp
    >>> out, (h, c) = LSTM(3, 5, batch_first=True, bidirectional=True)(pp.zeros(4, 7, 3))
    >>> out.shape, h.shape, c.shape
    (pappus.Size([4, 7, 10]), pappus.Size([2, 4, 5]), pappus.Size([2, 4, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "LSTM", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, proj_size, device,
            dtype,
        )  # fmt: skip


class GRU(RNNBase):
    """Gated recurrent layers: h_t = (1 - z) n + z h_{t-1}, with n = tanh(W_in x_t + b_in + r (W_hn h_{t-1} + b_hn)).

    r and z are sigmoids of W_ih x_t + b_ih + W_hh h_{t-1} + b_hh. Inputs, options and results as for `RNN`.

    >>> import pappus as pp
    >>> out, last = GRU(3, 5)(pp.zeros(7, 3))
    >>> out.shape, last.shape
    (pappus.Size([7, 5]), pappus.Size([1, 5]))
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            "GRU", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype
        )


class RNNCellBase(Module):
    """What the cells share: parameters, and one step of the layer's operator."""

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool, num_chunks: int, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        rows = num_chunks * hidden_size
        self.weight_ih = new_parameter((rows, input_size), device, dtype)
        self.weight_hh = new_parameter((rows, hidden_size), device, dtype)
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, new_parameter((rows,), device, dtype) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform in +- 1 / sqrt(hidden_size)."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _step(self, mode: str, input: Tensor, states: Any, count: int) -> list[Tensor]:
        """The next states (N, H) or (H) from the given ones, zero for None."""
        name = type(self).__name__
        if input.ndim not in (1, 2) or not same_size(input.shape[-1], self.input_size):
            raise ShapeError(
                f"{name}: Expected input to be 1D or 2D with input_size {self.input_size}, got {list(input.shape)}"
            )
        single = input.ndim == 1
        x = input.unsqueeze(0) if single else input
        start = [ops.zeros(x.shape[0], self.hidden_size, dtype=x.dtype)] * count
        if states is not None:
            for state in states:
                if state.ndim != input.ndim or not same_size(state.shape[-1], self.hidden_size):
                    raise ShapeError(
                        f"{name}: Expected hidden to be {input.ndim}D with hidden_size {self.hidden_size}, got "
                        f"{list(state.shape)}"
                    )
            start = [s.unsqueeze(0) if single else s for s in states]
        weights = [self.weight_ih, self.weight_hh, *((self.bias_ih, self.bias_hh) if self.bias else ())]
        _, *found = _one_direction(mode, x.unsqueeze(0), start, weights, bool(self.bias), False, None)
        return [s.squeeze(0) for s in found] if single else found

    def extra_repr(self) -> str:
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={getattr(self, 'nonlinearity', 'tanh')}"
        return text


class RNNCell(RNNCellBase):
    """One step of `RNN`: input (N, I) and state (N, H), zero unless given, to the next state; or both without N.

    >>> import pappus as pp
    >>> RNNCell(3, 5)(pp.zeros(4, 3)).shape
    pappus.Size([4, 5])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, nonlinearity: str = "tanh", device: Any = None,
        dtype: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        if self.nonlinearity not in ("tanh", "relu"):
            raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")
        return self._step(f"RNN_{self.nonlinearity.upper()}", input, None if hx is None else [hx], 1)[0]


class LSTMCell(RNNCellBase):
    """One step of `LSTM`: input (N, I) and the pair (h, c) of states (N, H) to the next pair; or all without N.

    >>> import pappus as pp
    >>> h, c = LSTMCell(3, 5)(pp.zeros(4, 3))
    >>> h.shape, c.shape
    (pappus.Size([4, 5]), pappus.Size([4, 5]))
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None) -> tuple[Tensor, Tensor]:
        h, c = self._step("LSTM", input, hx, 2)
        return h, c


class GRUCell(RNNCellBase):
    """One step of `GRU`: input (N, I) and state (N, H), zero unless given, to the next state; or both without N.

    >>> import pappus as pp
    >>> GRUCell(3, 5)(pp.zeros(3), pp.zeros(5)).shape
    pappus.Size([5])
    """

    def __init__(
        self, input_size: int, hidden_size: int, bias: bool = True, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._step("GRU", input, None if hx is None else [hx], 1)[0]
