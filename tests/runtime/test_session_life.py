"""Threads, lifetimes and misuse of sessions: what must never crash, whoever calls when."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import programs
import pytest
from builder import Program, load_store

from pappus import runtime
from pappus.runtime.enums import DType, Family, PwOp, Storage

F32 = np.float32


def chain(steps: int) -> bytes:
    """sin over and over, on x [n]: a run that takes a while and can be cancelled between instructions."""
    p = Program()
    m = p.method()
    n = m.symbol("n", 1, 1 << 22)
    x = m.input("x", DType.F32, [n])
    a, b = m.value(DType.F32, [n]), m.value(DType.F32, [n])
    for i in range(steps):
        m.map(load_store(PwOp.SIN), [x if i == 0 else (a, b)[i % 2]], [(b, a)[i % 2]])
    y = m.output("y", DType.F32, [n])
    m.map(load_store(PwOp.SIN), [(a, b)[steps % 2]], [y])
    return p.build()


def start(target: Any) -> threading.Thread:
    """A running thread."""
    thread = threading.Thread(target=target)
    thread.start()
    return thread


# -- the interpreter goes on ---------------------------------------------------------------------------------------


def test_a_run_releases_the_interpreter() -> None:
    session = runtime.load(chain(300), threads=1)
    x = np.ones(1 << 16, F32)
    counted, done = 0, threading.Event()

    def run() -> None:
        session(x)
        done.set()

    thread = start(run)
    while not done.is_set():
        counted += 1
    thread.join()
    assert counted > 1000  # this thread ran meanwhile


def test_cancel_from_another_thread() -> None:
    session = runtime.load(chain(400), threads=2)
    x = np.ones(1 << 16, F32)
    caught: list[BaseException] = []

    def run() -> None:
        try:
            while True:
                session(x)
        except runtime.CancelledError as error:
            caught.append(error)

    thread = start(run)
    while thread.is_alive():
        session.cancel()
        time.sleep(0.001)
    assert len(caught) == 1 and "cancelled" in str(caught[0])
    session(x)  # a cancel is for one run
    session.cancel()
    session.close()
    session.cancel()  # nothing to cancel


def test_closing_waits_for_a_run() -> None:
    session = runtime.load(chain(200), threads=2)
    x = np.ones(1 << 16, F32)
    results: list[Any] = []
    entered = threading.Event()

    def run() -> None:
        entered.set()
        for _ in range(1000):
            try:
                results.append(session(x))
            except runtime.ArgumentError as error:
                results.append(error)
                return

    thread = start(run)
    entered.wait()
    time.sleep(0.05)
    session.close()
    thread.join()
    assert "closed" in str(results[-1])
    assert all(isinstance(r, np.ndarray) and (r == results[0]).all() for r in results[:-1])


def test_two_threads_on_one_session_with_different_sizes() -> None:
    session = runtime.load(programs.dynamic().build(), threads=2)
    wrong: list[int] = []

    def work(n: int) -> None:
        x = np.full((n, 6), n, F32)
        for _ in range(200):
            y = session(x)
            if not np.array_equal(y, (x + np.arange(6, dtype=F32)) * 2):
                wrong.append(n)

    threads = [start(lambda n=n: work(n)) for n in (1, 7, 64)]
    for thread in threads:
        thread.join()
    assert not wrong


# -- observers -----------------------------------------------------------------------------------------------------


def test_an_observation_may_end_while_another_thread_runs() -> None:
    session = runtime.load(chain(200), threads=2)
    x = np.ones(1 << 12, F32)
    stop = threading.Event()

    def run() -> None:
        while not stop.is_set():
            session(x)

    thread = start(run)
    for _ in range(30):
        seen: list[runtime.Observation] = []
        with session.observe(seen.append, results=False):
            time.sleep(0.002)
        counted = len(seen)
        gc.collect()
        assert len(seen) == counted  # nothing arrives after the block
    stop.set()
    thread.join()


def test_one_observer_at_a_time() -> None:
    session = runtime.load(programs.pointwise().build())
    with session.observe(print), pytest.raises(runtime.ArgumentError, match="already observed"):
        session.observe(print).__enter__()
    block = session.observe(print)
    block.__enter__()

    def leave(seen: Any) -> None:
        block.__exit__(None, None, None)

    block.__exit__(None, None, None)
    block = session.observe(leave)
    block.__enter__()
    with pytest.raises(runtime.ArgumentError, match="while it runs"):
        session(np.ones((4, 5), F32))
    session.close()
    with pytest.raises(runtime.ArgumentError, match="closed"):
        session.observe(print).__enter__()


def test_closing_inside_an_observer() -> None:
    session = runtime.load(programs.pointwise().build())
    with session.observe(lambda seen: session.close()), pytest.raises(runtime.ArgumentError, match="must not close"):
        session(np.ones((4, 5), F32))
    session(np.ones((4, 5), F32))


# -- memory --------------------------------------------------------------------------------------------------------


def test_results_outlive_the_session(tmp_path: Path) -> None:
    path = tmp_path / "m.pap"
    path.write_bytes(programs.dynamic().build())
    session = runtime.load(path)
    x = np.ones((3, 6), F32)
    y = session(x)
    path.unlink()  # the file is mapped: its bytes stay
    z = session(x)
    session.close()
    del session
    gc.collect()
    np.testing.assert_array_equal(y, z)


def test_a_program_in_memory_is_copied() -> None:
    file = bytearray(programs.dynamic().build())
    session = runtime.load(file)
    wanted = session(np.ones((2, 6), F32))
    file[:] = bytes(len(file))
    np.testing.assert_array_equal(session(np.ones((2, 6), F32)), wanted)
    for source in (memoryview(bytes(programs.dynamic().build())), np.frombuffer(programs.dynamic().build(), "u1").data):
        np.testing.assert_array_equal(runtime.load(source)(np.ones((2, 6), F32)), wanted)


def test_sessions_that_are_never_closed() -> None:
    file = programs.dynamic().build()
    for _ in range(50):
        runtime.load(file, threads=2)(np.ones((2, 6), F32))
    gc.collect()
    assert threading.active_count() < 20


def test_inputs_may_die_after_the_call() -> None:
    session = runtime.load(programs.dynamic().build())
    y = session(np.ones((4, 6), F32).copy())
    junk = [np.full((4, 6), np.nan, F32) for _ in range(50)]
    np.testing.assert_array_equal(session(x=np.ones((4, 6), F32)), y)
    assert len(junk) == 50


def test_pickling_is_refused() -> None:
    session = runtime.load(programs.state().build())
    for thing in (session, session.state, session.method("forward")):
        for attempt in (pickle.dumps, copy.deepcopy):
            with pytest.raises(TypeError, match="cannot be pickled or copied"):
                attempt(thing)
    pickle.dumps(session.state.snapshot())


def test_what_cannot_be_loaded() -> None:
    with pytest.raises(TypeError):
        runtime.load(7)  # type: ignore[arg-type]
    with pytest.raises(IsADirectoryError):
        runtime.load("/")
    with pytest.raises(FileNotFoundError):
        runtime.load("/no/such/file.pap")


# -- arguments -----------------------------------------------------------------------------------------------------


def test_scalars() -> None:
    session = runtime.load(programs.state().build())
    x = np.ones((1, 4), F32)
    for position in (np.int64(2), np.array(2), np.array([2])[0]):
        session(x, position)
    for wrong, message in [
        (2.0, "input 'position': expected int64, got float64"),
        (np.int32(2), "expected int64, got int32"),
        (np.array([2]), "expected rank 0"),
        ("2", "expected int64, got str"),
        (None, "expected int64, got object"),
    ]:
        with pytest.raises(runtime.InputError, match=message):
            session(x, wrong)


def test_restoring_is_all_or_nothing() -> None:
    session = runtime.load(programs.state().build())
    before = session.state.snapshot()
    changed = {"total": np.zeros(4, F32), "cache": np.ones((8, 4), F32)}
    wrongs: list[tuple[dict[str, Any], type[Exception]]] = [
        ({**changed, "cache": np.ones((8, 5), F32)}, runtime.InputError),
        ({**changed, "cache": np.ones((8, 4))}, runtime.InputError),
        ({**changed, "cache": np.ones((8, 4), ">f4")}, runtime.InputError),
        ({**changed, "more": np.ones(1, F32)}, KeyError),
    ]
    for wrong, error in wrongs:
        with pytest.raises(error):
            session.state.restore(wrong)
        for name, value in session.state.items():
            np.testing.assert_array_equal(value, before[name])
    session.state.restore(changed)
    np.testing.assert_array_equal(session.state["cache"], changed["cache"])


def test_bfloat16_state_in_both_forms() -> None:
    p = Program()
    number = p.state("s", DType.BF16, [2])
    m = p.method()
    x, y = m.input("x", DType.BF16, [2]), m.output("y", DType.F32, [2])
    held = m.value(DType.BF16, [2], Storage.STATE, number)
    m.map(load_store(PwOp.ABS), [held], [y])
    m.emit(Family.MOVE, [x], [held])
    session = runtime.load(p.build())
    session.state["s"] = np.array([0xBF80, 0x4000], np.uint16)  # -1, 2
    assert np.asarray(session(np.zeros(2, np.uint16))).tolist() == [1, 2]


def test_bytes_per_call_do_not_grow() -> None:
    session = runtime.load(programs.dynamic().build())
    x, out = np.ones((8, 6), F32), np.empty((8, 6), F32)
    session(x, out=out)
    capacity = session._core.arena_capacity
    for n in (8, 1, 8, 4):
        session(x[:n], out=out[:n])
    assert session._core.arena_capacity == capacity
