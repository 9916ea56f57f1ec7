"""REINFORCE on a pole that must be kept upright: Categorical policy, discounted returns, one update an episode."""

import argparse
import math
from collections import deque

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.distributions import Categorical


class Pole:
    """A stick on a cart, in a few lines of mechanics; ends when it leans too far."""

    def reset(self, start):
        self.state = np.array(start, dtype=np.float64)
        return self.state.astype(np.float32)

    def step(self, action):
        x, speed, angle, turn = self.state
        force = 10.0 if action == 1 else -10.0
        pull = (force + 0.05 * turn**2 * math.sin(angle)) / 1.1
        lean = (9.8 * math.sin(angle) - math.cos(angle) * pull) / (0.5 * (4 / 3 - 0.1 * math.cos(angle) ** 2 / 1.1))
        push = pull - 0.05 * lean * math.cos(angle) / 1.1
        self.state = np.array([x + 0.02 * speed, speed + 0.02 * push, angle + 0.02 * turn, turn + 0.02 * lean])
        return self.state.astype(np.float32), 1.0, abs(self.state[2]) > 0.2 or abs(self.state[0]) > 2.4


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine1 = nn.Linear(4, 32)
        self.dropout = nn.Dropout(p=0.0)
        self.affine2 = nn.Linear(32, 2)
        self.saved_log_probs, self.rewards = [], []

    def forward(self, x):
        return F.softmax(self.affine2(F.relu(self.dropout(self.affine1(x)))), dim=1)


def select_action(policy, state, choice):
    state = torch.from_numpy(state).float().unsqueeze(0)
    m = Categorical(policy(state))
    # Sampled with a number that the caller gives, so that two libraries draw alike.
    action = (choice < m.probs[:, 1]).long()
    policy.saved_log_probs.append(m.log_prob(action))
    return action.item(), m.entropy()


def finish_episode(policy, optimizer):
    total, returns = 0.0, deque()
    for reward in policy.rewards[::-1]:
        total = reward + 0.99 * total
        returns.appendleft(total)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std() + np.finfo(np.float32).eps.item())
    losses = [-log_prob * value for log_prob, value in zip(policy.saved_log_probs, returns, strict=True)]
    optimizer.zero_grad()
    loss = torch.cat(losses).sum()
    loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
    return loss.item()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    parser.add_argument("--weights")
    parser.add_argument("--save")
    parser.add_argument("--steps", type=int, default=50)
    args = parser.parse_args()
    torch.manual_seed(1)
    choices = np.load(args.data)["choices"]
    policy = Policy()
    if args.weights:
        policy.load_state_dict(torch.load(args.weights, weights_only=True))
    if args.save:
        torch.save(policy.state_dict(), args.save)
    optimizer = optim.Adam(policy.parameters(), lr=1e-2)
    env = Pole()
    for episode in range(args.steps):
        state = env.reset(choices[episode, :4] * 0.1 - 0.05)
        entropy = torch.zeros(1)
        for t in range(1, 60):
            action, spread = select_action(policy, state, float(choices[episode, t + 4]))
            entropy += spread.detach()
            state, reward, done = env.step(action)
            policy.rewards.append(reward)
            if done:
                break
        if len(policy.rewards) > 1:
            print(f"step {episode} loss {finish_episode(policy, optimizer):.8f} entropy {entropy.item() / t:.6f}")


if __name__ == "__main__":
    main()
