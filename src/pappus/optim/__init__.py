"""Optimizers: `pappus.optim.AdamW(model.parameters(), lr=1e-3)`."""

from pappus.frontend.optim import SGD, Adam, AdamW, Optimizer
from pappus.optim import lr_scheduler

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "lr_scheduler"]
