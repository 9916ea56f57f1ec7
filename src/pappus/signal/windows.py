"""Windows for signals: `pappus.signal.windows.hann`, `kaiser`, `gaussian` ... with PyTorch's names."""

from pappus._unknown import unknown as _unknown
from pappus.frontend.windows import *  # noqa: F403
from pappus.frontend.windows import __all__ as __all__

__getattr__ = _unknown(__name__)
