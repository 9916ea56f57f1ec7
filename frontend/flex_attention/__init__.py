"""FlexAttention: attention with score and mask functions of the user's own, tiled, with gradients.

    attention     flex_attention: checks, the node on the tape
    mods          score and mask functions: and_masks, or_masks, create_mask, calling them on a tile
    block_mask    BlockMask
    classify      create_block_mask
    bounds        what a mask function can return inside a block, from its ends
    tiles         how the attention matrix is cut
    kernel        the arithmetic of a tile, forward and backward
    captured      gradients of what a score function captured
    dense         the same in plain operators on the whole matrix
"""

from .attention import AuxOutput, AuxRequest, flex_attention
from .block_mask import BlockMask
from .classify import create_block_mask
from .mods import and_masks, create_mask, noop_mask, or_masks

__all__ = [
    "AuxOutput", "AuxRequest", "BlockMask", "and_masks", "create_block_mask", "create_mask", "flex_attention",
    "noop_mask", "or_masks",
]  # fmt: skip
