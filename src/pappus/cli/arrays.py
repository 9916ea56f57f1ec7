"""Inputs named on the command line: files, random numbers, zeros, and the sizes they get."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

import click
import numpy as np

from pappus.cli.errors import DataError

if TYPE_CHECKING:
    from pappus.cli.papfile import Method as FileMethod
    from pappus.runtime import MethodInfo, PortInfo

Array = np.ndarray[Any, Any]
MADE = ("random", "zeros")


def parse_pairs(texts: Sequence[str], option: str, form: str) -> dict[str, str]:
    """`NAME=VALUE` texts as a dict; click.UsageError for any other form or a repeated name."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value):
            raise click.UsageError(f"{option} {text!r}: expected {form}")
        if name in found:
            raise click.UsageError(f"{option}: {name!r} is given twice")
        found[name] = value
    return found


def parse_sizes(texts: Sequence[str]) -> dict[str, int]:
    """`NAME=N` texts of --size."""
    found = {}
    for name, value in parse_pairs(texts, "--size", "NAME=N, for example batch=4").items():
        if not value.isdecimal():
            raise click.UsageError(f"--size {name}={value}: expected a whole number")
        found[name] = int(value)
    return found


def check_sizes(given: Mapping[str, int], methods: Sequence[MethodInfo]) -> None:
    """DataError for a name that is no dimension of any of the methods."""
    known = list(dict.fromkeys(s.name for m in methods for s in m.symbols))
    for name in given:
        if name not in known:
            listed = ", ".join(known) or "none"
            raise DataError(f"--size {name}: no method has a dimension {name!r}; dimensions: {listed}")


def read_array(path: str) -> Array:
    """A .npy file, or one array of an .npz file as FILE.npz:NAME. DataError if there is none."""
    file, key = path, None
    if not os.path.exists(path) and ".npz:" in path:
        file, _, key = path.rpartition(":")
    try:
        loaded: Any = np.load(file, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{file}: {error.strerror or error}") from None
    except (ValueError, EOFError, BadZipFile) as error:
        # Whatever is no .npy file, numpy takes for a pickle, which is never loaded.
        why = "" if "pickle" in str(error) else f" ({error})"
        raise DataError(f"{file}: not a whole .npy or .npz file{why}") from None
    if isinstance(loaded, np.ndarray):
        return loaded
    with loaded:
        names = list(loaded.files)
        if key is None and len(names) == 1:
            key = names[0]
        if key not in names:
            what = f"has no array {key!r}" if key else f"holds {len(names)} arrays; name one as {file}:NAME"
            raise DataError(f"{file} {what}; its arrays are: {', '.join(names) or 'none'}")
        array: Array = loaded[key]
        return array


def sizes_for(method: MethodInfo, given: Mapping[str, int], shapes: Mapping[str, Sequence[int]]) -> dict[str, int]:
    """Every symbol's size: from `shapes` of inputs that are there, then `given`, else the smallest allowed.

    Raises DataError for a name in `given` that the method does not have, and for a size outside its range.
    """
    known = {s.name: s for s in method.symbols}
    for name, size in given.items():
        if name not in known:
            raise DataError(
                f"--size {name}={size}: method {method.name!r} has no dimension {name!r}; "
                f"its dimensions are: {', '.join(known) or 'none'}"
            )
        symbol = known[name]
        if not symbol.min <= size <= symbol.max or size % symbol.multiple_of:
            step = f", a multiple of {symbol.multiple_of}" if symbol.multiple_of > 1 else ""
            raise DataError(f"--size {name}={size}: the program allows {symbol.min}..{symbol.max}{step}")
    sizes: dict[str, int] = {}
    for port in method.inputs:
        for dim, actual in zip(port.shape, shapes.get(port.name, ()), strict=False):
            if isinstance(dim, str) and dim in known:
                sizes.setdefault(dim, int(actual))
                if given.get(dim, actual) != actual:
                    raise DataError(f"--size {dim}={given[dim]}: the file of input {port.name!r} has {dim}={actual}")
    for name, symbol in known.items():
        smallest = -(-max(symbol.min, 1) // symbol.multiple_of) * symbol.multiple_of
        sizes.setdefault(name, given.get(name, smallest))
    return sizes


def make_array(port: PortInfo, kind: str, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """Zeros, or random numbers: standard normal for floats, 0 or 1 for integers and booleans."""
    dtype = _dtype(port.dtype)
    if kind == "zeros":
        return np.zeros(shape, dtype)
    if port.dtype.startswith(("float", "bfloat")):
        return rng.standard_normal(shape).astype(dtype)
    return rng.integers(0, 2, shape).astype(dtype)


def _dtype(name: str) -> np.dtype[Any]:
    if name == "bfloat16":
        import ml_dtypes

        found: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
        return found
    return np.dtype(name)


def gather(
    method: MethodInfo,
    file: FileMethod,
    given: Mapping[str, str],
    sizes: Mapping[str, int],
    *,
    seed: int = 0,
    fill: str | None = None,
) -> dict[str, Array]:
    """The arrays of a method's inputs from `--input` texts; `fill` is used for those that are not named.

    `file` knows the shapes that are computed from several dimensions. Raises DataError for unknown or missing inputs,
    unreadable files, and sizes that are not allowed.
    """
    ports = {p.name: p for p in method.inputs}
    listing = "\n".join(f"  {p}" for p in method.inputs) or "  (none)"
    for name in given:
        if name not in ports:
            raise DataError(f"--input {name}: method {method.name!r} has no input {name!r}; it takes\n{listing}")
    missing = [name for name in ports if name not in given]
    if missing and fill is None:
        raise DataError(
            f"input {missing[0]!r} of method {method.name!r} is missing: give --input {missing[0]}=FILE.npy, "
            f"or ={' or ='.join(MADE)}; it takes\n{listing}"
        )
    arrays = {n: _as_port(read_array(v), ports[n]) for n, v in given.items() if v not in MADE}
    found = sizes_for(method, sizes, {n: a.shape for n, a in arrays.items()})
    rng = np.random.default_rng(seed)
    for (name, port), operand in zip(ports.items(), file.inputs, strict=True):
        if name not in arrays:
            arrays[name] = make_array(port, given.get(name, fill or "random"), operand.at(found), rng)
    return {name: arrays[name] for name in ports}


def _as_port(array: Array, port: PortInfo) -> Array:
    # numpy writes ml_dtypes.bfloat16 as two untyped bytes.
    if port.dtype == "bfloat16" and array.dtype == np.dtype("V2"):
        return array.view(_dtype("bfloat16"))
    return array
