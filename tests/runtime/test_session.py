"""Running hand-built programs through the Python binding."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import programs
import pytest
from builder import Program, load_store

from pappus import runtime
from pappus.runtime.enums import DType, PwOp
from pappus.runtime.method import Method
from pappus.runtime.session import Session

F32 = np.float32


def load(name: str, **options: Any) -> Session:
    """One of the hand-built programs."""
    return runtime.load(programs.ALL[name]().build(), **options)


def one(outputs: Any) -> np.ndarray[Any, Any]:
    """The only output of a call."""
    assert isinstance(outputs, np.ndarray)
    return outputs


def arguments(method: Method, size: int = 4) -> list[np.ndarray]:
    """Small legal inputs of any method."""
    rng = np.random.default_rng(0)
    found = []
    for port in method.inputs:
        sizes = {s.name: -(-max(s.min, size) // s.multiple_of) * s.multiple_of for s in method.info.symbols}
        shape = [d if isinstance(d, int) else sizes.get(d, 2) for d in port.shape]
        integer = port.dtype.startswith("int")
        found.append(np.ones(shape, port.dtype) if integer else rng.standard_normal(shape).astype(port.dtype))
    return found


# -- results -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("threads", [1, 2, None])
def test_pointwise(threads: int | None) -> None:
    x = np.linspace(-2, 2, 20, dtype=F32).reshape(4, 5)
    y = load("pointwise", threads=threads)(x)
    assert isinstance(y, np.ndarray) and y.dtype == F32
    np.testing.assert_allclose(y, np.exp(x), rtol=1e-6)


def test_gemm_with_epilogue() -> None:
    session = load("gemm")
    w, b, v = programs.random_f32(8, 20), programs.random_f32(20), programs.random_f32(20, 3)
    for rows in (1, 17, 100):
        x = np.random.default_rng(rows).standard_normal((rows, 8), dtype=F32)
        np.testing.assert_allclose(session(x=x), np.tanh(np.maximum(x @ w + b, 0) @ v), rtol=1e-5, atol=1e-5)


def test_sizes_may_change_between_calls() -> None:
    session = load("dynamic")
    method = session.method("forward")
    assert method.arena_bytes == 0
    seen: dict[int, int] = {}
    for n in (3, 64, 3, 1):
        x = np.random.default_rng(n).standard_normal((n, 6), dtype=F32)
        np.testing.assert_allclose(session(x), (x + np.arange(6)) * 2, rtol=1e-6)
        assert seen.setdefault(n, method.arena_bytes) == method.arena_bytes
    assert seen[64] > seen[3] > 0


def test_bind_without_running() -> None:
    method = load("dynamic").method("forward")
    with pytest.raises(runtime.ArgumentError, match="not bound"):
        method.output_shapes()
    assert method.bind((5, 6)) == method.arena_bytes > 0
    assert method.output_shapes() == [(5, 6)]
    assert method.bind(x=(6, 6)) == method.arena_bytes


def test_convolution_and_pooling_agree_with_numpy() -> None:
    rng = np.random.default_rng(3)
    x = rng.standard_normal((2, 3, 8, 8), dtype=F32)
    w, b = programs.random_f32(4, 3, 3, 3), programs.random_f32(4)
    padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))[:, :, ::2, ::2]
    h = np.clip(np.einsum("ncyxhw,ochw->noyx", windows, w) + b[:, None, None], 0, 6)
    pooled = h.reshape(2, 4, 2, 2, 2, 2)
    outs = load("convolution")(x)
    for out, value, log in zip(outs, (pooled.max((3, 5)), pooled.mean((3, 5))), (False, True), strict=True):
        soft = np.exp(value) / np.exp(value).sum(1, keepdims=True)
        np.testing.assert_allclose(out, np.log(soft) if log else soft, rtol=1e-4, atol=1e-5)


def test_outputs_of_several_kinds() -> None:
    x, d = np.array([7, -7, 7, 0], np.int64), np.array([2, 2, -2, 5], np.int64)
    q, r, low, cast = load("integers")(x, d)
    assert q.tolist() == (x // d).tolist() and r.tolist() == (x % d).tolist()
    assert low.dtype == np.bool_ and low.tolist() == (x < d).tolist()
    assert cast.tolist() == np.where(x < d, x // d, x % d).astype(F32).tolist()


def test_empty_tensors() -> None:
    q, r, low, cast = load("integers")(np.empty(0, np.int64), np.empty(0, np.int64))
    assert q.shape == r.shape == low.shape == cast.shape == (0,)


def test_no_inputs() -> None:
    assert one(load("coordinates")()).tolist() == [[10 * i + j for j in range(5)] for i in range(3)]


def test_two_methods_share_memory_but_not_sizes() -> None:
    session = load("two_methods")
    assert session.methods == ("forward", "half")
    x, small = np.ones((32, 2), F32), np.full((3, 2), 4, F32)
    for _ in range(2):
        np.testing.assert_array_equal(session(x), x * 2)
        a, b = session.method("half")(small)
        np.testing.assert_array_equal(a, small / 2)
        np.testing.assert_array_equal(b, (small / 2).T ** 2)


def test_bfloat16_needs_no_ml_dtypes() -> None:
    x = np.array([1, 2.5, -3, 0, np.inf, 65504, 1e-3], np.float16)
    y = one(load("halves")(x))
    # This process has imported ml_dtypes (the export side needs it), so arrays come back with its dtype.
    assert y.dtype == ml_dtypes.bfloat16
    np.testing.assert_array_equal(y.astype(F32), (-x.astype(F32)).astype(ml_dtypes.bfloat16).astype(F32))


def test_bfloat16_inputs_in_both_forms() -> None:
    program = Program()
    m = program.method()
    a, b = m.input("x", DType.BF16, [3]), m.output("y", DType.F32, [3])
    m.map(load_store(PwOp.ABS), [a], [b])
    session = runtime.load(program.build())
    x = np.array([-1, 2, -3], ml_dtypes.bfloat16)
    assert one(session(x)).tolist() == one(session(x.view(np.uint16))).tolist() == [1, 2, 3]


# -- arguments -----------------------------------------------------------------------------------------------------


def test_ports_describe_themselves() -> None:
    method = load("convolution").method("forward")
    (x,) = method.inputs
    assert (x.name, x.dtype, x.shape) == ("x", "float32", ("batch", 3, "side", "side"))
    assert x.ranges == {"batch": (1, 8, 1), "side": (8, 32, 2)}
    assert method.outputs[0].shape == ("batch", 4, "?", "?")
    assert str(x) == "x: float32[batch, 3, side, side]"


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda s: s(np.ones((4, 5))), "input 'x': expected float32, got float64"),
        (lambda s: s(np.ones((4, 5), ">f4")), "expected float32, got float32 of the other byte order"),
        (lambda s: s(np.ones((4, 5, 1), F32)), r"input 'x': expected rank 2 \[4, 5\], got rank 3 \[4, 5, 1\]"),
        (lambda s: s(np.ones((4, 6), F32)), "input 'x'.*6.*5"),
        (lambda s: s(np.ones((1,) * 9, F32)), "expected rank 2"),
        (lambda s: s(y=np.ones((4, 5), F32)), "has no input 'y'; its inputs are: x"),
        (lambda s: s(), "missing input 'x'"),
        (lambda s: s(1, 2), "2 inputs given, method 'forward' takes 1: x"),
        (lambda s: s(np.ones((4, 5), F32), x=np.ones((4, 5), F32)), "given twice"),
    ],
)
def test_wrong_arguments(call: Any, message: str) -> None:
    with pytest.raises(runtime.InputError, match=message):
        call(load("pointwise"))


def test_ranges_and_multiples() -> None:
    session = load("convolution")
    with pytest.raises(runtime.InputError, match=r"input 'x'.*batch.*9.*1\.\.8"):
        session(np.ones((9, 3, 8, 8), F32))
    with pytest.raises(runtime.InputError, match=r"side.*9.*2"):
        session(np.ones((1, 3, 9, 9), F32))
    with pytest.raises(runtime.InputError, match=r"8.*10|10.*8"):
        session(np.ones((1, 3, 8, 10), F32))
    assert len(session(np.ones((1, 3, 8, 8), F32))) == 2


def test_guard() -> None:
    session = load("guarded")
    y, w = session(np.ones((2, 4), F32), np.ones(2, F32))
    assert y.shape == (2, 4) and w.shape == (2,)
    with pytest.raises(runtime.GuardError, match=r"a <= b at model.py:3"):
        session(np.ones((6, 4), F32), np.ones(2, F32))
    with pytest.raises(runtime.InputError, match="input 'z'"):
        session(np.ones((2, 4), F32), np.ones(3, F32))


def test_non_contiguous_and_unaligned_inputs() -> None:
    session = load("pointwise")
    x = np.random.default_rng(0).standard_normal((5, 4)).astype(F32)
    np.testing.assert_allclose(session(x.T), np.exp(x.T), rtol=1e-6)
    raw = np.zeros(81, np.uint8)
    odd = raw[1:].view(F32).reshape(4, 5)
    odd[...] = 1
    np.testing.assert_allclose(session(odd), np.full((4, 5), np.e), rtol=1e-6)
    frozen = np.ones((4, 5), F32)
    frozen.flags.writeable = False
    session(frozen)


def test_out() -> None:
    session = load("two_methods")
    half = session.method("half")
    x = np.ones((3, 2), F32)
    a, b = np.empty((3, 2), F32), np.empty((2, 3), F32)
    assert half(x, out=[a, b])[0] is a
    assert half(x, out={"b": b})[1] is b
    y = np.empty((3, 2), F32)
    assert session(x, out=y) is y
    for bad, message in [
        (np.empty((3, 3), F32), r"expected shape \[3, 2\]"),
        (np.empty((3, 2)), "expected float32, got float64"),
        (np.empty((2, 3), F32).T, "contiguous writable"),
        (x, "shares memory"),
        ({"q": y}, "has no output 'q'; its outputs are: y"),
        ([y, y], "2 arrays given"),
        ([[1]], "expected a NumPy array"),
    ]:
        with pytest.raises(runtime.InputError, match=message):
            session(x, out=bad)


def test_errors_while_running() -> None:
    session = load("gather")
    index, pick = np.array([0, -10, 9]), np.zeros((3, 2), np.int32)
    session(index, pick)
    for value in (10, -11, np.iinfo(np.int64).min):
        with pytest.raises(runtime.IndexValueError, match=str(value)) as caught:
            session(np.array([0, value, 9]), pick)
        assert caught.value.rule == 704 and isinstance(caught.value, IndexError)
    with pytest.raises(runtime.DivisorError):
        load("integers")(np.array([1]), np.array([0]))
    session(index, pick)


# -- state ---------------------------------------------------------------------------------------------------------


def test_state() -> None:
    session = load("state")
    state = session.state
    assert list(state) == ["cache", "total"] and len(state) == 2
    assert [str(p) for p in state.ports] == ["cache: float32[8, 4]", "total: float32[4]"]
    assert state["total"].tolist() == [1, 2, 3, 4] and not state["cache"].any()
    x = np.ones((2, 4), F32)
    y, z = session(x, np.int64(3))
    assert y.sum(1).tolist() == [0, 0, 0, 4, 4, 0, 0, 0] and z.tolist() == [3, 4, 5, 6]
    saved = state.snapshot()
    _, z = session(x, np.int64(0))
    assert z.tolist() == [5, 6, 7, 8]
    state["total"] = np.zeros(4, F32)
    assert session(x, np.int64(0))[1].tolist() == [2, 2, 2, 2]
    state.restore(saved)
    assert state["total"].tolist() == [3, 4, 5, 6]
    state["total"][:] = 9  # a copy
    assert state["total"].tolist() == [3, 4, 5, 6]
    state.reset()
    assert state["total"].tolist() == [1, 2, 3, 4] and not state["cache"].any()


def test_state_errors() -> None:
    session = load("state")
    with pytest.raises(KeyError, match="no state 'k'; states are: cache, total"):
        session.state["k"]
    with pytest.raises(runtime.InputError, match="expected float32, got float64"):
        session.state["total"] = np.zeros(4)
    with pytest.raises(runtime.InputError, match=r"expected shape \[4\]"):
        session.state["total"] = np.zeros(3, F32)
    with pytest.raises(runtime.InputError, match="missing: cache"):
        session.state.restore({"total": np.zeros(4, F32)})


def test_a_failed_run_makes_state_dirty() -> None:
    session = load("state")
    x = np.ones((2, 4), F32)
    saved = session.state.snapshot()
    for position in (7, -1, 2**62):
        with pytest.raises(runtime.PositionError):
            session(x, np.int64(position))
        with pytest.raises(runtime.StateError):
            session(x, np.int64(0))
        session.state.restore(saved)
        session(x, np.int64(6))
    with pytest.raises(runtime.PositionError):
        session(x, np.int64(7))
    session.state.reset()
    assert session(x, np.int64(0))[1].tolist() == [3, 4, 5, 6]


# -- observing -----------------------------------------------------------------------------------------------------


def test_observe() -> None:
    session = load("two_methods")
    x = np.arange(6, dtype=F32).reshape(3, 2)
    seen: list[runtime.Observation] = []
    with session.observe(seen.append):
        session.method("half")(x)
    assert [(o.method, o.instruction, o.op, o.name) for o in seen] == [
        ("half", 0, "pointwise", "i0"), ("half", 1, "move", "i1"), ("half", 2, "move", "i2"),
    ]  # fmt: skip
    assert seen[0].source == "test.py:1" and "pointwise" in seen[0].kernel and seen[0].nanoseconds >= 0
    np.testing.assert_array_equal(seen[0].results[0], x / 2)  # strided in the arena, dense here
    np.testing.assert_array_equal(seen[0].results[1], (x / 2) ** 2)
    np.testing.assert_array_equal(seen[2].results[0], ((x / 2) ** 2).T)
    session.method("half")(x)
    assert len(seen) == 3


def test_observer_errors() -> None:
    session = load("state")
    x = np.ones((2, 4), F32)

    def fail(seen: runtime.Observation) -> None:
        raise LookupError("stop")

    with session.observe(fail), pytest.raises(LookupError, match="stop"):
        session(x, np.int64(0))
    session.state.reset()
    session(x, np.int64(0))

    with (
        session.observe(lambda _: session.state.reset()),
        pytest.raises(runtime.ArgumentError, match="must not use its own session"),
    ):
        session(x, np.int64(0))


def test_profile(tmp_path: Path) -> None:
    session = load("gemm")
    found = session.profile(np.ones((4, 8), F32), runs=3)
    assert [entry.op for entry in found] == ["gemm", "gemm"]
    assert all(entry.calls == 3 and entry.fastest * 3 <= entry.nanoseconds for entry in found)
    assert found.nanoseconds == sum(entry.nanoseconds for entry in found)
    found.save_chrome_trace(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert len(events) == 6 and events[1]["ts"] == pytest.approx(events[0]["dur"])


def test_regions_of_an_absent_delegate_run_on_the_cpu() -> None:
    x = np.array([1, -2, 0.5], F32)
    y, z = load("regions")(x)
    np.testing.assert_array_equal(y, np.abs(x))
    np.testing.assert_allclose(z, np.exp(np.abs(x)), rtol=1e-6)


def test_stripped_file() -> None:
    program = programs.gemm()
    program.debug = False
    session = runtime.load(program.build())
    seen: list[runtime.Observation] = []
    with session.observe(seen.append, results=False):
        session(np.ones((1, 8), F32))
    assert [(o.op, o.name, o.source, o.results) for o in seen] == [("", "", "", [])] * 2


# -- life ----------------------------------------------------------------------------------------------------------


def test_paths_and_closing(tmp_path: Path) -> None:
    path = tmp_path / "m.pap"
    path.write_bytes(programs.pointwise().build())
    with runtime.load(path, verify=True) as session:
        y = one(session(np.zeros((4, 5), F32)))
        method = session.method("forward")
        assert session.program.path == str(path) and session.program.file_bytes == path.stat().st_size
    session.close()
    assert y.tolist() == [[1] * 5] * 4
    for use in (lambda: session(np.zeros((4, 5), F32)), lambda: method.bind((4, 5)), lambda: session.state.reset()):
        with pytest.raises(runtime.ArgumentError, match="closed"):
            use()
    path.unlink()
    with pytest.raises(FileNotFoundError):
        runtime.load(path)


def test_unknown_names() -> None:
    session = load("two_methods")
    with pytest.raises(runtime.ArgumentError, match="no method 'decode'; methods are: forward, half"):
        session.method("decode")
    with pytest.raises(runtime.ArgumentError, match="threads"):
        load("pointwise", threads=0)


def test_many_sessions_and_threads() -> None:
    file = programs.dynamic().build()
    shared = runtime.load(file, threads=1)
    errors: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            own = runtime.load(file, threads=2)
            rng = np.random.default_rng(seed)
            for n in rng.integers(1, 64, 30):
                x = rng.standard_normal((n, 6), dtype=F32)
                for session in (own, shared):
                    np.testing.assert_allclose(session(x), (x + np.arange(6)) * 2, rtol=1e-6)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors


@pytest.mark.parametrize("name", list(programs.ALL))
def test_every_program_gives_the_same_on_any_number_of_threads(name: str) -> None:
    expected: list[np.ndarray] | None = None
    for threads in (1, 2, 3):
        session = load(name, threads=threads)
        method = session.method(session.methods[-1])
        found = method(*arguments(method))
        outs = [o.view(np.uint8) for o in map(np.atleast_1d, found if isinstance(found, tuple) else (found,))]
        expected = outs if expected is None else expected
        for a, b in zip(outs, expected, strict=True):
            np.testing.assert_array_equal(a, b)
