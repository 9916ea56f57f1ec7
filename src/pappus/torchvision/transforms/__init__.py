"""Transforms of images, one after the other."""

from pappus.torchvision.transforms import functional
from pappus.torchvision.transforms.functional import InterpolationMode
from pappus.torchvision.transforms.steps import (
    CenterCrop,
    Compose,
    ConvertImageDtype,
    Grayscale,
    Lambda,
    Normalize,
    Pad,
    PILToTensor,
    RandomApply,
    RandomChoice,
    RandomCrop,
    RandomErasing,
    RandomHorizontalFlip,
    RandomResizedCrop,
    RandomVerticalFlip,
    Resize,
    ToPILImage,
    ToTensor,
)

__all__ = [
    "CenterCrop", "Compose", "ConvertImageDtype", "Grayscale", "InterpolationMode", "Lambda", "Normalize",
    "PILToTensor", "Pad", "RandomApply", "RandomChoice", "RandomCrop", "RandomErasing", "RandomHorizontalFlip",
    "RandomResizedCrop", "RandomVerticalFlip", "Resize", "ToPILImage", "ToTensor", "functional",
]  # fmt: skip


def __getattr__(name: str) -> object:
    from pappus.torch.answers import nearest

    raise AttributeError(
        f"module 'torchvision.transforms' has no attribute {name!r}{nearest(name, __all__)}: Pappus has the transforms "
        "that common training scripts use",
        name=name,
    )
