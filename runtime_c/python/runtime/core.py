"""The C objects behind a Session, and the memory they live in."""

from __future__ import annotations

import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from pappus.runtime.errors import ArgumentError, MemoryLimitError
from pappus.runtime.info import ProgramInfo, read_method, read_states
from pappus.runtime.native import ALIGNMENT, Array, address, aligned, ffi, lib, raise_for, raise_status


def _file_bytes(source: str | os.PathLike[str] | bytes | bytearray | memoryview) -> tuple[Any, str | None]:
    """The file as something with a buffer whose address is aligned, and its path."""
    if isinstance(source, (bytes, bytearray, memoryview)):
        view = np.frombuffer(source, dtype=np.uint8)
        copy = aligned(max(view.nbytes, 1))[: view.nbytes]
        copy[...] = view
        return copy, None
    path = os.fspath(source)
    with open(path, "rb") as file:
        if os.fstat(file.fileno()).st_size == 0:
            return aligned(1)[:0], path
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path


class Core:
    """A program and one instance of it. Every call into the instance goes through `using`."""

    def __init__(
        self, source: str | os.PathLike[str] | bytes | bytearray | memoryview, threads: int | None, verify: bool
    ) -> None:
        if threads is not None and threads < 1:
            raise ArgumentError(f"threads must be at least 1, got {threads}")
        self._file, path = _file_bytes(source)
        size = len(self._file)
        self._file_view = ffi.from_buffer(self._file) if size else ffi.new("char[16]")
        self._program_memory = aligned(lib.pp_program_memory())
        found, error = ffi.new("const pp_program **"), ffi.new("pp_error *")
        raise_for(
            lib.pp_program_open(
                self._file_view, size, 1 if verify else 0, address(self._program_memory), self._program_memory.nbytes,
                found, error,
            ),
            error,
        )  # fmt: skip
        self.program: Any = found[0]
        methods = tuple(read_method(self.program, i) for i in range(lib.pp_method_count(self.program)))
        self.info = ProgramInfo(path, size, methods, read_states(self.program))
        self._create_instance(threads)
        self.error: Any = ffi.new("pp_error *")
        self._arena: Array | None = None
        self._lock = threading.RLock()
        self._busy = False
        self.observer: Any = None  # of observe.py, while someone watches

    def _create_instance(self, threads: int | None) -> None:
        bytes_, error = ffi.new("uint64_t *"), ffi.new("pp_error *")
        raise_for(lib.pp_instance_memory(self.program, bytes_, error), error, self.program)
        self._instance_memory = self._allocate(bytes_[0])
        pool = lib.pp_pool_create(0 if threads is None else threads)
        if pool == ffi.NULL:
            if isa := os.environ.get("PAPPUS_ISA"):
                raise ArgumentError(f"no thread pool: PAPPUS_ISA={isa} is unknown, or there is no memory for it")
            raise MemoryLimitError("no memory for the thread pool")
        self._pool = ffi.gc(pool, lib.pp_pool_destroy)
        found = ffi.new("pp_instance **")
        raise_for(
            lib.pp_instance_create(
                self.program, self._pool, address(self._instance_memory), self._instance_memory.nbytes, found, error
            ),
            error,
            self.program,
        )
        self.instance: Any = found[0]

    @staticmethod
    def _allocate(size: int) -> Array:
        try:
            return aligned(size)
        except (MemoryError, ValueError, OverflowError):
            raise MemoryLimitError(f"no memory for {size} bytes") from None

    @contextmanager
    def using(self) -> Iterator[Any]:
        """The instance, for this thread alone. ArgumentError after close, or inside an observer's callback."""
        with self._lock:
            if self.instance is None:
                raise ArgumentError("the session is closed")
            if self._busy:
                raise ArgumentError("an observer must not use its own session while it runs")
            yield self.instance

    def run(self, method: int) -> None:
        """pp_run on all threads. Call inside `using`. What an observer's callback raised comes first."""
        self._busy = True
        try:
            status = lib.pp_run(self.instance, method, 0, self.error)
        finally:
            self._busy = False
        if self.observer is not None and self.observer.error is not None:
            raised, self.observer.error = self.observer.error, None
            raise raised
        raise_for(status, self.error, self.program)

    def lend_arena(self, method: int, size: int, current: Array | None) -> Array:
        """Give a method an arena of at least `size` bytes; `current` is the one it has. Call inside `using`.

        Methods of one instance never run at the same time, so all of them share the largest arena asked for.
        """
        if self._arena is None or self._arena.nbytes < size:
            self._arena = self._allocate(-(-max(size, 1) // ALIGNMENT) * ALIGNMENT)
        if current is not self._arena:
            raise_status(
                lib.pp_bind_arena(self.instance, method, address(self._arena), self._arena.nbytes), "pp_bind_arena"
            )
        return self._arena

    @property
    def arena_capacity(self) -> int:
        """Bytes of the shared arena now."""
        return 0 if self._arena is None else self._arena.nbytes

    def cancel(self) -> None:
        """Ask a run on another thread to stop. It takes no lock: the run holds it."""
        memory = self._instance_memory  # first: close() forgets the instance before its memory
        instance = self.instance
        if instance is not None:
            lib.pp_cancel(instance)
        del memory

    def observe(self, observer: Any, handle: Any) -> None:
        """Let `observer`, known to C as `handle`, see the runs from now on; None ends that."""
        with self._lock:  # a run on another thread goes on with what it started with
            if self._busy:
                raise ArgumentError("an observer must not change what its own session calls while it runs")
            if observer is not None and self.instance is None:
                raise ArgumentError("the session is closed")
            if observer is not None and self.observer is not None:
                raise ArgumentError("the session is already observed: one observer at a time")
            self.observer = observer
            if self.instance is not None:
                callback = ffi.NULL if observer is None else lib.pappus_observed
                lib.pp_observe(self.instance, callback, ffi.NULL if handle is None else handle)

    def __reduce__(self) -> Any:
        raise TypeError(
            "a session of pappus.runtime cannot be pickled or copied: it holds memory of the C runtime and threads; "
            "pass the program's path or bytes and load it there, and `state.snapshot()` for its state"
        )

    def close(self) -> None:
        """Release everything, in the order the lifetimes demand."""
        with self._lock:
            if self.instance is None:
                return
            if self._busy:
                raise ArgumentError("an observer must not close its own session")
            self.instance = None
            self.program = None
            self._arena = None
            ffi.release(self._pool)
            self._instance_memory = self._program_memory = aligned(0)
            if isinstance(self._file, mmap.mmap):
                ffi.release(self._file_view)
                self._file.close()
            self._file = self._file_view = None
