"""The networks that benchmarks compress, written as their papers have them.

Every ReLU is a module of its own, as DeepLIFT's hooks need.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import torch.nn.functional as F
from torch import Tensor, nn


class Block(nn.Module):
    """Two 3x3 convolutions beside a shortcut that subsamples and pads with zero channels."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.relu1 = nn.ReLU()
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.relu2 = nn.ReLU()
        self.stride = stride
        self.pad = (outputs - inputs) // 2

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(self.relu1(self.bn1(self.conv1(x)))))
        shortcut = x
        if self.stride > 1 or self.pad:
            shortcut = x[:, :, :: self.stride, :: self.stride]
            shortcut = F.pad(shortcut, (0, 0, 0, 0, self.pad, self.pad))
        result: Tensor = self.relu2(out + shortcut)
        return result


class ResNet(nn.Module):
    """(N, 3, 32, 32) -> (N, 10) logits; `depth` is 6 n + 2 layers.

    For CIFAR-10 with option-A shortcuts (He et al., CVPR 2016, arXiv 1512.03385, 4.2). State dict
    keys are those of the common public implementation (conv1, bn1, layer1.0.conv1, ...).
    """

    def __init__(self, depth: int = 20) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.relu = nn.ReLU()
        blocks = (depth - 2) // 6
        self.layer1 = _stage(16, 16, 1, blocks)
        self.layer2 = _stage(16, 32, 2, blocks)
        self.layer3 = _stage(32, 64, 2, blocks)
        self.linear = nn.Linear(64, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        logits: Tensor = self.linear(x.mean((2, 3)))
        return logits


def _stage(inputs: int, outputs: int, stride: int, blocks: int) -> nn.Sequential:
    rest = [Block(outputs, outputs, 1) for _ in range(blocks - 1)]
    return nn.Sequential(Block(inputs, outputs, stride), *rest)


def resnet20() -> nn.Module:
    return ResNet(20)


def resnet56() -> nn.Module:
    return ResNet(56)


def vgg16() -> nn.Module:
    """VGG-16 (Simonyan and Zisserman, arXiv 1409.1556) for 32x32, batch norms, a quarter as wide.

    (N, 3, 32, 32) -> (N, 10). 13 convolutions of 16 to 128 channels and one dense layer.
    """
    plan: list[int | str] = [64, 64, "M", 128, 128, "M", 256, 256, 256, "M"]
    plan += [512, 512, 512, "M", 512, 512, 512, "M"]
    layers: list[nn.Module] = []
    inputs = 3
    for entry in plan:
        if isinstance(entry, str):
            layers.append(nn.MaxPool2d(2))
            continue
        width = entry // 4
        layers += [
            nn.Conv2d(inputs, width, 3, padding=1, bias=False),
            nn.BatchNorm2d(width),
            nn.ReLU(),
        ]
        inputs = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs, 10))


def mlp() -> nn.Module:
    """(N, 1, 28, 28) -> (N, 10): 784-300-100-10 (LeNet-300-100, LeCun et al., 1998)."""
    return nn.Sequential(
        nn.Flatten(),
        nn.Linear(784, 300),
        nn.ReLU(),
        nn.Linear(300, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def lenet5() -> nn.Module:
    """(N, 1, 28, 28) -> (N, 10): LeNet-5 (LeCun et al., 1998) with ReLU and max pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def digits() -> nn.Module:
    """(N, 1, 8, 8) -> (N, 10): the network of examples/digits."""
    file = Path(__file__).parents[1] / "examples" / "digits" / "model.py"
    spec = spec_from_file_location("digits_model", file)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    network: nn.Module = module.DigitsNet()
    return network


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "resnet20": resnet20,
    "resnet56": resnet56,
    "vgg16": vgg16,
    "lenet5": lenet5,
    "mlp": mlp,
    "digits": digits,
}
