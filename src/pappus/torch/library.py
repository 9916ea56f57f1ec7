"""torch.library: operators of one's own, as the functions they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pappus.frontend.function import Function
from pappus.torch.answers import decorator, never, refuse

__all__ = ["CustomOp", "custom_op", "register_autograd", "register_fake", "register_kernel", "triton_op"]

_defined: dict[str, CustomOp] = {}
Library = never("library.Library", "define an operator with torch.library.custom_op or pappus.operator")


class CustomOp:
    """A function that was declared as an operator; its gradient is what `register_autograd` says."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self._name, self._function = name, function
        self._gradient: type[Function] | None = None
        self.__name__, self.__doc__ = name.replace("::", "."), function.__doc__
        _defined[name] = self

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if self._gradient is None:
            return self._function(*args, **kwargs)
        return self._gradient.apply(*args, **kwargs)

    def register_fake(self, function: Any = None) -> Any:
        """Accepted: shapes are found by running the function."""
        return decorator(function)

    def register_kernel(self, device_types: Any, function: Any = None) -> Any:
        """Accepted for other devices than the CPU; for the CPU the function becomes the operator's."""
        kinds = (device_types,) if isinstance(device_types, str) else device_types or ("cpu",)

        def keep(f: Callable[..., Any]) -> Callable[..., Any]:
            if "cpu" in kinds:
                self._function = f
            return f

        return keep if function is None else keep(function)

    register_vmap = register_torch_dispatch = register_fake

    def register_autograd(self, backward: Callable[..., Any], *, setup_context: Any = None) -> None:
        """The gradient: `backward(ctx, *grads)`, with what `setup_context(ctx, inputs, output)` kept."""

        def forward(*args: Any, **kwargs: Any) -> Any:
            return self._function(*args, **kwargs)

        def keep(ctx: Any, inputs: Any, output: Any) -> None:
            if setup_context is not None:
                setup_context(ctx=ctx, inputs=inputs, output=output)

        members = {
            "forward": staticmethod(forward), "backward": staticmethod(backward), "setup_context": staticmethod(keep),
        }  # fmt: skip
        self._gradient = type(self.__name__.replace(".", "_"), (Function,), members)


class _Namespace:
    def __init__(self, name: str) -> None:
        self._name = name

    def __getattr__(self, name: str) -> CustomOp:
        full = f"{self._name}::{name}"
        if full not in _defined:
            raise AttributeError(
                f"torch.ops.{self._name} has no operator {name!r}: only those of torch.library.custom_op are there",
                name=name,
            )
        return _defined[full]


class _Operators:
    """torch.ops: the operators that the program itself has declared, by namespace."""

    load_library = staticmethod(refuse("torch.ops.load_library", "libraries of PyTorch's operators are not loaded"))

    def __getattr__(self, name: str) -> _Namespace:
        if name.startswith("__"):
            raise AttributeError(name)
        return _Namespace(name)


operators = _Operators()


def custom_op(
    name: str, fn: Any = None, /, *, mutates_args: Any = (), device_types: Any = None, schema: str | None = None,
    tags: Any = None,
) -> Any:  # fmt: skip
    """Declare a function as the operator `namespace::name`; also a decorator."""
    return (lambda function: CustomOp(name, function)) if fn is None else CustomOp(name, fn)


triton_op = custom_op


def _operator(op: Any) -> CustomOp:
    if isinstance(op, CustomOp):
        return op
    if op not in _defined:
        raise KeyError(f"no operator {op!r} was declared with torch.library.custom_op")
    return _defined[op]


def register_fake(op: Any, func: Any = None, /, **options: Any) -> Any:
    """Accepted: shapes are found by running the function."""
    return decorator(func)


register_vmap = impl_abstract = register_fake


def register_kernel(op: Any, device_types: Any, func: Any = None, /, **options: Any) -> Any:
    """`CustomOp.register_kernel` of an operator or of its name."""
    return _operator(op).register_kernel(device_types, func)


def register_autograd(op: Any, backward: Any, /, *, setup_context: Any = None, **options: Any) -> None:
    """`CustomOp.register_autograd` of an operator or of its name."""
    _operator(op).register_autograd(backward, setup_context=setup_context)


wrap_triton = decorator
