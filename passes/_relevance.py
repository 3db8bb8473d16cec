"""Relevance of channels and weights over many samples: what `attribute` and the pruners share."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from compiler.stages import Dataset, LayerRelevance, Relevance
from hw_targets.errors import LiftFlowError
from passes._graph import layers_of, placed
from passes.deeplift import TARGETS, Attribution, LayerMultipliers, attribute_all_layers

REFERENCES = ("random", "mean", "zero")

# Elements of one intermediate tensor of the per-sample weight contributions: 64 MiB of float32.
_CHUNK_ELEMENTS = 2**24


@dataclass(frozen=True)
class Settings:
    """How relevance is measured; the same before and after pruning.

    samples: training samples, at most as many as there are. reference: what a sample is compared
    with, one of REFERENCES. target: what is explained, one of TARGETS. batch: samples a backward
    pass, bounds the memory.
    """

    samples: int
    reference: str
    target: str
    batch: int = 64


def measure(
    module: nn.Module, data: Dataset, settings: Settings, rng: np.random.Generator, device: str
) -> Relevance:
    """DeepLIFT relevance of all layers of a chain.

    channels of a layer: mean over samples of |sum over positions of contribution|. weights: mean
    over samples of |sum over positions of (input - reference input) x multiplier of the output|,
    so that times |weight| it is the weight's contribution.

    Raises:
        LiftFlowError: samples and references do not differ in the target.
    """
    module = placed(module, device)
    layers = layers_of(module)
    # Sums in double: the figures must not depend on how samples fall into batches.
    channels = {n: torch.zeros(len(m.weight), dtype=torch.double) for n, m in layers.items()}
    weights = {n: torch.zeros(m.weight.shape, dtype=torch.double) for n, m in layers.items()}
    count, gap, span = 0, 0.0, 0.0
    for found in _batches(module, data, settings, rng, device):
        for name, layer in layers.items():
            record = found.layers[name]
            channels[name] += _channel_scores(record).cpu()
            weights[name] += weight_scores(layer, record).cpu()
        count += len(found.output_delta)
        gap = max(gap, float(found.completeness.max()))
        span = max(span, float(found.output_delta.abs().max()))
    if span == 0:
        raise LiftFlowError(
            "the network's output does not change between training samples",
            where="attribute",
            mend="check that the weights are trained and the data is not constant",
        )
    return Relevance(
        layers={
            name: LayerRelevance(_mean(channels[name], count), _mean(weights[name], count))
            for name in layers
        },
        samples=count,
        reference=settings.reference,
        target=settings.target,
        completeness_delta=gap / span,
    )


def weight_scores(layer: nn.Conv2d | nn.Linear, record: LayerMultipliers) -> Tensor:
    """Sum over samples of |sum over positions of input delta x multiplier|, shape of the weight.

    The inner sum is the gradient that the layer's weight would get from one sample; taking it for
    all samples apart needs (samples, *weight) numbers, hence the chunks.
    """
    if isinstance(layer, nn.Linear):
        # One position: the absolute value of a product is the product of absolute values.
        return record.multiplier.abs().double().T @ record.input_delta.abs().double()
    positions = record.multiplier[0, 0].numel()
    columns = layer.weight[0].numel()
    chunk = max(1, _CHUNK_ELEMENTS // max(layer.weight.numel(), columns * positions))
    total = torch.zeros(len(layer.weight), columns, dtype=torch.double, device=layer.weight.device)
    pairs = zip(
        torch.split(record.input_delta, chunk), torch.split(record.multiplier, chunk), strict=True
    )
    padding: str | tuple[int, ...] = layer.padding
    assert not isinstance(padding, str)
    for delta, multiplier in pairs:
        # (samples, in x kernel, positions) against (samples, out, positions)
        windows = F.unfold(delta, layer.kernel_size, padding=padding, stride=layer.stride)
        per_sample = multiplier.flatten(2) @ windows.transpose(1, 2)
        total += per_sample.abs().sum(0, dtype=torch.double)
    return total.reshape(layer.weight.shape)


def choose(
    data: Dataset, samples: int, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices of training samples, none twice, and of another training sample for each."""
    available = len(data.train_x)
    if available < 2:
        raise LiftFlowError("one training sample has no other to be compared with", where=data.name)
    picked = rng.choice(available, min(samples, available), replace=False)
    others = (picked + rng.integers(1, available, len(picked))) % available
    return picked, others


def _batches(
    module: nn.Module, data: Dataset, settings: Settings, rng: np.random.Generator, device: str
) -> Iterator[Attribution]:
    picked, others = choose(data, settings.samples, rng)
    layers = dict(layers_of(module))
    mean = data.train_x.mean(axis=0, keepdims=True, dtype=np.float64).astype(np.float32)
    for at in range(0, len(picked), settings.batch):
        part = slice(at, at + settings.batch)
        samples = data.train_x[picked[part]]
        if settings.reference == "random":
            reference = data.train_x[others[part]]
        else:
            fill = mean if settings.reference == "mean" else np.zeros_like(mean)
            reference = np.broadcast_to(fill, samples.shape).copy()
        inputs = torch.from_numpy(samples).to(device)
        labels = torch.from_numpy(data.train_y[picked[part]]).to(device)
        with torch.no_grad():
            coefficients = TARGETS[settings.target](module(inputs), labels)
        references = torch.from_numpy(reference).to(device)
        yield attribute_all_layers(module, inputs, references, coefficients, layers)


def _channel_scores(record: LayerMultipliers) -> Tensor:
    contributions = record.contributions.double()
    return contributions.reshape(*contributions.shape[:2], -1).sum(2).abs().sum(0)


def _mean(total: Tensor, count: int) -> NDArray[np.float32]:
    result: NDArray[np.float32] = (total / count).numpy().astype(np.float32)
    return result
