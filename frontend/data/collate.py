"""Making one batch out of a list of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from pappus.frontend import ops
from pappus.frontend.tensor import Tensor


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack examples along a new first dimension; tuples, lists and mappings are collated field by field.

    Tensors and numpy arrays are stacked, Python floats become float64, ints int64, strings stay a list; a tuple of
    fields becomes a list, as in torch.

    >>> a, b = default_collate([(1, 2.0), (3, 4.0)])
    >>> a.tolist(), b.tolist()
    ([1, 3], [2.0, 4.0])
    """
    if not batch:
        raise ValueError("default_collate: the batch is empty.")
    first = batch[0]
    if isinstance(first, Tensor):
        return ops.stack(list(batch), 0)
    if isinstance(first, (np.ndarray, np.generic)):
        return Tensor._from_data(np.stack([np.asarray(item) for item in batch]))
    if isinstance(first, (bool, int)):
        return Tensor._from_data(np.array(batch))
    if isinstance(first, float):
        return Tensor._from_data(np.array(batch, np.float64))
    if isinstance(first, (str, bytes)):
        return list(batch)
    if isinstance(first, Mapping):
        return {key: default_collate([item[key] for item in batch]) for key in first}
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(default_collate(list(field)) for field in zip(*batch, strict=True)))
    if isinstance(first, Sequence):
        if any(len(item) != len(first) for item in batch):
            raise RuntimeError(
                f"default_collate: the examples have different numbers of fields: {[len(item) for item in batch]}."
            )
        return [default_collate(list(field)) for field in zip(*batch, strict=True)]
    raise TypeError(
        f"default_collate: cannot batch items of type {type(first).__name__}; use tensors, numpy arrays, numbers, "
        "strings, tuples, lists or mappings of them, or pass collate_fn."
    )


def default_convert(data: Any) -> Any:
    """A single example with its numpy arrays as tensors; what a loader without batches does.

    >>> default_convert({"x": np.ones(2, np.float32), "name": "a"})
    {'x': tensor([1., 1.]), 'name': 'a'}
    """
    if isinstance(data, (np.ndarray, np.generic)) and data.dtype.kind not in "SUO":
        return Tensor._from_data(np.asarray(data))
    if isinstance(data, Mapping):
        return {key: default_convert(value) for key, value in data.items()}
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, tuple):
        return [default_convert(value) for value in data]
    if isinstance(data, list):
        return [default_convert(value) for value in data]
    return data
