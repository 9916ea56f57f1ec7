"""Choosing attention kernels, and the place of `pappus.nn.attention.flex_attention`."""

from pappus.frontend.nn.sdpa_backend import SDPBackend, sdpa_kernel
from pappus.nn.attention import flex_attention as flex_attention

__all__ = ["SDPBackend", "flex_attention", "sdpa_kernel"]
