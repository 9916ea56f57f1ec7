"""What the tests of the command line share: a model file, and the outcome of a command."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

NET = '''
import pappus as pp
from pappus import nn


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(6, 16)
        self.drop = nn.Dropout(0.5)
        self.out = nn.Linear(16, 3)

    def forward(self, x):
        return self.out(self.drop(pp.relu(self.hidden(x))))


def make():
    pp.manual_seed(0)
    return Net(), (pp.randn(2, 6),), {"x": {0: pp.export.Dim("batch", min=1, max=64)}}
'''


# Processes run in other folders, where a relative PYTHONPATH would mean something else.
_PATHS = [os.path.abspath(p) for p in os.environ.get("PYTHONPATH", "").split(os.pathsep) if p]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(_PATHS)}


@dataclass
class Outcome:
    """What a command line did."""

    status: int
    out: str
    err: str


Cli = Callable[..., Outcome]
Write = Callable[[str, str], Path]


def process(*arguments: object, **options: Any) -> Outcome:
    """`python -m pappus` in a process of its own."""
    command = [sys.executable, "-m", "pappus", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=ENVIRONMENT, **options)
    return Outcome(done.returncode, done.stdout, done.stderr)
