"""DS-CNN, the keyword spotting network of MLPerf Tiny."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from compiler.frontend.generated import settled

SHAPE = (1, 49, 10)
"""49 frames of 10 MFCCs, one second of speech."""
CLASSES = 12


def _block(channels: int) -> list[nn.Module]:
    """A depthwise and a pointwise convolution."""
    return [
        nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
        nn.Conv2d(channels, channels, 1, bias=False),
        nn.BatchNorm2d(channels),
        nn.ReLU(),
    ]


class DsCnn(nn.Module):
    """One convolution and four depthwise-separable blocks of 64 channels, average pooling.

    Zhang et al., "Hello Edge", 2017, arXiv 1711.07128; sizes of MLPerf Tiny, arXiv 2106.07597.
    Takes (N, 1, 49, 10), gives (N, 12) logits.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 64, (10, 4), stride=2, bias=False),
            nn.BatchNorm2d(64),
            nn.ReLU(),
            nn.Dropout(0.2),
        )
        self.blocks = nn.Sequential(*(layer for _ in range(4) for layer in _block(64)))
        self.pool = nn.AvgPool2d((25, 5))
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(0.4), nn.Linear(64, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(F.pad(x, (1, 1, 4, 5)))  # as TensorFlow's "same": more at the end
        logits: Tensor = self.head(self.pool(self.blocks(x)))
        return logits


def seeded() -> nn.Module:
    """The network with weights drawn from a seed, not trained."""
    return settled(DsCnn, SHAPE)
