"""Next-word prediction with truncated backpropagation: an LSTM that carries its state on, or a masked Transformer."""

import argparse
import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class RNNModel(nn.Module):
    def __init__(self, words, size, layers, dropout, tied):
        super().__init__()
        self.drop = nn.Dropout(dropout)
        self.encoder = nn.Embedding(words, size)
        self.rnn = nn.LSTM(size, size, layers, dropout=dropout)
        self.decoder = nn.Linear(size, words)
        if tied:
            self.decoder.weight = self.encoder.weight
        nn.init.uniform_(self.encoder.weight, -0.1, 0.1)
        nn.init.zeros_(self.decoder.bias)
        self.layers, self.size = layers, size

    def forward(self, input, hidden):
        output, hidden = self.rnn(self.drop(self.encoder(input)), hidden)
        decoded = self.decoder(self.drop(output))
        return F.log_softmax(decoded.view(-1, decoded.size(-1)), dim=1), hidden

    def init_hidden(self, batch):
        weight = next(self.parameters())
        return (weight.new_zeros(self.layers, batch, self.size), weight.new_zeros(self.layers, batch, self.size))


class PositionalEncoding(nn.Module):
    def __init__(self, size, dropout, longest=500):
        super().__init__()
        self.dropout = nn.Dropout(p=dropout)
        position = torch.arange(0, longest, dtype=torch.float).unsqueeze(1)
        steps = torch.exp(torch.arange(0, size, 2).float() * (-math.log(10000.0) / size))
        table = torch.zeros(longest, size)
        table[:, 0::2] = torch.sin(position * steps)
        table[:, 1::2] = torch.cos(position * steps)
        self.register_buffer("table", table.unsqueeze(0).transpose(0, 1))

    def forward(self, x):
        return self.dropout(x + self.table[: x.size(0), :])


class TransformerModel(nn.Module):
    def __init__(self, words, size, heads, layers, dropout):
        super().__init__()
        self.mask = None
        self.position = PositionalEncoding(size, dropout)
        layer = nn.TransformerEncoderLayer(size, heads, 2 * size, dropout)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.embedding = nn.Embedding(words, size)
        self.decoder = nn.Linear(size, words)
        self.size = size

    def forward(self, source):
        if self.mask is None or self.mask.size(0) != len(source):
            self.mask = torch.log(torch.tril(torch.ones(len(source), len(source))))
        x = self.position(self.embedding(source) * math.sqrt(self.size))
        x = self.decoder(self.encoder(x, mask=self.mask))
        return F.log_softmax(x, dim=-1)


def batchify(data, batch):
    data = data.narrow(0, 0, data.size(0) // batch * batch)
    return data.view(batch, -1).t().contiguous()


def repackage_hidden(h):
    if isinstance(h, torch.Tensor):
        return h.detach()
    return tuple(repackage_hidden(v) for v in h)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--save")
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--model", default="LSTM")
    parser.add_argument("--dropout", type=float, default=0.2)
    parser.add_argument("--lr", type=float, default=1.0)
    args = parser.parse_args()
    torch.manual_seed(1)
    words, bptt, batch, clip = 50, 12, 8, 0.25
    data = batchify(torch.from_numpy(np.load(args.data)["words"]), batch)
    if args.model == "Transformer":
        model = TransformerModel(words, 32, 2, 2, args.dropout)
    else:
        model = RNNModel(words, 32, 2, args.dropout, tied=True)
    if args.weights:
        model.load_state_dict(torch.load(args.weights, weights_only=True))
    if args.save:
        torch.save(model.state_dict(), args.save)
    criterion = nn.NLLLoss()
    model.train()
    lr = args.lr
    hidden = model.init_hidden(batch) if args.model != "Transformer" else None
    for step in range(args.steps):
        at = (step * bptt) % (data.size(0) - bptt - 1)
        source, targets = data[at : at + bptt], data[at + 1 : at + 1 + bptt].view(-1)
        model.zero_grad()
        if hidden is None:
            output = model(source).view(-1, words)
        else:
            output, hidden = model(source, repackage_hidden(hidden))
        loss = criterion(output, targets)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        for p in model.parameters():
            p.data.add_(p.grad, alpha=-lr)
        print(f"step {step} loss {loss.item():.8f}")


if __name__ == "__main__":
    main()
