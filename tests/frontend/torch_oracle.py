"""Running the same call in Pappus and in PyTorch and comparing results: values, types, shapes, and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.tensor import Tensor

torch = pytest.importorskip("torch")

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32", "float64")
FLOATS = ("float16", "bfloat16", "float32", "float64")
INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
# Relative and absolute tolerance by type: a few units in the last place.
CLOSE = {"complex128": 1e-11, "complex64": 2e-5, "float64": 1e-11, "float32": 2e-5, "float16": 4e-3, "bfloat16": 3e-2}


def to_torch(value: Any) -> Any:
    """The same arguments for torch: tensors, dtypes and lists of them converted, strides and grad flags kept."""
    if isinstance(value, Tensor):
        array = value.numpy(force=True)
        if value.dtype.name == "bfloat16":
            out = torch.from_numpy(np.array(array).view(np.int16)).view(torch.bfloat16)
        elif not array.flags.writeable:
            out = torch.from_numpy(array.copy())
        else:
            out = torch.from_numpy(array) if all(s >= 0 for s in array.strides) else torch.from_numpy(array.copy())
        return out.clone(memory_format=torch.preserve_format).requires_grad_(value.requires_grad)
    if isinstance(value, pp.DType):
        return getattr(torch, value.name)
    if isinstance(value, (list, tuple)):
        return type(value)(to_torch(v) for v in value)
    if isinstance(value, dict):
        return {k: to_torch(v) for k, v in value.items()}
    return value


def make(array: Any, dtype: str, requires_grad: bool = False) -> Tensor:
    """A tensor of the given type from numbers; bool and unsigned types take what fits."""
    array = np.asarray(array)
    if dtype == "bool":
        array = array > 0
    elif dtype == "uint8":
        array = np.abs(array)
    found = array.astype(getattr(pp, dtype).numpy if dtype != "bool" else np.bool_)
    out = pp.from_numpy(np.array(found, order="K"))
    return out.requires_grad_(requires_grad and dtype in FLOATS)


def numbers(value: Any) -> Any:
    """The elements as float64 or integers, from either library."""
    if isinstance(value, Tensor):
        array = value.numpy(force=True)
        return array.astype(np.float64) if value.dtype.is_floating_point else array
    value = value.detach()
    return value.double().numpy(force=True) if value.is_floating_point() else value.numpy(force=True)


def flat(result: Any) -> list[Any]:
    """The tensors (or Python values) of a result, in order."""
    if isinstance(result, (tuple, list)) and not isinstance(result, (torch.Size, pp.Size)):
        return [item for part in result for item in flat(part)]
    return [result]


def same(got: Any, want: Any, tolerance: float | None = None, dtype: bool = True) -> None:
    """Assert that a Pappus result equals a torch result: structure, shapes, types, numbers."""
    ours, theirs = flat(got), flat(want)
    assert len(ours) == len(theirs), f"{len(ours)} results, torch gives {len(theirs)}"
    for a, b in zip(ours, theirs, strict=True):
        if not isinstance(b, torch.Tensor):
            if isinstance(b, torch.dtype):
                b, a = str(b).split(".")[1], a.name
            elif isinstance(b, torch.Size):
                a, b = tuple(a), tuple(b)
            assert a == b or (a != a and b != b), f"{a!r}, torch gives {b!r}"
            continue
        assert isinstance(a, Tensor), f"{type(a)} instead of a tensor"
        assert tuple(a.shape) == tuple(b.shape), f"shape {tuple(a.shape)}, torch gives {tuple(b.shape)}"
        name = str(b.dtype).removeprefix("torch.")
        if dtype:
            assert a.dtype.name == name, f"dtype {a.dtype.name}, torch gives {name}"
        limit = CLOSE.get(name, 0.0) if tolerance is None else tolerance
        np.testing.assert_allclose(numbers(a), numbers(b), rtol=limit, atol=limit, equal_nan=True)


def both(
    function: Callable[..., Any],
    *args: Any,
    tolerance: float | None = None,
    dtype: bool = True,
    wider: bool = False,
    **kwargs: Any,
) -> None:
    """`function(library, *args)` run with both libraries: equal results, equal gradients where an operand wants one.

    Where torch raises, Pappus must raise too; with `wider` it may take more than torch does.
    """
    other_args, other_kwargs = to_torch(args), to_torch(kwargs)
    try:
        want = function(torch, *other_args, **other_kwargs)
    except (RuntimeError, ValueError, TypeError, IndexError, NotImplementedError):
        if wider:
            return
        with pytest.raises((RuntimeError, ValueError, TypeError, IndexError, NotImplementedError)):
            function(pp, *args, **kwargs)
        return
    got = function(pp, *args, **kwargs)
    same(got, want, tolerance, dtype)
    leaves = [a for a in flat(list(args)) if isinstance(a, Tensor) and a.requires_grad]
    if not leaves:
        return
    others = [a for a in flat(list(other_args)) if isinstance(a, torch.Tensor) and a.requires_grad]
    ours = [o for o in flat(got) if isinstance(o, Tensor) and o.requires_grad]
    theirs = [o for o in flat(want) if isinstance(o, torch.Tensor) and o.requires_grad]
    assert len(ours) == len(theirs), f"{len(ours)} results require grad, in torch {len(theirs)}"
    if not ours:
        return
    rng = np.random.default_rng(3)
    seeds = [np.asarray(rng.uniform(0.5, 1.5, tuple(o.shape))) for o in ours]
    mine = pp.autograd.grad(
        ours, leaves, [pp.tensor(s, dtype=o.dtype) for s, o in zip(seeds, ours, strict=True)], allow_unused=True
    )
    theirs_grad = torch.autograd.grad(
        theirs, others, [torch.tensor(s, dtype=o.dtype) for s, o in zip(seeds, theirs, strict=True)], allow_unused=True
    )
    for a, b in zip(mine, theirs_grad, strict=True):
        if b is None:
            assert a is None or not numbers(a).any()
        elif a is None:
            assert not numbers(b).any(), "no gradient, torch gives one"
        else:
            same(a, b, tolerance)
