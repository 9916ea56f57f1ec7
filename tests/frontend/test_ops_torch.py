"""Every operator against PyTorch on its own samples: values, types, shapes and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from operator_samples import cases, fresh, samples_of, split_args

import pappus as pp
from pappus.frontend.dispatch import call
from pappus.frontend.opdef import OPS, OpDef

torch = pytest.importorskip("torch")

from optimizer_steps import STEPS  # noqa: E402 - needs torch
from torch_oracle import both, same, to_torch  # noqa: E402

F = torch.nn.functional

# Operators that torch has no public counterpart of, each with what checks it instead.
NOT_COMPARED = {
    "fft_c2c": "private in torch; test_fft.py compares every transform made of it",
    "fft_r2c": "as fft_c2c",
    "fft_c2r": "as fft_c2c",
    "rand": "torch's random stream differs; test_random.py checks moments and the Philox counter",
    "randn": "as rand",
    "randint": "as rand",
    "dropout_seeded": "as rand; test_gradients.py compares it with its decomposition",
    "alias": "the identity; test_tensor.py checks that it shares memory",
    "embedding_backward": "private in torch; embedding's gradient is compared here, through it",
    "convolution_weight_grad": "private in torch; convolution's gradient is compared here, through it",
    "batch_norm_backward": "private in torch; batch_norm_train's gradient is compared here, through it",
    "nll_loss_backward": "private in torch; the gradient of nll_loss is compared here, through it",
    "relu_backward": "private in torch; the gradient of relu is compared here, through it",
    "softmax_backward": "private in torch; the gradients of softmax and log_softmax are compared here, through it",
    "gelu_backward": "private in torch; gelu's gradient is compared here, through it",
    "layer_norm_backward": "private in torch; layer_norm's gradient is compared here, through it",
    "rms_norm_backward": "private in torch; rms_norm's gradient is compared here, through it",
    "max_pool2d_backward": "private in torch; max_pool2d's gradient is compared here, through it",
    "avg_pool2d_backward": "private in torch; avg_pool2d's gradient is compared here, through it",
    **dict.fromkeys(
        (f"{kind}_layer{part}" for kind in ("rnn", "gru", "lstm") for part in ("", "_backward")),
        "part of a layer in torch; test_nn_recurrent.py compares RNN, GRU and LSTM",
    ),
    "to_device": "needs a GPU; test_device.py runs it on arrays that keep CuPy's rules",
    "linalg_svd": "singular vectors have either sign; tests/conformance compares what is unique",
    "slice_update": "takes the place as a tensor, which torch has not; tests/export/test_update_ops.py checks it",
}
# Operands by position that torch takes but gives no gradient; ours have one, which test_gradients.py checks.
CONSTANT_IN_TORCH = {
    "batch_norm": (3, 4),
    "binary_cross_entropy": (2,),
    "binary_cross_entropy_with_logits": (2, 3),
    "nll_loss": (2,),
    "cross_entropy": (2,),
}
LOOSER = {
    "hardsigmoid": 1e-7,  # torch multiplies by 1/6 in float32 in the gradient
    "digamma": 1e-8, "polygamma_of": 1e-8,  # torch's trigamma has 9 digits
}  # fmt: skip


def _batch_norm_train(x: Any, weight: Any, bias: Any, eps: float = 1e-5) -> Any:
    dims = [0, *range(2, x.ndim)]
    out = F.batch_norm(x, None, None, weight, bias, True, 0.1, eps)
    return out, x.mean(dims), x.var(dims, unbiased=False)


def _rotary(x: Any, cos: Any, sin: Any, interleaved: bool) -> Any:
    a, b = (x[..., 0::2], x[..., 1::2]) if interleaved else x.chunk(2, -1)
    out = (a * cos - b * sin, a * sin + b * cos)
    return torch.stack(out, -1).flatten(-2) if interleaved else torch.cat(out, -1)


def _convolution(x: Any, weight: Any, bias: Any, **o: Any) -> Any:
    spatial = weight.ndim - 2
    wide = {k: v * spatial if len(v) == 1 else v for k, v in o.items() if isinstance(v, tuple)}
    return torch.convolution(
        x,
        weight,
        bias,
        wide["stride"],
        wide["padding"],
        wide["dilation"],
        o["transposed"],
        wide["output_padding"],
        o["groups"],
    )


def _elu(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    return torch.ops.aten.elu(x, alpha, scale, input_scale)


# How to call in torch what (args, attrs) of dispatch.call say, where it is not torch.<name>(*args, **attrs).
CALLS: dict[str, Callable[..., Any]] = {
    "view_as_type": lambda x, dtype: x.view(dtype),
    "full": lambda size, fill_value, dtype: torch.full(size, fill_value, dtype=dtype),
    "gather": lambda x, index, dim: torch.gather(x, dim, index),
    "scatter": lambda x, index, src, dim: torch.scatter(x, dim, index, src if src.ndim else float(src)),
    "scatter_add": lambda x, index, src, dim: torch.scatter_add(x, dim, index, src),
    "index_select": lambda x, index, dim: torch.index_select(x, dim, index),
    "index": lambda x, indices: x[tuple(slice(None) if i is None else i for i in indices)],
    "index_put": lambda x, indices, values, accumulate: torch.index_put(x, tuple(indices), values, accumulate),
    "embedding": lambda weight, indices, padding_idx: F.embedding(
        indices, weight, None if padding_idx < 0 else padding_idx
    ),
    "sort": lambda x, dim, descending, stable: torch.sort(x, dim=dim, descending=descending, stable=True),
    "to_dtype": lambda x, dtype: x.to(dtype),
    "round": lambda x, decimals: torch.round(x, decimals=decimals),
    "sum": lambda x, dim, keepdim, dtype: torch.sum(x, dim=dim, keepdim=keepdim, dtype=dtype),
    "mean": lambda x, dim, keepdim, dtype: torch.mean(x, dim=dim, keepdim=keepdim, dtype=dtype),
    "prod": lambda x, dim, keepdim, dtype: _over(torch.prod, x, dim, keepdim),
    "amax": lambda x, dim, keepdim: torch.amax(x, dim or (), keepdim),
    "amin": lambda x, dim, keepdim: torch.amin(x, dim or (), keepdim),
    "argmax": lambda x, dim, keepdim: torch.argmax(x, dim, keepdim),
    "any": lambda x, dim, keepdim: torch.any(x) if dim is None else torch.any(x, dim, keepdim),
    "all": lambda x, dim, keepdim: torch.all(x) if dim is None else torch.all(x, dim, keepdim),
    "var": lambda x, dim, correction, keepdim: torch.var(x, dim, correction=correction, keepdim=keepdim),
    "cumsum": lambda x, dim, dtype: torch.cumsum(x, dim, dtype=dtype),
    "cumprod": lambda x, dim, dtype: torch.cumprod(x, dim, dtype=dtype),
    "view": lambda x, shape: x.view(shape),
    "expand": lambda x, shape: x.expand(shape),
    "slice": lambda x, dim, start, end, step: x[(slice(None),) * (dim % x.ndim) + (slice(start, end, step),)],
    "repeat": lambda x, repeats: x.repeat(repeats),
    "squeeze": lambda x, dim: x.squeeze() if dim is None else x.squeeze(dim),
    "roll": lambda x, shifts, dims: torch.roll(x, shifts, dims),
    "clone": lambda x, memory_format: x.clone(),
    "elu": _elu,
    "rms_norm": lambda x, weight, normalized_shape, eps: F.rms_norm(x, normalized_shape, weight, eps),
    "layer_norm": lambda x, weight, bias, normalized_shape, eps: F.layer_norm(x, normalized_shape, weight, bias, eps),
    "group_norm": lambda x, weight, bias, num_groups, eps: F.group_norm(x, num_groups, weight, bias, eps),
    "batch_norm": lambda x, weight, bias, mean, var, training, momentum, eps: F.batch_norm(
        x, mean, var, weight, bias, training, momentum, eps
    ),
    "batch_norm_train": _batch_norm_train,
    "convolution": _convolution,
    "rotary_embedding": _rotary,
    "max_pool2d_with_indices": lambda x, **o: F.max_pool2d(
        x, **{**o, "stride": o["stride"] or None}, return_indices=True
    ),
    "max_pool2d": lambda x, **o: F.max_pool2d(x, **{**o, "stride": o["stride"] or None}),
    "avg_pool2d": lambda x, **o: F.avg_pool2d(x, **{**o, "stride": o["stride"] or None}),
    "upsample_nearest2d": lambda x, output_size, scales_h, scales_w: F.interpolate(x, output_size),
    "upsample_bilinear2d": lambda x, output_size, align_corners, scales_h, scales_w: F.interpolate(
        x, output_size, mode="bilinear", align_corners=align_corners
    ),
    "count_nonzero": lambda x, dim: torch.count_nonzero(x, dim=dim),
    "frexp_exponent": lambda x: torch.frexp(x).exponent,
    "polygamma_of": lambda x, n: torch.polygamma(n, x),
    "arange": lambda start, end, step, dtype: torch.arange(start, end, step, dtype=dtype),
    "masked_fill": lambda x, mask, value: x.masked_fill(mask, float(value)),
    "softmax": lambda x, dim, dtype: torch.softmax(x, dim, dtype=dtype),
    "log_softmax": lambda x, dim, dtype: torch.log_softmax(x, dim, dtype=dtype),
    "binary_cross_entropy_with_logits": lambda x, target, weight, pos, reduction: F.binary_cross_entropy_with_logits(
        x, target, weight, reduction=reduction, pos_weight=pos
    ),
    "clamp": lambda x, min, max: torch.clamp(x, min, max),
    "scatter_prod": lambda x, index, src, dim: torch.scatter_reduce(x, dim, index, src, "prod"),
    "scatter_max": lambda x, index, src, dim: torch.scatter_reduce(x.detach(), dim, index, src.detach(), "amax"),
    "scatter_min": lambda x, index, src, dim: torch.scatter_reduce(x.detach(), dim, index, src.detach(), "amin"),
    "im2col": lambda x, **o: F.unfold(x, **o),
    "col2im": lambda x, **o: F.fold(x, **o),
    "slice_scatter": lambda x, src, dim, start, end, step: torch.slice_scatter(x, src, dim, start, end, step),
}


def _over(function: Any, x: Any, dims: Any, keepdim: bool) -> Any:
    """A torch reduction that takes one dimension, over several."""
    if dims is None:
        return function(x)
    for dim in sorted((d % x.ndim for d in dims), reverse=True):
        x = function(x, dim, keepdim)
    return x


def torch_function(name: str) -> Callable[..., Any] | None:
    if name in CALLS:
        return CALLS[name]
    if name.startswith("linalg_"):
        return getattr(torch.linalg, name.removeprefix("linalg_"))  # type: ignore[no-any-return]
    if name.startswith("special_"):
        return getattr(torch.special, name.removeprefix("special_"))  # type: ignore[no-any-return]
    for owner in (F, torch, torch.Tensor, torch.special):
        if hasattr(owner, name):
            return getattr(owner, name)  # type: ignore[no-any-return]
    return None


COMPARED = [case for case in cases() if case[1].name not in NOT_COMPARED and case[1].name not in STEPS]


@pytest.mark.parametrize(("op", "number"), [case[1:] for case in COMPARED], ids=[case[0] for case in COMPARED])
def test_operator(op: OpDef, number: int) -> None:
    function = torch_function(op.name)
    assert function is not None, (
        f"torch has no {op.name}: name its counterpart in CALLS, or say why not in NOT_COMPARED"
    )
    args, attrs = split_args(op, samples_of(op)[number])
    args = tuple(
        fresh(a, requires_grad=op.differentiable and at not in CONSTANT_IN_TORCH.get(op.name, ()))
        for at, a in enumerate(args)
    )

    def run(library: Any, *given: Any, **more: Any) -> Any:
        return call(op, given, more) if library is pp else function(*given, **more)

    both(run, *args, tolerance=LOOSER.get(op.name), **attrs)


@pytest.mark.parametrize(("name", "number"), [(n, i) for n in STEPS for i in range(len(samples_of(OPS[n])))])
def test_optimizer_step(name: str, number: int) -> None:
    sample = samples_of(OPS[name])[number]
    args, attrs = split_args(OPS[name], sample)
    got = OPS[name](*sample.args, **sample.kwargs)
    want = STEPS[name](*to_torch(args), **to_torch(attrs))
    same(got[: 1 if isinstance(want, torch.Tensor) else len(want)], want, 1e-9)


def test_what_is_not_compared_exists() -> None:
    assert set(NOT_COMPARED) <= set(OPS)
    assert set(CALLS) | set(STEPS) <= set(OPS)


def test_comparison_can_fail() -> None:
    with pytest.raises(AssertionError):
        both(lambda m, x: x * (1.0 if m is pp else 1.01), pp.tensor(np.ones(3)))
