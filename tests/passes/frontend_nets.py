"""Networks as people bring them: each asks for operations that plain chains do not have."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import torch
import torch.nn.functional as F
from quant_graph import Graph, passed_on
from torch import Tensor, nn


class Padded(nn.Module):
    """Zero padding as functions, modules and "same", even and uneven, and dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.pad = nn.ZeroPad2d((1, 0, 2, 1))
        self.a = nn.Conv2d(3, 6, (4, 2))
        self.b = nn.Conv2d(6, 5, (2, 4), padding="same")
        self.c = nn.Conv2d(5, 5, 3, padding="same", dilation=2)
        self.even = nn.ConstantPad2d(1, 0.0)
        self.d = nn.Conv2d(5, 6, 3, 2, padding=1, dilation=(2, 1))
        self.head = nn.Linear(6 * 4 * 6, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(self.pad(x)))
        x = torch.relu(self.c(torch.relu(self.b(x))))
        x = torch.relu(self.d(self.even(x)))
        x = F.max_pool2d(F.pad(x, (1, 0)), 1)
        logits: Tensor = self.head(x.flatten(1))
        return logits


class Pooled(nn.Module):
    """ResNet's stem pooling, windows that are not square, windows over the edge; a raw branch."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 6, 3, padding=1)
        self.stem = nn.MaxPool2d(3, 2, padding=1)
        self.b = nn.Conv2d(6, 5, 3, padding=1)
        self.flat = nn.MaxPool2d((1, 2), (1, 1))
        self.c = nn.Conv2d(5, 6, (3, 2), padding=(1, 0))
        self.edge = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.head = nn.Linear(6 * 4 * 2, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(torch.relu(self.a(x)))
        x = torch.relu(self.flat(self.b(x)))
        x = self.c(x)
        x = torch.relu(self.edge(x) + F.max_pool2d(x, (1, 2), 2))
        logits: Tensor = self.head(x.flatten(1))
        return logits


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "padded": (Padded, (3, 8, 8)),
    "pooled": (Pooled, (3, 15, 12)),
}


@cache
def passed(name: str) -> Graph:
    """`passed_on` of one of `NETS`, once."""
    made, shape = NETS[name]
    return passed_on(name, made, shape)
