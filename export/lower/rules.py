"""The registry of lowering rules: core operator -> instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pappus.export.lower.fuse import Unit
    from pappus.export.lower.method import MethodLowering

Rule = Callable[["MethodLowering", "Unit"], None]
RULES: dict[str, Rule] = {}


class Unsupported(Exception):
    """A rule cannot lower this node; the text says what exactly and the way out."""


def rule(*names: str) -> Callable[[Rule], Rule]:
    """Register a lowering rule for core operators."""

    def register(function: Rule) -> Rule:
        for name in names:
            RULES[name] = function
        return function

    return register


def load_rules() -> None:
    """Import the rule files, which register themselves."""
    from pappus.export.lower import (  # noqa: F401 - imported for their registrations
        rules_conv,
        rules_index,
        rules_matmul,
        rules_reduce,
        rules_resize,
        rules_shape,
        rules_state,
    )
