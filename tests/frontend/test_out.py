"""`out=`: the same rules for every operator, compared with PyTorch wherever it has the argument."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operator_samples import fresh, listed, samples_of, tensors_in
from torch_oracle import same, to_torch, torch

import pappus as pp
from pappus.frontend.opdef import OPS

SEEDED = {"bernoulli", "dropout", "normal", "rand", "randn", "randint", "randperm", "multinomial", "uniform", "rrelu"}


def _takes_out(name: str) -> bool:
    """Whether torch's function of this name has `out`; its docstring's first line is its signature."""
    text = getattr(getattr(torch, name, None), "__doc__", None) or ""
    return "out=None" in text


SHARED = [
    n for n, op in sorted(OPS.items()) if _takes_out(n) and samples_of(op) and not op.tags & {"random"} | SEEDED & {n}
]


def call(library: Any, name: str, args: Any, kwargs: Any, out: Any) -> tuple[Any, list[str]]:
    """The result, or the error's class, and the warnings."""
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        try:
            found = getattr(library, name)(*args, **kwargs, out=out)
        except (RuntimeError, TypeError, ValueError, IndexError):
            return "error", []
    return found, [str(w.message) for w in seen if "resized" in str(w.message)]


@pytest.mark.parametrize("name", SHARED)
def test_out_equals_torch(name: str) -> None:
    sample = samples_of(OPS[name])[0]
    args, kwargs = fresh(sample.args), fresh(sample.kwargs)
    if isinstance(call(torch, name, to_torch(args), to_torch(kwargs), None)[0], str):
        pytest.skip("torch spells the operands otherwise")
    with pp.no_grad():
        plain = listed(getattr(pp, name)(*args, **kwargs))
    for change in ("empty", "fitting", "too large", "wider", "integer"):
        outs = []
        for result in plain:
            shape = {"empty": (0,), "too large": (7, 5)}.get(change, tuple(result.shape))
            floating = result.dtype.is_floating_point
            kind = {"wider": pp.float64, "integer": pp.int64}.get(change) if floating else None
            outs.append(pp.zeros(shape, dtype=kind or result.dtype))
        out: Any = tuple(outs) if len(outs) > 1 else outs[0]
        theirs_out = to_torch(out)
        theirs, their_warnings = call(torch, name, to_torch(args), to_torch(kwargs), theirs_out)
        if isinstance(theirs, str) and change != "integer":
            continue  # torch takes only the very type here, or spells the operands otherwise
        if change == "integer" and name in ("cumsum", "cumprod"):
            continue  # torch rounds every operand to the type of out first; here that needs dtype=
        ours, our_warnings = call(pp, name, args, kwargs, out)
        assert isinstance(ours, str) == isinstance(theirs, str), f"{change}: {ours} and {theirs}"
        if not isinstance(ours, str):
            assert all(a is b for a, b in zip(listed(ours), outs, strict=True)), "the tensors that were given"
            same(listed(ours), listed(theirs))
            if name != "addbmm":  # torch resizes its out without a warning
                assert len(our_warnings) == len(their_warnings) or not tensors_in(args), change


@pytest.mark.parametrize("name", sorted(OPS))
def test_every_operator_takes_out(name: str) -> None:
    op = OPS[name]
    if "random" in op.tags or not samples_of(op) or "out" in [p.name for p in op.schema.params]:
        pytest.skip("draws numbers, has no sample, or an operand of this name")
    sample = samples_of(op)[0]
    args, kwargs = fresh(sample.args), fresh(sample.kwargs)
    plain = listed(op(*args, **kwargs))
    outs = [pp.zeros(tuple(r.shape), dtype=r.dtype) for r in plain]
    many = isinstance(op(*args, **kwargs), tuple)
    found = op(*args, **kwargs, out=tuple(outs) if many else outs[0])
    for a, b, c in zip(plain, listed(found), outs, strict=True):
        assert b is c and np.array_equal(a.numpy(force=True), b.numpy(), equal_nan=a.dtype.is_floating_point)


def test_functions_beside_the_operators_take_out() -> None:
    x = pp.tensor([[3.0, 1.0], [2.0, 5.0]])
    values, indices = pp.empty(0), pp.empty(0, dtype=pp.int64)
    found = pp.max(x, 1, out=(values, indices))
    assert found.values is values and indices.tolist() == [0, 1] and values.tolist() == [3.0, 5.0]
    y = pp.zeros(2, 2)
    assert pp.tril(x, out=y) is y and y.tolist() == [[3.0, 0.0], [2.0, 5.0]]
    assert pp.add(x, 1, out=None).tolist() == [[4.0, 2.0], [3.0, 6.0]]
    assert pp.arange(3, out=pp.empty(0, dtype=pp.float64)).dtype is pp.float64


def test_out_may_be_an_operand_and_counts_as_a_change() -> None:
    x = pp.ones(3)
    assert pp.add(x, x, out=x) is x and x.tolist() == [2.0, 2.0, 2.0] and x._version == 1
    a = pp.ones(3, requires_grad=True)
    y = (a * x).sum()
    pp.exp(pp.zeros(3), out=x)
    with pytest.raises(pp.InplaceError, match=r"exp\(\) at .*test_out\.py"):
        y.backward()


def _into_itself() -> Any:
    x = pp.ones(2, 2)
    return pp.flip(x, (0,), out=x)


WRONG: dict[str, tuple[Callable[[], Any], type[Exception], str]] = {
    "type": (
        lambda: pp.add(pp.ones(2), 1.5, out=pp.ones(2, dtype=pp.int64)),
        pp.DTypeError,
        "result type float32 can't be cast to the output type int64",
    ),
    "no tensor": (lambda: pp.add(pp.ones(2), 1, out=3), pp.ArgumentError, "out must be a Tensor, got int"),
    "gradient": (
        lambda: pp.add(pp.ones(2, requires_grad=True), 1, out=pp.ones(2)),
        pp.AutogradError,
        "don't support automatic differentiation.*no_grad",
    ),
    "gradient of out": (
        lambda: pp.add(pp.ones(2), 1, out=pp.ones(2, requires_grad=True)),
        pp.AutogradError,
        "don't support automatic differentiation",
    ),
    "number": (lambda: pp.sort(pp.ones(2), out=pp.ones(2)), pp.ArgumentError, "out must be a tuple of 2 tensors"),
    "expanded": (lambda: pp.exp(pp.ones(3), out=pp.ones(1).expand(3)), pp.InplaceError, "share one memory location"),
    "type of chosen elements": (
        lambda: pp.gather(pp.ones(2), 0, pp.tensor([0]), out=pp.ones(1, dtype=pp.float64)),
        pp.DTypeError,
        "expected out tensor to have dtype float32, but got float64",
    ),
    "operand of cat": (lambda: _into_itself(), pp.InplaceError, "share their memory"),
    "other argument": (
        lambda: pp.add(pp.ones(2), 1, alfa=2, out=pp.ones(2)),
        pp.ArgumentError,
        "has no argument 'alfa'",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_out(name: str) -> None:
    function, kind, text = WRONG[name]
    with pytest.raises(kind, match=text) as found:
        function()
    assert "test_out.py" in str(found.value)


def test_partial_overlap_is_refused_as_in_torch() -> None:
    for m in (pp, torch):
        x = m.arange(6.0)
        with pytest.raises(RuntimeError, match="memory"):
            m.exp(x[1:], out=x[:-1])
        m.exp(x[:3], out=x[3:])
        same(x[3:], torch.arange(3.0).exp()) if m is pp else None


def test_a_resize_warns_at_the_users_line() -> None:
    with pytest.warns(UserWarning, match=r"shape \[3\].*required output shape \[2\]") as seen:
        pp.exp(pp.ones(2), out=pp.ones(3))
    assert seen[0].filename == __file__


def test_out_through_a_view_changes_the_base() -> None:
    x = pp.zeros(2, 2)
    pp.exp(pp.zeros(2), out=x[1])
    assert x.tolist() == [[0.0, 0.0], [1.0, 1.0]]
