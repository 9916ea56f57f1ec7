"""PyTorch's checkpoint files (.pt, .pth), read and written without PyTorch and without ever running what they say.

    machine.py    the pickle instructions that checkpoints need, over a closed table of names
    names.py      that table: what each name in a file (torch._utils._rebuild_tensor_v2 ...) makes here
    storages.py   the memory that tensors of a file share, every place in it checked
    reader.py     the zip form (torch 1.6 and later) and the stream before it
    writer.py     the zip form, which torch.load(weights_only=True) reads
"""

from pappus.frontend.torch_file.names import add_safe_globals, clear_safe_globals, get_safe_globals, safe_globals
from pappus.frontend.torch_file.reader import read
from pappus.frontend.torch_file.writer import write

__all__ = ["add_safe_globals", "clear_safe_globals", "get_safe_globals", "read", "safe_globals", "write"]
