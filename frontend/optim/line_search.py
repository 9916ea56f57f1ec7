"""A line search for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, algorithms 3.5, 3.6)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

__all__ = ["Point", "strong_wolfe"]

DECREASE = 1e-4  # c1: the part of the decrease promised by the slope that a step must reach
CURVATURE = 0.9  # c2: the part of the slope that may be left
LONGEST = 25  # evaluations after the first


@dataclass
class Point:
    """A step along the direction: its length, the loss there, the gradient, and the slope (gradient . direction)."""

    t: float
    loss: float
    grad: Any
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, t: float, reach: float, tolerance: float
) -> tuple[Point, int]:
    """A point whose loss has decreased enough and whose slope has flattened enough, and the evaluations it took.

    `start` is the point at t = 0, `t` the first guess and `reach` the largest element of the direction: bracketing
    ends where the bracket times `reach` is below `tolerance`.
    """
    before, point, count = start, evaluate(t), 1
    bracket = [start, point]
    done = False
    for steps in range(LONGEST):
        if _too_high(point, start) or (steps > 1 and point.loss >= before.loss):
            bracket = [before, point]
            break
        if _flat(point, start):
            bracket, done = [point, point], True
            break
        if point.slope >= 0:
            bracket = [before, point]
            break
        low, high = point.t + 0.01 * (point.t - before.t), point.t * 10
        before, point = point, evaluate(_minimum(before, point, low, high))
        count += 1
    else:
        steps, bracket = LONGEST, [start, point]
    best = 0 if bracket[0].loss <= bracket[1].loss else 1
    slow = False
    while not done and steps < LONGEST:
        low, high = sorted(p.t for p in bracket)
        if (high - low) * reach < tolerance:
            break
        t = _minimum(bracket[0], bracket[1], low, high)
        # Near an end twice in a row, or beyond it: a tenth of the bracket away from that end.
        margin = 0.1 * (high - low)
        if min(high - t, t - low) < margin:
            if slow or t >= high or t <= low:
                t = high - margin if abs(t - high) < abs(t - low) else low + margin
                slow = False
            else:
                slow = True
        else:
            slow = False
        point = evaluate(t)
        count += 1
        steps += 1
        if _too_high(point, start) or point.loss >= bracket[best].loss:
            bracket[1 - best] = point
            best = 0 if bracket[0].loss <= bracket[1].loss else 1
        else:
            if _flat(point, start):
                done = True
            elif point.slope * (bracket[1 - best].t - bracket[best].t) >= 0:
                bracket[1 - best] = bracket[best]
            bracket[best] = point
    return bracket[best], count


def _too_high(point: Point, start: Point) -> bool:
    return point.loss > start.loss + DECREASE * point.t * start.slope


def _flat(point: Point, start: Point) -> bool:
    return abs(point.slope) <= -CURVATURE * start.slope


def _minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through both losses and slopes is least, inside [low, high]; the middle if it has no minimum."""
    one = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.t - b.t)
    square = one * one - a.slope * b.slope
    if not square >= 0:
        return (low + high) / 2.0
    root = math.sqrt(square)
    left, right = (a, b) if a.t <= b.t else (b, a)
    at = right.t - (right.t - left.t) * (
        (right.slope + root - one) / (right.slope - left.slope + 2 * root)
    )
    return min(max(at, low), high)
