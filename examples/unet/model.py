"""A small U-Net: a value for every pixel."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compiler.frontend.generated import settled

SHAPE = (3, 32, 32)


def _conv(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU()
    )


class UNet(nn.Module):
    """Two steps down by max pooling, two up by repeated pixels, each beside a skip connection.

    After Ronneberger et al., "U-Net", 2015, arXiv 1505.04597, with a map of one channel at its end.
    Takes (N, 3, 32, 32), gives (N, 1, 32, 32).
    """

    def __init__(self) -> None:
        super().__init__()
        self.down1 = nn.Sequential(_conv(3, 8), _conv(8, 8))
        self.down2 = _conv(8, 16)
        self.bottom = _conv(16, 32)
        self.up2 = _conv(32 + 16, 16)
        self.up1 = _conv(16 + 8, 8)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        wide = self.down1(x)
        middle = self.down2(F.max_pool2d(wide, 2))
        x = self.bottom(F.max_pool2d(middle, 2))
        x = self.up2(torch.cat([F.interpolate(x, scale_factor=2.0), middle], 1))
        x = self.up1(torch.cat([F.interpolate(x, scale_factor=2.0), wide], 1))
        pixels: Tensor = self.head(x)
        return pixels


def seeded() -> nn.Module:
    """The network with weights drawn from a seed, not trained."""
    return settled(UNet, SHAPE)
