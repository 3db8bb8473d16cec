"""MobileNetV1 at a quarter of its width, the visual wake words network of MLPerf Tiny."""

from __future__ import annotations

from torch import Tensor, nn

from compiler.frontend.generated import settled

SHAPE = (3, 96, 96)
CLASSES = 2
STEM = 8
PLAN = ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *((128, 1),) * 5, (256, 2), (256, 1))
"""(channels, stride) of every depthwise-separable block."""


def _block(inputs: int, outputs: int, stride: int) -> list[nn.Module]:
    """A depthwise and a pointwise convolution."""
    return [
        nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False),
        nn.BatchNorm2d(inputs),
        nn.ReLU(),
        nn.Conv2d(inputs, outputs, 1, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(),
    ]


class MobileNet(nn.Module):
    """A convolution, 13 depthwise-separable blocks, average pooling, a dense layer.

    Howard et al., "MobileNets", 2017, arXiv 1704.04861; sizes of MLPerf Tiny, arXiv 2106.07597.
    Takes (N, 3, 96, 96), gives (N, 2) logits.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = [
            nn.Conv2d(3, STEM, 3, 2, 1, bias=False),
            nn.BatchNorm2d(STEM),
            nn.ReLU(),
        ]
        inputs = STEM
        for outputs, stride in PLAN:
            layers += _block(inputs, outputs, stride)
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.AvgPool2d(3), nn.Flatten())
        self.head = nn.Linear(inputs, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layers(x))
        return logits


def seeded() -> nn.Module:
    """The network with weights drawn from a seed, not trained."""
    return settled(MobileNet, SHAPE)
