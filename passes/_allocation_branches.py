"""What a network that branches has between its layers, as functions of the interval alone.

Where the next layer takes exactly what a layer gives, nobody else, bits and lanes are free as in a
chain. Elsewhere the bits of the stream are known before, and what stands there has the fewest lanes
that keep the interval (`hw_targets.lanes.fewest`). So the layers stay a path, in the order of
execution, and the cost of all units that are no layer's is known for every interval. Those that
take a layer's accumulators, whose width its weights decide, are the layer's to pay.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property, partial
from itertools import pairwise
from typing import Literal

import numpy as np

from hw_targets.cost.backlog import joins
from hw_targets.cost.graph import nodes_of
from hw_targets.cost.graph_nodes import Node
from hw_targets.cost.instances import planned_instances
from hw_targets.cost.layer import MIN_FIFO_DEPTH, joined
from hw_targets.cost.model import estimate, estimate_many
from hw_targets.cost.skips import paces, skip_depths
from hw_targets.errors import UnsupportedError
from hw_targets.families import RESOURCES
from hw_targets.lanes import TIED, Lanes, divisors
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Source, Stream
from hw_targets.rtl.wiring import INPUT, given
from passes._allocation_space import FOREVER, Floats


@dataclass(frozen=True)
class Blank:
    """A choice of which only the activation bits count."""

    act_bits: int
    weight_bits: int = 2
    pe: int = 1
    simd: int = 1
    arithmetic: Literal["lut"] = "lut"
    memory: Literal["distributed"] = "distributed"
    lanes: Lanes = TIED


@dataclass(frozen=True)
class Range:
    """Intervals, from `least` on and below `until`, at which a stream has so many lanes."""

    lanes: int
    least: int
    until: int


@dataclass(frozen=True)
class Exit:
    """A way out of a layer over a range of intervals. elements: of the stream, a frame.

    exact: the layer must give so many lanes; else converters make them. tail: bits of accumulators
    -> what takes and quantizes them, behind such converters.
    """

    span: Range
    elements: int
    signed: bool = False
    exact: bool = False
    tail: Callable[[int], tuple[Kernel, ...]] | None = None

    def into(self, bits: int) -> Stream:
        lanes = self.span.lanes
        return Stream(lanes, bits, self.signed, self.elements // lanes)

    def kernels(self, bits: int) -> tuple[Kernel, ...]:
        return self.tail(bits) if self.tail else ()


@dataclass(frozen=True)
class Branches:
    """A network that branches; bits: layer -> bits of its activations, if they are fixed."""

    network: NetworkShape
    bits: Mapping[str, int]

    def arriving(self, index: int) -> tuple[Stream, tuple[Range, ...]] | None:
        """What a layer takes, and its lanes; None where they are as free as in a chain."""
        source = own_nodes(self.network)[index][0].sources[0]
        if source == INPUT or (index > 0 and follows(self.network, index - 1)):
            return None
        return self._formats[source], self._lanes_of(source)

    def leaving(self, index: int) -> tuple[Exit, ...]:
        """The ways out of a layer that the next one does not follow alone."""
        layer, given_ = self.network.layers[index], _given(own_nodes(self.network)[index][-1])
        elements = self._formats[given_].elements
        taker = next(node for node in nodes_of(self.network) if given_ in node.sources)
        if taker.raw:
            return tuple(self._tails(layer, elements))
        if taker.layer is not None:
            return tuple(Exit(span, elements, exact=True) for span in self._lanes_of(given_))
        return tuple(Exit(span, elements) for span in ranges(taker.channels, taker.elements))

    def shared_kernels(self, interval: int) -> tuple[tuple[Kernel, ...], int]:
        """Kernels, FIFOs and converters between them; and the cycles of all that is no layer's."""
        nodes = {node.name: node for node in nodes_of(self.network)}
        streams: dict[Source, Stream] = {}
        kernels: list[Kernel] = []
        cycles = 1
        for unit in planned_instances(self.network, self._blank, interval):
            node = nodes[unit.name]
            streams |= given(unit)
            if node.layer is not None:
                continue
            cycles = max(cycles, unit.kernel.cycles)
            if node.raw:
                continue
            for source, into in zip(node.sources, unit.kernel.inputs, strict=True):
                before = nodes.get(source.instance)
                if before is not None and before.layer is None:
                    kernels += joined(streams[source].lanes, into, interval)
            depths = skip_depths(self.network, interval, unit) if joins(unit.kernel) else None
            kernels += _behind_fifos(unit.kernel, depths)
        return tuple(kernels), max(cycles, *(kernel.cycles for kernel in kernels), 0)

    def _tails(self, layer: LayerShape, elements: int) -> Iterator[Exit]:
        """Ranges in which the units between accumulators and their quantizers stay the same."""
        nodes = self._raw(layer.name)
        begin, before = 0, None
        for least, until in pairwise([*breakpoints(nodes), FOREVER]):
            kernels = self._tail(layer.name, 8, least)
            following = None if until == FOREVER else self._tail(layer.name, 8, until)
            if before != kernels:
                begin, before = least, kernels
            if following != kernels:
                span = Range(nodes[0].lanes({}, least), begin, until)
                tail = partial(self._tail, layer.name, interval=begin)
                yield Exit(span, elements, signed=True, tail=tail)

    def _tail(self, layer: str, bits: int, interval: int) -> tuple[Kernel, ...]:
        nodes = self._raw(layer)
        start = nodes[0].sources[0]
        streams = {start: Stream(1, bits, True, self._formats[start].elements)}
        kernels: list[Kernel] = []
        for node in nodes:
            (source,) = node.sources
            kernel = node.make(streams[source], node.lanes({}, interval), self._blank)
            if source != start:
                kernels += joined(streams[source].lanes, kernel.input, interval)
            kernels += _behind_fifos(kernel)
            streams |= {Source(node.name, at): out for at, out in enumerate(kernel.outputs)}
        return tuple(kernels)

    def _raw(self, layer: str) -> tuple[Node, ...]:
        nodes = nodes_of(self.network)
        return tuple(node for node in nodes if node.raw == layer and node.layer is None)

    def _lanes_of(self, source: Source) -> tuple[Range, ...]:
        """Lanes of a fixed stream: those of the unit that gives it, or of its own."""
        node = next(node for node in nodes_of(self.network) if node.name == source.instance)
        if node.layer is None:
            return ranges(node.channels, node.elements)
        return ranges(node.layer.out_channels, self._formats[source].elements)

    @cached_property
    def _blank(self) -> dict[str, Blank]:
        return {layer.name: Blank(self.bits.get(layer.name, 1)) for layer in self.network.layers}

    @cached_property
    def _formats(self) -> dict[Source, Stream]:
        found: dict[Source, Stream] = {}
        for unit in planned_instances(self.network, self._blank, 1):
            found |= given(unit)
        return found


class Priced:
    """What no layer's own units are, priced when it is asked for, once between two breakpoints."""

    def __init__(self, branches: Branches, family: str) -> None:
        self._branches, self._family = branches, family
        shared = [node for node in nodes_of(branches.network) if node.layer is None]
        found = breakpoints(shared)
        slower = {pace for pace in paces(branches.network) if pace > found[0]}
        self.breakpoints = tuple(sorted({*found, *slower}))
        slow = max(shared, key=lambda node: node.elements // node.channels, default=None)
        self.slowest = slow.name if slow else ""
        self._known: dict[int, tuple[Floats, int]] = {}

    def at(self, interval: int) -> tuple[Floats, int]:
        """(4,) resources and the cycles of the slowest; unknown where it cannot be so fast."""
        piece = bisect_right(self.breakpoints, interval) - 1
        if piece < 0:
            return np.full(len(RESOURCES), np.nan), self.breakpoints[0]
        if piece not in self._known:
            kernels, cycles = self._branches.shared_kernels(self.breakpoints[piece])
            cost = estimate_many(kernels, self._family).sum(axis=0)
            self._known[piece] = cost, cycles
        return self._known[piece]

    def why(self) -> str:
        """What is uncalibrated at every interval; empty where one is known."""
        if not all(np.isnan(self.at(interval)[0]).any() for interval in self.breakpoints):
            return ""
        kernels, _ = self._branches.shared_kernels(self.breakpoints[-1])
        return next(filter(None, (estimate(k, self._family).why for k in kernels)), "")


def no_hardware(network: NetworkShape) -> str:
    """Which unit of a network that branches has no kernel, and why; empty where all have one."""
    if network.chain:
        return ""
    try:
        planned_instances(network, {each.name: Blank(1) for each in network.layers}, 1)
    except UnsupportedError as error:
        return str(error)
    return ""


def fixed_layers(network: NetworkShape) -> tuple[str, ...]:
    """Layers whose activation bits must be known before: what has them is not free."""
    governors = {unit.governor for unit in network.units if unit.quantizer}
    return tuple(
        layer.name
        for index, layer in enumerate(network.layers)
        if layer.name in governors and not follows(network, index)
    )


def follows(network: NetworkShape, index: int) -> bool:
    """Does the next layer take exactly what this one gives, and nobody else?"""
    own = own_nodes(network)
    return index + 1 < len(own) and own[index + 1][0].sources[0] == _given(own[index][-1])


@cache
def own_nodes(network: NetworkShape) -> tuple[tuple[Node, ...], ...]:
    """The units of every layer, in stream order."""
    found: dict[str, list[Node]] = {layer.name: [] for layer in network.layers}
    for node in nodes_of(network):
        if node.layer is not None:
            found[node.layer.name].append(node)
    return tuple(map(tuple, found.values()))


def ranges(channels: int, elements: int) -> tuple[Range, ...]:
    """The fewest lanes that keep the interval, for all intervals."""
    lanes = divisors(channels)
    return tuple(
        Range(own, elements // own, elements // fewer if fewer else FOREVER)
        for fewer, own in pairwise((0, *lanes))
    )


def breakpoints(nodes: Sequence[Node]) -> list[int]:
    """Intervals at which lanes of the nodes, or converters between them, may change, ascending.

    None is below what the slowest needs with all its lanes.
    """
    least = max((node.elements // node.channels for node in nodes), default=1)
    every = {node.elements // lanes for node in nodes for lanes in divisors(node.channels)}
    return sorted({least, *(each for each in every if each >= least)})


def _behind_fifos(kernel: Kernel, depths: tuple[int, ...] | None = None) -> tuple[Kernel, ...]:
    """The kernel and the FIFOs in front, of the least depth where none is given."""
    given_ = depths or (MIN_FIFO_DEPTH,) * len(kernel.inputs)
    streams = zip(kernel.inputs, given_, strict=True)
    return (*(Fifo(each.width, depth, each.beats) for each, depth in streams), kernel)


def _given(node: Node) -> Source:
    return Source(node.name)
