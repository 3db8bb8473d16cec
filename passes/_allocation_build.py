"""Builds the space of an allocation: every choice of every layer, priced by the cost model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from hw_targets.boards import Board
from hw_targets.cost.model import kernel_model
from hw_targets.network import LayerShape, NetworkShape
from passes._allocation_blocks import layer_blocks
from passes._allocation_paths import Graph
from passes._allocation_price import Prices
from passes._allocation_space import ACT, MATRIX, RANKS, Errors, Floats, Integers, Space
from passes._allocation_stage import Block, Places


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
    builder = _Builder(network, board.family, tuple(weight_bits), tuple(act_bits))
    for index, layer in enumerate(network.layers):
        builder.add(layer, errors[index] if errors else blank)
    return builder.space()


class _Builder:
    """Collects the blocks of all layers; layers of one shape share theirs."""

    def __init__(
        self,
        network: NetworkShape,
        family: str,
        weight_bits: tuple[int, ...],
        act_bits: tuple[int, ...],
    ) -> None:
        self._network, self._family = network, family
        self._weight_bits, self._act_bits = weight_bits, act_bits
        self._prices = Prices(family)
        self._made: dict[tuple[object, ...], tuple[tuple[Block, ...], Places]] = {}
        self._places, self._signed = Places((network.input_bits,), (0,)), network.input_signed
        self._blocks: list[Block] = []
        self._losses: list[Floats] = []

    def add(self, layer: LayerShape, errors: Errors) -> None:
        """The next layer, which takes what the last one gives."""
        key = (replace(layer, name=""), self._places, self._signed)
        if key not in self._made:
            self._made[key] = layer_blocks(
                layer, self._places, self._signed, self._weight_bits, self._act_bits, self._prices
            )
        blocks, self._places = self._made[key]
        self._signed = False
        self._blocks += blocks
        losses = [np.zeros(len(block.tails)) for block in blocks]
        losses[MATRIX] = _looked_up(errors.weights, blocks[MATRIX].decided[:, 0])
        if layer.activation:
            losses[ACT] = _looked_up(errors.activations, blocks[ACT].decided[:, 0])
        self._losses += losses

    def space(self) -> Space:
        """Prices every distinct unit once; edges with an uncalibrated one are left out."""
        group_cost, group_cycles = self._prices.priced()
        units: dict[int, tuple[Floats, Integers]] = {}
        costs, cycles, tails, heads, weights = [], [], [], [], []
        first = 0
        for rank, block in enumerate(self._blocks):
            cost = group_cost[block.groups].sum(axis=1)
            busy = group_cycles[block.groups].max(axis=1)
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
            np.concatenate([block.until for block in self._blocks]),
            np.concatenate(self._losses),
            np.concatenate(weights),
            np.concatenate([block.decided for block in self._blocks]),
            {},
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
