"""From Python to the C runtime and back, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import pappus as pp
from pappus.export.ir.graph import Graph
from pappus.export.ir.interpret import interpret
from pappus.frontend import native
from pappus.frontend.tensor import Tensor

Array = np.ndarray[Any, Any]


def array(*shape: int, seed: int = 0, dtype: str = "float32") -> Array:
    """Repeatable normal numbers."""
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def tensor(*shape: int, seed: int = 0) -> Tensor:
    """Repeatable normal numbers as a float32 Tensor."""
    return Tensor._from_data(array(*shape, seed=seed))


def flat(result: Any) -> list[Array]:
    """The tensors of a nested result as arrays."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, (list, tuple)):
        return [a for r in result for a in flat(r)]
    return [np.asarray(result.detach()._data)] if isinstance(result, Tensor) else []


def eager(model: Callable[..., Any], inputs: Sequence[Array]) -> list[Array]:
    """The model's own results, by numpy's kernels: those of the runtime are what is tested."""
    with pp.no_grad(), native.engine("numpy"):
        return flat(model(*(Tensor._from_data(np.array(a)) for a in inputs)))


def run(program: Any, inputs: Sequence[Array], threads: int = 1, method: str = "forward") -> list[Array]:
    """The results of a lowered program in the C runtime."""
    with pp.runtime.load(program.to_bytes(), threads=threads) as session:
        found = session.method(method)(*inputs)
    return list(found) if isinstance(found, tuple) else [found]


def close(found: Sequence[Array], wanted: Sequence[Array], rtol: float = 1e-5, floor: float = 1e-6) -> None:
    """Equal shapes and types, and numbers equal within `rtol` of the wanted range (exactly where they are no floats).

    A range below `floor` counts as `floor`: what cancels leaves only rounding.
    """
    assert len(found) == len(wanted)
    for f, w in zip(found, wanted, strict=True):
        if w.dtype.name in ("bfloat16", "float16"):
            f, w = (f.view(w.dtype) if f.dtype == np.uint16 else f).astype(np.float32), w.astype(np.float32)
            rtol = max(rtol, 1e-2)
        assert f.shape == w.shape and f.dtype == w.dtype, (f.shape, f.dtype, w.shape, w.dtype)
        if w.dtype.kind != "f":
            assert np.array_equal(f, w), (f, w)
            continue
        finite = np.isfinite(w)
        assert np.array_equal(np.isnan(f), np.isnan(w))
        assert np.array_equal(f[~finite & ~np.isnan(w)], w[~finite & ~np.isnan(w)])
        if finite.any():
            scale = float(np.abs(w[finite]).max())
            assert float(np.abs(f[finite].astype(float) - w[finite]).max()) <= rtol * max(scale, floor), (f, w)


def same(
    model: Callable[..., Any],
    inputs: Sequence[Array],
    rtol: float = 1e-5,
    sizes: Sequence[Sequence[Array]] = (),
    floor: float = 1e-6,
    **options: Any,
) -> Any:
    """Export and lower `model`, run it on `inputs` and on every entry of `sizes`, and compare; the program.

    The graph's interpretation must agree as well, and 1 and 2 threads bit for bit.
    """
    ep = pp.export.export(model, [Tensor._from_data(np.array(a)) for a in inputs], **options)
    program = pp.export.lower(ep)
    for arrays in [inputs, *sizes]:
        wanted = eager(model, arrays)
        found = run(program, arrays)
        close(found, wanted, rtol, floor)
        with native.engine("numpy"):
            close(interpret(ep.graph, list(arrays)), wanted, 1e-6, floor)
        twice = run(program, arrays, threads=2)
        assert all(np.array_equal(a, b, equal_nan=a.dtype.kind == "f") for a, b in zip(found, twice, strict=True))
    return program


def ops_of(graph: Graph) -> list[str]:
    """The operators of a graph in order, kernels without their prefix."""
    return [node.op.removeprefix("k.") for node in graph.nodes]


def line_of(function: Callable[..., Any], text: str) -> int:
    """The line number in this test file of the first line of `function` that contains `text`."""
    import inspect

    lines, first = inspect.getsourcelines(function)
    return first + next(i for i, line in enumerate(lines) if text in line)
