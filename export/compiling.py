"""`compile`: run inference of a model through capture and the C runtime, as if nothing had happened."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any

from pappus.export.dims import Dim
from pappus.export.exporting import export
from pappus.export.lower import lower
from pappus.export.watching import Nest, Watch, flatten
from pappus.frontend.errors import ArgumentError, CaptureError
from pappus.frontend.inplace import touch
from pappus.frontend.nn.module import Module
from pappus.frontend.tape import state
from pappus.frontend.tensor import Tensor
from pappus.runtime.errors import PappusRuntimeError
from pappus.runtime.session import Session

__all__ = ["Compiled", "OptimizedModule", "compile"]

MODES = (None, "default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs")
BACKENDS = ("runtime", "inductor", "eager")
OPTIONS = {"cache_size": 8, "threads": None}


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: str = "runtime",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A module or function that runs as a program of the C runtime wherever no gradient is wanted; also a decorator.

    The first call with new shapes, types or Python arguments captures the model and lowers it (this takes from
    milliseconds to seconds); later calls run the program. A call runs eagerly, as without `compile`, when

    - a gradient is wanted: grad mode is on and an argument or parameter requires grad (use `no_grad()` for inference).
      **A training step is not compiled**;
    - the graph cannot be captured (a branch on a tensor's value, Python state that `forward` changes, hooks) or an
      operator has no kernel: there is one warning, with the reason and the line, or with `fullgraph=True` the error.

    Parameters, buffers and plain attributes of modules are compared before each call: after a change (an optimizer's
    step, `load_state_dict`, `train()`) the next call runs eagerly and the one after that captures anew. Buffers that
    `forward` changes are changed. What is not seen: numbers written through numpy into the memory of a parameter, and
    Python values that are reached in other ways (a global list, say); call `reset()` after such changes.

    `dynamic=None` captures static shapes, and where a size changes a program for any size there; True does that at
    once, False never. At most `options["cache_size"]` (8) programs are kept, the least recently used goes first;
    `options["threads"]` is the number of threads. `backend` "inductor" and every `mode` of PyTorch mean the runtime;
    "eager" and `disable` switch everything off.

    >>> import pappus as pp
    >>> model = pp.compile(pp.nn.Linear(3, 2))
    >>> with pp.no_grad():
    ...     y = model(pp.ones(1, 3))
    >>> y.shape, len(model._compiled.programs)
    (pappus.Size([1, 2]), 1)
    """
    if backend not in BACKENDS:
        raise ArgumentError(f"compile(backend={backend!r}): known are {', '.join(BACKENDS)}")
    if mode not in MODES:
        raise ArgumentError(f"compile(mode={mode!r}): known are {', '.join(map(str, MODES))}")
    unknown = sorted(set(options or {}) - set(OPTIONS))
    if unknown:
        raise ArgumentError(f"compile(options=...): unknown {', '.join(unknown)}; known are {', '.join(OPTIONS)}")
    chosen = {**OPTIONS, **(options or {})}

    def wrap(target: Callable[..., Any]) -> Any:
        if not callable(target):
            raise ArgumentError(f"compile: expected a module or function, got {type(target).__name__}")
        if isinstance(target, OptimizedModule) or hasattr(target, "_compiled"):
            return target
        enabled = not disable and backend != "eager"
        compiled = Compiled(target, fullgraph, dynamic, chosen["cache_size"], chosen["threads"], enabled)
        if isinstance(target, Module):
            return OptimizedModule(target, compiled)

        @functools.wraps(target)
        def run(*args: Any, **kwargs: Any) -> Any:
            return compiled(*args, **kwargs)

        run._compiled = compiled  # type: ignore[attr-defined]
        run.reset = compiled.reset  # type: ignore[attr-defined]
        return run

    return wrap if model is None else wrap(model)


class Entry:
    """One program, for the calls that `fits` accepts."""

    def __init__(self, session: Session, nest: Nest, watch: Watch, sizes: list[tuple[int | None, ...]]) -> None:
        self.session, self.nest, self.watch, self.sizes = session, nest, watch, sizes
        self.method = session.method(session.methods[0])
        self.states: list[tuple[str, Tensor]] = []
        self.synced: dict[str, tuple[Any, int]] = {}

    def fits(self, arrays: list[Any]) -> bool:
        """Whether the shapes are those of this program."""
        for array, sizes in zip(arrays, self.sizes, strict=True):
            if array.shape != sizes:
                for size, own in zip(array.shape, sizes, strict=True):
                    if own is not None and own != size:
                        return False
        return True

    def run(self, arrays: list[Any]) -> Any:
        """Run the program, with buffers that it changes taken from their tensors and put back."""
        for name, tensor in self.states:
            if self.synced.get(name) != (id(tensor._data), tensor._version):
                self.session.state[name] = tensor._data
        found = self.method(*arrays)
        for name, tensor in self.states:
            tensor._data[...] = self.session.state[name]
            touch(tensor, "compile")
            self.synced[name] = (id(tensor._data), tensor._version)
        return self.nest.build([Tensor._from_data(a) for a in (found if isinstance(found, tuple) else (found,))])


class Compiled:
    """A callable, its programs, and what is known about the calls that have none."""

    def __init__(
        self, target: Callable[..., Any], fullgraph: bool, dynamic: bool | None, limit: int, threads: int | None,
        enabled: bool = True,
    ) -> None:  # fmt: skip
        self.target = target
        self.fullgraph, self.dynamic, self.limit, self.threads = fullgraph, dynamic, limit, threads
        self.enabled = enabled
        self._lock = threading.RLock()
        self._warned = False
        self._forget()

    def _forget(self) -> None:
        self.programs: list[tuple[Any, Entry]] = []  # most recently used last
        self.refused: dict[Any, Watch] = {}  # calls that run eagerly, while nothing that is watched changes
        self._fresh: Watch | None = None  # what was seen at an eager run after a change
        self._shapes: dict[Any, list[list[tuple[int, ...]]]] = {}

    def reset(self) -> None:
        """Drop all programs."""
        with self._lock:
            self._forget()

    def __getstate__(self) -> dict[str, Any]:
        return {
            "target": self.target, "fullgraph": self.fullgraph, "dynamic": self.dynamic, "limit": self.limit,
            "threads": self.threads, "enabled": self.enabled,
        }  # fmt: skip

    def __setstate__(self, saved: dict[str, Any]) -> None:
        self.__init__(**saved)  # type: ignore[misc]

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # Inside a capture or under autocast the mode is to see the operators.
        if not self.enabled or state.mode is not None:
            return self.target(*args, **kwargs)
        leaves: list[Tensor] = []
        key = (flatten(args, leaves), flatten(kwargs, leaves))
        if state.grad and (any(t._requires_grad for t in leaves) or Watch.trains(self.target)):
            return self.target(*args, **kwargs)
        arrays = [t._data for t in leaves]
        with self._lock:
            entry = self._find(key, arrays, args, kwargs, leaves)
            if entry is not None:
                try:
                    return entry.run(arrays)
                except PappusRuntimeError:
                    # Eager raises what it should (an index out of range), or a guard on sizes does not hold.
                    self.programs = [p for p in self.programs if p[1] is not entry]
                    self._shapes.pop(key, None)
        return self.target(*args, **kwargs)

    def _find(self, key: Any, arrays: list[Any], args: Any, kwargs: Any, leaves: list[Tensor]) -> Entry | None:
        """The program for a call, captured if it is time; None where the call is to run eagerly."""
        stale = False
        for index in range(len(self.programs) - 1, -1, -1):
            known, entry = self.programs[index]
            if known != key or not entry.fits(arrays):
                continue
            change = entry.watch.changed()
            if change is None:
                self.programs.append(self.programs.pop(index))
                return entry
            if change == "weights":
                del self.programs[index]
                stale = True
        refused = self.refused.get(key)
        if refused is not None and refused.changed() is None:
            return None
        if stale:
            self._fresh = Watch(self.target)
            return None
        if self._fresh is not None:
            # Numbers have changed lately: capture only once they stay, so that a loop that trains and evaluates by
            # turns does not capture each time.
            if self._fresh.changed() is not None:
                self._fresh = Watch(self.target)
                return None
            self._fresh = None
        return self._capture(key, arrays, args, kwargs, leaves)

    def _capture(self, key: Any, arrays: list[Any], args: Any, kwargs: Any, leaves: list[Tensor]) -> Entry | None:
        seen = self._shapes.setdefault(key, [])
        shapes = [tuple(a.shape) for a in arrays]
        watch = Watch(self.target)
        error: Exception | None = None
        for axes in self._choices(shapes, seen):
            try:
                entry = self._make(args, kwargs, leaves, watch, axes)
            except Exception as problem:
                error = problem
                continue
            seen.append(shapes)
            self.programs.append((key, entry))
            del self.programs[: max(0, len(self.programs) - self.limit)]
            return entry
        assert error is not None
        if self.fullgraph:
            raise error
        self.refused[key] = watch
        if not self._warned:
            self._warned = True
            name = getattr(self.target, "__qualname__", type(self.target).__name__)
            warnings.warn(f"compile: {name} runs eagerly. {type(error).__name__}: {error}", stacklevel=5)
        return None

    def _choices(
        self, shapes: list[tuple[int, ...]], seen: list[list[tuple[int, ...]]]
    ) -> list[dict[tuple[int, int], Any]]:
        """Which axes to leave open, best first: (input, axis) -> what tells sizes apart that are different."""
        static: dict[tuple[int, int], Any] = {}
        every = {(i, axis): (n,) for i, shape in enumerate(shapes) for axis, n in enumerate(shape)}
        if self.dynamic is False or not every:
            return [static]
        if self.dynamic:
            first = {place: size for place, size in every.items() if place[1] == 0}
            return [every, first, static]
        if not seen:
            return [static]
        history = {(i, axis): tuple(s[i][axis] for s in (*seen, shapes)) for i, axis in every}
        return [{place: sizes for place, sizes in history.items() if len(set(sizes)) > 1}, static]

    def _make(
        self, args: Any, kwargs: Any, leaves: list[Tensor], watch: Watch, axes: dict[tuple[int, int], Any]
    ) -> Entry:
        watch.check()
        nest = Nest()
        names = {history: f"d{i}" for i, history in enumerate(dict.fromkeys(axes.values()))}
        dims = {name: Dim(name) for name in names.values()}
        spec: dict[str, dict[int, Dim]] = {}
        for (i, axis), history in axes.items():
            spec.setdefault(f"inputs.{i}", {})[axis] = dims[names[history]]
        traced = _Traced(self.target, watch, nest, args, kwargs)
        fresh = tuple(Tensor._from_data(t._data) for t in leaves)
        with watch.restored():
            program = export(traced, fresh, dynamic_shapes=spec or None, check="once")
        if program.graph.written_inputs:
            raise CaptureError(
                f"{program.graph.written_inputs[0]} changes an argument in place, which a program cannot; return the "
                "new value"
            )
        session = Session(lower(program).to_bytes(debug=False), self.threads)
        sizes = [
            tuple(None if (i, axis) in axes else n for axis, n in enumerate(t._data.shape))
            for i, t in enumerate(leaves)
        ]
        watch.also([value.tensor for value in program.graph.constants()])
        entry = Entry(session, nest, watch, sizes)
        entry.states = [(name, info.tensor) for name, info in program.graph.states.items()]
        watch.but([tensor for _, tensor in entry.states])
        return entry


class _Traced:
    """The target as `export` calls it: flat tensors in, flat tensors out; `nest` learns the result's nesting."""

    def __init__(self, target: Callable[..., Any], watch: Watch, nest: Nest, args: Any, kwargs: Any) -> None:
        self.target, self.watch, self.nest = target, watch, nest
        self.args, self.kwargs = args, kwargs
        self.__qualname__ = getattr(target, "__qualname__", type(target).__name__)

    def named_parameters(self) -> Any:
        """The tensors whose numbers the capture must not look at."""
        return self.watch.named_tensors()

    def named_buffers(self) -> Any:
        """None: they are among the parameters."""
        return ()

    def forward(self, *inputs: Any) -> Any:
        """The target's flat results."""
        rest = iter(inputs)
        args, kwargs = Nest.swap(self.args, rest), Nest.swap(self.kwargs, rest)
        return tuple(self.nest.take(self.target(*args, **kwargs)))

    __call__ = forward


class OptimizedModule(Module):
    """What `compile` makes of a module: the same names, parameters and state dict, with calls through the runtime.

    `_orig_mod` is the module itself. Attributes that are set, and `state_dict`, are the module's (without the prefix
    that PyTorch puts before the names; `load_state_dict` takes names with and without it).
    """

    _orig_mod: Module
    _compiled: Compiled

    def __init__(self, model: Module, compiled: Compiled) -> None:
        super().__init__()
        self.__dict__["_compiled"] = compiled
        self._modules["_orig_mod"] = model

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._compiled(*args, **kwargs)

    @property
    def training(self) -> bool:
        """The module's."""
        model = self._modules.get("_orig_mod")
        return model is None or model.training

    @training.setter
    def training(self, value: bool) -> None:
        if "_modules" in self.__dict__ and "_orig_mod" in self._modules:
            self._orig_mod.training = value

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            modules = self.__dict__.get("_modules", {})
            if "_orig_mod" not in modules:
                raise
            return getattr(modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "training" or "_orig_mod" not in self.__dict__.get("_modules", {}) or name in self.__dict__:
            object.__setattr__(self, name, value)
        else:
            setattr(self._orig_mod, name, value)

    def reset(self) -> None:
        """Drop all programs."""
        self._compiled.reset()

    def named_parameters(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._orig_mod.named_parameters(*args, **kwargs)

    def named_buffers(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._orig_mod.named_buffers(*args, **kwargs)

    def state_dict(self, *args: Any, **kwargs: Any) -> Any:
        """The module's."""
        return self._orig_mod.state_dict(*args, **kwargs)

    def load_state_dict(self, state_dict: Any, *args: Any, **kwargs: Any) -> Any:
        """The module's; a prefix `_orig_mod.` is taken off."""
        plain = {name.removeprefix("_orig_mod."): value for name, value in state_dict.items()}
        return self._orig_mod.load_state_dict(plain, *args, **kwargs)

    def __deepcopy__(self, memo: dict[int, Any]) -> OptimizedModule:
        import copy

        c = self._compiled
        model = copy.deepcopy(self._orig_mod, memo)
        return OptimizedModule(model, Compiled(model, c.fullgraph, c.dynamic, c.limit, c.threads, c.enabled))


