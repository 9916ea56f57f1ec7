"""Functions without state of their own: `import pappus.nn.functional as F`."""

from pappus.frontend.nn.functional import *  # noqa: F403
from pappus.frontend.nn.functional import __all__ as __all__
