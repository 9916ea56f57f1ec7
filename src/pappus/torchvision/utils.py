"""Batches of images as one picture."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from pappus.frontend.errors import ArgumentError
from pappus.frontend.tensor import Tensor
from pappus.torchvision.images import pillow, png

__all__ = ["make_grid", "save_image"]


def make_grid(
    tensor: Any, nrow: int = 8, padding: int = 2, normalize: bool = False, value_range: Any = None,
    scale_each: bool = False, pad_value: float = 0.0,
) -> Tensor:  # fmt: skip
    """Images [n, c, h, w] (or a list of them) side by side, `nrow` in a row, as one image [3, height, width].

    With `normalize` the values between `value_range` (or the least and the largest) become 0 to 1.

    >>> import pappus as pp
    >>> make_grid(pp.zeros(5, 1, 4, 4), nrow=3).shape
    pappus.Size([3, 14, 20])
    """
    if isinstance(tensor, (list, tuple)):
        images = np.stack([t.detach().numpy() for t in tensor])
    else:
        images = tensor.detach().numpy()
    if not 2 <= images.ndim <= 4:
        raise ArgumentError(f"make_grid: images have shape [n, c, h, w], got {list(images.shape)}")
    images = images[(None,) * (4 - images.ndim)] if images.ndim != 3 else images[None]
    if images.shape[1] == 1:
        images = np.repeat(images, 3, 1)
    if normalize:
        images = images.astype(np.float32)
        groups = range(len(images)) if scale_each else [slice(None)]
        for at in groups:
            low, high = value_range or (images[at].min(), images[at].max())
            images[at] = (np.clip(images[at], low, high) - low) / max(float(high - low), 1e-5)
    count, channels, height, width = images.shape
    if count == 1:
        return Tensor._from_data(np.ascontiguousarray(images[0]))
    columns = min(nrow, count)
    rows = -(-count // columns)
    high, wide = height + padding, width + padding
    grid = np.full((channels, rows * high + padding, columns * wide + padding), pad_value, images.dtype)
    for number, image in enumerate(images):
        y, x = number // columns * high + padding, number % columns * wide + padding
        grid[:, y : y + height, x : x + width] = image
    return Tensor._from_data(grid)


def save_image(tensor: Any, fp: Any, format: str | None = None, **options: Any) -> None:
    """Write images of values 0 to 1 as one picture; `options` go to `make_grid`. PNG needs no other package."""
    grid = make_grid(tensor, **options).numpy()
    array = np.clip(grid * 255 + 0.5, 0, 255).transpose(1, 2, 0).astype(np.uint8)
    path = "" if hasattr(fp, "write") else os.fspath(fp)
    if (format or os.path.splitext(path)[1][1:] or "png").lower() != "png":
        pillow(f"save_image: writing {path or format}").fromarray(array).save(fp, format=format)
        return
    if path:
        with open(path, "wb") as file:
            file.write(png(array))
    else:
        fp.write(png(array))
