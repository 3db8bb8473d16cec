"""Everything the allocator may choose, as a layered graph with a price on every edge.

A design is a path through the graph. A layer has three kinds of edges:

* link: from what the layer before gives (bits, its PE) to what this one takes (bits, SIMD):
  width converters;
* matrix: (bits, SIMD) -> (accumulator bits, PE), one edge for each weight width, arithmetic and
  memory: window, FIFO and matrix-vector unit;
* back: (accumulator bits, PE) -> (activation bits, PE): threshold and pooling, or the logits' end.

So the input bits of a layer are the output bits of the one before by construction, and a width
converter is paid for exactly when lanes differ.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw_targets.network import NetworkShape
from passes._allocation_paths import Graph

Arithmetic = Literal["lut", "dsp"]
Memory = Literal["block", "distributed"]
Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

RANKS = 3
"""Kinds of edges a layer has, in stream order."""
LINK, MATRIX, BACK = range(RANKS)


@dataclass(frozen=True)
class MatrixChoice:
    """What a matrix edge decides."""

    layer: int
    weight_bits: int
    pe: int
    simd: int
    arithmetic: Arithmetic
    memory: Memory
    cycles: int


@dataclass(frozen=True)
class Errors:
    """Modelled error of one layer: by weight bits, and by bits of its output activation."""

    weights: Mapping[int, float]
    activations: Mapping[int, float]


@dataclass(frozen=True)
class Space:
    """All edges in columns, in the order of `graph`.

    cost: (edges, 4) LUT, FF, DSP, block RAM. cycles, loss: (edges,). weight_bits: (edges,) weights
    of the layer x bits. decided: (edges, 5) weight bits, PE, SIMD, DSP arithmetic and block memory
    of matrix edges; activation bits first of back edges; zeros of links. uncalibrated: layer ->
    why edges of it were left out, the first reason. unpriced: those that have no matrix edge left;
    with one of them there is no path, and no edge.
    """

    network: NetworkShape
    graph: Graph
    cost: Floats
    cycles: Integers
    loss: Floats
    weight_bits: Floats
    decided: Integers
    uncalibrated: Mapping[str, str]
    unpriced: tuple[str, ...] = ()

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
            loss=self.loss[edges],
            weight_bits=self.weight_bits[edges],
            decided=self.decided[edges],
        )

    def of_layer(self, index: int) -> NDArray[np.intp]:
        """Positions of a layer's matrix edges."""
        return np.flatnonzero(self.graph.ranks == RANKS * index + MATRIX)

    def choices(self, path: NDArray[np.intp]) -> tuple[MatrixChoice, ...]:
        """The matrix choices on a path of edges."""
        return tuple(
            MatrixChoice(
                layer,
                int(bits),
                int(pe),
                int(simd),
                "dsp" if dsp else "lut",
                "block" if block else "distributed",
                self._matrix_cycles(layer, int(pe), int(simd)),
            )
            for layer, (bits, pe, simd, dsp, block) in enumerate(self.decided[path[MATRIX::RANKS]])
        )

    def act_bits(self, path: NDArray[np.intp]) -> tuple[int, ...]:
        """Bits of every layer's output on a path; 0 for the logits."""
        return tuple(int(bits) for bits in self.decided[path[BACK::RANKS], 0])

    def _matrix_cycles(self, layer: int, pe: int, simd: int) -> int:
        shape = self.network.layers[layer]
        return shape.macs // (pe * simd)
