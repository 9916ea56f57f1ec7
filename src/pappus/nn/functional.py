"""Functions without state of their own: `import pappus.nn.functional as F`."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.nn.functional import *  # noqa: F403
from pappus.frontend.nn.functional import __all__ as __all__

__getattr__ = _unknown(__name__)
