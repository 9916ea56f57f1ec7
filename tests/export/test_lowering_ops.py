"""Every operator through the whole road: its own samples, in float32 and other types, in the C runtime against
eager.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from road import Array, close, eager, flat, run

import pappus as pp
from pappus.export import UnsupportedOperators
from pappus.frontend.opdef import OPS, Sample
from pappus.frontend.tensor import Tensor

# What has no kernel in this release: operator -> what the message says. Nothing else may be refused.
UNSUPPORTED = {
    "avg_pool2d_backward": "no kernel yet",
    "convolution_weight_grad": "no kernel yet",
    "cummax": "no kernel yet",
    "cummin": "no kernel yet",
    "dropout_seeded": "random numbers on the device are not built yet; call model.eval",
    "gru_layer_backward": "no kernel yet",
    "lstm_layer_backward": "no kernel yet",
    "rnn_layer_backward": "no kernel yet",
    "embedding_backward": "writing by index has no kernel yet",
    "index_put": "writing by index has a kernel for one position",
    "max_pool2d_backward": "no kernel yet",
    "max_pool2d_with_indices": "the indices of maxima have no kernel yet; use max_pool2d",
    "rand": "random numbers on the device are not built yet",
    "randint": "random numbers on the device are not built yet",
    "randn": "random numbers on the device are not built yet",
    "scatter": "writing by index has no kernel yet",
    "scatter_add": "writing by index has no kernel yet",
    "scatter_max": "writing by index has no kernel yet",
    "scatter_min": "writing by index has no kernel yet",
    "scatter_prod": "writing by index has no kernel yet",
    "sort": "sort and topk have no kernel yet",
    "topk": "sort and topk have no kernel yet",
    "view_as_type": "no kernel yet",
} | {
    f"linalg_{name}": "solving and factorizing matrices have no kernels yet"
    for name in (
        "cholesky", "det", "eigh", "inv", "lu_factor", "pinv", "qr", "slogdet", "solve", "solve_triangular",
        "svd", "svdvals",
    )
} | dict.fromkeys(("digamma", "igamma", "igammac", "lgamma", "polygamma_of"), "no kernel yet")  # fmt: skip
UNSUPPORTED |= dict.fromkeys((
    "frexp_exponent", "i0", "nextafter", "special_airy_ai", "special_bessel_j0", "special_bessel_j1",
    "special_bessel_y0", "special_bessel_y1", "special_chebyshev_polynomial_t", "special_chebyshev_polynomial_u",
    "special_chebyshev_polynomial_v", "special_chebyshev_polynomial_w", "special_erfcx",
    "special_hermite_polynomial_h", "special_hermite_polynomial_he", "special_i0e", "special_i1", "special_i1e",
    "special_laguerre_polynomial_l", "special_legendre_polynomial_p", "special_log_ndtr",
    "special_modified_bessel_i0", "special_modified_bessel_i1", "special_modified_bessel_k0",
    "special_modified_bessel_k1", "special_ndtri", "special_scaled_modified_bessel_k0",
    "special_scaled_modified_bessel_k1", "special_shifted_chebyshev_polynomial_t",
    "special_shifted_chebyshev_polynomial_u", "special_shifted_chebyshev_polynomial_v",
    "special_shifted_chebyshev_polynomial_w", "special_spherical_bessel_j0", "special_zeta",
), "no kernel yet")  # fmt: skip
UNSUPPORTED |= {
    name: "the runtime has no complex"
    for name in (
        "angle", "complex", "conj_physical", "fft_c2c", "fft_c2r", "fft_r2c", "imag", "polar", "real", "sgn",
        "view_as_complex", "view_as_real",
    )
}  # fmt: skip
# Operators some of whose samples are refused.
PARTLY = {("convolution", 6): "three-dimensional convolutions", ("index", 2): "several index tensors"}
# The shape of the result depends on the values: capture refuses it.
DYNAMIC = {"nonzero"}


def samples() -> Iterator[Any]:
    for name, op in sorted(OPS.items()):
        for i, sample in enumerate(op.samples() if op.samples else ()):
            yield pytest.param(name, i, sample, id=f"{name}-{i}")


def convert(value: Any, change: Callable[[Array], Array]) -> Any:
    """`value` with every float tensor changed."""
    if isinstance(value, Tensor):
        return Tensor._from_data(change(np.asarray(value._data)))
    if isinstance(value, (list, tuple)):
        return type(value)(convert(v, change) for v in value)
    return value


def called(name: str, sample: Sample) -> tuple[Callable[..., Any], list[Array]]:
    """A function of the sample's tensors alone that calls the operator, and those tensors' arrays."""
    tensors: list[Tensor] = []

    def pull(value: Any) -> Any:
        if isinstance(value, Tensor):
            tensors.append(value)
            at = len(tensors) - 1
            return lambda given: given[at]
        if isinstance(value, (list, tuple)):
            parts = [pull(v) for v in value]
            return lambda given: type(value)(part(given) for part in parts)
        return lambda given: value

    args = [pull(a) for a in sample.args]
    kwargs = {k: pull(v) for k, v in sample.kwargs.items()}

    def call(*given: Tensor) -> Any:
        return OPS[name](*(a(given) for a in args), **{k: v(given) for k, v in kwargs.items()})

    return call, [np.asarray(t._data) for t in tensors]


def to_float32(a: Array) -> Array:
    return a.astype(np.float32) if a.dtype == np.float64 else a


@pytest.mark.parametrize("name, number, sample", list(samples()))
def test_operator(name: str, number: int, sample: Sample) -> None:
    call, arrays = called(
        name, Sample(convert(sample.args, to_float32), {k: convert(v, to_float32) for k, v in sample.kwargs.items()})
    )
    tensors = [Tensor._from_data(a) for a in arrays]
    if name in DYNAMIC:
        with pytest.raises(pp.PappusError, match="not known before it runs"):
            pp.export.export(call, tensors)
        return
    ep = pp.export.export(call, tensors)
    why = UNSUPPORTED.get(name) or PARTLY.get((name, number))
    if why is not None:
        with pytest.raises(UnsupportedOperators, match=rf"(?s)test_lowering_ops\.py:\d+: \w+\(.*{why}"):
            pp.export.lower(ep)
        return
    with np.errstate(all="ignore"):
        close(run(pp.export.lower(ep), arrays), eager(call, arrays))


def test_the_list_of_unsupported_operators_is_exact() -> None:
    assert set(UNSUPPORTED) <= set(OPS) and {n for n, _ in PARTLY} <= set(OPS)
    without = [name for name, op in OPS.items() if op.samples is None]
    assert without == ["dropout"] or not without, f"operators without samples are not tested: {without}"


INTEGER_NAMES = [
    "abs", "add", "amax", "amin", "any", "all", "argmax", "argmin", "bitwise_and", "bitwise_not", "bitwise_or",
    "bitwise_xor", "cat", "clamp", "constant_pad_nd", "cumsum", "cumprod", "eq", "le", "lt", "expand", "flip", "floor",
    "ceil", "round", "trunc", "gather", "index", "index_select", "logical_and", "logical_not", "logical_or", "maximum",
    "minimum", "mul", "neg", "permute", "pixel_shuffle", "pow", "prod", "relu", "sign", "slice", "slice_scatter",
    "slice_update", "sub", "sum", "tril", "triu", "upsample_nearest2d", "view", "where", "fmod", "floor_divide",
    "remainder", "to_dtype", "embedding",
]  # fmt: skip


@pytest.mark.parametrize("name", INTEGER_NAMES)
@pytest.mark.parametrize("dtype", ["int64", "int32", "uint8", "bool"])
def test_operator_on_integers(name: str, dtype: str) -> None:
    """The first samples with their floats made integers of `dtype`; what eager refuses is not tried."""
    tried = 0
    if dtype == "bool" and name in NOT_ON_BOOLS:
        pytest.skip("no such operator on booleans")
    for sample in list(OPS[name].samples())[: 2 if name == "index" else 3]:  # type: ignore[misc]

        def change(a: Array) -> Array:
            if a.dtype.kind != "f":
                return a
            made = np.round(a * 3)
            if dtype == "uint8" or name == "pow":
                made = np.abs(made)
            if name in ("remainder", "fmod", "floor_divide"):
                made = np.where(made == 0, 3, made)
            return made > 0 if dtype == "bool" else made.astype(dtype)

        call, arrays = called(
            name, Sample(convert(sample.args, change), {k: convert(v, change) for k, v in sample.kwargs.items()})
        )
        try:
            wanted = eager(call, arrays)
        except pp.PappusError:
            continue
        if not any(a.dtype.name == dtype for a in arrays):
            continue
        tried += 1
        try:
            program = pp.export.lower(pp.export.export(call, [Tensor._from_data(a) for a in arrays]))
        except UnsupportedOperators as error:
            assert (name, dtype) in INTEGER_GAPS, error
            continue
        assert (name, dtype) not in INTEGER_GAPS, "this gap is closed: take it from the list"
        close(run(program, arrays), wanted)
    # Some samples have no floats to change.
    assert tried or dtype == "bool" or name.startswith("bitwise") or name in ("to_dtype", "any", "all")


NOT_ON_BOOLS = ("abs", "neg", "sub", "pow", "fmod", "floor_divide", "remainder", "relu", "sign")
# Integer types that an operator's kernel does not take.
INTEGER_GAPS: set[tuple[str, str]] = set()


def test_all_unsupported_calls_are_listed_at_once() -> None:
    def model(x: Tensor) -> Any:
        a = pp.sort(x)[0]
        b = pp.relu(x)
        c = x + pp.rand(3)
        return a + b, c, pp.nn.functional.dropout(x, 0.5, True)

    ep = pp.export.export(model, (Tensor._from_data(np.ones((2, 3), "f4")),))
    with pytest.raises(UnsupportedOperators) as caught:
        pp.export.lower(ep)
    first = model.__code__.co_firstlineno
    found = caught.value.problems
    assert [p.split(":")[1].strip() for p in found] == [str(first + i) for i in (1, 3, 4)]
    assert [p.split(": ")[1].split("(")[0] for p in found] == ["sort", "rand", "dropout_seeded"]
    assert (
        "float32[2, 3]" in found[0]
        and "3 operator call(s)" in str(caught.value)
        and "Nothing was written" in str(caught.value)
    )


def test_problems_of_all_methods_are_listed() -> None:
    x = Tensor._from_data(np.ones((2, 3), "f4"))
    methods = {
        "a": pp.export.export(lambda x: pp.sort(x)[0], (x,)),
        "b": pp.export.export(lambda x: x + pp.randn(3), (x,)),
    }
    with pytest.raises(UnsupportedOperators) as caught:
        pp.export.lower(methods)
    assert len(caught.value.problems) == 2


def test_named_refusals() -> None:
    ep = pp.export.export(lambda x: x * 2, (Tensor._from_data(np.ones(3, "f4")),))
    with pytest.raises(pp.PappusError, match="unknown target 'tpu'; known: generic"):
        pp.export.lower(ep, target="tpu")
    with pytest.raises(pp.PappusError, match="delegates are not built yet: vulkan"):
        pp.export.lower(ep, delegates=("vulkan",))
    with pytest.raises(pp.PappusError, match="no method to lower"):
        pp.export.lower({})


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
@pytest.mark.parametrize(
    "name", ["add", "relu", "gelu", "sum", "softmax", "matmul", "linear", "layer_norm", "cat", "where", "mean"]
)
def test_other_float_types_work_or_are_refused_by_name(name: str, dtype: str) -> None:
    import ml_dtypes

    kind = np.dtype(ml_dtypes.bfloat16) if dtype == "bfloat16" else np.dtype(dtype)
    change = lambda a: a.astype(kind) if a.dtype.kind == "f" else a  # noqa: E731
    sample = next(iter(OPS[name].samples()))  # type: ignore[misc]
    call, arrays = called(name, Sample(convert(sample.args, change), sample.kwargs))
    ep = pp.export.export(call, [Tensor._from_data(a) for a in arrays])
    try:
        program = pp.export.lower(ep)
    except UnsupportedOperators as error:
        assert f"of {dtype}" in str(error) and "convert to float32 first" in str(error)
        return
    given = [a.view(np.uint16) if a.dtype == kind and dtype == "bfloat16" else a for a in arrays]
    close(run(program, given), flat(call(*map(Tensor._from_data, arrays))))
