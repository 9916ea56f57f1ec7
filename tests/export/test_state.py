"""State: caches, counters and statistics that outlive a call, shared by the methods of one program."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from road import array, close, flat, ops_of, tensor

import pappus as pp
from pappus.export import Dim
from pappus.frontend.errors import ArgumentError
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.tensor import Tensor

LENGTH, WIDTH = 12, 8


class Cached(Module):
    """One attention layer with a key/value cache: prefill writes rows 0..n-1, decode one row at a position."""

    def __init__(self) -> None:
        super().__init__()
        self.table = Parameter(tensor(20, WIDTH, seed=1))
        self.query, self.key, self.value = (Parameter(tensor(WIDTH, WIDTH, seed=i)) for i in (2, 3, 4))
        self.register_buffer("keys", pp.zeros(LENGTH, WIDTH))
        self.register_buffer("values", pp.zeros(LENGTH, WIDTH))

    def attend(self, q: Tensor, last: Tensor) -> Tensor:
        scores = q @ self.keys.t() / WIDTH**0.5
        seen = pp.arange(LENGTH) <= last.unsqueeze(-1)
        return pp.softmax(pp.where(seen, scores, float("-inf")), -1) @ self.values

    def prefill(self, tokens: Tensor) -> Tensor:
        x = pp.nn.functional.embedding(tokens, self.table)
        n = tokens.shape[0]
        self.keys[:n] = x @ self.key
        self.values[:n] = x @ self.value
        return self.attend(x @ self.query, pp.arange(n))

    def decode(self, token: Tensor, position: Tensor) -> Tensor:
        x = pp.nn.functional.embedding(token, self.table)
        self.keys[position] = x @ self.key
        self.values.copy_(pp.slice_update(self.values, (x @ self.value).unsqueeze(0), position))
        return self.attend((x @ self.query).unsqueeze(0), position.unsqueeze(0))


def decoder() -> tuple[Cached, Any]:
    """The model, and its program with two methods."""
    model = Cached()
    tokens, one = pp.tensor([1, 2, 3]), pp.tensor(4)
    prefill = pp.export.export(model.prefill, (tokens,), dynamic_shapes={"tokens": {0: Dim("n", max=LENGTH)}})
    decode = pp.export.export(model.decode, (one, pp.tensor(3)))
    return model, pp.export.lower({"prefill": prefill, "decode": decode})


@pytest.mark.parametrize("threads", [1, 2])
def test_prefill_and_decode_share_a_cache(threads: int) -> None:
    model, program = decoder()
    assert {s.name for s in program.states} == {"keys", "values"}
    tokens = np.array([5, 9, 2, 7, 11, 3])
    with pp.no_grad(), pp.runtime.load(program.to_bytes(), threads=threads) as session:
        close([session.method("prefill")(tokens[:4])], flat(model.prefill(pp.tensor(tokens[:4]))), 1e-5)
        for position in (4, 5):
            token = np.array(tokens[position])
            found = session.method("decode")(token, np.array(position))
            close([found], flat(model.decode(pp.tensor(token), pp.tensor(position))), 1e-5)
        close([session.state["keys"], session.state["values"]], [model.keys.numpy(), model.values.numpy()])
        # All at once gives the last row of step by step: the cache holds what it should.
        session.state.reset()
        whole = session.method("prefill")(tokens)
        close([whole[-1:]], [found], 1e-4)


def test_cache_writes_happen_in_place_and_weights_are_stored_once() -> None:
    _, program = decoder()
    assert sum("in place" in line and "state" in line for line in program.report().splitlines()) == 4
    assert not [line for line in program.report().splitlines() if "old value is still needed" in line]
    sizes = [a.nbytes for a in program.pool.arrays]
    # Each method packs the same weights: equal bytes are stored once.
    assert sizes.count(WIDTH * 16 * 4) == 3 and sizes.count(20 * WIDTH * 4) == 1


class Counter(Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("count", pp.zeros(2).long())

    def forward(self, x: Tensor) -> Tensor:
        self.count += 1
        return x * self.count

    def peek(self, x: Tensor) -> Tensor:
        return x + self.count

    def clear(self, x: Tensor) -> Tensor:
        old = self.count.clone()
        self.count.zero_()
        return old + 0 * x.long()


def test_counter_and_reset() -> None:
    model, x = Counter(), tensor(2)
    methods = {name: pp.export.export(getattr(model, name), (x,)) for name in ("forward", "peek", "clear")}
    assert methods["peek"].graph_signature.states == ()  # alone it reads a constant; together it reads the state
    program = pp.export.lower(methods)
    with pp.runtime.load(program.to_bytes()) as session:
        one = np.ones(2, "f4")
        assert [session(one).tolist() for _ in range(3)] == [[1, 1], [2, 2], [3, 3]]
        assert session.method("peek")(one).tolist() == [4, 4]
        saved = session.state.snapshot()
        assert session.method("clear")(one).tolist() == [3, 3]
        assert session.method("peek")(one).tolist() == [1, 1]
        session.state.restore(saved)
        assert session(one).tolist() == [4, 4]
        session.state.reset()
        assert session(one).tolist() == [1, 1]


class Shift(Module):
    """Reads the old value after (in program order) the new one is known."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("last", pp.zeros(3))

    def forward(self, x: Tensor) -> Any:
        old = self.last * 1
        view = self.last[1:]
        self.last.copy_(x * 2)
        return old + self.last, view + 0, self.last - x


def test_old_values_that_are_still_needed_are_copied_and_reported() -> None:
    class Late(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("last", pp.ones(3))

        def forward(self, x: Tensor) -> Any:
            before = self.last.clone()
            self.last.copy_(pp.softmax(x + self.last, -1))
            return before @ x.unsqueeze(1), before

    for model in (Shift(), Late()):
        ep = pp.export.export(model, (tensor(3),))
        program = pp.export.lower(ep)
        with pp.runtime.load(program.to_bytes()) as session:
            for seed in range(3):
                x = array(3, seed=seed)
                wanted = flat(model(Tensor._from_data(x.copy())))
                found = session(x)
                close(list(found), wanted)
                close([session.state["last"]], [model.last.numpy()])
    assert "copy: state last: its old value is still needed" in program.report()


def test_a_state_that_is_returned_is_a_copy_of_the_new_value() -> None:
    class Returns(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("total", pp.zeros(3))

        def forward(self, x: Tensor) -> Any:
            self.total += x
            return self.total

    with pp.runtime.load(pp.export.lower(pp.export.export(Returns(), (tensor(3),))).to_bytes()) as session:
        first = session(np.ones(3, "f4"))
        second = session(np.ones(3, "f4"))
    assert first.tolist() == [1, 1, 1] and second.tolist() == [2, 2, 2]


def test_two_states_exchanged() -> None:
    class Swap(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("a", pp.zeros(3))
            self.register_buffer("b", pp.ones(3))

        def forward(self, x: Tensor) -> Any:
            old = self.a.clone()
            self.a.copy_(self.b)
            self.b.copy_(old)
            return self.a + 10 * self.b + x

    model = Swap()
    program = pp.export.lower(pp.export.export(model, (tensor(3),)))
    with pp.runtime.load(program.to_bytes()) as session:
        for _ in range(3):
            close([session(array(3))], flat(model(Tensor._from_data(array(3)))))


def test_a_state_that_becomes_a_view_of_itself() -> None:
    class Turn(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("square", tensor(3, 3))

        def forward(self, x: Tensor) -> Any:
            self.square.copy_(self.square.t())
            return self.square + x

    model = Turn()
    program = pp.export.lower(pp.export.export(model, (tensor(3),)))
    with pp.runtime.load(program.to_bytes()) as session:
        for _ in range(3):
            close([session(array(3))], flat(model(Tensor._from_data(array(3)))))


def test_state_is_dirty_after_a_failed_run() -> None:
    class Pick(Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("rows", pp.zeros(4, 2))

        def forward(self, x: Tensor, position: Tensor) -> Tensor:
            self.rows[position] = x
            return self.rows * 1

    program = pp.export.lower(pp.export.export(Pick(), (tensor(2), pp.tensor(1))))
    with pp.runtime.load(program.to_bytes()) as session:
        session(array(2), np.array(-1))
        assert np.array_equal(session.state["rows"][3], array(2)), "a negative position counts from the end"
        with pytest.raises(pp.runtime.PositionError):
            session(array(2), np.array(4))
        with pytest.raises(pp.runtime.StateError):
            session(array(2), np.array(1))
        session.state.reset()
        session(array(2), np.array(1))


def test_one_tensor_under_two_names_is_one_state() -> None:
    model = Counter()

    def outside(x: Tensor) -> Tensor:  # knows the buffer as a free variable, without its name
        model.count.add_(10)
        return x * 1

    methods = {"outside": pp.export.export(outside, (tensor(2),)), "forward": pp.export.export(model, (tensor(2),))}
    program = pp.export.lower(methods)
    assert len(program.states) == 1
    with pp.runtime.load(program.to_bytes()) as session:
        session.method("outside")(np.ones(2, "f4"))
        assert session.method("forward")(np.ones(2, "f4")).tolist() == [11, 11]


def test_equal_names_of_different_models_are_refused() -> None:
    methods = {name: pp.export.export(Counter(), (tensor(2),)) for name in ("a", "b")}
    with pytest.raises(ArgumentError, match=r"different tensors are states of one name \(count\)"):
        pp.export.lower(methods)


def test_state_inside_one_method_only_reads_like_the_others() -> None:
    _, program = decoder()
    kinds = {m.name: ops_of(m.kernel) for m in program.methods}
    assert "update" in kinds["decode"] and "update" not in kinds["prefill"]


def test_recurrence_over_calls() -> None:
    class Cell(Module):
        """A gated cell whose hidden state stays on the device."""

        def __init__(self) -> None:
            super().__init__()
            self.w = Parameter(tensor(16, 4 + 8, seed=1))
            self.register_buffer("h", pp.zeros(1, 8))

        def forward(self, x: Tensor) -> Tensor:
            gates = pp.nn.functional.linear(pp.cat([x, self.h], 1), self.w)
            z, c = gates.chunk(2, 1)
            self.h.copy_(self.h * pp.sigmoid(z) + pp.tanh(c) * (1 - pp.sigmoid(z)))
            return self.h * 1

    model = Cell()
    program = pp.export.lower(pp.export.export(model, (tensor(1, 4),)))
    with pp.runtime.load(program.to_bytes()) as session:
        for seed in range(5):
            x = array(1, 4, seed=seed)
            close([session(x)], flat(model(Tensor._from_data(x))), 1e-5)
