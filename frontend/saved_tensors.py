"""Hooks around what the tape saves: `with saved_tensors_hooks(pack, unpack):` decides how tensors wait for backward.

While such a block is entered, fronts take the general way, so that every saved tensor passes `pack_tensor`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .errors import ArgumentError, AutogradError
from .source import user_location
from .tape import entered, history_of, state
from .tensor import Tensor

__all__ = ["Packed", "disable_saved_tensors_hooks", "pack_tensor", "save_on_cpu", "saved_tensors_hooks"]

PACKED = -2  # in place of a version: the operand is a Packed


class Packed:
    """What `pack` made of a saved tensor, and the history to give back to what `unpack` makes of that."""

    __slots__ = ("dtype", "edge", "packed", "requires_grad", "shape", "unpack")

    def __init__(self, tensor: Tensor, history: bool = True) -> None:
        pack, self.unpack = state.saving[-1]
        node = history_of(tensor) if history else None
        self.edge = None if node is None else (node, tensor._index)
        self.requires_grad = history and tensor._requires_grad
        self.shape, self.dtype = tensor._data.shape, tensor.dtype
        before = tensor._version
        self.packed = pack(tensor if history else tensor.detach())
        if tensor._version != before:
            raise ArgumentError("saved_tensors_hooks: the pack hook changed its tensor in place; clone() it").at(
                None, user_location()
            )

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    def unpacked(self) -> Tensor:
        """The saved tensor again, with its history. Raises ArgumentError where the hook gives something else."""
        found = self.unpack(self.packed)
        if not isinstance(found, Tensor) or tuple(found.shape) != tuple(self.shape) or found.dtype is not self.dtype:
            got = f"{found.dtype}{list(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
            raise ArgumentError(
                f"saved_tensors_hooks: the unpack hook must return the tensor of type {self.dtype} and shape "
                f"{list(self.shape)} that pack was given, got {got}"
            ).at(None, user_location())
        if not self.requires_grad or found._requires_grad:
            return found
        out = Tensor._from_data(found._data, requires_grad=True)
        if self.edge is not None:
            out._node, out._index = self.edge
        return out


def pack_tensor(tensor: Tensor, versions: list[int]) -> Packed:
    """`tensor` as the innermost hooks keep it; its changes are not counted."""
    versions.append(PACKED)
    return Packed(tensor)


class saved_tensors_hooks:
    """Inside the block, tensors saved for backward are kept as `pack(tensor)`; backward gets `unpack` of that.

    For keeping them elsewhere (on disk), in less precision, or for looking at them.

    >>> import pappus as pp
    >>> sizes = []
    >>> x = pp.ones(3, requires_grad=True)
    >>> with pp.autograd.graph.saved_tensors_hooks(lambda t: (sizes.append(t.numel()), t.numpy(force=True))[1],
    ...                                            pp.from_numpy):
    ...     y = (x * x).sum()
    >>> y.backward()
    >>> sizes, x.grad
    ([3, 3], tensor([2., 2., 2.]))
    """

    def __init__(self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]) -> None:
        if not callable(pack_hook) or not callable(unpack_hook):
            raise ArgumentError("saved_tensors_hooks takes two functions: pack(tensor) and unpack(packed)")
        self._hooks = pack_hook, unpack_hook

    def __enter__(self) -> saved_tensors_hooks:
        if state.forbidden:
            raise AutogradError(state.forbidden[-1]).at(None, user_location())
        state.saving.append(self._hooks)
        entered.append(self)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.saving.pop()
        entered.remove(self)


class save_on_cpu(saved_tensors_hooks):
    """PyTorch's block that keeps saved tensors in main memory, where they are already.

    >>> import pappus as pp
    >>> x = pp.ones(2, requires_grad=True)
    >>> with pp.autograd.graph.save_on_cpu():
    ...     (x * x).sum().backward()
    >>> x.grad
    tensor([2., 2.])
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


class disable_saved_tensors_hooks:
    """Inside the block, entering `saved_tensors_hooks` is an error with this message.

    >>> import pappus as pp
    >>> with pp.autograd.graph.disable_saved_tensors_hooks("not inside this step"), pp.autograd.graph.save_on_cpu():
    ...     pass
    Traceback (most recent call last):
    pappus.frontend.errors.AutogradError: not inside this step...
    """

    def __init__(self, error_message: str) -> None:
        self._message = error_message

    def __enter__(self) -> disable_saved_tensors_hooks:
        state.forbidden.append(self._message)
        return self

    def __exit__(self, *exc: Any) -> None:
        state.forbidden.pop()
