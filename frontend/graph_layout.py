"""Places for the boxes of a directed graph, in layers from top to bottom.

The method of Sugiyama, Tagawa and Toda (1981): a layer for each box (one below its lowest predecessor), bends where an
edge crosses layers, an order within each layer that brings boxes near the middle of their neighbours, and then
coordinates by the same rule without overlap. Lines that end up beside each other cross little; the least number of
crossings is not looked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["Layout", "layered"]

GAP, LAYER_GAP, SWEEPS = 24.0, 34.0, 10


@dataclass
class Layout:
    """Where everything goes: the middle of each box, the points of each edge, and the size of the whole."""

    x: list[float]
    y: list[float]
    paths: list[list[tuple[float, float]]]
    width: float = 0.0
    height: float = 0.0


@dataclass
class _Grid:
    """Boxes and bends: widths, layers, neighbours above and below, and the order within layers."""

    widths: list[float]
    layer: list[int]
    above: list[list[int]] = field(default_factory=list)
    below: list[list[int]] = field(default_factory=list)
    rows: list[list[int]] = field(default_factory=list)
    x: list[float] = field(default_factory=list)


def layered(sizes: Sequence[tuple[float, float]], edges: Sequence[tuple[int, int]]) -> Layout:
    """Lay out boxes of the given (width, height); edges go from a lower number to a higher one.

    >>> found = layered([(40, 20), (40, 20), (60, 20)], [(0, 2), (1, 2)])
    >>> found.y[0] == found.y[1] < found.y[2], found.x[0] < found.x[2] < found.x[1]
    (True, True)
    """
    grid = _Grid([w for w, _ in sizes], _layers(len(sizes), edges))
    chains = _with_bends(grid, edges)
    _order(grid)
    _place(grid)
    tops, bottoms, height = _heights(grid, sizes)
    middle = [(a + b) / 2 for a, b in zip(tops, bottoms, strict=True)]
    paths = []
    for chain in chains:
        first, *bends, last = chain
        points = [(grid.x[first], middle[grid.layer[first]] + sizes[first][1] / 2)]
        for bend in bends:  # straight down through the layer it passes
            points += [(grid.x[bend], tops[grid.layer[bend]]), (grid.x[bend], bottoms[grid.layer[bend]])]
        points.append((grid.x[last], middle[grid.layer[last]] - sizes[last][1] / 2))
        paths.append(points)
    left = min((grid.x[v] - grid.widths[v] / 2 for v in range(len(grid.widths))), default=0.0)
    right = max((grid.x[v] + grid.widths[v] / 2 for v in range(len(grid.widths))), default=0.0)
    return Layout(
        [x - left for x in grid.x[: len(sizes)]],
        [middle[grid.layer[v]] for v in range(len(sizes))],
        [[(x - left, y) for x, y in path] for path in paths],
        right - left,
        height,
    )


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    layer = [0] * count
    for a, b in sorted(edges, key=lambda e: e[1]):
        layer[b] = max(layer[b], layer[a] + 1)
    first_use: dict[int, int] = {}
    for a, b in edges:
        first_use[a] = min(first_use.get(a, layer[b]), layer[b])
    for v in {a for a, _ in edges} - {b for _, b in edges}:  # what nothing leads to stands right above its first use
        layer[v] = first_use[v] - 1
    return layer


def _with_bends(grid: _Grid, edges: Sequence[tuple[int, int]]) -> list[list[int]]:
    """Add a bend for every layer an edge passes; each edge as the boxes and bends on its way."""
    chains = []
    for a, b in edges:
        chain = [a]
        for level in range(grid.layer[a] + 1, grid.layer[b]):
            grid.widths.append(8.0)
            grid.layer.append(level)
            chain.append(len(grid.widths) - 1)
        chains.append([*chain, b])
    grid.above, grid.below = [[] for _ in grid.widths], [[] for _ in grid.widths]
    for chain in chains:
        for upper, lower in itertools.pairwise(chain):
            grid.below[upper].append(lower)
            grid.above[lower].append(upper)
    grid.rows = [[] for _ in range(max(grid.layer, default=-1) + 1)]
    for v, level in enumerate(grid.layer):
        grid.rows[level].append(v)
    return chains


def _order(grid: _Grid) -> None:
    at = [0.0] * len(grid.widths)
    for row in grid.rows:
        for place, v in enumerate(row):
            at[v] = place
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in grid.rows if down else grid.rows[::-1]:
            neighbours = grid.above if down else grid.below
            wish = {v: _mean([at[n] for n in neighbours[v]], at[v]) for v in row}
            row.sort(key=lambda v: (wish[v], at[v]))
            for place, v in enumerate(row):
                at[v] = place


def _place(grid: _Grid) -> None:
    grid.x = [0.0] * len(grid.widths)
    for row in grid.rows:
        edge = 0.0
        for v in row:
            grid.x[v] = edge + grid.widths[v] / 2
            edge += grid.widths[v] + GAP
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in grid.rows if down else grid.rows[::-1]:
            neighbours = grid.above if down else grid.below
            wish = [_mean([grid.x[n] for n in neighbours[v]], grid.x[v]) for v in row]
            _spread(grid, row, wish)


def _spread(grid: _Grid, row: list[int], wish: list[float]) -> None:
    """Give a row the wished places as nearly as its widths allow: the mean of pushing to the right and to the left."""
    widths = [grid.widths[v] for v in row]
    right, left = list(wish), list(wish)
    for i in range(1, len(row)):
        right[i] = max(right[i], right[i - 1] + (widths[i - 1] + widths[i]) / 2 + GAP)
    for i in range(len(row) - 2, -1, -1):
        left[i] = min(left[i], left[i + 1] - (widths[i + 1] + widths[i]) / 2 - GAP)
    for v, a, b in zip(row, right, left, strict=True):
        grid.x[v] = (a + b) / 2


def _heights(grid: _Grid, sizes: Sequence[tuple[float, float]]) -> tuple[list[float], list[float], float]:
    tops, bottoms, y = [], [], 0.0
    for row in grid.rows:
        tall = max((sizes[v][1] for v in row if v < len(sizes)), default=0.0)
        tops.append(y)
        bottoms.append(y + tall)
        y += tall + LAYER_GAP
    return tops, bottoms, max(y - LAYER_GAP, 0.0)


def _mean(values: list[float], otherwise: float) -> float:
    return sum(values) / len(values) if values else otherwise
