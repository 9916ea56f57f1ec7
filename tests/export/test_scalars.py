"""Tensors of rank 0 keep their rank: as inputs beside dynamic sizes, and as constants."""

from __future__ import annotations

from typing import Any

import numpy as np
from road import same

import pappus as pp
from pappus.export import Dim
from pappus.frontend.tensor import Tensor


def test_a_scalar_input_beside_a_dynamic_size() -> None:
    def f(x: Tensor, start: Tensor) -> Any:
        return pp.slice_update(pp.zeros(8, 3), x, start, 0)

    x = np.ones((2, 3), np.float32)
    same(f, [x, np.array(4)], sizes=[[x[:1], np.array(7)]], dynamic_shapes={"x": {0: Dim("n", max=8)}})


def test_a_scalar_constant_is_an_operand() -> None:
    place = pp.tensor(3)

    def f(x: Tensor) -> Any:
        return pp.slice_update(pp.zeros(8, 3), x, place, 0)

    same(f, [np.ones((2, 3), np.float32)])
