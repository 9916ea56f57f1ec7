"""The base class of optimizers, and hooks for all of them."""

from pappus.frontend.optim.optimizer import (
    Optimizer,
    ParamsT,
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

__all__ = ["Optimizer", "ParamsT", "register_optimizer_step_post_hook", "register_optimizer_step_pre_hook"]
