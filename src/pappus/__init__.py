"""Pappus: write and train a model in eager Python, export it to one small program that runs anywhere.

    import pappus as pp

    x = pp.randn(4, 8, requires_grad=True)
    loss = (x @ x.T).softmax(-1).sum()
    loss.backward()

Everything is loaded on first use: `import pappus` alone is cheap, and `pappus.runtime` never loads the training side.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    # For type checkers, which do not run __getattr__: modules, classes and types; functions are Any to them.
    from pappus import amp as amp
    from pappus import autograd as autograd
    from pappus import cuda as cuda
    from pappus import export as export
    from pappus import nn as nn
    from pappus import optim as optim
    from pappus import random as random
    from pappus import runtime as runtime
    from pappus import serialization as serialization
    from pappus import utils as utils
    from pappus.frontend.amp.autocast import autocast as autocast
    from pappus.frontend.autograd import enable_grad as enable_grad
    from pappus.frontend.autograd import inference_mode as inference_mode
    from pappus.frontend.autograd import no_grad as no_grad
    from pappus.frontend.dtypes import DType as DType
    from pappus.frontend.errors import FormatError as FormatError
    from pappus.frontend.nn.parameter import Parameter as Parameter
    from pappus.frontend.random import Generator as Generator
    from pappus.frontend.random import manual_seed as manual_seed
    from pappus.frontend.serialize import load as load
    from pappus.frontend.serialize import save as save
    from pappus.frontend.tensor import Device
    from pappus.frontend.tensor import Size as Size
    from pappus.frontend.tensor import Tensor as Tensor

    device = Device
    dtype = DType

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name.startswith("_"):
        raise AttributeError(f"module 'pappus' has no attribute {name!r}", name=name)
    value = importlib.import_module("pappus._names").find(name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *importlib.import_module("pappus._names").public()})
