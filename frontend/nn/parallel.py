"""The wrappers of several devices, over the one there is: the module inside does all of the work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from pappus.frontend.errors import UnsupportedError
from pappus.frontend.nn.module import Module

__all__ = ["DataParallel", "DistributedDataParallel"]


class _Wrapper(Module):
    def __init__(self, module: Module, device_ids: Any = None, *args: Any, **options: Any) -> None:
        super().__init__()
        if any(str(d).split(":")[0] != "cpu" for d in device_ids or ()):
            raise UnsupportedError(
                f"{type(self).__name__}: no devices {list(device_ids)}; leave device_ids out: the only device is 'cpu'"
            )
        self.module = module
        self.device_ids: list[Any] = []

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self.module(*args, **kwargs)


class DataParallel(_Wrapper):
    """A module for several devices, of which there is one: calls go to `module`, whose names in the state dict begin
    with "module.".

    >>> import pappus as pp
    >>> list(DataParallel(pp.nn.Linear(1, 1)).state_dict())
    ['module.weight', 'module.bias']
    """


class DistributedDataParallel(_Wrapper):
    """A module trained by several processes, of which there is one: calls go to `module`, gradients are its own."""

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Nothing is waited for, inside or outside of the `with` block."""
        yield

    @contextmanager
    def join(self, *args: Any, **options: Any) -> Iterator[None]:
        """Nothing is waited for."""
        yield
