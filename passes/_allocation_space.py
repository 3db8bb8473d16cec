"""Everything the allocator may choose, as a layered graph with a price on every edge.

A design is a path through the graph. A node is a stream: its bits and its lanes. A layer has six
kinds of edges, each with the width converters in front of its unit where lanes differ:

* pad, window: (bits, lanes) -> (bits, lanes of the unit);
* join: (bits, lanes) -> (bits, SIMD), converters alone;
* matrix: (bits, SIMD) -> (accumulator bits, PE), one edge for each weight width, arithmetic and
  memory: FIFO and matrix-vector unit;
* act: (accumulator bits, PE) -> (activation bits, lanes): threshold or multiplier, or bias of the
  logits;
* end: (bits, lanes) -> (bits, lanes): pooling, or label select and the sink.

What a layer does not have leads on unchanged. So the input bits of a layer are the output bits of
the one before by construction, and a width converter is paid for exactly when lanes differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hw_targets.families import RESOURCES
from hw_targets.lanes import TIED, Lanes
from hw_targets.network import NetworkShape
from hw_targets.quantizers import Quantizer
from passes._allocation_paths import Graph

Arithmetic = Literal["lut", "dsp"]
Memory = Literal["block", "distributed"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RANKS = 6
"""Kinds of edges a layer has, in stream order."""
PAD, WINDOW, JOIN, MATRIX, ACT, END = range(RANKS)
DECIDED = 5
"""Numbers an edge decides."""
FOREVER = 2**63 - 1
"""More cycles between frames than anyone asks for."""


@dataclass(frozen=True)
class MatrixChoice:
    """What the edges of a layer decide, activation bits aside."""

    layer: int
    weight_bits: int
    pe: int
    simd: int
    arithmetic: Arithmetic
    memory: Memory
    cycles: int
    lanes: Lanes = TIED
    quantizer: Quantizer = "threshold"


@dataclass(frozen=True)
class Errors:
    """Modelled error of one layer: by weight bits, and by bits of its output activation."""

    weights: Mapping[int, float]
    activations: Mapping[int, float]


class Shared(Protocol):
    """What a network that branches has beside its layers, a function of the interval."""

    breakpoints: tuple[int, ...]
    """Intervals from which on it may be another, ascending; none is possible below the first."""
    slowest: str
    """The unit that needs the first of them."""

    def at(self, interval: int) -> tuple[Floats, int]:
        """(4,) resources, NaN where unknown, and cycles between frames."""

    def why(self) -> str:
        """What is uncalibrated at every interval; empty where one is known."""


@dataclass(frozen=True)
class Space:
    """All edges in columns, in the order of `graph`.

    cost: (edges, 4) LUT, FF, DSP, block RAM. cycles, loss: (edges,). until: (edges,) the interval
    from which on another edge takes its place: converters that are smaller and keep up with it.
    weight_bits: (edges,) weights of the layer x bits. decided: (edges, 5) weight bits, PE, SIMD,
    DSP arithmetic and block memory of matrix edges; of the others bits and lanes of the unit, zeros
    where there is none, and of act edges 1 for a multiplier. uncalibrated: layer -> why edges of it
    were left out, the first reason. unpriced: layers that have no edge of some kind left; with one
    of them there is no path, and no edge. shared: of a network that branches. fixed, fixed_cycles:
    (4,) resources of that and its cycles, within an interval.
    """

    network: NetworkShape
    graph: Graph
    cost: Floats
    cycles: Integers
    until: Integers
    loss: Floats
    weight_bits: Floats
    decided: Integers
    uncalibrated: Mapping[str, str]
    unpriced: tuple[str, ...] = ()
    shared: Shared | None = None
    fixed: Floats = field(default_factory=lambda: np.zeros(len(RESOURCES)))
    fixed_cycles: int = 0

    def __len__(self) -> int:
        return len(self.cycles)

    def subset(self, keep: NDArray[np.bool_]) -> Space:
        """The same space with those edges only that are kept and on a path of kept ones."""
        graph, edges = self.graph.subset(keep)
        return replace(
            self,
            graph=graph,
            cost=self.cost[edges],
            cycles=self.cycles[edges],
            until=self.until[edges],
            loss=self.loss[edges],
            weight_bits=self.weight_bits[edges],
            decided=self.decided[edges],
        )

    def within(self, interval: int) -> Space:
        """The same space with what keeps to `interval` cycles between frames, smallest converters.

        Between two nodes at most one edge is left, but for matrix edges, the two quantizers, and
        edges to an end that is fixed. None is left where what is shared cannot keep to it, or has
        no price then.
        """
        part = self.subset((self.cycles <= interval) & (interval < self.until))
        if self.shared is None:
            return part
        cost, cycles = self.shared.at(interval)
        if np.isnan(cost).any():
            return self.subset(np.zeros(len(self), dtype=bool))
        return replace(part, fixed=cost, fixed_cycles=cycles)

    def candidates(self, most: int) -> Integers:
        """Intervals up to `most` at which other designs become possible, ascending."""
        found = self.cycles
        if self.shared is not None:
            found = np.append(found, np.array(self.shared.breakpoints, dtype=np.int64))
        return np.unique(found[found <= most])

    def of_layer(self, index: int) -> NDArray[np.intp]:
        """Positions of a layer's matrix edges."""
        return np.flatnonzero(self.graph.ranks == RANKS * index + MATRIX)

    def slowest(self, index: int) -> int:
        """The fewest cycles a frame that a layer can do with, all its units taken together."""
        slices = self.graph.slices[RANKS * index : RANKS * (index + 1)]
        return max((int(self.cycles[part].min()) for part in slices), default=0)

    def choices(self, path: NDArray[np.intp]) -> tuple[MatrixChoice, ...]:
        """What a path of edges decides, layer by layer."""
        decided = self.decided[path].reshape(-1, RANKS, DECIDED)
        found = []
        for layer, rows in enumerate(decided.tolist()):
            bits, pe, simd, dsp, block = rows[MATRIX]
            found.append(
                MatrixChoice(
                    layer,
                    bits,
                    pe,
                    simd,
                    "dsp" if dsp else "lut",
                    "block" if block else "distributed",
                    self._matrix_cycles(layer, pe, simd),
                    Lanes(*(rows[rank][1] for rank in (PAD, WINDOW, ACT, END))),
                    "multiplier" if rows[ACT][2] else "threshold",
                )
            )
        return tuple(found)

    def act_bits(self, path: NDArray[np.intp]) -> tuple[int, ...]:
        """Bits of every layer's output on a path; 0 for the logits."""
        *found, last = self.decided[path[ACT::RANKS], 0].tolist()
        return (*found, last if self.network.layers[-1].activation else 0)

    def _matrix_cycles(self, layer: int, pe: int, simd: int) -> int:
        shape = self.network.layers[layer]
        mw, mh = shape.hardware_matrix
        return shape.pixels * mw * mh // (pe * simd)
