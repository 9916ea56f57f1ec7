"""Parameters: tensors that a module registers as its own when they are assigned to it."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.tensor import Tensor


class Parameter(Tensor):
    """A tensor to be learned: assigned to a module it appears in `parameters()` and in the state dict.

    It shares memory with `data` and requires a gradient unless told otherwise.

    >>> import pappus as pp
    >>> Parameter(pp.ones(2)).requires_grad
    True
    """

    def __new__(cls, data: Any = None, requires_grad: bool = True) -> Parameter:
        source = data if isinstance(data, Tensor) else Tensor(data)
        made = Tensor.__new__(cls)
        made._data = source.detach()._data
        return made

    def __init__(self, data: Any = None, requires_grad: bool = True) -> None:
        if requires_grad:
            self.requires_grad = True

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        known = memo.get(id(self))
        if known is not None:
            return known  # type: ignore[no-any-return]
        copied = type(self)(self.detach().clone(), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self) -> str:
        return "Parameter containing:\n" + super().__repr__()


class Buffer(Tensor):
    """A tensor that belongs to a module's state but is not learned; assign it to a module to register it.

    >>> import pappus as pp
    >>> Buffer(pp.zeros(2), persistent=False).persistent
    False
    """

    persistent: bool

    def __new__(cls, data: Any = None, *, persistent: bool = True) -> Buffer:
        source = data if isinstance(data, Tensor) else Tensor(data)
        made = Tensor.__new__(cls)
        made._data = source.detach()._data
        return made

    def __init__(self, data: Any = None, *, persistent: bool = True) -> None:
        self.persistent = persistent


def no_device(device: Any) -> None:
    """Refuse every device but the one there is."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise UnsupportedError(f"no device {device!r}; the only device is 'cpu'")


def new_parameter(shape: tuple[int, ...], device: Any, dtype: Any, requires_grad: bool = True) -> Parameter:
    """A parameter of the default type (unless given), to be filled by a layer's `reset_parameters`."""
    no_device(device)
    return Parameter(ops.empty(shape, dtype=dtype), requires_grad)
