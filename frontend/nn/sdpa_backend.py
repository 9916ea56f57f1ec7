"""Names by which PyTorch code chooses among its attention kernels; Pappus has one, so choosing changes nothing."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pappus.frontend.errors import ArgumentError
from pappus.frontend.source import user_location

__all__ = ["SDPBackend", "sdpa_kernel"]


class SDPBackend(enum.IntEnum):
    """PyTorch's attention kernels, with its numbers."""

    ERROR = -1
    MATH = 0
    FLASH_ATTENTION = 1
    EFFICIENT_ATTENTION = 2
    CUDNN_ATTENTION = 3
    OVERRIDEABLE = 4


@contextmanager
def sdpa_kernel(backends: SDPBackend | Sequence[SDPBackend], set_priority: bool = False) -> Iterator[None]:
    """A `with` block, or decorator, that names attention kernels: accepted, and the only one there is runs.

    >>> import pappus as pp
    >>> with sdpa_kernel(SDPBackend.MATH):
    ...     x = pp.scaled_dot_product_attention(pp.ones(1, 2, 3), pp.ones(1, 2, 3), pp.ones(1, 2, 3))
    >>> x.shape
    pappus.Size([1, 2, 3])
    """
    chosen = [backends] if isinstance(backends, SDPBackend) else list(backends)
    if not chosen or not all(isinstance(b, SDPBackend) for b in chosen):
        raise ArgumentError(f"sdpa_kernel: needs one SDPBackend or several, got {backends!r}").at(None, user_location())
    yield
