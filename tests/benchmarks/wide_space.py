"""The allocator's space without its restriction to lanes that are of use.

FINN's foldings are part of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod

import numpy as np
from numpy.typing import NDArray

from hw_targets.cost import estimate_many
from hw_targets.cost.layer import (
    MIN_FIFO_DEPTH,
    act_kernel,
    end_kernels,
    joined,
    matrix_kernel,
    needs_pad,
    needs_window,
    pad_kernel,
    window_kernel,
    with_fifo,
)
from hw_targets.lanes import divisors
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.quantizers import quantizers
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.kernel import Kernel, Stream
from passes._allocation_paths import Graph
from passes._allocation_space import Arithmetic, Memory

Place = tuple[int, int]
"""(stage number, lanes): where a stream is and how wide."""


@dataclass(frozen=True)
class Edge:
    """One unit, or the converters before a matrix, from one place to the next.

    unit: what is folded; None for converters alone.
    """

    tail: Place
    head: Place
    kernels: tuple[Kernel, ...]
    unit: Kernel | None


@dataclass(frozen=True)
class Wide:
    """All edges in columns, in the order of `graph`. cost: (edges, 4); cycles: (edges,)."""

    edges: tuple[Edge, ...]
    graph: Graph
    cost: NDArray[np.float64]
    cycles: NDArray[np.int64]

    def subset(self, keep: NDArray[np.bool_]) -> Wide:
        """Those edges that are kept and on a path of kept ones."""
        graph, left = self.graph.subset(keep)
        edges = tuple(self.edges[index] for index in left)
        return Wide(edges, graph, self.cost[left], self.cycles[left])


@dataclass(frozen=True)
class Found:
    """The fastest design: its units in stream order, what it costs, cycles between frames."""

    units: tuple[Kernel, ...]
    cost: NDArray[np.float64]
    interval: int
    proven: bool
    """Whether every smaller interval was proven out of reach, within the time there was."""


def build(network: NetworkShape, family: str, bits: int) -> Wide:
    """Every choice of lanes, arithmetic and memory; edges of uncalibrated cost are left out."""
    edges: list[Edge] = []
    places: list[Place] = [(0, 0)]
    stage = 0
    for options in _stages(network, bits):
        stage += 1
        made = [
            Edge(place, (stage, lanes), kernels, unit)
            for place in places
            for lanes, kernels, unit in options(place[1])
        ]
        edges += made
        places = sorted({edge.head for edge in made})
    return _priced(edges, family, stage)


Choice = tuple[int, tuple[Kernel, ...], Kernel | None]
"""(lanes that leave, kernels with their FIFOs, the unit)."""
Options = Callable[[int], Iterator[Choice]]
"""From lanes that arrive."""


def _stages(network: NetworkShape, bits: int) -> Iterator[Options]:
    width, signed = network.input_bits, network.input_signed
    for layer in network.layers:
        channels, outputs = divisors(layer.in_channels), divisors(layer.out_channels)
        if needs_pad(layer):
            yield _streaming([pad_kernel(layer, lanes, width, signed) for lanes in channels])
        if needs_window(layer):
            windows = (*channels, *(n * channels[-1] for n in divisors(prod(layer.kernel))[1:]))
            yield _streaming([window_kernel(layer, lanes, width, signed) for lanes in windows])
        yield _joining(layer, width, signed)
        yield _matrix(layer, width, signed, bits)
        acc = matrix_kernel(layer, bits, 1, 1, width, signed, "lut", "auto").acc_bits
        acts = [
            act_kernel(layer, lanes, acc, bits, quantizer)
            for lanes in outputs
            for quantizer in quantizers(layer.out_channels, bits if layer.activation else 8)
        ]
        yield _streaming(acts)
        ends = [end_kernels(layer, lanes, acts[0].output.bits) for lanes in outputs]
        if ends[0]:
            yield _streaming([end for (end,) in ends], last=not layer.activation)
        width, signed = bits, False


def _streaming(units: Sequence[Kernel], *, last: bool = False) -> Options:
    """Units of one kind, any of which may follow any lanes."""

    def options(lanes: int) -> Iterator[Choice]:
        for unit in units:
            for before in _ways(lanes, unit.input):
                kernels = (*before, *with_fifo(unit))
                end = (Fifo(unit.output.width, MIN_FIFO_DEPTH, 1),) if last else ()
                yield unit.output.lanes, (*kernels, *end), unit

    return options


def _joining(layer: LayerShape, width: int, signed: bool) -> Options:
    """Converters to any SIMD of the matrix."""
    columns = layer.matrix[0]

    def options(lanes: int) -> Iterator[Choice]:
        for simd in divisors(columns):
            stream = Stream(simd, width, signed, layer.pixels * columns // simd)
            for before in _ways(lanes, stream):
                yield simd, before, None

    return options


def _matrix(layer: LayerShape, width: int, signed: bool, bits: int) -> Options:
    arithmetics: tuple[Arithmetic, ...] = ("lut", "dsp")
    memories: tuple[Memory, ...] = ("block", "distributed")

    def options(simd: int) -> Iterator[Choice]:
        for pe, arithmetic, memory in product(divisors(layer.out_channels), arithmetics, memories):
            mvu = matrix_kernel(layer, bits, pe, simd, width, signed, arithmetic, memory)
            if memory == "distributed" or mvu.column_folds * mvu.row_folds > 1:
                yield pe, with_fifo(mvu), mvu

    return options


def _ways(lanes: int, stream: Stream) -> Iterator[tuple[Kernel, ...]]:
    """Nothing, or converters through the least common multiple or the greatest common divisor."""
    if lanes in (0, stream.lanes):
        yield ()
        return
    small, fast = joined(lanes, stream, None), joined(lanes, stream, 0)
    yield fast
    if small != fast:
        yield small


def _priced(edges: Sequence[Edge], family: str, stages: int) -> Wide:
    numbers: dict[Kernel, int] = {}
    owners = [
        (owner, numbers.setdefault(kernel, len(numbers)))
        for owner, edge in enumerate(edges)
        for kernel in edge.kernels
    ]
    prices = estimate_many(list(numbers), family)
    beats = np.array([kernel.cycles for kernel in numbers], dtype=np.int64)
    cost, cycles = np.zeros((len(edges), prices.shape[1])), np.zeros(len(edges), dtype=np.int64)
    at, row = np.array(owners).T
    np.add.at(cost, at, prices[row])
    np.maximum.at(cycles, at, beats[row])
    wide = Wide(tuple(edges), _graph(edges, stages), cost, cycles)
    known: NDArray[np.bool_] = np.isfinite(cost.sum(axis=1))
    known[_dominated(edges, cost, cycles)] = False
    return wide.subset(known)


def _graph(edges: Sequence[Edge], stages: int) -> Graph:
    """Places numbered stage by stage; those of the last stage are one, the sink."""
    places = sorted({edge.tail for edge in edges})
    numbers = {place: number for number, place in enumerate(places)}
    return Graph.of(
        np.array([numbers[edge.tail] for edge in edges], dtype=np.intp),
        np.array(
            [len(places) if edge.head[0] == stages else numbers[edge.head] for edge in edges],
            dtype=np.intp,
        ),
        np.array([edge.tail[0] for edge in edges], dtype=np.intp),
    )


def _dominated(
    edges: Sequence[Edge], cost: NDArray[np.float64], cycles: NDArray[np.int64]
) -> list[int]:
    """Edges that another between the same places betters in cost and cycles."""
    groups: dict[tuple[Place, Place], list[int]] = {}
    for index, edge in enumerate(edges):
        groups.setdefault((edge.tail, edge.head), []).append(index)
    found: list[int] = []
    for members in groups.values():
        table = np.column_stack([cost[members], cycles[members]])
        for row, index in enumerate(members):
            below = (table <= table[row] + 1e-9).all(axis=1)
            better = below & (table < table[row] - 1e-9).any(axis=1)
            same = below & ~better & (np.arange(len(members)) < row)
            if (better | same).any():
                found.append(index)
    return found
