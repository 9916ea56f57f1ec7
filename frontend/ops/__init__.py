"""Every operator as a function: `ops.<name>(*args, **kwargs)`; the definitions are in this package's modules, by
family.

A new operator is one `operator(...)` declaration in one of these files, a new family one new file: every module here
whose name does not begin with an underscore is imported, and what it declares appears as a function, as
`pappus.<name>`, and, where its first parameter is `self`, as a tensor method.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING, Any

from ..opdef import OPS
from ._names import FUNCTIONS

if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...


def _load() -> None:
    for info in pkgutil.iter_modules(__path__):
        if not info.name.startswith("_"):
            importlib.import_module(f"{__name__}.{info.name}")
    for name, op in OPS.items():
        globals()[name] = op.front
    globals().update(FUNCTIONS)  # after the operators: a function may widen the operator of its name
    from ..tensor_methods import install

    install()


_load()
