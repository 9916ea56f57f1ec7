"""Padding layers; sizes are (left, right, top, bottom, front, back), last dimension first, or one number for all."""

from __future__ import annotations

from typing import Any

from pappus.frontend.errors import ShapeError
from pappus.frontend.nn import functional as F
from pappus.frontend.nn.module import Module
from pappus.frontend.tensor import Tensor


class _Pad(Module):
    spatial: int
    mode: str

    def __init__(self, padding: Any) -> None:
        super().__init__()
        sizes = tuple(padding) if isinstance(padding, (tuple, list)) else (padding,) * (2 * self.spatial)
        if len(sizes) != 2 * self.spatial:
            raise ValueError(f"{type(self).__name__}: padding must be one number or {2 * self.spatial}, got {sizes}")
        self.padding = sizes

    def _check(self, input: Tensor) -> None:
        if input.ndim not in (self.spatial + 1, self.spatial + 2):
            raise ShapeError(
                f"{type(self).__name__}: expected {self.spatial + 1}D or {self.spatial + 2}D input, got {input.ndim}D"
            )

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class _ConstantPad(_Pad):
    mode = "constant"

    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Add elements of `value` at both ends of the last dimension."""

    spatial = 1


class ConstantPad2d(_ConstantPad):
    """Add elements of `value` around the last two dimensions."""

    spatial = 2


class ConstantPad3d(_ConstantPad):
    """Add elements of `value` around the last three dimensions."""

    spatial = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        return f"{self.padding}"


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Add zeros at both ends of the last dimension."""


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Add zeros around the last two dimensions.

    >>> import pappus as pp
    >>> ZeroPad2d((1, 2, 0, 0))(pp.ones(1, 2, 2)).tolist()
    [[[0.0, 1.0, 1.0, 0.0, 0.0], [0.0, 1.0, 1.0, 0.0, 0.0]]]
    """


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Add zeros around the last three dimensions."""


class ReflectionPad1d(_Pad):
    """Mirror the last dimension at its first and last element."""

    spatial, mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Mirror the last two dimensions at their first and last elements."""

    spatial, mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Mirror the last three dimensions at their first and last elements."""

    spatial, mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Repeat the first and last element of the last dimension."""

    spatial, mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Repeat the border of the last two dimensions."""

    spatial, mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Repeat the border of the last three dimensions."""

    spatial, mode = 3, "replicate"


class CircularPad1d(_Pad):
    """Continue the last dimension with its other end."""

    spatial, mode = 1, "circular"


class CircularPad2d(_Pad):
    """Continue the last two dimensions with their other ends."""

    spatial, mode = 2, "circular"


class CircularPad3d(_Pad):
    """Continue the last three dimensions with their other ends."""

    spatial, mode = 3, "circular"
