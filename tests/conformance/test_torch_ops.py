"""Operators that passed PyTorch's own samples must go on passing them: the short form of `make conformance-torch`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", minversion="2.13")
pytest.importorskip("expecttest")

import torch
from replay import Outcome, difference, replay
from torch_ops import (
    KINDS,
    SHORT,
    all_clean,
    chosen,
    is_clean,
    line,
    measure,
    never_accepts,
    op_db,
    users,
    users_of_names,
    wrong_calls,
)  # fmt: skip

import pappus as pp

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("kind", KINDS)
def test_clean_operators_stay_clean(kind: str) -> None:
    wanted = all_clean()[kind]
    most = SHORT if kind == "float32" else 1
    rows = [measure(op, getattr(torch, kind), most) for op in op_db if op.formatted_name in wanted]
    assert {r["entry"] for r in rows} == wanted, "the list names operators that the database does not have"
    # The first samples may all be ones that torch itself refuses or that cannot be compared.
    assert not [line(r) for r in rows if not is_clean(r)]


def test_wrong_calls_go_on_raising() -> None:
    wanted = all_clean()["errors"]
    rows = [wrong_calls(op) for op in op_db if op.formatted_name in wanted]
    assert {r["entry"] for r in rows} == wanted
    assert not [r["notes"] for r in rows if not never_accepts(r)]


def test_counts_of_users() -> None:
    counts = users_of_names()
    by_name = {op.name: users(op, counts) for op in op_db}
    assert by_name["cat"] == counts["torch.cat"] == 28
    assert by_name["div"] >= counts["Tensor.div_"] > 0
    assert by_name["nn.functional.relu"] == counts["torch.nn.functional.relu"]
    assert by_name["jiterator_unary"] == 0
    assert len(list(chosen(torch.float32, "^cat$", 28))) == 1


def entry(name: str) -> Any:
    return next(op for op in op_db if op.name == name)


def first_outcome(name: str, function: Any) -> tuple[Outcome, str]:
    op = entry(name)
    sample = next(iter(op.sample_inputs("cpu", torch.float32, requires_grad=True)))
    return replay(op, sample, function, torch.float32, np.random.default_rng(0))


def refused(x: Any) -> Any:
    raise NotImplementedError("not yet")


@pytest.mark.parametrize(
    ("function", "outcome"),
    [
        (pp.exp, Outcome.PASS),
        (lambda x: pp.exp(x) + 1e-2, Outcome.FORWARD),
        (lambda x: pp.exp(x).double(), Outcome.FORWARD),
        (lambda x: pp.exp(x)[None], Outcome.FORWARD),
        (lambda x: pp.exp(x).detach(), Outcome.GRAD),
        (lambda x: pp.exp(x) + (x - x.detach()) * 0.01, Outcome.GRAD),
        (refused, Outcome.REFUSED),
        (lambda x: x.no_such_name(), Outcome.MISSING),
        (lambda x: pp.exp(x, base=2), Outcome.MISSING),
        (lambda x: pp.exp("x"), Outcome.ERROR),
    ],
)
def test_planted_defects_are_seen(function: Any, outcome: Outcome) -> None:
    assert first_outcome("exp", function)[0] == outcome


def test_difference_names_what_differs() -> None:
    one = torch.tensor([1.0, 2.0])
    assert difference(one, pp.tensor([1.0, 2.0]), 1e-6) is None
    assert difference(one, pp.tensor([1.0, 2.5]), 1e-6) == "differs by 0.5"
    assert difference(one, pp.tensor([1, 2]), 1e-6) == "dtype int64, torch torch.float32"
    assert difference(one, pp.tensor([[1.0, 2.0]]), 1e-6) == "shape [1, 2], torch [2]"
    assert difference(True, pp.tensor(True), 1e-6) == "a tensor, torch bool"
