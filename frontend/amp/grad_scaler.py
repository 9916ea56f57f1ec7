"""Loss scaling, so that small gradients do not vanish in float16."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from pappus.frontend.amp.autocast import is_autocast_available
from pappus.frontend.autograd import no_grad
from pappus.frontend.inplace import assign
from pappus.frontend.tensor import Tensor

__all__ = ["GradScaler"]

READY, UNSCALED, STEPPED = range(3)


class GradScaler:
    """Multiplies losses by a scale and divides gradients by it before the optimizer's step.

    A step whose gradients have an inf or nan is skipped and the scale multiplied by `backoff_factor`; after
    `growth_interval` good steps in a row it is multiplied by `growth_factor`. With "cuda" and no GPU it warns and
    leaves everything as it is, as in PyTorch; for the CPU say `GradScaler("cpu")`.

    >>> import pappus as pp
    >>> w = pp.tensor([1.0], requires_grad=True)
    >>> opt, scaler = pp.optim.SGD([w], lr=0.5), GradScaler("cpu", init_scale=4.0)
    >>> scaler.scale((w * w).sum()).backward()
    >>> w.grad.item()
    8.0
    >>> scaler.step(opt); scaler.update(); w.item()
    0.0
    """

    def __init__(
        self,
        device: str = "cuda",
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        self._device = device
        self._enabled = enabled and is_autocast_available(device.split(":")[0])
        if enabled and not self._enabled:
            warnings.warn(
                f"GradScaler is enabled for {device!r}, but there is no such device. Disabling; for the CPU give 'cpu'",
                stacklevel=2,
            )
        if self._enabled:
            if growth_factor <= 1.0:
                raise ValueError(f"The growth factor must be > 1.0, got {growth_factor}")
            if backoff_factor >= 1.0:
                raise ValueError(f"The backoff factor must be < 1.0, got {backoff_factor}")
        self._scale = float(init_scale)
        self._growth_factor, self._backoff_factor = growth_factor, backoff_factor
        self._growth_interval = growth_interval
        self._growth_tracker = 0
        # id of an optimizer -> (stage, whether an inf or nan was found)
        self._stages: dict[int, tuple[int, bool]] = {}

    def scale(self, outputs: Any) -> Any:
        """A tensor, or nest of tuples and lists of them, times the scale."""
        if not self._enabled:
            return outputs
        if isinstance(outputs, Tensor):
            return outputs * self._scale
        if isinstance(outputs, (list, tuple)):
            return type(outputs)(map(self.scale, outputs))
        if isinstance(outputs, Iterable):
            return map(self.scale, outputs)
        raise ValueError(f"outputs must be a Tensor or an iterable of Tensors, got {type(outputs).__name__}")

    def unscale_(self, optimizer: Any) -> None:
        """Divide the optimizer's gradients by the scale, for clipping before `step`; once between updates.

        Raises RuntimeError on a second call, and ValueError for float16 gradients: keep weights in float32.
        """
        if not self._enabled:
            return
        stage, _ = self._stages.get(id(optimizer), (READY, False))
        if stage == UNSCALED:
            raise RuntimeError("unscale_() has already been called on this optimizer since the last update().")
        if stage == STEPPED:
            raise RuntimeError("unscale_() is being called after step().")
        self._stages[id(optimizer)] = (UNSCALED, self._unscale(optimizer))

    def _unscale(self, optimizer: Any) -> bool:
        found = False
        with no_grad():
            for group in optimizer.param_groups:
                for param in group["params"]:
                    grad = param.grad
                    if grad is None:
                        continue
                    if grad.dtype.name == "float16":
                        raise ValueError(
                            "Attempting to unscale FP16 gradients: keep the weights in float32 and let autocast "
                            "compute in float16"
                        )
                    assign(grad, grad * (1.0 / self._scale))
                    found = found or not bool(np.isfinite(grad.numpy()).all())
        return found

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """Unscale the gradients unless that is done, and call `optimizer.step` unless an inf or nan is among them."""
        if not self._enabled:
            return optimizer.step(*args, **kwargs)
        if "closure" in kwargs:
            raise RuntimeError("Closure use is not currently supported if GradScaler is enabled.")
        if self._stages.get(id(optimizer), (READY, False))[0] == STEPPED:
            raise RuntimeError("step() has already been called since the last update().")
        if id(optimizer) not in self._stages:
            self.unscale_(optimizer)
        found = self._stages[id(optimizer)][1]
        if not any(p.grad is not None for g in optimizer.param_groups for p in g["params"]):
            raise AssertionError(
                "No inf checks were recorded for this optimizer: none of its parameters has a gradient."
            )
        result = None if found else optimizer.step(*args, **kwargs)
        self._stages[id(optimizer)] = (STEPPED, found)
        return result

    def update(self, new_scale: Any = None) -> None:
        """Adapt the scale to what the steps since the last update found, or set it."""
        if not self._enabled:
            return
        if new_scale is not None:
            self._scale = float(new_scale)
        elif not self._stages:
            raise AssertionError("No inf checks were recorded prior to update.")
        elif any(found for _, found in self._stages.values()):
            self._scale *= self._backoff_factor
            self._growth_tracker = 0
        else:
            self._growth_tracker += 1
            if self._growth_tracker == self._growth_interval:
                grown = self._scale * self._growth_factor
                self._scale = grown if np.isfinite(np.float32(grown)) else self._scale
                self._growth_tracker = 0
        self._stages.clear()

    # -- options and state --------------------------------------------------------------------------

    def get_scale(self) -> float:
        """The scale, 1.0 where the scaler is disabled."""
        return self._scale if self._enabled else 1.0

    def get_growth_factor(self) -> float:
        """What the scale is multiplied by after `growth_interval` good steps."""
        return self._growth_factor

    def set_growth_factor(self, new_factor: float) -> None:
        """Set the growth factor."""
        self._growth_factor = new_factor

    def get_backoff_factor(self) -> float:
        """What the scale is multiplied by after a step that was skipped."""
        return self._backoff_factor

    def set_backoff_factor(self, new_factor: float) -> None:
        """Set the backoff factor."""
        self._backoff_factor = new_factor

    def get_growth_interval(self) -> int:
        """The number of good steps in a row after which the scale grows."""
        return self._growth_interval

    def set_growth_interval(self, new_interval: int) -> None:
        """Set the growth interval."""
        self._growth_interval = new_interval

    def is_enabled(self) -> bool:
        """Whether the scaler does anything."""
        return self._enabled

    def state_dict(self) -> dict[str, Any]:
        """The scale and options, empty where the scaler is disabled."""
        if not self._enabled:
            return {}
        return {
            "scale": self._scale, "growth_factor": self._growth_factor, "backoff_factor": self._backoff_factor,
            "growth_interval": self._growth_interval, "_growth_tracker": self._growth_tracker,
        }  # fmt: skip

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what `state_dict` returned. Raises RuntimeError for the empty one of a disabled scaler."""
        if not self._enabled:
            return
        if not state_dict:
            raise RuntimeError(
                "The source state dict is empty, possibly because it was saved from a disabled instance of GradScaler."
            )
        self._scale = float(state_dict["scale"])
        self._growth_factor, self._backoff_factor = state_dict["growth_factor"], state_dict["backoff_factor"]
        self._growth_interval = state_dict["growth_interval"]
        self._growth_tracker = state_dict["_growth_tracker"]
