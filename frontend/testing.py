"""Comparing tensors in tests: `assert_close`, with a message that says where and by how much they differ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pappus.frontend.tensor import Tensor

__all__ = ["assert_allclose", "assert_close"]

# By type: what a few roundings of its arithmetic come to.
_TOLERANCES = {
    "float16": (1e-3, 1e-5), "bfloat16": (1.6e-2, 1e-5), "float32": (1.3e-6, 1e-5), "float64": (1e-7, 1e-7),
    "complex64": (1.3e-6, 1e-5), "complex128": (1e-7, 1e-7),
}  # fmt: skip


def assert_close(
    actual: Any, expected: Any, *, allow_subclasses: bool = True, rtol: float | None = None, atol: float | None = None,
    equal_nan: bool = False, check_device: bool = True, check_dtype: bool = True, check_layout: bool = True,
    check_stride: bool = False, msg: Any = None,
) -> None:  # fmt: skip
    """Raise AssertionError unless |actual - expected| <= atol + rtol |expected| everywhere.

    Tensors, numbers, arrays, and lists, tuples and dicts of them. The tolerances, given both or neither, follow from
    the types: 1.3e-6 and 1e-5 for float32, 1e-7 for float64, none for integers.

    >>> import pappus as pp
    >>> assert_close(pp.tensor([1.0, 2.0]), pp.tensor([1.0, 2.1]))
    Traceback (most recent call last):
    AssertionError: Tensor-likes are not close!
    <BLANKLINE>
    Mismatched elements: 1 / 2 (50.0%)
    Greatest absolute difference: 0.09999990463256836 at index (1,) (up to 1e-05 allowed)
    Greatest relative difference: 0.047619 at index (1,) (up to 1.3e-06 allowed)
    """
    if (rtol is None) != (atol is None):
        raise ValueError("assert_close: give rtol and atol both, or neither")
    options = (rtol, atol, equal_nan, check_dtype, check_stride)
    text = _difference(actual, expected, options, "")
    if text:
        shown = msg(text) if callable(msg) else msg
        raise AssertionError(shown or text)


def assert_allclose(actual: Any, expected: Any, rtol: Any = None, atol: Any = None, equal_nan: bool = True) -> None:
    """`assert_close` under its old name: NaN equals NaN, and the types may differ."""
    assert_close(actual, expected, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=False)


def _difference(actual: Any, expected: Any, options: Any, place: str) -> str:
    """What differs, as text; empty where nothing does."""
    where = f"\nThe failure occurred for item {place}" if place else ""
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        if set(actual) != set(expected):
            return f"The keys of the mappings do not match: {sorted(map(str, set(actual) ^ set(expected)))}{where}"
        pairs = [(actual[key], expected[key], f"{place}[{key!r}]") for key in expected]
        return next((text for a, e, at in pairs if (text := _difference(a, e, options, at))), "")
    plain = (str, bytes, Tensor, np.ndarray)
    if isinstance(expected, Sequence) and isinstance(actual, Sequence) and not isinstance(expected, plain):
        if len(actual) != len(expected):
            return f"The length of the sequences mismatch: {len(actual)} != {len(expected)}{where}"
        parts = enumerate(zip(actual, expected, strict=True))
        return next((text for i, (a, e) in parts if (text := _difference(a, e, options, f"{place}[{i}]"))), "")
    text = _unlike(actual, expected, options)
    return text + where if text else ""


def _unlike(actual: Any, expected: Any, options: Any) -> str:
    rtol, atol, equal_nan, check_dtype, check_stride = options
    if actual is None or expected is None or isinstance(expected, str):
        return "" if actual == expected else f"{actual!r} is not equal to {expected!r}"
    if isinstance(actual, Tensor) != isinstance(expected, Tensor):
        return f"No comparison of {type(actual).__name__} and {type(expected).__name__}: give tensors or numbers both"
    a, e = (v.detach().numpy() if isinstance(v, Tensor) else np.asarray(v) for v in (actual, expected))
    if a.shape != e.shape:
        return f"The values for attribute 'shape' do not match: {list(a.shape)} != {list(e.shape)}."
    if check_dtype and a.dtype != e.dtype:
        return f"The values for attribute 'dtype' do not match: {a.dtype} != {e.dtype}."
    if check_stride and a.strides != e.strides:
        return f"The values for attribute 'stride()' do not match: {a.strides} != {e.strides}."
    if rtol is None:
        found = [_TOLERANCES.get(d.name, (0.0, 0.0)) for d in (a.dtype, e.dtype)]
        rtol, atol = max(f[0] for f in found), max(f[1] for f in found)
    wide = np.complex128 if "c" in (a.dtype.kind, e.dtype.kind) else np.float64
    if a.dtype.kind in "iub" and e.dtype.kind in "iub":
        wide = np.int64 if "uint64" not in (a.dtype.name, e.dtype.name) else np.uint64  # type: ignore[assignment]
    a, e = a.astype(wide), e.astype(wide)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        absolute = np.abs(a - e)
        relative = absolute / np.abs(e)
        close = (a == e) | (np.isfinite(a) & np.isfinite(e) & (absolute <= atol + rtol * np.abs(e)))
        if equal_nan:
            close |= (a != a) & (e != e)
    if close.all():
        return ""
    if not a.shape:
        return (
            f"Scalars are not close!\n\nExpected {e[()]} but got {a[()]}.\n"
            f"Absolute difference: {absolute[()]} (up to {atol} allowed)\n"
            f"Relative difference: {relative[()]} (up to {rtol} allowed)"
        )
    wrong = int((~close).sum())
    absolute, relative = (np.where(close, -1.0, np.nan_to_num(v, nan=np.inf)) for v in (absolute, relative))
    places = [np.unravel_index(int(v.argmax()), v.shape) for v in (absolute, relative)]
    one, two = (tuple(int(i) for i in place) for place in places)
    share = 100 * wrong / close.size
    return (
        f"Tensor-likes are not close!\n\nMismatched elements: {wrong} / {close.size} ({share:.1f}%)\n"
        f"Greatest absolute difference: {absolute[one]} at index {one} (up to {atol} allowed)\n"
        f"Greatest relative difference: {relative[two]:.6g} at index {two} (up to {rtol} allowed)"
    )
