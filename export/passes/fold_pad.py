"""Let a convolution do the zero padding before it."""

from __future__ import annotations

from pappus.export.ir.graph import Graph, Value


def fold_pad(graph: Graph) -> Graph:
    """`convolution(constant_pad_nd(x, pad, 0))` with pads on spatial axes only becomes a padded convolution.

    The convolution's `padding` may then have two numbers per axis (before and after), which lowering understands.
    """
    for node in graph.nodes:
        if node.op != "convolution" or node.attrs.get("transposed") or not isinstance(node.args[0], Value):
            continue
        pad = node.args[0].producer
        if pad is None or pad.op != "constant_pad_nd" or float(pad.attrs.get("value", 0) or 0) != 0:
            continue
        spatial = len(node.args[0].shape) - 2
        amounts = list(pad.attrs["pad"])
        amounts += [0] * (2 * len(node.args[0].shape) - len(amounts))
        if any(not isinstance(a, int) or a < 0 for a in amounts) or any(amounts[2 * spatial :]):
            continue
        old = pads_of(node.attrs["padding"], spatial)
        per_axis = [(amounts[2 * (spatial - 1 - i)], amounts[2 * (spatial - 1 - i) + 1]) for i in range(spatial)]
        new = [(b + o[0], a + o[1]) for (b, a), o in zip(per_axis, old, strict=True)]
        node.attrs["padding"] = tuple(x for pair in new for x in pair)
        node.args = (pad.args[0], *node.args[1:])
    return graph


def pads_of(padding: object, spatial: int) -> list[tuple[int, int]]:
    """(before, after) per spatial axis from one number, one per axis, or two per axis."""
    if isinstance(padding, int):
        return [(padding, padding)] * spatial
    numbers = [int(p) for p in padding]  # type: ignore[attr-defined]
    if len(numbers) == 2 * spatial and spatial > 0 and len(numbers) != spatial:
        return [(numbers[2 * i], numbers[2 * i + 1]) for i in range(spatial)]
    if len(numbers) == 1:
        numbers *= spatial
    return [(p, p) for p in numbers]
