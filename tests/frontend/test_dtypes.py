"""Types: promotion over all pairs against PyTorch, casting, limits, the default."""

from __future__ import annotations

import copy
import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import pappus as pp
from pappus.frontend import dtypes
from pappus.frontend.tensor import Tensor

NAMES = [d.name for d in dtypes.ALL]
ALL_NAMES = [d.name for d in (*dtypes.ALL, *dtypes.STORAGE)]
SHORT = [n for n in NAMES if n not in ("uint16", "uint32", "uint64")]
NUMBERS = {"bool": True, "int": 2, "float": 1.5, "complex": 1j}
# What uint16, uint32 and uint64 go with here, and in torch do not.
WITH_WIDE = {"bool", "complex64", "complex128"}
REAL = [n for n in SHORT if "complex" not in n]


@pytest.fixture
def default() -> Iterator[None]:
    """Restores the default type."""
    before = pp.get_default_dtype()
    yield
    pp.set_default_dtype(before)


def operand(kind: str, name: str, library: Any) -> Any:
    """A tensor of 2 elements, a 0-d tensor, or a Python number."""
    if kind == "number":
        return NUMBERS[name]
    return library.ones((2,) if kind == "tensor" else (), dtype=getattr(library, name))


OPERANDS = [(kind, name) for kind in ("tensor", "0-d") for name in NAMES] + [("number", name) for name in NUMBERS]
PAIRS = [p for p in itertools.product(OPERANDS, OPERANDS) if any(kind != "number" for kind, _ in p)]


def test_promotion_equals_torch() -> None:
    """Every pair of {tensor, 0-d tensor, number} x types: result_type, and the types that add, mul and div give."""
    torch = pytest.importorskip("torch")
    checked = refused = 0
    for left, right in PAIRS:
        a, b = operand(*left, pp), operand(*right, pp)
        try:
            want = torch.result_type(operand(*left, torch), operand(*right, torch))
        except RuntimeError:
            if not WITH_WIDE & {left[1], right[1]}:
                with pytest.raises(pp.DTypeError):
                    pp.result_type(a, b)
            refused += 1
            continue
        name = str(want).removeprefix("torch.")
        if name == "complex32":  # float16 with a complex number: a type that Pappus lacks
            with pytest.raises(pp.DTypeError, match="no complex type has parts"):
                pp.result_type(a, b)
            refused += 1
            continue
        assert pp.result_type(a, b).name == name, (left, right)
        for op in ("add", "mul", "div", "maximum"):
            if op == "maximum" and ("number" in (left[0], right[0]) or want.is_complex):
                continue
            found = getattr(pp, op)(a, b).dtype
            quotient = want if want.is_floating_point or want.is_complex else torch.float32
            assert found.name == str(quotient if op == "div" else want).removeprefix("torch."), (op, left, right)
        checked += 1
    assert checked > 500 and refused > 0


def test_promote_types_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    for a, b in itertools.product(NAMES, NAMES):
        try:
            want = torch.promote_types(getattr(torch, a), getattr(torch, b))
        except RuntimeError:
            if WITH_WIDE & {a, b}:
                continue
            with pytest.raises(pp.DTypeError, match="no common type"):
                pp.promote_types(getattr(pp, a), getattr(pp, b))
            continue
        assert pp.promote_types(getattr(pp, a), getattr(pp, b)).name == str(want).removeprefix("torch."), (a, b)


def test_can_cast_equals_torch() -> None:
    torch = pytest.importorskip("torch")
    for a, b in itertools.product(NAMES, NAMES):
        want = torch.can_cast(getattr(torch, a), getattr(torch, b))
        assert pp.can_cast(getattr(pp, a), getattr(pp, b)) is want, (a, b)


@pytest.mark.parametrize("name", [n for n in ALL_NAMES if "float" in n or "complex" in n])
def test_finfo_equals_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pp.finfo(getattr(pp, name)), torch.finfo(getattr(torch, name))
    for field in ("bits", "eps", "max", "min", "tiny", "smallest_normal", "resolution", "dtype"):
        if (name, field) == ("float8_e5m2fnuz", "eps"):  # torch says 0.125, but its next number above 1 is 1.25
            assert ours.eps == 0.25 == torch.tensor([65], dtype=torch.uint8).view(torch.float8_e5m2fnuz).item() - 1
            continue
        assert getattr(ours, field) == getattr(theirs, field), field


@pytest.mark.parametrize("name", [n for n in NAMES if "int" in n])
def test_iinfo_equals_torch(name: str) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = pp.iinfo(getattr(pp, name)), torch.iinfo(getattr(torch, name))
    for field in ("bits", "max", "min", "dtype"):
        assert getattr(ours, field) == getattr(theirs, field), field


def test_limits_of_the_wrong_kind() -> None:
    with pytest.raises(pp.DTypeError, match="use iinfo"):
        pp.finfo(pp.int32)
    with pytest.raises(pp.DTypeError, match="use finfo"):
        pp.iinfo(pp.float32)
    with pytest.raises(pp.DTypeError):
        pp.iinfo(pp.bool)


@pytest.mark.parametrize(("source", "target"), list(itertools.product(REAL, SHORT)))
def test_conversion_equals_torch(source: str, target: str) -> None:
    torch = pytest.importorskip("torch")
    numbers = (
        np.array([0.0, 1.0, 2.75, 100.0, 0.3])
        if source in ("uint8", "bool")
        else np.array([0.0, -1.0, 2.75, 100.0, -0.3])
    )
    x = pp.tensor(numbers).to(getattr(pp, source))
    want = torch.tensor(x.tolist(), dtype=getattr(torch, source)).to(getattr(torch, target))
    assert x.to(getattr(pp, target)).tolist() == want.tolist()
    assert x.to(getattr(pp, target)).dtype is getattr(pp, target)


def test_default_dtype(default: None) -> None:
    assert pp.tensor(1.5).dtype is pp.zeros(2).dtype is (pp.tensor(1) / 2).dtype is pp.float32
    pp.set_default_dtype(pp.float64)
    assert pp.get_default_dtype() is pp.float64
    assert pp.tensor(1.5).dtype is pp.zeros(2).dtype is (pp.tensor(1) / 2).dtype is pp.float64
    assert pp.rand(2).dtype is pp.linspace(0, 1, 3).dtype is pp.tensor([1]).exp().dtype is pp.float64
    assert (pp.ones(2, dtype=pp.float32) * 1.5).dtype is pp.float32
    assert repr(pp.tensor(1.5)) == "tensor(1.5000)"
    assert repr(pp.tensor(1.5, dtype=pp.float32)) == "tensor(1.5000, dtype=pappus.float32)"
    with pytest.raises(pp.DTypeError, match="floating-point"):
        pp.set_default_dtype(pp.int32)


def test_names() -> None:
    assert repr(pp.float32) == "pappus.float32" and pp.half is pp.float16 and pp.double is pp.float64
    assert pp.long is pp.int64 and pp.float is pp.float32 and pp.int is pp.int32 and pp.short is pp.int16
    assert pickle.loads(pickle.dumps(pp.bfloat16)) is pp.bfloat16 and copy.deepcopy(pp.int8) is pp.int8
    assert isinstance(pp.bool, pp.dtype)


@pytest.mark.parametrize(
    ("given", "want"),
    [
        (float, "float32"),
        (int, "int64"),
        (bool, "bool"),
        (complex, "complex64"),
        (np.complex128, "complex128"),
        ("half", "float16"),
        (np.int16, "int16"),
        (np.dtype("f8"), "float64"),
    ],
)
def test_types_from_elsewhere(given: Any, want: str) -> None:
    assert pp.zeros(1, dtype=given).dtype.name == want


@pytest.mark.parametrize("bad", ["float33", object(), np.dtype("M8[s]"), "S"])
def test_unknown_types(bad: Any) -> None:
    with pytest.raises((pp.DTypeError, pp.ArgumentError)):
        pp.zeros(1, dtype=bad)


def test_numpy_types_without_counterpart() -> None:
    with pytest.raises(pp.DTypeError, match="convert the array first"):
        pp.from_numpy(np.zeros(2, np.clongdouble))
    assert pp.from_numpy(np.arange(3, dtype=">i4")).tolist() == [0, 1, 2]


KINDS = st.sampled_from(["tensor", "0-d", "number"])


@given(st.lists(st.tuples(KINDS, st.sampled_from([n for n in SHORT if n != "float16"])), min_size=1, max_size=4))
def test_promotion_does_not_depend_on_order(items: list[tuple[str, str]]) -> None:
    """The common type of several operands is the same in any order, and at least as wide as each tensor's own kind."""
    facts = []
    for kind, name in items:
        dtype = getattr(pp, name)
        facts.append(
            (dtypes.of_value(Tensor._from_data(np.ones((), dtype.numpy)).item()), 0, True)
            if kind == "number"
            else (dtype, int(kind == "tensor"), False)
        )
    want = dtypes.result_type(facts)
    for order in itertools.permutations(facts):
        assert dtypes.result_type(order) is want
    assert want.category == max(f[0].category for f in facts)
