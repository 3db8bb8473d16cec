"""Depths of the FIFOs of skip paths, before anything is built.

How much of a frame waits in front of a joint hardly depends on foldings: lines that windows wait
for, and at small intervals the pipelines' registers. So it is taken from the design with all lanes,
and is a function of the interval alone.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from functools import cache
from math import ceil
from typing import Literal

from hw_targets.cost.backlog import backlogs
from hw_targets.cost.graph import nodes_of
from hw_targets.cost.instances import planned_instances
from hw_targets.lanes import TIED, Lanes
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.design import Design
from hw_targets.rtl.kernel import Instance

SLOWER = 64
"""Times the interval of the design with all lanes, from which on pipelines hold next to nothing."""


@dataclass(frozen=True)
class Unfolded:
    """A choice with all lanes; of its bits only a few cycles of latency depend."""

    pe: int
    simd: int
    weight_bits: int = 4
    act_bits: int = 4
    arithmetic: Literal["lut"] = "lut"
    memory: Literal["distributed"] = "distributed"
    lanes: Lanes = TIED

    @classmethod
    def of(cls, layer: LayerShape) -> Unfolded:
        return cls(layer.out_channels, 1 if layer.depthwise else layer.in_channels)


def skip_depths(network: NetworkShape, interval: int, unit: Instance) -> tuple[int, ...]:
    """Words of the FIFOs into a unit that joins, powers of two as FIFO sizing has them.

    interval: clock cycles between frames; between two of the `paces` depths are the same.
    """
    at = max(bisect_right(paces(network), interval) - 1, 0)
    shares = _shares(network, paces(network)[at])[unit.name]
    return tuple(
        1 << max(1, (ceil(share * stream.beats) - 1).bit_length())
        for share, stream in zip(shares, unit.kernel.inputs, strict=True)
    )


@cache
def paces(network: NetworkShape) -> tuple[int, ...]:
    """Intervals from which on the FIFOs of skip paths may be shorter, ascending."""
    bound = _unfolded(network).bound_cycles
    return tuple(bound << bit for bit in range(SLOWER.bit_length()))


@cache
def _unfolded(network: NetworkShape) -> Design:
    choices = {layer.name: Unfolded.of(layer) for layer in network.layers}
    return Design("unfolded", planned_instances(network, choices, 1))


@cache
def _shares(network: NetworkShape, interval: int) -> dict[str, tuple[float, ...]]:
    """Unit that joins -> share of a frame's beats that waits in front of each of its inputs."""
    design = _unfolded(network)
    waiting = backlogs(design.units, design.links, interval)
    names = {node.name for node in nodes_of(network)}
    found: dict[str, tuple[float, ...]] = {}
    links = iter(design.links)
    for unit in design.units:
        own = [next(links) for _ in unit.kernel.inputs]
        if unit.name in names and len(own) > 1:
            found[unit.name] = tuple(waiting[link.name] / link.stream.beats for link in own)
    return found
