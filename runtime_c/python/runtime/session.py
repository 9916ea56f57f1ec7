"""`load` and `Session`: run a .pap program on NumPy arrays."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from pappus.runtime.core import Core
from pappus.runtime.errors import ArgumentError
from pappus.runtime.info import PortInfo, ProgramInfo
from pappus.runtime.method import Method, Outputs
from pappus.runtime.observe import Observation, observing
from pappus.runtime.profile import Profile
from pappus.runtime.state import State

Source = str | os.PathLike[str] | bytes | bytearray | memoryview


def load(source: Source, threads: int | None = None, verify: bool = False) -> Session:
    """Open a program.

    `source` is a path (mapped into memory, not read: the file must not shrink while the session lives) or the bytes of
    a file (copied). `threads` is the number of threads of a run, None for one per CPU of the process; results do not
    depend on it. `verify` also checks the checksums of weights, which reads the whole file.

    Raises OSError (no such file), FormatError (not a .pap file, or a broken one), VersionError, MemoryLimitError.

        session = pappus.runtime.load("model.pap")
        y = session(x)
    """
    return Session(source, threads, verify)


class Session:
    """A loaded program with its state. Use `load` to make one; close it, or use it in a `with` block.

    One call runs at a time: other threads wait. A session does not survive `os.fork`.
    """

    def __init__(self, source: Source, threads: int | None = None, verify: bool = False) -> None:
        self._core = Core(source, threads, verify)
        self._methods = {m.name: Method(self._core, i) for i, m in enumerate(self._core.info.methods)}
        self._state = State(self._core)

    @property
    def program(self) -> ProgramInfo:
        """Everything the file says about itself."""
        return self._core.info

    @property
    def methods(self) -> tuple[str, ...]:
        """Names of the methods."""
        return tuple(self._methods)

    @property
    def state(self) -> State:
        """The state buffers, by name."""
        return self._state

    @property
    def inputs(self) -> tuple[PortInfo, ...]:
        """Inputs of the method that calling the session runs."""
        return self._default().inputs

    @property
    def outputs(self) -> tuple[PortInfo, ...]:
        """Outputs of the method that calling the session runs."""
        return self._default().outputs

    def method(self, name: str) -> Method:
        """The method of that name, to call and to ask about its ports. Raises ArgumentError for an unknown name."""
        found = self._methods.get(name)
        if found is None:
            raise ArgumentError(f"no method {name!r}; methods are: {', '.join(self._methods)}")
        return found

    def _default(self) -> Method:
        if len(self._methods) == 1:
            return next(iter(self._methods.values()))
        return self.method("forward")

    def __call__(self, *args: Any, out: Any = None, **named: Any) -> Outputs:
        """Run the method "forward", or the only one. See Method."""
        return self._default()(*args, out=out, **named)

    def observe(
        self, callback: Callable[[Observation], None], results: bool = True
    ) -> AbstractContextManager[None]:
        """Call `callback` after every instruction of the runs inside a `with` block.

        It runs between instructions, on the calling thread, and must not use the session. With `results` the
        observation carries copies of what the instruction computed. An exception in it cancels the run and is raised
        from the call.

            with session.observe(lambda seen: print(seen.name, seen.kernel)):
                session(x)
        """
        return observing(self._core, callback, results)

    def profile(self, *args: Any, method: str | None = None, runs: int = 10, warmup: int = 1, **named: Any) -> Profile:
        """Time every instruction of `runs` runs on the given inputs, after `warmup` runs that do not count.

        Returns a list of InstructionProfile in program order, with `chrome_trace()`. State advances as in any run.
        """
        called = self._default() if method is None else self.method(method)
        found = Profile()
        for _ in range(warmup):
            called(*args, **named)
        with self.observe(found.add, results=False):
            for _ in range(runs):
                called(*args, **named)
        return found

    def cancel(self) -> None:
        """Ask a run on another thread to stop; that call raises CancelledError, and state needs a reset."""
        self._core.cancel()

    def close(self) -> None:
        """Release memory, threads and the file. Arrays it returned stay valid. Closing twice does nothing."""
        self._core.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        lines = [f"Session({self.program.path or 'bytes'}, {self.program.file_bytes} bytes)"]
        for m in self.program.methods:
            ins, outs = ", ".join(map(str, m.inputs)), ", ".join(map(str, m.outputs))
            lines.append(f"  {m.name}({ins}) -> {outs}")
        lines += [f"  state {port}" for port in self.program.states]
        return "\n".join(lines)
