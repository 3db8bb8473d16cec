"""Per-sample gradients of weights, and sums over the positions of a feature map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from passes._graph import pair

Terms = Sequence[tuple[Tensor, Tensor]]
"""(what the layer takes, multiplier of what it gives), each (samples, ...); they are added."""

_CHUNK_ELEMENTS = 2**24
"""Elements of one intermediate tensor of the per-sample gradients: 64 MiB of float32."""


def windows(layer: nn.Conv2d, inputs: Tensor) -> Tensor:
    """(samples, in_channels x kernel, positions) values under the kernel at every position."""
    padding: str | tuple[int, ...] = layer.padding
    assert not isinstance(padding, str)  # prepare gives numbers
    return F.unfold(
        inputs, pair(layer.kernel_size), pair(layer.dilation), padding, pair(layer.stride)
    )


def weight_gradients(layer: nn.Conv2d | nn.Linear, terms: Terms) -> Tensor:
    """Sum over samples of |sum over terms and positions of input x multiplier|, in double.

    Shape of the weight. The inner sum is the gradient that the weight would get from one sample;
    taking it for all samples apart needs (samples, *weight) numbers, hence the chunks.
    """
    if isinstance(layer, nn.Linear):
        return _of_linear(layer, terms)
    inputs, multiplier = terms[0]
    positions = multiplier[0, 0].numel()
    columns = inputs.shape[1] * layer.weight[0, 0].numel()
    chunk = max(1, _CHUNK_ELEMENTS // max(layer.weight.numel(), columns * positions * len(terms)))
    total: Any = 0
    for at in range(0, len(inputs), chunk):
        part = slice(at, at + chunk)
        total = total + _of_conv(layer, [(i[part], m[part]) for i, m in terms])
    result: Tensor = total.reshape(layer.weight.shape)
    return result


def _of_linear(layer: nn.Linear, terms: Terms) -> Tensor:
    if len(terms) == 1:
        # One position: the absolute value of a product is the product of absolute values.
        inputs, multiplier = terms[0]
        return multiplier.abs().double().T @ inputs.abs().double()
    total = torch.zeros(layer.weight.shape, dtype=torch.double, device=layer.weight.device)
    chunk = max(1, _CHUNK_ELEMENTS // layer.weight.numel())
    for at in range(0, len(terms[0][0]), chunk):
        part = slice(at, at + chunk)
        products = [m[part, :, None] * i[part, None] for i, m in terms]
        total += torch.stack(products).sum(0).abs().sum(0, dtype=torch.double)
    return total


def _of_conv(layer: nn.Conv2d, terms: Terms) -> Tensor:
    """(groups, out / groups, in / groups x kernel) of one chunk of samples."""
    count, groups = len(terms[0][0]), layer.groups
    # (samples, groups, out, positions) against (samples, groups, in x kernel, positions)
    out = torch.cat(
        [m.reshape(count, groups, layer.out_channels // groups, -1) for _, m in terms], 3
    )
    columns = layer.weight[0].numel()
    into = torch.cat([windows(layer, i).view(count, groups, columns, -1) for i, _ in terms], 3)
    return (out @ into.transpose(2, 3)).abs().sum(0, dtype=torch.double)


def over_positions(values: Tensor) -> Tensor:
    """(samples, channels) sums in double of (samples, channels, ...)."""
    return values.reshape(*values.shape[:2], -1).sum(2, dtype=torch.double)
