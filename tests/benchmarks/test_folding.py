"""The folding benchmark: what is priced, what is found, and that FINN takes it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
import wide_solve
import wide_space

from benchmarks.folding.compare import NO_RATE, Case
from benchmarks.folding.graphs import lowered
from benchmarks.folding.networks import NETWORKS, conv, dense, network
from benchmarks.folding.price import build, calibrated, extrapolated
from benchmarks.folding.setfolding import SetFolding, interval, ladder
from benchmarks.folding.tables import KINDS, page, ratio
from compiler.stages import LayerChoice
from hw_targets import finn_adapter
from hw_targets.boards import load_board
from hw_targets.cost import estimate_many
from hw_targets.cost.finn import FinnFifo, FinnLabelSelect, FinnMvau, FinnWidthConverter
from hw_targets.cost.planned import network_kernels
from hw_targets.lanes import Lanes
from hw_targets.network import NetworkShape
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.mvu import Mvu
from hw_targets.rtl.parallel_window import ParallelWindow
from hw_targets.rtl.width_converter import WidthConverter
from passes import _allocation_solve as solve

BITS = 2
BOARD = "ulx3s-85f"
SMALL = network(
    "small", (3, 6, 6), conv("c1", 3, 4, 6), conv("c2", 4, 6, 6, pool=2), *dense((54, 8, 10))
)


@cache
def graph(name: str) -> Path:
    folder = Path(mkdtemp(prefix="liftflow-folding-"))
    return lowered(shape(name), BITS, folder)


@cache
def finn(name: str) -> SetFolding:
    return SetFolding(graph(name), shape(name))


def shape(name: str) -> NetworkShape:
    return SMALL if name == "small" else NETWORKS[name]


def case(name: str) -> Case:
    return Case(shape(name), BITS, load_board(BOARD), graph(name), finn(name))


def choices(folding: tuple[tuple[int, int], ...]) -> list[LayerChoice]:
    layers = zip(SMALL.layers, folding, strict=True)
    return [
        LayerChoice(BITS, BITS if layer.activation else 0, pe, simd, "lut", "auto", 1)
        for layer, (pe, simd) in layers
    ]


@pytest.mark.parametrize(
    "folding",
    [
        ((1, 1), (1, 1), (1, 1), (1, 1)),
        ((2, 3), (3, 2), (4, 3), (5, 4)),
        ((4, 3), (6, 4), (8, 6), (10, 8)),
        ((1, 27), (2, 36), (4, 2), (5, 4)),
    ],
)
def test_a_folding_of_ours_is_priced_as_the_compiler_prices_it(
    folding: tuple[tuple[int, int], ...],
) -> None:
    kernels = network_kernels(SMALL, choices(folding))
    units = [each for each in kernels if not isinstance(each, Fifo | WidthConverter)]
    nodes = finn("small").configure(units)
    built = build(SMALL, nodes, BITS, "lut")
    assert built.kernels == kernels
    assert built.cycles == max(kernel.cycles for kernel in kernels)
    # FINN's window takes some cycles more than ours where it is the slowest.
    assert built.cycles <= interval(nodes) <= 1.2 * built.cycles


def test_a_parallel_window_feeds_the_whole_matrix() -> None:
    nodes = finn("small").apply(1, 8191)
    assert sum(node.parallel_window for node in nodes) == 2
    built = build(SMALL, nodes, BITS, "lut")
    assert built.cycles <= interval(nodes)
    windows = [each for each in built.kernels if isinstance(each, ParallelWindow)]
    assert [each.output.lanes for each in windows] == [27, 36]
    assert [each.cycles for each in windows] == [64, 64]


def test_outside_the_domain_cost_is_unknown_unless_extrapolated() -> None:
    mvu = Mvu(1024, 1024, 1024, 1024, 1, 4, 4, False)
    assert np.isnan(estimate_many([mvu], "ecp5")).any()
    with extrapolated():
        assert not np.isnan(estimate_many([mvu], "ecp5")).any()
        assert not calibrated([mvu], "ecp5")
    assert np.isnan(estimate_many([mvu], "ecp5")).any()


def paths(wide: wide_space.Wide) -> Iterator[list[int]]:
    leaving: dict[int, list[int]] = {}
    for edge, tail in enumerate(wide.graph.tails.tolist()):
        leaving.setdefault(tail, []).append(edge)
    heads = wide.graph.heads.tolist()

    def onwards(node: int) -> Iterator[list[int]]:
        if node == wide.graph.nodes - 1:
            yield []
        for edge in leaving.get(node, ()):
            for rest in onwards(heads[edge]):
                yield [edge, *rest]

    return onwards(0)


def test_the_fastest_equals_brute_force() -> None:
    tiny = network("tiny", (4,), *dense((4, 2, 2)))
    wide = wide_space.build(tiny, "ecp5", BITS)
    every = [(wide.cost[path].sum(axis=0), int(wide.cycles[path].max())) for path in paths(wide)]
    assert len(every) > 50
    for share in (1.0, 1.05, 1.2, 1.5, 2.0, 4.0):
        budget = min((cost for cost, _ in every), key=lambda cost: cost[0]) * share
        best = min((cycles for cost, cycles in every if (cost <= budget).all()), default=None)
        found = wide_solve.fastest(wide, budget, 1 << 62)
        assert (found and found.interval) == best


def test_the_smallest_network_from_end_to_end() -> None:
    this = case("digits-mlp")
    known = {"network": "digits-mlp", "bits": BITS, "board": BOARD}
    known |= {"kind": "equal", "units": "ours"}
    rows = []
    for theirs in this.foldings(step=16.0):
        if not theirs.uncalibrated:
            ours = this.ours((theirs.arithmetic,), theirs.cost)
            key = {"target": theirs.target, "width": theirs.width}
            arithmetic = {"arithmetic": theirs.arithmetic, "finn": theirs.row("ecp5")}
            rows.append({**known, **key, **arithmetic, **ours})
    assert len(rows) >= 4
    for row in rows:
        for kind in KINDS:
            if row[kind]:
                assert (np.array(row[kind]["cost"]) <= np.array(row["finn"]["cost"]) + 0.1).all()
                assert row[kind]["finn_interval"] == row[kind]["interval"]
        # FINN's own folding is part of our space, and each space of the next.
        assert 1.0 <= ratio(row, "strict") <= ratio(row, "free")
    assert "| digits-mlp | 2 |" in page(rows)


def test_finns_own_nodes_stand_for_ours_where_builds_know_them() -> None:
    this = Case(NETWORKS["tfc"], BITS, load_board("arty-a7-35t"), graph("tfc"), finn("tfc"))
    for folded in this.foldings("finns", step=64.0):
        assert len(folded.priced) == len(folded.built.kernels)
        for ours, theirs in zip(folded.built.kernels, folded.priced, strict=True):
            if isinstance(theirs, FinnMvau):
                assert isinstance(ours, Mvu)
                assert (theirs.mw, theirs.mh, theirs.pe, theirs.simd) == (
                    ours.mw,
                    ours.mh,
                    ours.pe,
                    ours.simd,
                )
                assert calibrated([theirs], "xc7")
            elif isinstance(theirs, FinnFifo):
                assert theirs.depth == 2
            elif not isinstance(theirs, FinnWidthConverter | FinnLabelSelect):
                assert theirs is ours  # adding, and thresholds unlike those of the builds
        if folded.interval > 10_000:
            assert any(isinstance(theirs, FinnMvau) for theirs in folded.priced)
            # Its cost is more: FINN's unit keeps the vector in registers for every row.
            assert folded.cost[0] > estimate_many(folded.built.kernels, "xc7").sum(axis=0)[0]


def test_a_design_found_costs_what_its_folding_is_priced() -> None:
    wide = wide_space.build(SMALL, "ecp5", BITS)
    equal = 0
    for luts in (6000.0, 9000.0, 16000.0):
        # Without multipliers, and memories where there is room for them.
        found = wide_solve.fastest(wide, np.array([luts, luts, 0.0, 0.0]), 1 << 62)
        assert found is not None
        built = build(SMALL, finn("small").configure(found.units), BITS, "lut")
        cost = estimate_many(built.kernels, "ecp5").sum(axis=0)
        # Where lanes do not divide each other a slower, smaller converter may have been enough.
        assert (found.cost <= cost + 1e-6).all()
        assert built.cycles <= found.interval
        equal += np.allclose(found.cost, cost)
    assert equal


@pytest.mark.parametrize("name", ["small", "odd"])
def test_lanes_that_the_compiler_leaves_out_are_of_no_use(name: str) -> None:
    """Its space beside all lanes that divide: as fast within any resources."""
    this = case(name)
    wide = wide_space.build(shape(name), "ecp5", BITS)
    for luts in (5000.0, 8000.0, 12000.0, 20000.0):
        budget = np.array([luts, luts, 20.0, 40.0])
        best = wide_solve.fastest(wide, budget, NO_RATE)
        found = solve.least_interval(this.free, solve.Limits(budget, NO_RATE, BITS), 60.0)
        assert (found and found.interval) == (best and best.interval)


def test_within_a_board_both_keep_to_it() -> None:
    found = case("small").whole_board(0.2, step=4.0)
    assert found["finn"]["interval"] >= found["free"]["interval"]
    for name in ("finn", *KINDS):
        assert (np.array(found[name]["cost"]) <= np.array(found["budget"]) + 0.1).all()


def test_finns_apply_config_takes_our_folding_unchanged(tmp_path: Path) -> None:
    """The solver's folding, exported and applied by FINN itself, read back at every node."""
    from finn.transformation.general import ApplyConfig
    from qonnx.core.modelwrapper import ModelWrapper
    from qonnx.custom_op.registry import getCustomOp

    this = case("small")
    budget = np.array([12000.0, 12000.0, 40.0, 40.0])
    row = this.ours(("lut",), budget)["free"]
    assert row["interval"] < 36 * 9 * 4 * 6 / 16
    folding = zip(row["folding"], row["lanes"], row["arithmetic"], row["memory"], strict=True)
    chosen = {
        layer.name: LayerChoice(BITS, BITS, pe, simd, arithmetic, memory, 1, Lanes(*lanes))
        for layer, ((pe, simd), lanes, arithmetic, memory) in zip(
            SMALL.layers, folding, strict=True
        )
    }
    finn_adapter.fold(graph("small"), tmp_path / "folded.onnx", SMALL, chosen)
    config = json.loads((tmp_path / "folding.json").read_text())
    model = ModelWrapper(str(graph("small"))).transform(ApplyConfig(config))
    assert {node.name for node in model.graph.node} == set(config) - {"Defaults"}
    found = []
    for node in model.graph.node:
        op, wanted = getCustomOp(node), config[node.name]
        for name in ("PE", "SIMD", "ram_style", "resType"):
            if name in wanted:
                assert op.get_nodeattr(name) == wanted[name]
        if node.op_type == "MVAU":
            found.append([op.get_nodeattr("PE"), op.get_nodeattr("SIMD")])
    assert found == row["folding"]


def test_the_ladder_reaches_from_one_multiplier_to_one_cycle() -> None:
    targets = list(ladder(1000))
    assert targets[0] == 1000
    assert targets[-1] == 1
    assert all(a > b for a, b in pairwise(targets))


@pytest.mark.parametrize("name", NETWORKS)
def test_networks_fit_together(name: str) -> None:
    layers = NETWORKS[name].layers
    for before, after in pairwise(layers):
        side = before.out_size[0] // before.pool
        size = before.out_channels * (side * side if after.kind == "dense" else 1)
        assert after.in_channels == size
        assert after.kind == "dense" or after.in_size == (side, side)
        assert before.out_size[0] % before.pool == 0 or before.pool == 1


def test_places_of_a_space_are_on_a_path() -> None:
    wide = wide_space.build(SMALL, "ecp5", BITS)
    kept = wide.subset(np.ones(len(wide.edges), dtype=bool))
    assert len(kept.edges) == len(wide.edges)
    assert any(isinstance(edge.unit, ParallelWindow) for edge in wide.edges)
    ends = [(edge.tail[0], edge.head[0]) for edge in wide.edges]
    assert all(head == tail + 1 for tail, head in ends)
