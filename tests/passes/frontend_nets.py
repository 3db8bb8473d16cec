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
        self.stem = nn.MaxPool2d(3, 2, padding=1, ceil_mode=True)
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


class Clipped(nn.Module):
    """ReLU6, clamps and Hardtanh, with limits that activations do reach."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 6, 3, padding=1)
        self.act = nn.ReLU6(inplace=True)
        self.b = nn.Conv2d(6, 5, 3, 2, padding=1)
        self.signed = nn.Hardtanh(-1.5, 1.5)
        self.c = nn.Conv2d(5, 5, 3, padding=1)
        self.d = nn.Conv2d(5, 5, 1)
        self.head = nn.Linear(5, 4)
        with torch.no_grad():
            for layer, gain in ((self.a, 12), (self.b, 2), (self.c, 3), (self.d, 3)):
                layer.weight.mul_(gain)

    def forward(self, x: Tensor) -> Tensor:
        x = self.signed(self.b(self.act(self.a(x))))
        x = torch.clamp(self.c(x), 0, 1.25)
        x = F.hardtanh(self.d(x) + x)
        logits: Tensor = self.head(x.clamp(min=0).mean((2, 3)))
        return logits


class Inverted(nn.Module):
    """MobileNetV2's block: pointwise, depthwise, pointwise without activation, added."""

    def __init__(self, channels: int, inner: int, outputs: int, stride: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for size, before, after, groups in ((1, channels, inner, 1), (3, inner, inner, inner)):
            conv = nn.Conv2d(
                before,
                after,
                size,
                stride if groups > 1 else 1,
                size // 2,
                groups=groups,
                bias=False,
            )
            layers += [conv, nn.BatchNorm2d(after), nn.ReLU6(inplace=True)]
        layers += [nn.Conv2d(inner, outputs, 1, bias=False), nn.BatchNorm2d(outputs)]
        self.layers = nn.Sequential(*layers)
        self.adds = stride == 1 and channels == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.adds else y


class Mobile(nn.Module):
    """A small MobileNetV2: linear bottlenecks, odd numbers of channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 7, 3, 2, 1, bias=False), nn.BatchNorm2d(7), nn.ReLU6()
        )
        self.blocks = nn.Sequential(Inverted(7, 13, 7, 1), Inverted(7, 13, 9, 2))
        self.last = nn.Conv2d(9, 11, 1)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(11, 4))

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu6(self.last(self.blocks(self.stem(x))))
        logits: Tensor = self.head(torch.flatten(self.pool(x), 1))
        return logits


class Signal(nn.Module):
    """One dimension: every layer and pooling that there is for it."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(2, 6, 5, padding=2, bias=False),
            nn.BatchNorm1d(6),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(6, 6, 4, padding="same", groups=6),
            nn.ReLU(),
            nn.Conv1d(6, 8, 3, stride=2, dilation=2),
            nn.BatchNorm1d(8),
            nn.ReLU(),
        )
        self.same = nn.Conv1d(8, 8, 1)
        self.up = nn.Upsample(scale_factor=3)
        self.pool = nn.AdaptiveAvgPool1d(1)
        self.head = nn.Linear(8, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.body(x)
        x = torch.relu(x + self.same(x))
        x = self.up(F.avg_pool1d(F.max_pool1d(x, 3, 1, padding=1), 2))
        logits: Tensor = self.head(self.pool(x).squeeze(-1))
        return logits


class Decoder(nn.Module):
    """Up again beside a skip connection, as in U-Net; by module and by function."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 5, 3, padding=1)
        self.b = nn.Conv2d(5, 6, 3, padding=1)
        self.up = nn.Upsample(scale_factor=2)
        self.c = nn.Conv2d(11, 5, 3, padding=1)
        self.d = nn.Conv2d(5, 4, 3, stride=2)
        self.head = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        a = torch.relu(self.a(x))
        b = torch.relu(self.b(F.max_pool2d(a, 2)))
        x = torch.relu(self.c(torch.cat([self.up(b), a], 1)))
        x = F.interpolate(self.d(x), scale_factor=(2, 3), mode="nearest")
        logits: Tensor = self.head(torch.relu(x).mean(dim=[-2, -1]))
        return logits


class Twice(nn.Module):
    """A convolution and a linear layer used twice each, and ways to flatten."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 5, 3, padding=1)
        self.shared = nn.Conv2d(5, 5, 3, padding=1)
        self.inner = nn.Sequential(nn.Sequential(nn.Linear(5 * 4, 13), nn.Identity()), nn.ReLU())
        self.again = nn.Linear(13, 13)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(13, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.shared(F.max_pool2d(torch.relu(self.stem(x)), 2)))
        x = F.max_pool2d(torch.relu(self.shared(x)), 2)
        x = self.inner(x.view(x.size(0), -1))
        x = torch.relu(self.again(torch.relu(self.again(self.drop(x)))))
        logits: Tensor = self.head(F.dropout(x, 0.5, self.training))
        return logits


class Normed(nn.Module):
    """Batch norms where no layer is before them: of the input, before activations, after them."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.BatchNorm2d(3)
        self.a = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.b = nn.Conv2d(6, 6, 3, padding=1)
        self.after = nn.BatchNorm2d(6)
        self.c = nn.Conv2d(6, 5, 3, 2, padding=1)
        self.d = nn.Linear(80, 9)
        self.flat = nn.BatchNorm1d(9)
        self.head = nn.Linear(9, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.a(self.first(x)))
        x = x + self.b(torch.relu(self.norm(x)))
        x = self.c(self.after(torch.relu(x)))
        logits: Tensor = self.head(self.flat(torch.relu(self.d(torch.relu(x).flatten(1)))))
        return logits


class Whole(nn.Module):
    """No dense layer: a pointwise convolution and pooling at the end, and a softmax."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 7, 3), nn.ReLU(), nn.Conv2d(7, 6, 3, 2), nn.ReLU6())
        self.end = nn.Sequential(nn.Dropout(0.5), nn.Conv2d(6, 4, 1), nn.AdaptiveAvgPool2d(1))

    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(self.end(self.body(x)).flatten(1), 1)


NETS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "padded": (Padded, (3, 8, 8)),
    "pooled": (Pooled, (3, 15, 12)),
    "clipped": (Clipped, (3, 8, 8)),
    "mobile": (Mobile, (3, 12, 12)),
    "signal": (Signal, (2, 24)),
    "decoder": (Decoder, (3, 6, 6)),
    "whole": (Whole, (3, 8, 8)),
    "normed": (Normed, (3, 8, 8)),
    "twice": (Twice, (3, 8, 8)),
}


@cache
def passed(name: str) -> Graph:
    """`passed_on` of one of `NETS`, once."""
    made, shape = NETS[name]
    return passed_on(name, made, shape)
