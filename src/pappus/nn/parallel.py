"""Wrappers of several devices or processes, over the one there is."""

import sys

from pappus.frontend.nn.parallel import DataParallel, DistributedDataParallel

__all__ = ["DataParallel", "DistributedDataParallel"]

__path__: list[str] = []
data_parallel = distributed = sys.modules[__name__]  # the files of PyTorch, torch.nn.parallel.distributed
