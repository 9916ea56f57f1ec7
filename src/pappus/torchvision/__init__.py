"""The parts of torchvision that training scripts import: data sets, transforms, grids of images. Models are refused.

Installed under the name torchvision together with torch, see `pappus.torch`.
"""

from pappus.torchvision import datasets, models, transforms, utils

__version__ = "0.28.0+pappus"
__all__ = ["datasets", "models", "transforms", "utils"]
