"""The normal distribution's functions as operators: ndtr, ndtri, log_ndtr, and erfcx behind them; Hurwitz' zeta."""

from __future__ import annotations

import math
from typing import Any

from ..gamma import zeta_array
from ..normal import erfcx_array, log_ndtr_array, ndtri_array
from ..opdef import Sample, operator
from ._samples import floats
from ._shapes import pointwise_float
from .elementary import erfc
from .pointwise import _float_unary, exp, mul
from .special import _float_pair, special

_DENSITY = 1 / math.sqrt(2 * math.pi)


def _of_float(name: str, kernel: Any, vjp: Any, doc: str, low: float, high: float) -> Any:
    return special(name, _float_unary(f"special_{name}", kernel, vjp, doc, low, high, tags=(), complex=None))


ndtr = special("ndtr", operator(
    "special_ndtr(Tensor self) -> Tensor",
    "The share of the standard normal distribution below x: (1 + erf(x / sqrt(2))) / 2.",
    decompose=lambda x: erfc(x * -math.sqrt(0.5)) * 0.5, samples=lambda: [Sample((floats(2, 3),))],
))  # fmt: skip
log_ndtr = _of_float(
    "log_ndtr", log_ndtr_array, lambda g, out, x: g * exp(x * x * -0.5 - out) * _DENSITY,
    "log(ndtr(x)), also where ndtr(x) is too small for its type.", -3.0, 3.0,
)  # fmt: skip
ndtri = _of_float(
    "ndtri", ndtri_array, lambda g, out, _x: g * exp(out * out * 0.5) * (1 / _DENSITY),
    "The x below which a share of the standard normal distribution lies: the inverse of ndtr.", 0.1, 0.9,
)  # fmt: skip
erfcx = _of_float(
    "erfcx", erfcx_array, lambda g, out, x: g * (out * x * 2 - 2 / math.sqrt(math.pi)),
    "exp(x^2) erfc(x), which is not small where erfc(x) is.", -2.0, 3.0,
)  # fmt: skip


def _zeta_vjp(g: Any, _out: Any, s: Any, q: Any) -> Any:
    return None, mul(g, -s * zeta(s + 1, q))


# In the samples the first operand is a number, which wants no gradient: there is none for it.
zeta: Any = special("zeta", operator(
    "special_zeta(Tensor|Scalar self, Tensor|Scalar other) -> Tensor",
    "Hurwitz' zeta function, the sum of (other + k) ** -self over k >= 0; no gradient for `self`.",
    shape=pointwise_float, eager=_float_pair(zeta_array), vjp=_zeta_vjp,
    samples=lambda: [Sample((s, floats(2, 3, low=0.5, high=4))) for s in (2.0, 3.5)],
))  # fmt: skip
