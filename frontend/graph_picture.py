"""Pictures of graphs as SVG text: `graph_svg(loss)` shows how a tensor was made, with lines, shapes and names."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

from .errors import ArgumentError
from .graph_layout import Layout, layered
from .source import user_location
from .tape import Node, history_of
from .tensor import Tensor

__all__ = ["Box", "draw", "graph_svg"]

CHARACTER, LINE, PADDING, MARGIN = 6.7, 14.0, 8.0, 12.0
STYLE = """\
.node rect { stroke: #5b6770; stroke-width: 1 }
.operator rect { fill: #eef2f5 }
.parameter rect { fill: #d9efd9 }
.input rect { fill: #fdf3d1 }
.result rect { fill: #f9dcd8 }
.edge { fill: none; stroke: #5b6770; stroke-width: 1.2 }
text { font: 11px ui-monospace, Menlo, Consolas, monospace; fill: #1b2328; text-anchor: middle }
.small { fill: #5b6770; font-size: 10px }"""


@dataclass
class Box:
    """One box: its kind (a class of STYLE), its name in the first line, and the lines below in small letters."""

    kind: str
    name: str
    lines: tuple[str, ...] = ()

    def size(self) -> tuple[float, float]:
        """Width and height for its text."""
        longest = max(len(text) for text in (self.name, *self.lines))
        return longest * CHARACTER + 2 * PADDING, (1 + len(self.lines)) * LINE + PADDING


def draw(boxes: list[Box], edges: list[tuple[int, int]], title: str) -> str:
    """The SVG of boxes and the edges between them (from a lower number to a higher), laid out in layers.

    >>> text = draw([Box("input", "x"), Box("operator", "exp", ("[2, 3]",))], [(0, 1)], "a picture")
    >>> text.count('class="edge"'), "exp" in text
    (1, True)
    """
    places = layered([box.size() for box in boxes], edges)
    width, height = places.width + 2 * MARGIN, places.height + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
        f'viewBox="0 0 {width:.0f} {height:.0f}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        '<defs><marker id="arrow" viewBox="0 0 8 8" refX="8" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M 0 0 L 8 4 L 0 8 z" fill="#5b6770"/></marker></defs>',
        f'<g transform="translate({MARGIN:.0f} {MARGIN:.0f})">',
    ]
    for (a, b), points in zip(edges, places.paths, strict=True):
        parts.append(
            f'<path class="edge" data-from="{a}" data-to="{b}" d="{_curve(points)}" marker-end="url(#arrow)"/>'
        )
    parts += [_box(number, box, places) for number, box in enumerate(boxes)]
    return "\n".join([*parts, "</g>", "</svg>"]) + "\n"


def _curve(points: list[tuple[float, float]]) -> str:
    text = "M {:.1f} {:.1f}".format(*points[0])
    for (x0, y0), (x1, y1) in itertools.pairwise(points):
        half = (y0 + y1) / 2
        text += f" C {x0:.1f} {half:.1f}, {x1:.1f} {half:.1f}, {x1:.1f} {y1:.1f}"
    return text


def _box(number: int, box: Box, places: Layout) -> str:
    (width, height), x, y = box.size(), places.x[number], places.y[number]
    top = y - height / 2
    corner = 3 if box.kind == "operator" else 10
    text = (
        f'<g class="node {box.kind}" data-id="{number}"><title>{escape(" ".join((box.name, *box.lines)))}</title>'
        f'<rect x="{x - width / 2:.1f}" y="{top:.1f}" width="{width:.1f}" height="{height:.1f}" rx="{corner}"/>'
    )
    for at, line in enumerate((box.name, *box.lines)):
        small = "" if at == 0 else ' class="small"'
        text += f'<text x="{x:.1f}" y="{top + PADDING / 2 + LINE * (at + 0.78):.1f}"{small}>{escape(line)}</text>'
    return text + "</g>"


# -- the tape -------------------------------------------------------------------------------------


def _names(params: Any) -> dict[int, str]:
    if params is None:
        return {}
    if isinstance(params, Mapping):
        pairs: Iterable[tuple[str, Any]] = params.items()
    elif hasattr(params, "named_parameters"):
        pairs = params.named_parameters()
    else:
        raise ArgumentError(
            f"graph_svg: params must be a module or a dict from names to tensors, got {type(params).__name__}"
        ).at("graph_svg", user_location())
    return {id(tensor): name for name, tensor in pairs}


def graph_svg(output: Any, params: Any = None) -> str:
    """The graph that backward would walk from `output` (a tensor or several), as the text of an SVG file.

    Every operator has its line of source and the shape of its result; `params`, a module or a dict from names to
    tensors, names the leaves. Shapes are known until backward has released what the tape kept.

    >>> import pappus as pp
    >>> w = pp.ones(3, requires_grad=True)
    >>> text = pp.autograd.graph_svg((w * 2).exp().sum(), {"w": w})
    >>> text.startswith("<svg"), text.count('class="node'), text.count('class="edge"')
    (True, 4, 3)
    """
    roots = [output] if isinstance(output, Tensor) else list(output)
    for root in roots:
        if not isinstance(root, Tensor) or not root._requires_grad:
            what = "does not require grad, so it has no graph" if isinstance(root, Tensor) else type(root).__name__
            raise ArgumentError(f"graph_svg: expected tensors made with grad mode on, this one {what}").at(
                "graph_svg", user_location()
            )
    names = _names(params)
    order, shapes = _collect(roots)
    ends = {id(history_of(root) or root) for root in roots}
    number = {id(item): at for at, item in enumerate(order)}
    boxes, edges = [], []
    for item in order:
        if not isinstance(item, Node):
            name = names.get(id(item), "leaf")
            boxes.append(Box("parameter", name, (_shape(item.shape, item.dtype),)))
            continue
        known = shapes.get(id(item))
        lines = (item.location, *((known,) if known else ()))
        boxes.append(Box("result" if id(item) in ends else "operator", item.op.name, lines))
        edges += [(number[id(edge[0])], number[id(item)]) for edge in item.edges if edge is not None]
    return draw(boxes, list(dict.fromkeys(edges)), "how the gradient flows back: from the bottom to the top")


def _shape(shape: Any, dtype: Any) -> str:
    return f"{dtype.name}[{', '.join(map(str, shape))}]"


def _collect(roots: list[Tensor]) -> tuple[list[Any], dict[int, str]]:
    """Leaves and nodes, what is needed before what needs it, and the shapes of the nodes' results."""
    seen: dict[int, Any] = {}
    shapes: dict[int, str] = {}
    stack: list[Any] = []
    for root in roots:
        node = history_of(root)
        stack.append(root if node is None else node)
        shapes[id(stack[-1])] = _shape(root.shape, root.dtype)
    while stack:
        item = stack.pop()
        if id(item) in seen:
            continue
        seen[id(item)] = item
        if not isinstance(item, Node):
            continue
        operands = item.operands() if not item.freed else []
        for at, edge in enumerate(item.edges):
            if edge is None:
                continue
            if at < len(operands) and operands[at] is not None:
                shapes.setdefault(id(edge[0]), _shape(operands[at].shape, operands[at].dtype))
            stack.append(edge[0])
    leaves = [item for item in seen.values() if not isinstance(item, Node)]
    nodes = sorted((item for item in seen.values() if isinstance(item, Node)), key=lambda n: n.seq)
    return [*leaves[::-1], *nodes], shapes
