"""The cases of `eager.py`: code that runs on pappus and on PyTorch alike, because the names are the same."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import pappus as pp
from pappus.frontend import dispatch, tape
from pappus.frontend.opdef import OPS
from pappus.frontend.tensor import Tensor

Run = Callable[[], Any]


@dataclass
class Case:
    """`make(library, grad)` prepares the operands and returns what is timed; `grad`: it can be recorded."""

    name: str
    make: Callable[[Any, bool], Run]
    grad: bool = True


def _rand(t: Any, *shape: int, grad: bool = False) -> Any:
    numbers = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return t.from_numpy(numbers).requires_grad_(grad)


def _unary(call: Callable[[Any, Any], Any], *shape: int) -> Callable[[Any, bool], Run]:
    """`call(library, x)` on one tensor of `shape`."""

    def make(t: Any, grad: bool) -> Run:
        x = _rand(t, *(shape or (10,)), grad=grad)
        return lambda: call(t, x)

    return make


def _binary(call: Callable[[Any, Any, Any], Any], first: Any = (10,), second: Any = (10,)) -> Callable[..., Run]:
    """`call(library, a, b)` on two tensors."""

    def make(t: Any, grad: bool) -> Run:
        a, b = _rand(t, *first, grad=grad), _rand(t, *second, grad=grad)
        return lambda: call(t, a, b)

    return make


def _module(build: Callable[[Any], Any], *shape: int) -> Callable[[Any, bool], Run]:
    """The layer that `build(library)` makes, on one tensor of `shape`; without `grad` its parameters are frozen."""

    def make(t: Any, grad: bool) -> Run:
        layer, x = build(t), _rand(t, *shape, grad=grad)
        layer.requires_grad_(grad)
        return lambda: layer(x)

    return make


def _inplace(t: Any, grad: bool) -> Run:
    x, y = _rand(t, 10), _rand(t, 10)

    def run() -> Any:
        nonlocal x
        x += y

    return run


def _set_item(t: Any, grad: bool) -> Run:
    x = _rand(t, 4, 5)

    def run() -> None:
        x[1] = 0.0

    return run


def _add_scalar(t: Any, x: Any) -> Any:
    return x + 2.0


OPERATORS = [
    Case("a + b", _binary(lambda t, a, b: a + b)),
    Case("a * b", _binary(lambda t, a, b: a * b)),
    Case("a - b", _binary(lambda t, a, b: a - b)),
    Case("a / b", _binary(lambda t, a, b: a / b)),
    Case("a + 2.0", _unary(_add_scalar)),
    Case("a * 2.0", _unary(lambda t, x: x * 2.0)),
    Case("1 - a", _unary(lambda t, x: 1 - x)),
    Case("a ** 2", _unary(lambda t, x: x**2)),
    Case("-a", _unary(lambda t, x: -x)),
    Case("a > 0", _unary(lambda t, x: x > 0), grad=False),
    Case("a < b", _binary(lambda t, a, b: a < b), grad=False),
    Case("add(a, b)", _binary(lambda t, a, b: t.add(a, b))),
    Case("[4, 5] + [5]", _binary(lambda t, a, b: a + b, (4, 5), (5,))),
    Case("relu", _unary(lambda t, x: t.relu(x))),
    Case("exp", _unary(lambda t, x: x.exp())),
    Case("tanh", _unary(lambda t, x: x.tanh())),
    Case("sigmoid", _unary(lambda t, x: t.sigmoid(x))),
    Case("gelu", _unary(lambda t, x: t.nn.functional.gelu(x))),
    Case("maximum", _binary(lambda t, a, b: t.maximum(a, b))),
    Case("where", _binary(lambda t, a, b: t.where(a > b, a, b))),
    Case("clamp(0, 1)", _unary(lambda t, x: x.clamp(0, 1))),
    Case("sum", _unary(lambda t, x: x.sum())),
    Case("sum(-1) of [4, 5]", _unary(lambda t, x: x.sum(-1), 4, 5)),
    Case("mean", _unary(lambda t, x: x.mean())),
    Case("matmul 8x8", _binary(lambda t, a, b: a @ b, (8, 8), (8, 8))),
    Case("view", _unary(lambda t, x: x.view(2, 5))),
    Case("reshape", _unary(lambda t, x: x.reshape(2, 5))),
    Case("transpose", _unary(lambda t, x: x.transpose(0, 1), 2, 5)),
    Case("a[1]", _unary(lambda t, x: x[1], 2, 5)),
    Case("a[:, 1:3]", _unary(lambda t, x: x[:, 1:3], 2, 5)),
    Case("cat", _binary(lambda t, a, b: t.cat([a, b]))),
    Case("linear 8 to 8", _module(lambda t: t.nn.Linear(8, 8), 4, 8)),
    Case("softmax [4, 8]", _unary(lambda t, x: t.softmax(x, -1), 4, 8)),
    Case("layer_norm [4, 8]", _module(lambda t: t.nn.LayerNorm(8), 4, 8)),
    Case("conv2d 3x3, 2 channels of 8x8", _module(lambda t: t.nn.Conv2d(2, 2, 3), 1, 2, 8, 8)),
    Case("a += b", _inplace, grad=False),
    Case("a[1] = 0.0", _set_item, grad=False),
    Case("detach", _unary(lambda t, x: x.detach())),
    Case("a.shape", _unary(lambda t, x: x.shape), grad=False),
    Case("item", _unary(lambda t, x: x.item(), 1), grad=False),
]


# -- around the operators ---------------------------------------------------------------------------


def _chain(step: Callable[[Any, Any], Any]) -> Callable[[Any, bool], Run]:
    """Forward and backward of 100 operators in a row."""

    def make(t: Any, grad: bool) -> Run:
        x, w = _rand(t, 10, grad=True), _rand(t, 10, grad=True)
        seed = t.ones(10)

        def run() -> None:
            x.grad = w.grad = None
            y = x
            for _ in range(100):
                y = step(y, w)
            y.backward(seed)

        return run

    return make


def _optimizer(name: str, **options: Any) -> Callable[[Any, bool], Run]:
    def make(t: Any, grad: bool) -> Run:
        params = [_rand(t, 10, grad=True) for _ in range(10)]
        for p in params:
            p.grad = t.ones(10)
        optimizer = getattr(t.optim, name)(params, **options)
        return lambda: optimizer.step()

    return make


def _module_call(t: Any, grad: bool) -> Run:
    layer, x = t.nn.Identity(), _rand(t, 10)
    return lambda: layer(x)


def _no_grad(t: Any, grad: bool) -> Run:
    def run() -> None:
        with t.no_grad():
            pass

    return run


TRAINING = [
    Case("chain of 100 a + w, forward and backward", _chain(lambda y, w: y + w)),
    Case("chain of 100 a * w, forward and backward", _chain(lambda y, w: y * w)),
    Case("chain of 100 a * 1.01, forward and backward", _chain(lambda y, w: y * 1.01)),
    Case("chain of 100 relu, forward and backward", _chain(lambda y, w: y.relu())),
    Case("SGD step, 10 parameters", _optimizer("SGD", lr=0.1)),
    Case("SGD with momentum, 10 parameters", _optimizer("SGD", lr=0.1, momentum=0.9)),
    Case("Adam step, 10 parameters", _optimizer("Adam", lr=0.1)),
    Case("a module's call", _module_call),
    Case("with no_grad()", _no_grad),
]


# -- parts of a call --------------------------------------------------------------------------------


def _numpy_add() -> Run:
    a, b = np.ones(10, np.float32), np.ones(10, np.float32)
    return lambda: np.add(a, b)


def _pair(grad: bool) -> Callable[[], Run]:
    def make() -> Run:
        a, b = _rand(pp, 10, grad=grad), _rand(pp, 10, grad=grad)
        return lambda: a + b

    return make


def _door(grad: bool) -> Callable[[], Run]:
    def make() -> Run:
        op, args = OPS["add"], (_rand(pp, 10, grad=grad), _rand(pp, 10, grad=grad))
        return lambda: dispatch.call(op, args, {})

    return make


def _silenced() -> Run:
    errors, silent = dispatch.errors, dispatch.SILENT
    return lambda: errors.reset(errors.set(silent))


FEATURES: list[tuple[str, Callable[[], Run]]] = [
    ("numpy: add", _numpy_add),
    ("a call of nothing, part of every figure here", lambda: lambda: None),
    ("a + b", _pair(False)),
    ("a + b, recorded", _pair(True)),
    ("the door's general way (call)", _door(False)),
    ("the door's general way (call), recorded", _door(True)),
    ("a tensor around an array", lambda: partial(Tensor._from_data, np.ones(10))),
    ("the mode of this thread", lambda: lambda: tape.state.mode),
    ("numpy's warnings off and on", _silenced),
    ("the user's line", lambda: tape.caller),
]


# -- large operators --------------------------------------------------------------------------------


def _backward(build: Callable[[Any], tuple[Any, ...]], call: Callable[..., Any]) -> Callable[[Any, bool], Run]:
    """`call(library, *operands)`; with `grad` its backward pass too, for gradients of one."""

    def make(t: Any, grad: bool) -> Run:
        operands = build(t)
        for x in operands:
            if grad and x.is_floating_point():
                x.requires_grad_()
        seed = t.ones(tuple(call(t, *operands).shape))

        def run() -> None:
            out = call(t, *operands)
            if grad:
                out.backward(seed)
                for x in operands:
                    x.grad = None

        return run

    return make


def _large(name: str, call: Callable[..., Any], *shapes: tuple[int, ...]) -> Case:
    return Case(name, _backward(lambda t: tuple(_rand(t, *s) for s in shapes), call))


def _embedding(t: Any) -> tuple[Any, ...]:
    index = np.random.default_rng(0).integers(0, 1000, (16, 64))
    return _rand(t, 1000, 128), t.from_numpy(index)


KERNELS = [
    _large("add, a million", lambda t, a, b: a + b, (1 << 20,), (1 << 20,)),
    _large("a * 2.0, a million", lambda t, a: a * 2.0, (1 << 20,)),
    _large("relu, a million", lambda t, a: a.relu(), (1 << 20,)),
    _large("exp, a million", lambda t, a: a.exp(), (1 << 20,)),
    _large("tanh, a million", lambda t, a: a.tanh(), (1 << 20,)),
    _large("sigmoid, a million", lambda t, a: a.sigmoid(), (1 << 20,)),
    _large("gelu, a million", lambda t, a: t.nn.functional.gelu(a), (1 << 20,)),
    _large("a > 0, a million", lambda t, a: (a > 0).to(a.dtype) * a, (1 << 20,)),
    _large("sum, a million", lambda t, a: a.sum(), (1 << 20,)),
    _large("sum(-1) of [8192, 128]", lambda t, a: a.sum(-1), (8192, 128)),
    _large("sum(0) of [8192, 128]", lambda t, a: a.sum(0), (8192, 128)),
    _large("max(-1) of [8192, 128]", lambda t, a: a.amax(-1), (8192, 128)),
    _large("mean(-1) of [8192, 128]", lambda t, a: a.mean(-1), (8192, 128)),
    _large("matmul 256", lambda t, a, b: a @ b, (256, 256), (256, 256)),
    _large("linear 256 to 256, batch 64", lambda t, x, w, b: t.nn.functional.linear(x, w, b),
           (64, 256), (256, 256), (256,)),
    _large("softmax of [8192, 128]", lambda t, a: t.softmax(a, -1), (8192, 128)),
    _large("log_softmax of [8192, 128]", lambda t, a: t.log_softmax(a, -1), (8192, 128)),
    _large("layer_norm of [8192, 128]", lambda t, x, w, b: t.nn.functional.layer_norm(x, (128,), w, b),
           (8192, 128), (128,), (128,)),
    _large("conv2d 3x3, 16 channels of 16x16", lambda t, x, w: t.nn.functional.conv2d(x, w, padding=1),
           (8, 16, 16, 16), (16, 16, 3, 3)),
    _large("max_pool2d 2x2 of [8, 32, 32, 32]", lambda t, x: t.nn.functional.max_pool2d(x, 2), (8, 32, 32, 32)),
    Case("embedding of [16, 64] in 1000 x 128", _backward(_embedding, lambda t, w, i: t.nn.functional.embedding(i, w))),
    _large("contiguous transpose of 1024", lambda t, a: a.t().contiguous(), (1024, 1024)),
    _large("cat of two [1024, 256]", lambda t, a, b: t.cat([a, b], 1), (1024, 256), (1024, 256)),
]  # fmt: skip


# -- training steps ---------------------------------------------------------------------------------


def _mlp(t: Any) -> Any:
    nn = t.nn
    return nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))


def _lenet(t: Any) -> Any:
    nn = t.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _gpt(t: Any) -> Any:
    nn, functional = t.nn, t.nn.functional

    class Block(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, width: int, heads: int) -> None:
            super().__init__()
            self.heads = heads
            self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

        def forward(self, x: Any) -> Any:
            b, n, c = x.shape
            q, k, v = self.qkv(self.norm1(x)).split(c, 2)
            q, k, v = (p.view(b, n, self.heads, c // self.heads).transpose(1, 2) for p in (q, k, v))
            y = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.out(y.transpose(1, 2).reshape(b, n, c))
            return x + self.down(functional.gelu(self.up(self.norm2(x))))

    class GPT(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.tokens, self.places = nn.Embedding(65, 128), nn.Embedding(64, 128)
            self.blocks = nn.ModuleList([Block(128, 4) for _ in range(4)])
            self.norm, self.head = nn.LayerNorm(128), nn.Linear(128, 65, bias=False)

        def forward(self, index: Any) -> Any:
            x = self.tokens(index) + self.places(t.arange(index.shape[1]))
            for block in self.blocks:
                x = block(x)
            return self.head(self.norm(x)).flatten(0, 1)

    return GPT()


def _step(build: Callable[[Any], Any], inputs: Callable[[], Any], targets: Any, optimizer: str) -> Callable[..., Run]:
    def make(t: Any, grad: bool) -> Run:
        model = build(t)
        x, y = t.from_numpy(inputs()), t.from_numpy(targets)
        opt = getattr(t.optim, optimizer)(model.parameters(), lr=1e-4)
        loss_of = t.nn.CrossEntropyLoss()

        def run() -> None:
            opt.zero_grad()
            loss_of(model(x), y).backward()
            opt.step()

        return run

    return make


def _classes(count: int, high: int) -> Any:
    return np.random.default_rng(1).integers(0, high, count)


def _numbers(*shape: int) -> Callable[[], Any]:
    return lambda: np.random.default_rng(0).standard_normal(shape).astype(np.float32)


STEPS = [
    Case("MLP 784-128-64-10, batch 1, SGD", _step(_mlp, _numbers(1, 784), _classes(1, 10), "SGD")),
    Case("MLP 784-128-64-10, batch 64, SGD", _step(_mlp, _numbers(64, 784), _classes(64, 10), "SGD")),
    Case("LeNet-5, batch 64, SGD", _step(_lenet, _numbers(64, 1, 28, 28), _classes(64, 10), "SGD")),
    Case("GPT 4 x 128, 64 tokens, batch 16, AdamW",
         _step(_gpt, lambda: _classes(1024, 65).reshape(16, 64), _classes(1024, 65), "AdamW")),
]  # fmt: skip
