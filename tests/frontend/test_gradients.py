"""Every differentiable operator against finite differences, every override against the decomposition it replaces."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from operator_samples import cases, fresh, listed, map_tensors, samples_of, seeded, split_args, tensors_in

import pappus as pp
from pappus.frontend.autograd import grad
from pappus.frontend.dispatch import call
from pappus.frontend.gradcheck import gradcheck, gradgradcheck
from pappus.frontend.opdef import OPS, OpDef, Sample
from pappus.frontend.tensor import Tensor

Case = tuple[str, OpDef, int]
CASES: list[Case] = list(cases())


def has_floats(case: Case) -> bool:
    sample = samples_of(case[1])[case[2]]
    return any(t.dtype.is_floating_point for t in tensors_in((sample.args, sample.kwargs)))


def has_gradient(case: Case) -> bool:
    sample = samples_of(case[1])[case[2]]
    return any(t.dtype.differentiable for t in tensors_in((sample.args, sample.kwargs)))


def each(cases: list[Case]) -> Any:
    """Parametrize a test by operator and sample number."""
    return pytest.mark.parametrize(("op", "number"), [case[1:] for case in cases], ids=[case[0] for case in cases])


FLOATING = [case for case in CASES if has_gradient(case)]
SMOOTH = [case for case in FLOATING if case[1].differentiable]
OVERRIDDEN = [case for case in CASES if case[1].decompose is not None and case[1].eager is not None]
WITH_VJP = [case for case in SMOOTH if case[1].decompose is not None and case[1].vjp is not None]
STATIC = [case for case in CASES if "dynamic" not in case[1].tags]


def function_of(op: OpDef, sample: Sample) -> tuple[Any, list[Tensor]]:
    """The operator as a function of its floating-point operands alone, and those operands."""
    args, kwargs = fresh((sample.args, sample.kwargs), requires_grad=True)
    leaves = [t for t in tensors_in((args, kwargs)) if t.requires_grad]
    if "symmetric" in op.tags:  # of which one triangle is read, but both get a gradient
        return (lambda *_: op((args[0] + args[0].mT) / 2, *args[1:], **kwargs)), leaves

    def run(*_: Any) -> Any:
        seeded()
        return op(*args, **kwargs)

    return run, leaves


@each(SMOOTH)
def test_gradient(op: OpDef, number: int) -> None:
    run, leaves = function_of(op, samples_of(op)[number])
    assert any(o.requires_grad for o in listed(run())), "floating-point operands, but no result requires grad"
    assert gradcheck(run, leaves)


@each(SMOOTH)
def test_gradient_of_gradient(op: OpDef, number: int) -> None:
    run, leaves = function_of(op, samples_of(op)[number])
    assert gradgradcheck(run, leaves, limit=12)


@each([case for case in FLOATING if not case[1].differentiable])
def test_no_gradient_where_none_makes_sense(op: OpDef, number: int) -> None:
    run, _ = function_of(op, samples_of(op)[number])
    assert not any(o.requires_grad for o in listed(run()))


def test_every_operator_has_samples() -> None:
    assert not [name for name, op in OPS.items() if not samples_of(op)]


def test_differentiable_operators_have_a_floating_point_sample() -> None:
    bare = [
        name
        for name, op in OPS.items()
        if op.differentiable and not any(t.dtype.differentiable for s in samples_of(op) for t in tensors_in(s.args))
    ]
    assert not bare


def test_scatter_of_more_than_the_index_takes() -> None:
    """Elements of src beyond the index have no part in the result, and a gradient of zero."""
    x, src = pp.zeros(3, 4, dtype=pp.float64, requires_grad=True), pp.ones(3, 4, dtype=pp.float64, requires_grad=True)
    index = pp.tensor([[0, 2], [1, 0]])
    for function in (pp.scatter_add, pp.scatter):
        assert gradcheck(lambda x, src, run=function: run(x, 0, index, src), [x, src])
        assert gradgradcheck(lambda x, src, run=function: run(x, 0, index, src * src), [x, src])


# -- overrides ------------------------------------------------------------------------------------


@each(OVERRIDDEN)
def test_eager_equals_decomposition(op: OpDef, number: int) -> None:
    sample = samples_of(op)[number]
    args, attrs = split_args(op, sample)
    assert op.decompose is not None
    for got, want in zip(listed(op(*sample.args, **sample.kwargs)), listed(op.decompose(*args, **attrs)), strict=True):
        assert got.dtype is want.dtype
        np.testing.assert_allclose(got.numpy(), want.numpy(), rtol=1e-10, atol=1e-12)


@each(WITH_VJP)
def test_vjp_equals_gradient_of_decomposition(op: OpDef, number: int) -> None:
    args, attrs = split_args(op, samples_of(op)[number])
    args = fresh(args, requires_grad=True)
    leaves = [t for t in tensors_in(args) if t.requires_grad]
    assert op.decompose is not None
    whole, parts = listed(call(op, args, attrs)), listed(op.decompose(*args, **attrs))
    wanted = [at for at, o in enumerate(whole) if o.requires_grad]
    seeds = [pp.ones_like(whole[at]) * (at + 1) + whole[at].detach() for at in wanted]
    got = grad([whole[at] for at in wanted], leaves, seeds, allow_unused=True, materialize_grads=True)
    want = grad([parts[at] for at in wanted], leaves, seeds, allow_unused=True, materialize_grads=True)
    for a, b in zip(got, want, strict=True):
        np.testing.assert_allclose(a.numpy(), b.numpy(), rtol=1e-8, atol=1e-10)


# -- shape rules ----------------------------------------------------------------------------------


def recast(value: Any, dtype: Any) -> Any:
    return map_tensors(value, lambda t: t.detach().to(dtype) if t.dtype.differentiable else t.detach().clone())


def assert_specs(op: OpDef, sample: Sample) -> list[Any]:
    """The shape rule says what the call gives: shapes and types."""
    args, attrs = split_args(op, sample)
    specs = listed(op.shape(*args, **attrs))
    outs = listed(op(*sample.args, **sample.kwargs))
    assert [(tuple(s.shape), s.dtype) for s in specs] == [(tuple(o.shape), o.dtype) for o in outs]
    return outs


@each(STATIC)
def test_shape_rule_equals_result(op: OpDef, number: int) -> None:
    assert_specs(op, samples_of(op)[number])


SHORTER = [pp.float32, pp.float16, pp.bfloat16]


@pytest.mark.parametrize("dtype", SHORTER, ids=[d.name for d in SHORTER])
@each([case for case in STATIC if has_floats(case)])
def test_shorter_types(op: OpDef, number: int, dtype: Any) -> None:
    """In float32 and the 16-bit types: the shape rule holds, and numbers agree with float64 to the type's precision."""
    sample = samples_of(op)[number]
    if op.tags & {"linalg", "wide"} and dtype is not pp.float32:
        with pytest.raises(pp.DTypeError, match="only float32 and float64"):
            op(*recast(sample.args, dtype), **recast(sample.kwargs, dtype))
        return
    outs = assert_specs(op, Sample(recast(sample.args, dtype), recast(sample.kwargs, dtype)))
    if "random" in op.tags or not op.differentiable:
        return  # masks and comparisons depend on the last bit
    wide = listed(op(*sample.args, **sample.kwargs))
    digits = {"float32": 1e-4, "float16": 2e-2, "bfloat16": 1e-1}[dtype.name]
    for got, want in zip(outs, wide, strict=True):
        found, expected = ((x if x.is_complex() else x.double()).numpy() for x in (got, want))
        np.testing.assert_allclose(found, expected, rtol=digits, atol=digits)


@each([case for case in STATIC if has_floats(case)])
def test_integer_operands(op: OpDef, number: int) -> None:
    """Integers either give what the shape rule says, or are refused by it: never a kernel's own error."""

    def to_int(x: Tensor) -> Tensor:
        return (x.detach() * 3 + 7).long() if x.dtype.is_floating_point else x.detach().clone()

    sample = samples_of(op)[number]
    args, kwargs = map_tensors((sample.args, sample.kwargs), to_int)
    try:
        assert_specs(op, Sample(args, kwargs))
    except pp.PappusError as error:
        assert error.location is not None
        assert "Ufunc" not in str(error) and "same_kind" not in str(error), str(error)
