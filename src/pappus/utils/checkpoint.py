"""Trading time for memory: `from pappus.utils.checkpoint import checkpoint`."""

from pappus.frontend.checkpoint import checkpoint, checkpoint_sequential

__all__ = ["checkpoint", "checkpoint_sequential"]
