"""Named input dimensions: how a user says which sizes may change."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from pappus.frontend.errors import ArgumentError
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
    if isinstance(spec, str) or not isinstance(spec, (Mapping, Sequence)):
        raise ArgumentError(
            f"dynamic_shapes: input {input_name}: expected {{axis: Dim}} or a sequence of Dims, got {spec!r}"
        )
    items = spec.items() if isinstance(spec, Mapping) else enumerate(spec)
    for axis, dim in items:
        if not isinstance(axis, int):
            raise ArgumentError(f"dynamic_shapes: input {input_name} is a tensor, its dims are numbers, got {axis!r}")
        if not -rank <= axis < rank:
            raise ArgumentError(f"dynamic_shapes: input {input_name} has {rank} dimensions, there is no dim {axis}")
        axis %= rank
        if dim is None or dim is Dim.STATIC or isinstance(dim, int):
            continue
        if dim is Dim.AUTO or dim is Dim.DYNAMIC:
            dim = Dim(f"{input_name}_{axis}".replace(".", "_"))
        if not isinstance(dim, Dim):
            raise ArgumentError(f"dynamic_shapes: input {input_name}, dim {axis}: expected a Dim, got {dim!r}")
        found[axis] = dim
    return found


def spread_specs(spec: Any, arguments: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """`dynamic_shapes` as one entry per tensor.

    `spec` is a mapping from parameter names, or a sequence in the order of the parameters, nested as `arguments` are;
    the names of single tensors ("pair.0") are taken as well. `names` are those of all tensors.

    Raises ArgumentError for names that do not exist and nestings that do not fit.
    """
    found: dict[str, Any] = {}
    if spec is None:
        return found
    if not isinstance(spec, Mapping):
        if isinstance(spec, str) or not isinstance(spec, Sequence):
            raise ArgumentError(f"dynamic_shapes: expected a mapping from input names or a sequence, got {spec!r}")
        order = arguments if len(spec) == len(arguments) else names
        if len(spec) != len(order):
            raise ArgumentError(f"dynamic_shapes: {len(spec)} entries for {len(names)} input(s): {', '.join(names)}")
        spec = dict(zip(order, spec, strict=True))
    for key, item in spec.items():
        if key in names:
            found[key] = item
        elif key in arguments:
            _spread(key, item, arguments[key], found, names)
        else:
            raise ArgumentError(
                f"dynamic_shapes names an input {key!r} that does not exist; inputs: {', '.join(names) or 'none'}"
            )
    return found


def _spread(name: str, spec: Any, value: Any, found: dict[str, Any], names: Collection[str]) -> None:
    if name in names:
        found[name] = spec
        return
    if spec is None:
        return
    items: Mapping[Any, Any] = value if isinstance(value, Mapping) else {}
    if isinstance(value, (list, tuple)):
        items = dict(enumerate(value))
    parts = spec if isinstance(spec, Mapping) else dict(enumerate(spec)) if isinstance(spec, (list, tuple)) else None
    if parts is None or not set(parts) <= set(items):
        raise ArgumentError(f"dynamic_shapes: the entry of {name} is nested otherwise than the argument: {spec!r}")
    for key, part in parts.items():
        _spread(f"{name}.{key}", part, items[key], found, names)
