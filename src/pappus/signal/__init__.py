"""Signal processing: `pappus.signal.windows`."""

from pappus._unknown import unknown as _unknown
from pappus.signal import windows as windows

__all__ = ["windows"]

__getattr__ = _unknown(__name__)
