"""Progress bars for loops."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from typing import Any, TypeVar

from tqdm import tqdm

T = TypeVar("T")


def progress(iterable: Iterable[T], desc: str | None = None, *, show: bool | None = None, **options: Any) -> tqdm[T]:
    """Wrap an iterable so that walking it draws a bar on stderr.

    Quiet where nobody watches: when stderr is no terminal, or under CI; `show=True` or `False` decides otherwise.
    `options` go to tqdm. The result has tqdm's methods, such as `set_postfix(loss=...)`.

    >>> sum(progress(range(4), "adding", show=False))
    6
    """
    if show is None:
        show = sys.stderr.isatty() and not os.environ.get("CI")
    return tqdm(iterable, desc=desc, disable=not show, leave=options.pop("leave", False), **options)
