"""What a program says about itself: methods, ports, symbols, states and instructions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from pappus.runtime.native import DTYPE_NAMES, NONE, ffi, lib, raise_status, text


@dataclass(frozen=True)
class SymbolInfo:
    """A size the caller chooses: min <= size <= max, a multiple of `multiple_of`."""

    name: str
    min: int
    max: int
    multiple_of: int = 1


@dataclass(frozen=True)
class PortInfo:
    """One input, output or state.

    `shape` holds an int for a fixed size, a symbol's name for a size the caller chooses, and "?" for a size computed
    from those. `ranges` gives (min, max, multiple_of) of each symbol in `shape`.
    """

    name: str
    dtype: str
    shape: tuple[int | str, ...]
    ranges: dict[str, tuple[int, int, int]] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name}: {self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True)
class InstructionInfo:
    """One instruction. Names are empty when the file was stripped of its debug section.

    `op` names the operators it stands for, `name` the value in the exported graph, `source` file and line.
    """

    index: int
    op: str
    name: str
    source: str


@dataclass(frozen=True)
class MethodInfo:
    """A method of a program; instructions of one epoch may run at the same time."""

    name: str
    inputs: tuple[PortInfo, ...]
    outputs: tuple[PortInfo, ...]
    symbols: tuple[SymbolInfo, ...]
    instructions: tuple[InstructionInfo, ...]
    epochs: int


@dataclass(frozen=True)
class ProgramInfo:
    """A whole program, as `pappus inspect` prints it. `path` is None for a program loaded from bytes."""

    path: str | None
    file_bytes: int
    methods: tuple[MethodInfo, ...]
    states: tuple[PortInfo, ...]


def _port(port: Any, symbols: tuple[SymbolInfo, ...]) -> PortInfo:
    shape: list[int | str] = []
    ranges: dict[str, tuple[int, int, int]] = {}
    for i in range(port.rank):
        if port.size[i] >= 0:
            shape.append(int(port.size[i]))
        elif port.symbol[i] != NONE:
            symbol = symbols[port.symbol[i]]
            shape.append(symbol.name)
            ranges[symbol.name] = (symbol.min, symbol.max, symbol.multiple_of)
        else:
            shape.append("?")
    return PortInfo(text(port.name), DTYPE_NAMES[port.dtype], tuple(shape), ranges)


def read_method(program: Any, number: int) -> MethodInfo:
    """Ask the C side for everything about one method."""
    info = ffi.new("pp_method_info *")
    raise_status(lib.pp_method_get(program, number, info), "pp_method_get")
    symbols = []
    symbol = ffi.new("pp_symbol *")
    for i in range(info.symbols):
        raise_status(lib.pp_symbol_get(program, number, i, symbol), "pp_symbol_get")
        symbols.append(SymbolInfo(text(symbol.name), symbol.min, symbol.max, symbol.multiple_of))
    known = tuple(symbols)
    sides: list[tuple[PortInfo, ...]] = []
    port = ffi.new("pp_port *")
    for get, count in ((lib.pp_input_get, info.inputs), (lib.pp_output_get, info.outputs)):
        ports = []
        for i in range(count):
            raise_status(get(program, number, i, port), "reading a port")
            ports.append(_port(port, known))
        sides.append(tuple(ports))
    names = ffi.new("const char *[3]")
    instructions = []
    for i in range(info.instructions):
        lib.pp_debug_get(program, number, i, names, names + 1, names + 2)
        instructions.append(InstructionInfo(i, text(names[0]), text(names[1]), text(names[2])))
    inputs, outputs = sides
    return MethodInfo(text(info.name), inputs, outputs, known, tuple(instructions), info.epochs)


def read_states(program: Any) -> tuple[PortInfo, ...]:
    """Name, dtype and shape of every state."""
    port = ffi.new("pp_port *")
    found = []
    for i in range(lib.pp_state_count(program)):
        raise_status(lib.pp_state_get(program, i, port), "pp_state_get")
        found.append(_port(port, ()))
    return tuple(found)
