"""The joint training of Two Rooms in PyTorch: the same layers, losses and optimiser on pictures that are already there.

Runs in the peers' environment: `trainer.py`, then one line in for so many steps, and the time of a step (ms) out.
"""

import sys
import time

import torch
from torch import nn

FILMS, FRAMES, SIZE, PATCH, FEATURES, CONTEXT, WIDTH = 128, 9, 65, 8, 32, 32, 256


def condense(size: int) -> nn.Module:
    """What a context passes through before it is added to the first layer."""
    half = WIDTH // 2
    return nn.Sequential(nn.Linear(size, half), nn.ReLU(), nn.Linear(half, half), nn.ReLU(), nn.Linear(half, WIDTH))


class Residual(nn.Module):
    """`h = relu(W x + c)`, `h = h + relu(W h)`, and `y = W h + V x`."""

    def __init__(self, inputs: int, outputs: int, depth: int, condition: int = 0):
        super().__init__()
        self.first, self.last = nn.Linear(inputs, WIDTH), nn.Linear(WIDTH, outputs)
        self.between = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(depth))
        self.straight = nn.Linear(inputs, outputs, bias=False)
        self.condition = condense(condition) if condition else nn.Identity()

    def forward(self, x, added=0.0):
        h = torch.relu(self.first(x) + added)
        for layer in self.between:
            h = h + torch.relu(layer(h))
        return self.last(h) + self.straight(x)


class Learner(nn.Module):
    """Encoder, predictor and the network that guesses actions."""

    def __init__(self):
        super().__init__()
        side = -(-SIZE // PATCH)
        self.side = side
        self.each = nn.Linear(2 * PATCH * PATCH, 32)
        self.together = Residual(side * side * 32, FEATURES + CONTEXT, 1)
        self.predictor = Residual(FEATURES + 2, FEATURES, 2, CONTEXT)
        self.inverse = nn.Sequential(nn.Linear(2 * FEATURES, 128), nn.ReLU(), nn.Linear(128, 2))

    def encode(self, pictures):
        x = pictures.float() / 255.0
        pad = self.side * PATCH - SIZE
        x = nn.functional.pad(x, (0, pad, 0, pad))
        x = x.reshape(-1, 2, self.side, PATCH, self.side, PATCH).permute(0, 2, 4, 1, 3, 5).reshape(len(x), self.side**2, -1)
        z = self.together(torch.relu(self.each(x)).flatten(1))
        return norm(z[:, :FEATURES]), norm(z[:, FEATURES:])


def norm(x):
    """Mean 0 and variance 1 of every vector."""
    return nn.functional.layer_norm(x, x.shape[-1:])


def covariance(x):
    """Over the samples."""
    x = x - x.mean(0)
    return x.T @ x / (len(x) - 1)


def loss_of(learner, pictures, actions):
    """The recipe's terms with the weights that they have at the beginning."""
    features, context = (x.reshape(FILMS, FRAMES, -1) for x in learner.encode(pictures.reshape(-1, 2, SIZE, SIZE)))
    added, state, predicted = learner.predictor.condition(context[:, 0]), features[:, 0], []
    for step in range(FRAMES - 1):
        state = norm(state + learner.predictor(torch.cat([state, actions[:, step]], -1), added))
        predicted.append(state)
    flat, layout = features.flatten(0, 1), context.flatten(0, 1)
    spread = covariance(flat)
    off = spread - torch.diag(torch.diag(spread))
    rate = -torch.linalg.slogdet(0.01 * torch.eye(CONTEXT) + covariance(layout))[1] / CONTEXT
    within = features.var(1).mean(0)
    cross = (flat - flat.mean(0)).T @ (layout - layout.mean(0)) / (len(flat) - 1)
    guessed = learner.inverse(torch.cat([features[:, :-1], features[:, 1:]], -1))
    terms = (
        4.0 * rate,
        50.0 * context.var(1, unbiased=False).mean(),
        16.0 * torch.relu(1.0 - torch.sqrt(flat.var(0) + 1e-4)).mean(),
        8.0 * off.square().sum() / (FEATURES * (FEATURES - 1)),
        16.0 * torch.relu(0.6 - torch.sqrt(within + 1e-4)).mean(),
        8.0 * cross.square().mean(),
        1.0 * features.diff(dim=1).square().mean(),
        25.0 * (guessed - actions).square().mean(),
        4.0 * (torch.stack(predicted, 1) - features[:, 1:]).square().mean(),
    )
    return torch.stack(terms).sum()


def main() -> None:
    """Answer line by line."""
    torch.manual_seed(0)
    learner = Learner()
    optimiser = torch.optim.AdamW(learner.parameters(), lr=1e-3, weight_decay=1e-5)
    pictures = torch.randint(0, 256, (FILMS, FRAMES, 2, SIZE, SIZE), dtype=torch.uint8)
    actions = torch.rand(FILMS, FRAMES - 1, 2) * 2 - 1
    for line in sys.stdin:
        steps, start = int(line), time.perf_counter()
        for _ in range(steps):
            optimiser.zero_grad()
            loss_of(learner, pictures, actions).backward()
            nn.utils.clip_grad_norm_(learner.parameters(), 2.0)
            optimiser.step()
        print(1e3 * (time.perf_counter() - start) / steps, flush=True)


if __name__ == "__main__":
    main()
