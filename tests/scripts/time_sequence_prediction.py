"""Sine waves continued by two LSTM cells in double precision, trained with LBFGS on the whole set at once."""

import argparse

import numpy as np
import torch
import torch.nn as nn
import torch.optim as optim


class Sequence(nn.Module):
    def __init__(self, size=12):
        super().__init__()
        self.lstm1 = nn.LSTMCell(1, size)
        self.lstm2 = nn.LSTMCell(size, size)
        self.linear = nn.Linear(size, 1)
        self.size = size

    def forward(self, input, future=0):
        outputs = []
        h1 = torch.zeros(input.size(0), self.size, dtype=torch.double)
        c1, h2, c2 = torch.zeros_like(h1), torch.zeros_like(h1), torch.zeros_like(h1)
        output = None
        for input_t in input.split(1, dim=1):
            h1, c1 = self.lstm1(input_t, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs += [output]
        for _ in range(future):
            h1, c1 = self.lstm1(output, (h1, c1))
            h2, c2 = self.lstm2(h1, (h2, c2))
            output = self.linear(h2)
            outputs += [output]
        return torch.cat(outputs, dim=1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--save")
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    torch.manual_seed(1)
    waves = torch.from_numpy(np.load(args.data)["waves"])
    input, target = waves[:, :-1], waves[:, 1:]
    seq = Sequence()
    seq.double()
    if args.weights:
        seq.load_state_dict(torch.load(args.weights, weights_only=True))
    if args.save:
        torch.save(seq.state_dict(), args.save)
    criterion = nn.MSELoss()
    optimizer = optim.LBFGS(seq.parameters(), lr=0.8, max_iter=5)
    count = 0

    def closure():
        nonlocal count
        optimizer.zero_grad()
        loss = criterion(seq(input), target)
        if count < args.steps:
            print(f"step {count} loss {loss.item():.8f}")
        count += 1
        loss.backward()
        return loss

    while count < args.steps:
        optimizer.step(closure)
    with torch.no_grad():
        predicted = seq(input[:1], future=5)
        print(f"step future loss {predicted[:, -5:].mean().item():.8f}")


if __name__ == "__main__":
    main()
