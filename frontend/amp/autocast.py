"""Autocast: a mode on the one door that casts the operands of the operators in `lists`."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable
from typing import Any, TypeVar

from pappus.frontend import dtypes
from pappus.frontend.amp.lists import FLOAT32, LOWER, PROMOTE
from pappus.frontend.dispatch import Mode, call
from pappus.frontend.dtypes import DType
from pappus.frontend.errors import ArgumentError
from pappus.frontend.opdef import OPS, OpDef
from pappus.frontend.tensor import Tensor

__all__ = [
    "autocast", "clear_autocast_cache", "get_autocast_dtype", "is_autocast_available", "is_autocast_cache_enabled",
    "is_autocast_enabled", "set_autocast_cache_enabled", "set_autocast_dtype", "set_autocast_enabled",
]  # fmt: skip

F = TypeVar("F", bound=Callable[..., Any])
DEVICES = ("cpu", "cuda")
LOW_TYPES = (dtypes.bfloat16, dtypes.float16)


class _Settings(threading.local):
    """Per thread: the autocasts entered, innermost last, and what holds where none is."""

    def __init__(self) -> None:
        self.entered: list[autocast] = []
        self.enabled = dict.fromkeys(DEVICES, False)
        self.dtype = {"cpu": dtypes.bfloat16, "cuda": dtypes.float16}
        self.cache_enabled = True
        # id of a leaf -> (the leaf, its version, the type) and its cast, until the outermost autocast ends
        self.cache: dict[tuple[int, DType], tuple[Tensor, int, Tensor]] = {}


_settings = _Settings()


class autocast(Mode):
    """Inside the `with` block matrix products and convolutions compute in `dtype` (bfloat16), losses and others that
    lose too much in 16 bits in float32, and the rest in the types its operands have (the lists: `amp.lists`).

    Casts are recorded, so gradients of float32 weights are float32. A weight is cast once (`cache_enabled`) and the
    cast kept until the outermost block ends. `enabled=False` switches an outer block off. Also a decorator. float64
    operands are left as they are. On the CPU `dtype` may be bfloat16 or float16; "cuda" without a GPU warns and does
    nothing, as in PyTorch.

    >>> import pappus as pp
    >>> layer, x = pp.nn.Linear(4, 2), pp.ones(3, 4)
    >>> with pp.autocast("cpu"):
    ...     y = layer(x)
    ...     loss = pp.nn.functional.mse_loss(y, pp.zeros(3, 2))
    >>> y.dtype, loss.dtype
    (pappus.bfloat16, pappus.float32)
    """

    sees_inline = True  # addmm is on a list, what it is made of need not be

    def __init__(
        self, device_type: str, dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.device = device_type.split(":")[0]
        if self.device not in DEVICES:
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'; known are 'cpu' and 'cuda'"
            )
        self.fast_dtype = _settings.dtype[self.device] if dtype is None else dtypes.as_dtype(dtype)
        self.cache = _settings.cache_enabled if cache_enabled is None else cache_enabled
        self.enabled = enabled and is_autocast_available(self.device)
        if enabled and not self.enabled:
            warnings.warn(
                f"User provided device_type of '{self.device}', but CUDA is not available. Disabling", stacklevel=2
            )
        elif self.enabled and self.fast_dtype not in LOW_TYPES:
            warnings.warn(
                f"In {self.device.upper()} autocast, but the target dtype {self.fast_dtype} is not supported; it is "
                "disabled. Supported are bfloat16 and float16",
                stacklevel=2,
            )
            self.enabled = False

    def __enter__(self) -> autocast:
        _settings.entered.append(self)
        super().__enter__()
        return self

    def __exit__(self, *exc: Any) -> None:
        super().__exit__(*exc)
        _settings.entered.pop()
        if not _settings.entered:
            clear_autocast_cache()

    def __call__(self, function: F) -> F:
        """`function`, run inside such a block."""

        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            with self:
                return function(*args, **kwargs)

        return run  # type: ignore[return-value]

    def call(self, op: OpDef, args: tuple[Any, ...], attrs: dict[str, Any]) -> Any:
        """Cast the operands by the lists and pass the call on."""
        # An inner block decides alone: this one is asked again on the way down.
        if self.enabled and _settings.entered[-1] is self:
            name = op.name
            if name in LOWER:
                args = self._cast(args, self.fast_dtype)
            elif name in FLOAT32:
                args = self._cast(args, dtypes.float32)
            elif name in PROMOTE:
                args = self._cast(args, _widest(args))
        return call(op, args, attrs)

    def _cast(self, args: Any, dtype: DType) -> Any:
        return type(args)(
            [self._cast(a, dtype) if isinstance(a, list) else a if a is None else self.cast(a, dtype) for a in args]
        )

    def cast(self, tensor: Tensor, dtype: DType) -> Tensor:
        """`tensor` in the given type if it is floating point and not float64; weights from the cache."""
        own = tensor.dtype
        if own is dtype or own not in (dtypes.float32, *LOW_TYPES):
            return tensor
        wants_cache = self.cache and dtype is not dtypes.float32 and tensor._requires_grad and tensor._node is None
        if not wants_cache or tensor.is_symbolic:
            return _to(tensor, dtype)
        key = (id(tensor), dtype)
        known = _settings.cache.get(key)
        if known is not None and known[1] == tensor._version and known[0]._data is tensor._data:
            node = known[2]._node
            if known[2]._requires_grad and node is not None and not node.freed:
                return known[2]
        made = _to(tensor, dtype)
        if made._requires_grad:  # not under no_grad: a cast without history is of no use outside
            _settings.cache[key] = (tensor, tensor._version, made)
        return made


def _to(tensor: Tensor, dtype: DType) -> Tensor:
    found: Tensor = call(OPS["to_dtype"], (tensor,), {"dtype": dtype})
    return found


def _widest(args: Any) -> DType:
    flat = [t for a in args if a is not None for t in (a if isinstance(a, list) else [a])]
    if any(t.dtype is dtypes.float32 for t in flat):
        return dtypes.float32
    found = {t.dtype for t in flat if t.dtype in LOW_TYPES}
    return found.pop() if len(found) == 1 else dtypes.float32


def listed(function: F) -> F:
    """Make a function over operators one entry of the lists, by its name: under autocast the tensors among its
    arguments are cast, and its operators run in the types that they then have."""
    name = function.__name__
    assert name in FLOAT32 or name in PROMOTE, name

    @functools.wraps(function)
    def run(*args: Any, **kwargs: Any) -> Any:
        inner = _settings.entered[-1] if _settings.entered else None
        if inner is None or not inner.enabled:
            return function(*args, **kwargs)
        tensors = [value for value in (*args, *kwargs.values()) if isinstance(value, Tensor)]
        dtype = dtypes.float32 if name in FLOAT32 else _widest(tensors)
        with autocast(inner.device, enabled=False):

            def cast(value: Any) -> Any:
                return inner.cast(value, dtype) if isinstance(value, Tensor) else value

            return function(*map(cast, args), **{key: cast(value) for key, value in kwargs.items()})

    return run  # type: ignore[return-value]


# -- questions and defaults -----------------------------------------------------------------------


def _device(device_type: str) -> str:
    if device_type not in DEVICES:
        raise ArgumentError(f"autocast: unknown device type {device_type!r}; known are {', '.join(DEVICES)}")
    return device_type


def is_autocast_available(device_type: str) -> bool:
    """Whether autocast does something for this kind of device: "cpu" always, "cuda" where there is a GPU."""
    if device_type == "cuda":
        from pappus.frontend.device import cuda_is_available

        return cuda_is_available()
    return device_type == "cpu"


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operators on this kind of device are being cast now."""
    if not _settings.entered:
        return False
    inner = _settings.entered[-1]
    return inner.enabled and inner.device == _device(device_type)


def get_autocast_dtype(device_type: str) -> DType:
    """The lower type of the innermost autocast of this device, or what the next one takes."""
    for inner in reversed(_settings.entered):
        if inner.device == _device(device_type):
            return inner.fast_dtype
    return _settings.dtype[_device(device_type)]


def set_autocast_dtype(device_type: str, dtype: Any) -> None:
    """Set the type that `autocast(device_type)` without one takes."""
    _settings.dtype[_device(device_type)] = dtypes.as_dtype(dtype)


def set_autocast_enabled(device_type: str, enabled: bool) -> None:
    """Switch the innermost autocast on or off; raises RuntimeError outside one."""
    if not _settings.entered:
        raise RuntimeError("set_autocast_enabled: not inside an autocast block; use `with autocast(...)`")
    _settings.entered[-1].enabled = enabled


def is_autocast_cache_enabled() -> bool:
    """Whether casts of weights are kept for the rest of the outermost block."""
    return _settings.entered[-1].cache if _settings.entered else _settings.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Set whether casts of weights are kept."""
    _settings.cache_enabled = enabled


def clear_autocast_cache() -> None:
    """Forget the casts of weights."""
    _settings.cache.clear()
