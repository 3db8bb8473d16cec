"""Small trained-like networks and data that the tests of the float passes share."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from compiler.stages import Dataset, FloatModel, InputFormat, ScoredModel
from passes.attribute import Attribute
from passes.base import Context
from passes.prepare import Prepare

SHAPE = (2, 8, 8)
FORMAT = InputFormat(8, True, 1 / 32)


class SmallNet(nn.Module):
    """Convolutions with and without bias and batch norm, written the functional way."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(2, 8, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(8)
        self.conv2 = nn.Conv2d(8, 12, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(48, 16)
        self.drop = nn.Dropout(0.5)
        self.fc2 = nn.Linear(16, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.bn1(self.conv1(x)))
        x = nn.functional.max_pool2d(self.conv2(x), 2).relu()
        x = self.drop(x.view(x.size(0), -1))
        logits: torch.Tensor = self.fc2(nn.functional.relu(self.fc1(x), inplace=True))
        return logits


def small_net(seed: int = 0) -> nn.Module:
    """SmallNet with random weights and batch-norm statistics, all of them away from defaults."""
    torch.manual_seed(seed)
    net = SmallNet()
    for name, buffer in net.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.3)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 2)
    with torch.no_grad():
        net.bn1.weight.uniform_(-1, 2)
        net.bn1.bias.normal_(0, 0.5)
    return net.eval()


def dataset(net: nn.Module, shape: tuple[int, ...] = SHAPE, count: int = 80) -> Dataset:
    """Random samples, labelled as `net` does, so that its accuracy is 1."""
    x = np.random.default_rng(3).normal(size=(2 * count, *shape)).astype(np.float32)
    with torch.no_grad():
        y = net(torch.from_numpy(x)).argmax(1).numpy()
    classes = max(2, int(y.max()) + 1)
    return Dataset("made", x[:count], y[:count], x[count:], y[count:], classes)


def context(folder: Path, net: nn.Module, shape: tuple[int, ...] = SHAPE) -> Context:
    return Context(folder, dataset(net, shape))


def float_model(net: nn.Module, shape: tuple[int, ...] = SHAPE) -> FloatModel:
    return FloatModel("made", net, shape, FORMAT)


def scored(folder: Path, samples: int = 32) -> tuple[ScoredModel, Context]:
    """SmallNet prepared and attributed."""
    net = small_net()
    ctx = context(folder, net)
    prepared = Prepare().run(float_model(net), ctx)
    return Attribute(samples=samples, batch=8).run(prepared, ctx), ctx
