"""Images as Pillow has them, where it is installed, and as arrays where it is not."""

from __future__ import annotations

import importlib
import struct
import zlib
from typing import Any

import numpy as np

from pappus.frontend.errors import UnsupportedError

__all__ = ["array_of", "image_of", "is_pillow", "pillow", "png"]


def pillow(what: str) -> Any:
    """The module PIL.Image. Raises UnsupportedError, saying what needs it, where Pillow is not installed."""
    try:
        return importlib.import_module("PIL.Image")
    except ImportError:
        raise UnsupportedError(f"{what} needs Pillow, which is not installed: pip install pillow") from None


def is_pillow(value: Any) -> bool:
    """Whether a value is an image of Pillow."""
    return type(value).__module__.startswith("PIL.")


def image_of(array: Any) -> Any:
    """An array [h, w] or [h, w, 3] of bytes as an image of Pillow; the array itself where Pillow is not installed."""
    try:
        return importlib.import_module("PIL.Image").fromarray(array)
    except ImportError:
        return array


def array_of(image: Any) -> Any:
    """An image as an array [h, w, channels]."""
    array = np.asarray(image)
    if is_pillow(image) and image.mode == "1":
        array = array.astype(np.uint8) * 255
    return array[:, :, None] if array.ndim == 2 else array


def png(array: Any) -> bytes:
    """An array [h, w, 1 or 3] of bytes as a PNG file."""
    height, width, channels = array.shape
    rows = np.zeros((height, 1 + width * channels), np.uint8)  # each row begins with its filter: none
    rows[:, 1:] = array.reshape(height, -1)

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0 if channels == 1 else 2, 0, 0, 0)
    data = chunk(b"IDAT", zlib.compress(rows.tobytes()))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")
