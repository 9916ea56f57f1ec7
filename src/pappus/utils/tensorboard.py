"""`SummaryWriter`: tensorboardX's, where it is installed."""

from __future__ import annotations

import importlib
from typing import Any

__all__ = ["SummaryWriter"]


def _writer() -> Any:
    try:
        return importlib.import_module("tensorboardX").SummaryWriter
    except ImportError:
        from pappus.torch.answers import never

        return never("utils.tensorboard.SummaryWriter", "install tensorboardX, whose writer is then used")


SummaryWriter = _writer()
