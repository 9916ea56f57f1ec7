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
