"""repr of tensors, compared with PyTorch's text where it is installed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import pappus as pp
from pappus.frontend.printing import _options

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    saved = dict(vars(_options))
    yield
    for name in list(vars(_options)):
        delattr(_options, name)
    for name, value in saved.items():
        setattr(_options, name, value)


CASES: dict[str, Any] = {
    "ints": np.arange(6).reshape(2, 3),
    "negative ints": np.array([-1, 20, 300]),
    "bools": np.array([[True, False], [True, True]]),
    "all true": np.array([True, True]),
    "floats": np.array([0.5, -1.25, 3.0], np.float32),
    "whole floats": np.array([1.0, 2.0, -3.0], np.float32),
    "large": np.array([1e10, 1.0, -5e9], np.float32),
    "small": np.array([1e-6, 1e-5], np.float32),
    "both": np.array([1e-3, 1e5], np.float32),
    "large whole": np.array([123456.0, 2.0], np.float32),
    "huge whole": np.array([1e9, 2.0], np.float32),
    "zero": np.array(0.0, np.float32),
    "nan and inf": np.array([np.nan, np.inf, -np.inf, 1.5], np.float32),
    "only nan": np.array([np.nan], np.float32),
    "nan and whole": np.array([np.nan, 2.0], np.float32),
    "zeros": np.zeros((2, 2), np.float32),
    "empty": np.zeros(0, np.float32),
    "empty matrix": np.zeros((0, 3), np.float32),
    "empty ints": np.zeros((2, 0), np.int64),
    "empty bools": np.zeros(0, bool),
    "scalar int": np.array(3),
    "scalar bool": np.array(True),
    "3-d": np.arange(12.0, dtype=np.float32).reshape(2, 2, 3) / 7,
    "long": np.arange(1001),
    "long floats": np.arange(2000, dtype=np.float32) / 3,
    "large matrix": np.arange(10000).reshape(100, 100),
    "wide": np.arange(60),
    "wide floats": RNG.normal(size=(2, 12)).astype(np.float32),
    "4-d summarised": np.arange(4 * 5 * 9 * 9).reshape(4, 5, 9, 9),
    "float64": np.array([1.5, 2.25]),
    "float16": np.array([1.5], np.float16),
    "int32": np.array([1, 2], np.int32),
    "uint8": np.array([255], np.uint8),
    "one row": np.ones((1, 1, 1), np.float32),
    "tall": np.arange(1200).reshape(600, 2),
    "mixed sizes": np.array([0.001, 1.0, 99.0], np.float32),
    "just small": np.array([1.00001e-4, 1.0], np.float32),
}


@pytest.mark.parametrize("name", CASES)
def test_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    want = repr(torch.tensor(CASES[name])).replace("torch.", "pappus.")
    assert repr(pp.tensor(CASES[name])) == want


def test_bfloat16() -> None:
    torch = pytest.importorskip("torch")
    want = repr(torch.tensor([1.5, 0.1], dtype=torch.bfloat16)).replace("torch.", "pappus.")
    assert repr(pp.tensor([1.5, 0.1], dtype=pp.bfloat16)) == want


def test_gradient_marks() -> None:
    x = pp.ones(2, requires_grad=True)
    assert repr(x) == "tensor([1., 1.], requires_grad=True)"
    assert repr(x * 2) == "tensor([2., 2.], grad_fn=<MulBackward0>)"
    assert repr(x.detach()) == "tensor([1., 1.])"


COMPLEX: dict[str, Any] = {
    "complex": np.array([1 + 2j, -3.5 + 0.25j], np.complex64),
    "whole complex": np.array([[1 + 2j, -30 - 4j]], np.complex64),
    "complex of two sizes": np.array([1e6 + 1j, 0.5 - 2e-7j], np.complex128),
    "complex with nan": np.array([np.nan + 1j, complex(1, np.inf), complex(-np.inf, -0.0)], np.complex64),
    "one complex": np.array(1.5 - 2j, np.complex64),
    "long complex": (np.arange(2000) * (1 - 0.5j)).astype(np.complex64),
    "wide complex": RNG.normal(size=(3, 8)) + 1j * RNG.normal(size=(3, 8)),
    "empty complex": np.zeros((0, 2), np.complex64),
}


@pytest.mark.parametrize("name", COMPLEX)
def test_complex_as_in_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    assert repr(pp.tensor(COMPLEX[name])) == repr(torch.tensor(COMPLEX[name])).replace("torch.", "pappus.")


DTYPES = (
    "bool", "uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64", "float16", "bfloat16", "float32",
    "float64", "complex64", "complex128", "float8_e4m3fn", "float8_e5m2", "float8_e4m3fnuz", "float8_e5m2fnuz",
)  # fmt: skip
SHAPES = ((), (1,), (7,), (30,), (0,), (0, 3), (2, 3), (9, 11), (2, 2, 3), (40, 40), (3, 2, 3, 4), (3, 500))
OPTIONS: list[dict[str, Any]] = [
    {}, {"precision": 2}, {"precision": 0, "sci_mode": False}, {"sci_mode": True}, {"sci_mode": False},
    {"threshold": 5, "edgeitems": 1}, {"threshold": 10, "edgeitems": 2, "linewidth": 40}, {"linewidth": 20},
    {"threshold": 4, "edgeitems": 0}, {"profile": "short"}, {"profile": "full", "linewidth": 200},
]  # fmt: skip


def drawn(rng: Any, dtype: str, shape: tuple[int, ...]) -> Any:
    """Numbers of a random size and kind: whole or not, some of them zero, infinite or nan."""
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if "int" in dtype and "float" not in dtype:
        return rng.integers(0, 100, shape) - (0 if dtype.startswith("u") else 50)
    scale = 10.0 ** rng.integers(-3, 4) if "8" in dtype else 10.0 ** rng.integers(-8, 10)
    x = rng.normal(size=shape) * scale
    x = np.where(rng.random(shape) < rng.choice([0.0, 0.4]), np.round(x), x)
    x = np.where(rng.random(shape) < rng.choice([0.0, 0.3]), rng.choice([0.0, -0.0, np.inf, -np.inf, np.nan]), x)
    return x + 1j * np.roll(x, 1) if "complex" in dtype else x


@pytest.mark.parametrize("options", OPTIONS, ids=str)
@pytest.mark.parametrize("dtype", DTYPES)
def test_drawn_tensors_print_as_in_torch(dtype: str, options: dict[str, Any], monkeypatch: Any) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(pp.DType, "__repr__", lambda self: f"torch.{self.name}")  # so that lines break alike
    rng = np.random.default_rng([DTYPES.index(dtype), OPTIONS.index(options)])
    pp.set_printoptions(**options)
    torch.set_printoptions(**options)
    try:
        for shape in SHAPES:
            x = drawn(rng, dtype, shape)
            theirs = torch.tensor(x).to(getattr(torch, dtype))
            with np.errstate(all="ignore"):
                ours = pp.tensor(x).to(getattr(pp, dtype))
            assert repr(ours) == repr(theirs), (shape, x)
    finally:
        torch.set_printoptions(profile="default")


@pytest.mark.parametrize("run", [
    lambda m, x: x * 2, lambda m, x: x.sum(), lambda m, x: x.exp() + 1, lambda m, x: x.detach(),
    lambda m, x: m.cat([x] * 12, 1) / 3, lambda m, x: x.double(), lambda m, x: x, lambda m, x: x[:0],
])  # fmt: skip
def test_gradients_as_in_torch(run: Any) -> None:
    torch = pytest.importorskip("torch")
    data = [[0.125, 2.0, 3.0], [4.0, 5.0, 6.0]]
    texts = [repr(run(m, m.tensor(data, requires_grad=True))) for m in (pp, torch)]
    known = {"<ToCopyBackward0>": "<ToDtypeBackward0>"}  # ours is named after our operator
    assert texts[0] == texts[1].replace("torch.", "pappus.").replace(*next(iter(known.items())))


def test_subclasses_and_default_types() -> None:
    class Mine(pp.Tensor):
        pass

    assert repr(Mine([1.0])) == "Mine([1.])"
    assert repr(pp.nn.Parameter(pp.ones(1))) == "Parameter containing:\ntensor([1.], requires_grad=True)"
    pp.set_default_dtype(pp.float64)
    try:
        assert repr(pp.tensor([1j])) == "tensor([0.+1.j])"
        assert repr(pp.tensor([1j], dtype=pp.complex64)) == "tensor([0.+1.j], dtype=pappus.complex64)"
    finally:
        pp.set_default_dtype(pp.float32)


def test_small_integers() -> None:
    assert repr(pp.tensor([-8, 7]).to(pp.int4)) == "tensor([-8,  7], dtype=pappus.int4)"
    assert repr(pp.tensor([0, 15]).to(pp.uint4)) == "tensor([ 0, 15], dtype=pappus.uint4)"


def test_settings_are_restored() -> None:
    before = pp.get_printoptions()
    with pp.printoptions(precision=1, sci_mode=True):
        assert repr(pp.tensor(0.25)) == "tensor(2.5e-01)"
    assert pp.get_printoptions() == before
    with pytest.raises(pp.ArgumentError, match="profile"):
        pp.set_printoptions(profile="long")


def test_options() -> None:
    torch = pytest.importorskip("torch")
    x = np.array([1 / 3, 2 / 3], np.float32)
    pp.set_printoptions(precision=2)
    torch.set_printoptions(precision=2)
    try:
        assert repr(pp.tensor(x)) == repr(torch.tensor(x)) == "tensor([0.33, 0.67])"
    finally:
        torch.set_printoptions(profile="default")
    pp.set_printoptions(threshold=3, edgeitems=1, precision=4)
    assert repr(pp.arange(10)) == "tensor([0,  ..., 9])"
    pp.set_printoptions(linewidth=20, threshold=1000)
    assert max(map(len, repr(pp.arange(30)).splitlines())) <= 20


def test_format_and_str() -> None:
    x = pp.tensor(1.23456)
    assert f"{x:.2f}" == "1.23" and f"{x}" == str(x) == "tensor(1.2346)"
    assert f"{pp.tensor(7):04d}" == "0007"
    with pytest.raises(TypeError):
        f"{pp.ones(2):.2f}"
