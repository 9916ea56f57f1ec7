"""float8 and int4 tensors, which only store numbers: conversion beside PyTorch's, moving, files, refusals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend import dtypes

FLOAT8 = [d for d in dtypes.STORAGE if d.is_floating_point]
NAMES = [d.name for d in FLOAT8]


def every(dtype: dtypes.DType) -> Any:
    """A tensor of every bit pattern."""
    return pp.arange(256).to(pp.uint8).view(dtype)


@pytest.mark.parametrize("name", NAMES)
def test_every_pattern_reads_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    theirs = torch.arange(256).to(torch.uint8).view(getattr(torch, name))
    for target in ("float32", "float64", "float16", "bfloat16"):
        got = every(getattr(pp, name)).to(getattr(pp, target)).to(pp.float64).numpy()
        np.testing.assert_array_equal(got, theirs.to(getattr(torch, target)).double().numpy())
    np.testing.assert_array_equal(np.array(every(getattr(pp, name)).tolist()), theirs.float().numpy())


@pytest.mark.parametrize("source", ["float32", "float64", "float16", "bfloat16", "int64", "int8", "uint8", "bool"])
@pytest.mark.parametrize("name", NAMES)
def test_rounding_and_saturation_as_in_torch(name: str, source: str) -> None:
    """Halfway cases, subnormals, the largest numbers and beyond, infinities and nan: the same bits."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(0)
    exact = every(getattr(pp, name)).to(pp.float64).numpy()
    exact = np.sort(exact[np.isfinite(exact)])
    middles = (exact[:-1] + exact[1:]) / 2
    x = np.concatenate([
        exact, middles, np.nextafter(middles, np.inf), np.nextafter(middles, -np.inf), rng.normal(size=500),
        rng.normal(size=500) * 300,
        [464.0, 465.0, -480.0, 1e6, -1e6, 61440.0, 61441.0, np.inf, -np.inf, np.nan, -0.0, 1e-9],
    ])  # fmt: skip
    if "int" in source or source == "bool":
        x = np.array([0, 1, 2, 3, 17, 100, 127])
    theirs = torch.tensor(x).to(getattr(torch, source))
    ours = pp.tensor(x).to(getattr(pp, source))
    got = ours.to(getattr(pp, name)).view(pp.uint8).numpy()
    want = theirs.to(getattr(torch, name)).view(torch.uint8).numpy()
    nan = np.isnan(theirs.to(getattr(torch, name)).float().numpy())  # of which there are several
    np.testing.assert_array_equal(np.where(nan, 0, got), np.where(nan, 0, want))
    assert np.isnan(ours.to(getattr(pp, name)).float().numpy())[nan].all()


@pytest.mark.parametrize("name", NAMES)
def test_between_storage_types_and_from_complex(name: str) -> None:
    x = pp.tensor([1.0, 2.5, -0.5, 3.0])
    assert x.to(getattr(pp, name)).to(pp.float8_e5m2).tolist() == x.tolist()
    assert x.to(getattr(pp, name)).to(pp.complex64).real.tolist() == x.tolist()
    assert x.to(getattr(pp, name)).to(pp.int32).tolist() == [1, 2, 0, 3]
    assert x.to(getattr(pp, name)).bool().all()


def test_four_bits() -> None:
    x = pp.arange(-20, 20)
    assert x.to(pp.int4).tolist() == [(v + 8) % 16 - 8 for v in range(-20, 20)]
    assert x.to(pp.uint4).tolist() == [v % 16 for v in range(-20, 20)]
    assert pp.tensor([-8, 7], dtype=pp.int4).to(pp.float32).tolist() == [-8.0, 7.0]
    assert pp.tensor(3, dtype=pp.uint4).item() == 3 and pp.iinfo(pp.int4).min == -8 and pp.iinfo(pp.uint4).max == 15
    assert pp.int4.itemsize == 1, "one element in a byte"


MOVES: dict[str, Callable[[Any], Any]] = {
    "index": lambda t: t[1],
    "slice": lambda t: t[::2, 1:],
    "step back": lambda t: t.flip(0),
    "transpose": lambda t: t.mT,
    "view": lambda t: t.view(4, 3),
    "reshape": lambda t: t.mT.reshape(-1),
    "gather": lambda t: t[[2, 0]],
    "expand": lambda t: t[:, None].expand(3, 2, 4),
    "clone": lambda t: t.clone(),
    "detach": lambda t: t.detach(),
    "contiguous": lambda t: t.mT.contiguous(),
    "unbind": lambda t: t.unbind(0)[1],
    "chunk": lambda t: t.chunk(2, 1)[1],
}


@pytest.mark.parametrize("dtype", dtypes.STORAGE, ids=lambda d: d.name)
@pytest.mark.parametrize("name", MOVES)
def test_elements_move(name: str, dtype: dtypes.DType) -> None:
    x = pp.arange(12).view(3, 4) % 8
    got = MOVES[name](x.to(dtype))
    assert got.dtype is dtype and got.to(pp.int64).tolist() == MOVES[name](x).tolist()


@pytest.mark.parametrize("dtype", dtypes.STORAGE, ids=lambda d: d.name)
def test_elements_are_joined_chosen_and_written(dtype: dtypes.DType) -> None:
    a, b = pp.arange(4).to(dtype), pp.full((4,), 3, dtype=dtype)
    assert pp.cat([a, b]).tolist() == [0, 1, 2, 3, 3, 3, 3, 3] and pp.stack([a, b]).shape == (2, 4)
    assert pp.where(pp.tensor([True, False, True, False]), a, b).tolist() == [0, 3, 2, 3]
    a[1] = 3
    a[2:] = b[2:]
    a[pp.tensor([0])] = 1
    assert a.tolist() == [1, 3, 3, 3] and pp.zeros(2, dtype=dtype).tolist() == [0, 0]
    assert a.copy_(pp.tensor([2.0, 1.0, 1.0, 2.0])).tolist() == [2, 1, 1, 2] and a.fill_(1).tolist() == [1] * 4
    assert pp.empty_like(a).dtype is dtype and a.zero_().tolist() == [0] * 4


def test_evenly_spaced() -> None:
    assert pp.linspace(0, 2, 5, dtype=pp.float8_e5m2).tolist() == [0, 0.5, 1, 1.5, 2]
    assert pp.linspace(0, 2j, 3).tolist() == [0, 1j, 2j] and pp.linspace(0, 1j, 2).dtype is pp.complex64


REFUSED: dict[str, Callable[[Any], Any]] = {
    "add": lambda t: t + t,
    "add a number": lambda t: t + 1,
    "add a wider type": lambda t: t + pp.ones(3),
    "mul": lambda t: 2 * t,
    "neg": lambda t: -t,
    "sum": lambda t: t.sum(),
    "mean": lambda t: t.mean(),
    "max": lambda t: t.max(),
    "argmax": lambda t: t.argmax(),
    "matmul": lambda t: t @ t,
    "exp": lambda t: t.exp(),
    "relu": lambda t: pp.relu(t),
    "equal": lambda t: t == t,
    "less": lambda t: t < 1,
    "isnan": lambda t: t.isnan(),
    "isfinite": lambda t: t.isfinite(),
    "isinf": lambda t: t.isinf(),
    "any": lambda t: t.any(),
    "all": lambda t: t.all(0),
    "logical_not": lambda t: t.logical_not(),
    "logical_and": lambda t: t.logical_and(t),
    "nonzero": lambda t: t.nonzero(),
    "count_nonzero": lambda t: t.count_nonzero(),
    "prod": lambda t: t.prod(),
    "var": lambda t: t.var(),
    "abs": lambda t: t.abs(),
    "div": lambda t: t / t,
    "pow": lambda t: t**2,
    "floor": lambda t: t.floor(),
    "maximum": lambda t: pp.maximum(t, t),
    "round": lambda t: t.round(),
    "unique": lambda t: t.unique(),
    "einsum": lambda t: pp.einsum("i,i->", t, t),
    "index_add": lambda t: t.index_add(0, pp.tensor([0, 1, 2]), t),
    "index_put accumulating": lambda t: t.index_put((pp.tensor([0, 0]),), t[:2], accumulate=True),
    "tril": lambda t: t[None].tril() + 0,
    "embedding gradient": lambda t: pp.OPS["embedding_backward"](t[None], pp.tensor([0]), 2),
    "conv": lambda t: pp.nn.functional.conv1d(t[None, None], t[None, None]),
    "complex": lambda t: pp.complex(t, t),
    "equal to": lambda t: pp.equal(t, t),
    "allclose": lambda t: pp.allclose(t, t),
    "random": lambda t: pp.rand(2, dtype=t.dtype),
    "arange": lambda t: pp.arange(3, dtype=t.dtype),
    "sort": lambda t: t.sort(),
    "cumsum": lambda t: t.cumsum(0),
    "softmax": lambda t: t.softmax(0),
    "clamp": lambda t: t.clamp(0, 1),
    "in place": lambda t: t.add_(1),
    "pad": lambda t: pp.nn.functional.pad(t, (1, 1), value=1.0),
    "scatter_add": lambda t: t.scatter_add(0, pp.tensor([0]), t),
    "linear": lambda t: pp.nn.functional.linear(t, t[None]),
    "norm": lambda t: t.norm(),
    "requires_grad": lambda t: t.requires_grad_(),
}


@pytest.mark.parametrize("dtype", [pp.float8_e4m3fn, pp.float8_e5m2, pp.int4], ids=lambda d: d.name)
@pytest.mark.parametrize("name", REFUSED)
def test_arithmetic_is_refused(name: str, dtype: dtypes.DType) -> None:
    with pytest.raises((pp.DTypeError, pp.ArgumentError)):
        REFUSED[name](pp.tensor([1, 2, 3]).to(dtype))


def test_refusal_names_the_way_out() -> None:
    t = pp.ones(2).to(pp.float8_e4m3fn)
    with pytest.raises(pp.DTypeError, match=r"(?s)float8_e4m3fn only stores numbers; convert first, with "
                       r"\.to\(pappus\.float32\).*test_storage_types\.py:\d+"):  # fmt: skip
        t + t
    with pytest.raises(pp.DTypeError, match=r"int4 only stores numbers; convert first, with \.to\(pappus\.int32\)"):
        pp.ones(2).to(pp.int4) + 1
    with pytest.raises(pp.DTypeError, match="only stores"):
        pp.promote_types(pp.float8_e5m2, pp.float32)
    with pytest.raises(pp.DTypeError, match="default"):
        pp.set_default_dtype(pp.float8_e5m2)


def test_gradient_through_a_rounding() -> None:
    """Casting to float8 and back passes the gradient on where torch does: nowhere, since float8 has none."""
    x = pp.ones(3, requires_grad=True)
    assert not x.to(pp.float8_e4m3fn).requires_grad


def test_files(tmp_path: Any) -> None:
    torch = pytest.importorskip("torch")
    files = pytest.importorskip("safetensors.torch")
    path = tmp_path / "w.safetensors"
    tensors = {name: every(getattr(pp, name)) for name in NAMES}
    pp.save(tensors, path)
    theirs, ours = files.load_file(path), pp.load(path)
    for name in NAMES:
        assert ours[name].dtype.name == name and theirs[name].dtype is getattr(torch, name)
        assert ours[name].view(pp.uint8).tolist() == theirs[name].view(torch.uint8).tolist() == list(range(256))
    files.save_file(theirs, tmp_path / "t.safetensors")
    assert pp.load(tmp_path / "t.safetensors")[NAMES[0]].view(pp.uint8).tolist() == list(range(256))
    with pytest.raises(pp.DTypeError, match=r"int4, which safetensors does not have; save x\.to\(pappus\.int8\)"):
        pp.save({"q": pp.ones(2).to(pp.int4)}, path)


@pytest.mark.parametrize("dtype", dtypes.STORAGE, ids=lambda d: d.name)
def test_copies(dtype: dtypes.DType) -> None:
    import copy
    import pickle

    t = pp.tensor([1, 2, 3]).to(dtype)
    for twin in (copy.deepcopy(t), pickle.loads(pickle.dumps(t))):
        assert twin.dtype is dtype and twin.tolist() == [1, 2, 3]
    assert pickle.loads(pickle.dumps(dtype)) is dtype


def test_export_is_refused() -> None:
    w = pp.ones(3).to(pp.float8_e4m3fn)
    ep = pp.export.export(lambda x: x.to(pp.float8_e5m2).to(pp.float32), (pp.ones(3),))
    with pytest.raises(pp.export.UnsupportedOperators, match=r"test_storage_types\.py:\d+: to_dtype.*no float8_e5m2"):
        pp.export.lower(ep)
    program = pp.export.lower(pp.export.export(lambda x: x * w.to(pp.float32), (pp.ones(3),)))  # folded: a constant
    assert pp.runtime.load(program.to_bytes())(np.ones(3, np.float32)) is not None
