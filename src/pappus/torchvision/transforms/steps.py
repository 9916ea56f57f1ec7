"""Transforms as objects, for `Compose`; random ones draw from the generator that `torch.manual_seed` seeds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from pappus.frontend import random as rng
from pappus.frontend.errors import ArgumentError
from pappus.torchvision.transforms import functional as F
from pappus.torchvision.transforms.functional import InterpolationMode

__all__ = [
    "CenterCrop", "Compose", "ConvertImageDtype", "Grayscale", "Lambda", "Normalize", "PILToTensor", "Pad",
    "RandomApply", "RandomChoice", "RandomCrop", "RandomErasing", "RandomHorizontalFlip", "RandomResizedCrop",
    "RandomVerticalFlip", "Resize", "ToPILImage", "ToTensor",
]  # fmt: skip


def _number(low: float = 0.0, high: float = 1.0) -> float:
    return low + (high - low) * float(rng.uniforms(*rng.default_generator.take(1), 1)[0])


def _below(count: int) -> int:
    return rng.integers(0, count, 1)[0]


class _Step:
    def __init__(self, **options: Any) -> None:
        self.__dict__.update(options)

    def __call__(self, img: Any) -> Any:
        return self.forward(img)

    def forward(self, img: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define forward(img).")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v}' for k, v in self.__dict__.items())})"


class Compose(_Step):
    """Transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def forward(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "Compose(" + "".join(f"\n    {t}" for t in self.transforms) + "\n)"


class ToTensor(_Step):
    """An image as a tensor [c, h, w] of values 0 to 1."""

    def forward(self, img: Any) -> Any:
        return F.to_tensor(img)


class PILToTensor(_Step):
    """An image as a tensor [c, h, w] of its own type."""

    def forward(self, img: Any) -> Any:
        return F.pil_to_tensor(img)


class ToPILImage(_Step):
    """A tensor or an array as an image of Pillow."""

    def __init__(self, mode: str | None = None) -> None:
        self.mode = mode

    def forward(self, img: Any) -> Any:
        return F.to_pil_image(img, self.mode)


class ConvertImageDtype(_Step):
    """Between bytes and values of 0 to 1."""

    def __init__(self, dtype: Any) -> None:
        self.dtype = dtype

    def forward(self, img: Any) -> Any:
        return F.convert_image_dtype(img, self.dtype)


class Normalize(_Step):
    """(tensor - mean) / std, channel by channel."""

    def __init__(self, mean: Any, std: Any, inplace: bool = False) -> None:
        super().__init__(mean=mean, std=std, inplace=inplace)

    def forward(self, img: Any) -> Any:
        return F.normalize(img, self.mean, self.std, self.inplace)  # type: ignore[attr-defined]


class Resize(_Step):
    """Scaled to (height, width), or so that the shorter side has one size."""

    def __init__(
        self, size: Any, interpolation: Any = InterpolationMode.BILINEAR, max_size: Any = None, antialias: Any = True
    ) -> None:
        self.size, self.interpolation, self.antialias = size, interpolation, antialias

    def forward(self, img: Any) -> Any:
        return F.resize(img, self.size, self.interpolation, None, self.antialias)


class CenterCrop(_Step):
    """The rectangle in the middle."""

    def __init__(self, size: Any) -> None:
        self.size = size

    def forward(self, img: Any) -> Any:
        return F.center_crop(img, self.size)


class Pad(_Step):
    """Borders around the image."""

    def __init__(self, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> None:
        super().__init__(padding=padding, fill=fill, padding_mode=padding_mode)

    def forward(self, img: Any) -> Any:
        return F.pad(img, self.padding, self.fill, self.padding_mode)  # type: ignore[attr-defined]


class Lambda(_Step):
    """A function of one's own."""

    def __init__(self, lambd: Callable[[Any], Any]) -> None:
        if not callable(lambd):
            raise TypeError(f"Lambda: expected a function, got {type(lambd).__name__}")
        self.lambd = lambd

    def forward(self, img: Any) -> Any:
        return self.lambd(img)


class Grayscale(_Step):
    """The brightness of each pixel."""

    def __init__(self, num_output_channels: int = 1) -> None:
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, self.num_output_channels)


class RandomCrop(_Step):
    """A rectangle at a random place, after padding."""

    def __init__(
        self, size: Any, padding: Any = None, pad_if_needed: bool = False, fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        self.size, self.padding, self.pad_if_needed = F._pair(size), padding, pad_if_needed
        self.fill, self.padding_mode = fill, padding_mode

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        (height, width), (h, w) = self.size, F._size(img)
        if self.pad_if_needed and (h < height or w < width):
            img = F.pad(img, [max(width - w, 0), max(height - h, 0)], self.fill, self.padding_mode)
            h, w = F._size(img)
        if h < height or w < width:
            raise ArgumentError(f"RandomCrop: the crop {self.size} is larger than the image {(h, w)}")
        return F.crop(img, _below(h - height + 1), _below(w - width + 1), height, width)


class _Chance(_Step):
    def __init__(self, p: float = 0.5) -> None:
        self.p = p


class RandomHorizontalFlip(_Chance):
    """Left and right exchanged with probability `p`."""

    def forward(self, img: Any) -> Any:
        return F.hflip(img) if _number() < self.p else img


class RandomVerticalFlip(_Chance):
    """Top and bottom exchanged with probability `p`."""

    def forward(self, img: Any) -> Any:
        return F.vflip(img) if _number() < self.p else img


class RandomApply(_Step):
    """All of some transforms with probability `p`, else none."""

    def __init__(self, transforms: Any, p: float = 0.5) -> None:
        self.transforms, self.p = transforms, p

    def forward(self, img: Any) -> Any:
        return Compose(self.transforms)(img) if _number() < self.p else img


class RandomChoice(_Step):
    """One of some transforms."""

    def __init__(self, transforms: Any) -> None:
        self.transforms = transforms

    def forward(self, img: Any) -> Any:
        return self.transforms[_below(len(self.transforms))](img)


class RandomResizedCrop(_Step):
    """A rectangle of a random share of the area and of a random shape, scaled to one size."""

    def __init__(
        self, size: Any, scale: Any = (0.08, 1.0), ratio: Any = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: Any = InterpolationMode.BILINEAR, antialias: Any = True,
    ) -> None:  # fmt: skip
        self.size, self.scale, self.ratio, self.interpolation = F._pair(size), scale, ratio, interpolation

    def forward(self, img: Any) -> Any:
        h, w = F._size(img)
        for _ in range(10):
            area = h * w * _number(*self.scale)
            shape = math.exp(_number(math.log(self.ratio[0]), math.log(self.ratio[1])))
            width, height = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if 0 < width <= w and 0 < height <= h:
                at = _below(h - height + 1), _below(w - width + 1)
                return F.resized_crop(img, *at, height, width, self.size, self.interpolation)
        height, width = h, w
        if w / h < self.ratio[0]:
            height = round(w / self.ratio[0])
        elif w / h > self.ratio[1]:
            width = round(h * self.ratio[1])
        top, left = (h - height) // 2, (w - width) // 2
        return F.resized_crop(img, top, left, height, width, self.size, self.interpolation)


class RandomErasing(_Step):
    """A random rectangle of a tensor replaced by `value`, with probability `p`."""

    def __init__(
        self, p: float = 0.5, scale: Any = (0.02, 0.33), ratio: Any = (0.3, 3.3), value: Any = 0, inplace: bool = False
    ) -> None:
        self.p, self.scale, self.ratio, self.value, self.inplace = p, scale, ratio, value, inplace

    def forward(self, img: Any) -> Any:
        if _number() >= self.p:
            return img
        h, w = F._size(img)
        for _ in range(10):
            area = h * w * _number(*self.scale)
            shape = math.exp(_number(math.log(self.ratio[0]), math.log(self.ratio[1])))
            height, width = round(math.sqrt(area * shape)), round(math.sqrt(area / shape))
            if height < h and width < w:
                at = _below(h - height + 1), _below(w - width + 1)
                return F.erase(img, *at, height, width, self.value, self.inplace)
        return img
