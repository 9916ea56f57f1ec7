"""Named input dimensions: how a user says which sizes may change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pappus.frontend.symbolic import INF


class Dim:
    """A named input dimension that may differ from call to call.

    Sizes `n` with `min <= n <= max` and `n % multiple_of == 0` are allowed. The same name at several
    places means the same size. `Dim.AUTO` and `Dim.DYNAMIC` name a dimension by its place;
    `Dim.STATIC` keeps the example's size.

    Raises ValueError for an empty range.

    >>> Dim("batch", min=1, max=64)
    Dim('batch', min=1, max=64)
    """

    AUTO: Dim
    DYNAMIC: Dim
    STATIC: Dim

    def __init__(self, name: str, min: int = 1, max: int = INF, *, multiple_of: int = 1) -> None:
        if min < 0 or max < min or multiple_of < 1:
            raise ValueError(f"Dim({name!r}): the range {min}..{max} (multiple of {multiple_of}) is empty")
        if not name.replace("_", "a").isalnum():
            raise ValueError(f"Dim name {name!r} must be made of letters, digits and underscores")
        self.name, self.min, self.max, self.multiple_of = name, min, max, multiple_of

    def __repr__(self) -> str:
        extra = f", multiple_of={self.multiple_of}" if self.multiple_of != 1 else ""
        top = "" if self.max == INF else f", max={self.max}"
        return f"Dim({self.name!r}, min={self.min}{top}{extra})"


Dim.AUTO = Dim("AUTO")
Dim.DYNAMIC = Dim("DYNAMIC")
Dim.STATIC = Dim("STATIC")

DimSpec = Mapping[int, Any] | Sequence[Any] | None


def dims_of(spec: DimSpec, rank: int, input_name: str) -> list[Dim | None]:
    """One entry per axis from `{axis: Dim}`, a sequence of Dims, or None; Nones are static."""
    found: list[Dim | None] = [None] * rank
    if spec is None:
        return found
    items = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    for axis, dim in items:
        if not -rank <= axis < rank:
            raise ValueError(f"dynamic_shapes: input {input_name} has {rank} dimensions, there is no dim {axis}")
        axis %= rank
        if dim is None or dim is Dim.STATIC or isinstance(dim, int):
            continue
        if dim is Dim.AUTO or dim is Dim.DYNAMIC:
            dim = Dim(f"{input_name}_{axis}".replace(".", "_"))
        if not isinstance(dim, Dim):
            raise TypeError(f"dynamic_shapes: input {input_name}, dim {axis}: expected a Dim, got {dim!r}")
        found[axis] = dim
    return found
