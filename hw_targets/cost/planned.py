"""All kernels of a network under one choice of bits and folding a layer, FIFOs and converters too.

What is built afterwards has the same kernels, but for the depths of FIFOs, which are measured (here
skip paths have what they are expected to hold, all others their least depth), the biases of the
logits, which are known only then, and quantizers whose scale turns out to be that of what they
take, which are left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from hw_targets.cost.backlog import joins
from hw_targets.cost.graph import nodes_of
from hw_targets.cost.instances import planned_instances
from hw_targets.cost.latency import design_latency, latency_cycles
from hw_targets.cost.layer import (
    MIN_FIFO_DEPTH,
    Choice,
    chosen_lanes,
    kernels_of,
    units_of,
)
from hw_targets.cost.skips import skip_depths
from hw_targets.lanes import leaving
from hw_targets.network import NetworkShape
from hw_targets.rtl.design import Design
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Instance, Kernel
from hw_targets.rtl.top import Link

Kernels = tuple[Kernel, ...]


def network_kernels(network: NetworkShape, choices: Sequence[Choice], pace: int = 0) -> Kernels:
    """All units of a network, `choices` in the order of its layers.

    pace: cycles a frame that width converters and what joins branches may take; converters may
    take as many as the slowest unit does.
    """
    by_layer, shared, _ = priced_kernels(network, choices, pace)
    return tuple(kernel for kernels in (*by_layer, shared) for kernel in kernels)


def priced_kernels(
    network: NetworkShape, choices: Sequence[Choice], pace: int = 0
) -> tuple[tuple[Kernels, ...], Kernels, int]:
    """The units of every layer, those of no layer, and the latency; arguments as above."""
    if network.chain:
        by_layer = layered_kernels(network, choices, pace)
        return by_layer, (), latency_cycles(k for kernels in by_layer for k in kernels)
    units, links = planned_units(network, choices, pace)
    owners = {node.name: node.layer.name for node in nodes_of(network) if node.layer}
    names = {node.name for node in nodes_of(network)}
    shared: list[Kernel] = []
    found: dict[str, list[Kernel]] = {layer.name: [] for layer in network.layers}
    kernels: list[Kernel] = []
    coming = iter(links)
    for unit in units:
        kernels += [_fifo(next(coming)) for _ in unit.kernel.inputs]
        kernels.append(unit.kernel)
        if unit.name in names:  # else a converter, the next unit's
            found.get(owners.get(unit.name, ""), shared).extend(kernels)
            kernels = []
    found[network.layers[-1].name].append(_fifo(next(coming)))
    by_layer = tuple(tuple(found[layer.name]) for layer in network.layers)
    return by_layer, tuple(shared), design_latency(units, links)


def planned_units(
    network: NetworkShape, choices: Sequence[Choice], pace: int = 0
) -> tuple[tuple[Instance, ...], tuple[Link, ...]]:
    """Units and links of a network that branches, as a `Design` has them."""
    named = {layer.name: c for layer, c in zip(network.layers, choices, strict=True)}
    design = Design("planned", planned_instances(network, named, pace), pace=pace)
    depths = [
        depth
        for unit in design.units
        for depth in _depths(network, unit, max(pace, design.bound_cycles))
    ]
    depths.append(MIN_FIFO_DEPTH)
    links = tuple(
        replace(link, depth=depth) for link, depth in zip(design.links, depths, strict=True)
    )
    return design.units, links


def _depths(network: NetworkShape, unit: Instance, interval: int) -> tuple[int, ...]:
    """Of the FIFOs before a unit."""
    if joins(unit.kernel):
        return skip_depths(network, interval, unit)
    return (MIN_FIFO_DEPTH,)


def layered_kernels(
    network: NetworkShape, choices: Sequence[Choice], pace: int = 0
) -> tuple[Kernels, ...]:
    """The units of every layer of a chain, arguments as of `network_kernels`."""
    arriving: list[tuple[int, bool, int | None]] = []
    bits, signed, lanes = network.input_bits, network.input_signed, None
    for layer, choice in zip(network.layers, choices, strict=True):
        arriving.append((bits, signed, lanes))
        own = chosen_lanes(layer, choice)
        bits, signed, lanes = choice.act_bits, False, leaving(layer, own)
        taken = units_of(layer, choice, *arriving[-1][:2])
        pace = max(pace, *(unit.cycles for unit in taken))
    return tuple(
        kernels_of(layer, choice, *came, pace)
        for layer, choice, came in zip(network.layers, choices, arriving, strict=True)
    )


def _fifo(link: Link) -> Fifo:
    return Fifo(link.stream.width, link.depth, link.stream.beats)
