"""Layers, losses and parameters: `import pappus.nn as nn`."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.nn import *  # noqa: F403
from pappus.frontend.nn import __all__ as __all__
from pappus.nn import attention as attention
from pappus.nn import functional as functional
from pappus.nn import init as init
from pappus.nn import modules as modules
from pappus.nn import parallel as parallel
from pappus.nn import parameter as parameter
from pappus.nn import utils as utils
from pappus.nn.parallel import DataParallel as DataParallel

__getattr__ = _unknown(__name__)
