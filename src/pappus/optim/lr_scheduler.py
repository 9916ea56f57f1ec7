"""Learning-rate schedules."""

from pappus.frontend.optim.lr_scheduler import *  # noqa: F403
from pappus.frontend.optim.lr_scheduler import LRScheduler
from pappus.frontend.optim.lr_scheduler import __all__ as __all__

_LRScheduler = LRScheduler  # the name before PyTorch 2
