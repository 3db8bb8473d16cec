"""A convolutional network for signals of three channels, as an accelerometer gives."""

from __future__ import annotations

from torch import Tensor, nn

from compiler.frontend.generated import settled

SHAPE = (3, 128)
CLASSES = 6


class Conv1dNet(nn.Module):
    """Four convolutions along time, average pooling, a dense layer, 12,070 parameters.

    Takes (N, 3, 128), gives (N, 6) logits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv1d(3, 16, 7, stride=2, padding=3, bias=False),
            nn.BatchNorm1d(16),
            nn.ReLU(),
            nn.Conv1d(16, 32, 5, padding=2, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(32, 32, 5, stride=2, padding=2, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.Conv1d(32, 32, 3, padding=1, bias=False),
            nn.BatchNorm1d(32),
            nn.ReLU(),
            nn.AdaptiveAvgPool1d(1),
            nn.Flatten(),
            nn.Linear(32, CLASSES),
        )

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def seeded() -> nn.Module:
    """The network with weights drawn from a seed, not trained."""
    return settled(Conv1dNet, SHAPE)
