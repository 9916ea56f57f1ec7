"""Scripts that import torch print the same losses under torch and under pappus, step by step (the short form)."""

from __future__ import annotations

import importlib.util
from typing import Any

import compare
import pytest

pytestmark = pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="PyTorch is not installed")


@pytest.fixture(scope="module")
def rows() -> dict[str, Any]:
    return {row["script"]: row for row in compare.compare(list(compare.SCRIPTS), 10)}


@pytest.mark.parametrize("name", compare.SCRIPTS)
def test_losses_are_equal(name: str, rows: dict[str, Any]) -> None:
    row = rows[name]
    assert not row["error"], row["error"]
    assert row["steps"] >= 9 and row["text"], row
    assert compare.passes(row), row


def test_a_wrong_loss_is_seen(rows: dict[str, Any]) -> None:
    good = dict(rows["vae"])
    assert compare.passes(good) and good["last"] < good["first"]
    assert not compare.passes({**good, "difference": 2e-4}) and not compare.passes({**good, "difference": float("nan")})
    assert not compare.passes({**good, "error": "Traceback"})
    assert compare.losses("step 3 loss 0.5\nnothing\nstep test loss 1.25 more") == [0.5, 1.25]
