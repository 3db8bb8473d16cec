"""Builds the space of an allocation: every choice of every layer, priced by the cost model."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from hw_targets.boards import Board
from hw_targets.cost.layer import (
    back_kernels,
    front_kernels,
    link_kernels,
    matrix_fifo,
    matrix_kernel,
    simd_limit,
)
from hw_targets.cost.model import estimate, estimate_many, kernel_model
from hw_targets.families import RESOURCES
from hw_targets.network import LayerShape, NetworkShape
from hw_targets.rtl.kernel import Kernel
from hw_targets.rtl.mvu import Mvu
from passes._allocation_paths import Graph
from passes._allocation_space import RANKS, Errors, Floats, Integers, Space


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
    builder = _Builder(network, board.family, tuple(weight_bits))
    in_bits: tuple[int, ...] = (network.input_bits,)
    lanes: tuple[int, ...] | None = None
    for index, layer in enumerate(network.layers):
        signed = network.input_signed if index == 0 else False
        error = errors[index] if errors else blank
        builder.add(layer, in_bits, lanes, signed, tuple(act_bits), error)
        in_bits, lanes = tuple(act_bits), divisors(layer.out_channels)
    return builder.space()


@dataclass(frozen=True)
class _Block:
    """Edges of one rank of a layer; ends count from the rank's first node.

    groups: numbers of the kernels that every edge has beside a matrix-vector unit, in `_Prices`.
    """

    tails: Integers
    heads: Integers
    ends: int
    groups: Integers
    decided: Integers
    mvu: dict[str, Floats] | None = None


class _Prices:
    """Kernels that stand together, numbered, and priced all at once."""

    def __init__(self, family: str) -> None:
        self.family = family
        self._kernels: dict[Kernel, int] = {}
        self._groups: dict[tuple[Kernel, ...], int] = {}

    def group(self, kernels: Iterable[Kernel]) -> int:
        return self._groups.setdefault(tuple(kernels), len(self._groups))

    def priced(self) -> tuple[Floats, Integers]:
        """(groups, 4) resources and (groups,) cycles."""
        numbers: dict[Kernel, int] = {}
        rows, owners = [], []
        for owner, group in enumerate(self._groups):
            for kernel in group:
                rows.append(numbers.setdefault(kernel, len(numbers)))
                owners.append(owner)
        cost = np.zeros((len(self._groups), len(RESOURCES)))
        cycles = np.zeros(len(self._groups), dtype=np.int64)
        if rows:
            prices = estimate_many(list(numbers), self.family)
            np.add.at(cost, owners, prices[rows])
            each = np.array([kernel.cycles for kernel in numbers], dtype=np.int64)
            np.maximum.at(cycles, owners, each[rows])
        return cost, cycles

    def why(self, number: int) -> str:
        """What is uncalibrated in a group; empty when nothing is."""
        group = list(self._groups)[number]
        return next(filter(None, (estimate(kernel, self.family).why for kernel in group)), "")


class _Builder:
    """Collects the blocks of all layers; layers of one shape share theirs."""

    def __init__(self, network: NetworkShape, family: str, weight_bits: tuple[int, ...]) -> None:
        self._network, self._family, self._widths = network, family, weight_bits
        self._prices = _Prices(family)
        self._made: dict[tuple[object, ...], tuple[_Block, _Block, _Block]] = {}
        self._blocks: list[_Block] = []
        self._losses: list[Floats] = []

    def add(
        self,
        layer: LayerShape,
        in_bits: tuple[int, ...],
        lanes: tuple[int, ...] | None,
        signed: bool,
        act_bits: tuple[int, ...],
        errors: Errors,
    ) -> None:
        key = (replace(layer, name=""), in_bits, lanes, signed, act_bits)
        if key not in self._made:
            matrix, middles = self._matrices(layer, in_bits, signed)
            links = self._links(layer, in_bits, lanes, signed)
            self._made[key] = (links, matrix, self._backs(layer, middles, act_bits))
        links, matrix, backs = self._made[key]
        self._blocks += (links, matrix, backs)
        of_width = _looked_up(errors.weights, matrix.decided[:, 0])
        of_act = (
            _looked_up(errors.activations, backs.decided[:, 0])
            if layer.activation
            else np.zeros(len(backs.tails))
        )
        self._losses += (np.zeros(len(links.tails)), of_width, of_act)

    def _links(
        self,
        layer: LayerShape,
        in_bits: tuple[int, ...],
        lanes: tuple[int, ...] | None,
        signed: bool,
    ) -> _Block:
        simds = divisors(simd_limit(layer))
        ends = len(in_bits) * len(simds)
        if lanes is None:
            heads = np.arange(ends, dtype=np.int64)
            empty = np.full(ends, self._prices.group(()), dtype=np.int64)
            return _Block(np.zeros_like(heads), heads, ends, empty, np.zeros((ends, 5), np.int64))
        numbered = [
            (b * len(lanes) + p, b * len(simds) + s, link_kernels(layer, lane, simd, bits, signed))
            for (b, bits), (p, lane), (s, simd) in product(
                enumerate(in_bits), enumerate(lanes), enumerate(simds)
            )
        ]
        groups = np.array([self._prices.group(kernels) for _, _, kernels in numbered])
        tails = np.array([tail for tail, _, _ in numbered])
        heads = np.array([head for _, head, _ in numbered])
        return _Block(tails, heads, ends, groups, np.zeros((len(tails), 5), np.int64))

    def _matrices(
        self, layer: LayerShape, in_bits: tuple[int, ...], signed: bool
    ) -> tuple[_Block, list[tuple[int, int]]]:
        """Matrix edges, and the (accumulator bits, PE) of the nodes they lead to."""
        simds, pes = divisors(simd_limit(layer)), divisors(layer.out_channels)
        mw, mh = layer.matrix
        width_at, bits_at = np.array(self._widths), np.array(in_bits)

        def unit(bits: int, width: int, pe: int, simd: int) -> Mvu:
            return matrix_kernel(layer, width, pe, simd, bits, signed, "lut", "distributed")

        acc = np.array([[unit(b, w, 1, 1).acc_bits for w in self._widths] for b in in_bits])
        accs = np.unique(acc)
        # Window and FIFO by input bits, SIMD and whether there are several passes over the rows.
        fronts = np.array(
            [
                [
                    [
                        self._prices.group(
                            (*front, matrix_fifo(unit(bits, self._widths[0], pe, simd)))
                        )
                        for pe in (mh, 1)
                    ]
                    for simd in simds
                    for front in [front_kernels(layer, simd, bits, signed)]
                ]
                for bits in in_bits
            ]
        )
        # An axis for each choice, flattened: of them, one edge each.
        shape = (len(in_bits), len(simds), len(self._widths), len(pes), 2, 2)
        b, s, w, p, dsp, block = (axis.ravel() for axis in np.indices(shape, dtype=np.int64))
        simd, pe = np.array(simds)[s], np.array(pes)[p]
        folds = (mw // simd) * (mh // pe)
        # Of one word there is no memory to place.
        real = (block == 0) | (folds > 1)
        b, s, w, p, dsp, block = (axis[real] for axis in (b, s, w, p, dsp, block))
        simd, pe = simd[real], pe[real]
        columns = {
            "mw": np.full(len(b), mw),
            "mh": np.full(len(b), mh),
            "simd": simd,
            "pe": pe,
            "weight_bits": width_at[w],
            "act_bits": bits_at[b],
            "act_signed": np.full(len(b), int(signed)),
            "acc_bits": acc[b, w],
            "column_folds": mw // simd,
            "row_folds": mh // pe,
            "dsp": dsp,
            "block": block,
        }
        decided = np.stack([width_at[w], pe, simd, dsp, block], axis=1)
        heads = np.searchsorted(accs, acc[b, w]) * len(pes) + p
        found = _Block(
            tails=b * len(simds) + s,
            heads=heads,
            ends=len(accs) * len(pes),
            groups=fronts[b, s, (pe < mh).astype(np.int64)],
            decided=decided,
            mvu={name: values.astype(np.float64) for name, values in columns.items()},
        )
        return found, list(product(accs.tolist(), pes))

    def _backs(
        self, layer: LayerShape, middles: list[tuple[int, int]], act_bits: tuple[int, ...]
    ) -> _Block:
        if not layer.activation:
            last = [self._prices.group(back_kernels(layer, acc, 0, pe)) for acc, pe in middles]
            ends = np.arange(len(middles), dtype=np.int64)
            nothing = np.zeros((len(ends), 5), np.int64)
            return _Block(ends, np.zeros_like(ends), 1, np.array(last, np.int64), nothing)
        lanes = {pe: number for number, pe in enumerate(dict.fromkeys(pe for _, pe in middles))}
        rows = [
            (
                tail,
                a * len(lanes) + lanes[pe],
                self._prices.group(back_kernels(layer, acc, bits, pe)),
                bits,
            )
            for (tail, (acc, pe)), (a, bits) in product(enumerate(middles), enumerate(act_bits))
        ]
        tails, heads, groups, bits_of = (np.array(column) for column in zip(*rows, strict=True))
        decided = np.zeros((len(rows), 5), np.int64)
        decided[:, 0] = bits_of
        return _Block(tails, heads, len(lanes) * len(act_bits), groups, decided)

    def space(self) -> Space:
        """Prices every distinct unit once; edges with an uncalibrated one are left out."""
        group_cost, group_cycles = self._prices.priced()
        units: dict[int, tuple[Floats, Integers]] = {}
        costs, cycles, tails, heads, weights = [], [], [], [], []
        first = 0
        for rank, block in enumerate(self._blocks):
            cost, busy = group_cost[block.groups], group_cycles[block.groups]
            of_bits = np.zeros(len(busy))
            if block.mvu is not None:
                layer = self._network.layers[rank // RANKS]
                if id(block) not in units:
                    units[id(block)] = self._units(block.mvu, layer)
                cost, busy = cost + units[id(block)][0], np.maximum(busy, units[id(block)][1])
                of_bits = layer.weights * block.decided[:, 0].astype(np.float64)
            costs.append(cost)
            cycles.append(busy)
            weights.append(of_bits)
            tails.append(first + block.tails)
            first += self._blocks[rank - 1].ends if rank else 1
            heads.append(first + block.heads)
        ranks = np.repeat(np.arange(len(self._blocks)), [len(b.tails) for b in self._blocks])
        cost = np.concatenate(costs)
        whole = Space(
            self._network,
            Graph.of(np.concatenate(tails), np.concatenate(heads), ranks),
            cost,
            np.concatenate(cycles),
            np.concatenate(self._losses),
            np.concatenate(weights),
            np.concatenate([block.decided for block in self._blocks]),
            {},
        )
        known = np.asarray(~np.isnan(cost).any(axis=1))
        if known.all():
            return whole
        unpriced = tuple(
            layer.name
            for index, layer in enumerate(self._network.layers)
            if not known[whole.of_layer(index)].any()
        )
        reasons = self._reasons(costs, group_cost)
        return replace(whole.subset(known), uncalibrated=reasons, unpriced=unpriced)

    def _units(self, columns: dict[str, Floats], layer: LayerShape) -> tuple[Floats, Integers]:
        """(edges, 4) resources of matrix-vector units, and their cycles a frame."""
        found = kernel_model("Mvu", self._family).resources(columns)
        cost = np.stack([np.broadcast_to(each, len(columns["pe"])) for each in found], axis=1)
        folds = columns["column_folds"] * columns["row_folds"]
        return cost, (layer.pixels * folds).astype(np.int64)

    def _reasons(self, costs: Sequence[Floats], group_cost: Floats) -> dict[str, str]:
        """Layer -> why its first uncalibrated edge is."""
        reasons: dict[str, str] = {}
        unknown_group = np.asarray(np.isnan(group_cost).any(axis=1))
        for rank, (block, cost) in enumerate(zip(self._blocks, costs, strict=True)):
            name = self._network.layers[rank // RANKS].name
            unknown = np.flatnonzero(np.isnan(cost).any(axis=1))
            if name in reasons or not len(unknown):
                continue
            edge = unknown[0]
            if unknown_group[block.groups[edge]]:
                reasons[name] = self._prices.why(int(block.groups[edge]))
            elif block.mvu is not None:
                fields = {key: float(values[edge]) for key, values in block.mvu.items()}
                reasons[name] = kernel_model("Mvu", self._family).why(fields)
        return reasons


def _looked_up(table: Mapping[int, float], keys: Integers) -> Floats:
    """The table's value for each key."""
    found = np.zeros(max(table) + 1)
    found[list(table)] = list(table.values())
    return np.asarray(found[keys])
