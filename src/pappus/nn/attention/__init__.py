"""The place of `pappus.nn.attention.flex_attention`."""

from pappus.nn.attention import flex_attention as flex_attention

__all__ = ["flex_attention"]
