"""Layers that passed PyTorch's own samples must go on passing them: the short form of `make conformance-modules`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", minversion="2.13")
pytest.importorskip("expecttest")

import torch
from replay import Outcome
from torch_modules import SHORT, chosen, clean_names, is_clean, line, measure, module_db, name_of, replay

import pappus as pp

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning", "ignore::FutureWarning")


def test_clean_layers_stay_clean() -> None:
    wanted = set(clean_names())
    rows = [measure(info, torch.float32, SHORT) for info in module_db if name_of(info) in wanted]
    assert {r["entry"] for r in rows} == wanted, "clean_modules.txt names layers that the database does not have"
    assert not [line(r) for r in rows if not is_clean(r)]


def test_layers_are_chosen_by_users() -> None:
    assert [name_of(i) for i in chosen("^(LSTM|CELU)$", 3)] == ["LSTM"]


def first_outcome(name: str, changed: Any, monkeypatch: pytest.MonkeyPatch) -> Outcome:
    info = next(i for i in module_db if name_of(i) == name)
    monkeypatch.setattr(pp.nn, name, changed)
    samples = info.module_inputs_func(info, device="cpu", dtype=torch.float32, requires_grad=True, training=True)
    return replay(info, samples[0], torch.float32, True, np.random.default_rng(0))[0]


def with_forward(forward: Any) -> Any:
    return type("Linear", (pp.nn.Linear,), {"forward": forward})


@pytest.mark.parametrize(
    ("forward", "outcome"),
    [
        (lambda self, input: pp.nn.functional.linear(input, self.weight, self.bias), Outcome.PASS),
        (lambda self, input: pp.nn.functional.linear(input, self.weight), Outcome.FORWARD),
        (lambda self, input: pp.nn.functional.linear(input, self.weight, self.bias.detach()), Outcome.GRAD),
        (lambda self, input: pp.nn.functional.linear(input.detach(), self.weight, self.bias), Outcome.GRAD),
        (lambda self, input: pp.nn.functional.linear(input, self.bias), Outcome.ERROR),
    ],
)
def test_planted_defects_are_seen(forward: Any, outcome: Outcome, monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_outcome("Linear", with_forward(forward), monkeypatch) == outcome


def test_a_missing_layer_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert first_outcome("Linear", None, monkeypatch) == Outcome.MISSING
