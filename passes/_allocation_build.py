"""Builds the space of an allocation: every choice of every layer, priced by the cost model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hw_targets.boards import Board
from hw_targets.cost.model import kernel_model
from hw_targets.network import LayerShape, NetworkShape
from passes._allocation_blocks import layer_blocks
from passes._allocation_branches import Branches, Priced, fixed_layers, follows
from passes._allocation_exits import composed, entered, exits
from passes._allocation_paths import Graph
from passes._allocation_price import Prices
from passes._allocation_space import ACT, END, MATRIX, PAD, RANKS, Errors, Floats, Integers, Space
from passes._allocation_stage import Block, Places, through


def build_space(
    network: NetworkShape,
    board: Board,
    weight_bits: Sequence[int],
    act_bits: Sequence[int],
    errors: Sequence[Errors] | None = None,
    fixed: Mapping[str, int] | None = None,
) -> Space:
    """All choices for a network on a board's family, priced by the cost model.

    errors: one a layer; None when only hardware matters (every error 0). fixed: activation bits of
    the layers in `fixed_layers`; the least of `act_bits` for those it has not.

    Raises:
        UnsupportedError: a unit of a network that branches has no hardware.
    """
    blank = Errors(dict.fromkeys(weight_bits, 0.0), dict.fromkeys(act_bits, 0.0))
    builder = _Builder(network, board.family, tuple(weight_bits), tuple(act_bits), fixed or {})
    for index in range(len(network.layers)):
        builder.add(index, errors[index] if errors else blank)
    return builder.space()


class _Builder:
    """Collects the blocks of all layers; layers of one shape share theirs."""

    def __init__(
        self,
        network: NetworkShape,
        family: str,
        weight_bits: tuple[int, ...],
        act_bits: tuple[int, ...],
        fixed: Mapping[str, int],
    ) -> None:
        self._network, self._family = network, family
        self._weight_bits, self._act_bits = weight_bits, act_bits
        self._prices = Prices(family)
        self._made: dict[tuple[object, ...], tuple[tuple[Block, ...], Places]] = {}
        self._places, self._signed = Places((network.input_bits,), (0,)), network.input_signed
        self._blocks: list[Block] = []
        self._losses: list[Floats] = []
        self._branches = None
        if not network.chain:
            least = dict.fromkeys(fixed_layers(network), min(act_bits))
            self._branches = Branches(network, {**least, **fixed})

    def add(self, index: int, errors: Errors) -> None:
        """The next layer, which takes what the last one gives, or a stream that is fixed."""
        layer, branches = self._network.layers[index], self._branches
        arriving = branches.arriving(index) if branches else None
        if arriving is not None:
            stream, spans = arriving
            self._signed = stream.signed
            self._places = Places((stream.bits,), tuple(span.lanes for span in spans))
        bound = branches is not None and not follows(self._network, index)
        last = index + 1 == len(self._network.layers) if branches else not layer.activation
        last = last and not self._network.quantized_end
        acts = self._act_bits
        if bound and branches is not None and layer.name in branches.bits:
            acts = (branches.bits[layer.name],)
        entry = self._places
        blocks = self._blocks_of(layer, acts, last)
        losses = [np.zeros(len(block.tails)) for block in blocks]
        losses[MATRIX] = _looked_up(errors.weights, blocks[MATRIX].decided[:, 0])
        if layer.activation:
            losses[ACT] = _looked_up(errors.activations, blocks[ACT].decided[:, 0])
        if arriving is not None:
            blocks[PAD] = entered(blocks[PAD], entry, arriving[1])
        if bound and not last and branches is not None:
            ways = branches.leaving(index)
            if layer.activation:
                blocks[END] = composed(blocks[END], exits(self._prices, self._places, ways))
            else:
                out = branches.bits.get(layer.name, 0)
                blocks[ACT] = exits(self._prices, self._places, ways, out)
                blocks[END] = through(self._prices, Places((0,), (0,)))
                losses[ACT] = np.full(len(blocks[ACT].tails), errors.activations.get(out, 0.0))
            losses[END] = np.zeros(len(blocks[END].tails))
        self._blocks += blocks
        self._losses += losses

    def _blocks_of(self, layer: LayerShape, acts: tuple[int, ...], last: bool) -> list[Block]:
        """The layer's blocks, from where the last one ends to where it does."""
        key = (replace(layer, name=""), self._places, self._signed, acts, last)
        if key not in self._made:
            self._made[key] = layer_blocks(
                layer, self._places, self._signed, self._weight_bits, acts, self._prices, last
            )
        blocks, self._places = self._made[key]
        self._signed = False
        return list(blocks)

    def space(self) -> Space:
        """Prices every distinct unit once; edges with an uncalibrated one are left out."""
        group_cost, group_cycles = self._prices.priced()
        units: dict[int, tuple[Floats, Integers]] = {}
        costs, cycles, tails, heads, weights = [], [], [], [], []
        first = 0
        for rank, block in enumerate(self._blocks):
            cost = group_cost[block.groups].sum(axis=1)
            busy = np.maximum(group_cycles[block.groups].max(axis=1), block.least)
            of_bits = np.zeros(len(busy))
            if block.mvu is not None:
                layer = self._network.layers[rank // RANKS]
                if id(block) not in units:
                    units[id(block)] = self._units(block.mvu, layer)
                cost, busy = cost + units[id(block)][0], np.maximum(busy, units[id(block)][1])
            if rank % RANKS == MATRIX:
                layer = self._network.layers[rank // RANKS]
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
            np.concatenate([block.until for block in self._blocks]),
            np.concatenate(self._losses),
            np.concatenate(weights),
            np.concatenate([block.decided for block in self._blocks]),
            {},
            shared=Priced(self._branches, self._family) if self._branches else None,
        )
        known = np.asarray(~np.isnan(cost).any(axis=1))
        if known.all():
            return whole
        priced = [known[part].any() for part in whole.graph.slices]
        unpriced = tuple(
            layer.name
            for index, layer in enumerate(self._network.layers)
            if not all(priced[RANKS * index : RANKS * (index + 1)])
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
            groups = [int(group) for group in block.groups[edge] if unknown_group[group]]
            if groups:
                reasons[name] = self._prices.why(groups[0])
            elif block.mvu is not None:
                fields = {key: float(values[edge]) for key, values in block.mvu.items()}
                reasons[name] = kernel_model("Mvu", self._family).why(fields)
        return reasons


def _looked_up(table: Mapping[int, float], keys: Integers) -> Floats:
    """The table's value for each key."""
    found = np.zeros(max(table) + 1)
    found[list(table)] = list(table.values())
    return np.asarray(found[keys])
