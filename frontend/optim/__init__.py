"""Optimizers and learning-rate schedules, with torch's names, defaults and arithmetic."""

from pappus.frontend.optim import lr_scheduler
from pappus.frontend.optim.adafactor import Adafactor
from pappus.frontend.optim.adam import Adam, AdamW
from pappus.frontend.optim.adaptive import Adadelta, Adagrad, RMSprop
from pappus.frontend.optim.asgd import ASGD
from pappus.frontend.optim.lbfgs import LBFGS
from pappus.frontend.optim.moments import Adamax, NAdam, RAdam, SparseAdam
from pappus.frontend.optim.muon import Muon
from pappus.frontend.optim.optimizer import Optimizer
from pappus.frontend.optim.sgd import SGD
from pappus.frontend.optim.sign import Lion, Rprop

__all__ = [
    "ASGD", "LBFGS", "SGD", "Adadelta", "Adafactor", "Adagrad", "Adam", "AdamW", "Adamax", "Lion", "Muon", "NAdam",
    "Optimizer", "RAdam", "RMSprop", "Rprop", "SparseAdam", "lr_scheduler",
]  # fmt: skip
