"""Operator signatures: `softmax(Tensor self, int dim=-1, *, dtype? dtype=None) -> Tensor`, parsed once.

Types are `Tensor`, `Tensor?`, `Tensor[]`, `Tensor|Scalar` (a Python number becomes a 0-d tensor), `int`, `int[]` (one
int is accepted), `int[2]` (one int is repeated), `float`, `bool`, `str`, `Scalar`, `dtype`, `any`; `?` after a type
admits None. `fronts` writes the operator's public function from it.
"""

from __future__ import annotations

import ast
import difflib
import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from .dtypes import DType, as_dtype
from .errors import ArgumentError
from .source import user_location
from .symbolic import SymInt

__all__ = ["Param", "Schema", "converter", "parse"]

_TENSORS = ("Tensor", "Tensor?", "Tensor[]", "Tensor|Scalar", "Tensor|Scalar?")
_NESTED = re.compile(r"[\[\](\"']")
_PARAM = re.compile(r"^(?P<type>\S+)\s+(?P<name>\w+)\s*(?:=\s*(?P<default>.+))?$")


class _Required:
    def __repr__(self) -> str:
        return "required"


REQUIRED: Any = _Required()

# Names that callers use for the same parameter: PyTorch's own, and numpy's where PyTorch takes those too.
_OTHER_NAMES = {
    "input": "self", "self": "input", "x": "self", "axis": "dim", "keepdims": "keepdim", "axes": "dims", "x1": "self",
    "x2": "other", "size": "shape", "exponent": "other",
}  # fmt: skip


@dataclass(frozen=True)
class Param:
    """One parameter: its name, its type as written, its default (REQUIRED if none) and whether it is keyword-only."""

    name: str
    type: str
    default: Any = REQUIRED
    kw_only: bool = False

    @property
    def is_tensor(self) -> bool:
        """Whether arguments for it travel in `args` (as tensors) and not in `attrs`."""
        return self.type in _TENSORS


@dataclass(frozen=True)
class Schema:
    """A parsed signature: operator name, parameters in order, number of results (0 for a list), and its text."""

    name: str
    params: tuple[Param, ...]
    returns: tuple[str, ...]
    text: str

    @property
    def tensors(self) -> tuple[Param, ...]:
        """The tensor parameters, in the order of `args`."""
        return tuple(p for p in self.params if p.is_tensor)

    @property
    def attrs(self) -> tuple[Param, ...]:
        """The parameters that are not tensors."""
        return tuple(p for p in self.params if not p.is_tensor)

    def __str__(self) -> str:
        return self.text


def _split(text: str) -> list[str]:
    """Split at commas that are outside brackets and quotes."""
    if not _NESTED.search(text):
        return [part.strip() for part in text.split(",")] if text.strip() else []
    parts, depth, quote, start = [], 0, "", 0
    for at, char in enumerate(text):
        if quote:
            quote = "" if char == quote else quote
        elif char in "'\"":
            quote = char
        elif char in "([":
            depth += 1
        elif char in ")]":
            depth -= 1
        elif char == "," and depth == 0:
            parts.append(text[start:at].strip())
            start = at + 1
    last = text[start:].strip()
    return [*parts, last] if last else parts


_WORDS = {"None": None, "True": True, "False": False, "0": 0, "1": 1, "-1": -1, "'mean'": "mean"}


def _default(text: str, kind: str) -> Any:
    if kind.startswith("dtype") and text != "None":
        return as_dtype(text)
    if text in _WORDS:
        return _WORDS[text]
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError):
        if text in ("inf", "-inf"):
            return float(text)
        value = text
    return tuple(value) if isinstance(value, list) else value


def parse(text: str) -> Schema:
    """Parse a signature string. Raises ValueError where it is malformed.

    >>> parse("clamp(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor").params[1].default is None
    True
    """
    match = re.match(r"^\s*(\w+)\((.*)\)\s*->\s*(.+?)\s*$", text, re.S)
    if match is None:
        raise ValueError(f"malformed operator signature: {text!r}")
    name, inside, result = match.groups()
    params, kw_only = [], False
    for part in _split(inside):
        if part == "*":
            kw_only = True
            continue
        found = _PARAM.match(part)
        if found is None:
            raise ValueError(f"malformed parameter {part!r} in operator signature {text!r}")
        raw = found["default"]
        default = REQUIRED if raw is None else _default(raw.strip(), found["type"])
        params.append(Param(found["name"], found["type"], default, kw_only))
    returns = tuple(r.split()[0] for r in _split(result.strip().removeprefix("(").removesuffix(")")))
    return Schema(name, tuple(params), returns, " ".join(text.split()))


# -- argument conversion ------------------------------------------------------------------------


def _bad(op: str, name: str, want: str, value: Any) -> ArgumentError:
    got = type(value).__name__
    text = f"{op}: argument '{name}' must be {want}, got {got}"
    if got == "ndarray":
        text += "; wrap the array with pappus.from_numpy(array)"
    error = ArgumentError(text)
    error.at(op, user_location())
    return error


def _to_int(op: str, name: str, value: Any) -> Any:
    if isinstance(value, SymInt):
        return value
    try:
        return operator.index(value)
    except TypeError:
        raise _bad(op, name, "an int", value) from None


def _to_ints(op: str, name: str, value: Any, length: int = 0) -> tuple[Any, ...]:
    if isinstance(value, (list, tuple)):
        for v in value:
            if type(v) is not int:
                items = tuple([_to_int(op, name, v) for v in value])
                break
        else:
            if type(value) is tuple and not length:
                return value
            items = tuple(value)
        return items * length if length and len(items) == 1 else items
    item = _to_int(op, name, value)
    return (item,) * (length or 1)


def _to_float(op: str, name: str, value: Any) -> float:
    try:
        return float(value)
    except TypeError:
        raise _bad(op, name, "a number", value) from None


def _to_scalar(op: str, name: str, value: Any) -> Any:
    if isinstance(value, (bool, int, float, complex, SymInt)):
        return value
    if hasattr(value, "item"):  # numpy scalars and 0-d tensors
        return value.item()
    raise _bad(op, name, "a number", value)


def _to_str(op: str, name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _bad(op, name, "a str", value)
    return value


def _to_dtype(op: str, name: str, value: Any) -> DType:
    try:
        return as_dtype(value)
    except TypeError:
        raise _bad(op, name, "a dtype such as pappus.float32", value) from None


def _to_floats(op: str, name: str, value: Any) -> tuple[float, ...]:
    if isinstance(value, (list, tuple)):
        return tuple(_to_float(op, name, v) for v in value)
    return (_to_float(op, name, value),)


def _to_bool(op: str, name: str, value: Any) -> bool:
    return bool(value)


def converter(param: Param) -> tuple[Callable[..., Any] | None, str, str]:
    """The converter for an attribute, the test that skips it, and its extra argument."""
    base = param.type.removesuffix("?")
    sized = re.match(r"^int\[(\d+)\]$", base)
    if sized:
        return _to_ints, "", f", {sized[1]}"
    table: dict[str, tuple[Callable[..., Any], str]] = {
        "int": (_to_int, "type({0}) is not int"),
        "int[]": (_to_ints, ""),
        "float[]": (_to_floats, ""),
        "float": (_to_float, "type({0}) is not float"),
        "bool": (_to_bool, "type({0}) is not bool"),
        "str": (_to_str, "type({0}) is not str"),
        "Scalar": (_to_scalar, "type({0}) is not float"),
        "dtype": (_to_dtype, "type({0}) is not DType"),
    }
    if base in table:
        return (*table[base], "")
    if base in ("any", "Generator"):
        return None, "", ""
    raise ValueError(f"unknown type {param.type!r} of parameter {param.name!r}")


def respell(params: Sequence[str], given: dict[str, Any]) -> dict[str, Any]:
    """`given` with other spellings of parameters (`input`, `axis`, `keepdims`) replaced by the names in `params`."""
    found = {}
    for name, value in given.items():
        known = _OTHER_NAMES.get(name, name)
        found[known if known in params and name not in params and known not in given else name] = value
    return found


def check_call(name: str, signature: str, params: Sequence[tuple[str, bool]], count: int, given: Sequence[str]) -> None:
    """Refuse a call of `name` with `count` positional arguments and the keywords `given` that does not fit `params`.

    `params` are (name, is required) of the positional parameters, then those of the keyword-only ones after ("*",
    False).
    """
    at = params.index(("*", False)) if ("*", False) in params else len(params)
    names = [p for p, _ in params if p != "*"]
    if count > at:
        raise ArgumentError(
            f"{name}: takes at most {at} positional arguments, got {count}; the signature is {signature}"
        )
    for word in given:
        if word not in names:
            near = difflib.get_close_matches(word, names, 1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ArgumentError(f"{name}: has no argument '{word}'{hint}; the signature is {signature}")
        if word in names[: min(count, at)]:
            raise ArgumentError(f"{name}: argument '{word}' is given twice; the signature is {signature}")
    for number, (param, required) in enumerate(p for p in params if p[0] != "*"):
        if required and param not in given and not number < count:
            raise ArgumentError(f"{name}: argument '{param}' is missing; the signature is {signature}")


def describe(values: Sequence[Any]) -> str:
    """`float32[2, 3], int64[4]`: operands as error messages show them."""
    parts = []
    for value in values:
        if isinstance(value, (list, tuple)):
            parts.append("[" + describe(value) + "]")
        elif value is None:
            parts.append("None")
        else:
            parts.append(f"{value.dtype.name}[{', '.join(map(str, value.shape))}]")
    return ", ".join(parts)
