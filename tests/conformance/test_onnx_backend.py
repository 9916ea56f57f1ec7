"""The ratchet of ONNX's backend tests: what clean_onnx.txt lists stays clean."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

pytest.importorskip("onnx", minversion="1.21")

import onnx_backend
from onnx.backend.test.loader import load_model_tests

LISTED = dict(
    [*line.split(), ""][:2] for line in (Path(__file__).parent / "clean_onnx.txt").read_text().splitlines()
)
THROUGH_RUNTIME = 12  # every so many of those that pass there


def test_what_passed_passes() -> None:
    failed, seen = [], 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for kind in onnx_backend.KINDS:
            for case in load_model_tests(kind=kind):
                if case.name not in LISTED:
                    continue
                outcome, note = onnx_backend.eager(case)
                if outcome != "pass":
                    failed.append(f"{case.name}: eager {outcome}: {note}")
                seen += LISTED[case.name] == "pass"
                if LISTED[case.name] == "pass" and seen % THROUGH_RUNTIME == 0:
                    outcome, note = onnx_backend.runtime(case)
                    if outcome != "pass":
                        failed.append(f"{case.name}: runtime {outcome}: {note}")
    assert not failed, "\n".join(failed)
    assert seen > 100
