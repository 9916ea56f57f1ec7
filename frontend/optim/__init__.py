"""Optimizers and learning-rate schedules, with torch's names, defaults and arithmetic."""

from pappus.frontend.optim import lr_scheduler
from pappus.frontend.optim.adam import Adam, AdamW
from pappus.frontend.optim.optimizer import Optimizer
from pappus.frontend.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
