"""Automatic mixed precision: `with pappus.amp.autocast("cpu"): ...` and `pappus.amp.GradScaler`."""

from pappus.frontend.amp.autocast import autocast, is_autocast_available
from pappus.frontend.amp.custom import custom_bwd, custom_fwd
from pappus.frontend.amp.grad_scaler import GradScaler

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd", "is_autocast_available"]
