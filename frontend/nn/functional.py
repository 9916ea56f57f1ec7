"""Functions of `pappus.nn.functional`: operators under torch's names and signatures, without state of their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.errors import ShapeError
from pappus.frontend.inplace import assign
from pappus.frontend.nn import (
    functional_attention,
    functional_embedding,
    functional_image,
    functional_loss,
    functional_margin,
    functional_pool,
    functional_random,
)
from pappus.frontend.nn.functional_attention import *  # noqa: F403
from pappus.frontend.nn.functional_embedding import *  # noqa: F403
from pappus.frontend.nn.functional_image import *  # noqa: F403
from pappus.frontend.nn.functional_loss import *  # noqa: F403
from pappus.frontend.nn.functional_margin import *  # noqa: F403
from pappus.frontend.nn.functional_pool import *  # noqa: F403
from pappus.frontend.nn.functional_random import *  # noqa: F403

# Operators whose signature is torch's already.
from pappus.frontend.ops import conv1d as conv1d
from pappus.frontend.ops import conv2d as conv2d
from pappus.frontend.ops import conv3d as conv3d
from pappus.frontend.ops import conv_transpose1d as conv_transpose1d
from pappus.frontend.ops import conv_transpose2d as conv_transpose2d
from pappus.frontend.ops import conv_transpose3d as conv_transpose3d
from pappus.frontend.ops import scaled_dot_product_attention as scaled_dot_product_attention
from pappus.frontend.ops._shapes import through_float32
from pappus.frontend.symbolic import is_symbolic, same_size
from pappus.frontend.tensor import Tensor

__all__ = [
    "batch_norm", "bilinear", "celu", "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d",
    "conv_transpose3d", "cosine_similarity", "elu",
    "gelu", "glu", "group_norm", "hardshrink", "hardsigmoid", "hardswish", "hardtanh", "instance_norm",
    "layer_norm", "leaky_relu", "linear", "local_response_norm", "log_softmax", "logsigmoid", "mish", "normalize",
    "prelu", "relu", "relu6", "rms_norm", "scaled_dot_product_attention", "selu", "sigmoid", "silu",
    "softmax", "softmin", "softplus", "softshrink", "softsign", "tanh", "tanhshrink", "threshold",
]  # fmt: skip
__all__ += ["celu_", "elu_", "hardtanh_", "leaky_relu_", "relu_", "rrelu_", "selu_", "threshold_"]
__all__ += functional_attention.__all__
__all__ += functional_embedding.__all__
__all__ += functional_image.__all__
__all__ += functional_loss.__all__
__all__ += functional_margin.__all__
__all__ += functional_pool.__all__
__all__ += functional_random.__all__

# -- products -----------------------------------------------------------------------------------


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b: (*, in) to (*, out), with weight (out, in) and bias (out)."""
    return ops.linear(input, weight, bias)  # type: ignore[no-any-return]


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x1^T W x2 + b for each output: (*, in1) and (*, in2) to (*, out), with weight (out, in1, in2).

    >>> import pappus as pp
    >>> bilinear(pp.ones(3, 2), pp.ones(3, 4), pp.ones(5, 2, 4)).shape
    pappus.Size([3, 5])
    """
    out, first, second = weight.shape
    if not same_size(input1.shape[-1], first) or not same_size(input2.shape[-1], second):
        raise ShapeError(
            f"bilinear: inputs of sizes {list(input1.shape)} and {list(input2.shape)} do not fit the weight "
            f"(out, in1, in2) = {list(weight.shape)}"
        )
    rows = input1 @ weight.permute(1, 0, 2).reshape(first, out * second)
    found = (rows.unflatten(-1, (out, second)) * input2.unsqueeze(-2)).sum(-1)
    return found if bias is None else found + bias  # type: ignore[no-any-return]


# -- activations --------------------------------------------------------------------------------
# `inplace` is accepted and only saves memory in torch: here the result is always a new tensor.


def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return ops.relu(input)  # type: ignore[no-any-return]


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """min(max(x, 0), 6)."""
    return ops.relu6(input)  # type: ignore[no-any-return]


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where positive, else negative_slope * x."""
    return ops.leaky_relu(input, negative_slope)  # type: ignore[no-any-return]


def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where positive, else alpha * (exp(x) - 1)."""
    return ops.elu(input, alpha)  # type: ignore[no-any-return]


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x * Phi(x), the normal distribution function; or with "tanh" its approximation."""
    return ops.gelu(input, approximate=approximate)  # type: ignore[no-any-return]


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x * sigmoid(x)."""
    return ops.silu(input)  # type: ignore[no-any-return]


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * tanh(softplus(x))."""
    return ops.mish(input)  # type: ignore[no-any-return]


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """x * relu6(x + 3) / 6."""
    return ops.hardswish(input)  # type: ignore[no-any-return]


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """relu6(x + 3) / 6."""
    return ops.hardsigmoid(input)  # type: ignore[no-any-return]


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x limited to [min_val, max_val]."""
    return ops.hardtanh(input, min_val, max_val)  # type: ignore[no-any-return]


def softplus(input: Tensor, beta: float = 1.0, threshold: float = 20.0) -> Tensor:
    """log(1 + exp(beta * x)) / beta, or x where beta * x is above the threshold."""
    return ops.softplus(input, beta, threshold)  # type: ignore[no-any-return]


def prelu(input: Tensor, weight: Tensor) -> Tensor:
    """x where positive, else weight * x, with one weight or one per channel."""
    return ops.prelu(input, weight)  # type: ignore[no-any-return]


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """a * sigmoid(b) for the halves a, b of a dimension."""
    return ops.glu(input, dim)  # type: ignore[no-any-return]


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """max(x, 0) + min(0, alpha * (exp(x / alpha) - 1))."""
    return ops.celu(input, alpha)  # type: ignore[no-any-return]


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """elu with the constants that keep activations at mean 0 and variance 1."""
    return ops.selu(input)  # type: ignore[no-any-return]


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where above the threshold, else `value`."""
    return ops.threshold(input, threshold, value)  # type: ignore[no-any-return]


def hardshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x where |x| > lambd, else 0."""
    return ops.hardshrink(input, lambd)  # type: ignore[no-any-return]


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x moved towards 0 by lambd, 0 where |x| <= lambd."""
    return ops.softshrink(input, lambd)  # type: ignore[no-any-return]


def _in_place(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function whose result takes the place of its input."""

    @wraps(function)
    def run(input: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        # Of a copy: the gradient needs the numbers that are overwritten here.
        return input.copy_(function(input.clone(), *args, **kwargs))  # type: ignore[no-any-return]

    run.__name__ = run.__qualname__ = f"{function.__name__}_"
    run.__doc__ = f"`{function.__name__}` in place."
    return run


celu_ = _in_place(celu)
elu_ = _in_place(elu)
hardtanh_ = _in_place(hardtanh)
leaky_relu_ = _in_place(leaky_relu)
relu_ = _in_place(relu)
rrelu_ = _in_place(functional_random.rrelu)
selu_ = _in_place(selu)
threshold_ = _in_place(threshold)


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(-x))."""
    return ops.sigmoid(input)  # type: ignore[no-any-return]


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return ops.tanh(input)  # type: ignore[no-any-return]


def logsigmoid(input: Tensor) -> Tensor:
    """log(sigmoid(x)), without underflow."""
    return ops.logsigmoid(input)  # type: ignore[no-any-return]


def softsign(input: Tensor) -> Tensor:
    """x / (1 + |x|)."""
    return ops.softsign(input)  # type: ignore[no-any-return]


def tanhshrink(input: Tensor) -> Tensor:
    """x - tanh(x)."""
    return ops.tanhshrink(input)  # type: ignore[no-any-return]


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`.

    >>> import pappus as pp
    >>> softmax(pp.zeros(2), dim=0).tolist()
    [0.5, 0.5]
    """
    return ops.softmax(input, _softmax_dim(input, dim), dtype=dtype)  # type: ignore[no-any-return]


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """log(softmax(x)) along `dim`, without underflow."""
    return ops.log_softmax(input, _softmax_dim(input, dim), dtype=dtype)  # type: ignore[no-any-return]


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """softmax(-x) along `dim`."""
    return ops.softmax(-input, _softmax_dim(input, dim), dtype=dtype)  # type: ignore[no-any-return]


def _softmax_dim(input: Tensor, dim: int | None) -> int:
    """torch's implicit choice, kept for old code."""
    if dim is not None:
        return dim
    return 0 if input.ndim in (0, 1, 3) else 1


@through_float32
def normalize(input: Tensor, p: float = 2.0, dim: int = 1, eps: float = 1e-12) -> Tensor:
    """x divided by its p-norm along `dim` (at least eps)."""
    return input / ops.norm(input, p, dim, keepdim=True).clamp(min=eps)  # type: ignore[no-any-return]


@through_float32
def cosine_similarity(x1: Tensor, x2: Tensor, dim: int = 1, eps: float = 1e-8) -> Tensor:
    """The cosine of the angle between two tensors' vectors along `dim`."""
    x1, x2 = ops.broadcast_tensors(x1, x2)
    a = ops.norm(x1, 2.0, dim, keepdim=True).clamp(min=eps)
    b = ops.norm(x2, 2.0, dim, keepdim=True).clamp(min=eps)
    return ((x1 / a) * (x2 / b)).sum(dim)  # type: ignore[no-any-return]


# -- norms and dropout --------------------------------------------------------------------------


def batch_norm(
    input: Tensor, running_mean: Tensor | None, running_var: Tensor | None, weight: Tensor | None = None,
    bias: Tensor | None = None, training: bool = False, momentum: Any = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize each channel of (N, C, *); in training by the batch, moving the running statistics towards it.

    running = (1 - momentum) * running + momentum * batch, where the batch's variance is the unbiased one.
    """
    if input.ndim < 2 and not input.numel():  # nothing to normalize
        return input.clone()  # type: ignore[no-any-return]
    if not training:
        return ops.batch_norm(input, weight, bias, running_mean, running_var, False, momentum, eps)  # type: ignore[no-any-return]
    count: Any = input.shape[0]
    for size in input.shape[2:]:
        count = count * size
    if not is_symbolic(count) and count == 0 and input.ndim > 1:
        # No elements, no statistics: the running ones stay. Parameters get gradients of zero.
        row = (1, -1, *(1,) * (input.ndim - 2))
        out = input if weight is None else input * weight.reshape(row)
        return out if bias is None else out + bias.reshape(row)
    out, mean, var = ops.batch_norm_train(input, weight, bias, eps)
    if running_mean is not None or running_var is not None:
        with no_grad():
            if running_mean is not None:
                update_running(running_mean, mean.detach(), momentum)
            if running_var is not None:
                # A size that is not known yet (capture) is a number only in tensor arithmetic.
                biased = var.detach()
                unbiased = biased * count / (count - 1) if is_symbolic(count) else biased * (count / (count - 1))
                update_running(running_var, unbiased, momentum)
    return out  # type: ignore[no-any-return]


def update_running(running: Tensor, batch: Tensor, momentum: Any) -> None:
    """running = (1 - momentum) * running + momentum * batch, in place."""
    new = running * (1 - momentum) + batch.to(running.dtype) * momentum
    assign(running, new)


def layer_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize over the last dimensions, given as `normalized_shape`."""
    return ops.layer_norm(input, normalized_shape, weight, bias, eps)  # type: ignore[no-any-return]


def rms_norm(
    input: Tensor, normalized_shape: Sequence[int], weight: Tensor | None = None, eps: float | None = None
) -> Tensor:
    """Divide by the root mean square over the last dimensions."""
    return ops.rms_norm(input, normalized_shape, weight, eps)  # type: ignore[no-any-return]


def group_norm(
    input: Tensor, num_groups: int, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
) -> Tensor:
    """Normalize groups of channels of each sample of (N, C, *)."""
    return ops.group_norm(input, num_groups, weight, bias, eps)  # type: ignore[no-any-return]


def instance_norm(
    input: Tensor, running_mean: Tensor | None = None, running_var: Tensor | None = None, weight: Tensor | None = None,
    bias: Tensor | None = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Tensor:  # fmt: skip
    """Normalize each channel of each sample of (N, C, *), by its own statistics or by the running ones.

    Where the statistics are the sample's own, the running ones move towards their mean over the batch.
    """
    out = ops.instance_norm(input, running_mean, running_var, weight, bias, use_input_stats, momentum, eps)
    if use_input_stats and (running_mean is not None or running_var is not None):
        dims = list(range(2, input.ndim))
        with no_grad():
            if running_mean is not None:
                update_running(running_mean, input.mean(dims).mean(0), momentum)
            if running_var is not None:
                update_running(running_var, input.var(dims, correction=1).mean(0), momentum)
    return out  # type: ignore[no-any-return]


def local_response_norm(input: Tensor, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Tensor:
    """x / (k + alpha * mean of the squares of `size` neighbouring channels)^beta, for (N, C, *).

    >>> import pappus as pp
    >>> local_response_norm(pp.ones(1, 2, 1), 3, alpha=3.0, beta=1.0).flatten().tolist()
    [0.3333333432674408, 0.3333333432674408]
    """
    if input.ndim < 3:
        raise ShapeError(f"local_response_norm: expected (N, C, *) of at least 3 dimensions, got {list(input.shape)}")
    return input / across_channels(input, size // 2, (size - 1) // 2, size, alpha, beta, k)


def across_channels(x: Tensor, before: int, after: int, size: int, alpha: float, beta: float, k: float) -> Tensor:
    """(k + alpha / size * sum of x^2 over the channels from `before` to `after`)^beta."""
    squares = x * x
    channels = x.shape[1]
    wide = ops.constant_pad_nd(squares, (*(0, 0) * (x.ndim - 2), before, after))
    total: Any = 0
    for at in range(before + after + 1):
        total = total + wide.narrow(1, at, channels)
    return (total * (alpha / size) + k) ** beta  # type: ignore[no-any-return]
