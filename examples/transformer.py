"""A tiny transformer learns a sentence by heart, one character after the other, and recites it from the C runtime.

The program has two methods that share weights and a key/value cache (its state): `read` takes a beginning of any
length, `step` one more character. Attention over the cache is the same code as in eager Python.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # small matrices: BLAS threads would only wait for each other

import numpy as np

import pappus as pp
from pappus import nn
from pappus.utils.data import progress

TEXT = "A pappus carries a dandelion's seed away; Pappus carries a model. "
LETTERS = sorted(set(TEXT))
LENGTH, WIDTH, HEADS, LAYERS = 80, 32, 4, 2


def encode(text: str) -> np.ndarray:
    """Characters as int64 [1, n]."""
    return np.array([[LETTERS.index(c) for c in text]])


class Block(nn.Module):
    """Causal attention with a cache, then two linear layers, both added to what came in."""

    keys: pp.Tensor
    values: pp.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.ReLU(), nn.Linear(4 * WIDTH, WIDTH))
        for name in ("keys", "values"):
            self.register_buffer(name, pp.zeros(1, HEADS, LENGTH, WIDTH // HEADS))

    def forward(self, x: pp.Tensor, start: pp.Tensor | None, mask: pp.Tensor | None) -> pp.Tensor:
        batch, n, _ = x.shape
        qkv = self.qkv(self.norm1(x)).reshape(batch, n, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        query, key, value = qkv[0], qkv[1], qkv[2]
        if start is not None:  # write into the cache from `start` on, and attend to all of it that the mask allows
            self.keys.copy_(pp.slice_update(self.keys, key, start, 2))
            self.values.copy_(pp.slice_update(self.values, value, start, 2))
            key, value = self.keys, self.values
        seen = nn.functional.scaled_dot_product_attention(query, key, value, attn_mask=mask, is_causal=mask is None)
        x = x + self.out(seen.transpose(1, 2).reshape(batch, n, WIDTH))
        return x + self.mlp(self.norm2(x))


class Reciter(nn.Module):
    """Scores for the next character: forward(tokens [batch, n]) for training, forward([1, n], start) with the cache."""

    def __init__(self) -> None:
        super().__init__()
        self.letters, self.places = nn.Embedding(len(LETTERS), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList([Block() for _ in range(LAYERS)])
        self.head = nn.Linear(WIDTH, len(LETTERS))

    def forward(self, tokens: pp.Tensor, start: pp.Tensor | None = None) -> pp.Tensor:
        places = pp.arange(tokens.shape[1])
        mask = None
        if start is not None:
            places = places + start
            mask = pp.arange(LENGTH)[None, :] <= places[:, None]
        x = self.letters(tokens) + self.places(places)
        for block in self.blocks:
            x = block(x, start, mask)
        return self.head(x)


def train(model: Reciter, steps: int) -> None:
    """Every window of the text, that goes round and round, predicts its next characters."""
    rng = np.random.default_rng(0)
    ring = np.concatenate([encode(TEXT)[0]] * 3)
    optimizer = pp.optim.AdamW(model.parameters(), lr=1e-2)
    schedule = pp.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with progress(range(steps), "training") as bar:
        for step in bar:
            starts = rng.integers(0, len(TEXT), 8)
            windows = np.stack([ring[s : s + LENGTH + 1] for s in starts])
            scores = model(pp.tensor(windows[:, :-1]))
            loss = nn.functional.cross_entropy(scores.flatten(0, 1), pp.tensor(windows[:, 1:]).flatten())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            if step % 10 == 0:
                bar.set_postfix(loss=f"{loss.item():.3f}")


def methods(model: Reciter) -> dict:
    """What `pappus export` takes: two methods of one program."""
    start = pp.tensor(0)
    read = (model, (pp.tensor(encode(TEXT[:5])), start), {"tokens": {1: pp.export.Dim("n", min=1, max=LENGTH)}})
    return {"read": read, "step": (model, (pp.tensor(encode(TEXT[:1])), start))}


def make() -> dict:
    """For `pappus export examples/transformer.py:make`: the same model, untrained."""
    pp.manual_seed(0)
    return methods(Reciter().eval())


def recite(session: pp.runtime.Session, beginning: str, count: int) -> str:
    """`count` more characters, each the most likely one."""
    read, step = session.method("read"), session.method("step")
    scores, text = read(encode(beginning), np.array(0)), beginning
    for place in range(len(beginning), len(beginning) + count):
        text += LETTERS[int(scores[0, -1].argmax())]
        scores = step(encode(text[-1]), np.array(place))
    return text


def main(path: Path = Path("reciter.pap"), steps: int = 300) -> int:
    """Train, export both methods, recite in C; 0 if the sentence comes out."""
    pp.manual_seed(0)
    model = Reciter()
    train(model, steps)
    captured = {
        name: pp.export.export(m, args, dynamic_shapes=dims[0] if dims else None, name=name)
        for name, (m, args, *dims) in methods(model.eval()).items()
    }
    pp.export.lower(captured).save(path)
    session = pp.runtime.load(path)
    beginning = TEXT[:8]
    text = recite(session, beginning, len(TEXT) - len(beginning))
    print(text)
    return 0 if text == TEXT else 1


if __name__ == "__main__":
    sys.exit(main())
