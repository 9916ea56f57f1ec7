"""How tensors print: as in PyTorch, with four digits, and a summary beyond a thousand elements."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["set_printoptions", "tensor_text"]

_PREFIX = "tensor("


class _Options:
    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80


_options = _Options()


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None,
) -> None:  # fmt: skip
    """Digits after the point, elements before summarising, elements shown at each end then, and characters per line."""
    given = {"precision": precision, "threshold": threshold, "edgeitems": edgeitems, "linewidth": linewidth}
    for name, value in given.items():
        if value is not None:
            setattr(_options, name, value)


# -- one element ----------------------------------------------------------------------------------


def _float_format(shown: Any) -> tuple[Callable[[float], str], int]:
    """How to write floating-point elements, and the width that the finite nonzero ones need.

    Whole numbers get a point and no digits; numbers of very different sizes, large or small ones an exponent.
    """
    numbers = [abs(float(v)) for v in shown if math.isfinite(v) and v != 0]
    if not numbers:
        return "{:.0f}.".format, 1
    whole = all(v == math.ceil(v) for v in numbers)
    large, small = max(numbers), min(numbers)
    if large / small > 1000 or large > 1e8 or (small < 1e-4 and not whole):
        write = f"{{:.{_options.precision}e}}".format
    else:
        write = "{:.0f}.".format if whole else f"{{:.{_options.precision}f}}".format
    return write, max(len(write(float(v))) for v in shown if math.isfinite(v) and v != 0)


def _formatter(array: Any) -> tuple[Callable[[Any], str], int]:
    """A function that writes an element right-aligned, and the width it aligns to."""
    shown = _shown(array)
    if array.dtype.kind != "f":
        width = max((len(str(v)) for v in shown.tolist()), default=0)
        return lambda v: str(v).rjust(width), width
    write, width = _float_format(shown)

    def one(v: float) -> str:
        return (write(v) if math.isfinite(v) else str(v)).rjust(width)

    return one, width


def _shown(array: Any) -> Any:
    """The elements that appear: all, or those near the ends of every dimension."""
    if array.size <= _options.threshold:
        return array.reshape(-1)
    edge = _options.edgeitems
    for axis, n in enumerate(array.shape):
        if n > 2 * edge:
            array = np.take(array, [*range(edge), *range(n - edge, n)], axis)
    return array.reshape(-1)


# -- all of them ----------------------------------------------------------------------------------


def _row(array: Any, indent: int, write: Callable[[Any], str], width: int, short: bool) -> str:
    """A vector, in as many lines as it needs."""
    items = array.tolist()
    edge = _options.edgeitems
    if short and len(items) > 2 * edge:
        texts = [*map(write, items[:edge]), " ...", *map(write, items[-edge:])]
    else:
        texts = [write(v) for v in items]
    each = max((_options.linewidth - indent) // (width + 2), 1)
    lines = [", ".join(texts[at : at + each]) for at in range(0, len(texts), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _body(array: Any, indent: int, write: Callable[[Any], str], width: int, short: bool) -> str:
    if array.ndim == 0:
        text: str = write(array.item())
        return text
    if array.ndim == 1:
        return _row(array, indent, write, width, short)
    edge = _options.edgeitems
    if short and len(array) > 2 * edge:
        parts = [_body(a, indent + 1, write, width, short) for a in (*array[:edge], *array[-edge:])]
        parts.insert(edge, "...")
    else:
        parts = [_body(a, indent + 1, write, width, short) for a in array]
    between = "," + "\n" * int(array.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _notes(tensor: Tensor, array: Any) -> list[str]:
    """What stands behind the elements: the shape where they do not show it, an unusual type, the gradient."""
    notes = []
    empty = array.size == 0
    if empty and array.ndim != 1:
        notes.append(f"size=({', '.join(map(str, array.shape))})")
    default = dtypes.get_default_dtype()
    if tensor.dtype is not default and (empty or tensor.dtype not in (dtypes.int64, dtypes.bool_)):
        notes.append(f"dtype={tensor.dtype}")
    if tensor.grad_fn is not None:
        notes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        notes.append("requires_grad=True")
    return notes


def tensor_text(tensor: Tensor) -> str:
    """`tensor([1., 2.], requires_grad=True)`; a tensor under capture shows its shape and type instead of numbers."""
    if tensor.is_symbolic:
        return f"tensor(<captured>, shape=[{', '.join(map(str, tensor.shape))}], dtype={tensor.dtype})"
    array: Any = tensor._data
    if tensor.dtype is dtypes.bfloat16:
        array = array.astype(np.float32)
    if array.size == 0:
        text = _PREFIX + "[]"
    else:
        write, width = _formatter(array)
        text = _PREFIX + _body(array, len(_PREFIX), write, width, array.size > _options.threshold)
    last = len(text) - text.rfind("\n") + 1
    for note in _notes(tensor, array):
        if last + len(note) + 2 > _options.linewidth:
            text += ",\n" + " " * len(_PREFIX) + note
            last = len(_PREFIX) + len(note)
        else:
            text += ", " + note
            last += len(note) + 2
    return text + ")"
