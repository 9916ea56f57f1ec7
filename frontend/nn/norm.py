"""Normalization layers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pappus.frontend import ops
from pappus.frontend.autograd import no_grad
from pappus.frontend.dtypes import int64
from pappus.frontend.errors import ShapeError
from pappus.frontend.inplace import assign
from pappus.frontend.nn import functional as F
from pappus.frontend.nn import init
from pappus.frontend.nn.functional import across_channels
from pappus.frontend.nn.module import Module
from pappus.frontend.nn.parameter import new_parameter
from pappus.frontend.tensor import Tensor


class _Norm(Module):
    """Parameters `weight` and `bias`, of 1 and 0 at first, each of which a norm may be without."""

    def _make(self, shape: tuple[int, ...], device: Any, dtype: Any, **wanted: bool) -> None:
        """Register the parameters in the order given; those not wanted are None."""
        for name, made in wanted.items():
            self.register_parameter(name, new_parameter(shape, device, dtype) if made else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0."""
        for name, start in (("weight", init.ones_), ("bias", init.zeros_)):
            parameter = self._parameters.get(name)
            if parameter is not None:
                start(parameter)


class _Stats(_Norm):
    """Channel norms that may keep running statistics: parameters `weight` and `bias`, buffers of the statistics."""

    ranks: tuple[int, ...] = ()

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        if track_running_stats:
            self.register_buffer("running_mean", ops.zeros(num_features, dtype=dtype, device=device))
            self.register_buffer("running_var", ops.ones(num_features, dtype=dtype, device=device))
            self.register_buffer("num_batches_tracked", ops.zeros((), dtype=int64, device=device))
        else:
            for name in ("running_mean", "running_var", "num_batches_tracked"):
                self.register_buffer(name, None)
        self._make((num_features,), device, dtype, weight=affine, bias=affine and bias)

    def reset_running_stats(self) -> None:
        """Forget the running statistics: mean 0, variance 1, no batches."""
        if self.track_running_stats:
            self.running_mean.zero_()
            self.running_var.fill_(1)
            self.num_batches_tracked.zero_()

    def reset_parameters(self) -> None:
        """Weight 1, bias 0, no running statistics."""
        self.reset_running_stats()
        super().reset_parameters()

    def _check(self, input: Tensor) -> None:
        if input.ndim not in self.ranks:
            expected = " or ".join(f"{n}D" for n in self.ranks)
            raise ShapeError(f"{type(self).__name__}: expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )


class _BatchNorm(_Stats):
    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        if not self.training:
            # Without stored statistics the batch's own are used, in evaluation too.
            by_batch = self.running_mean is None and self.running_var is None
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, by_batch, 0.0, self.eps
            )
        if not self.track_running_stats or self.running_mean is None:
            return F.batch_norm(input, None, None, self.weight, self.bias, True, 0.0, self.eps)
        with no_grad():
            if self.num_batches_tracked is not None:
                assign(self.num_batches_tracked, self.num_batches_tracked + 1)
            # momentum=None: the mean over all batches so far.
            momentum = self.momentum if self.momentum is not None else 1.0 / self.num_batches_tracked.to(input.dtype)
        return F.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, True, momentum, self.eps
        )


class BatchNorm1d(_BatchNorm):
    """Normalize each channel of (N, C) or (N, C, L) over batch and length.

    In training by the batch's mean and variance, which also move the running ones
    (running = (1 - momentum) * running + momentum * batch; momentum=None averages all batches); in evaluation by the
    running ones. Raises ShapeError in training where a channel has one value only.

    >>> import pappus as pp
    >>> norm = BatchNorm1d(1, affine=False)
    >>> norm(pp.tensor([[1.0], [3.0]])).round().tolist(), norm.running_mean.tolist()
    ([[-1.0], [1.0]], [0.20000000298023224])
    """

    ranks = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Normalize each channel of (N, C, H, W) over batch, height and width; see `BatchNorm1d`."""

    ranks = (4,)


class BatchNorm3d(_BatchNorm):
    """Normalize each channel of (N, C, D, H, W) over all other dimensions; see `BatchNorm1d`."""

    ranks = (5,)


class SyncBatchNorm(_BatchNorm):
    """`BatchNorm1d` of (N, C, *) of any rank; with one process there is nothing to synchronize."""

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        process_group: Any = None,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)
        self.process_group = process_group

    def _check(self, input: Tensor) -> None:
        if input.ndim < 2:
            raise ShapeError(f"SyncBatchNorm: expected at least 2D input (got {input.ndim}D input)")

    @classmethod
    def convert_sync_batchnorm(cls, module: Module, process_group: Any = None) -> Module:
        """The module with its batch norms in place of their synchronized forms: with one process they do the same."""
        return module


class _InstanceNorm(_Stats):
    def __init__(
        self, num_features: int, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = False,
        track_running_stats: bool = False, device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Tensor:
        self._check(input)
        single = input.ndim == self.ranks[0]
        by_input = self.training or not self.track_running_stats
        out = F.instance_norm(
            input.unsqueeze(0) if single else input, self.running_mean, self.running_var, self.weight, self.bias,
            by_input, 0.0 if self.momentum is None else self.momentum, self.eps,
        )  # fmt: skip
        return out.squeeze(0) if single else out


class InstanceNorm1d(_InstanceNorm):
    """Normalize each channel of each sample of (N, C, L) or (C, L) over its length.

    Without parameters and running statistics unless `affine` and `track_running_stats` ask for them.
    """

    ranks = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Normalize each channel of each sample of (N, C, H, W) or (C, H, W) over its image; see `InstanceNorm1d`."""

    ranks = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Normalize each channel of each sample of (N, C, D, H, W) or (C, D, H, W); see `InstanceNorm1d`."""

    ranks = (4, 5)


class LayerNorm(_Norm):
    """Normalize over the last dimensions, of sizes `normalized_shape`: (x - mean) / sqrt(var + eps) * weight + bias.

    >>> import pappus as pp
    >>> LayerNorm(2)(pp.tensor([[1.0, 3.0]])).round().tolist()
    [[-1.0, 1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, device, dtype, weight=elementwise_affine, bias=elementwise_affine and bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Norm):
    """Divide by the root mean square over the last dimensions: x / sqrt(mean(x^2) + eps) * weight.

    `eps=None` takes the machine epsilon of the input's type.

    >>> import pappus as pp
    >>> RMSNorm(2)(pp.tensor([[3.0, -3.0]])).round().tolist()
    [[1.0, -1.0]]
    """

    def __init__(
        self,
        normalized_shape: int | Sequence[int],
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = (normalized_shape,) if isinstance(normalized_shape, int) else tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make(self.normalized_shape, device, dtype, weight=elementwise_affine)

    def forward(self, input: Tensor) -> Tensor:
        return F.rms_norm(input, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        return f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"


class GroupNorm(_Norm):
    """Normalize groups of num_channels / num_groups channels of each sample of (N, C, *).

    >>> import pappus as pp
    >>> GroupNorm(2, 4)(pp.ones(1, 4, 3)).shape
    pappus.Size([1, 4, 3])
    """

    def __init__(
        self, num_groups: int, num_channels: int, eps: float = 1e-5, affine: bool = True, device: Any = None,
        dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        if num_channels % num_groups:
            raise ValueError(f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})")
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make((num_channels,), device, dtype, weight=affine, bias=affine and bias)

    def forward(self, input: Tensor) -> Tensor:
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class LocalResponseNorm(Module):
    """x / (k + alpha * mean of the squares of `size` neighbouring channels)^beta, for (N, C, *).

    >>> import pappus as pp
    >>> LocalResponseNorm(2)(pp.zeros(1, 4, 3)).shape
    pappus.Size([1, 4, 3])
    """

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1.0) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Tensor) -> Tensor:
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """`LocalResponseNorm` of images (N, C, H, W) over the (size - 1) // 2 channels on either side."""

    def __init__(self, size: int, alpha: float = 0.0001, beta: float = 0.75, k: float = 1) -> None:
        super().__init__(size, alpha, beta, k)

    def forward(self, input: Tensor) -> Tensor:
        if input.ndim != 4:
            raise ShapeError(f"CrossMapLRN2d: Expected input to be 4D, got {input.ndim}D instead.")
        side = (self.size - 1) // 2
        return input / across_channels(input, side, side, self.size, self.alpha, self.beta, self.k)
