"""`lower`: run the passes, choose instructions, plan memory, and hold the result as a Program."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pappus.export.atomic_file import write_file
from pappus.export.capture import make_state_read
from pappus.export.emit import LoweredMethod, write_program
from pappus.export.ir.graph import Graph, Node, StateInfo, Value
from pappus.export.ir.verifier import verify
from pappus.export.lower.constants import ConstantPool
from pappus.export.lower.fuse import Unit, fuse
from pappus.export.lower.memory import Memory, dense_bytes, dense_strides
from pappus.export.lower.method import MethodLowering, Notes
from pappus.export.lower.rules import RULES, Unsupported, load_rules
from pappus.export.lower.rules_shape import VIEW_OPS, place_concatenations
from pappus.export.lower.rules_state import place_states, save_exchanged_states
from pappus.export.passes.common_subexpressions import common_subexpressions
from pappus.export.passes.dead_code import dead_code
from pappus.export.passes.decompose import decompose
from pappus.export.passes.expansions import EXPANSIONS
from pappus.export.passes.fold_batch_norm import fold_batch_norm
from pappus.export.passes.fold_constants import fold_constants
from pappus.export.passes.fold_pad import fold_pad
from pappus.export.passes.remove_identities import remove_identities
from pappus.export.plan import mark_epochs, plan
from pappus.export.pointwise import OPERATORS, NotPointwise, compile_program
from pappus.export.program import ExportedProgram
from pappus.export.report import format_report
from pappus.frontend.errors import ArgumentError, UnsupportedError

TARGETS = ("generic",)


class UnsupportedOperators(UnsupportedError):
    """Operators that no kernel implements, all of them, each with its source line."""

    def __init__(self, problems: Sequence[str]) -> None:
        self.problems = list(problems)
        lines = "\n".join(f"  {p}" for p in self.problems)
        super().__init__(
            f"{len(self.problems)} operator call(s) cannot run on a device yet:\n{lines}\n"
            "`pappus ops` lists what can. Nothing was written."
        )


@dataclass
class Program:
    """A lowered program: `save(path)` writes it, `report()` says what happened, `graph` prints the instructions."""

    methods: list[LoweredMethod]
    pool: ConstantPool
    states: list[StateInfo]
    state_init: list[int]
    notes: dict[str, Notes]
    cores: dict[str, Graph]

    @property
    def graph(self) -> Graph:
        """The kernel graph of the first method."""
        return self.methods[0].kernel

    def report(self) -> str:
        """What was fused, moved and copied, and what it costs, as text."""
        return format_report(self)

    def to_bytes(self, debug: bool = True) -> bytes:
        """The .pap file; `debug=False` leaves out names and source lines."""
        report = self.report() if debug else ""
        return write_program(self.methods, self.pool, self.states, self.state_init, report, debug)

    def save(self, path: str | Path, debug: bool = True) -> None:
        """Write the .pap file, all or nothing: an existing file is replaced only when the new one is complete."""
        write_file(path, self.to_bytes(debug))


def keep_whole(op: str) -> bool:
    """Whether lowering wants this operator as it is: it has a rule, is elementwise or a view, or is to be refused by
    name.
    """
    return op in RULES or op in OPERATORS or op in VIEW_OPS or op in _LIKE


Pass = Callable[[Graph], Graph]
PASSES: tuple[tuple[str, Pass], ...] = (
    ("remove_identities", remove_identities),
    ("fold_constants", fold_constants),
    ("fold_batch_norm", fold_batch_norm),
    ("decompose", lambda graph: decompose(graph, keep_whole, EXPANSIONS)),
    ("fold_constants", fold_constants),
    ("remove_identities", remove_identities),
    ("common_subexpressions", common_subexpressions),
    ("fold_pad", fold_pad),
    ("dead_code", dead_code),
)


def lower(
    program: ExportedProgram | Mapping[str, ExportedProgram],
    target: str = "generic",
    delegates: Sequence[str] = (),
    *,
    fuse_pointwise: bool = True,
    plan_effort: int = 200,
    dump_after: Callable[[str, Graph], None] | None = None,
) -> Program:
    """Lower one captured method, or several that share weights and state, to a runnable Program.

    `plan_effort` is the number of steps of the memory planner's search. `dump_after(name, graph)` is called after each
    pass. Raises UnsupportedOperators listing every call that no kernel implements.

    >>> import pappus as pp
    >>> ep = pp.export.export(lambda x: pp.relu(x) + 1, (pp.ones(2, 3),))
    >>> len(pp.export.lower(ep).graph.nodes)
    1
    """
    if target not in TARGETS:
        raise ArgumentError(f"lower: unknown target {target!r}; known: {', '.join(TARGETS)}")
    if delegates:
        raise UnsupportedError(f"delegates are not built yet: {', '.join(delegates)}")
    load_rules()
    methods = {"forward": program} if isinstance(program, ExportedProgram) else dict(program)
    if not methods:
        raise ArgumentError("lower: there is no method to lower")
    graphs = {name: ep.graph.copy() for name, ep in methods.items()}
    states = _share_states(graphs)
    foreign = [problem for graph in graphs.values() for problem in _foreign_types(fold_constants(graph))]
    if foreign:
        raise UnsupportedOperators(list(dict.fromkeys(foreign)))
    for name, graph in graphs.items():
        graph.name = name
        for pass_name, run in PASSES:
            graph = run(graph)
            verify(graph, after=pass_name)
            if dump_after is not None:
                dump_after(pass_name, graph)
        graphs[name] = graph
    pool = ConstantPool()
    index = {info.name: i for i, info in enumerate(states)}
    problems: list[str] = []
    lowered: list[LoweredMethod] = []
    notes: dict[str, Notes] = {}
    for graph in graphs.values():
        units = _order(graph, fuse(graph, fuse_pointwise))
        found = _problems(units)
        problems.extend(found)
        if not found:
            method, note, late = _lower_method(graph, units, pool, index, plan_effort)
            problems.extend(late)
            lowered.append(method)
            notes[graph.name] = note
    if problems:
        raise UnsupportedOperators(list(dict.fromkeys(problems)))
    init = [pool.add(info.init, info.name)[0] for info in states]
    return Program(lowered, pool, states, init, notes, graphs)


def _identity(name: str, tensor: object) -> object:
    """What makes two methods' tensors the same: one array, or, for graphs that were loaded, one name."""
    return name if tensor is None else id(tensor._data)  # type: ignore[attr-defined]


def _share_states(graphs: Mapping[str, Graph]) -> list[StateInfo]:
    """A tensor that any method writes is state in all of them, under one name."""
    known: dict[object, StateInfo] = {}
    for graph in graphs.values():
        for info in graph.states.values():
            first = known.setdefault(_identity(info.name, info.tensor), info)
            if first.dtype is not info.dtype or first.shape != info.shape:
                raise ArgumentError(
                    f"state {info.name} is {first.dtype.name}{list(first.shape)} in one method and "
                    f"{info.dtype.name}{list(info.shape)} in another"
                )
    names = [info.name for info in known.values()]
    if len(set(names)) != len(names):
        twice = sorted({n for n in names if names.count(n) > 1})
        raise ArgumentError(
            f"lower: different tensors are states of one name ({', '.join(twice)}); export all methods from one model"
        )
    for graph in graphs.values():
        for old_name, info in list(graph.states.items()):
            shared = known[_identity(info.name, info.tensor)]
            if shared.name != old_name:
                for node in graph.nodes:
                    if node.op in ("state_read", "state_write") and node.attrs["name"] == old_name:
                        node.attrs["name"] = shared.name
                del graph.states[old_name]
                graph.states[shared.name] = shared
        for value in graph.constants():
            state = known.get(_identity(value.name, value.tensor))
            if state is not None and state.shape == value.shape and state.dtype is value.dtype:
                graph.states[state.name] = state
                make_state_read(graph, value, state.name)
    return list(known.values())


def _order(graph: Graph, units: list[Unit]) -> list[Unit]:
    """State writes last, so that they come after every read of the old value."""
    writes = [u for u in units if u.node is not None and u.node.op == "state_write"]
    return [u for u in units if u not in writes] + writes


def _foreign_types(graph: Graph) -> list[str]:
    """Calls on types that the runtime lacks; constants may have them where only other constants are made of them."""
    found = []
    for node in graph.nodes:
        for value in (*node.inputs, *node.outputs):
            if value.dtype.is_complex or value.dtype.is_storage:
                way = "compute on real and imaginary parts (x.real, x.imag)" if value.dtype.is_complex else "convert it"
                found.append(_describe(node, f"the runtime has no {value.dtype.name}; {way} before export"))
                break
    return found


def _problems(units: Sequence[Unit]) -> list[str]:
    found = []
    for unit in units:
        if unit.node is not None and unit.node.op not in RULES and unit.node.op not in VIEW_OPS:
            found.append(_describe(unit.node, _why_not(unit.node)))
        for node in unit.pointwise:
            try:
                compile_program([node], [node.output])
            except NotPointwise as error:
                found.append(_describe(node, str(error)))
    return found


# What to say about operators that wait for kernels of later releases.
_NO_KERNEL = {
    "dropout": "random numbers on the device are not built yet; call model.eval() before export",
    "rand": "random numbers on the device are not built yet; draw them outside and pass them in (dropout: call "
    "model.eval())",
    "sort": "sort and topk have no kernel yet; amax and argmax have",
    "scatter": "writing by index has no kernel yet (one position at a time has: x[i] = y, index_copy_)",
    "index": "indexing with several index tensors at once has no kernel yet; index one axis at a time",
    "convolution": "three-dimensional convolutions have no kernel yet",
    "max_pool2d_with_indices": "the indices of maxima have no kernel yet; use max_pool2d",
}  # fmt: skip
_LIKE = {
    "randn": "rand", "randint": "rand", "dropout_seeded": "dropout", "topk": "sort", "scatter_add": "scatter",
    "index_put": "scatter", "scatter_max": "scatter", "scatter_min": "scatter", "scatter_prod": "scatter",
}  # fmt: skip


def _why_not(node: Node) -> str:
    expansion = EXPANSIONS.get(node.op)
    reason = expansion.reason(node.args, node.attrs) if expansion is not None else None
    if node.op.startswith("linalg_"):
        return "solving and factorizing matrices have no kernels yet; do it before export, or outside the program"
    return reason or _NO_KERNEL.get(_LIKE.get(node.op, node.op), "no kernel yet")


def _describe(node: Node, why: str) -> str:
    where = node.location or "<unknown>"
    inside = f" in {node.module}" if node.module else ""
    types = ", ".join(f"{v.dtype.name}[{', '.join(map(str, v.shape))}]" for v in node.inputs)
    return f"{where}: {node.op}({types}){inside}: {why}"


def _lower_method(
    graph: Graph, units: list[Unit], pool: ConstantPool, states: dict[str, int], effort: int
) -> tuple[LoweredMethod, Notes, list[str]]:
    m = MethodLowering(graph, units, pool, states)
    inputs: list[tuple[str, Value]] = []
    for i, value in enumerate(graph.inputs):
        buffer = m.buffer("INPUT", dense_bytes(value.shape, value.dtype), value.name, i)
        view = m.value(value.name, value.dtype, value.shape, Memory(buffer, 0, dense_strides(value.shape)))
        m.views[value] = view
        inputs.append((value.name, view))
    outputs, copies = _place_outputs(m, units)
    place_states(m)
    place_concatenations(m)
    problems: list[str] = []
    writes = [u for u in units if u.node is not None and u.node.op == "state_write"]
    for unit in units[: len(units) - len(writes)]:
        problems += _lower_unit(m, unit)
    # Outputs before states: one that is a state's old value must be copied while it still is.
    m.unit = None
    for value, target in copies:
        m.move(m.view(value), target, "output")
    save_exchanged_states(m, writes)
    for unit in writes:
        problems += _lower_unit(m, unit)
    m.unit = None
    m.kernel.inputs = [v for _, v in inputs]
    m.kernel.outputs = [v for _, v in outputs]
    m.kernel.output_names = [n for n, _ in outputs]
    epochs = mark_epochs(m.kernel)
    method = LoweredMethod(
        graph.name, m.kernel, inputs, outputs, m.buffers, epochs, plan(m.kernel, m.buffers, epochs, effort)
    )
    return method, m.notes, problems


def _lower_unit(m: MethodLowering, unit: Unit) -> list[str]:
    """Emit a unit's instructions; what a rule refuses comes back as a problem, and lowering goes on to find the
    others.
    """
    m.unit = unit
    node = unit.node
    first = len(m.kernel.nodes)
    if node is not None and node.op in VIEW_OPS and not unit.pointwise:
        return []
    try:
        if node is None:
            m.pointwise(unit.pointwise, unit.result)
        else:
            RULES[node.op](m, unit)
    except Unsupported as error:
        for value in unit.results:
            m.result(value)
        return [_describe(unit.nodes[0], str(error))]
    m.finish(unit, first)
    return []


def _place_outputs(
    m: MethodLowering, units: Sequence[Unit]
) -> tuple[list[tuple[str, Value]], list[tuple[Value, Value]]]:
    """Outputs are computed where the caller wants them; inputs, constants, views, states and repeats are copied
    there.
    """
    computed = {
        v for u in units for v in u.results
        if not (u.node is not None and u.node.op in (*VIEW_OPS, "state_read", "state_write"))
    }  # fmt: skip
    outputs: list[tuple[str, Value]] = []
    copies: list[tuple[Value, Value]] = []
    for i, (name, value) in enumerate(zip(m.graph.output_names, m.graph.outputs, strict=True)):
        buffer = m.buffer("OUTPUT", dense_bytes(value.shape, value.dtype), name, i)
        memory = Memory(buffer, 0, dense_strides(value.shape))
        port = m.value(name, value.dtype, value.shape, memory)
        outputs.append((name, port))
        if value in computed and value not in m.placed:
            m.placed[value] = memory
        else:
            copies.append((value, port))
    return outputs, copies
