"""The least network that reads handwritten digits, for FPGAs of a few thousand LUTs."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class TinyMlp(nn.Module):
    """Two dense layers, 1,810 parameters. Takes (N, 1, 8, 8) in [0, 1], gives (N, 10) logits."""

    def __init__(self) -> None:
        super().__init__()
        self.fc1 = nn.Linear(64, 24)
        self.fc2 = nn.Linear(24, 10)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.fc2(torch.relu(self.fc1(torch.flatten(x, 1))))
        return logits
