"""Batch norms folded into the layer before them, for evaluation: one layer instead of two, with the same results."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from pappus.frontend import ops
from pappus.frontend.errors import ArgumentError
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import Parameter
from pappus.frontend.tensor import Tensor

__all__ = ["fuse_conv_bn_eval", "fuse_conv_bn_weights", "fuse_linear_bn_eval", "fuse_linear_bn_weights"]

M = TypeVar("M", bound=Module)


def fuse_conv_bn_weights(
    conv_w: Tensor, conv_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None, transpose: bool = False,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """The weight and bias of a convolution that does what the given one and a batch norm behind it do.

    weight * w / sqrt(var + eps) per output channel, and (bias - mean) * w / sqrt(var + eps) + b. `transpose` says that
    the output channels are the weight's second dimension.
    """
    zero = ops.zeros_like(bn_rm)
    scale = (ops.ones_like(bn_rm) if bn_w is None else bn_w) * (bn_rv + bn_eps).rsqrt()
    shape = [1] * conv_w.ndim
    shape[1 if transpose else 0] = -1
    weight = conv_w * scale.reshape(shape).to(conv_w.dtype)
    bias = ((zero if conv_b is None else conv_b) - bn_rm) * scale + (zero if bn_b is None else bn_b)
    needs = (conv_w.requires_grad, conv_w.requires_grad if conv_b is None else conv_b.requires_grad)
    return Parameter(weight.detach(), needs[0]), Parameter(bias.to(conv_w.dtype).detach(), needs[1])


def fuse_conv_bn_eval(conv: M, bn: Any, transpose: bool = False) -> M:
    """A copy of a convolution that does what it and the batch norm behind it do in evaluation.

    >>> import pappus as pp
    >>> conv, norm = pp.nn.Conv2d(2, 3, 3).eval(), pp.nn.BatchNorm2d(3).eval()
    >>> x = pp.randn(1, 2, 5, 5)
    >>> pp.allclose(fuse_conv_bn_eval(conv, norm)(x), norm(conv(x)), atol=1e-5)
    True
    """
    _ready("fuse_conv_bn_eval", conv, bn)
    fused = copy.deepcopy(conv)
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias, transpose
    )
    return fused


def fuse_linear_bn_weights(
    linear_w: Tensor, linear_b: Tensor | None, bn_rm: Tensor, bn_rv: Tensor, bn_eps: float, bn_w: Tensor | None,
    bn_b: Tensor | None,
) -> tuple[Parameter, Parameter]:  # fmt: skip
    """`fuse_conv_bn_weights` of a linear layer."""
    return fuse_conv_bn_weights(linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)


def fuse_linear_bn_eval(linear: M, bn: Any) -> M:
    """A copy of a linear layer that does what it and the batch norm behind it do in evaluation."""
    _ready("fuse_linear_bn_eval", linear, bn)
    if bn.num_features not in (linear.out_features, 1):
        raise ArgumentError(
            f"fuse_linear_bn_eval: the norm has {bn.num_features} features, the layer {linear.out_features}"
        )
    fused = copy.deepcopy(linear)
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    return fused


def _ready(name: str, layer: Module, bn: Any) -> None:
    if layer.training or bn.training:
        raise ArgumentError(f"{name}: fusion is only for evaluation; call .eval() on both first")
    if bn.running_mean is None or bn.running_var is None:
        raise ArgumentError(f"{name}: the batch norm keeps no running statistics, so it cannot be folded")
