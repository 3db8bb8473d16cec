"""Which channels go: greedy, global, by relevance lost for what the hardware saves."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hw_targets.network import LayerShape, NetworkShape
from passes._coupling import Group, Unit

Sizes = Mapping[str, tuple[int, int]]
"""Layer -> (input channels or inputs, outputs)."""

Cost = Callable[[NetworkShape, Sizes], float]
"""What a network with other numbers of channels costs a frame."""


def layer_macs(layer: LayerShape, inputs: int, outputs: int) -> int:
    """Multiply-accumulates a frame of one layer of other size; depthwise where groups say so."""
    share = 1 if layer.groups == layer.in_channels and layer.groups > 1 else inputs // layer.groups
    return share * outputs * layer.kernel[0] * layer.kernel[1] * layer.pixels


def macs(network: NetworkShape, sizes: Sizes) -> float:
    """Multiply-accumulates a frame."""
    return sum(layer_macs(layer, *sizes[layer.name]) for layer in network.layers)


def weights(network: NetworkShape, sizes: Sizes) -> float:
    """Weights in all."""
    return sum(layer_macs(la, *sizes[la.name]) / la.pixels for la in network.layers)


COSTS: dict[str, Cost] = {"macs": macs, "weights": weights}


@dataclass(frozen=True)
class Limits:
    """How far a group of channels may shrink, by its size before any pruning.

    A group that starts with at least `2 * divisor` channels keeps multiples of `divisor`, so that
    folding finds divisors; a smaller one keeps at least one channel. Of `depthwise` groups two
    channels stay: a depthwise convolution of one channel is an ordinary one.
    """

    original: Mapping[str, int]
    divisor: int
    depthwise: frozenset[str] = frozenset()

    def next_below(self, group: str, count: int) -> int | None:
        """The next smaller number of channels allowed, None if there is none."""
        least = 2 if group in self.depthwise else 1
        if self.original[group] >= 2 * self.divisor:
            below = (count - 1) // self.divisor * self.divisor
            return below if below >= max(least, self.divisor) else None
        return count - 1 if count > least else None


def channel_counts(network: NetworkShape) -> dict[str, int]:
    """Layer -> output channels."""
    return {layer.name: layer.out_channels for layer in network.layers}


def group_keys(groups: Sequence[Group]) -> list[str]:
    """A name for each group that stays the same while the network shrinks.

    Two groups may begin at one layer, as channels that a shortcut pads and channels that it does
    not: they are numbered in order.
    """
    seen: dict[str, int] = {}
    keys = []
    for group in groups:
        seen[group.name] = seen.get(group.name, 0) + 1
        keys.append(group.name if seen[group.name] == 1 else f"{group.name}#{seen[group.name]}")
    return keys


class Plan:
    """A network about to lose channels: what is left of each group, and what that costs."""

    def __init__(
        self, network: NetworkShape, groups: Sequence[Group], limits: Limits, cost: Cost
    ) -> None:
        self.network, self.limits, self._cost = network, limits, cost
        self.groups = dict(zip(group_keys(groups), groups, strict=True))
        self.counts = {key: len(group.units) for key, group in self.groups.items()}
        self.sizes = {la.name: (la.in_channels, la.out_channels) for la in network.layers}
        self.cost = cost(network, self.sizes)

    def sizes_at(self, key: str, below: int) -> dict[str, tuple[int, int]]:
        """Sizes of all layers if group `key` shrank to `below` channels."""
        group, fewer = self.groups[key], self.counts[key] - below
        sizes = dict(self.sizes)
        for layer, rows in group.rows.items():
            sizes[layer] = (sizes[layer][0], sizes[layer][1] - rows * fewer)
        for layer, columns in group.columns.items():
            sizes[layer] = (sizes[layer][0] - columns * fewer, sizes[layer][1])
        return sizes

    def offers(self) -> dict[str, tuple[int, float]]:
        """Group -> (its next smaller size, cost of the network then), where there is one."""
        found = {}
        for key, count in self.counts.items():
            below = self.limits.next_below(key, count)
            if below is not None:
                found[key] = below, self._cost(self.network, self.sizes_at(key, below))
        return found

    def take(self, key: str, below: int) -> None:
        self.sizes = self.sizes_at(key, below)
        self.counts[key] = below
        self.cost = self._cost(self.network, self.sizes)


def least_cost(network: NetworkShape, groups: Sequence[Group], limits: Limits, cost: Cost) -> float:
    """Cost with every group at its smallest."""
    plan = Plan(network, groups, limits, cost)
    while offers := plan.offers():
        for key, (below, _) in offers.items():
            plan.take(key, below)
    return plan.cost


def choose_units(
    plan: Plan, scores: Mapping[str, NDArray[np.float64]], budget: float, thrift: float
) -> list[Unit]:
    """Units to remove until the network costs at most `budget`.

    Takes, again and again, from the group whose next least relevant channels lose least relevance
    for what they save. Relevances of all groups are on one scale, the output's, and are compared
    without normalisation. Stops early where nothing more may go.

    Args:
        scores: group -> relevance of each of its units.
        thrift: exponent of what is saved: 0 ranks by relevance alone, 1 by relevance a unit of
            cost.
    """
    order = {key: np.argsort(values, kind="stable") for key, values in scores.items()}
    removed: list[Unit] = []
    while plan.cost > budget:
        best: tuple[float, str, int] | None = None
        for key, (below, after) in plan.offers().items():
            chunk = _next(plan, order, key, below)
            lost = float(scores[key][chunk].mean())
            saved = (plan.cost - after) / len(chunk)
            offer = (lost / max(saved, 1e-12) ** thrift, key, below)
            best = offer if best is None else min(best, offer)
        if best is None:
            break
        _, key, below = best
        removed += [plan.groups[key].units[i] for i in _next(plan, order, key, below)]
        plan.take(key, below)
    return removed


def _next(
    plan: Plan, order: Mapping[str, NDArray[np.intp]], key: str, below: int
) -> NDArray[np.intp]:
    gone = len(plan.groups[key].units) - plan.counts[key]
    chunk: NDArray[np.intp] = order[key][gone : gone + plan.counts[key] - below]
    return chunk
