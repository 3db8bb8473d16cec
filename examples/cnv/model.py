"""CNV, the VGG-like network of FINN, for 32x32 colour images."""

from __future__ import annotations

from torch import Tensor, nn

PLAN: tuple[int | str, ...] = (64, 64, "M", 128, 128, "M", 256, 256)


class Cnv(nn.Module):
    """Six unpadded 3x3 convolutions and three dense layers, 1,543,818 parameters.

    Umuroglu et al., "FINN", FPGA 2017, arXiv 1612.07119. Takes (N, 3, 32, 32) in [0, 1], gives
    (N, 10) logits.
    """

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        inputs = 3
        for entry in PLAN:
            if isinstance(entry, str):
                layers.append(nn.MaxPool2d(2))
                continue
            layers += [nn.Conv2d(inputs, entry, 3, bias=False), nn.BatchNorm2d(entry), nn.ReLU()]
            inputs = entry
        layers.append(nn.Flatten())
        for outputs in (512, 512):
            layers += [nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU()]
            inputs = outputs
        self.layers = nn.Sequential(*layers, nn.Linear(inputs, 10))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits
