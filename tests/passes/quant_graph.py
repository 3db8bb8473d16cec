"""Runs the passes up to export on small networks that branch, once a network, for several tests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from priced_case import prices
from quant_case import context
from torch import nn

from compiler.stages import (
    Dataset,
    FloatModel,
    InputFormat,
    LayerRelevance,
    QonnxModel,
    QuantModel,
    Relevance,
    ScoredModel,
)
from passes.allocate import Allocate
from passes.base import Check, Context
from passes.export_qonnx import ExportQonnx
from passes.prepare import Prepare
from passes.quantize import Quantize
from passes.retrain import Retrain

SHAPE = (3, 8, 8)
SIGNED = InputFormat(bits=8, signed=True, scale=1 / 64)


class Block(nn.Module):
    """Two convolutions beside an option-A shortcut."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.stride, self.pad = stride, (outputs - inputs) // 2

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = self.conv2(torch.relu(self.bn1(self.conv1(x))))
        if self.stride > 1:
            x = F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, self.pad, self.pad))
        return torch.relu(out + x)


class Residual(nn.Module):
    """A residual network of two blocks with global pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.first, self.second = Block(4, 4, 1), Block(4, 8, 2)
        self.head = nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.second(self.first(torch.relu(self.stem(x))))
        logits: torch.Tensor = self.head(x.mean((2, 3)))
        return logits


class Mixed(nn.Module):
    """Depthwise and grouped convolutions, concatenation, pooling, sums of sums, a raw branch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.point = nn.Conv2d(8, 8, 1)
        self.grouped = nn.Conv2d(16, 8, 3, padding=1, groups=2)
        self.side = nn.Conv2d(8, 8, 1)
        self.pool = nn.AvgPool2d(3, 2, padding=1, count_include_pad=False)
        self.head = nn.Linear(32, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem(x))
        raw = self.point(torch.relu(self.depthwise(x)))
        x = torch.cat([x, torch.relu(raw)], 1)
        side = F.max_pool2d(torch.relu(self.grouped(x)), 2)
        x = F.avg_pool2d(raw, 2) + side + F.max_pool2d(raw, 2)
        x = torch.relu(self.side(torch.relu(x)) + x)
        logits: torch.Tensor = self.head(self.pool(x).flatten(1))
        return logits


NETWORKS: dict[str, type[nn.Module]] = {"residual": Residual, "mixed": Mixed}
Made = Callable[[], nn.Module]


@dataclass(frozen=True)
class Graph:
    data: Dataset
    scored: ScoredModel
    quantized: QuantModel
    trained: QuantModel
    exported: QonnxModel
    checks: dict[str, list[Check]]


def data_for(
    seed: int = 0, train: int = 160, test: int = 48, shape: tuple[int, ...] = SHAPE
) -> Dataset:
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 0.7, (train + test, *shape)).astype(np.float32)
    y = (x.reshape(len(x), -1) @ rng.normal(size=(x[0].size, 4))).argmax(1)
    return Dataset("made", x[:train], y[:train], x[train:], y[train:], 4)


def random_network(made: Made) -> nn.Module:
    """With random weights and batch-norm statistics."""
    with torch.random.fork_rng():
        torch.manual_seed(1)
        net = made()
        for key, buffer in net.named_buffers():
            if key.endswith("running_var"):
                buffer.uniform_(0.5, 2)
    return net.eval()


def scored(
    name: str,
    data: Dataset,
    folder: Path,
    made: Made | None = None,
    shape: tuple[int, ...] = SHAPE,
) -> ScoredModel:
    """The prepared network, one of `NETWORKS` or `made`; relevance is the weights' magnitude."""
    ctx = context(folder, data)
    net = random_network(made or NETWORKS[name])
    found = Prepare().run(FloatModel(name, net, shape, SIGNED), ctx)
    assert found.network is not None
    assert found.accuracy is not None
    layers = {}
    for layer in found.network.layers:
        weight = found.module.get_parameter(f"{layer.name}.weight").detach().abs().numpy()
        layers[layer.name] = LayerRelevance(weight.reshape(len(weight), -1).sum(1), weight)
    relevance = Relevance(layers, 8, "zero", "margin", 0.0)
    network, module = found.network, found.module
    return ScoredModel(name, module, shape, SIGNED, network, found.accuracy, module, relevance)


@cache
def graph(name: str) -> Graph:
    """`passed_on` of one of `NETWORKS`."""
    return passed_on(name, NETWORKS[name])


def passed_on(name: str, made: Made, shape: tuple[int, ...] = SHAPE) -> Graph:
    """The passes from prepare to export on one network; every proof of theirs is in `checks`."""
    root, data = Path(mkdtemp(prefix=f"liftflow-{name}-")), data_for(shape=shape)
    checks: dict[str, list[Check]] = {}

    def room(pass_name: str) -> Context:
        ctx = context(root / pass_name, data)
        checks[pass_name] = ctx.checks
        return ctx

    model = scored(name, data, root / "prepare", made, shape)
    with pytest.MonkeyPatch.context() as patch, prices(patch):
        model = Allocate("ulx3s-85f", 50.0, time_limit_s=2.0).run(model, room("allocate"))
    quantized = Quantize().run(model, room("quantize"))
    trained = Retrain(epochs=2, batch=32).run(quantized, room("retrain"))
    exported = ExportQonnx().run(trained, room("export"))
    return Graph(data, model, quantized, trained, exported, checks)
