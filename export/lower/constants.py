"""The constants of a program: equal bytes are stored once, for all methods."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from pappus.export.lower.memory import Buffer

Array = np.ndarray[Any, Any]


class ConstantPool:
    """Numbers constants in order of first use."""

    def __init__(self) -> None:
        self.arrays: list[Array] = []
        self.names: list[str] = []
        self.forms: dict[str, dict[str, int]] = {}  # name -> arrangement -> number
        self._known: dict[bytes, int] = {}

    def add(self, array: Array, name: str, form: str = "DENSE") -> tuple[int, Buffer]:
        """The constant's number, and a buffer that stands for it. `form` names the arrangement of the bytes."""
        data = np.ascontiguousarray(array)
        key = hashlib.blake2b(data.tobytes() + str(data.nbytes).encode(), digest_size=16).digest()
        index = self._known.get(key)
        if index is None:
            index = self._known[key] = len(self.arrays)
            self.arrays.append(data)
            self.names.append(name)
        self.forms.setdefault(name, {}).setdefault(form, index)
        return index, Buffer("CONSTANT", data.nbytes, name, index, data)

    def repeated(self) -> dict[str, list[str]]:
        """Constants that are stored in several arrangements, because operators read them in different ways."""
        return {name: sorted(forms) for name, forms in self.forms.items() if len(set(forms.values())) > 1}
