"""Which channels go: greedy, global, by relevance lost a multiply-accumulate saved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.network import NetworkShape

Counts = dict[str, int]
"""Layer name -> output channels."""


@dataclass(frozen=True)
class Limits:
    """How far a layer may shrink, by its channels before any pruning.

    A layer that starts with at least `2 * divisor` channels keeps multiples of `divisor`, so that
    folding finds divisors; a smaller one keeps at least one channel.
    """

    original: Mapping[str, int]
    divisor: int

    def next_below(self, layer: str, count: int) -> int | None:
        """The next smaller number of channels allowed, None if there is none."""
        if self.original[layer] >= 2 * self.divisor:
            below = (count - 1) // self.divisor * self.divisor
            return below if below >= self.divisor else None
        return count - 1 if count > 1 else None


def channel_counts(network: NetworkShape) -> Counts:
    return {layer.name: layer.out_channels for layer in network.layers}


def macs(network: NetworkShape, counts: Mapping[str, int]) -> int:
    """Multiply-accumulates a frame of `network` with other numbers of output channels."""
    total, share_before = 0, (1, 1)
    for layer in network.layers:
        inputs = layer.in_channels * share_before[0] // share_before[1]
        taps = layer.kernel[0] * layer.kernel[1]
        total += inputs * taps * counts[layer.name] * layer.pixels
        share_before = (counts[layer.name], layer.out_channels)
    return total


def least_counts(network: NetworkShape, limits: Limits) -> Counts:
    """All prunable layers at their smallest; the last layer's outputs are the classes."""
    counts = channel_counts(network)
    for layer in network.layers[:-1]:
        while (below := limits.next_below(layer.name, counts[layer.name])) is not None:
            counts[layer.name] = below
    return counts


def plan(
    network: NetworkShape,
    scores: Mapping[str, NDArray[np.float32]],
    limits: Limits,
    budget: int,
) -> dict[str, list[int]]:
    """Channels to remove, by layer, until at most `budget` multiply-accumulates are left.

    Takes, again and again, the layer whose next least relevant channels cost least relevance a
    multiply-accumulate saved. Relevances of all layers are on one scale, the output's, and are
    compared without normalisation. Stops early where nothing more may go.
    """
    order = {name: np.argsort(values, kind="stable") for name, values in scores.items()}
    counts = channel_counts(network)
    left = macs(network, counts)
    while left > budget:
        offers: list[tuple[float, str, int, int]] = []
        for layer in network.layers[:-1]:
            count = counts[layer.name]
            below = limits.next_below(layer.name, count)
            if below is None:
                continue
            gone = layer.out_channels - count
            chunk = order[layer.name][gone : gone + count - below]
            after = macs(network, {**counts, layer.name: below})
            lost = float(scores[layer.name][chunk].sum(dtype=np.float64))
            offers.append((lost / (left - after), layer.name, below, after))
        if not offers:
            break
        _, name, below, left = min(offers)
        counts[name] = below
    return {
        layer.name: sorted(
            int(channel) for channel in order[layer.name][: layer.out_channels - counts[layer.name]]
        )
        for layer in network.layers[:-1]
        if counts[layer.name] < layer.out_channels
    }
