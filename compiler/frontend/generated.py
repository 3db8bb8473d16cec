"""Samples and weights from a seed, to try a network's hardware without its data."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from compiler.stages import Dataset, FloatArray

_SETTLING = 64
"""Samples that batch norms are settled on."""
_COARSE = 4
"""Points along every axis that a sample's smooth part is drawn at."""


def samples(shape: tuple[int, ...], count: int, seed: int) -> FloatArray:
    """(count, *shape) samples in [-1, 1]: a smooth course along all axes but the channels, noise.

    shape: of one sample: (features,), (channels, length) or (channels, height, width).
    """
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand((count, *shape), generator=generator) * 2 - 1
    if len(shape) == 1:
        return np.asarray(noise.numpy(), dtype=np.float32)
    sizes = [min(_COARSE, size) for size in shape[1:]]
    coarse = torch.rand((count, shape[0], *sizes), generator=generator) * 2 - 1
    mode = {2: "linear", 3: "bilinear"}[len(shape)]
    smooth = F.interpolate(coarse, size=shape[1:], mode=mode, align_corners=True)
    return np.asarray((0.75 * smooth + 0.25 * noise).numpy(), dtype=np.float32)


def settled(make: Callable[[], nn.Module], shape: tuple[int, ...], seed: int = 0) -> nn.Module:
    """`make()` in eval mode with weights drawn from `seed` and no training.

    Batch norms have the statistics of generated samples, and where the network ends in a Linear,
    each of its outputs mean 0 and deviation 1 over them, so that all classes occur.
    """
    inputs = torch.from_numpy(samples(shape, _SETTLING, seed))
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(seed)
        network = make()
        _settle_norms(network, inputs)
        last = list(network.modules())[-1]
        if isinstance(last, nn.Linear):
            _centre(last, network(inputs))
    return network.eval()


def labelled(
    network: nn.Module,
    shape: tuple[int, ...],
    classes: int,
    *,
    train: int = 256,
    test: int = 128,
    seed: int = 1,
) -> Dataset:
    """Generated samples, each with the class that `network` gives it."""
    x = samples(shape, train + test, seed)
    with torch.no_grad():
        starts = range(0, len(x), _SETTLING)
        parts = [network(torch.from_numpy(x[start : start + _SETTLING])) for start in starts]
    y = torch.cat(parts).argmax(1).numpy()
    return Dataset("generated", x[:train], y[:train], x[train:], y[train:], classes)


def _settle_norms(network: nn.Module, inputs: Tensor) -> None:
    norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm1d | nn.BatchNorm2d)]
    momenta = [norm.momentum for norm in norms]
    network.eval()
    for norm in norms:
        norm.momentum = 1.0
        norm.train()
    network(inputs)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    network.eval()


def _centre(last: nn.Linear, outputs: Tensor) -> None:
    scale = 1 / outputs.std(0).clamp_min(1e-6)
    last.weight.mul_(scale[:, None])
    if last.bias is not None:
        last.bias.copy_((last.bias - outputs.mean(0)) * scale)
