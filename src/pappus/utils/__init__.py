"""The place of `pappus.utils.data`."""

from pappus.utils import data

__all__ = ["data"]
