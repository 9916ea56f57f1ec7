"""Learning-rate schedules."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.optim.lr_scheduler import *  # noqa: F403
from pappus.frontend.optim.lr_scheduler import LRScheduler
from pappus.frontend.optim.lr_scheduler import __all__ as __all__

_LRScheduler = LRScheduler  # the name before PyTorch 2

__getattr__ = _unknown(__name__)
