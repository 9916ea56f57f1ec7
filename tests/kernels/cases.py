"""Random operands that several families share: biases, residuals, clamps and epilogue programs with their oracle."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from bench import Program, View, random_view

EPS = 2.0**-24


@dataclass
class Finish:
    """What follows the products: operands of the step and the same in float64."""

    bias: View | None = None
    residual: View | None = None
    floats: tuple[float, float] = (-np.inf, np.inf)
    program: Program | None = None
    program_args: list[View] = field(default_factory=list)
    bias_value: np.ndarray | None = None
    residual_value: np.ndarray | None = None
    operand: np.ndarray | None = None

    def expected(self, exact: np.ndarray, axis: int) -> np.ndarray:
        """Bias along `axis`, residual, clamp and program, applied to float64 products."""
        if self.bias_value is not None:
            shape = [1] * exact.ndim
            shape[axis] = -1
            exact = exact + self.bias_value.reshape(shape)
        if self.residual_value is not None:
            exact = exact + self.residual_value
        exact = np.clip(exact, *self.floats)
        if self.operand is not None:
            exact = np.maximum(exact * 0.5, exact * self.operand)
        return exact

    def size(self, magnitude: np.ndarray) -> np.ndarray:
        """Bound of what rounding is relative to, from the sum of absolute products."""
        if self.bias_value is not None:
            magnitude = magnitude + np.abs(self.bias_value).max(initial=0)
        if self.residual_value is not None:
            magnitude = magnitude + np.abs(self.residual_value)
        if self.operand is not None:
            magnitude = magnitude * np.maximum(1, np.abs(self.operand))
        return magnitude


def random_finish(rng: np.random.Generator, shape: tuple[int, ...], axis: int) -> Finish:
    f = Finish()
    if rng.random() < 0.6:
        f.bias_value = rng.normal(size=shape[axis]).astype(np.float32)
        f.bias = View(f.bias_value, inner=int(rng.choice([1, 1, 2])))
    if rng.random() < 0.3:
        f.residual_value = rng.normal(size=shape).astype(np.float32)
        f.residual = random_view(rng, f.residual_value)
    if rng.random() < 0.5:
        f.floats = (0.0, np.inf) if rng.random() < 0.5 else (-0.5, 1.5)
    if rng.random() < 0.35:
        flat = [d for d in range(len(shape)) if rng.random() < 0.5]
        small = tuple(1 if d in flat else s for d, s in enumerate(shape))
        f.operand = np.broadcast_to(rng.normal(size=small).astype(np.float32), shape)
        f.program_args = [random_view(rng, f.operand, broadcast=flat)]
        p = f.program = Program()
        p.add("LOAD", "F32", 0, 0)
        p.add("LOAD", "F32", 1, 1)
        p.add("MUL", "F32", 1, 1, 0)
        p.add("CONST", "F32", 2, imm=int(np.float32(0.5).view(np.uint32)))
        p.add("MUL", "F32", 0, 0, 2)
        p.add("MAX", "F32", 0, 0, 1)
        p.add("STORE", "F32", 0, 0)
    return f


def check(found: np.ndarray, exact: np.ndarray, size: np.ndarray, terms: int, name: str) -> None:
    """Sums of `terms` products in any order: errors grow like the square root of their number."""
    error = np.abs(found.astype(np.float64) - exact)
    bound = EPS * (6 + 4 * np.sqrt(terms)) * size + 1e-30
    assert np.all(error <= bound), (name, float(np.max(error / bound)))
