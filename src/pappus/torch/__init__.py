"""The names of PyTorch over Pappus, for scripts that say `import torch`.

    python -m pappus.torch script.py --epochs 3      # runs an unmodified script; torch and torchvision are Pappus
    pappus.install_as_torch()                        # the same for what this program imports from here on

Importing pappus installs nothing. See docs/torch.md for what differs.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "2.13.0+pappus"


def __getattr__(name: str) -> Any:
    if name.startswith("__"):
        raise AttributeError(f"module 'torch' has no attribute {name!r}", name=name)
    value = importlib.import_module("pappus.torch.names").find(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("pappus.torch.names").public()})
