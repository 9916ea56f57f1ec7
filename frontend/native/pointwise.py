"""Elementwise functions that numpy has none for or needs many passes for, as pointwise programs."""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from . import direct, suits

__all__ = ["erf", "gelu", "gelu_grad", "sigmoid"]

POINTWISE = 1  # docs/format.md

# register numbers: operands first, then one for each line
_PROGRAMS: dict[str, tuple[Any, ...]] = {
    "erf": (1, ("ERF", 0)),
    "sigmoid": (1, ("SIGMOID", 0)),
    "gelu": (  # (erf(x / sqrt 2) + 1) x / 2
        1,
        ("CONST", math.sqrt(0.5)), ("MUL", 0, 1), ("ERF", 2), ("CONST", 1.0), ("ADD", 3, 4), ("MUL", 5, 0),
        ("CONST", 0.5), ("MUL", 6, 7),
    ),
    "gelu_grad": (  # g ((erf(x / sqrt 2) + 1) / 2 + x exp(-x x / 2) / sqrt(2 pi))
        2,
        ("CONST", math.sqrt(0.5)), ("MUL", 1, 2), ("ERF", 3), ("CONST", 1.0), ("ADD", 4, 5), ("CONST", 0.5),
        ("MUL", 6, 7), ("MUL", 3, 3), ("NEG", 9), ("EXP", 10), ("MUL", 11, 1), ("CONST", 1 / math.sqrt(2 * math.pi)),
        ("MUL", 12, 13), ("ADD", 8, 14), ("MUL", 15, 0),
    ),
}  # fmt: skip


@functools.cache
def _program(name: str) -> Any:
    return direct().Program(*_PROGRAMS[name])


def _apply(name: str, *arrays: Any) -> Any:
    if not suits(*arrays) or arrays[0].ndim > 8:
        return None
    out = np.empty(arrays[0].shape, arrays[0].dtype)
    return out if direct().run(POINTWISE, arrays, (out,), program=_program(name)) else None


def erf(x: Any) -> Any:
    """The error function; None where numpy should do it."""
    return _apply("erf", x)


def gelu(x: Any) -> Any:
    """x times the normal distribution function; None where numpy should do it."""
    return _apply("gelu", x)


def gelu_grad(g: Any, x: Any) -> Any:
    """The gradient of `gelu`; None where numpy should do it."""
    return _apply("gelu_grad", g, x)


def sigmoid(x: Any) -> Any:
    """1 / (1 + exp(-x)); None where numpy should do it."""
    return _apply("sigmoid", x)
