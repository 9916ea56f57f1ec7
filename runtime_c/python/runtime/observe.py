"""Watching a run: what each instruction computed, which kernel ran it and how long it took."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pappus.runtime.core import Core
from pappus.runtime.native import DTYPE_NAMES, Array, ffi, lib, numpy_dtype, text


@dataclass(frozen=True)
class Observation:
    """One executed instruction.

    `op`, `name` and `source` come from the debug section (empty if the file was stripped), `kernel` is the kernel that
    ran, `nanoseconds` its wall time, `results` copies of its results (empty if they were not asked for).
    """

    method: str
    instruction: int
    op: str
    name: str
    source: str
    kernel: str
    nanoseconds: int
    results: list[Array]


class _Observer:
    """The Python end of the C callback."""

    def __init__(self, core: Core, callback: Callable[[Observation], None], results: bool) -> None:
        self.core = core
        self.callback = callback
        self.results = results
        self.error: BaseException | None = None
        self.kernels: dict[Any, str] = {}

    def seen(self, seen: Any) -> None:
        """Build the Observation and pass it on. A callback that raises cancels the run."""
        if self.error is not None:
            return
        try:
            method = self.core.info.methods[seen.method]
            instruction = method.instructions[seen.instruction]
            kernel = self.kernels.get(seen.kernel)
            if kernel is None:
                kernel = self.kernels.setdefault(seen.kernel, text(seen.kernel))
            results = self._results(seen) if self.results else []
            self.callback(
                Observation(
                    method.name, instruction.index, instruction.op, instruction.name, instruction.source, kernel,
                    int(seen.nanoseconds), results,
                )
            )  # fmt: skip
        except BaseException as error:
            self.error = error
            self.core.cancel()

    def _results(self, seen: Any) -> list[Array]:
        tensor, strides = ffi.new("pp_tensor *"), ffi.new("int64_t[8]")
        found = []
        for i in range(seen.results):
            if lib.pp_observed_result(self.core.instance, seen.method, seen.instruction, i, tensor, strides):
                continue
            rank = tensor.rank
            found.append(_copy(tensor, tuple(tensor.shape[0:rank]), tuple(strides[0:rank])))
        return found


def _copy(tensor: Any, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """A dense copy of a strided view in C memory."""
    dtype = numpy_dtype(DTYPE_NAMES[tensor.dtype])
    if 0 in shape:
        return np.empty(shape, dtype)
    extent = 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))
    flat: Array = np.frombuffer(ffi.buffer(tensor.data, extent * dtype.itemsize), dtype=dtype)
    view = np.lib.stride_tricks.as_strided(flat, shape, tuple(s * dtype.itemsize for s in strides))
    return np.array(view, order="C", copy=True)


@ffi.def_extern()  # type: ignore[untyped-decorator]
def pappus_observed(user: Any, seen: Any) -> None:
    """The C callback; `user` is the handle of an _Observer."""
    ffi.from_handle(user).seen(seen)


@contextmanager
def observing(core: Core, callback: Callable[[Observation], None], results: bool) -> Iterator[None]:
    """Call `callback` after every instruction of the runs inside the block."""
    observer = _Observer(core, callback, results)
    handle = ffi.new_handle(observer)
    core.observe(observer, handle)
    try:
        yield
    finally:
        core.observe(None, None)
