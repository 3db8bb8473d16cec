"""A perceptron for 28x28 grey images of handwritten digits."""

from __future__ import annotations

from torch import Tensor, nn


class Mlp(nn.Module):
    """784-256-128-10, 235,146 parameters. Takes (N, 1, 28, 28) in [0, 1], gives (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(),
            nn.Linear(784, 256),
            nn.ReLU(),
            nn.Linear(256, 128),
            nn.ReLU(),
            nn.Linear(128, 10),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits
