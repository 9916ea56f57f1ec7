"""torch.distributed in one process: the questions have answers, and collectives over one rank do what they say."""

from __future__ import annotations

import enum
import os
from typing import Any

from pappus.frontend.errors import UnsupportedError
from pappus.torch.answers import does_nothing, never, refuse

__all__ = [
    "ReduceOp", "all_gather", "all_gather_into_tensor", "all_gather_object", "all_reduce", "barrier", "broadcast",
    "broadcast_object_list", "destroy_process_group", "gather", "get_backend", "get_rank", "get_world_size",
    "init_process_group", "is_available", "is_initialized", "new_group", "reduce", "reduce_scatter_tensor", "scatter",
]  # fmt: skip

_ONE = "Pappus trains in one process"
_initialized = False


class ReduceOp(enum.Enum):
    """How values of several ranks are combined; over one rank all of them leave a value as it is."""

    SUM = 0
    AVG = 1
    PRODUCT = 2
    MIN = 3
    MAX = 4
    BAND = 5
    BOR = 6
    BXOR = 7


class group:
    """The one group there is."""

    WORLD = None


def is_available() -> bool:
    """False: there is one process."""
    return False


def is_initialized() -> bool:
    """Whether `init_process_group` was called."""
    return _initialized


def init_process_group(
    backend: str | None = None, init_method: str | None = None, timeout: Any = None, world_size: int = -1,
    rank: int = -1, **options: Any,
) -> None:  # fmt: skip
    """Accepted for a world of one process. Raises UnsupportedError for a larger one."""
    global _initialized
    size = world_size if world_size > 0 else int(os.environ.get("WORLD_SIZE", 1))
    if size != 1:
        raise UnsupportedError(f"torch.distributed.init_process_group: {_ONE}, not in {size}; start one")
    _initialized = True


def destroy_process_group(group: Any = None) -> None:
    """End what `init_process_group` began."""
    global _initialized
    _initialized = False


def get_rank(group: Any = None) -> int:
    """0."""
    return 0


def get_world_size(group: Any = None) -> int:
    """1."""
    return 1


def get_backend(group: Any = None) -> str:
    """ "gloo", the backend of CPUs."""
    return "gloo"


is_torchelastic_launched = is_nccl_available = is_mpi_available = is_gloo_available = is_available
get_node_local_rank = get_rank
barrier = monitored_barrier = does_nothing
new_group = does_nothing
ProcessGroup = never("distributed.ProcessGroup", _ONE)
send = refuse("torch.distributed.send", _ONE)
recv = refuse("torch.distributed.recv", _ONE)


class _Done:
    """The handle of a collective that is over."""

    def wait(self) -> bool:
        return True

    def is_completed(self) -> bool:
        return True


def all_reduce(tensor: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """Leaves `tensor` as it is: the reduction of one value."""
    return _Done() if async_op else None


def reduce(tensor: Any, dst: int = 0, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False) -> Any:
    """Leaves `tensor` as it is."""
    return _Done() if async_op else None


def broadcast(tensor: Any, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Leaves `tensor` as it is."""
    return _Done() if async_op else None


def broadcast_object_list(object_list: Any, src: int = 0, group: Any = None, device: Any = None) -> None:
    """Leaves the list as it is."""


def all_gather(tensor_list: Any, tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Copies `tensor` into the one element of `tensor_list`."""
    tensor_list[0].copy_(tensor)
    return _Done() if async_op else None


def all_gather_into_tensor(output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False) -> Any:
    """Copies `input_tensor` into `output_tensor`."""
    output_tensor.copy_(input_tensor.reshape(output_tensor.shape))
    return _Done() if async_op else None


def reduce_scatter_tensor(
    output: Any, input: Any, op: Any = ReduceOp.SUM, group: Any = None, async_op: bool = False
) -> Any:
    """Copies `input` into `output`."""
    output.copy_(input)
    return _Done() if async_op else None


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Stores `obj` in the one element of `object_list`."""
    object_list[0] = obj


def gather(tensor: Any, gather_list: Any = None, dst: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Copies `tensor` into the one element of `gather_list`."""
    if gather_list:
        gather_list[0].copy_(tensor)
    return _Done() if async_op else None


def scatter(tensor: Any, scatter_list: Any = None, src: int = 0, group: Any = None, async_op: bool = False) -> Any:
    """Copies the one element of `scatter_list` into `tensor`."""
    if scatter_list:
        tensor.copy_(scatter_list[0])
    return _Done() if async_op else None
