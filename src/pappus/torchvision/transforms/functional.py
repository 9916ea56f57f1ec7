"""Transforms as functions, of images of Pillow, of arrays [h, w(, c)] of bytes, and of tensors [..., h, w]."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np

from pappus.frontend import ops as _loaded
from pappus.frontend.errors import ArgumentError
from pappus.frontend.nn import functional as F
from pappus.frontend.tensor import Tensor
from pappus.torchvision.images import array_of, image_of, is_pillow, pillow

ops: Any = _loaded
__all__ = [
    "InterpolationMode", "center_crop", "convert_image_dtype", "crop", "erase", "hflip", "normalize", "pad",
    "pil_to_tensor", "resize", "resized_crop", "rgb_to_grayscale", "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip


class InterpolationMode(enum.Enum):
    """How values between pixels are found."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


def _size(image: Any) -> tuple[int, int]:
    """(height, width)."""
    if isinstance(image, Tensor):
        return int(image.shape[-2]), int(image.shape[-1])
    if is_pillow(image):
        return int(image.size[1]), int(image.size[0])
    return int(image.shape[0]), int(image.shape[1])


def _pair(size: Any) -> tuple[int, int]:
    if isinstance(size, int):
        return size, size
    return (int(size[0]), int(size[-1]))


def to_tensor(pic: Any) -> Tensor:
    """An image of Pillow or an array as a tensor [c, h, w]; bytes become 0 to 1.

    >>> to_tensor(np.full((1, 2), 255, np.uint8))
    tensor([[[1., 1.]]])
    """
    if isinstance(pic, Tensor):
        raise ArgumentError("to_tensor: this is a tensor already; leave ToTensor out")
    array = array_of(pic).transpose(2, 0, 1)
    if array.dtype == np.uint8:
        return Tensor._from_data(np.ascontiguousarray(array, np.float32) / np.float32(255))
    return Tensor._from_data(np.array(array, order="C"))


def pil_to_tensor(pic: Any) -> Tensor:
    """An image as a tensor [c, h, w] of its own type."""
    return Tensor._from_data(np.array(array_of(pic).transpose(2, 0, 1), order="C"))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor [c, h, w] of values 0 to 1, or an array of bytes, as an image of Pillow."""
    array = pic.detach().numpy() if isinstance(pic, Tensor) else np.asarray(pic)
    if isinstance(pic, Tensor):
        array = (array[None] if array.ndim == 2 else array).transpose(1, 2, 0)
        if array.dtype.kind == "f":
            array = (array * 255).astype(np.uint8)
    array = array[:, :, 0] if array.ndim == 3 and array.shape[2] == 1 else array
    return pillow("to_pil_image").fromarray(np.ascontiguousarray(array), mode)


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(tensor - mean) / std, channel by channel."""
    if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
        raise ArgumentError("normalize: needs a floating-point tensor; put ToTensor before it")
    m, s = (ops.tensor(v, dtype=tensor.dtype).reshape((-1, 1, 1)) for v in (mean, std))
    if bool((s == 0).any()):
        raise ArgumentError(f"normalize: std {list(std)} holds a zero")
    return tensor.sub_(m).div_(s) if inplace else (tensor - m) / s  # type: ignore[no-any-return]


def resize(
    img: Any, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: Any = None, antialias: Any = True
) -> Any:
    """Scaled to (height, width); given one number, so that the shorter side has that size."""
    height, width = _size(img)
    if isinstance(size, int) or len(size) == 1:
        short = size if isinstance(size, int) else size[0]
        scale = short / min(height, width)
        target = (short, int(width * scale)) if height <= width else (int(height * scale), short)
    else:
        target = _pair(size)
    if target == (height, width):
        return img
    mode = interpolation.value if isinstance(interpolation, InterpolationMode) else "bilinear"
    if is_pillow(img):
        module = pillow("resize")
        return img.resize(target[::-1], getattr(module.Resampling, mode.upper().replace("-EXACT", "")))
    if not isinstance(img, Tensor):
        return _as_array(resize(pil_to_tensor(img), list(target), interpolation), img)
    exact = {} if "nearest" in mode else {"align_corners": False, "antialias": bool(antialias)}
    batch = img.reshape((1, -1, height, width))
    scaled: Any = F.interpolate(batch.float(), target, mode=mode, **exact)
    if not img.is_floating_point():
        scaled = scaled.round().clamp(0, 255)
    return scaled.to(img.dtype).reshape((*img.shape[:-2], *target))


def _as_array(tensor: Tensor, like: Any) -> Any:
    array = tensor.numpy().transpose(1, 2, 0)
    return array[:, :, 0] if like.ndim == 2 else array


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The rectangle from (top, left) on; what lies outside of the image is 0."""
    h, w = _size(img)
    if top < 0 or left < 0 or top + height > h or left + width > w:
        sides = [max(-left, 0), max(-top, 0), max(left + width - w, 0), max(top + height - h, 0)]
        return crop(pad(img, sides), top + sides[1], left + sides[0], height, width)
    if isinstance(img, Tensor):
        return img[..., top : top + height, left : left + width]
    if is_pillow(img):
        return img.crop((left, top, left + width, top + height))
    return img[top : top + height, left : left + width]


def center_crop(img: Any, output_size: Any) -> Any:
    """The rectangle in the middle."""
    (height, width), (h, w) = _pair(output_size), _size(img)
    return crop(img, round((h - height) / 2), round((w - width) / 2), height, width)


def resized_crop(
    img: Any, top: int, left: int, height: int, width: int, size: Any, interpolation: Any = InterpolationMode.BILINEAR
) -> Any:
    """A crop, scaled."""
    return resize(crop(img, top, left, height, width), list(_pair(size)), interpolation)


def hflip(img: Any) -> Any:
    """Left and right exchanged."""
    if isinstance(img, Tensor):
        return img.flip(-1)
    return image_of(np.asarray(img)[:, ::-1].copy()) if is_pillow(img) else img[:, ::-1]


def vflip(img: Any) -> Any:
    """Top and bottom exchanged."""
    if isinstance(img, Tensor):
        return img.flip(-2)
    return image_of(np.asarray(img)[::-1].copy()) if is_pillow(img) else img[::-1]


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """Borders of (left, top, right, bottom) pixels, or of (left and right, top and bottom), or of one size."""
    sides = [padding] * 4 if isinstance(padding, int) else list(padding)
    sides = sides * 2 if len(sides) == 2 else sides
    if len(sides) != 4:
        raise ArgumentError(f"pad: padding is one, two or four numbers, got {padding!r}")
    left, top, right, bottom = sides
    array = img.detach().numpy() if isinstance(img, Tensor) else np.asarray(img)
    first = array.ndim - 2 if isinstance(img, Tensor) else 0
    widths = [(0, 0)] * array.ndim
    widths[first], widths[first + 1] = (top, bottom), (left, right)
    modes = {"constant": "constant", "edge": "edge", "reflect": "reflect", "symmetric": "symmetric"}
    if padding_mode not in modes:
        raise ArgumentError(f"pad: padding_mode {padding_mode!r} is none of {', '.join(modes)}")
    options: dict[str, Any] = {"constant_values": fill} if padding_mode == "constant" else {}
    padded = np.pad(array, widths, mode=padding_mode, **options)  # type: ignore[call-overload]
    return Tensor._from_data(padded) if isinstance(img, Tensor) else image_of(padded) if is_pillow(img) else padded


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """0.2989 red + 0.587 green + 0.114 blue; as Pillow rounds it for images of Pillow."""
    if is_pillow(img):
        gray = img.convert("L")
        return gray if num_output_channels == 1 else image_of(np.repeat(np.asarray(gray)[:, :, None], 3, 2))
    if not isinstance(img, Tensor):
        return _as_array(rgb_to_grayscale(pil_to_tensor(img), num_output_channels), np.empty((0, 0, 0)))
    r, g, b = (img[..., i, :, :] for i in range(3))
    gray = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(-3)
    return gray.repeat((*[1] * (img.ndim - 3), 3, 1, 1)) if num_output_channels == 3 else gray


def convert_image_dtype(image: Tensor, dtype: Any) -> Tensor:
    """Between bytes of 0 to 255 and floating-point values of 0 to 1."""
    if image.is_floating_point() == dtype.is_floating_point:
        return image.to(dtype)  # type: ignore[no-any-return]
    if dtype.is_floating_point:
        return image.to(dtype) / 255  # type: ignore[no-any-return]
    return (image * (255 + 1 - 1e-3)).to(dtype)  # type: ignore[no-any-return]


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """A rectangle replaced by `v`."""
    out: Any = img if inplace else img.clone()
    out[..., i : i + h, j : j + w] = v
    return out  # type: ignore[no-any-return]
