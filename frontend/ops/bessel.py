"""Bessel and Airy functions as operators; the formulas are in `frontend/bessel.py`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import bessel as arrays
from .pointwise import _float_unary, div, eq, sign, sub, where
from .special import special


def _bessel(name: str, kernel: Any, doc: str, vjp: Callable[..., Any] | None = None) -> Any:
    """`special_<name>`, also under `pappus.special`; PyTorch has derivatives for some of them only, and so has this."""
    return special(name, _float_unary(
        f"special_{name}", kernel, vjp, doc, 0.5, 3.0, tags=(), complex=None, differentiable=vjp is not None,
    ))  # fmt: skip


def _ratio(out: Any, x: Any) -> Any:
    """out / x, and its limit 1/2 at 0."""
    return where(eq(x, 0), 0.5, div(out, where(eq(x, 0), 1.0, x)))


_bessel("bessel_j0", arrays.j0_array, "The Bessel function of the first kind, of order 0.")
_bessel("bessel_j1", arrays.j1_array, "The Bessel function of the first kind, of order 1.")
_bessel("bessel_y0", arrays.y0_array, "The Bessel function of the second kind, of order 0; nan below 0.")
_bessel("bessel_y1", arrays.y1_array, "The Bessel function of the second kind, of order 1; nan below 0.")
_bessel("modified_bessel_i0", arrays.i0_array, "`i0` without a gradient.")
_bessel("modified_bessel_i1", arrays.i1_array, "`special.i1` without a gradient.")
_bessel("modified_bessel_k0", arrays.k0_array, "The modified Bessel function of the second kind, of order 0.")
_bessel("modified_bessel_k1", arrays.k1_array, "The modified Bessel function of the second kind, of order 1.")
_bessel("scaled_modified_bessel_k0", arrays.k0e_array, "exp(x) `modified_bessel_k0(x)`.")
_bessel("scaled_modified_bessel_k1", arrays.k1e_array, "exp(x) `modified_bessel_k1(x)`.")
_bessel("airy_ai", arrays.airy_ai_array, "Airy's function Ai.")
_bessel("spherical_bessel_j0", arrays.spherical_j0_array, "sin(x) / x, the spherical Bessel function of order 0.")

i1: Any = _bessel(
    "i1", arrays.i1_array, "The modified Bessel function of the first kind, of order 1.",
    lambda g, out, x: g * sub(i0(x), _ratio(out, x)),
)  # fmt: skip
i0: Any = _float_unary(
    "i0", arrays.i0_array, lambda g, _out, x: g * i1(x), "The modified Bessel function of the first kind, of order 0.",
    0.5, 3.0, tags=("inplace",), complex=None,
)  # fmt: skip
i1e: Any = _bessel(
    "i1e", arrays.i1e_array, "exp(-|x|) `i1(x)`.",
    lambda g, out, x: g * (i0e(x) - out * sign(x) - _ratio(out, x)),
)  # fmt: skip
i0e: Any = _bessel(
    "i0e", arrays.i0e_array, "exp(-|x|) `i0(x)`.", lambda g, out, x: g * (i1e(x) - out * sign(x)),
)  # fmt: skip
special("i0", i0)
