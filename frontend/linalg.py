"""Linear algebra under the names of torch.linalg. The functions are in `ops.linalg_functions` and `ops.norms`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import ops as _ops  # loads every family
from .ops.linalg_functions import LINALG

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


globals().update(LINALG)
__all__ = sorted(LINALG)
del _ops
