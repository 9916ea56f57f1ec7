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


class _Uninitialized:
    """A tensor of a lazy layer that gets its shape from the layer's first input."""

    __slots__ = ()

    @property
    def shape(self) -> Any:
        """Refused: there is none yet."""
        raise RuntimeError(
            "this parameter or buffer of a lazy layer has no shape yet: call the module on an example first, or load a "
            "state dict"
        )

    def __deepcopy__(self, memo: dict[int, Any]) -> Any:
        made: Any = type(self)
        known = memo.get(id(self))
        return memo.setdefault(id(self), made(dtype=self.dtype)) if known is None else known  # type: ignore[attr-defined]

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"

    def _materialize(self, shape: Any, dtype: Any, plain: type) -> None:
        tensor: Any = self
        tensor._data = ops.empty(tuple(shape), dtype=tensor.dtype if dtype is None else dtype)._data
        tensor.__class__ = plain


class UninitializedParameter(_Uninitialized, Parameter):
    """A `Parameter` of a lazy layer that has no shape yet; `materialize` gives it one.

    >>> import pappus as pp
    >>> weight = UninitializedParameter()
    >>> weight.materialize((2, 3))
    >>> type(weight).__name__, weight.shape
    ('Parameter', pappus.Size([2, 3]))
    """

    def __new__(cls, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> UninitializedParameter:
        no_device(device)
        made = Tensor.__new__(cls)
        made._data = ops.empty(0, dtype=dtype)._data
        return made

    def __init__(self, requires_grad: bool = True, device: Any = None, dtype: Any = None) -> None:
        self.requires_grad = requires_grad

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a plain parameter of this shape, with numbers still to be filled in."""
        no_device(device)
        self._materialize(shape, dtype, Parameter)


class UninitializedBuffer(_Uninitialized, Buffer):
    """A `Buffer` of a lazy layer that has no shape yet; `materialize` gives it one."""

    def __new__(
        cls, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> UninitializedBuffer:
        no_device(device)
        made = Tensor.__new__(cls)
        made._data = ops.empty(0, dtype=dtype)._data
        return made

    def __init__(
        self, requires_grad: bool = False, device: Any = None, dtype: Any = None, persistent: bool = True
    ) -> None:
        self.persistent = persistent

    def materialize(self, shape: Any, device: Any = None, dtype: Any = None) -> None:
        """Become a plain buffer of this shape, with numbers still to be filled in."""
        no_device(device)
        self._materialize(shape, dtype, Buffer)


def no_device(device: Any) -> None:
    """Refuse every device but the CPU: sizes that are not known yet are made there, and moved by `.to(device)`."""
    if device is not None and str(device).split(":")[0] != "cpu":
        raise UnsupportedError(
            f"device {device!r}: what has no shape yet is made on the CPU; leave device out, and call "
            f".to({str(device)!r}) when the sizes are known"
        )


def new_parameter(shape: tuple[int, ...], device: Any, dtype: Any, requires_grad: bool = True) -> Parameter:
    """A parameter of the default type (unless given), to be filled by a layer's `reset_parameters`."""
    return Parameter(ops.empty(shape, dtype=dtype, device=device), requires_grad)
