"""Data sets of images, read from local files in their own formats; downloaded where asked and a network is there.

An image is one of Pillow where that is installed, else an array of bytes; `transforms.ToTensor` takes both.
"""

from __future__ import annotations

import gzip
import os
import struct
import tarfile
from collections.abc import Callable
from typing import Any

import numpy as np

from pappus.frontend.random import Generator, normals
from pappus.frontend.torch_file.reader import read_pickle
from pappus.torch.hub import download_url_to_file
from pappus.torchvision.images import image_of, pillow

__all__ = ["CIFAR10", "CIFAR100", "DatasetFolder", "FakeData", "FashionMNIST", "ImageFolder", "MNIST", "VisionDataset"]

Function = Callable[[Any], Any] | None


class VisionDataset:
    """What all of them share: a folder, and transforms of images and targets."""

    def __init__(
        self, root: Any = None, transforms: Any = None, transform: Function = None, target_transform: Function = None
    ) -> None:
        self.root = os.path.expanduser(os.fspath(root)) if root is not None else ""
        self.transforms, self.transform, self.target_transform = transforms, transform, target_transform

    def _item(self, image: Any, target: Any) -> tuple[Any, Any]:
        if self.transform is not None:
            image = self.transform(image)
        if self.target_transform is not None:
            target = self.target_transform(target)
        return image, target

    def __getitem__(self, index: int) -> Any:
        raise NotImplementedError(f"{type(self).__name__} must define __getitem__(index).")

    def __len__(self) -> int:
        raise NotImplementedError(f"{type(self).__name__} must define __len__().")

    def __repr__(self) -> str:
        return f"Dataset {type(self).__name__}\n    Number of datapoints: {len(self)}\n    Root location: {self.root}"


def _idx(path: str) -> Any:
    """The array in an IDX file: two zero bytes, a type, the number of dimensions, the sizes, the bytes."""
    with gzip.open(path, "rb") if path.endswith(".gz") else open(path, "rb") as file:
        data = file.read()
    if len(data) < 4 or data[:3] != b"\0\0\x08":
        raise RuntimeError(f"{path} is not an IDX file of bytes")
    sizes = struct.unpack(f">{data[3]}I", data[4 : 4 + 4 * data[3]]) if len(data) >= 4 + 4 * data[3] else ()
    if len(sizes) != data[3] or len(data) != 4 + 4 * data[3] + int(np.prod(sizes, dtype=np.int64)):
        raise RuntimeError(f"{path} is cut off or damaged: {len(data)} bytes for sizes {list(sizes)}")
    return np.frombuffer(data, np.uint8, offset=4 + 4 * data[3]).reshape(sizes)


class MNIST(VisionDataset):
    """Handwritten digits, 28 x 28: <root>/MNIST/raw/train-images-idx3-ubyte and its three neighbours, or their .gz."""

    mirrors = ("https://ossci-datasets.s3.amazonaws.com/mnist/",)
    classes = [f"{n} - {word}" for n, word in enumerate(  # noqa: RUF012 - as torchvision spells them
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"])]  # fmt: skip

    def __init__(
        self, root: Any, train: bool = True, transform: Function = None, target_transform: Function = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.train = train
        part = "train" if train else "t10k"
        names = [f"{part}-images-idx3-ubyte", f"{part}-labels-idx1-ubyte"]
        if download:
            self._download(names)
        images, labels = (_idx(self._path(name)) for name in names)
        if images.ndim != 3 or labels.ndim != 1 or len(images) != len(labels):
            raise RuntimeError(f"{self.raw_folder}: images of shape {images.shape} for labels of shape {labels.shape}")
        self.data, self.targets = _tensor(images), _tensor(labels.astype(np.int64))

    @property
    def raw_folder(self) -> str:
        """The folder of the files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    def _path(self, name: str) -> str:
        path = os.path.join(self.raw_folder, name)
        found = next((p for p in (path, f"{path}.gz") if os.path.exists(p)), None)
        if found is None:
            raise RuntimeError(f"Dataset not found: there is no {path} (or .gz); use download=True, or put it there")
        return found

    def _download(self, names: list[str]) -> None:
        os.makedirs(self.raw_folder, exist_ok=True)
        for name in names:
            path = os.path.join(self.raw_folder, name)
            if not os.path.exists(path) and not os.path.exists(f"{path}.gz"):
                download_url_to_file(f"{self.mirrors[0]}{name}.gz", f"{path}.gz")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._item(image_of(self.data[index].numpy()), int(self.targets[index]))

    def __len__(self) -> int:
        return len(self.data)


class FashionMNIST(MNIST):
    """Clothes, 28 x 28, in the files and places of MNIST: <root>/FashionMNIST/raw."""

    mirrors = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
    classes = [  # noqa: RUF012
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ]  # fmt: skip


def _tensor(array: Any) -> Any:
    from pappus.frontend.tensor import Tensor

    return Tensor._from_data(np.array(array))


class CIFAR10(VisionDataset):
    """Small colour images, 32 x 32: <root>/cifar-10-batches-py, the pickled batches of its authors (read as data)."""

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    train_list = tuple(f"data_batch_{i}" for i in range(1, 6))
    test_list: tuple[str, ...] = ("test_batch",)
    meta, label, names = "batches.meta", "labels", "label_names"

    def __init__(
        self, root: Any, train: bool = True, transform: Function = None, target_transform: Function = None,
        download: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        self.train = train
        if download and not os.path.exists(os.path.join(self.root, self.base_folder)):
            self._download()
        batches = [self._batch(name) for name in (self.train_list if train else self.test_list)]
        self.data: Any = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
        self.data = np.ascontiguousarray(self.data.transpose(0, 2, 3, 1))
        self.targets: list[int] = [int(n) for batch in batches for n in batch[self.label]]
        if len(self.targets) != len(self.data):
            raise RuntimeError(f"{self.root}: {len(self.data)} images for {len(self.targets)} labels")
        self.classes: list[str] = list(self._batch(self.meta)[self.names])
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}

    def _batch(self, name: str) -> Any:
        path = os.path.join(self.root, self.base_folder, name)
        if not os.path.exists(path):
            raise RuntimeError(f"Dataset not found: there is no {path}; use download=True, or put it there")
        with open(path, "rb") as file:
            return read_pickle(file.read(), path)

    def _download(self) -> None:
        os.makedirs(self.root, exist_ok=True)
        path = os.path.join(self.root, os.path.basename(self.url))
        if not os.path.exists(path):
            download_url_to_file(self.url, path)
        with tarfile.open(path) as archive:
            archive.extractall(self.root, filter="data")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        return self._item(image_of(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)


class CIFAR100(CIFAR10):
    """Small colour images of a hundred classes: <root>/cifar-100-python."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    train_list, test_list = ("train",), ("test",)
    meta, label, names = "meta", "fine_labels", "fine_label_names"


class FakeData(VisionDataset):
    """Images of noise, the same for the same index.

    >>> len(FakeData(4)), FakeData(4, image_size=(3, 8, 8), transform=lambda image: 0)[0][0]
    (4, 0)
    """

    def __init__(
        self, size: int = 1000, image_size: tuple[int, int, int] = (3, 224, 224), num_classes: int = 10,
        transform: Function = None, target_transform: Function = None, random_offset: int = 0,
    ) -> None:  # fmt: skip
        super().__init__(None, None, transform, target_transform)
        self.size, self.image_size, self.num_classes = size, image_size, num_classes
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if not 0 <= index < self.size:
            raise IndexError(f"FakeData: index {index} is out of range for {self.size} items")
        generator = Generator().manual_seed(index + self.random_offset)
        channels, height, width = self.image_size
        noise = normals(*generator.take(channels * height * width), channels * height * width)
        array = np.clip(noise * 255, 0, 255).astype(np.uint8).reshape(height, width, channels)
        target = int(normals(*generator.take(2), 1)[0] * 1e6) % self.num_classes
        return self._item(image_of(array[:, :, 0] if channels == 1 else array), target)

    def __len__(self) -> int:
        return self.size


def default_loader(path: str) -> Any:
    """An image file as an RGB image of Pillow."""
    with open(path, "rb") as file:
        return pillow(f"reading {path}").open(file).convert("RGB")


IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")


class DatasetFolder(VisionDataset):
    """Files in one folder for each class: <root>/<class>/.../<file>."""

    def __init__(
        self, root: Any, loader: Callable[[str], Any], extensions: Any = None, transform: Function = None,
        target_transform: Function = None, is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        super().__init__(root, None, transform, target_transform)
        if (extensions is None) == (is_valid_file is None):
            raise ValueError("DatasetFolder: give either extensions or is_valid_file")
        valid = is_valid_file or (lambda path: path.lower().endswith(tuple(extensions)))
        self.classes = sorted(entry.name for entry in os.scandir(self.root) if entry.is_dir())
        if not self.classes:
            raise FileNotFoundError(f"Couldn't find any class folder in {self.root}.")
        self.class_to_idx = {name: number for number, name in enumerate(self.classes)}
        self.loader = loader
        self.samples: list[tuple[str, int]] = []
        for name, number in self.class_to_idx.items():
            for folder, _, files in sorted(os.walk(os.path.join(self.root, name), followlinks=True)):
                paths = [os.path.join(folder, file) for file in sorted(files)]
                self.samples += [(path, number) for path in paths if valid(path)]
        self.targets = [number for _, number in self.samples]
        empty = set(self.class_to_idx.values()) - set(self.targets)
        if empty:
            names = ", ".join(self.classes[number] for number in sorted(empty))
            raise FileNotFoundError(f"Found no valid file for the classes {names} in {self.root}.")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        path, target = self.samples[index]
        return self._item(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


class ImageFolder(DatasetFolder):
    """Images in one folder for each class; reading them needs Pillow."""

    def __init__(
        self, root: Any, transform: Function = None, target_transform: Function = None,
        loader: Callable[[str], Any] = default_loader, is_valid_file: Callable[[str], bool] | None = None,
    ) -> None:  # fmt: skip
        extensions = IMG_EXTENSIONS if is_valid_file is None else None
        super().__init__(root, loader, extensions, transform, target_transform, is_valid_file)
        self.imgs = self.samples
