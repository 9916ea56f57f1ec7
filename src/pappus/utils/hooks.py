"""The handle that registering a hook returns."""

from pappus.frontend.nn.module import RemovableHandle

__all__ = ["RemovableHandle"]
