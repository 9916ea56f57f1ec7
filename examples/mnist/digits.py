"""MNIST-5k: five thousand handwritten digits, five hundred of each kind (examples/data/README.md)."""

from __future__ import annotations

import gzip
from pathlib import Path

import numpy as np

FILE = Path(__file__).resolve().parents[1] / "data" / "mnist_5k.csv.gz"


def load() -> tuple[np.ndarray, np.ndarray]:
    """Images, float32 [5000, 1, 28, 28] from 0 (paper) to 1 (ink), and labels, int64 [5000]."""
    with gzip.open(FILE, "rt") as file:
        table = np.loadtxt(file, delimiter=",", dtype=np.uint8)
    images = table[:, :-1].reshape(-1, 1, 28, 28).astype(np.float32) / 255
    return images, table[:, -1].astype(np.int64)


def split(labels: np.ndarray, held_back: int = 100, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Row numbers for training and for testing: of every digit `held_back` rows, drawn at random, are for testing."""
    rng = np.random.default_rng(seed)
    test = np.concatenate([rng.permutation(np.flatnonzero(labels == d))[:held_back] for d in range(10)])
    return np.setdiff1d(np.arange(len(labels)), test), np.sort(test)


def shifted(images: np.ndarray, rng: np.random.Generator, most: int = 2) -> np.ndarray:
    """Each image moved by up to `most` pixels in each direction: a cheap way to have more handwriting."""
    n, _, height, width = images.shape
    padded = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    moved = np.empty_like(images)
    for i, (down, right) in enumerate(rng.integers(0, 2 * most + 1, (n, 2))):
        moved[i] = padded[i, :, down : down + height, right : right + width]
    return moved
