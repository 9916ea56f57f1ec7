"""One instruction of the kernel table on NumPy arrays: `run(family, args, results, attrs)`.

This is how the eager engine calls the runtime's kernels. A kernel is chosen once for a set of shapes and strides and
kept; a call then hands over addresses and lets go of the GIL.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from typing import Any

import numpy as np

from pappus.runtime.enums import PwOp, PwType
from pappus.runtime.errors import ArgumentError
from pappus.runtime.native import CODES, Array, address, aligned, ffi, lib, raise_for

__all__ = ["Packed", "Program", "get_threads", "run", "set_threads"]

_UNSUPPORTED = 8  # PP_ERR_UNSUPPORTED
_KEPT = 1024  # plans; all are dropped when there are more
_LIMIT = 2**31 - 1  # of a dimension


class Packed:
    """An array of packed weights with the logical shape and PackKind that say what it holds."""

    __slots__ = ("array", "kind", "shape")

    def __init__(self, array: Array, shape: tuple[int, ...], kind: int) -> None:
        self.array, self.shape, self.kind = array, shape, kind


class Program:
    """A pointwise program: `Program(loads, ("MUL", 0, 1), ("EXP", 2), ...)` on f32.

    Registers 0 .. loads-1 hold the operands; each instruction writes the next register and names those it reads, or, as
    ("CONST", 0.5), a number. The last register is the result.
    """

    def __init__(self, loads: int, *instructions: tuple[Any, ...]) -> None:
        records = [(0, PwOp.LOAD, i, i, 0, 0) for i in range(loads)]
        for dst, (name, *read) in enumerate(instructions, loads):
            imm = int(np.float32(read.pop()).view(np.uint32)) if name == "CONST" else 0
            a, b, c = (*read, 0, 0, 0)[:3]
            records.append((imm, PwOp[name], dst, a, b, c))
        self.registers = loads + len(instructions)
        self.loads = loads
        records.append((0, PwOp.STORE, 0, self.registers - 1, 0, 0))
        code = np.zeros((len(records), 16), np.uint8)
        for row, (imm, op, dst, a, b, c) in zip(code, records, strict=True):
            row[:8] = np.array([imm], np.uint64).view(np.uint8)
            row[8:14] = [op, PwType.F32, dst, a, b, c]
        self.code, self.count = code.tobytes(), len(records)


class _Plan:
    """A kernel chosen for one set of operands."""

    __slots__ = ("memory", "pointer", "scratch", "threads")

    def __init__(self, memory: Array, scratch: int, threads: int) -> None:
        self.memory, self.scratch, self.threads = memory, scratch, threads
        self.pointer = ffi.cast("pp_direct *", ffi.from_buffer(memory))


class _Scratch:
    """What kernels compute in and report to."""

    __slots__ = ("error", "memory", "pointer", "size")

    def __init__(self) -> None:
        self.size, self.pointer, self.error = 0, ffi.NULL, ffi.new("pp_error *")

    def grow(self, size: int) -> None:
        """Make it at least `size` bytes."""
        self.memory = aligned(size)
        self.pointer, self.size = ffi.cast("void *", ffi.from_buffer(self.memory)), size


class _Own(threading.local):
    """What each Python thread has of its own."""

    def __init__(self) -> None:
        self.scratch = _Scratch()


_run, _from_buffer, _NULL = lib.pp_direct_run, ffi.from_buffer, ffi.NULL
_NEW: Any = object()
_plans: dict[Any, _Plan | None] = {}
_own = _Own()
_pool: Any = None
_lock = threading.Lock()


def _thread_count() -> int:
    """PAPPUS_THREADS, else OMP_NUM_THREADS, else 0: one thread for each CPU this process may use."""
    for name in ("PAPPUS_THREADS", "OMP_NUM_THREADS"):
        value = os.environ.get(name, "")
        if value.isdigit() and int(value) > 0:
            return int(value)
    return 0


def set_threads(count: int) -> None:
    """Share the work of large calls among `count` threads from now on; 0: one for each CPU. No result depends on it."""
    global _pool
    if count < 0:
        raise ArgumentError(f"threads must not be negative, got {count}")
    pool = lib.pp_pool_create(count)
    if pool == ffi.NULL:
        raise ArgumentError(f"no thread pool: PAPPUS_ISA={os.environ.get('PAPPUS_ISA')} is unknown, or no memory")
    # A pool that another thread still computes with must live on: it goes with the last who holds it.
    _pool = ffi.gc(pool, lib.pp_pool_destroy)


def get_threads() -> int:
    """How many threads large calls are shared among."""
    return int(_the_pool().threads)


def _the_pool() -> Any:
    if _pool is None:
        with _lock:
            if _pool is None:
                set_threads(_thread_count())
    return _pool


def _record(operand: Any) -> list[int]:
    """dtype, pack, rank, shape, strides of an operand, for pp_direct_prepare."""
    if operand is None:
        return [0] * 19
    if type(operand) is Packed:
        shape, strides, kind, dtype = operand.shape, (0,) * len(operand.shape), operand.kind, operand.array.dtype
    else:
        dtype, kind, shape = operand.dtype, 0, operand.shape
        strides = tuple(s // dtype.itemsize for s in operand.strides)
    fill = (0,) * (8 - len(shape))
    return [CODES[dtype.name], kind, len(shape), *shape, *fill, *strides, *fill]


def _suits(operand: Any) -> bool:
    """Whether the runtime can walk an operand: native byte order, aligned, strides in whole elements, known sizes."""
    if operand is None or type(operand) is Packed:
        return True
    if not (operand.flags.aligned and operand.dtype.isnative and operand.dtype.name in CODES and operand.ndim <= 8):
        return False
    return all(n <= _LIMIT for n in operand.shape) and not any(s % operand.itemsize for s in operand.strides)


def _prepare(
    family: int, operands: Sequence[Any], counts: tuple[int, int, int], attrs: Any, floats: Any, program: Any
) -> _Plan | None:
    if not all(map(_suits, operands)):
        return None
    records: list[int] = []
    for operand in operands:
        records += _record(operand)
    memory = aligned(lib.pp_direct_memory())
    scratch, threads, error = ffi.new("uint64_t *"), ffi.new("uint32_t *"), ffi.new("pp_error *")
    code = (ffi.NULL, 0, 0) if program is None else (program.code, program.count, program.registers)
    status = lib.pp_direct_prepare(
        ffi.from_buffer(memory), _the_pool(), family, records, *counts, attrs, len(attrs), floats, len(floats),
        *code, scratch, threads, error,
    )  # fmt: skip
    if status == _UNSUPPORTED:
        return None
    raise_for(status, error)
    return _Plan(memory, scratch[0], threads[0])


def run(
    family: int, args: tuple[Any, ...], results: tuple[Any, ...], attrs: tuple[int, ...] = (),
    floats: tuple[float, ...] = (), program: Program | None = None,
) -> bool:  # fmt: skip
    """Run one instruction; False, with nothing done, where no kernel takes these operands.

    `args` and `results` are arrays, `Packed` or None for what is optional; a pointwise program's operands are `args`.
    Raises ContractError for shapes that do not belong together and IndexValueError for an index out of range.
    """
    operands = args + results if program is None else results + args
    key = (family, attrs, floats, program, len(args), *[
        None if a is None else (a.shape, a.kind) if type(a) is Packed else (a.shape, a.strides, a.dtype)
        for a in operands
    ])  # fmt: skip
    plan = _plans.get(key, _NEW)
    if plan is _NEW:
        counts = (len(args), len(results), 0) if program is None else (0, len(results), len(args))
        plan = _prepare(family, operands, counts, attrs, floats, program)
        if len(_plans) >= _KEPT:
            _plans.clear()
        _plans[key] = plan
    if plan is None:
        return False
    pool = _pool
    threads = plan.threads
    if threads > 1:
        threads = min(threads, pool.threads)
    try:
        pointers = [_from_buffer(a) for a in operands]
    except (TypeError, ValueError):  # None, packed, not contiguous
        pointers = [_NULL if a is None else address(a.array if type(a) is Packed else a) for a in operands]
    scratch = _own.scratch
    size = plan.scratch * threads
    if size > scratch.size:
        scratch.grow(size)
    status = _run(plan.pointer, pointers, pool, threads, scratch.pointer, scratch.error)
    if status:
        raise_for(status, scratch.error)
    return True
