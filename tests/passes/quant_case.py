"""A small network, its data and a hand-made allocation: what the quantization tests share."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from compiler.stages import (
    Allocation,
    Dataset,
    InputFormat,
    LayerChoice,
    LayerRelevance,
    Relevance,
    ScoredModel,
)
from hw_targets.cost.planned import network_kernels
from hw_targets.lanes import TIED, Lanes
from hw_targets.network import LayerShape, NetworkShape
from passes.base import Context

# The networks are tiny: on more threads they only wait for each other.
torch.set_num_threads(1)

DIGITS = InputFormat(bits=5, signed=False, scale=1 / 16)


def conv(
    name: str, cin: int, cout: int, size: tuple[int, int], pool: int = 1, **more: Any
) -> LayerShape:
    more = {"kernel": (3, 3), "padding": (1, 1, 1, 1), **more}
    return LayerShape(name, "conv", cin, cout, in_size=size, pool=pool, **more)


def dense(name: str, cin: int, cout: int, activation: bool = True) -> LayerShape:
    return LayerShape(name, "dense", cin, cout, activation=activation)


def digits_shape() -> NetworkShape:
    """Three convolutions and two dense layers on 8x8 digits."""
    layers = (
        conv("conv1", 1, 8, (8, 8)),
        conv("conv2", 8, 12, (8, 8), pool=2),
        conv("conv3", 12, 12, (4, 4), pool=2),
        dense("fc1", 48, 32),
        dense("fc2", 32, 10, activation=False),
    )
    return NetworkShape("digits", layers, (1, 8, 8), 5, False, 10)


def attach(root: nn.Module, name: str, module: nn.Module) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        root.add_module(parent, nn.Module())
        root = root.get_submodule(parent)
    root.add_module(last, module)


class Chain(nn.Module):
    """The float network of a shape, with layers named as there."""

    def __init__(self, network: NetworkShape) -> None:
        super().__init__()
        self.network = network
        for shape in network.layers:
            if shape.kind == "conv":
                module: nn.Module = nn.Conv2d(
                    shape.in_channels,
                    shape.out_channels,
                    shape.kernel,
                    stride=shape.stride,
                    padding=shape.even_padding,
                )
            else:
                module = nn.Linear(shape.in_channels, shape.out_channels)
            attach(self, shape.name, module)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for shape in self.network.layers:
            if shape.kind == "dense":
                x = x.flatten(1)
            x = self.get_submodule(shape.name)(x)
            if shape.activation:
                x = torch.relu(x)
            if shape.pool > 1:
                x = torch.max_pool2d(x, shape.pool)
        return x


def digits_data() -> Dataset:
    from sklearn.datasets import load_digits

    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    y = labels.astype(np.int64)
    order = np.random.default_rng(0).permutation(len(x))
    train, test = order[:1257], order[1257:]
    return Dataset("digits", x[train], y[train], x[test], y[test], 10)


def random_data(network: NetworkShape, train: int = 192, test: int = 40) -> Dataset:
    """Uniform samples, classed by a random linear map: learnable, all classes occur."""
    rng = np.random.default_rng(1)
    shape = network.input_shape
    low = -1.0 if network.input_signed else 0.0
    x = rng.uniform(low, 1.0, (train + test, *shape)).astype(np.float32)
    flat = x.reshape(len(x), -1)
    logits = (flat - flat.mean(0)) @ rng.normal(size=(flat.shape[1], network.classes))
    y = logits.argmax(1).astype(np.int64)
    return Dataset("random", x[:train], y[:train], x[train:], y[train:], network.classes)


def train_float(module: nn.Module, data: Dataset, epochs: int) -> None:
    torch.manual_seed(0)
    x, y = torch.from_numpy(data.train_x), torch.from_numpy(data.train_y)
    optimizer = torch.optim.Adam(module.parameters(), 3e-3)
    for _ in range(epochs):
        for batch in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(x[batch]), y[batch]).backward()
            optimizer.step()


def scored(
    network: NetworkShape,
    data: Dataset,
    weight_bits: int = 4,
    act_bits: int = 4,
    folding: dict[str, tuple[int, int]] | None = None,
    epochs: int = 0,
    input_format: InputFormat = DIGITS,
    lanes: dict[str, Lanes] | None = None,
) -> ScoredModel:
    """A scored model with equal bits in every layer; folding: layer -> (pe, simd), default 1.

    lanes: layer -> lanes of its units, where they do not follow that.
    """
    with torch.random.fork_rng():
        torch.manual_seed(0)
        module = Chain(network)
        train_float(module, data, epochs)
    module.eval()
    with torch.no_grad():
        right = module(torch.from_numpy(data.test_x)).argmax(1).numpy() == data.test_y
    layers, relevance = {}, {}
    for shape in network.layers:
        pe, simd = (folding or {}).get(shape.name, (1, 1))
        mw, mh = shape.matrix
        layers[shape.name] = LayerChoice(
            weight_bits,
            act_bits if shape.activation else 0,
            pe,
            simd,
            "lut",
            "auto",
            shape.pixels * mw * mh // (pe * simd),
            (lanes or {}).get(shape.name, TIED),
        )
        weight = module.get_submodule(shape.name).weight.detach().abs().numpy()
        relevance[shape.name] = LayerRelevance(weight.reshape(len(weight), -1).sum(1), weight)
    # Widths that there is no hardware for are refused later.
    kernels = network_kernels(network, [replace(c, weight_bits=2) for c in layers.values()])
    interval = max(kernel.cycles for kernel in kernels)
    allocation = Allocation("ulx3s-85f", 50.0, layers, interval, {}, {}, 0.0, 0.0, 4.0)
    return ScoredModel(
        network.name,
        module,
        network.input_shape,
        input_format,
        network,
        float(right.mean()),
        module,
        Relevance(relevance, 8, "zero", "class", 0.0),
        allocation=allocation,
    )


def context(folder: Path, data: Dataset) -> Context:
    folder.mkdir(parents=True, exist_ok=True)
    return Context(workdir=folder, data=data)
