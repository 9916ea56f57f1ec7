"""What an export did, in words and numbers."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from pappus.export.ir.graph import Node
from pappus.export.lower.memory import product
from pappus.frontend.symbolic import evaluate

if TYPE_CHECKING:
    from pappus.export.emit import LoweredMethod
    from pappus.export.lower.lowering import Program


def node_flops(node: Node) -> int:
    """Multiply-adds counted as two, at the example's sizes; 0 for families without them."""
    args = node.args[0]
    assert isinstance(args, tuple)
    if node.op == "k.gemm" and args[0] is not None:
        size = 2 * product(node.outputs[0].shape) * args[0].shape[-1]
    elif node.op == "k.conv2d" and args[1] is not None:
        size = 2 * product(node.outputs[0].shape) * product(args[1].shape[1:])
    else:
        return 0
    return evaluate(size, lambda s: s.hint)


def format_method(method: LoweredMethod, core_nodes: int) -> list[str]:
    """The lines about one method."""
    families = Counter(node.op.removeprefix("k.") for node in method.kernel.nodes)
    listed = ", ".join(f"{count} {name}" for name, count in families.most_common())
    arena, bound = method.plan.arena, method.plan.bound
    lines = [
        f"method {method.name}: {core_nodes} core operators -> {len(method.kernel.nodes)} instructions ({listed})",
        f"  epochs {max(method.epochs, default=-1) + 1}, {sum(map(node_flops, method.kernel.nodes)) / 1e6:.3f} MFLOP "
        "at the example's sizes",
        f"  arena {arena} bytes at the example's sizes, lower bound {bound}" + (" (optimal)" if arena == bound else ""),
    ]
    for symbol in method.kernel.symbols:
        lines.append(f"  dim {symbol.name}: {symbol.min}..{symbol.max}")
    for guard in method.kernel.guards:
        lines.append(f"  assumed: {guard}")
    fused = [n for n in method.kernel.nodes if len(n.attrs["fused"]) > 1]
    for node in fused:
        lines.append(f"  fused: {'+'.join(node.attrs['fused'])} -> {node.op.removeprefix('k.')}  {node.location}")
    return lines


def format_report(program: Program) -> str:
    """The whole report."""
    lines: list[str] = []
    for method in program.methods:
        lines += format_method(method, len(program.cores[method.name].nodes))
        notes = program.notes[method.name]
        lines += [f"  move: {text}" for text in notes.moves]
        lines += [f"  copy: {text}" for text in notes.copies]
        lines += [f"  in place: {text}" for text in notes.in_place]
        lines += [f"  not fused: {text}" for text in notes.not_fused]
    constants = sum(a.nbytes for a in program.pool.arrays)
    lines.append(f"constants {constants} bytes in {len(program.pool.arrays)} items")
    for name, forms in program.pool.repeated().items():
        lines.append(f"  stored in several arrangements: {name} ({', '.join(forms)})")
    for info in program.states:
        lines.append(f"state {info.name}: {info.dtype.name}{list(info.shape)}, {info.init.nbytes} bytes")
    return "\n".join(lines)
