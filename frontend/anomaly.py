"""Anomaly mode: a gradient that is not a number is an error at once, and names the forward line it belongs to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import AutogradError, PappusError
from .source import user_location
from .tape import Node, anomaly
from .tensor import Tensor

__all__ = ["detect_anomaly", "is_anomaly_check_nan_enabled", "is_anomaly_enabled", "set_detect_anomaly"]


def _has_nan(tensor: Tensor | None) -> bool:
    if tensor is None or not isinstance(tensor._data, np.ndarray):
        return False
    return bool(np.isnan(tensor._data).any())


def check_gradients(node: Node, given: Sequence[Any], found: Sequence[Tensor | None]) -> None:
    """Raise where the gradients `found` of a node's operands are nan; `given` are those of its results."""
    if not anomaly or not anomaly[-1]:
        return
    for at, gradient in enumerate(found):
        if not _has_nan(gradient):
            continue
        operand = node.operands()[at] if node.args else None
        shape = "" if operand is None else f" (an operand of shape {list(operand.shape)})"
        came = (
            "the gradient that came in was nan already: a hook, or the gradient passed to backward(), made it"
            if any(_has_nan(g) for g in given)
            else "the gradient that came in was not nan, so this operator made it: look for a division by zero, sqrt "
            "or log at 0, or inf - inf in its operands"
        )
        raise AutogradError(
            f"Function '{node.name()}' returned nan values in its {at}th output: the gradient of {node.op.name}() "
            f"called at {node.location} is nan for operand {at}{shape}; {came}"
        ).at(None, user_location())


def name_forward(error: Exception, node: Node) -> None:
    """In anomaly mode, add to an error inside a gradient the forward line it belongs to."""
    if anomaly and not isinstance(error, PappusError):
        error.add_note(f"in the gradient of {node.op.name}(), called at {node.location}")


class set_detect_anomaly:
    """Switch anomaly mode on or off, at once or for a `with` block; with `check_nan=False` only forward lines are
    named.

    >>> import pappus as pp
    >>> with pp.autograd.set_detect_anomaly(True):
    ...     pp.is_anomaly_enabled()
    True
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = list(anomaly)
        anomaly[:] = [check_nan] if mode else []

    def __enter__(self) -> set_detect_anomaly:
        return self

    def __exit__(self, *exc: Any) -> None:
        anomaly[:] = self._before


class detect_anomaly:
    """A `with` block in which backward raises AutogradError where a gradient becomes nan, naming the forward line.

    >>> import pappus as pp
    >>> x = pp.tensor([0.0], requires_grad=True)
    >>> with pp.autograd.detect_anomaly():
    ...     (x.sqrt() * 0).sum().backward()
    Traceback (most recent call last):
    pappus.frontend.errors.AutogradError: Function 'SqrtBackward0' returned nan values in its 0th output: ...
    """

    def __init__(self, check_nan: bool = True) -> None:
        self._check, self._before = check_nan, list[bool]()

    def __enter__(self) -> detect_anomaly:
        self._before = list(anomaly)
        anomaly[:] = [self._check]
        return self

    def __exit__(self, *exc: Any) -> None:
        anomaly[:] = self._before


def is_anomaly_enabled() -> bool:
    """Whether anomaly mode is on.

    >>> import pappus as pp
    >>> pp.is_anomaly_enabled()
    False
    """
    return bool(anomaly)


def is_anomaly_check_nan_enabled() -> bool:
    """Whether anomaly mode looks for nan.

    >>> import pappus as pp
    >>> pp.is_anomaly_check_nan_enabled()
    False
    """
    return bool(anomaly and anomaly[-1])
