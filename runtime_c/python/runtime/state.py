"""The state of a session: buffers that keep their values between runs, such as a key/value cache."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from pappus.runtime.core import Core
from pappus.runtime.errors import InputError
from pappus.runtime.info import PortInfo
from pappus.runtime.native import Array, ffi, lib, numpy_dtype, raise_status


class State(Mapping[str, Array]):
    """A mapping from state names to copies of their values; assignment overwrites a value in place.

        saved = session.state.snapshot()
        session.state["cache"] = numpy.zeros_like(saved["cache"])
        session.state.restore(saved)

    A run that fails or is cancelled leaves state undefined; the next one raises StateError until `reset` or `restore`.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self._ports = {port.name: (i, port) for i, port in enumerate(core.info.states)}

    @property
    def ports(self) -> tuple[PortInfo, ...]:
        """Name, dtype and shape of every state."""
        return self._core.info.states

    def __iter__(self) -> Iterator[str]:
        return iter(self._ports)

    def __len__(self) -> int:
        return len(self._ports)

    def __getitem__(self, name: str) -> Array:
        with self._core.using() as instance:
            return self._view(instance, name).copy()

    def __setitem__(self, name: str, value: Any) -> None:
        """Overwrite a state. The value must have its dtype and shape; nothing is converted or broadcast."""
        with self._core.using() as instance:
            self._view(instance, name)[...] = self._checked(instance, name, value)

    def snapshot(self) -> dict[str, Array]:
        """Copies of all states, for `restore`."""
        with self._core.using():
            return {name: self[name] for name in self}

    def restore(self, values: Mapping[str, Any]) -> None:
        """Overwrite every state and clear the mark that a failed run left. Every name must be there, and no other.

        Nothing is written if a name, dtype or shape is wrong.
        """
        missing = [name for name in self._ports if name not in values]
        if missing:
            raise InputError(f"restore needs every state; missing: {', '.join(missing)}")
        with self._core.using() as instance:
            checked = [(self._view(instance, name), self._checked(instance, name, v)) for name, v in values.items()]
            for view, array in checked:
                view[...] = array
            lib.pp_state_reset(instance, 1)

    def reset(self) -> None:
        """Every state back to its initial value."""
        with self._core.using() as instance:
            lib.pp_state_reset(instance, 0)

    def _checked(self, instance: Any, name: str, value: Any) -> Array:
        """A value as an array of the state's dtype and shape."""
        view = self._view(instance, name)
        array = np.asarray(value)
        # The bits of a bfloat16 are a uint16 for callers without ml_dtypes, here and there.
        bits = self._ports[name][1].dtype == "bfloat16" and array.dtype.name in ("bfloat16", "uint16")
        if not (array.dtype == view.dtype and array.dtype.isnative) and not bits:
            raise InputError(f"state {name!r}: expected {self._ports[name][1].dtype}, got {array.dtype.name}")
        if array.shape != view.shape:
            raise InputError(f"state {name!r}: expected shape {list(view.shape)}, got {list(array.shape)}")
        return array if array.dtype == view.dtype else array.view(view.dtype)

    def _view(self, instance: Any, name: str) -> Array:
        if name not in self._ports:
            raise KeyError(f"no state {name!r}; states are: {', '.join(self._ports) or 'none'}")
        number, port = self._ports[name]
        pointer, size = ffi.new("void **"), ffi.new("uint64_t *")
        raise_status(lib.pp_state_data(instance, number, pointer, size), "pp_state_data")
        shape = tuple(int(n) for n in port.shape)
        dtype = numpy_dtype(port.dtype)
        if size[0] == 0:
            return np.empty(shape, dtype)
        flat: Array = np.frombuffer(ffi.buffer(pointer[0], size[0]), dtype=dtype)
        return flat.reshape(shape)
