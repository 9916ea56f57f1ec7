"""Convolution: one primitive for 1 to 3 spatial dimensions, plain and transposed, and its weight gradient.

`convolution`, `convolution(transposed=True)` and `convolution_weight_grad` are each other's gradients, so the family is
closed under differentiation of any order. `conv1d` ... `conv_transpose3d` are plain functions that call it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import ArgumentError, DTypeError, ShapeError
from ..native import conv as native_conv
from ..opdef import Sample, Spec, operator
from ..symbolic import is_symbolic, sym_eq
from . import _conv_kernels as kernels
from ._names import function
from ._samples import floats

__all__ = [
    "conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d", "convolution",
    "convolution_weight_grad",
]  # fmt: skip


def _sizes(shape: Sequence[Any]) -> str:
    return "[" + ", ".join(str(s) for s in shape) + "]"


def _per_dim(name: str, value: tuple[Any, ...], spatial: int) -> tuple[Any, ...]:
    """One value per spatial dimension; a single value stands for all of them."""
    if len(value) == 1:
        return value * spatial
    if len(value) != spatial:
        raise ArgumentError(f"convolution: expected {name} to be one number or {spatial} of them, got {list(value)}")
    return value


def _check_options(
    stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...], groups: int, output_padding: Any
) -> None:
    if any(s <= 0 for s in stride):
        raise ArgumentError(f"convolution: non-positive stride is not supported, got {list(stride)}")
    if any(p < 0 for p in padding):
        raise ArgumentError(f"convolution: negative padding is not supported, got {list(padding)}")
    if any(d <= 0 for d in dilation):
        raise ArgumentError(f"convolution: dilation should be greater than zero, got {list(dilation)}")
    if groups <= 0:
        raise ArgumentError(f"convolution: non-positive groups is not supported, got {groups}")
    for extra, s, d in zip(output_padding, stride, dilation, strict=True):
        if is_symbolic(extra):
            continue
        if extra < 0:
            raise ArgumentError(f"convolution: negative output_padding is not supported, got {list(output_padding)}")
        if extra and extra >= max(s, d):
            raise ArgumentError(
                "convolution: output padding must be smaller than either stride or dilation, but got "
                f"output_padding {list(output_padding)}, stride {list(stride)}, dilation {list(dilation)}"
            )


def _convolution_shape(
    input: Spec, weight: Spec, bias: Spec | None, *, stride: Any, padding: Any, dilation: Any, groups: int,
    transposed: bool, output_padding: Any,
) -> Spec:  # fmt: skip
    spatial = weight.ndim - 2
    if spatial not in (1, 2, 3):
        raise ShapeError(f"convolution: weight must have 3 to 5 dimensions, got weight of size {_sizes(weight.shape)}")
    if input.ndim != spatial + 2:
        raise ShapeError(
            f"convolution: expected {spatial + 2}D (batched) input to conv{spatial}d with weight of size "
            f"{_sizes(weight.shape)}, but got input of size: {_sizes(input.shape)}"
        )
    if input.dtype is not weight.dtype or (bias is not None and bias.dtype is not input.dtype):
        third = "" if bias is None else f" and bias type ({bias.dtype.name})"
        raise DTypeError(
            f"convolution: Input type ({input.dtype.name}) and weight type ({weight.dtype.name}){third} should be the "
            "same; convert the input with .to(weight.dtype) or the module with .to(dtype)"
        )
    stride, padding = _per_dim("stride", stride, spatial), _per_dim("padding", padding, spatial)
    dilation, extra = _per_dim("dilation", dilation, spatial), _per_dim("output_padding", output_padding, spatial)
    _check_options(stride, padding, dilation, groups, extra)
    first = weight.shape[0]
    if not is_symbolic(first) and (first < groups or first % groups):
        raise ShapeError(
            f"convolution: Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got "
            f"weight of size {_sizes(weight.shape)} instead"
        )
    channels = first if transposed else weight.shape[1] * groups
    if not sym_eq(input.shape[1], channels):
        what = "transposed=1" if transposed else f"groups={groups}"
        raise ShapeError(
            f"convolution: Given {what}, weight of size {_sizes(weight.shape)}, expected input{_sizes(input.shape)} to "
            f"have {channels} channels, but got {input.shape[1]} channels instead"
        )
    out_channels = weight.shape[1] * groups if transposed else first
    if bias is not None and (bias.ndim != 1 or not sym_eq(bias.shape[0], out_channels)):
        raise ShapeError(
            f"convolution: Given weight of size {_sizes(weight.shape)}, expected bias to be 1-dimensional with "
            f"{out_channels} elements, but got bias of size {_sizes(bias.shape)} instead"
        )
    out = []
    for n, k, s, p, d, e in zip(input.shape[2:], weight.shape[2:], stride, padding, dilation, extra, strict=True):
        if transposed:
            size = (n - 1) * s - 2 * p + d * (k - 1) + e + 1
        else:
            size = (n + 2 * p - d * (k - 1) - 1) // s + 1
        if not is_symbolic(size) and size <= 0:
            padded = " x ".join(str(n + 2 * p) for n, p in zip(input.shape[2:], padding, strict=True))
            reach = " x ".join(str(d * (k - 1) + 1) for k, d in zip(weight.shape[2:], dilation, strict=True))
            if transposed:
                raise ShapeError(
                    f"convolution: Given input size {_sizes(input.shape)}, output size {size} is too small"
                )
            raise ShapeError(
                f"convolution: Calculated padded input size per channel: ({padded}). Kernel size: ({reach}). "
                "Kernel size can't be greater than actual input size; add padding or use a larger input"
            )
        out.append(size)
    return Spec((input.shape[0], out_channels, *out), input.dtype)


def _convolution_eager(
    xp: Any, input: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int,
    transposed: bool, output_padding: Any,
) -> Any:  # fmt: skip
    spatial = weight.ndim - 2
    stride, padding, dilation, output_padding = (
        v * spatial if len(v) == 1 else v for v in (stride, padding, dilation, output_padding)
    )
    kind = input.dtype
    input, weight, bias = (_wide(a) for a in (input, weight, bias))
    if transposed:
        size = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + e + 1
            for n, k, s, p, d, e in zip(
                input.shape[2:], weight.shape[2:], stride, padding, dilation, output_padding, strict=True
            )
        )
        found = native_conv.transposed(input, weight, bias, stride, padding, dilation, groups, size)
        if found is not None:
            return found if found.dtype == kind else found.astype(kind)
        out = kernels.conv_transpose(xp, input, weight, stride, padding, dilation, groups, size)
    else:
        found = native_conv.forward(input, weight, bias, stride, padding, dilation, groups)
        if found is not None:
            return found if found.dtype == kind else found.astype(kind)
        out = kernels.conv_forward(xp, input, weight, stride, padding, dilation, groups)
    if bias is not None:
        out += bias.reshape(-1, *(1,) * spatial)
    return out if out.dtype == kind else out.astype(kind)


def _wide(array: Any) -> Any:
    """float16 and bfloat16 as float32, in which products are summed."""
    short = array is not None and array.dtype.itemsize == 2 and array.dtype.kind in "fV"
    return array.astype(np.float32) if short else array


def _needs(tensor: Any) -> bool:
    return tensor is not None and getattr(tensor, "requires_grad", True)


def _convolution_vjp(
    g: Any, _out: Any, input: Any, weight: Any, bias: Any, *, stride: Any, padding: Any, dilation: Any, groups: int,
    transposed: bool, output_padding: Any,
) -> tuple[Any, Any, Any]:  # fmt: skip
    spatial = len(weight.shape) - 2
    kernel = tuple(weight.shape[2:])
    stride, padding, dilation, output_padding = (
        v * spatial if len(v) == 1 else v for v in (stride, padding, dilation, output_padding)
    )
    common = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    grad_input = grad_weight = grad_bias = None
    if _needs(input):
        if transposed:
            grad_input = convolution(g, weight, None, **common)
            for d, extra in enumerate(
                output_padding, 2
            ):  # windows that begin in the output's padding belong to no input
                if extra:
                    grad_input = grad_input.narrow(d, 0, input.shape[d])
        else:
            extra = tuple(
                n - ((o - 1) * s - 2 * p + d * (k - 1) + 1)
                for n, o, k, s, p, d in zip(
                    input.shape[2:], g.shape[2:], kernel, stride, padding, dilation, strict=True
                )
            )
            grad_input = convolution(g, weight, None, **common, transposed=True, output_padding=extra)
    if _needs(weight):
        wide, narrow = (g, input) if transposed else (input, g)
        grad_weight = convolution_weight_grad(wide, narrow, kernel, **common)
    if bias is not None:
        grad_bias = g.sum((0, *range(2, spatial + 2)))
    return grad_input, grad_weight, grad_bias


def _convolution_samples() -> Iterator[Sample]:
    cases: list[tuple[tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]] = [
        ((2, 3, 7), (4, 3, 3), True, {}),
        ((2, 4, 6), (4, 1, 2), False, {"stride": 2, "groups": 4}),
        ((2, 3, 5, 6), (4, 3, 3, 2), True, {"stride": (2, 1), "padding": (1, 0)}),
        ((1, 4, 5, 5), (6, 2, 3, 3), True, {"padding": 2, "dilation": 2, "groups": 2}),
        ((2, 3, 4, 4), (2, 3, 1, 1), False, {"stride": 2}),
        ((2, 4, 4, 4), (8, 1, 3, 3), True, {"padding": 1, "groups": 4}),
        ((1, 2, 3, 3, 3), (2, 2, 2, 2, 2), True, {"padding": 1, "stride": 2}),
    ]
    for x, w, bias, options in cases:
        yield Sample((floats(*x), floats(*w, seed=1), floats(*w[:1], seed=2) if bias else None), options)
    transposed: list[tuple[tuple[int, ...], tuple[int, ...], dict[str, Any]]] = [
        ((2, 3, 4), (3, 2, 3), {"stride": 2, "padding": 1, "output_padding": 1}),
        ((2, 4, 3, 3), (4, 2, 3, 2), {"stride": (1, 2), "groups": 2}),
        ((1, 2, 3, 3), (2, 3, 2, 2), {"dilation": 2, "padding": 1}),
        ((1, 4, 3, 3), (4, 1, 3, 3), {"stride": 2, "groups": 4}),
    ]
    for x, w, options in transposed:
        groups = options.get("groups", 1)
        yield Sample((floats(*x), floats(*w, seed=1), floats(w[1] * groups, seed=2)), {**options, "transposed": True})


convolution = operator(
    "convolution(Tensor input, Tensor weight, Tensor? bias=None, int[] stride=[1], int[] padding=[0], "
    "int[] dilation=[1], int groups=1, bool transposed=False, int[] output_padding=[0]) -> Tensor",
    """Cross-correlation of `input` (N, C, *spatial) with `weight` over 1 to 3 spatial dimensions.

    Plain: weight is (O, C / groups, *kernel) and out[n, o, p] = sum input[n, c, p * stride + k * dilation - padding] *
    weight[o, c, k] + bias[o]. Transposed: weight is (C, O / groups, *kernel), and the result is the adjoint of the
    plain form, with `output_padding` more elements at the far end. All tensors share one type. Raises ShapeError where
    channels, groups or the kernel do not fit the input.

    >>> import pappus as pp
    >>> pp.convolution(pp.ones(1, 1, 3, 3), pp.ones(1, 1, 2, 2))
    tensor([[[[4., 4.],
              [4., 4.]]]])
    """,
    shape=_convolution_shape,
    eager=_convolution_eager,
    complex="holomorphic",
    vjp=_convolution_vjp,
    samples=_convolution_samples,
)


def _weight_grad_shape(
    input: Spec, grad_output: Spec, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Spec:
    if input.ndim != grad_output.ndim or len(kernel_size) != input.ndim - 2:
        raise ShapeError(
            f"convolution_weight_grad: input {_sizes(input.shape)}, grad_output {_sizes(grad_output.shape)} and "
            f"kernel_size {list(kernel_size)} must have the same number of spatial dimensions"
        )
    if not sym_eq(input.shape[0], grad_output.shape[0]):
        raise ShapeError(
            f"convolution_weight_grad: batch sizes differ: {input.shape[0]} and {grad_output.shape[0]}"
        )
    return Spec((grad_output.shape[1], input.shape[1] // groups, *kernel_size), input.dtype)


def _weight_grad_eager(
    xp: Any, input: Any, grad_output: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    spatial = len(kernel_size)
    stride, padding, dilation = (v * spatial if len(v) == 1 else v for v in (stride, padding, dilation))
    kind = input.dtype
    input, grad_output = _wide(input), _wide(grad_output)
    out = native_conv.weight_grad(input, grad_output, kernel_size, stride, padding, dilation, groups)
    if out is None:
        out = kernels.conv_weight_grad(xp, input, grad_output, kernel_size, stride, padding, dilation, groups)
    return out if out.dtype == kind else out.astype(kind)


def _weight_grad_vjp(
    g: Any, _out: Any, input: Any, grad_output: Any, *, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
    groups: int,
) -> tuple[Any, Any]:  # fmt: skip
    """The operator is linear in both arguments, and `g` takes the place of the weight."""
    spatial = len(kernel_size)
    stride, padding, dilation = (v * spatial if len(v) == 1 else v for v in (stride, padding, dilation))
    common = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    extra = tuple(
        n - ((o - 1) * s - 2 * p + d * (k - 1) + 1)
        for n, o, k, s, p, d in zip(
            input.shape[2:], grad_output.shape[2:], kernel_size, stride, padding, dilation, strict=True
        )
    )
    grad_input = convolution(grad_output, g, None, **common, transposed=True, output_padding=extra)
    return grad_input, convolution(input, g, None, **common)


def _weight_grad_samples() -> Iterator[Sample]:
    yield Sample((floats(2, 3, 7), floats(2, 4, 5), (3,)))
    yield Sample((floats(2, 3, 6, 5), floats(2, 4, 3, 3), (2, 3)), {"stride": 2, "padding": (0, 1)})
    yield Sample((floats(2, 4, 4, 4), floats(2, 4, 4, 4), (3, 3)), {"padding": 1, "groups": 4})


convolution_weight_grad = operator(
    "convolution_weight_grad(Tensor input, Tensor grad_output, int[] kernel_size, int[] stride=[1], int[] padding=[0], "
    "int[] dilation=[1], int groups=1) -> Tensor",
    """Gradient of `convolution` to its weight: (O, C / groups, *kernel_size) from input (N, C, *S), grad_output (N, O,
    *P).

    out[o, c, k] = sum over n, p of input[n, c, p * stride + k * dilation - padding] * grad_output[n, o, p].
    """,
    shape=_weight_grad_shape,
    eager=_weight_grad_eager,
    complex="own",
    vjp=_weight_grad_vjp,
    samples=_weight_grad_samples,
)


# -- functions of a fixed number of dimensions --------------------------------------------------


def _tuple(value: Any, spatial: int) -> tuple[Any, ...]:
    items = tuple(value) if isinstance(value, (tuple, list)) else (value,)
    return items * spatial if len(items) == 1 else items


def _check_rank(name: str, input: Any, weight: Any, spatial: int) -> None:
    if weight.ndim != spatial + 2:
        raise ShapeError(
            f"{name}: weight must have {spatial + 2} dimensions, got weight of size {_sizes(weight.shape)}"
        )
    if input.ndim not in (spatial + 1, spatial + 2):
        raise ShapeError(
            f"{name}: Expected {spatial + 1}D (unbatched) or {spatial + 2}D (batched) input to {name}, but "
            "got input of "
            f"size: {_sizes(input.shape)}"
        )


def _conv(
    spatial: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int
) -> Any:
    name = f"conv{spatial}d"
    _check_rank(name, input, weight, spatial)
    batched = input.ndim == spatial + 2
    x = input if batched else input.unsqueeze(0)
    stride, dilation = _tuple(stride, spatial), _tuple(dilation, spatial)
    if isinstance(padding, str):
        if padding == "valid":
            padding = 0
        elif padding == "same":
            x, padding = _same_padding(name, x, weight, stride, dilation)
        else:
            raise ArgumentError(f"{name}: padding must be 'same', 'valid' or numbers, got {padding!r}")
    out = convolution(x, weight, bias, stride, _tuple(padding, spatial), dilation, groups)
    return out if batched else out.squeeze(0)


def _same_padding(name: str, x: Any, weight: Any, stride: Any, dilation: Any) -> tuple[Any, tuple[int, ...]]:
    """Split the padding that keeps the size in two; where it is odd, the far side gets one more, as in torch."""
    if any(s != 1 for s in stride):
        raise ArgumentError(f"{name}: padding='same' is not supported for strided convolutions, got stride {stride}")
    from . import constant_pad_nd

    total = [d * (k - 1) for k, d in zip(weight.shape[2:], dilation, strict=True)]
    if any(t % 2 for t in total):
        pads: list[int] = []
        for t in reversed(total):
            pads += [0, t % 2]
        x = constant_pad_nd(x, pads, 0)
    return x, tuple(t // 2 for t in total)


def _conv_transpose(
    spatial: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int,
    dilation: Any,
) -> Any:  # fmt: skip
    _check_rank(f"conv_transpose{spatial}d", input, weight, spatial)
    batched = input.ndim == spatial + 2
    x = input if batched else input.unsqueeze(0)
    out = convolution(
        x, weight, bias, _tuple(stride, spatial), _tuple(padding, spatial), _tuple(dilation, spatial), groups, True,
        _tuple(output_padding, spatial),
    )  # fmt: skip
    return out if batched else out.squeeze(0)


@function()
def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """1-D convolution of (N, C, L) or (C, L) with weight (O, C / groups, K); padding may be "same" or "valid".

    >>> import pappus as pp
    >>> pp.conv1d(pp.ones(1, 1, 4), pp.ones(1, 1, 3), padding="same").tolist()
    [[[2.0, 3.0, 3.0, 2.0]]]
    """
    return _conv(1, input, weight, bias, stride, padding, dilation, groups)


@function()
def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """2-D convolution of (N, C, H, W) or (C, H, W) with weight (O, C / groups, KH, KW); see `convolution`.

    >>> import pappus as pp
    >>> pp.conv2d(pp.ones(1, 3, 8, 8), pp.ones(4, 3, 3, 3), stride=2, padding=1).shape
    pappus.Size([1, 4, 4, 4])
    """
    return _conv(2, input, weight, bias, stride, padding, dilation, groups)


@function()
def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, dilation: Any = 1, groups: int = 1
) -> Any:
    """3-D convolution of (N, C, D, H, W) or (C, D, H, W) with weight (O, C / groups, KD, KH, KW); see `convolution`."""
    return _conv(3, input, weight, bias, stride, padding, dilation, groups)


@function()
def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """1-D transposed convolution of (N, C, L) with weight (C, O / groups, K): the adjoint of `conv1d`."""
    return _conv_transpose(1, input, weight, bias, stride, padding, output_padding, groups, dilation)


@function()
def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """2-D transposed convolution of (N, C, H, W) with weight (C, O / groups, KH, KW): the adjoint of `conv2d`.

    >>> import pappus as pp
    >>> pp.conv_transpose2d(pp.ones(1, 2, 4, 4), pp.ones(2, 3, 2, 2), stride=2).shape
    pappus.Size([1, 3, 8, 8])
    """
    return _conv_transpose(2, input, weight, bias, stride, padding, output_padding, groups, dilation)


@function()
def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0, output_padding: Any = 0,
    groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """3-D transposed convolution of (N, C, D, H, W) with weight (C, O / groups, KD, KH, KW): the adjoint of
    `conv3d`."""
    return _conv_transpose(3, input, weight, bias, stride, padding, output_padding, groups, dilation)
