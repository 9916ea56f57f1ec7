"""Grouping: which operators become one instruction.

A unit is one operator with an optional epilogue, or a group of elementwise operators. Groups are grown
backwards from their last operator: a node joins the group of its readers when all of them are in
that one group and its result has the group's shape, so a group has one result and no cycle can arise.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from pappus.export.ir.graph import Graph, Node, Value
from pappus.export.pointwise import MAX_REGISTERS, OPERATORS, NotPointwise, TooManyRegisters, compile_program, scalar_of
from pappus.frontend.symbolic import same_size

# Operators whose kernels take a bias, a residual, a clamp and an epilogue program.
EPILOGUE_OPS = {"linear", "matmul", "convolution"}
# Bounds of a group: nodes (a longer program gains nothing), operands, registers left for what one operator needs.
MAX_GROUP, MAX_OPERANDS, TEMPORARIES = 200, 16, 8


@dataclass(eq=False)
class Unit:
    """One future instruction: `node` (None for a pure pointwise group) and the elementwise nodes fused with it."""

    node: Node | None
    pointwise: list[Node] = field(default_factory=list)

    @property
    def result(self) -> Value:
        """The value the unit leaves behind."""
        if self.pointwise:
            return self.pointwise[-1].output
        assert self.node is not None
        return self.node.outputs[0]

    @property
    def results(self) -> list[Value]:
        """All values the unit leaves behind."""
        return [self.result] if self.pointwise or self.node is None else self.node.outputs

    @property
    def inputs(self) -> list[Value]:
        """Every value the unit reads from outside itself."""
        inside = {v for n in self.nodes for v in n.outputs}
        return [v for n in self.nodes for v in n.inputs if v not in inside]

    @property
    def nodes(self) -> list[Node]:
        """All core nodes of the unit, in execution order."""
        return ([self.node] if self.node is not None else []) + self.pointwise


def same_shape(a: Value, b: Value) -> bool:
    """Whether two values have equal shapes for every value of the symbols."""
    return len(a.shape) == len(b.shape) and all(map(same_size, a.shape, b.shape))


def fuse(graph: Graph, enabled: bool = True) -> list[Unit]:
    """Split the graph into units in an order that can be executed.

    A pointwise group whose only non-constant full-size producer is a convolution or matrix product with no other
    reader becomes that operator's epilogue, and runs where the group would have run.
    """
    uses = graph.uses()
    group_of = _groups(graph, uses, enabled, set())
    # The estimate is no proof: groups that do not compile are grown again with a trial at every step.
    distinct = {id(group): group for group in group_of.values() if len(group) > 1}
    bad = {node for group in distinct.values() if not _compiles(group) for node in group}
    if bad:
        group_of = _groups(graph, uses, enabled, bad)
    position = {node: i for i, node in enumerate(graph.nodes)}
    units: list[Unit] = []
    absorbed: set[Node] = set()
    for node in graph.nodes:
        if node in group_of:
            group = group_of[node]
            if group[-1] is not node:
                continue
            group.sort(key=position.__getitem__)
            producer = _epilogue_of(group, uses) if enabled else None
            units.append(Unit(producer, list(group)))
            if producer is not None:
                absorbed.add(producer)
        else:
            units.append(Unit(node))
    return [u for u in units if u.node is None or u.pointwise or u.node not in absorbed]


def _groups(
    graph: Graph, uses: dict[Value, list[Node | None]], enabled: bool, careful: set[Node]
) -> dict[Node, list[Node]]:
    """Every elementwise node's group, in execution order; nodes in `careful` join only after a trial compilation."""
    group_of: dict[Node, list[Node]] = {}
    for node in reversed(graph.nodes):
        if node.op not in OPERATORS:
            continue
        readers = uses.get(node.output, [])
        groups = [group_of.get(reader) if reader is not None else None for reader in readers]
        target = groups[0] if groups else None
        joins = (
            enabled
            and target is not None
            and all(group is target for group in groups)
            and same_shape(node.output, target[-1].output)
            and len(target) < MAX_GROUP
            and (_compiles([node, *target]) if node in careful else _fits(node, target))
        )
        if joins:
            assert target is not None
            target.insert(0, node)
            group_of[node] = target
        else:
            group_of[node] = [node]
    return group_of


def _fits(node: Node, group: list[Node]) -> bool:
    """Whether a group likely compiles with `node` in front: the values alive at once leave room for temporaries."""
    if len(group) == 1 and not _compiles(group):
        return False
    if not _compiles([node]):
        return False
    nodes = [node, *group]
    inside = {n.output for n in nodes}
    last: dict[object, int] = {}
    first: dict[object, int] = {}
    operands: set[Value] = set()
    for i, n in enumerate(nodes):
        for value in n.inputs:
            number = scalar_of(value)
            key: object = value if number is None else (value.dtype.name, repr(number))
            first.setdefault(key, i)
            last[key] = i
            if value not in inside and number is None:
                operands.add(value)
        first[n.output] = i
    if len(operands) > MAX_OPERANDS:
        return False
    change = [0] * (len(nodes) + 1)
    for key, end in last.items():
        change[first[key]] += 1
        change[end] -= 1
    alive = most = 0
    for step in change:
        alive += step
        most = max(most, alive)
    return most <= MAX_REGISTERS - TEMPORARIES


def _compiles(nodes: list[Node]) -> bool:
    try:
        compiled = compile_program(nodes, [nodes[-1].output])
    except (TooManyRegisters, NotPointwise):
        return False
    return len(compiled.operands) <= MAX_OPERANDS


def _epilogue_of(group: list[Node], uses: dict[Value, list[Node | None]]) -> Node | None:
    """The convolution or matrix product that can run `group` as its epilogue."""
    result = group[-1].output
    members = set(group)
    candidates: list[Node] = []
    for node in group:
        for value in node.inputs:
            producer = value.producer
            if producer is None or producer in members or producer.op not in EPILOGUE_OPS or producer in candidates:
                continue
            if value.dtype.name != "float32" or result.dtype.name != "float32" or not same_shape(value, result):
                continue
            if all(reader in members for reader in uses[value]) and _compiles_epilogue(group, value):
                candidates.append(producer)
    # The last one in execution order: what the others computed is then an operand (a residual).
    return candidates[-1] if candidates else None


def _compiles_epilogue(group: list[Node], accumulator: Value) -> bool:
    try:
        compile_program(group, [group[-1].output], accumulator)
    except (TooManyRegisters, NotPointwise):
        return False
    return True


def not_fused(units: list[Unit], uses: dict[Value, list[Node | None]]) -> list[str]:
    """For every elementwise group that reads a convolution or matrix product and is no epilogue of it: why."""
    found = []
    for unit in units:
        if unit.node is not None:
            continue
        members = set(unit.nodes)
        for value in dict.fromkeys(unit.inputs):
            producer = value.producer
            if producer is None or producer.op not in EPILOGUE_OPS:
                continue
            others = [r for r in uses.get(value, []) if r not in members]
            if others:
                names = sorted({"the output" if r is None else r.op for r in others})
                why = f"its result is also read by {', '.join(names)}"
            elif not same_shape(value, unit.result):
                why = "the shapes differ"
            elif value.dtype.name != "float32" or unit.result.dtype.name != "float32":
                why = f"epilogues are float32, this is {value.dtype.name} to {unit.result.dtype.name}"
            else:
                why = "the operators do not fit one epilogue program"
            ops = "+".join(n.op for n in unit.pointwise)
            found.append(f"{ops} ({unit.pointwise[0].location}) into {producer.op} ({producer.location}): {why}")
    return found
