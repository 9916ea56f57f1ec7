"""Attention with score and mask functions of your own: `from pappus.nn.attention.flex_attention import flex_attention`.

The module can be called like the function of its name: `pp.nn.attention.flex_attention(q, k, v, block_mask=mask)`.
"""

import sys
from types import ModuleType
from typing import Any

from pappus.frontend.flex_attention import (
    AuxOutput,
    AuxRequest,
    BlockMask,
    and_masks,
    create_block_mask,
    create_mask,
    flex_attention,
    noop_mask,
    or_masks,
)

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention",
    "noop_mask", "or_masks",
]  # fmt: skip


class _Callable(ModuleType):
    """A module that is called like its main function."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return flex_attention(*args, **kwargs)


sys.modules[__name__].__class__ = _Callable
