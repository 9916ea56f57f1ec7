"""Convolution layers over 1 to 3 spatial dimensions, plain and transposed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import new_parameter
from pappus.frontend.tensor import Tensor

_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def _each(value: Any, spatial: int, what: str) -> tuple[int, ...]:
    """One number for every spatial dimension."""
    if not isinstance(value, (tuple, list)):
        return (value,) * spatial
    if len(value) != spatial:
        raise ValueError(f"{what} must be one number or {spatial}, got {tuple(value)}")
    return tuple(value)


class _ConvNd(Module):
    """What all convolutions share: the options, the parameters and their first values."""

    spatial: int
    transposed = False

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: Any, stride: Any, padding: Any, dilation: Any,
        output_padding: Any, groups: int, bias: bool, padding_mode: str, device: Any, dtype: Any,
    ) -> None:  # fmt: skip
        super().__init__()
        spatial = self.spatial
        if groups <= 0:
            raise ValueError("groups must be a positive integer")
        if in_channels % groups:
            raise ValueError(f"in_channels must be divisible by groups, got {in_channels} and {groups}")
        if out_channels % groups:
            raise ValueError(f"out_channels must be divisible by groups, got {out_channels} and {groups}")
        if padding_mode not in _PADDING_MODES:
            raise ValueError(f"padding_mode must be one of {', '.join(_PADDING_MODES)}, but got {padding_mode!r}")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _each(kernel_size, spatial, "kernel_size")
        self.stride = _each(stride, spatial, "stride")
        self.padding: Any = padding if isinstance(padding, str) else _each(padding, spatial, "padding")
        self.dilation = _each(dilation, spatial, "dilation")
        self.output_padding = _each(output_padding, spatial, "output_padding")
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            if padding not in ("same", "valid"):
                raise ValueError(f"Invalid padding string {padding!r}, should be one of 'same', 'valid'")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        first, second = (in_channels, out_channels) if self.transposed else (out_channels, in_channels)
        self.weight = new_parameter((first, second // groups, *self.kernel_size), device, dtype)
        if bias:
            self.bias = new_parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draw the initial weights again: uniform in +- 1 / sqrt(fan_in)."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def _border(self) -> tuple[int, ...]:
        """The padding in the form `F.pad` takes: (left, right) of the last dimension first."""
        if self.padding == "valid":
            pairs = [(0, 0)] * self.spatial
        elif self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=True)]
            pairs = [(t // 2, t - t // 2) for t in totals]
        else:
            pairs = [(p, p) for p in self.padding]
        return tuple(n for pair in reversed(pairs) for n in pair)

    def extra_repr(self) -> str:
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        if self.padding != (0,) * self.spatial:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.spatial:
            text += f", dilation={self.dilation}"
        if self.output_padding != (0,) * self.spatial:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: str | int | Sequence[int] = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias, padding_mode, device,
            dtype,
        )  # fmt: skip

    def forward(self, input: Tensor) -> Tensor:
        padding = self.padding
        if self.padding_mode != "zeros":
            input, padding = F.pad(input, self._border(), self.padding_mode), 0
        run = (F.conv1d, F.conv2d, F.conv3d)[self.spatial - 1]
        out: Tensor = run(input, self.weight, self.bias, self.stride, padding, self.dilation, self.groups)
        return out


class Conv1d(_Conv):
    """Convolution of (N, C, L) or (C, L) with `out_channels` kernels; `weight` is (O, C / groups, K).

    `padding` is a number, "same" or "valid"; `padding_mode` says what the border holds: zeros, reflect, replicate or
    circular. Parameters start uniform in +- 1 / sqrt(C / groups * K).

    >>> import pappus as pp
    >>> Conv1d(3, 4, 3, padding="same")(pp.zeros(2, 3, 10)).shape
    pappus.Size([2, 4, 10])
    """

    spatial = 1


class Conv2d(_Conv):
    """Convolution of (N, C, H, W) or (C, H, W) with `out_channels` kernels; `weight` is (O, C / groups, KH, KW).

    Options as for `Conv1d`, each one number or one for each dimension.

    >>> import pappus as pp
    >>> Conv2d(3, 4, 3, stride=2, padding=1)(pp.zeros(2, 3, 8, 8)).shape
    pappus.Size([2, 4, 4, 4])
    """

    spatial = 2


class Conv3d(_Conv):
    """Convolution of (N, C, D, H, W) or (C, D, H, W); `weight` is (O, C / groups, KD, KH, KW). See `Conv2d`."""

    spatial = 3


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] = 0,
        output_padding: int | Sequence[int] = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: int | Sequence[int] = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(f'Only "zeros" padding mode is supported for {type(self).__name__}')
        if isinstance(padding, str):
            raise TypeError(f"{type(self).__name__}: padding must be numbers, got {padding!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Apply the layer; `output_size` chooses among the sizes that a stride leaves open (for output_padding)."""
        extra = self.output_padding if output_size is None else self._extra(input, output_size)
        run = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[self.spatial - 1]
        out: Tensor = run(
            input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation
        )
        return out

    def _extra(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        wanted = tuple(output_size)[-self.spatial :]
        if len(output_size) not in (self.spatial, input.ndim):
            raise ValueError(
                f"{type(self).__name__}: output_size must have {self.spatial} or {input.ndim} numbers, "
                f"got {list(output_size)}"
            )
        extra = []
        sizes = input.shape[-self.spatial :]
        for n, want, k, s, p, d in zip(
            sizes, wanted, self.kernel_size, self.stride, self.padding, self.dilation, strict=True
        ):
            least = (n - 1) * s - 2 * p + d * (k - 1) + 1
            if want < least or want >= least + s:
                raise ValueError(
                    f"requested an output size of {list(wanted)}, but valid sizes of a dimension of {n} range from "
                    f"{least} to {least + s - 1}"
                )
            extra.append(want - least)
        return tuple(extra)


class ConvTranspose1d(_ConvTranspose):
    """Transposed convolution of (N, C, L) or (C, L): the adjoint of `Conv1d`; `weight` is (C, O / groups, K)."""

    spatial = 1


class ConvTranspose2d(_ConvTranspose):
    """Transposed convolution of (N, C, H, W) or (C, H, W), `Conv2d`'s adjoint; `weight` is (C, O / groups, KH, KW).

    >>> import pappus as pp
    >>> ConvTranspose2d(3, 4, 2, stride=2)(pp.zeros(1, 3, 5, 5)).shape
    pappus.Size([1, 4, 10, 10])
    """

    spatial = 2


class ConvTranspose3d(_ConvTranspose):
    """Transposed convolution of (N, C, D, H, W): the adjoint of `Conv3d`; `weight` is (C, O / groups, KD, KH, KW)."""

    spatial = 3
