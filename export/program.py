"""ExportedProgram: a captured method with its inputs, outputs, state and assumptions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from pappus.export.ir.graph import Graph
from pappus.export.ir.interpret import interpret
from pappus.frontend.tensor import Tensor


@dataclass(frozen=True)
class GraphSignature:
    """Names by role: what the caller passes, what comes back, and what the program owns."""

    user_inputs: tuple[str, ...]
    user_outputs: tuple[str, ...]
    parameters: tuple[str, ...]
    states: tuple[str, ...]


@dataclass
class ExportedProgram:
    """The result of `export`: a core graph and what is needed to run or lower it.

    Attributes: `graph` (print it), `graph_signature`, `state_dict` (name -> numpy array of every constant that has a
    name), `range_constraints` (dimension name -> (min, max, multiple_of)), `example_inputs` (numpy arrays).
    """

    graph: Graph
    example_inputs: list[np.ndarray[Any, Any]]
    output_structure: Callable[[Sequence[Any]], Any] = field(default=lambda outs: outs)

    @property
    def graph_signature(self) -> GraphSignature:
        """The names of inputs, outputs, parameters and states."""
        return GraphSignature(
            tuple(v.name for v in self.graph.inputs),
            tuple(self.graph.output_names),
            tuple(v.name for v in self.graph.constants() if not v.name.startswith("const")),
            tuple(self.graph.states),
        )

    @property
    def state_dict(self) -> dict[str, np.ndarray[Any, Any]]:
        """Every named constant and the initial value of every state."""
        found = {v.name: v.constant for v in self.graph.constants() if v.constant is not None}
        found.update({name: info.init for name, info in self.graph.states.items()})
        return found

    @property
    def range_constraints(self) -> dict[str, tuple[int, int, int]]:
        """For each named dimension its smallest and largest size and what it must be a multiple of."""
        return {s.name: (s.min, s.max, s.multiple_of) for s in self.graph.symbols}

    def module(self) -> Callable[..., Any]:
        """A callable that runs the captured graph with the eager operators; Tensors in, Tensors out.

        State starts at its initial value and lives in the returned callable.
        """
        state = {name: info.init.copy() for name, info in self.graph.states.items()}

        def run(*inputs: Any) -> Any:
            arrays = [np.asarray(x._data) if isinstance(x, Tensor) else np.asarray(x) for x in inputs]
            outputs = interpret(self.graph, arrays, state)
            return self.output_structure([Tensor._from_data(o) for o in outputs])

        return run

    def save(self, path: str) -> None:
        """Write the core graph to one file; `load` reads it back. The format is private to a Pappus version."""
        from pappus.export.graph_file import write_graph_file

        write_graph_file(self, path)

    @staticmethod
    def load(path: str) -> ExportedProgram:
        """Read what `save` wrote. Raises PappusError for a foreign or truncated file."""
        from pappus.export.graph_file import read_graph_file

        return read_graph_file(path)

    def __str__(self) -> str:
        return str(self.graph)
