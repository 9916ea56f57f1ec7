"""Training, in one sitting: an epoch is every training image once, moved a little, in a new order."""

from __future__ import annotations

import digits
import numpy as np

import pappus as pp
from pappus import nn
from pappus.utils.data import progress

EPOCHS, BATCH, PEAK_RATE = 7, 64, 1e-2


def train(net: nn.Module, images: np.ndarray, labels: np.ndarray, epochs: int = EPOCHS, seed: int = 0) -> None:
    """Fit `net` to images [n, 1, 28, 28] and labels [n]. The same seed gives the same network."""
    rng = np.random.default_rng(seed)
    optimizer = pp.optim.AdamW(net.parameters(), lr=PEAK_RATE, weight_decay=1e-2)
    batches = -(-len(images) // BATCH)
    # The rate rises, then falls to almost nothing: quick progress first, careful steps last.
    schedule = pp.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=PEAK_RATE, total_steps=epochs * batches)
    net.train()
    with progress(range(epochs * batches), "training") as steps:
        for step in steps:
            if step % batches == 0:
                order = rng.permutation(len(images))
            rows = order[step % batches * BATCH :][:BATCH]
            x, y = pp.tensor(digits.shifted(images[rows], rng)), pp.tensor(labels[rows])
            loss = nn.functional.cross_entropy(net(x), y, label_smoothing=0.05)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % 20 == 0:
                steps.set_postfix(loss=f"{loss.item():.3f}")
    net.eval()


def predict(net: nn.Module, images: np.ndarray, batch: int = 100) -> np.ndarray:
    """The network's scores [n, 10]."""
    with pp.no_grad():
        parts = [net(pp.tensor(images[i : i + batch])).numpy() for i in range(0, len(images), batch)]
    return np.concatenate(parts)
