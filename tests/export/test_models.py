"""Whole models at several sizes: runtime against eager to 1e-4, and 1 against 2 threads bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from road import Array, array, ops_of, same, tensor

import pappus as pp
from pappus.export import Dim
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.tensor import Tensor

F = pp.nn.functional


class Layer(Module):
    """A module with weights made from a seed."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def weight(self, *shape: int) -> Parameter:
        self.seed += 1
        fan = int(np.prod(shape[1:])) or 1
        return Parameter(Tensor._from_data(array(*shape, seed=self.seed) / np.float32(fan**0.5)))


class Linear(Layer):
    def __init__(self, inside: int, outside: int, seed: int = 0, bias: bool = True) -> None:
        super().__init__(seed)
        self.w, self.b = self.weight(outside, inside), self.weight(outside) if bias else None

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.w, self.b)


class Conv(Layer):
    """Convolution, batch norm in inference mode, activation."""

    def __init__(
        self, inside: int, outside: int, kernel: int, stride: int = 1, groups: int = 1, act: Any = F.relu, seed: int = 0
    ) -> None:
        super().__init__(seed)
        self.w = self.weight(outside, inside // groups, kernel, kernel)
        self.gamma, self.beta = self.weight(outside), self.weight(outside)
        self.register_buffer("mean", tensor(outside, seed=seed + 7) * 0.1)
        self.register_buffer("var", tensor(outside, seed=seed + 8).abs() + 0.5)
        self.stride, self.groups, self.pad, self.act = stride, groups, kernel // 2, act

    def forward(self, x: Tensor) -> Tensor:
        x = F.conv2d(x, self.w, None, self.stride, self.pad, 1, self.groups)
        x = F.batch_norm(x, self.mean, self.var, self.gamma, self.beta, False)
        return self.act(x)


class MLP(Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b, self.c = Linear(20, 64, 1), Linear(64, 33, 2), Linear(33, 10, 3)

    def forward(self, x: Tensor) -> Tensor:
        return F.log_softmax(self.c(F.gelu(self.b(F.relu(self.a(x.flatten(1)))))), -1)


def test_mlp() -> None:
    program = same(
        MLP(), [array(3, 4, 5)], 1e-4, [[array(n, 4, 5, seed=n)] for n in (1, 2, 17, 32)],
        dynamic_shapes={"x": {0: Dim("batch", max=32)}},
    )  # fmt: skip
    assert ops_of(program.graph) == ["gemm", "gemm", "gemm", "softmax"]


class CNN(Module):
    """Batch norm, pools, a residual, depthwise, concatenation, a linear head over flattened channels-last pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = Conv(3, 16, 3, seed=10)
        self.left, self.right = Conv(16, 16, 3, seed=20), Conv(16, 16, 3, act=lambda x: x, seed=30)
        self.depth, self.point = Conv(16, 16, 3, 2, 16, act=F.relu6, seed=40), Conv(16, 24, 1, act=F.hardswish, seed=50)
        self.side = Conv(16, 8, 5, 2, seed=60)
        self.head = Linear(32 * 4 * 4, 10, 70)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(self.stem(x), 2)
        x = F.relu(x + self.right(self.left(x)))
        x = pp.cat([self.point(self.depth(x)), self.side(x)], 1)
        x = F.adaptive_avg_pool2d(x, 4)
        return self.head(x.flatten(1))


def test_cnn_with_dynamic_batch() -> None:
    program = same(
        CNN(), [array(2, 3, 32, 32)], 1e-4, [[array(n, 3, 32, 32, seed=n)] for n in (1, 3, 32)],
        dynamic_shapes={"x": {0: Dim("batch", max=32)}},
    )  # fmt: skip
    assert "batch_norm" not in program.report().replace("fused", ""), "batch norms are folded"
    assert not [n for n in program.graph.nodes if n.op == "k.pointwise" and n.attrs["fused"] == ("relu",)]


def test_cnn_with_two_dynamic_dims() -> None:
    class Fully(Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.mid, self.down = (
                Conv(3, 8, 3, seed=1),
                Conv(8, 8, 3, groups=8, seed=2),
                Conv(8, 12, 3, 2, seed=3),
            )

        def forward(self, x: Tensor) -> Any:
            y = self.stem(x)
            y = F.avg_pool2d(y + self.mid(y), 2)
            y = self.down(y)
            return y, y.mean((2, 3)), F.softmax(y, 1)

    same(
        Fully(), [array(2, 3, 16, 16)], 1e-4, [[array(1, 3, 16, 24)], [array(5, 3, 16, 8)], [array(2, 3, 16, 30)]],
        dynamic_shapes={"x": {0: Dim("batch", max=8), 3: Dim("width", min=8, max=64, multiple_of=2)}},
    )  # fmt: skip


class Encoder(Module):
    """Embedding, positions, two pre-norm blocks of attention and a gated MLP."""

    def __init__(self, width: int = 16, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.width, self.heads, self.layers = width, heads, layers
        make = Layer(100)
        self.table, self.positions = make.weight(50, width), make.weight(64, width)
        for i in range(layers):
            setattr(self, f"qkv{i}", Linear(width, 3 * width, 200 + i))
            setattr(self, f"out{i}", Linear(width, width, 210 + i))
            setattr(self, f"up{i}", Linear(width, 4 * width, 220 + i))
            setattr(self, f"down{i}", Linear(4 * width, width, 230 + i))
            for j in range(2):
                setattr(self, f"gain{i}{j}", make.weight(width))
                setattr(self, f"shift{i}{j}", make.weight(width))
        self.final = Linear(width, 50, 240, bias=False)

    def attention(self, i: int, x: Tensor, mask: Any) -> Tensor:
        b, n, c = x.shape
        q, k, v = (
            getattr(self, f"qkv{i}")(x).view(b, n, 3, self.heads, c // self.heads).permute(2, 0, 3, 1, 4).unbind(0)
        )
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return getattr(self, f"out{i}")(y.transpose(1, 2).reshape(b, n, c))

    def forward(self, tokens: Tensor) -> Tensor:
        n = tokens.shape[1]
        x = F.embedding(tokens, self.table) + self.positions[:n]
        mask = pp.arange(n).unsqueeze(0) <= pp.arange(n).unsqueeze(1)
        for i in range(self.layers):
            g, s = (getattr(self, f"gain{i}0"), getattr(self, f"shift{i}0"))
            x = x + self.attention(i, F.layer_norm(x, (self.width,), g, s), mask)
            g, s = (getattr(self, f"gain{i}1"), getattr(self, f"shift{i}1"))
            x = x + getattr(self, f"down{i}")(F.gelu(getattr(self, f"up{i}")(F.layer_norm(x, (self.width,), g, s))))
        return self.final(x)


def tokens(b: int, n: int) -> Array:
    return np.random.default_rng(b * 100 + n).integers(0, 50, (b, n))


def test_transformer_with_dynamic_batch_and_length() -> None:
    same(
        Encoder(), [tokens(2, 7)], 1e-4, [[tokens(1, 1)], [tokens(3, 20)], [tokens(2, 64)]],
        dynamic_shapes={"tokens": {0: Dim("batch", max=4), 1: Dim("length", max=64)}},
    )  # fmt: skip


def test_unrolled_lstm() -> None:
    class LSTM(Layer):
        def __init__(self) -> None:
            super().__init__(5)
            self.w, self.u, self.b = self.weight(48, 6), self.weight(48, 12), self.weight(48)

        def forward(self, x: Tensor) -> Any:
            h = c = pp.zeros(x.shape[0], 12)
            seen = []
            for t in range(x.shape[1]):
                gates = F.linear(x[:, t], self.w, self.b) + F.linear(h, self.u)
                i, f, g, o = gates.chunk(4, 1)
                c = pp.sigmoid(f) * c + pp.sigmoid(i) * pp.tanh(g)
                h = pp.sigmoid(o) * pp.tanh(c)
                seen.append(h)
            return pp.stack(seen, 1), c

    same(LSTM(), [array(2, 5, 6)], 1e-4, [[array(7, 5, 6)]], dynamic_shapes={"x": {0: Dim("batch", max=8)}})


def test_unet() -> None:
    class UNet(Layer):
        def __init__(self) -> None:
            super().__init__(9)
            self.a, self.b, self.c = Conv(1, 8, 3, seed=1), Conv(8, 16, 3, seed=2), Conv(16, 16, 3, seed=3)
            self.up, self.d, self.e = self.weight(16, 8, 2, 2), Conv(24, 16, 3, seed=4), Conv(24, 8, 3, seed=5)
            self.last = Conv(8, 2, 1, act=lambda x: x, seed=6)

        def forward(self, x: Tensor) -> Tensor:
            a = self.a(x)
            b = self.b(F.max_pool2d(a, 2))
            c = self.c(F.max_pool2d(b, 2))
            up = F.conv_transpose2d(c, self.up, None, 2)
            d = self.d(pp.cat([up, b], 1))
            wide = F.interpolate(d, scale_factor=2, mode="nearest")
            return self.last(self.e(pp.cat([wide, a], 1)))

    same(UNet(), [array(1, 1, 16, 16)], 1e-4, [[array(3, 1, 16, 16)]], dynamic_shapes={"x": {0: Dim("batch", max=4)}})
    same(
        UNet(), [array(1, 1, 16, 16)], 1e-4, [[array(2, 1, 32, 24)]],
        dynamic_shapes={"x": (Dim("b", max=4), None, *(Dim(n, min=8, max=64, multiple_of=4) for n in "hw"))},
    )  # fmt: skip


def test_losses_are_programs_too() -> None:
    def loss(x: Tensor, target: Tensor) -> Any:
        p = pp.sigmoid(x)
        onehot = (pp.arange(5) == target.unsqueeze(1)).float()
        return (
            F.cross_entropy(x, target),
            F.mse_loss(p, onehot),
            F.l1_loss(p, onehot),
            F.binary_cross_entropy(p, onehot),
        )

    inputs = [array(4, 5), np.array([0, 4, 2, 2])]
    n = Dim("n", max=64)
    same(loss, inputs, 1e-5, [[array(9, 5), np.arange(9) % 5]], dynamic_shapes={"x": {0: n}, "target": {0: n}})


# -- random graphs --------------------------------------------------------------------------------

Op = Callable[..., Any]


@st.composite
def programs(draw: st.DrawFn) -> tuple[list[tuple[str, tuple[int, ...], int]], int, int]:
    """Steps of a random graph: an operator's name, which earlier values it reads, and a number that it may use."""
    steps = []
    for i in range(draw(st.integers(1, 12))):
        name = draw(st.sampled_from(sorted(STEPS)))
        reads = tuple(draw(st.integers(0, i)) for _ in range(2))
        steps.append((name, reads, draw(st.integers(0, 7))))
    return steps, draw(st.integers(1, 4)), draw(st.integers(1, 6))


def _to_rank(x: Tensor, rank: int) -> Tensor:
    while x.ndim < rank:
        x = x.unsqueeze(0)
    return x.flatten(0, x.ndim - rank) if x.ndim > rank else x


def _joined(a: Tensor, b: Tensor, combine: Op) -> Tensor:
    """`a` with `b` reduced to one number per row of the batch, so that any two shapes combine."""
    row = b.reshape(b.shape[0], -1).mean(1)
    return combine(a, row.view(-1, *(1,) * (a.ndim - 1)))


STEPS: dict[str, Op] = {
    "relu": lambda a, b, k: F.relu(a - 0.1 * k),
    "gelu": lambda a, b, k: F.gelu(a),
    "tanh": lambda a, b, k: pp.tanh(a) * (k + 1),
    "clamp": lambda a, b, k: a.clamp(-0.1 * k, 1.0),
    "where": lambda a, b, k: pp.where(a > 0.1 * k, a, -0.5 * a),
    "square": lambda a, b, k: (a * a + 1).sqrt(),
    "self": lambda a, b, k: a + a * 0.5,
    "join": lambda a, b, k: _joined(a, b, lambda x, y: x * pp.tanh(y)),
    "subtract": lambda a, b, k: _joined(a, b, lambda x, y: x - y),
    "softmax": lambda a, b, k: F.softmax(a.reshape(a.shape[0], -1), -1),
    "layer_norm": lambda a, b, k: F.layer_norm(a, (a.shape[-1],), eps=0.1) if a.ndim > 1 else a,
    "linear": lambda a, b, k: F.linear(a.reshape(a.shape[0], -1), tensor(k + 3, _row(a), seed=k) * 0.3),
    "matmul": lambda a, b, k: _to_rank(a, 3) @ _to_rank(a, 3).transpose(1, 2) if a.ndim == 3 else a,
    "conv": lambda a, b, k: _convolved(a, k, 1) if a.ndim == 4 else a,
    "depthwise": lambda a, b, k: _convolved(a, k, a.shape[1]) if a.ndim == 4 else a,
    "pool": lambda a, b, k: F.max_pool2d(a, 2, 1, 1) if a.ndim == 4 else a,
    "upsample": lambda a, b, k: F.interpolate(a, scale_factor=2) if a.ndim == 4 and a.shape[2] < 12 else a,
    "image": lambda a, b, k: a.reshape(a.shape[0], -1, 1, 1).expand(a.shape[0], -1, 3, 2) if _row(a) < 40 else a,
    "flatten": lambda a, b, k: a.flatten(1) if a.ndim > 1 else a,
    "swap": lambda a, b, k: a.transpose(1, a.ndim - 1) if a.ndim > 2 else a,
    "permute": lambda a, b, k: a.permute(0, *reversed(range(1, a.ndim))),
    "mean": lambda a, b, k: a.mean(a.ndim - 1) if a.ndim > 2 else a.mean(a.ndim - 1, keepdim=True),
    "amax": lambda a, b, k: a.amax(1, keepdim=True),
    "cat": lambda a, b, k: pp.cat([a, a * 2], 1),
    "cat_other": lambda a, b, k: pp.cat([a.flatten(1), b.flatten(1)], 1) if a.ndim > 1 and b.ndim > 1 else a,
    "slice": lambda a, b, k: a[:, k % a.shape[1] :: 2] if a.ndim > 1 else a,
    "head": lambda a, b, k: a[..., : 1 + k],
    "pad": lambda a, b, k: F.pad(a, (1, k % 3)),
    "flip": lambda a, b, k: a.flip(1),
    "write": lambda a, b, k: _written(a, k),
}  # fmt: skip


def _row(a: Tensor) -> int:
    return int(np.prod(a.shape[1:]))


def _convolved(a: Tensor, k: int, groups: int) -> Tensor:
    channels = a.shape[1]
    outside = channels if groups > 1 else k + 2
    weight = tensor(outside, channels // groups, 3, 3, seed=k) * 0.2
    return F.conv2d(a, weight, tensor(outside) if k % 3 else None, 1 + k % 2, 1, 1, groups)


def _written(a: Tensor, k: int) -> Tensor:
    a = a.clone()
    a[:, k % a.shape[1]] = 0.25
    return a


def random_model(steps: list[tuple[str, tuple[int, ...], int]]) -> Callable[[Tensor], Any]:
    def model(x: Tensor) -> Any:
        values = [x]
        for name, reads, number in steps:
            a, b = (values[r] for r in reads)
            made = STEPS[name](a, b, number)
            # Keep sizes small: a chain of doublings is no better test than one.
            values.append(made if int(np.prod(made.shape[1:])) <= 2000 else a)
        return values[-1], values[len(values) // 2] * 1

    return model


@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs(), st.booleans(), st.sampled_from([(4,), (2, 3), (3, 4, 5), (1, 6, 6)]))
def test_random_graphs(problem: Any, dynamic: bool, shape: tuple[int, ...]) -> None:
    steps, batch, other = problem
    options: dict[str, Any] = {"dynamic_shapes": {"x": {0: Dim("n", max=6)}}} if dynamic else {}
    sizes = [[array(other, *shape, seed=1)]] if dynamic else []
    same(random_model(steps), [array(batch, *shape)], 1e-4, sizes, floor=0.1, **options)


@pytest.mark.slow
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(programs())
def test_more_random_graphs(problem: Any) -> None:
    steps, batch, other = problem
    same(
        random_model(steps), [array(batch, 3, 5, 4)], 1e-4, [[array(other, 3, 5, 4, seed=1)]],
        floor=0.1, dynamic_shapes={"x": {0: Dim("n", max=6)}},
    )  # fmt: skip
