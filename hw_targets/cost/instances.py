"""The kernels of a network that branches, once bits, foldings and lanes are known."""

from __future__ import annotations

from math import prod

from hw_targets.cost.graph import nodes_of
from hw_targets.cost.graph_nodes import Choices
from hw_targets.network import NetworkShape
from hw_targets.rtl.kernel import Instance, Stream
from hw_targets.rtl.wiring import INPUT, given


def planned_instances(
    network: NetworkShape, choices: Choices, interval: int
) -> tuple[Instance, ...]:
    """The kernels of a network that branches, without converters, FIFOs and values.

    Raises:
        UnsupportedError: a unit has no hardware.
        ValueError: a folding does not divide its layer.
    """
    form = Stream(1, network.input_bits, network.input_signed, prod(network.input_shape))
    streams = {INPUT: form}
    found = []
    for node in nodes_of(network):
        kernel = node.make(streams[node.sources[0]], node.lanes(choices, interval), choices)
        found.append(Instance(node.name, kernel, {}, node.sources))
        streams |= given(found[-1])
    return tuple(found)
