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

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hw_targets.boards import Board
from hw_targets.cost.layer import (
    back_kernels,
    front_kernels,
    link_kernels,
    matrix_fifo,
    matrix_kernel,
    simd_limit,
)
from hw_targets.cost.model import estimate, estimate_many
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.kernel import Kernel

Node = tuple[str, int, int, int]
"""(kind, layer index, bits, lanes)."""
Arithmetic = Literal["lut", "dsp"]
Memory = Literal["block", "distributed"]

SOURCE: Node = ("source", 0, 0, 0)
SINK: Node = ("sink", 0, 0, 0)


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
    """All edges in columns. choices is None for link and back edges.

    cost: (edges, 4) LUT, FF, DSP, block RAM; cycles, loss, weight_bits: (edges,), the last weights
    of the layer x bits. uncalibrated: why edges were left out, first reason of each layer.
    """

    network: NetworkShape
    tails: tuple[Node, ...]
    heads: tuple[Node, ...]
    choices: tuple[MatrixChoice | None, ...]
    cost: NDArray[np.float64]
    cycles: NDArray[np.int64]
    loss: NDArray[np.float64]
    weight_bits: NDArray[np.float64]
    uncalibrated: Mapping[str, str] = field(default_factory=dict)

    def subset(self, keep: NDArray[np.intp]) -> Space:
        """The same space with only the edges at the positions `keep`."""
        return Space(
            self.network,
            tuple(self.tails[i] for i in keep),
            tuple(self.heads[i] for i in keep),
            tuple(self.choices[i] for i in keep),
            self.cost[keep],
            self.cycles[keep],
            self.loss[keep],
            self.weight_bits[keep],
            self.uncalibrated,
        )


@dataclass(frozen=True)
class _Edge:
    tail: Node
    head: Node
    kernels: tuple[Kernel, ...]
    choice: MatrixChoice | None = None
    loss: float = 0.0
    weight_bits: float = 0.0


def divisors(value: int) -> tuple[int, ...]:
    """All divisors, ascending."""
    return tuple(d for d in range(1, value + 1) if value % d == 0)


def build_space(
    network: NetworkShape,
    board: Board,
    weight_bits: Sequence[int],
    act_bits: Sequence[int],
    errors: Sequence[Errors] | None = None,
) -> Space:
    """All choices for a network on a board's family, priced by the cost model.

    errors: one a layer; None when only hardware matters (every error 0).
    """
    blank = Errors(dict.fromkeys(weight_bits, 0.0), dict.fromkeys(act_bits, 0.0))
    edges: list[_Edge] = []
    in_bits: Sequence[int] = (network.input_bits,)
    lanes: Sequence[int] | None = None
    for index, layer in enumerate(network.layers):
        error = errors[index] if errors else blank
        signed = network.input_signed if index == 0 else False
        edges += _links(index, layer, in_bits, lanes, signed)
        edges += _matrices(index, layer, in_bits, signed, weight_bits, error)
        accumulators = {(e.head[2], e.head[3]) for e in edges if e.head[:2] == ("mid", index)}
        edges += _backs(index, layer, sorted(accumulators), act_bits, error)
        in_bits, lanes = act_bits, divisors(layer.out_channels)
    return _priced(network, board, edges)


def _links(
    index: int,
    layer: LayerShape,
    in_bits: Iterable[int],
    lanes: Iterable[int] | None,
    signed: bool,
) -> list[_Edge]:
    simds = divisors(simd_limit(layer))
    if lanes is None:
        return [_Edge(SOURCE, ("in", index, b, s), ()) for b, s in product(in_bits, simds)]
    return [
        _Edge(
            ("out", index - 1, bits, lane),
            ("in", index, bits, simd),
            link_kernels(layer, lane, simd, bits, signed),
        )
        for bits, lane, simd in product(in_bits, lanes, simds)
    ]


def _matrices(
    index: int,
    layer: LayerShape,
    in_bits: Iterable[int],
    signed: bool,
    weight_bits: Sequence[int],
    error: Errors,
) -> list[_Edge]:
    edges: list[_Edge] = []
    simds, pes = divisors(simd_limit(layer)), divisors(layer.out_channels)
    arithmetics: tuple[Arithmetic, ...] = ("lut", "dsp")
    for bits, simd in product(in_bits, simds):
        front = front_kernels(layer, simd, bits, signed)
        for width, pe, arithmetic in product(weight_bits, pes, arithmetics):
            memories: tuple[Memory, ...] = ("distributed", "block")
            for memory in memories:
                mvu = matrix_kernel(layer, width, pe, simd, bits, signed, arithmetic, memory)
                if memory == "block" and mvu.column_folds * mvu.row_folds == 1:
                    continue  # one word: there is no memory to place
                edges.append(
                    _Edge(
                        ("in", index, bits, simd),
                        ("mid", index, mvu.acc_bits, pe),
                        (*front, matrix_fifo(mvu), mvu),
                        MatrixChoice(index, width, pe, simd, arithmetic, memory, mvu.cycles),
                        error.weights[width],
                        float(layer.weights * width),
                    )
                )
    return edges


def _backs(
    index: int,
    layer: LayerShape,
    accumulators: Iterable[tuple[int, int]],
    act_bits: Sequence[int],
    error: Errors,
) -> list[_Edge]:
    if not layer.activation:
        return [
            _Edge(("mid", index, acc, pe), SINK, back_kernels(layer, acc, 0, pe))
            for acc, pe in accumulators
        ]
    return [
        _Edge(
            ("mid", index, acc, pe),
            ("out", index, bits, pe),
            back_kernels(layer, acc, bits, pe),
            loss=error.activations[bits],
        )
        for (acc, pe), bits in product(accumulators, act_bits)
    ]


def _priced(network: NetworkShape, board: Board, edges: Sequence[_Edge]) -> Space:
    """Prices every distinct kernel once; edges with an uncalibrated kernel are left out."""
    numbers: dict[Kernel, int] = {}
    rows, owners = [], []
    for owner, edge in enumerate(edges):
        for kernel in edge.kernels:
            rows.append(numbers.setdefault(kernel, len(numbers)))
            owners.append(owner)
    kernels = list(numbers)
    prices = estimate_many(kernels, board.family)
    cycles_each = np.array([kernel.cycles for kernel in kernels], dtype=np.int64)
    cost = np.zeros((len(edges), prices.shape[1]))
    cycles = np.zeros(len(edges), dtype=np.int64)
    np.add.at(cost, owners, prices[rows])
    np.maximum.at(cycles, owners, cycles_each[rows])
    known = ~np.isnan(cost).any(axis=1)
    reasons: dict[str, str] = {}
    for position in np.flatnonzero(~known).tolist():
        edge = edges[position]
        name = network.layers[edge.tail[1] if edge.tail != SOURCE else 0].name
        if name not in reasons:
            found = (estimate(kernel, board.family).why for kernel in edge.kernels)
            reasons[name] = next(why for why in found if why)
    keep: list[int] = np.flatnonzero(known).tolist()
    return Space(
        network,
        tuple(edges[i].tail for i in keep),
        tuple(edges[i].head for i in keep),
        tuple(edges[i].choice for i in keep),
        cost[keep],
        cycles[keep],
        np.array([edges[i].loss for i in keep]),
        np.array([edges[i].weight_bits for i in keep]),
        reasons,
    )
