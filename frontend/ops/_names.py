"""Functions that are offered next to the operators: conveniences over them, with PyTorch's names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import partial, wraps
from typing import Any, TypeVar, cast

from ..amp.lists import FLOAT32, PROMOTE
from ..device import move, named, using
from ..errors import ArgumentError, PappusError
from ..schema import check_call, respell
from ..source import user_location

F = TypeVar("F", bound=Callable[..., Any])

FUNCTIONS: dict[str, Callable[..., Any]] = {}
METHODS: dict[str, Callable[..., Any]] = {}
INPLACE: set[str] = set()
EXACT_OUT: set[str] = set()


def function(
    *, method: bool = False, inplace: bool = False, name: str | None = None, exact_out: bool = False,
    short: str | None = None,
) -> Callable[[F], F]:
    """Offer a function as `pappus.<name>` and, with `method`, as a tensor method of the same name.

    With `inplace` there is a method `<name>_` as well, which stores the result in the tensor. `name` is for functions
    whose own name is taken in their module. `exact_out`: `out=` must have the type of the result and share no memory
    with an operand, as for operators that read or write by index. `short`: with `self` and `other` alone it is the
    operator of that name, whose front then answers such calls.
    """

    def declare(f: F) -> F:
        if name is not None:
            f.__name__ = f.__qualname__ = name
        f = _checked(f)  # innermost: it looks where a TypeError comes from
        if f.__name__ in FLOAT32 or f.__name__ in PROMOTE:
            from ..amp.autocast import listed

            f = listed(f)
        if "device" in inspect.signature(f).parameters:
            f = placed(f)
        if short is not None:
            from ..fronts import bind_function
            from ..opdef import OPS

            f = bind_function(OPS[short], f)
        FUNCTIONS[f.__name__] = f
        if method:
            METHODS[f.__name__] = f
        if inplace:
            INPLACE.add(f.__name__)
        if exact_out:
            EXACT_OUT.add(f.__name__)
        return f

    return declare


def placed(f: F) -> F:
    """`f`, which makes a tensor, with the tensor put on the `device` asked for; `..._like` where the operand is."""
    like = f.__name__.endswith("_like")

    @wraps(f)
    def make(*args: Any, **kwargs: Any) -> Any:
        out = f(*args, **kwargs)
        device = kwargs.get("device")
        if device is None:
            if using.library is None or not (like and args and hasattr(args[0], "device")):
                return out
            device = args[0].device
        name = named(device)
        if name != "cpu" or using.library is not None:
            out._data = move(out._data, name)
        return out

    return make  # type: ignore[return-value]


def _checked(f: F) -> F:
    """`f`, with calls that do not fit its parameters tried under PyTorch's other spellings, then refused by name."""

    parameters = inspect.signature(f).parameters
    own_out = "out" in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())

    @wraps(f)
    def call(*args: Any, **kwargs: Any) -> Any:
        if "out" in kwargs and not own_out:
            from ..out_argument import into

            out = kwargs.pop("out")
            if out is None:
                return call(*args, **kwargs)
            return into(f.__name__, partial(call, *args), (*args, *kwargs.values()), out, kwargs, "dtype" in parameters)
        try:
            return f(*args, **kwargs)
        except TypeError as error:
            if isinstance(error, PappusError):
                error.at(f.__name__, user_location())
                raise
            trace = error.__traceback__
            if trace is None or trace.tb_next is not None:  # raised by the function's own code
                raise
        except PappusError as error:
            error.at(f.__name__, user_location())
            raise
        except AttributeError as error:
            _need_tensors(f, args, kwargs, error)
            raise
        return f(*args, **_fitting(f, args, kwargs))

    return cast(F, call)


def _need_tensors(f: F, args: tuple[Any, ...], kwargs: dict[str, Any], error: AttributeError) -> None:
    """Refuse a number or a list where a tensor is wanted, if that is what an AttributeError is about."""
    named = [*zip(inspect.signature(f).parameters, args, strict=False), *kwargs.items()]
    for name, value in named:
        if value is error.obj and isinstance(value, (bool, int, float, complex, str, list, tuple)):
            kind = type(value).__name__
            raise ArgumentError(
                f"{f.__name__}: argument '{name}' must be a Tensor, got {kind}; wrap it with pappus.tensor(...)"
            ).at(f.__name__, user_location()) from None


def _fitting(f: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The keywords under the names that `f` has. Raises ArgumentError with the signature where that does not help."""
    parameters = inspect.signature(f).parameters.values()
    kinds = inspect.Parameter
    shown = [p.replace(annotation=kinds.empty) for p in parameters]
    signature = f"{f.__name__}{inspect.Signature(shown)}"
    listed: list[tuple[str, bool]] = []
    for p in parameters:
        if p.kind in (kinds.VAR_POSITIONAL, kinds.KEYWORD_ONLY) and ("*", False) not in listed:
            listed.append(("*", False))
        if p.kind not in (kinds.VAR_POSITIONAL, kinds.VAR_KEYWORD):
            listed.append((p.name, p.default is kinds.empty))
    taken = [name for name, _ in listed[: len(args)]]
    words = respell([name for name, _ in listed if name not in taken], kwargs)
    many = any(p.kind is kinds.VAR_POSITIONAL for p in parameters)
    try:
        check_call(f.__name__, signature, listed, 0 if many else len(args), list(words))
    except ArgumentError as error:
        error.at(f.__name__, user_location())
        raise
    return words
