"""A variational autoencoder: two heads, reparametrization, binary cross-entropy plus the divergence, Adam."""

import argparse

import numpy as np
import torch
from torch import nn, optim
from torch.nn import functional as F


class VAE(nn.Module):
    def __init__(self, size, hidden=64, latent=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(size, hidden), nn.ReLU())
        self.mean = nn.Linear(hidden, latent)
        self.log_variance = nn.Linear(hidden, latent)
        self.decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, size), nn.Sigmoid())

    def forward(self, x, noise=None):
        h = self.encoder(x)
        mean, log_variance = self.mean(h), self.log_variance(h)
        std = torch.exp(0.5 * log_variance)
        if noise is None:
            noise = torch.randn_like(std)
        return self.decoder(mean + noise * std), mean, log_variance


def loss_function(reconstruction, x, mean, log_variance):
    bce = F.binary_cross_entropy(reconstruction, x, reduction="sum")
    kld = -0.5 * torch.sum(1 + log_variance - mean.pow(2) - log_variance.exp())
    return (bce + kld) / x.numel()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--save")
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    torch.manual_seed(1)
    file = np.load(args.data)
    images = torch.from_numpy(file["images"])[:, 0].flatten(1).sigmoid()
    noise = torch.from_numpy(file["noise"])
    model = VAE(images.size(1))
    if args.weights:
        model.load_state_dict(torch.load(args.weights, weights_only=True))
    if args.save:
        torch.save(model.state_dict(), args.save)
    optimizer = optim.Adam(model.parameters(), lr=1e-3)
    batch = 32
    for step in range(args.steps):
        at = (step * batch) % (len(images) - batch + 1)
        x = images[at : at + batch]
        optimizer.zero_grad(set_to_none=True)
        reconstruction, mean, log_variance = model(x, noise[step, :batch, :8])
        loss = loss_function(reconstruction, x, mean, log_variance)
        loss.backward()
        optimizer.step()
        print(f"step {step} loss {loss.item():.8f}")


if __name__ == "__main__":
    main()
