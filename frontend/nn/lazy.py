"""Lazy layers: their input size is taken from the first input, and they then become the plain layer."""

from __future__ import annotations

from typing import Any

from pappus.frontend import ops
from pappus.frontend.errors import ShapeError
from pappus.frontend.nn.conv import Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d
from pappus.frontend.nn.linear import Linear
from pappus.frontend.nn.norm import (
    BatchNorm1d,
    BatchNorm2d,
    BatchNorm3d,
    InstanceNorm1d,
    InstanceNorm2d,
    InstanceNorm3d,
)
from pappus.frontend.nn.parameter import UninitializedBuffer, UninitializedParameter, no_device
from pappus.frontend.tensor import Tensor


class LazyModuleMixin:
    """For layers some of whose parameters get their shape from the first input.

    A subclass defines `initialize_parameters(input)` and `cls_to_become`, the class that it turns into after that.
    """

    cls_to_become: type[Any] | None = None
    _lazy_hook: Any

    def _become_lazy(self) -> None:
        """Have the first call set everything up; the last thing that `__init__` does."""
        self._lazy_hook = self.register_forward_pre_hook(_set_up, with_kwargs=True)  # type: ignore[attr-defined]

    def has_uninitialized_params(self) -> bool:
        """Whether a parameter or buffer has no shape yet."""
        module: Any = self
        tensors = [*module._parameters.values(), *module._buffers.values()]
        return any(isinstance(t, (UninitializedParameter, UninitializedBuffer)) for t in tensors)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Give the parameters their shapes, from the arguments of the first call."""
        raise NotImplementedError(f"initialize_parameters is not implemented for {type(self).__name__}")


def _set_up(module: Any, args: Any, kwargs: Any) -> None:
    if module.has_uninitialized_params():
        module.initialize_parameters(*args, **kwargs)
    module._lazy_hook.remove()
    del module._lazy_hook
    if module.cls_to_become is not None:
        module.__class__ = module.cls_to_become


class _Lazy(LazyModuleMixin):
    """What the lazy layers of this file share: `size` is the attribute that is 0 until the first input."""

    size: str

    def reset_parameters(self) -> None:
        """Set the parameters as they are at first, once there are any."""
        if not self.has_uninitialized_params() and getattr(self, self.size):
            super().reset_parameters()  # type: ignore[misc]


class LazyLinear(_Lazy, Linear):
    """A `Linear` whose in_features is that of its first input.

    >>> import pappus as pp
    >>> layer = LazyLinear(2)
    >>> layer(pp.zeros(4, 3)).shape, layer
    (pappus.Size([4, 2]), Linear(in_features=3, out_features=2, bias=True))
    """

    cls_to_become = Linear
    size = "in_features"

    def __init__(self, out_features: int, bias: bool = True, device: Any = None, dtype: Any = None) -> None:
        super().__init__(0, 0, False, device, dtype)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_features = out_features
        self._wants_bias = bias
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)
        self._become_lazy()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take in_features from the input."""
        self.in_features = int(input.shape[-1])
        _materialize(self.weight, (self.out_features, self.in_features))
        _materialize(self.bias, (self.out_features,))
        Linear.reset_parameters(self)


def _materialize(tensor: Any, shape: tuple[int, ...]) -> None:
    if isinstance(tensor, (UninitializedParameter, UninitializedBuffer)):
        tensor.materialize(shape)


class _LazyConv(_Lazy):
    """What lazy convolutions share."""

    size = "in_channels"
    spatial: int

    def _lazy(self, out_channels: int, groups: int, bias: bool, device: Any, dtype: Any) -> None:
        module: Any = self
        module.groups = groups
        module.out_channels = out_channels
        module.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            module.bias = UninitializedParameter(device=device, dtype=dtype)
        self._become_lazy()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take in_channels from the input."""
        module: Any = self
        name = type(self).__name__
        if input.ndim not in (self.spatial + 1, self.spatial + 2):
            raise ShapeError(
                f"{name}: expected {self.spatial + 1}D or {self.spatial + 2}D input, got {list(input.shape)}"
            )
        module.in_channels = int(input.shape[-self.spatial - 1])
        for what, count in (("in_channels", module.in_channels), ("out_channels", module.out_channels)):
            if count % module.groups:
                raise ValueError(f"{name}: {what} must be divisible by groups, got {count} and {module.groups}")
        pair = (module.out_channels, module.in_channels)
        first, second = reversed(pair) if module.transposed else pair
        _materialize(module.weight, (first, second // module.groups, *module.kernel_size))
        _materialize(module.bias, (module.out_channels,))
        super().reset_parameters()


class _LazyPlain(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, 1, False, padding_mode, device, dtype)  # type: ignore[call-arg]
        self._lazy(out_channels, groups, bias, device, dtype)


class _LazyTransposed(_LazyConv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(  # type: ignore[call-arg]
            0, 0, kernel_size, stride, padding, output_padding, 1, False, dilation, padding_mode, device, dtype
        )
        self._lazy(out_channels, groups, bias, device, dtype)


class LazyConv1d(_LazyPlain, Conv1d):
    """A `Conv1d` whose in_channels is that of its first input."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyPlain, Conv2d):
    """A `Conv2d` whose in_channels is that of its first input.

    >>> import pappus as pp
    >>> LazyConv2d(4, 3)(pp.zeros(1, 2, 5, 5)).shape
    pappus.Size([1, 4, 3, 3])
    """

    cls_to_become = Conv2d


class LazyConv3d(_LazyPlain, Conv3d):
    """A `Conv3d` whose in_channels is that of its first input."""

    cls_to_become = Conv3d


class LazyConvTranspose1d(_LazyTransposed, ConvTranspose1d):
    """A `ConvTranspose1d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyTransposed, ConvTranspose2d):
    """A `ConvTranspose2d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose2d


class LazyConvTranspose3d(_LazyTransposed, ConvTranspose3d):
    """A `ConvTranspose3d` whose in_channels is that of its first input."""

    cls_to_become = ConvTranspose3d


class _LazyNorm(_Lazy):
    """What lazy norms share."""

    size = "num_features"

    def __init__(
        self, eps: float = 1e-5, momentum: float | None = 0.1, affine: bool = True, track_running_stats: bool = True,
        device: Any = None, dtype: Any = None, *, bias: bool = True,
    ) -> None:  # fmt: skip
        no_device(device)
        super().__init__(0, eps, momentum, False, False, device, dtype)  # type: ignore[call-arg]
        module: Any = self
        module.affine = affine
        module.track_running_stats = track_running_stats
        made = {"device": device, "dtype": dtype}
        if affine:
            module.weight = UninitializedParameter(**made)
            if bias:
                module.bias = UninitializedParameter(**made)
        if track_running_stats:
            module.running_mean = UninitializedBuffer(**made)
            module.running_var = UninitializedBuffer(**made)
            module.num_batches_tracked = ops.zeros((), dtype="int64")
        self._become_lazy()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take num_features from the input."""
        module: Any = self
        module._check(input)
        single = not isinstance(module, (BatchNorm1d, BatchNorm2d, BatchNorm3d)) and input.ndim == module.ranks[0]
        module.num_features = int(input.shape[0 if single else 1])
        for tensor in (module.weight, module.bias, module.running_mean, module.running_var):
            _materialize(tensor, (module.num_features,))
        super().reset_parameters()


class LazyBatchNorm1d(_LazyNorm, BatchNorm1d):
    """A `BatchNorm1d` whose num_features is that of its first input."""

    cls_to_become = BatchNorm1d


class LazyBatchNorm2d(_LazyNorm, BatchNorm2d):
    """A `BatchNorm2d` whose num_features is that of its first input.

    >>> import pappus as pp
    >>> norm = LazyBatchNorm2d()
    >>> norm(pp.zeros(2, 3, 4, 4)).shape, norm.num_features
    (pappus.Size([2, 3, 4, 4]), 3)
    """

    cls_to_become = BatchNorm2d


class LazyBatchNorm3d(_LazyNorm, BatchNorm3d):
    """A `BatchNorm3d` whose num_features is that of its first input."""

    cls_to_become = BatchNorm3d


class LazyInstanceNorm1d(_LazyNorm, InstanceNorm1d):
    """An `InstanceNorm1d` whose num_features is that of its first input."""

    cls_to_become = InstanceNorm1d


class LazyInstanceNorm2d(_LazyNorm, InstanceNorm2d):
    """An `InstanceNorm2d` whose num_features is that of its first input."""

    cls_to_become = InstanceNorm2d


class LazyInstanceNorm3d(_LazyNorm, InstanceNorm3d):
    """An `InstanceNorm3d` whose num_features is that of its first input."""

    cls_to_become = InstanceNorm3d
