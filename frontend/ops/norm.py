"""Normalization.

`batch_norm` with stored statistics is one operator, kept whole in captured graphs; in training it is
`batch_norm_train`, which also returns the statistics that `nn.functional.batch_norm` folds into the running ones.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from ..dtypes import DType, finfo, from_numpy_dtype
from ..errors import ArgumentError, ShapeError
from ..native import rows as native_rows
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from ._names import function
from ._samples import floats

__all__ = [
    "batch_norm", "batch_norm_backward", "batch_norm_train", "group_norm", "instance_norm", "layer_norm",
    "layer_norm_backward", "rms_norm", "rms_norm_backward",
]  # fmt: skip


def _sizes(shape: Any) -> str:
    return "[" + ", ".join(str(s) for s in shape) + "]"


def _channel(tensor: Any, ndim: int) -> Any:
    """A per-channel vector shaped to broadcast against (N, C, *)."""
    return tensor.reshape(1, -1, *(1,) * (ndim - 2))


# -- batch norm ---------------------------------------------------------------------------------


def _check_channels(name: str, input: Any, **vectors: Any) -> None:
    if input.ndim < 2:
        raise ShapeError(f"{name}: expected input of at least 2 dimensions (N, C, ...), got {_sizes(input.shape)}")
    for label, vector in vectors.items():
        if vector is not None and (vector.ndim != 1 or not sym_eq(vector.shape[0], input.shape[1])):
            raise ShapeError(
                f"{name}: {label} should contain {input.shape[1]} elements not {_sizes(vector.shape)}; the input is "
                f"{_sizes(input.shape)}"
            )


def _batch_norm_shape(
    input: Spec, weight: Any, bias: Any, running_mean: Any, running_var: Any, *, training: bool, momentum: Any,
    eps: float,
) -> Spec:  # fmt: skip
    _check_channels(
        "batch_norm", input, weight=weight, bias=bias, running_mean=running_mean, running_var=running_var
    )
    if not training and (running_mean is None or running_var is None):
        raise ArgumentError("batch_norm: expected running_mean and running_var to be defined when training=False")
    return Spec(tuple(input.shape), input.dtype)


def _batch_norm_eager(
    xp: Any, input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, *, training: bool,
    momentum: Any, eps: float,
) -> Any:  # fmt: skip
    if training:
        return _train_eager(xp, input, weight, bias, eps=eps)[0]
    scale = 1 / xp.sqrt(running_var + xp.asarray(eps, running_var.dtype))
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale
    if bias is not None:
        shift = shift + bias
    out = xp.multiply(input, _channel(scale, input.ndim))
    out += _channel(shift, input.ndim)
    return out.astype(input.dtype, copy=False)


def _batch_norm_decompose(
    input: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, *, training: bool, momentum: Any,
    eps: float,
) -> Any:  # fmt: skip
    if training:
        return batch_norm_train(input, weight, bias, eps)[0]
    scale = (running_var + eps).rsqrt()
    if weight is not None:
        scale = scale * weight
    shift = -running_mean * scale
    if bias is not None:
        shift = shift + bias
    return input * _channel(scale, input.ndim) + _channel(shift, input.ndim)


def _batch_norm_samples() -> Iterator[Sample]:
    for shape in ((4, 3), (2, 3, 5), (2, 3, 4, 2)):
        mean, var = floats(3, seed=3), floats(3, seed=4) ** 2 + 0.5
        yield Sample((floats(*shape), floats(3, seed=1), floats(3, seed=2), mean, var))
        yield Sample((floats(*shape), None, None, mean, var), {"eps": 1e-3})
        yield Sample((floats(*shape), floats(3, seed=1), floats(3, seed=2), None, None), {"training": True})


batch_norm = operator(
    "batch_norm(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, "
    "bool training=False, float? momentum=0.1, float eps=1e-05) -> Tensor",
    """Normalize each channel of (N, C, *): (x - mean) / sqrt(var + eps) * weight + bias.

    The statistics are the stored ones, or with `training` those of the batch; this operator never changes the stored
    ones, `nn.functional.batch_norm` does. All vectors have C elements. Raises ShapeError where one has not.

    >>> import pappus as pp
    >>> x = pp.tensor([[1.0], [3.0]])
    >>> pp.batch_norm(x, None, None, pp.tensor([1.0]), pp.tensor([4.0]), eps=0.0).tolist()
    [[0.0], [1.0]]
    """,
    shape=_batch_norm_shape,
    eager=_batch_norm_eager,
    decompose=_batch_norm_decompose,
    samples=_batch_norm_samples,
)


def _train_shape(input: Spec, weight: Any, bias: Any, *, eps: float) -> tuple[Spec, Spec, Spec]:
    _check_channels("batch_norm", input, weight=weight, bias=bias)
    count = _count(input.shape)
    if not is_symbolic(count) and count <= 1:
        raise ShapeError(
            f"batch_norm: Expected more than 1 value per channel when training, got input size {_sizes(input.shape)}; "
            "use a larger batch, or model.eval()"
        )
    channels = Spec((input.shape[1],), input.dtype)
    return Spec(tuple(input.shape), input.dtype), channels, channels


def _count(shape: Any) -> Any:
    """How many elements each channel has."""
    count: Any = shape[0]
    for size in shape[2:]:
        count = count * size
    return count


def _rows(x: Any) -> Any:
    """(N, C, *) as (N, C, P)."""
    return x.reshape(x.shape[0], x.shape[1], -1)


def _channel_sum(xp: Any, x: Any) -> Any:
    """The sum of (N, C, P) per channel: as products with ones, which BLAS adds up faster than `sum`."""
    if x.shape[2] == 1:
        return x[:, :, 0].sum(axis=0)
    return (x @ xp.ones(x.shape[2], x.dtype)).sum(axis=0)


def _train_eager(xp: Any, input: Any, weight: Any, bias: Any, *, eps: float) -> tuple[Any, ...]:
    found = native_rows.channel_norm(input, weight, bias, eps)
    if found is not None:
        return tuple(found)
    kind = input.dtype if input.dtype.itemsize >= 4 else xp.dtype("float32")
    x = _rows(input).astype(kind, copy=False)
    count = x.shape[0] * x.shape[2]
    mean = _channel_sum(xp, x) / kind.type(count)
    centered = x - mean[:, None]
    var = xp.einsum("ncp,ncp->c", centered, centered) / kind.type(count)
    scale = 1 / xp.sqrt(var + kind.type(eps))
    if weight is not None:
        scale = scale * weight
    centered *= scale[:, None]
    if bias is not None:
        centered += bias[:, None]
    out = centered.reshape(input.shape).astype(input.dtype, copy=False)
    return out, mean.astype(input.dtype, copy=False), var.astype(input.dtype, copy=False)


def _train_decompose(input: Any, weight: Any, bias: Any, *, eps: float) -> tuple[Any, Any, Any]:
    dims = [0, *range(2, input.ndim)]
    mean = input.mean(dims)
    centered = input - _channel(mean, input.ndim)
    var = (centered * centered).mean(dims)
    out = centered * _channel((var + eps).rsqrt(), input.ndim)
    if weight is not None:
        out = out * _channel(weight, input.ndim)
    if bias is not None:
        out = out + _channel(bias, input.ndim)
    return out, mean, var


def _train_vjp(g: Any, out: Any, input: Any, weight: Any, _bias: Any, *, eps: float) -> tuple[Any, Any, Any]:
    grads = batch_norm_backward(g[0], g[1], g[2], input, weight, out[1], out[2], eps)
    return grads[0], None if weight is None else grads[1], None if _bias is None else grads[2]


batch_norm_train = operator(
    "batch_norm_train(Tensor input, Tensor? weight, Tensor? bias, float eps=1e-05) -> (Tensor, Tensor, Tensor)",
    """Normalize each channel of (N, C, *) by the batch's own mean and (biased) variance, and return them too.

    Raises ShapeError where a channel has a single value, whose variance says nothing.
    """,
    shape=_train_shape,
    eager=_train_eager,
    vjp=_train_vjp,
    decompose=_train_decompose,
    samples=lambda: (Sample(s.args[:3]) for s in _batch_norm_samples() if "training" in s.kwargs),
)


def _backward_eager(
    xp: Any, grad_output: Any, grad_mean: Any, grad_var: Any, input: Any, weight: Any, mean: Any, var: Any, *,
    eps: float,
) -> tuple[Any, ...]:  # fmt: skip
    found = native_rows.channel_norm_grad(grad_output, grad_mean, grad_var, input, weight, mean, var, eps)
    if found is not None:
        return tuple(found)
    kind = input.dtype if input.dtype.itemsize >= 4 else xp.dtype("float32")
    x, g = _rows(input).astype(kind, copy=False), _rows(grad_output).astype(kind, copy=False)
    count = kind.type(x.shape[0] * x.shape[2])
    rstd = 1 / xp.sqrt(var.astype(kind, copy=False) + kind.type(eps))
    centered = x - mean.astype(kind, copy=False)[:, None]
    total = _channel_sum(xp, g)
    against = xp.einsum("ncp,ncp->c", g, centered)
    scale = rstd if weight is None else rstd * weight
    # The input's gradient is one affine function of `g` and the centered input per channel.
    slope = (2 * grad_var - scale * rstd * rstd * against) / count
    centered *= slope.astype(kind, copy=False)[:, None]
    centered += ((grad_mean - scale * total) / count).astype(kind, copy=False)[:, None]
    centered += g * scale.astype(kind, copy=False)[:, None]
    return (
        centered.reshape(input.shape).astype(input.dtype, copy=False),
        (against * rstd).astype(input.dtype, copy=False),
        total.astype(input.dtype, copy=False),
    )


def _backward_decompose(
    grad_output: Any, grad_mean: Any, grad_var: Any, input: Any, weight: Any, mean: Any, var: Any, *, eps: float
) -> tuple[Any, Any, Any]:
    ndim, dims = input.ndim, [0, *range(2, input.ndim)]
    count = _count(input.shape)
    rstd = (var + eps).rsqrt()
    centered = input - _channel(mean, ndim)
    total = grad_output.sum(dims)
    against = (grad_output * centered).sum(dims)
    scale = rstd if weight is None else rstd * weight
    slope = (grad_var * 2 - scale * rstd * rstd * against) / count
    shift = (grad_mean - scale * total) / count
    grad = grad_output * _channel(scale, ndim) + centered * _channel(slope, ndim) + _channel(shift, ndim)
    return grad, against * rstd, total


def _backward_shape(
    grad_output: Spec, grad_mean: Spec, grad_var: Spec, input: Spec, weight: Any, mean: Spec, var: Spec, *, eps: float
) -> tuple[Spec, Spec, Spec]:
    channels = Spec(tuple(mean.shape), input.dtype)
    return Spec(tuple(input.shape), input.dtype), channels, channels


def _backward_samples() -> Iterator[Sample]:
    for sample in _batch_norm_samples():
        x, weight = sample.args[:2]
        vectors = [floats(3, seed=seed) for seed in (7, 8, 9)]
        yield Sample((floats(*x.shape, seed=6), *vectors[:2], x, weight, vectors[2], floats(3, seed=4) ** 2 + 0.5))


batch_norm_backward = operator(
    "batch_norm_backward(Tensor grad_output, Tensor grad_mean, Tensor grad_var, Tensor input, Tensor? weight, "
    "Tensor mean, "
    "Tensor var, float eps=1e-05) -> (Tensor, Tensor, Tensor)",
    """Gradients of `batch_norm_train` to its input, weight and bias, given those of its three results.""",
    shape=_backward_shape,
    eager=_backward_eager,
    decompose=_backward_decompose,
    samples=_backward_samples,
)

# -- layer norm, rms norm, group norm -----------------------------------------------------------


def _check_normalized(name: str, input: Any, normalized_shape: Any, **params: Any) -> None:
    k = len(normalized_shape)
    if k < 1:
        raise ShapeError(
            f"{name}: Expected normalized_shape to be at least 1-dimensional, got {list(normalized_shape)}"
        )
    for label, param in params.items():
        if param is not None and not _same(param.shape, normalized_shape):
            raise ShapeError(
                f"{name}: Expected {label} to be of same shape as normalized_shape, but got {label} of shape "
                f"{_sizes(param.shape)} and normalized_shape = {_sizes(normalized_shape)}"
            )
    if input.ndim < k or not _same(input.shape[input.ndim - k :], normalized_shape):
        raise ShapeError(
            f"{name}: Given normalized_shape={_sizes(normalized_shape)}, expected input with shape "
            f"[*, {', '.join(map(str, normalized_shape))}], but got input of size{_sizes(input.shape)}"
        )


def _same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(sym_eq(x, y) for x, y in zip(a, b, strict=True))


def _layer_norm_shape(input: Spec, weight: Any, bias: Any, *, normalized_shape: Any, eps: float) -> Spec:
    _check_normalized("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return Spec(tuple(input.shape), input.dtype)


def _layer_norm_eager(xp: Any, input: Any, weight: Any, bias: Any, *, normalized_shape: Any, eps: float) -> Any:
    found = native_rows.norm(input, weight, bias, len(normalized_shape), eps, native_rows.LAYER)
    if found is not None:
        return found
    kind = input.dtype if input.dtype.itemsize >= 4 else xp.dtype("float32")
    size = math.prod(normalized_shape)
    x = input.reshape(-1, size).astype(kind, copy=False)
    mean = (x @ xp.ones(size, kind)) / kind.type(size)
    out = x - mean[:, None]
    var = xp.einsum("ij,ij->i", out, out) / kind.type(size)
    out *= (1 / xp.sqrt(var + kind.type(eps)))[:, None]
    if weight is not None:
        out *= weight.reshape(-1)
    if bias is not None:
        out += bias.reshape(-1)
    return out.reshape(input.shape).astype(input.dtype, copy=False)


def _last(normalized_shape: Any) -> list[int]:
    return list(range(-len(normalized_shape), 0))


def _layer_norm_decompose(input: Any, weight: Any, bias: Any, *, normalized_shape: Any, eps: float) -> Any:
    dims = _last(normalized_shape)
    centered = input - input.mean(dims, keepdim=True)
    out = centered * ((centered * centered).mean(dims, keepdim=True) + eps).rsqrt()
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


def _layer_norm_vjp(
    g: Any, _out: Any, input: Any, weight: Any, _bias: Any, *, normalized_shape: Any, eps: float
) -> tuple[Any, Any, Any]:
    grads = layer_norm_backward(g, input, weight, normalized_shape, eps)
    return grads[0], None if weight is None else grads[1], None if _bias is None else grads[2]


def _norm_backward_eager(layer: bool) -> Any:
    """The gradients of a row's normalization as numpy: with z the normalized row and h = g * weight,
    (h - mean(h) - z mean(h z)) / deviation, without mean(h) for RMS."""

    def eager(xp: Any, g: Any, input: Any, weight: Any, *, normalized_shape: Any, eps: float) -> tuple[Any, ...]:
        axes = len(normalized_shape)
        found = native_rows.norm_grad(g, input, weight, axes, eps, native_rows.LAYER if layer else native_rows.RMS)
        if found is not None:
            return tuple(found)
        kind = input.dtype if input.dtype.itemsize >= 4 else xp.dtype("float32")
        size = math.prod(normalized_shape)
        x, rows = input.reshape(-1, size).astype(kind, copy=False), g.reshape(-1, size).astype(kind, copy=False)
        count = kind.type(size)
        if layer:
            x = x - (x @ xp.ones(size, kind) / count)[:, None]
        rstd = (1 / xp.sqrt(xp.einsum("ij,ij->i", x, x) / count + kind.type(eps)))[:, None]
        normal = x * rstd
        inner = rows if weight is None else rows * weight.reshape(-1)
        grad = inner - normal * (xp.einsum("ij,ij->i", inner, normal) / count)[:, None]
        if layer:
            grad -= (inner @ xp.ones(size, kind) / count)[:, None]
        grad *= rstd
        tail, parts = input.shape[input.ndim - axes :], (grad, xp.einsum("ij,ij->j", rows, normal), rows.sum(0))
        shapes = (input.shape, tail, tail)
        return tuple(p.reshape(s).astype(input.dtype, copy=False) for p, s in zip(parts, shapes, strict=True))

    return eager


def _norm_backward_decompose(layer: bool) -> Any:
    def decompose(g: Any, input: Any, weight: Any, *, normalized_shape: Any, eps: float) -> tuple[Any, Any, Any]:
        dims = _last(normalized_shape)
        outer = list(range(input.ndim - len(normalized_shape)))
        centered = input - input.mean(dims, keepdim=True) if layer else input
        rstd = ((centered * centered).mean(dims, keepdim=True) + eps).rsqrt()
        normal = centered * rstd
        inner = g if weight is None else g * weight
        grad = inner - normal * (inner * normal).mean(dims, keepdim=True)
        if layer:
            grad = grad - inner.mean(dims, keepdim=True)
        scaled = g * normal
        return grad * rstd, scaled.sum(outer) if outer else scaled, g.sum(outer) if outer else g

    return decompose


def _norm_backward_shape(g: Spec, input: Spec, weight: Any, *, normalized_shape: Any, eps: float) -> tuple[Spec, ...]:
    _check_normalized("layer_norm_backward", input, normalized_shape, weight=weight)
    tail = Spec(tuple(normalized_shape), input.dtype)
    return Spec(tuple(input.shape), input.dtype), tail, tail


def _norm_backward_samples() -> Iterator[Sample]:
    yield Sample((floats(4, 5, seed=9), floats(4, 5), floats(5, seed=1), (5,)), {"eps": 1e-5})
    yield Sample((floats(2, 3, 4, seed=9), floats(2, 3, 4), None, (3, 4)), {"eps": 1e-3})


layer_norm_backward = operator(
    "layer_norm_backward(Tensor grad_output, Tensor input, Tensor? weight, int[] normalized_shape, float eps) -> "
    "(Tensor, Tensor, Tensor)",
    """Gradients of `layer_norm` to its input, weight and bias.""",
    shape=_norm_backward_shape,
    eager=_norm_backward_eager(True),
    decompose=_norm_backward_decompose(True),
    samples=_norm_backward_samples,
)
rms_norm_backward = operator(
    "rms_norm_backward(Tensor grad_output, Tensor input, Tensor? weight, int[] normalized_shape, float eps) -> "
    "(Tensor, Tensor, Tensor)",
    """Gradients of `rms_norm` to its input and weight; the third result is that of a bias, had it one.""",
    shape=_norm_backward_shape,
    eager=_norm_backward_eager(False),
    decompose=_norm_backward_decompose(False),
    samples=_norm_backward_samples,
)


def _layer_norm_samples() -> Iterator[Sample]:
    yield Sample((floats(4, 5), (5,), floats(5, seed=1), floats(5, seed=2)))
    yield Sample((floats(2, 3, 4), (3, 4)), {"eps": 1e-3})
    yield Sample((floats(2, 3, 4), (4,), floats(4, seed=1)))


layer_norm = operator(
    "layer_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float "
    "eps=1e-05) -> Tensor",
    """Normalize over the last dimensions, given as `normalized_shape`: (x - mean) / sqrt(var + eps) * weight + bias.

    weight and bias have shape `normalized_shape`. Raises ShapeError where the input does not end in it.

    >>> import pappus as pp
    >>> pp.layer_norm(pp.tensor([[1.0, 3.0]]), (2,), eps=0.0).tolist()
    [[-1.0, 1.0]]
    """,
    shape=_layer_norm_shape,
    eager=_layer_norm_eager,
    vjp=_layer_norm_vjp,
    decompose=_layer_norm_decompose,
    samples=_layer_norm_samples,
)


def _rms_norm_shape(input: Spec, weight: Any, *, normalized_shape: Any, eps: Any) -> Spec:
    _check_normalized("rms_norm", input, normalized_shape, weight=weight)
    return Spec(tuple(input.shape), input.dtype)


def _rms_eps(input: Any, eps: Any) -> Any:
    """`eps`, or the machine epsilon of the type of a tensor or array."""
    if eps is not None:
        return eps
    dtype = input.dtype
    return finfo(dtype if isinstance(dtype, DType) else from_numpy_dtype(dtype)).eps


def _rms_norm_eager(xp: Any, input: Any, weight: Any, *, normalized_shape: Any, eps: Any) -> Any:
    eps = _rms_eps(input, eps)
    found = native_rows.norm(input, weight, None, len(normalized_shape), eps, native_rows.RMS)
    if found is not None:
        return found
    kind = input.dtype if input.dtype.itemsize >= 4 else xp.dtype("float32")
    size = math.prod(normalized_shape)
    x = input.reshape(-1, size).astype(kind, copy=False)
    out = x * (1 / xp.sqrt(xp.einsum("ij,ij->i", x, x) / kind.type(size) + kind.type(eps)))[:, None]
    if weight is not None:
        out *= weight.reshape(-1)
    return out.reshape(input.shape).astype(input.dtype, copy=False)


def _rms_norm_vjp(
    g: Any, _out: Any, input: Any, weight: Any, *, normalized_shape: Any, eps: Any
) -> tuple[Any, Any]:
    grads = rms_norm_backward(g, input, weight, normalized_shape, _rms_eps(input, eps))
    return grads[0], None if weight is None else grads[1]


def _rms_norm_decompose(input: Any, weight: Any, *, normalized_shape: Any, eps: Any) -> Any:
    eps = _rms_eps(input, eps)
    out = input * ((input * input).mean(_last(normalized_shape), keepdim=True) + eps).rsqrt()
    return out if weight is None else out * weight


rms_norm = operator(
    "rms_norm(Tensor input, int[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor",
    """Divide by the root mean square over the last dimensions: x / sqrt(mean(x^2) + eps) * weight.

    `eps` defaults to the type's machine epsilon, as in torch.

    >>> import pappus as pp
    >>> pp.rms_norm(pp.tensor([3.0, -3.0]), (2,), eps=0.0).tolist()
    [1.0, -1.0]
    """,
    shape=_rms_norm_shape,
    eager=_rms_norm_eager,
    vjp=_rms_norm_vjp,
    decompose=_rms_norm_decompose,
    samples=lambda: (Sample(s.args[:3], {"eps": 1e-6}) for s in _layer_norm_samples()),
)


def _group_norm_shape(input: Spec, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Spec:
    _check_channels("group_norm", input, weight=weight, bias=bias)
    if num_groups <= 0 or (not is_symbolic(input.shape[1]) and input.shape[1] % num_groups):
        raise ShapeError(
            f"group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{_sizes(input.shape)} and num_groups={num_groups}"
        )
    return Spec(tuple(input.shape), input.dtype)


def _group_norm_decompose(input: Any, weight: Any, bias: Any, *, num_groups: int, eps: float) -> Any:
    size = input.shape[1] // num_groups
    for extent in input.shape[2:]:
        size = size * extent
    out = layer_norm(input.reshape(input.shape[0], num_groups, size), (size,), None, None, eps).reshape(input.shape)
    if weight is not None:
        out = out * _channel(weight, input.ndim)
    return out if bias is None else out + _channel(bias, input.ndim)


group_norm = operator(
    "group_norm(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1e-05) -> Tensor",
    """Normalize groups of C / num_groups channels of each sample of (N, C, *); weight and bias have C elements.

    >>> import pappus as pp
    >>> pp.group_norm(pp.ones(2, 4, 3), 2).shape
    pappus.Size([2, 4, 3])
    """,
    shape=_group_norm_shape,
    decompose=_group_norm_decompose,
    samples=lambda: iter([Sample((floats(2, 4, 3), 2, floats(4, seed=1), floats(4, seed=2))),
                          Sample((floats(2, 6, 2, 2), 3))]),
)  # fmt: skip


@function()
def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None, bias: Any = None,
    use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalize each channel of each sample of (N, C, *), by its own statistics or by the stored ones."""
    if not use_input_stats:
        return batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)
    _check_channels("instance_norm", input, weight=weight, bias=bias)
    if input.ndim == 2 or _count((1, 1, *input.shape[2:])) == 1:
        raise ShapeError(
            f"instance_norm: Expected more than 1 spatial element when training, got input size {_sizes(input.shape)}"
        )
    return group_norm(input, input.shape[1], weight, bias, eps)
