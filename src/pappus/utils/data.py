"""Data sets, samplers and loaders: `from pappus.utils.data import DataLoader`."""

from pappus.frontend.data import *  # noqa: F403
from pappus.frontend.data import __all__ as __all__
