"""The optimizers over PyTorch's database of them: the short form of `torch_optim.py`."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", minversion="2.13")
pytest.importorskip("expecttest")

import torch_optim
from torch.testing._internal.common_optimizers import optim_db

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.mark.parametrize("name", [info.name for info in optim_db])
def test_optimizer(name: str) -> None:
    ((_, count, errors, failed),) = torch_optim.results([name], 2)
    assert count >= 4 and errors >= 6 and not failed, failed


def test_a_difference_is_seen() -> None:
    info = next(info for info in optim_db if info.name == "SGD")

    class Wrong:
        name, only_supports_sparse_grads, step_requires_closure = "Adam", False, False
        optim_cls = info.optim_cls

    with pytest.raises(AssertionError):
        torch_optim.one(Wrong, {"lr": 0.1}, 1)
