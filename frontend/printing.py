"""How tensors print: as in PyTorch, with four digits, and a summary beyond a thousand elements."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from . import dtypes
from .device import to_host
from .errors import ArgumentError

if TYPE_CHECKING:
    from .tensor import Tensor

__all__ = ["get_printoptions", "printoptions", "set_printoptions", "tensor_text"]

Writer = tuple[Callable[[Any], str], int]  # a function that writes an element, and the width it takes


class _Options:
    precision = 4
    threshold: float = 1000
    edgeitems = 3
    linewidth = 80
    sci_mode: bool | None = None


_options = _Options()
_NAMES = ("precision", "threshold", "edgeitems", "linewidth")
_PROFILES = {
    "default": (4, 1000, 3, 80), "short": (2, 1000, 2, 80), "full": (4, math.inf, 3, 80),
}  # fmt: skip


def set_printoptions(
    precision: int | None = None, threshold: float | None = None, edgeitems: int | None = None,
    linewidth: int | None = None, profile: str | None = None, sci_mode: bool | None = None,
) -> None:  # fmt: skip
    """Digits after the point, elements before summarising, elements shown at each end then, and characters per line.

    `profile` sets all four ("default", "short" or "full"); `sci_mode` forces exponents (True) or points (False), and is
    chosen by the numbers (None) again by every call that does not give it.

    >>> import pappus as pp
    >>> pp.set_printoptions(precision=2)
    >>> pp.tensor([1.2345])
    tensor([1.23])
    >>> pp.set_printoptions(profile="default")
    """
    if profile is not None:
        if profile not in _PROFILES:
            raise ArgumentError(f"set_printoptions: profile must be one of {', '.join(_PROFILES)}, got {profile!r}")
        for name, value in zip(_NAMES, _PROFILES[profile], strict=True):
            setattr(_options, name, value)
    for name, given in zip(_NAMES, (precision, threshold, edgeitems, linewidth), strict=True):
        if given is not None:
            setattr(_options, name, given)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current settings, as `set_printoptions` takes them."""
    return {name: getattr(_options, name) for name in (*_NAMES, "sci_mode")}


@contextmanager
def printoptions(**options: Any) -> Iterator[None]:
    """The given settings inside a `with` block."""
    before = get_printoptions()
    set_printoptions(**options)
    try:
        yield
    finally:
        set_printoptions(**before)


# -- one element ----------------------------------------------------------------------------------


def _real_writer(shown: Any) -> Writer:
    """For floating-point elements: aligned to the width that the finite nonzero ones need.

    Whole numbers get a point and no digits; numbers of very different sizes, large or small ones an exponent.
    """
    finite = [float(v) for v in shown if math.isfinite(v) and v != 0]
    digits, width = _options.precision, 1
    write: Callable[[float], str] = "{:.0f}.".format
    if finite:
        whole = all(v == math.ceil(v) for v in finite)
        large, small = max(map(abs, finite)), min(map(abs, finite))
        exponent = _options.sci_mode
        if exponent is None:
            exponent = large / small > 1000 or large > 1e8 or small < 1e-4
        if exponent:
            write = f"{{:.{digits}e}}".format
        elif not whole:
            write = f"{{:.{digits}f}}".format
        width = max(len(write(v)) for v in finite)
    return (lambda v: (write(v) if math.isfinite(v) else str(v)).rjust(width)), width


def _complex_writer(shown: Any) -> Writer:
    """Real and imaginary parts, each in a style of its own."""
    (real, first), (imag, second) = _real_writer(shown.real), _real_writer(shown.imag)

    def one(v: complex) -> str:
        part = imag(v.imag).lstrip() + "j"
        return real(v.real) + (part if part.startswith("-") else f"+{part}")

    return one, first + second + 1


def _writer(array: Any) -> Writer:
    shown = _shown(array)
    if array.dtype.kind == "c":
        return _complex_writer(shown)
    if array.dtype.kind == "f":
        return _real_writer(shown)
    width = max((len(str(v)) for v in shown.tolist()), default=0)
    return (lambda v: str(v).rjust(width)), width


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


def _row(array: Any, indent: int, writer: Writer, short: bool) -> str:
    """A vector, in as many lines as it needs."""
    items = array.tolist()
    edge = _options.edgeitems
    write, width = writer
    if short and not edge:
        texts = ["..."]
    elif short and len(items) > 2 * edge:
        texts = [*map(write, items[:edge]), " ...", *map(write, items[-edge:])]
    else:
        texts = [write(v) for v in items]
    each = max((_options.linewidth - indent) // (width + 2), 1)
    lines = [", ".join(texts[at : at + each]) for at in range(0, len(texts), each)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _body(array: Any, indent: int, writer: Writer, short: bool) -> str:
    if array.ndim == 0:
        return writer[0](array.item())
    if array.ndim == 1:
        return _row(array, indent, writer, short)
    edge = _options.edgeitems
    if short and len(array) > 2 * edge:
        parts = [_body(a, indent + 1, writer, short) for a in (*array[:edge], *array[len(array) - edge :])]
        parts.insert(edge, "...")
    else:
        parts = [_body(a, indent + 1, writer, short) for a in array]
    between = "," + "\n" * int(array.ndim - 1) + " " * (indent + 1)
    return "[" + between.join(parts) + "]"


def _notes(tensor: Tensor, array: Any) -> list[str]:
    """What stands behind the elements: the shape where they do not show it, an unusual type, the gradient."""
    notes = []
    empty = array.size == 0
    if (empty and array.ndim != 1) or (not empty and not _options.edgeitems):
        ends = "," if array.ndim == 1 else ""
        notes.append(f"size=({', '.join(map(str, array.shape))}{ends})")
    if tensor.device != "cpu":
        notes.append(f"device='{tensor.device}'")
    default = dtypes.get_default_dtype()
    usual = (default,) if empty else (default, dtypes.default_complex(), dtypes.int64, dtypes.bool_)
    if tensor.dtype not in usual:
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
    from .nn.parameter import Parameter

    plain = isinstance(tensor, Parameter) or type(tensor).__module__.startswith("pappus.")
    prefix = "tensor(" if plain else f"{type(tensor).__name__}("
    array: Any = to_host(tensor._data)
    dtype = tensor.dtype
    if dtype.is_storage or dtype is dtypes.bfloat16:
        array = array.view(dtype.values).astype(np.float32 if dtype.is_floating_point else np.int8)
    text = prefix + "[]" if array.size == 0 else prefix + _body(
        array, len(prefix), _writer(array), array.size > _options.threshold
    )  # fmt: skip
    last = len(text) - text.rfind("\n") + 1
    for note in _notes(tensor, array):
        if last + len(note) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + note
            last = len(prefix) + len(note)
        else:
            text += ", " + note
            last += len(note) + 2
    return text + ")"
