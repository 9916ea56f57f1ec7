"""Special functions under the names of torch.special. The functions are in `ops.special` and beside the operators."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from . import ops as _ops  # loads every family
from .ops.special import SPECIAL

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


globals().update(SPECIAL)
__all__ = sorted(SPECIAL)
del _ops
