"""A callable method of a session: checks arguments, rebinds sizes when they change, and runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pappus.runtime.core import Core
from pappus.runtime.enums import DType
from pappus.runtime.errors import ArgumentError, InputError
from pappus.runtime.info import MethodInfo, PortInfo
from pappus.runtime.native import DTYPE_NAMES, Array, address, as_input, ffi, lib, numpy_dtype, raise_for, raise_status

Outputs = Array | tuple[Array, ...]
_DTYPE_CODES = {name: number for number, name in DTYPE_NAMES.items()}
assert _DTYPE_CODES["float32"] == DType.F32


class Method:
    """One method of a program. Get it from `Session.method`.

    Calling it takes the inputs by position or by name, each anything `numpy.asarray` takes, with exactly the dtype and
    a shape that the port allows, and returns a new NumPy array (a tuple of them if the method has several outputs).
    Sizes may differ from call to call; a call with new sizes plans memory again.

        step = session.method("decode")
        logits = step(token, position)
        step(token, position, out=logits)      # write into an array of an earlier call
    """

    def __init__(self, core: Core, number: int) -> None:
        self._core = core
        self._number = number
        self._info: MethodInfo = core.info.methods[number]
        self._inputs = self._info.inputs
        self._dtypes = [numpy_dtype(p.dtype) for p in self._info.outputs]
        self._tensors: Any = ffi.new("pp_tensor[]", max(len(self._inputs), 1))
        for tensor, port in zip(self._tensors, self._inputs, strict=False):
            tensor.dtype = _DTYPE_CODES[port.dtype]
        self._bytes: Any = ffi.new("uint64_t *")
        self._bound: tuple[tuple[int, ...], ...] | None = None
        self._arena: Array | None = None
        self._shapes: list[tuple[int, ...]] = []

    @property
    def name(self) -> str:
        """Its name in the program."""
        return self._info.name

    @property
    def info(self) -> MethodInfo:
        """Ports, symbols and instructions."""
        return self._info

    @property
    def inputs(self) -> tuple[PortInfo, ...]:
        """Name, dtype, shape and ranges of every input."""
        return self._info.inputs

    @property
    def outputs(self) -> tuple[PortInfo, ...]:
        """Name, dtype, shape and ranges of every output."""
        return self._info.outputs

    @property
    def arena_bytes(self) -> int:
        """Working memory for the sizes of the last call, scratch of all threads included; 0 before the first."""
        return int(self._bytes[0]) if self._bound is not None else 0

    def bind(self, *shapes: Sequence[int], **named: Sequence[int]) -> int:
        """Plan for input shapes without running; returns `arena_bytes`. Raises what a call does."""
        ordered = self._by_name(shapes, named)
        with self._core.using():
            self._bind(tuple(tuple(int(n) for n in shape) for shape in ordered))
        return self.arena_bytes

    def output_shapes(self) -> list[tuple[int, ...]]:
        """Shapes of the outputs for the sizes of the last call or `bind`."""
        if self._bound is None:
            raise ArgumentError(f"method {self.name!r} is not bound: call it, or `bind`")
        return list(self._shapes)

    def __call__(self, *args: Any, out: Any = None, **named: Any) -> Outputs:
        """Run. `out` is an array, a sequence of arrays or a mapping from output names to arrays to write into.

        Raises InputError (name, dtype, rank, size), GuardError, IndexValueError, DivisorError, PositionError,
        StateError, CancelledError.
        """
        values = self._by_name(args, named)
        arrays = [as_input(v, p.name, p.dtype) for v, p in zip(values, self._inputs, strict=True)]
        with self._core.using() as instance:
            self._bind(tuple(array.shape for array in arrays))
            results = self._outputs(out, arrays)
            # The pointers are set again in every call: the arrays of the last one may be gone.
            for i, array in enumerate(arrays):
                raise_status(lib.pp_bind_input(instance, self._number, i, address(array)), "pp_bind_input")
            for i, array in enumerate(results):
                raise_status(lib.pp_bind_output(instance, self._number, i, address(array)), "pp_bind_output")
            self._core.run(self._number)
        return results[0] if len(results) == 1 else tuple(results)

    def _by_name(self, args: Sequence[Any], named: Mapping[str, Any]) -> list[Any]:
        """Arguments in the order of the ports."""
        if len(args) == len(self._inputs) and not named:
            return list(args)
        names = [port.name for port in self._inputs]
        known = ", ".join(names) or "none"
        if len(args) > len(names):
            raise InputError(f"{len(args)} inputs given, method {self.name!r} takes {len(names)}: {known}")
        found = dict(zip(names, args, strict=False))
        for name, value in named.items():
            if name not in names:
                raise InputError(f"method {self.name!r} has no input {name!r}; its inputs are: {known}")
            if name in found:
                raise InputError(f"input {name!r} is given twice, by position and by name")
            found[name] = value
        missing = [name for name in names if name not in found]
        if missing:
            lacking = ", ".join(map(repr, missing))
            raise InputError(f"missing input {lacking} of method {self.name!r}; it takes: {known}")
        return [found[name] for name in names]

    def _bind(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        """Fix the sizes and the arena, if they are not what they were."""
        if shapes != self._bound:
            self._check_ranks(shapes)
            self._bound = None
            for tensor, shape in zip(self._tensors, shapes, strict=False):
                tensor.rank = len(shape)
                tensor.shape = [*shape, *(0,) * (8 - len(shape))]
            core = self._core
            raise_for(
                lib.pp_bind_sizes(
                    core.instance, self._number, self._tensors, len(self._inputs), self._bytes, core.error
                ),
                core.error,
                core.program,
            )
            self._arena = None
            self._shapes = self._read_shapes()
            self._bound = shapes
        self._arena = self._core.lend_arena(self._number, int(self._bytes[0]), self._arena)

    def _check_ranks(self, shapes: tuple[tuple[int, ...], ...]) -> None:
        # pp_bind_sizes checks this too; here the message can show both shapes, and a rank above 8 has no pp_tensor.
        for shape, port in zip(shapes, self._inputs, strict=True):
            if len(shape) != len(port.shape):
                wanted = f"rank {len(port.shape)} [{', '.join(map(str, port.shape))}]"
                raise InputError(f"input {port.name!r}: expected {wanted}, got rank {len(shape)} {list(shape)}")

    def _read_shapes(self) -> list[tuple[int, ...]]:
        shapes = []
        tensor = ffi.new("pp_tensor *")
        for i in range(len(self._dtypes)):
            raise_status(lib.pp_output_shape(self._core.instance, self._number, i, tensor), "pp_output_shape")
            shapes.append(tuple(tensor.shape[0 : tensor.rank]))
        return shapes

    def _outputs(self, out: Any, inputs: list[Array]) -> list[Array]:
        """New output arrays, or the caller's after checking them."""
        if out is None:
            return [np.empty(s, d) for s, d in zip(self._shapes, self._dtypes, strict=True)]
        names = [port.name for port in self._info.outputs]
        given: dict[str, Any]
        if isinstance(out, Mapping):
            given = dict(out)
            unknown = [name for name in given if name not in names]
            if unknown:
                known = ", ".join(names)
                raise InputError(f"method {self.name!r} has no output {unknown[0]!r}; its outputs are: {known}")
        else:
            ordered = [out] if isinstance(out, np.ndarray) else list(out)
            if len(ordered) != len(names):
                raise InputError(f"out: {len(ordered)} arrays given, method {self.name!r} has {len(names)} outputs")
            given = dict(zip(names, ordered, strict=True))
        results: list[Array] = []
        for name, shape, dtype in zip(names, self._shapes, self._dtypes, strict=True):
            array = given.get(name)
            if array is None:
                array = np.empty(shape, dtype)
            else:
                _check_out(array, name, shape, dtype)
                # The runtime reads inputs and writes outputs in any order: overlap would give arbitrary results.
                if any(np.may_share_memory(array, other) for other in [*inputs, *results]):
                    raise InputError(f"out {name!r} shares memory with an input or another output")
            results.append(array)
        return results


def _check_out(array: Any, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(array, np.ndarray):
        raise InputError(f"out {name!r}: expected a NumPy array, got {type(array).__name__}")
    if array.dtype != dtype and not (array.dtype.name == "bfloat16" and dtype == np.uint16):
        raise InputError(f"out {name!r}: expected {dtype.name}, got {array.dtype.name}")
    if array.shape != shape:
        raise InputError(f"out {name!r}: expected shape {list(shape)}, got {list(array.shape)}")
    if not (array.flags.c_contiguous and array.flags.aligned and array.flags.writeable):
        raise InputError(f"out {name!r}: expected a contiguous writable array")
