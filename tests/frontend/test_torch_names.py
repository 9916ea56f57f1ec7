"""The names that public code uses of PyTorch exist: every one that is missing is listed here with its reason."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

NAMES = Path(__file__).parents[1] / "conformance" / "names.tsv"
REASONS = {
    "torch.nn.functional.grouped_mm": "a product for each expert: multiply the groups with torch.mm",
    "torch.version.cuda.split": "a method of the version's text, which is None without CUDA, in PyTorch too",
    "torch.ops.nanogpt.mm": "an operator that the program itself declares",
    "torch.ops.nanogpt.mm_backward": "an operator that the program itself declares",
    "torch.ops.aten.remainder.Scalar": "PyTorch's own operators by overload, for rewriting its graphs",
    "torch.ops.aten._local_scalar_dense.default": "PyTorch's own operators by overload, for rewriting its graphs",
    "torch._C._nn._parse_to": "a function of PyTorch's C++ part",
    "torch.nn.modules.module._IncompatibleKeys": "the result of load_state_dict has another class name",
    "torch.serialization.get_unsafe_globals_in_checkpoint": "load names the first one and how to allow it",
}
SCRIPT = """
import importlib, json, sys
import torch
def find(name):
    first, *parts = name.split(".")
    if first == "Tensor":
        return getattr(torch.Tensor, parts[0])
    found, path = torch, "torch"
    for part in parts:
        path += "." + part
        try:
            found = getattr(found, part)
        except AttributeError:
            found = importlib.import_module(path)
missing = []
for name in json.load(sys.stdin):
    try:
        find(name)
    except (AttributeError, ImportError):
        missing.append(name)
print(json.dumps(missing))
"""


def names() -> dict[str, int]:
    """The public names, and how many code bases use each."""
    lines = [line for line in NAMES.read_text().splitlines() if line and not line.startswith("#")]
    return {name: int(users) for name, users in (line.split("\t") for line in lines)}


@pytest.fixture(scope="module")
def missing(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The names that `python -m pappus.torch` does not have."""
    script = tmp_path_factory.mktemp("names") / "names.py"
    script.write_text(SCRIPT)
    command = [sys.executable, "-m", "pappus.torch", str(script)]
    done = subprocess.run(command, input=json.dumps(list(names())), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("users, count", [(3, 675), (2, 948)])
def test_names_that_so_many_code_bases_use(users: int, count: int, missing: list[str]) -> None:
    wanted = [name for name, n in names().items() if n >= users]
    lacking = [name for name in missing if name in set(wanted)]
    print(f"of {len(wanted)} names that {users} or more of 30 code bases use, {len(wanted) - len(lacking)} exist")
    assert len(wanted) == count
    unexplained = [name for name in lacking if name not in REASONS]
    assert not unexplained, f"missing without a reason: {', '.join(unexplained)}"


def test_reasons_are_of_missing_names(missing: list[str]) -> None:
    assert not set(REASONS) - set(names()), "a reason for a name that nobody uses"
    assert set(REASONS) <= set(missing), f"exist after all: {', '.join(set(REASONS) - set(missing))}"
