"""Whether there is a GPU, which CuPy drives, and answers for scripts that ask about it.

What only counts answers for no device; what asks about a device's properties refuses, as PyTorch does without one.
"""

from __future__ import annotations

import contextlib
from typing import Any

from pappus.frontend.device import cuda_count, cuda_is_available, using
from pappus.frontend.errors import UnsupportedError
from pappus.frontend.random import initial_seed, manual_seed, seed
from pappus.torch.answers import absent, answer, does_nothing, never, refuse

_GUARD = "there is no CUDA device: ask torch.cuda.is_available() first"


def is_available() -> bool:
    """Whether there is a GPU to compute on: CuPy is installed and sees one."""
    return cuda_is_available()


def device_count() -> int:
    """The number of GPUs that CuPy sees."""
    return cuda_count()


def synchronize(device: Any = None) -> None:
    """Wait for the GPU to finish, if one is in use."""
    if using.library is not None:
        using.library.cuda.Device().synchronize()


class OutOfMemoryError(RuntimeError):
    """Never raised: there is no device whose memory could run out."""


is_initialized = is_bf16_supported = is_current_stream_capturing = answer(False)
manual_seed_all, seed_all = manual_seed, seed
empty_cache = init = ipc_collect = reset_peak_memory_stats = reset_max_memory_allocated = does_nothing
reset_max_memory_cached = reset_accumulated_memory_stats = set_per_process_memory_fraction = does_nothing
set_rng_state_all = set_rng_state = does_nothing
memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = answer(0)
max_memory_cached = utilization = answer(0)
mem_get_info, memory_stats, memory_summary, get_arch_list = answer((0, 0)), answer({}), answer(""), answer([])
get_rng_state_all = answer([])
set_stream = does_nothing
set_device, current_device = refuse("torch.cuda.set_device", _GUARD), refuse("torch.cuda.current_device", _GUARD)
get_device_name = refuse("torch.cuda.get_device_name", _GUARD)
get_device_properties = refuse("torch.cuda.get_device_properties", _GUARD)
get_device_capability = refuse("torch.cuda.get_device_capability", _GUARD)
get_rng_state = refuse("torch.cuda.get_rng_state", _GUARD)
current_stream = default_stream = refuse("torch.cuda.current_stream", _GUARD)
stream = absent
Stream, Event, CUDAGraph = (never(f"cuda.{name}", _GUARD) for name in ("Stream", "Event", "CUDAGraph"))
FloatTensor, HalfTensor = never("cuda.FloatTensor", _GUARD), never("cuda.HalfTensor", _GUARD)
LongTensor, BoolTensor = never("cuda.LongTensor", _GUARD), never("cuda.BoolTensor", _GUARD)
graph = refuse("torch.cuda.graph", _GUARD)
default_generators: tuple[Any, ...] = ()


@contextlib.contextmanager
def device(device: Any) -> Any:
    """Inside the `with` block nothing is different; None and -1 are the only devices."""
    if device is not None and device != -1:
        raise UnsupportedError(f"torch.cuda.device({device!r}): {_GUARD}")
    yield


def __getattr__(name: str) -> Any:
    if name == "amp":
        import importlib

        return importlib.import_module("pappus.cuda.amp")
    from pappus.torch.answers import nearest

    raise AttributeError(f"module 'pappus.cuda' has no attribute {name!r}{nearest(name, list(globals()))}", name=name)


__all__ = [
    "OutOfMemoryError", "device_count", "empty_cache", "initial_seed", "is_available", "manual_seed",
    "manual_seed_all", "seed", "seed_all", "synchronize",
]  # fmt: skip
