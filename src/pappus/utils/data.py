"""Data sets, samplers and loaders: `from pappus.utils.data import DataLoader`."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.data import *  # noqa: F403
from pappus.frontend.data import __all__ as __all__
from pappus.frontend.data import dataset as dataset
from pappus.frontend.data import loader as dataloader  # noqa: F401 - the files of PyTorch: torch.utils.data.dataloader
from pappus.frontend.data import sampler as distributed  # noqa: F401
from pappus.frontend.data import sampler as sampler

__path__: list[str] = []

__getattr__ = _unknown(__name__)
