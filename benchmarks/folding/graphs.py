"""FINN graphs of the networks, made as a compilation makes them: quantized, exported, lowered."""

from __future__ import annotations

from collections import OrderedDict
from pathlib import Path
from typing import cast

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
from hw_targets import finn_adapter
from hw_targets.network import LayerShape, NetworkShape
from passes.base import Context
from passes.export_qonnx import ExportQonnx
from passes.quantize import Quantize

SAMPLES = 64
"""Random frames that calibrate activations: folding depends on shapes and bits only."""


def lowered(network: NetworkShape, bits: int, folder: Path) -> Path:
    """The network's FINN graph with `bits` a weight and an activation, nothing folded yet.

    Made once: a graph that lies in `folder` already is taken. Weights are random.

    Raises:
        LiftFlowError: FINN cannot lower the network, or is not installed.
    """
    folder = folder / f"{network.name}-{bits}"
    path = folder / "dataflow.onnx"
    if path.is_file():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    data = _frames(network)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = _scored(network, bits)
    quantized = Quantize().run(model, Context(folder, data))
    exported = ExportQonnx().run(quantized, Context(folder, data))
    partial = path.with_suffix(".partial")
    finn_adapter.lower(exported.path, partial, network)
    return partial.replace(path)


def _frames(network: NetworkShape) -> Dataset:
    rng = np.random.default_rng(0)
    x = rng.random((SAMPLES, *network.input_shape), dtype=np.float32)
    y = rng.integers(network.classes, size=SAMPLES)
    return Dataset("random", x, y, x[:4], y[:4], network.classes)


def _scored(network: NetworkShape, bits: int) -> ScoredModel:
    """A model of the network's shape, every layer of the same bits."""
    module = _module(network)
    choices = {
        layer.name: LayerChoice(
            bits, bits if layer.activation else 0, 1, 1, "lut", "auto", layer.macs
        )
        for layer in network.layers
    }
    relevance = {
        layer.name: LayerRelevance(
            np.ones(layer.out_channels, np.float32),
            np.ones(cast("nn.Linear", module.get_submodule(layer.name)).weight.shape, np.float32),
        )
        for layer in network.layers
    }
    interval = max(choice.cycles for choice in choices.values())
    return ScoredModel(
        name=network.name,
        module=module,
        input_shape=network.input_shape,
        input=InputFormat(network.input_bits, network.input_signed, 1 / 255),
        network=network,
        accuracy=0.0,
        reference=module,
        relevance=Relevance(relevance, SAMPLES, "zero", "class", 0.0),
        allocation=Allocation("ulx3s-85f", 50.0, choices, interval, {}, {}, 0.0, 0.0, float(bits)),
    )


def _module(network: NetworkShape) -> nn.Module:
    steps: OrderedDict[str, nn.Module] = OrderedDict()
    for layer in network.layers:
        if layer.kind == "dense":
            steps[f"{layer.name}_flatten"] = nn.Flatten()
        steps[layer.name] = _weights(layer)
        if layer.activation:
            steps[f"{layer.name}_relu"] = nn.ReLU()
        if layer.pool > 1:
            steps[f"{layer.name}_pool"] = nn.MaxPool2d(layer.pool)
    return nn.Sequential(steps).eval()


def _weights(layer: LayerShape) -> nn.Module:
    if layer.kind == "dense":
        return nn.Linear(layer.in_channels, layer.out_channels)
    return nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel,
        stride=layer.stride,
        padding=layer.even_padding,
    )
