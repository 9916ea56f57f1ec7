"""How tensors print: as in PyTorch, with four digits, and a summary beyond a thousand elements."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["set_printoptions", "tensor_text"]


class _Options:
    precision = 4
    threshold = 1000
    edgeitems = 3
    linewidth = 80


_options = _Options()


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None, linewidth: int | None = None
) -> None:
    """Digits after the point, elements before summarising, elements shown at each end then, and characters per line."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)


def _formatter(array: Any) -> dict[str, Any]:
    if array.dtype.kind == "b":
        return {"bool": lambda v: " True" if v and not array.all() else str(bool(v))}
    if array.dtype.kind != "f":
        return {}
    finite = array[np.isfinite(array)]
    digits = _options.precision
    if finite.size and (finite == np.trunc(finite)).all() and np.abs(finite).max(initial=0) < 1e8:
        make = "{:.0f}.".format
    else:
        sizes = np.abs(finite[finite != 0])
        wide = sizes.size and (sizes.max() >= 1e8 or sizes.max() / sizes.min() > 1000 or sizes.max() < 1e-4)
        make = (f"{{:.{digits}e}}" if wide else f"{{:.{digits}f}}").format

    def one(v: Any) -> str:
        return make(v) if math.isfinite(v) else ("nan" if v != v else ("inf" if v > 0 else "-inf"))

    width = max((len(one(v)) for v in _shown(array)), default=0)
    return {"float": lambda v: one(v).rjust(width)}


def _shown(array: Any) -> Any:
    if array.size <= _options.threshold:
        return array.reshape(-1)
    edge = _options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis)
    return array.reshape(-1)


def tensor_text(tensor: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`; a tensor under capture shows its shape and type instead of numbers."""
    if tensor.is_symbolic:
        return f"tensor(<captured>, shape=[{', '.join(map(str, tensor.shape))}], dtype={tensor.dtype})"
    array, dtype = tensor._data, tensor.dtype
    if dtype is dtypes.bfloat16:
        array = array.astype(np.float32)
    body = np.array2string(
        array, separator=", ", prefix="tensor(", threshold=_options.threshold, edgeitems=_options.edgeitems,
        max_line_width=_options.linewidth, formatter=_formatter(array),
    )  # fmt: skip
    tail = ""
    if array.size == 0 and array.ndim != 1:
        tail += f", size=({', '.join(map(str, array.shape))})"
    default = (dtypes.get_default_dtype(), dtypes.int64, dtypes.bool_)
    if dtype not in default or (array.size == 0 and dtype is not default[0]):
        tail += f", dtype={dtype}"
    if tensor.grad_fn is not None:
        tail += f", grad_fn=<{tensor.grad_fn.name()}>"
    elif tensor.requires_grad:
        tail += ", requires_grad=True"
    return f"tensor({body}{tail})"
