"""Decorators for `autograd.Function` under autocast."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from pappus.frontend.amp.autocast import autocast, get_autocast_dtype, is_autocast_enabled
from pappus.frontend.dtypes import as_dtype, float64
from pappus.frontend.tensor import Tensor

__all__ = ["custom_bwd", "custom_fwd"]


def _cast(value: Any, dtype: Any) -> Any:
    if isinstance(value, Tensor):
        return value.to(dtype) if value.dtype.is_floating_point and value.dtype is not float64 else value
    if isinstance(value, dict):
        return {_cast(key, dtype): _cast(item, dtype) for key, item in value.items()}
    return type(value)(_cast(item, dtype) for item in value) if isinstance(value, (list, tuple)) else value


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str = "cpu", cast_inputs: Any = None
) -> Callable[..., Any]:
    """Decorate `forward` of an `autograd.Function` so that it knows autocast.

    With `cast_inputs` floating-point tensors are cast to that type under autocast, and forward runs without it; else
    forward runs in the state it is called in. `custom_bwd` runs backward in the same state.
    """
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def forward(ctx: Any, *args: Any, **kwargs: Any) -> Any:
        ctx._dtype = get_autocast_dtype(device_type)
        enabled = is_autocast_enabled(device_type)
        ctx._fwd_used_autocast = enabled and cast_inputs is None
        if cast_inputs is None or not enabled:
            return fwd(ctx, *args, **kwargs)
        with autocast(device_type, enabled=False):
            dtype = as_dtype(cast_inputs)
            return fwd(ctx, *_cast(args, dtype), **_cast(kwargs, dtype))

    return forward


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str = "cpu") -> Callable[..., Any]:
    """Decorate `backward` of an `autograd.Function` whose forward has `custom_fwd`: it runs in the same state."""
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def backward(ctx: Any, *args: Any) -> Any:
        with autocast(device_type, dtype=ctx._dtype, enabled=ctx._fwd_used_autocast):
            return bwd(ctx, *args)

    return backward
