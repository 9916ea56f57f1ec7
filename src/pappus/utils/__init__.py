"""The place of `pappus.utils.data` and `pappus.utils.checkpoint`."""

from pappus.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
