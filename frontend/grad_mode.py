"""The switches of recording: `no_grad`, `enable_grad`, `set_grad_enabled`, `inference_mode`; as blocks or decorators.

A decorated generator, coroutine or asynchronous generator runs each of its steps inside the mode and is outside of it
in between, so that its caller's mode is never changed.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Generator
from functools import partial, wraps
from types import coroutine
from typing import Any

from .errors import AutogradError
from .source import is_inside, user_location, warn_user
from .tape import Place, Storage, caller, inferring, line_of, state
from .tensor import Tensor

__all__ = [
    "enable_grad", "inference_mode", "is_grad_enabled", "is_inference", "is_inference_mode_enabled", "no_grad",
    "set_grad_enabled",
]  # fmt: skip


# -- decorators -----------------------------------------------------------------------------------


def _stepped(made: Any, mode: Callable[[], Any]) -> Generator[Any, Any, Any]:
    """Drive a generator or coroutine, each of its steps inside `with mode():`."""
    step: Callable[[], Any] = partial(made.send, None)
    try:
        while True:
            with mode():
                try:
                    item = step()
                except StopIteration as stop:
                    return stop.value
            try:
                sent = yield item
                step = partial(made.send, sent)
            except GeneratorExit:
                raise
            except BaseException as error:
                step = partial(made.throw, error)
    finally:
        with mode():
            made.close()


_awaited = coroutine(_stepped)


def decorated(function: Any, mode: Callable[[], Any]) -> Any:
    """`function` with its body inside `with mode():`; a class gets that for its `__init__`, with a warning as in
    PyTorch."""
    if inspect.isclass(function):
        warn_user(
            f"decorating the class {function.__name__} covers only its __init__; decorate the functions or methods "
            "that are meant",
            FutureWarning,
        )
        setattr(function, "__init__", decorated(function.__init__, mode))  # noqa: B010 - typed as a method
        return function
    if inspect.isgeneratorfunction(function):

        @wraps(function)
        def generate(*args: Any, **kwargs: Any) -> Any:
            return (yield from _stepped(function(*args, **kwargs), mode))

        return generate
    if inspect.iscoroutinefunction(function):

        @wraps(function)
        async def wait(*args: Any, **kwargs: Any) -> Any:
            return await _awaited(function(*args, **kwargs), mode)

        return wait
    if inspect.isasyncgenfunction(function):

        @wraps(function)
        async def stream(*args: Any, **kwargs: Any) -> Any:
            made = function(*args, **kwargs)
            try:
                while True:
                    try:
                        item = await _awaited(made.__anext__(), mode)
                    except StopAsyncIteration:
                        return
                    yield item
            finally:
                await made.aclose()

        return stream

    @wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        with mode():
            return function(*args, **kwargs)

    return run


# -- recording on and off -------------------------------------------------------------------------


class set_grad_enabled:
    """Switch recording on or off: at once when called, until the end of a `with` block, or for a decorated function.

    >>> import pappus as pp
    >>> with pp.set_grad_enabled(False):
    ...     pp.is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        self._mode, self._before = bool(mode), state.grad
        state.grad = self._mode

    def __enter__(self) -> set_grad_enabled:
        state.grad = self._mode
        return self

    def __exit__(self, *exc: Any) -> None:
        state.grad = self._before

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        state.grad = self._before  # decorating switches nothing
        return decorated(function, lambda: set_grad_enabled(self._mode))  # type: ignore[no-any-return]


class _GradMode:
    """A `with` block, or decorator, inside which grad mode has a fixed value."""

    _value = False
    _saved: list[bool]

    def __new__(cls, function: Any = None) -> Any:
        made = object.__new__(cls)
        made._saved = []
        if callable(function):  # used as @no_grad without parentheses
            return made(function)
        return made

    def __enter__(self) -> _GradMode:
        self._saved.append(state.grad)
        state.grad = self._value
        if not self._value and not is_inside(sys._getframe(1).f_code.co_filename):
            state.cuts["no_grad"] = caller()
        return self

    def __exit__(self, *exc: Any) -> None:
        state.grad = self._saved.pop()

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return decorated(function, type(self))  # type: ignore[no-any-return]


class no_grad(_GradMode):
    """Record nothing: results do not require grad. As `with pp.no_grad():` or `@pp.no_grad()`.

    >>> import pappus as pp
    >>> x = pp.ones(2, requires_grad=True)
    >>> with pp.no_grad():
    ...     (x * 2).requires_grad
    False
    """


class enable_grad(_GradMode):
    """Record again inside `no_grad`. As `with pp.enable_grad():` or `@pp.enable_grad()`.

    >>> import pappus as pp
    >>> x = pp.ones(2, requires_grad=True)
    >>> with pp.no_grad(), pp.enable_grad():
    ...     (x * 2).requires_grad
    True
    """

    _value = True


def is_grad_enabled() -> bool:
    """Whether operators are being recorded in this thread.

    >>> import pappus as pp
    >>> pp.is_grad_enabled()
    True
    """
    return state.grad


# -- inference mode -------------------------------------------------------------------------------


class _InferenceStorage(Storage):
    """The storage of all that one block of inference mode makes: it counts nothing, and says so to who needs counts."""

    __slots__ = ("made",)

    def __init__(self, made: Place | None) -> None:
        self.made = made
        super().__init__()

    @property
    def version(self) -> int:
        """Zero inside inference mode. Raises AutogradError outside, where it would be needed for a gradient."""
        if not state.inference:
            raise AutogradError(
                f"an inference tensor (made in the inference_mode of {line_of(self.made)}) can neither be saved for a "
                "gradient nor be changed in place outside inference_mode: its changes are not counted. Use its "
                "clone(), or no_grad() instead of inference_mode()"
            ).at(None, user_location())
        return 0

    @version.setter
    def version(self, value: int) -> None:
        if not state.inference:
            self.version  # noqa: B018 - raises

    @property
    def views(self) -> None:
        """No view of an inference tensor ever begins to require grad."""
        return None

    @views.setter
    def views(self, value: Any) -> None:
        pass


class inference_mode:
    """Like `no_grad`, and what is made inside can take no part in autograd later: PyTorch's mode for evaluation.

    With `mode=False` it switches an outer one off. A tensor made inside cannot be saved for a gradient, changed in
    place or made to require grad outside; its `clone()` can.

    >>> import pappus as pp
    >>> with pp.inference_mode():
    ...     y = pp.ones(2) + 1
    >>> y.is_inference(), y.clone().is_inference()
    (True, False)
    """

    _saved: list[Any]

    def __new__(cls, mode: Any = True) -> Any:
        made = object.__new__(cls)
        made._saved, made._on = [], mode if isinstance(mode, bool) else True
        return made(mode) if callable(mode) else made

    _on: bool

    def __enter__(self) -> inference_mode:
        self._saved.append((state.grad, state.inference, state.block))
        state.grad, state.inference = not self._on, self._on
        state.block = _InferenceStorage(caller()) if self._on else None
        if self._on:
            state.cuts["inference_mode"] = state.block.made
        inferring.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.grad, state.inference, state.block = self._saved.pop()
        inferring.remove(self)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        return decorated(function, lambda: inference_mode(self._on))  # type: ignore[no-any-return]


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside `inference_mode`.

    >>> import pappus as pp
    >>> with pp.inference_mode():
    ...     pp.is_inference_mode_enabled()
    True
    """
    return state.inference


def is_inference(tensor: Tensor) -> bool:
    """Whether a tensor was made in inference mode.

    >>> import pappus as pp
    >>> pp.is_inference(pp.ones(1))
    False
    """
    return isinstance(tensor._storage, _InferenceStorage)
